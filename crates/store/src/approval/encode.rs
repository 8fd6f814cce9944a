//! From the broker's writes to rows.

use durward_broker::approval::{Ended, GrantRecord, RequestRecord, SessionRecord, StoredRequestState, Write};
use durward_protocol::Field;
use time::OffsetDateTime;

use super::{GRANT, NONCE, REQUEST, SESSION, SESSION_LAST_USED, SETTING};
use crate::Error;
use crate::database::Value;
use crate::plan::Op;

/// What the writes of one batch do, in their order.
pub(crate) fn encode(writes: &[Write]) -> Result<Vec<Op>, Error> {
    writes.iter().map(encode_one).collect()
}

fn encode_one(write: &Write) -> Result<Op, Error> {
    Ok(match write {
        Write::Session(session) => {
            Op::Put { table: &SESSION, key: session.id.as_bytes().to_vec(), row: session_row(session)? }
        }
        Write::SessionUsed { id, last_used_at } => Op::Raise {
            table: &SESSION,
            column: SESSION_LAST_USED,
            key: id.as_bytes().to_vec(),
            value: micros(*last_used_at)?,
        },
        Write::Request(request) => Op::Put {
            table: &REQUEST,
            key: [request.session_id.as_bytes().as_slice(), request.id.as_bytes()].concat(),
            row: request_row(request)?,
        },
        Write::Grant(grant) => {
            Op::Put { table: &GRANT, key: grant.id.as_bytes().to_vec(), row: grant_row(grant)? }
        }
        Write::Nonce(nonce) => {
            let expires_at = micros(nonce.expires_at)?;
            let (session, value) = (nonce.session_id.as_bytes(), nonce.nonce.as_bytes());
            Op::Put {
                table: &NONCE,
                // Every one is a row, in the order in which they expire.
                key: [&expires_at.wrapping_sub(i64::MIN).to_be_bytes(), session.as_slice(), value].concat(),
                row: vec![session.as_slice().into(), value.as_slice().into(), expires_at.into()],
            }
        }
        Write::Audit(entry) => Op::Audit(entry.clone()),
        Write::Setting { key, value: Some(value) } => Op::Put {
            table: &SETTING,
            key: key.as_bytes().to_vec(),
            row: vec![text("setting", key)?, text("setting", value)?],
        },
        Write::Setting { key, value: None } => {
            text("setting", key)?;
            Op::Delete {
                table: &SETTING,
                key: key.as_bytes().to_vec(),
                sql: "DELETE FROM setting WHERE key = $1",
                values: vec![text("setting", key)?],
            }
        }
        Write::Device(write) => crate::devices::encode(write)?,
        Write::Sweep { requests_before, nonces_before, ended_before } => {
            let ended = micros(*ended_before)?;
            Op::Barrier(vec![
                (
                    "DELETE FROM request WHERE expires_at < $1 AND state <> 'pending'",
                    vec![micros(*requests_before)?.into()],
                ),
                ("DELETE FROM nonce WHERE expires_at < $1", vec![micros(*nonces_before)?.into()]),
                ("DELETE FROM grant_ WHERE ended_at IS NOT NULL AND ended_at < $1", vec![ended.into()]),
                ("DELETE FROM session WHERE ended_at IS NOT NULL AND ended_at < $1", vec![ended.into()]),
            ])
        }
    })
}

fn session_row(session: &SessionRecord) -> Result<Vec<Value>, Error> {
    let (ended_at, ended_why) = ended(session.ended.as_ref())?;
    Ok(vec![
        session.id.as_bytes().as_slice().into(),
        session.agent_id.as_str().to_owned().into(),
        text("an agent's name", session.agent_name.as_str())?,
        session.scope.as_str().to_owned().into(),
        session.sealed_keys.as_slice().into(),
        session.confirmation_digest.as_slice().into(),
        micros(session.created_at)?.into(),
        micros(session.last_used_at)?.into(),
        micros(session.expires_at)?.into(),
        count(session.uses)?.into(),
        ended_at,
        ended_why,
    ])
}

