//! From rows back to the broker's records.

use durward_broker::approval::{
    Actor, Ended, GrantRecord, NonceRecord, RequestRecord, SessionRecord, Snapshot, StoredRequestState,
};
use durward_protocol::{
    AgentId, AgentName, Domain, Field, GrantId, Nonce, RequestId, Scope, SessionId, Verdict,
};
use serde::de::IntoDeserializer as _;
use serde::{Deserialize as _, de::value};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;

use super::{GRANT, REQUEST, SESSION};
use crate::Error;
use crate::database::{Link, Row};
use crate::statement::Table;

/// Reads everything a start needs. Run it inside one transaction.
pub(crate) async fn load(link: &mut Link<'_>, now: OffsetDateTime) -> Result<Snapshot, Error> {
    let mut found = Snapshot::default();
    let live = select(&SESSION, "WHERE ended_at IS NULL ORDER BY created_at, id");
    link.fetch(AssertSqlSafe(live), vec![], |row| keep(&mut found.sessions, session(&row))).await?;
    let requests = select(&REQUEST, "ORDER BY created_at, session_id, id");
    link.fetch(AssertSqlSafe(requests), vec![], |row| keep(&mut found.requests, request(&row))).await?;
    let live = select(&GRANT, "WHERE ended_at IS NULL ORDER BY created_at, id");
    link.fetch(AssertSqlSafe(live), vec![], |row| keep(&mut found.grants, grant(&row))).await?;
    let fresh = "SELECT session_id, nonce, max(expires_at) FROM nonce WHERE expires_at >= $1
                 GROUP BY session_id, nonce ORDER BY session_id, nonce";
    let now = i64::try_from(now.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MIN);
    link.fetch(fresh, vec![now.into()], |row| keep(&mut found.nonces, nonce(&row))).await?;
    link.fetch("SELECT key, value FROM setting ORDER BY key", vec![], |row| {
        found.settings.push((row.get(0)?, row.get(1)?));
        Ok(())
    })
    .await?;
    Ok(found)
}

pub(crate) fn select(table: &Table, rest: &str) -> String {
    format!("SELECT {} FROM {} {rest}", table.columns.join(", "), table.name)
}

pub(crate) fn keep<T>(list: &mut Vec<T>, record: Result<T, Error>) -> Result<(), Error> {
    list.push(record?);
    Ok(())
}

fn session(row: &Row) -> Result<SessionRecord, Error> {
    Ok(SessionRecord {
        id: SessionId::from_bytes(array(row, 0)?),
        agent_id: parsed(row, 1, AgentId::parse)?,
        agent_name: parsed(row, 2, AgentName::parse)?,
        scope: parsed(row, 3, Scope::parse)?,
        sealed_keys: row.get(4)?,
        confirmation_digest: array(row, 5)?,
        created_at: moment(row.get(6)?)?,
        last_used_at: moment(row.get(7)?)?,
        expires_at: moment(row.get(8)?)?,
        uses: count(row.get(9)?)?,
        ended: ended(row, 10)?,
    })
}

fn request(row: &Row) -> Result<RequestRecord, Error> {
    let state: String = row.get(9)?;
    let state = match state.as_str() {
        "pending" => StoredRequestState::Pending,
        "released" => StoredRequestState::Released { at: moment(row.get(10)?)? },
        "ended" => StoredRequestState::Ended {
            verdict: verdict(row, 11)?,
            reason: row.get(12)?,
            by: decided_by(row, 13)?,
        },
        _ => return Err(damaged("a request's state")),
    };
    Ok(RequestRecord {
        session_id: SessionId::from_bytes(array(row, 0)?),
        id: RequestId::from_bytes(array(row, 1)?),
        digest: array(row, 2)?,
        domain: parsed(row, 3, Domain::parse)?,
        reason: row.get(4)?,
        fields: fields(row, 5)?,
        item_id: row.get(6)?,
        created_at: moment(row.get(7)?)?,
        expires_at: moment(row.get(8)?)?,
        state,
    })
}

fn grant(row: &Row) -> Result<GrantRecord, Error> {
    Ok(GrantRecord {
        id: GrantId::from_bytes(array(row, 0)?),
        session_id: SessionId::from_bytes(array(row, 1)?),
        domain: parsed(row, 2, Domain::parse)?,
        fields: fields(row, 3)?,
        item_id: row.get(4)?,
        created_at: moment(row.get(5)?)?,
        expires_at: row.get::<Option<i64>>(6)?.map(moment).transpose()?,
        max_uses: row.get::<Option<i64>>(7)?.map(count).transpose()?,
        uses: count(row.get(8)?)?,
        ended: ended(row, 9)?,
    })
}

fn nonce(row: &Row) -> Result<NonceRecord, Error> {
    Ok(NonceRecord {
        session_id: SessionId::from_bytes(array(row, 0)?),
        nonce: Nonce::from_bytes(array(row, 1)?),
        expires_at: moment(row.get(2)?)?,
    })
}

/// A column of exactly `N` bytes.
pub(crate) fn array<const N: usize>(row: &Row, column: usize) -> Result<[u8; N], Error> {
    row.get::<Vec<u8>>(column)?.try_into().map_err(|_| damaged("an id or a hash"))
}

fn parsed<T, E>(row: &Row, column: usize, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, Error> {
    parse(&row.get::<String>(column)?).map_err(|_| damaged("a name, a domain or a scope"))
}

fn fields(row: &Row, column: usize) -> Result<Vec<Field>, Error> {
    serde_json::from_str(&row.get::<String>(column)?).map_err(|_| damaged("a list of fields"))
}

fn verdict(row: &Row, column: usize) -> Result<Verdict, Error> {
    let word: String = row.get(column)?;
    let word: value::StrDeserializer<'_, value::Error> = word.as_str().into_deserializer();
    Verdict::deserialize(word).map_err(|_| damaged("a verdict"))
}

/// Rows of older versions do not say.
fn decided_by(row: &Row, column: usize) -> Result<Actor, Error> {
    let word: Option<String> = row.get(column)?;
    word.map_or(Ok(Actor::System), |word| Actor::parse(&word).ok_or_else(|| damaged("who decided")))
}

fn ended(row: &Row, column: usize) -> Result<Option<Ended>, Error> {
    let (at, why): (Option<i64>, Option<String>) = (row.get(column)?, row.get(column + 1)?);
    at.map(|at| Ok(Ended { at: moment(at)?, why: why.unwrap_or_default() })).transpose()
}

pub(crate) fn moment(micros: i64) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).map_err(|_| damaged("a time"))
}

pub(crate) fn count(n: i64) -> Result<u64, Error> {
    u64::try_from(n).map_err(|_| damaged("a count"))
}

pub(crate) fn damaged(what: &str) -> Error {
    Error::Damaged(format!("{what} cannot be read"))
}
