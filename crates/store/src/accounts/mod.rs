//! Accounts: facts and writes of `durward_broker::accounts` on the two databases.
//!
//! **One decision is one transaction**: [`Store::decide`](crate::Store::decide) locks and reads what an [`Ask`] names,
//! lets the caller decide on the [`Facts`], applies the writes, appends the audit records, commits, and only then
//! hands out the outcome. Nothing is decided twice: a transaction that fails after its decision is an error.
//!
//! Locks. SQLite: `BEGIN IMMEDIATE` holds the only one; decisions that wait together share a transaction, each in a
//! savepoint of its own. PostgreSQL: the account's row (`FOR UPDATE`), then advisory locks of the transaction for
//! the counters of a subject, a rate, a stem of device ids, then the rows of challenge, login and key, and the head
//! of the audit log last; always in this order, so that no two servers wait for each other.
//!
//! Keys. A process that owns its SQLite file keeps the live ones in memory, changed after the commit and before the
//! answer. On a shared database every check is one statement.

mod apply;
mod ask;
mod decide;
mod keys;
mod read;
mod row;
mod sweep;
mod touch;

pub use ask::{Ask, Facts};
pub use decide::Done;
pub use keys::KeyRow;
pub use touch::Touch;

pub(crate) use decide::{AccountJob, run_shared, run_single};
pub(crate) use keys::KeyMap;
