//! Persistence of the broker's records: SQLite in a file, or PostgreSQL by URL.
//!
//! One task writes. Batches that are submitted while a transaction runs share the next one, folded per
//! row, so a busy store needs few statements. The audit log is numbered and chained as it is committed.
//! Rules live in the broker; this crate keeps what it is told.

mod accounts;
mod approval;
mod copy;
mod database;
mod devices;
mod direct;
mod error;
mod open;
mod plan;
mod statement;
mod store;
mod writer;

pub use accounts::{Ask, Done, Facts, KeyRow, Touch};
pub use copy::copy_sqlite;
pub use error::Error;
pub use open::Durability;
pub use store::{Commit, Committed, MAX_WAITING, Store};
