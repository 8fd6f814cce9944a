//! The audit log: appending under the head's lock, reading, verifying.

use durward_broker::approval::{AuditEntry, AuditRecord, ChainError, ChainHead};

use super::load::{array, count};
use crate::Error;
use crate::database::{Dialect, Link, Row, Value};

const HEAD: &str = "SELECT n, hash FROM audit_head";

/// Moves the stored head.
pub(crate) const SET_HEAD: &str = "UPDATE audit_head SET n = $1, hash = $2";

/// The head as stored.
pub(crate) async fn head(link: &mut Link<'_>) -> Result<ChainHead, Error> {
    read_head(link, HEAD).await
}

/// The head, locked until the transaction ends: on a shared database nobody else appends meanwhile.
pub(crate) async fn lock_head(link: &mut Link<'_>, dialect: Dialect) -> Result<ChainHead, Error> {
    match dialect {
        Dialect::Sqlite => head(link).await, // BEGIN IMMEDIATE holds the one write lock there is
        Dialect::Postgres => read_head(link, "SELECT n, hash FROM audit_head FOR UPDATE").await,
    }
}

async fn read_head(link: &mut Link<'_>, sql: &'static str) -> Result<ChainHead, Error> {
    let mut found = None;
    link.fetch(sql, vec![], |row| {
        found = Some(ChainHead { n: count(row.get(0)?)?, hash: array(&row, 1)? });
        Ok(())
    })
    .await?;
    found.ok_or_else(|| Error::Damaged("the head of the audit log is missing".into()))
}

/// Moves the stored head.
pub(crate) async fn set_head(link: &mut Link<'_>, head: &ChainHead) -> Result<(), Error> {
    link.execute(SET_HEAD, head_values(head)).await?;
    Ok(())
}

/// What [`SET_HEAD`] takes.
pub(crate) fn head_values(head: &ChainHead) -> Vec<Value> {
    vec![number(head.n).into(), head.hash.as_slice().into()]
}

/// The row of the record that follows, and the head after it.
pub(crate) fn link_entry(head: &ChainHead, entry: &AuditEntry) -> Result<(Vec<Value>, ChainHead), Error> {
    let (record, next) =
        head.link(entry).map_err(|_| Error::Unstorable("an audit entry", "it is no JSON"))?;
    let hash = record.hash.as_slice().into();
    Ok((vec![number(record.n).into(), record.body.into(), hash], next))
}

/// Whether the record with this number has this hash.
pub(crate) async fn contains(link: &mut Link<'_>, head: &ChainHead) -> Result<bool, Error> {
    let mut found = false;
    link.fetch("SELECT hash FROM audit WHERE n = $1", vec![number(head.n).into()], |row| {
        found = array::<32>(&row, 0)? == head.hash;
        Ok(())
    })
    .await?;
    Ok(found)
}

/// At most `limit` records after `after`, ascending.
pub(crate) async fn read(link: &mut Link<'_>, after: u64, limit: u32) -> Result<Vec<AuditRecord>, Error> {
    let sql = "SELECT n, body, hash FROM audit WHERE n > $1 ORDER BY n LIMIT $2";
    collect(link, sql, vec![number(after).into(), i64::from(limit).into()]).await
}

/// The last `limit` records, ascending.
pub(crate) async fn tail(link: &mut Link<'_>, limit: u32) -> Result<Vec<AuditRecord>, Error> {
    let sql = "SELECT n, body, hash FROM audit ORDER BY n DESC LIMIT $1";
    let mut records = collect(link, sql, vec![i64::from(limit).into()]).await?;
    records.reverse();
    Ok(records)
}

/// Follows `records` from `head`; passing `end` (the stored head), the hashes must agree.
pub(crate) fn follow(
    mut head: ChainHead,
    records: &[AuditRecord],
    end: &ChainHead,
) -> Result<ChainHead, ChainError> {
    for record in records {
        head = head.follow(record)?;
        if head.n == end.n && head.hash != end.hash {
            return Err(ChainError::Changed { n: head.n });
        }
    }
    Ok(head)
}

async fn collect(
    link: &mut Link<'_>,
    sql: &'static str,
    values: Vec<Value>,
) -> Result<Vec<AuditRecord>, Error> {
    let mut records = Vec::new();
    link.fetch(sql, values, |row| {
        records.push(record(&row)?);
        Ok(())
    })
    .await?;
    Ok(records)
}

fn record(row: &Row) -> Result<AuditRecord, Error> {
    Ok(AuditRecord { n: count(row.get(0)?)?, body: row.get(1)?, hash: array(row, 2)? })
}

/// Numbers past `i64::MAX` do not exist; asking for what follows one finds nothing.
fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
