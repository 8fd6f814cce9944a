//! What goes by itself: expired rows, and counters of names that nobody has.

use durward_broker::accounts::{CHANGE_LIMIT, KNOCK_LIMIT, MEMORY, SUCCESS_MEMORY, TOTAL_WINDOW};
use time::OffsetDateTime;

use crate::Error;
use crate::database::{Dialect, Link, Value};

pub(super) use crate::approval::micros;

/// Deletes what says nothing any more at `now`.
pub(super) async fn sweep(link: &mut Link<'_>, now: OffsetDateTime) -> Result<(), Error> {
    let ago = |length| micros(now.saturating_sub(length)).map(Value::from);
    let at = || micros(now).map(Value::from);
    let statements = [
        ("DELETE FROM challenges WHERE expires_at <= $1", vec![at()?]),
        ("DELETE FROM opaque_logins WHERE expires_at <= $1", vec![at()?]),
        (
            "DELETE FROM rates WHERE window_start <= CASE WHEN substr(key, 1, 6) = 'knock:' THEN $1 ELSE $2 END",
            vec![ago(KNOCK_LIMIT.window)?, ago(CHANGE_LIMIT.window)?],
        ),
        (
            "DELETE FROM ladder_total WHERE window_start IS NULL OR window_start <= $1",
            vec![ago(TOTAL_WINDOW)?],
        ),
        (
            "DELETE FROM ladder WHERE COALESCE(last_failure, 0) <= $1 AND COALESCE(locked_until, 0) <= $1 AND COALESCE(last_success, 0) <= $2",
            vec![ago(MEMORY)?, ago(SUCCESS_MEMORY)?],
        ),
    ];
    for (sql, values) in statements {
        link.execute(sql, values).await?;
    }
    Ok(())
}

/// Deletes so many open challenges, spent ones first, then those with most younger ones of their own origin.
pub(super) async fn evict_challenges(
    link: &mut Link<'_>,
    dialect: Dialect,
    count: u64,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let sql = match dialect {
        Dialect::Sqlite => {
            "DELETE FROM challenges WHERE challenge IN (SELECT challenge FROM (SELECT challenge, used, created_at, row_number() OVER (PARTITION BY used, origin ORDER BY created_at DESC) AS nth FROM challenges WHERE expires_at > $1) AS ranked ORDER BY used DESC, nth DESC, created_at LIMIT $2)"
        }
        // One that somebody is about to spend, or to evict, is left to him.
        Dialect::Postgres => {
            "DELETE FROM challenges WHERE challenge IN (SELECT challenge FROM challenges WHERE challenge IN (SELECT challenge FROM (SELECT challenge, used, created_at, row_number() OVER (PARTITION BY used, origin ORDER BY created_at DESC) AS nth FROM challenges WHERE expires_at > $1) AS ranked ORDER BY used DESC, nth DESC, created_at LIMIT $2) FOR UPDATE SKIP LOCKED)"
        }
    };
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    link.execute(sql, vec![micros(now)?.into(), count.into()]).await?;
    Ok(())
}

/// Keeps the `max` ladder rows of unknown names that were written last.
pub(super) async fn evict_unknown(link: &mut Link<'_>, dialect: Dialect, max: u64) -> Result<(), Error> {
    let max = || vec![Value::from(i64::try_from(max).unwrap_or(i64::MAX))];
    let [own, total] = match dialect {
        Dialect::Sqlite => [
            "DELETE FROM ladder WHERE (scope, subject, address) IN (SELECT scope, subject, address FROM ladder WHERE known = 0 ORDER BY written_at DESC LIMIT -1 OFFSET $1)",
            "DELETE FROM ladder_total WHERE (scope, subject) IN (SELECT scope, subject FROM ladder_total WHERE known = 0 ORDER BY written_at DESC LIMIT -1 OFFSET $1)",
        ],
        // A row that somebody holds is in use, and evicted another time.
        Dialect::Postgres => [
            "DELETE FROM ladder WHERE (scope, subject, address) IN (SELECT scope, subject, address FROM ladder WHERE known = 0 ORDER BY written_at DESC OFFSET $1 FOR UPDATE SKIP LOCKED)",
            "DELETE FROM ladder_total WHERE (scope, subject) IN (SELECT scope, subject FROM ladder_total WHERE known = 0 ORDER BY written_at DESC OFFSET $1 FOR UPDATE SKIP LOCKED)",
        ],
    };
    link.execute(own, max()).await?;
    link.execute(total, max()).await?;
    Ok(())
}
