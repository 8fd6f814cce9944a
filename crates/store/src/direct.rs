//! SQLite without a queue in between: the writer's own thread steps its statements one row at a time.
//!
//! Through sqlx each statement crosses to a thread and back, nine times a transaction, and a statement of many rows
//! is parsed, planned and bound anew for each size. Here a transaction is plain calls, each statement is prepared
//! once, and a row costs its binding and its step.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql};

use durward_broker::approval::ChainHead;

use crate::Error;
use crate::database::Value;
use crate::open::{BUSY_TIMEOUT, Durability, SQLITE_PRAGMAS};
use crate::statement::{Statements, Table, Verb};

/// A connection that the calling thread waits for.
pub(crate) struct Direct {
    connection: Connection,
}

impl Direct {
    /// Opens a file that the migrations have been through.
    pub(crate) fn open(path: &std::path::Path, durability: Durability) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "synchronous", durability.synchronous())?;
        for (name, value) in SQLITE_PRAGMAS {
            connection.pragma_update(None, name, value)?;
        }
        Ok(Self { connection })
    }

    /// Everything `work` does in one transaction, or nothing.
    pub(crate) fn transact<T>(&self, work: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, Error> {
        self.run("BEGIN IMMEDIATE", &[])?;
        let done = work(self).and_then(|done| self.run("COMMIT", &[]).map(|()| done));
        // A failed statement may have ended the transaction by itself.
        if done.is_err() && !self.connection.is_autocommit() && self.run("ROLLBACK", &[]).is_err() {
            tracing::debug!("nothing to roll back");
        }
        done
    }

    /// One statement.
    pub(crate) fn run(&self, sql: &str, values: &[Value]) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        bind(&mut statement, values)?;
        statement.raw_execute()?;
        Ok(())
    }

    /// `verb` with each of the rows.
    pub(crate) fn run_rows(
        &self,
        statements: &mut Statements,
        table: &'static Table,
        verb: Verb,
        rows: &[Vec<Value>],
    ) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(&statements.text(table, verb, 1))?;
        for row in rows {
            bind(&mut statement, row)?;
            statement.raw_execute()?;
        }
        Ok(())
    }

    /// The end of the log as stored.
    pub(crate) fn head(&self) -> Result<ChainHead, Error> {
        let mut statement = self.connection.prepare_cached("SELECT n, hash FROM audit_head")?;
        let (n, hash) = statement.query_row((), |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
        let n = u64::try_from(n).map_err(|_| Error::Damaged("a count cannot be read".into()))?;
        Ok(ChainHead { n, hash })
    }
}

fn bind(statement: &mut rusqlite::Statement<'_>, values: &[Value]) -> Result<(), Error> {
    for (place, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(place + 1, value)?;
    }
    Ok(())
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Int(Some(value)) => ValueRef::Integer(*value),
            Self::Text(Some(value)) => ValueRef::Text(value.as_bytes()),
            Self::Blob(Some(value)) => ValueRef::Blob(value),
            Self::Int(None) | Self::Text(None) | Self::Blob(None) => ValueRef::Null,
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}
