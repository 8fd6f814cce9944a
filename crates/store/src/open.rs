//! Opening: files with the right modes, connections, migrations.

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::Error;
use crate::database::{Connection, Dialect, Readers, Target};

/// How long a statement waits for another process to let go of the database.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a reader waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that read, beside the one that writes.
const MAX_READERS: u32 = 4;

/// How both connections that write are set up.
pub(crate) const SQLITE_PRAGMAS: [(&str, &str); 6] = [
    ("foreign_keys", "ON"),
    // Pages of 4 KiB in the write-ahead log before it is copied into the database.
    ("wal_autocheckpoint", "4000"),
    ("journal_size_limit", "67108864"),
    // KiB of pages kept in memory (negative by SQLite's convention): a page of an index that is written again and
    // again need not be read again each time.
    ("cache_size", "-32768"),
    // Ended sessions' sealed keys, where it costs no extra writing.
    ("secure_delete", "FAST"),
    ("trusted_schema", "OFF"),
];

/// What the server may lose when the power goes. A killed process loses nothing either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The last moments. SQLite: `synchronous = NORMAL`; PostgreSQL: as its server is configured.
    #[default]
    Normal,
    /// Nothing that was answered. SQLite: `synchronous = FULL`; PostgreSQL: `synchronous_commit = on`.
    Full,
}

impl Durability {
    /// SQLite's word.
    pub(crate) fn synchronous(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
        }
    }
}

/// Migrations in order: number, name, SQLite's text, PostgreSQL's text. A released one never changes.
const MIGRATIONS: &[(i64, &str, &str, &str)] = &[
    (
        1,
        "approval",
        include_str!("../migrations/sqlite/0001_approval.sql"),
        include_str!("../migrations/postgres/0001_approval.sql"),
    ),
    (
        2,
        "accounts",
        include_str!("../migrations/sqlite/0002_accounts.sql"),
        include_str!("../migrations/postgres/0002_accounts.sql"),
    ),
    (
        3,
        "devices",
        include_str!("../migrations/sqlite/0003_devices.sql"),
        include_str!("../migrations/postgres/0003_devices.sql"),
    ),
    (
        10,
        "decided_by",
        include_str!("../migrations/sqlite/0010_decided_by.sql"),
        include_str!("../migrations/postgres/0010_decided_by.sql"),
    ),
    (
        15,
        "device_approval",
        include_str!("../migrations/sqlite/0015_device_approval.sql"),
        include_str!("../migrations/postgres/0015_device_approval.sql"),
    ),
    (
        20,
        "challenge_origin",
        include_str!("../migrations/sqlite/0020_challenge_origin.sql"),
        include_str!("../migrations/postgres/0020_challenge_origin.sql"),
    ),
];

pub(crate) async fn open_sqlite(
    path: &Path,
    durability: Durability,
) -> Result<(Target, Connection, Readers), Error> {
    prepare_file(path)?;
    open(sqlite_target(SqliteConnectOptions::new().filename(path), durability)).await
}

pub(crate) async fn open_url(
    url: &str,
    durability: Durability,
) -> Result<(Target, Connection, Readers), Error> {
    if url.starts_with("sqlite:") {
        let options = SqliteConnectOptions::from_str(url).map_err(|_| Error::Url)?;
        if url.contains(":memory:") || url.contains("mode=") {
            return Err(Error::Url); // neither lasts, nor could be written
        }
        prepare_file(options.get_filename())?;
        return open(sqlite_target(options, durability)).await;
    }
    if !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
        return Err(Error::Url);
    }
    let mut options = PgConnectOptions::from_str(url).map_err(|_| Error::Url)?;
    options = options.statement_cache_capacity(256).disable_statement_logging();
    if !url.contains("application_name=") {
        options = options.application_name("durward");
    }
    if durability == Durability::Full {
        options = options.options([("synchronous_commit", "on")]);
    }
    open(Target::Postgres(Box::new(options))).await
}

fn sqlite_target(options: SqliteConnectOptions, durability: Durability) -> Target {
    let synchronous = match durability {
        Durability::Normal => SqliteSynchronous::Normal,
        Durability::Full => SqliteSynchronous::Full,
    };
    let options = options
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(256)
        .disable_statement_logging();
    let options = SQLITE_PRAGMAS.iter().fold(options, |options, (name, value)| options.pragma(*name, *value));
    Target::Sqlite(Box::new(options), durability)
}

async fn open(target: Target) -> Result<(Target, Connection, Readers), Error> {
    let mut connection = tokio::time::timeout(ACQUIRE_TIMEOUT, target.connect())
        .await
        .unwrap_or_else(|_| Err(Error::Unreachable("no answer within 10 seconds".into())))?;
    migrate(&mut connection, target.dialect()).await?;
    let readers = match &target {
        Target::Sqlite(options, _) => Readers::Sqlite(
            SqlitePoolOptions::new()
                .max_connections(MAX_READERS)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .connect_lazy_with(
                    SqliteConnectOptions::clone(options)
                        .pragma("query_only", "ON")
                        .pragma("cache_size", "-2000"),
                ),
        ),
        Target::Postgres(options) => Readers::Postgres(
            PgPoolOptions::new()
                .max_connections(MAX_READERS)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .connect_lazy_with(PgConnectOptions::clone(options)),
        ),
    };
    Ok((target, connection, readers))
}

async fn migrate(connection: &mut Connection, dialect: Dialect) -> Result<(), Error> {
    let migrations = MIGRATIONS.iter().map(|&(version, name, sqlite, postgres)| {
        let sql = match dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        };
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    let known = MIGRATIONS.last().map_or(0, |migration| migration.0);
    match connection {
        Connection::Sqlite(connection) => migrator.run(connection).await,
        Connection::Postgres(connection) => migrator.run(connection).await,
    }
    .map_err(|error| Error::from_migration(error, known))
}

/// Makes the file, and its folder where there is none, readable by nobody else, before SQLite writes to it.
/// SQLite gives its `-wal` and `-shm` files the mode of the database.
fn prepare_file(path: &Path) -> Result<(), Error> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder).map_err(|error| Error::from_io(&error))?;
    }
    make_file(path).map_err(|error| Error::from_io(&error))
}

#[cfg(unix)]
fn make_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if folder.is_dir() {
        return Ok(()); // somebody's choice, and perhaps not ours alone
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(unix)]
fn make_file(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let file = std::fs::OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder) // the profile's own access list protects it
}

#[cfg(not(unix))]
fn make_file(path: &Path) -> std::io::Result<()> {
    std::fs::OpenOptions::new().create(true).append(true).open(path).map(drop)
}
