//! What can go wrong, in words a person can act on.

use sqlx::migrate::MigrateError;

/// Why the store did not do what it was asked.
///
/// Cloned to everyone who waited for the same transaction. Texts hold no values of rows, no address
/// and no password of a database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else holds the database.
    #[error(
        "the database is in use by another process: stop it or wait until it has finished, then try again"
    )]
    Busy,
    /// It cannot be written.
    #[error(
        "the database cannot be written: check the permissions of its file and folder and that the disk is not mounted read-only"
    )]
    ReadOnly,
    /// No room left.
    #[error("the disk of the database is full: nothing was written; free some space, and writing goes on")]
    Full,
    /// The database server does not answer or refused the connection.
    #[error("the database server cannot be reached ({0}): check that it runs and that the URL is right")]
    Unreachable(String),
    /// The content makes no sense.
    #[error("the database is damaged ({0}): restore a backup")]
    Damaged(String),
    /// The database was written by a newer version.
    #[error("the database has schema {found}, this version knows up to {known}: update Durward")]
    Version {
        /// The newest migration found.
        found: i64,
        /// The newest migration of this version.
        known: i64,
    },
    /// The database URL is not one.
    #[error("the database URL is not valid: write sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE")]
    Url,
    /// A value does not fit into the database; only the batch with it failed.
    #[error("{0} cannot be stored: {1}")]
    Unstorable(&'static str, &'static str),
    /// A guarded write of a decision hit no row: it was rolled back as a whole.
    #[error("nothing was changed: {0}")]
    Conflict(&'static str),
    /// More batches wait than the store holds.
    #[error("too many writes are waiting for the database: try again in a moment")]
    Overloaded,
    /// The writer is gone: the store was closed, or its runtime has ended.
    #[error("the store is closed: start it again")]
    Stopped,
    /// Anything else.
    #[error("the database reported an error: {0}")]
    Other(String),
}

impl Error {
    /// Whether the database as a whole is in trouble, so that no other batch would fare better.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::ReadOnly
                | Self::Full
                | Self::Unreachable(_)
                | Self::Damaged(_)
                | Self::Stopped
        )
    }

    /// What opening or creating a file ran into.
    pub(crate) fn from_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        match error.kind() {
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Self::ReadOnly,
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full,
            kind => Self::Other(format!("the database file cannot be opened: {kind}")),
        }
    }

    /// What running the migrations ran into; `known` is the newest of ours.
    pub(crate) fn from_migration(error: MigrateError, known: i64) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            MigrateError::VersionMissing(found) if found > known => Self::Version { found, known },
            MigrateError::VersionMissing(n) | MigrateError::VersionMismatch(n) | MigrateError::Dirty(n) => {
                Self::Damaged(format!("migration {n} is not the one this version knows"))
            }
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                let message = error.message();
                if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                    from_sqlite(code.parse().unwrap_or(1), message)
                } else {
                    from_postgres(&code, message)
                }
            }
            sqlx::Error::Configuration(_) => Self::Url,
            sqlx::Error::Io(error) => Self::Unreachable(error.kind().to_string()),
            sqlx::Error::Tls(_) => Self::Unreachable("no secure connection".into()),
            sqlx::Error::PoolTimedOut => Self::Unreachable("no connection became free in time".into()),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Stopped,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::Damaged("a column has the wrong type".into())
            }
            sqlx::Error::RowNotFound => Self::Damaged("a row is missing".into()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(failure, message) => {
                let message = message.unwrap_or_else(|| failure.to_string());
                from_sqlite(failure.extended_code, &message)
            }
            rusqlite::Error::QueryReturnedNoRows => Self::Damaged("a row is missing".into()),
            rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..) => {
                Self::Damaged("a column has the wrong type".into())
            }
            other => Self::Other(other.to_string()),
        }
    }
}

/// Result codes of <https://sqlite.org/rescode.html>, extended ones included.
fn from_sqlite(code: i32, message: &str) -> Error {
    const IOERR_SHMSIZE: i32 = 0x130a;
    match (code, code & 0xff) {
        (IOERR_SHMSIZE, _) | (_, 13) => Error::Full,
        (_, 5 | 6) => Error::Busy,
        (_, 3 | 8 | 14) => Error::ReadOnly,
        (_, 11 | 26) => Error::Damaged(message.to_owned()),
        _ => Error::Other(format!("{message} (SQLite {code})")),
    }
}

/// Codes of <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn from_postgres(code: &str, message: &str) -> Error {
    match code {
        "53100" => Error::Full,
        "25006" => Error::ReadOnly,
        "40001" | "40P01" | "53300" | "55P03" | "57014" => Error::Busy,
        "57P01" | "57P02" | "57P03" => Error::Unreachable(message.to_owned()),
        "XX001" | "XX002" => Error::Damaged(message.to_owned()),
        _ if code.starts_with("08") || code.starts_with("28") => Error::Unreachable(message.to_owned()),
        _ => Error::Other(format!("{message} (PostgreSQL {code})")),
    }
}