fn request_row(request: &RequestRecord) -> Result<Vec<Value>, Error> {
    let mut released = Value::Int(None);
    let (mut verdict, mut verdict_reason) = (Value::Text(None), Value::Text(None));
    let mut decided_by = Value::Text(None);
    let state = match &request.state {
        StoredRequestState::Pending => "pending",
        StoredRequestState::Released { at } => {
            released = micros(*at)?.into();
            "released"
        }
        StoredRequestState::Ended { verdict: word, reason, by } => {
            decided_by = by.as_str().to_owned().into();
            verdict = word.as_str().to_owned().into();
            verdict_reason = optional_text("a decision's reason", reason.as_deref())?;
            "ended"
        }
    };
    Ok(vec![
        request.session_id.as_bytes().as_slice().into(),
        request.id.as_bytes().as_slice().into(),
        request.digest.as_slice().into(),
        request.domain.as_str().to_owned().into(),
        text("a request's reason", &request.reason)?,
        fields(&request.fields)?,
        optional_text("an item's id", request.item_id.as_deref())?,
        micros(request.created_at)?.into(),
        micros(request.expires_at)?.into(),
        state.to_owned().into(),
        released,
        verdict,
        verdict_reason,
        decided_by,
    ])
}

fn grant_row(grant: &GrantRecord) -> Result<Vec<Value>, Error> {
    let (ended_at, ended_why) = ended(grant.ended.as_ref())?;
    Ok(vec![
        grant.id.as_bytes().as_slice().into(),
        grant.session_id.as_bytes().as_slice().into(),
        grant.domain.as_str().to_owned().into(),
        fields(&grant.fields)?,
        optional_text("an item's id", grant.item_id.as_deref())?,
        micros(grant.created_at)?.into(),
        Value::Int(grant.expires_at.map(micros).transpose()?),
        Value::Int(grant.max_uses.map(count).transpose()?),
        count(grant.uses)?.into(),
        ended_at,
        ended_why,
    ])
}

fn ended(ended: Option<&Ended>) -> Result<(Value, Value), Error> {
    let at = ended.map(|ended| micros(ended.at)).transpose()?;
    Ok((Value::Int(at), optional_text("why something ended", ended.map(|ended| ended.why.as_str()))?))
}

/// Microseconds since 1970, UTC; what is finer is cut off.
pub(crate) fn micros(at: OffsetDateTime) -> Result<i64, Error> {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000))
        .map_err(|_| Error::Unstorable("a time", "it is too far away"))
}

pub(crate) fn count(n: u64) -> Result<i64, Error> {
    i64::try_from(n).map_err(|_| Error::Unstorable("a count", "it is too large"))
}

fn fields(fields: &[Field]) -> Result<Value, Error> {
    let json = serde_json::to_string(fields).map_err(|_| Error::Unstorable("a field", "it is no JSON"))?;
    Ok(json.into())
}

/// PostgreSQL's TEXT has no NUL, so no database here gets one.
pub(crate) fn text(what: &'static str, text: &str) -> Result<Value, Error> {
    if text.contains('\0') {
        return Err(Error::Unstorable(what, "it contains a NUL character"));
    }
    Ok(text.to_owned().into())
}

pub(crate) fn optional_text(what: &'static str, value: Option<&str>) -> Result<Value, Error> {
    value.map_or(Ok(Value::Text(None)), |value| text(what, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_of_last_use() {
        assert_eq!(SESSION.columns.get(SESSION_LAST_USED), Some(&"last_used_at"));
    }

    #[test]
    fn times_are_cut_to_microseconds() {
        let at = OffsetDateTime::UNIX_EPOCH + time::Duration::nanoseconds(1_999);
        assert_eq!(micros(at), Ok(1));
        assert_eq!(micros(OffsetDateTime::UNIX_EPOCH - time::Duration::nanoseconds(1)), Ok(-1));
    }
}
