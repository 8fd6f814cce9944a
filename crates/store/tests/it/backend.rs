//! A fresh database for each test, on either side.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use durward_store::{Durability, Error, Store};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

/// A database of one test's own, gone when dropped.
pub(crate) enum Backend {
    Sqlite { folder: TempDir },
    Postgres { server: String, schema: String },
}

impl Backend {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn postgres() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = server().await;
        let schema = format!("durward_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&server).await.unwrap();
        let make = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
        connection.execute(AssertSqlSafe(make)).await.unwrap();
        connection.close().await.unwrap();
        Self::Postgres { server, schema }
    }

    pub(crate) fn file(&self) -> PathBuf {
        match self {
            Self::Sqlite { folder } => folder.path().join("durward.db"),
            Self::Postgres { .. } => panic!("no file"),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite { .. } => format!("sqlite:{}", self.file().display()),
            Self::Postgres { server, schema } => {
                let mark = if server.contains('?') { '&' } else { '?' };
                format!("{server}{mark}options[search_path]={schema}&application_name={schema}")
            }
        }
    }

    pub(crate) async fn try_open(&self) -> Result<Store, Error> {
        Store::open_url(&self.url(), Durability::Normal).await
    }

    pub(crate) async fn open(&self) -> Store {
        self.try_open().await.unwrap()
    }

    /// Runs SQL past the store, on a connection of its own.
    pub(crate) async fn raw(&self, sql: &str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite { .. } => {
                let mut connection = SqliteConnection::connect(&self.url()).await?;
                connection.execute(AssertSqlSafe(sql.to_owned())).await?;
                connection.close().await
            }
            Self::Postgres { .. } => {
                let mut connection = PgConnection::connect(&self.url()).await?;
                connection.execute(AssertSqlSafe(sql.to_owned())).await?;
                connection.close().await
            }
        }
    }

    /// Rows of a table.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        match self {
            Self::Sqlite { .. } => {
                let mut connection = SqliteConnection::connect(&self.url()).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
            Self::Postgres { .. } => {
                let mut connection = PgConnection::connect(&self.url()).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
        }
    }

    /// SQL that ends the store's connections to this test's schema, and nobody else's.
    pub(crate) fn terminate(&self) -> String {
        let Self::Postgres { schema, .. } = self else { panic!("no connections") };
        format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{schema}' AND pid <> pg_backend_pid()"
        )
    }

    /// SQL that differs between the two.
    pub(crate) fn pick<'a>(&self, sqlite: &'a str, postgres: &'a str) -> &'a str {
        match self {
            Self::Sqlite { .. } => sqlite,
            Self::Postgres { .. } => postgres,
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let Self::Postgres { server, schema } = self else { return };
        let (server, drop) = (server.clone(), format!("DROP SCHEMA IF EXISTS {schema} CASCADE"));
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                if let Ok(mut connection) = PgConnection::connect(&server).await {
                    let _ = connection.execute(AssertSqlSafe(drop)).await;
                }
            });
        });
        let _ = cleaner.join();
    }
}

/// The PostgreSQL server to test on. There must be one: a story told on one database only proves little.
async fn server() -> String {
    let given = std::env::var("TEST_DATABASE_URL").ok();
    let candidates = given.map_or_else(
        || ["root", "postgres"].map(|user| format!("postgres://{user}@127.0.0.1:5432/test")).to_vec(),
        |url| vec![url],
    );
    for url in candidates {
        if PgConnection::connect(&url).await.is_ok() {
            return url;
        }
    }
    panic!("no PostgreSQL: start one on 127.0.0.1:5432 with a database `test`, or set TEST_DATABASE_URL");
}

/// Runs each story on both databases, as tests of their own.
macro_rules! on_both {
    ($($story:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(crate::backend::Backend::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(crate::backend::Backend::postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_both;
