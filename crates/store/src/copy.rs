//! A copy of a database that may be in use.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::Error;

/// Writes the SQLite database at `from`, as of one moment, to the new file `to`, whole and without a write-ahead
/// log. The process that owns the database may go on writing. The copy has the mode that the umask leaves:
/// choose a private folder.
pub async fn copy_sqlite(from: &Path, to: &Path) -> Result<(), Error> {
    let options = SqliteConnectOptions::new()
        .filename(from)
        .create_if_missing(false)
        .busy_timeout(Duration::from_secs(10))
        .disable_statement_logging();
    let target = to.to_str().ok_or(Error::Url)?.to_owned();
    let mut connection = options.connect().await?;
    sqlx::query("VACUUM INTO ?").bind(target).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
