//! The servers that are measured, each in a process of its own: ours, and plain axum.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use durward_broker::accounts::{Arena, CanonicalPhrase, HashCost, NewAccount, PhraseHash, add_account};
use durward_protocol::SecretString;
use durward_server::{Clock, Config, Home, Server, VaultSource};
use durward_store::{Ask, Durability, Store};
use rand::rngs::SysRng;
use rand_core::UnwrapErr;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

/// Accounts of ours: `user0` and so on.
pub(crate) const USERS: usize = 40;
/// The key that plain axum knows, as long as one of ours.
pub(crate) const PLAIN_KEY: &str = "memorable_terminal_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6";

/// A server that runs, killed when dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Served {
    pub(crate) fn ours() -> Self {
        Self::start(&["--child", "ours"])
    }

    pub(crate) fn on_postgres(url: &str) -> Self {
        Self::start(&["--child", "ours", "--database-url", url])
    }

    pub(crate) fn plain() -> Self {
        Self::start(&["--child", "plain"])
    }

    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().parse().expect("the server did not start");
        Self { child, address }
    }

    /// Its processor time, threads included.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // proc(5): fields 14 and 15, user and system time in ticks of 10 ms; the name before may hold blanks.
        let after_name = stat.rsplit_once(')').unwrap().1;
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Its resident memory in MB.
    pub(crate) fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().split(' ').next().unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A schema of this run's own on PostgreSQL, gone when dropped.
pub(crate) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    /// `None` when no server answers.
    pub(crate) fn new() -> Option<Self> {
        let given = std::env::var("TEST_DATABASE_URL").ok();
        let candidates = given.map_or_else(
            || ["root", "postgres"].map(|user| format!("postgres://{user}@127.0.0.1:5432/test")).to_vec(),
            |url| vec![url],
        );
        let server = candidates.into_iter().find(|url| psql(url, "SELECT 1"))?;
        let name = format!("durward_bench_{}", std::process::id());
        psql(&server, &format!("CREATE SCHEMA {name}")).then_some(Self { server, name })
    }

    pub(crate) fn url(&self) -> String {
        let mark = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{mark}options[search_path]={}", self.server, self.name)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        psql(&self.server, &format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name));
    }
}

fn psql(url: &str, sql: &str) -> bool {
    let mut command = Command::new("psql");
    command.args([url, "-qc", sql]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What this program is as a child: prints its address and serves until standard input ends.
pub(crate) fn child(what: &str, database_url: Option<String>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let address = match what {
            "plain" => plain().await,
            _ => ours(folder.path(), database_url).await,
        };
        println!("{address}");
        std::io::stdout().flush().unwrap();
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    });
}

async fn ours(folder: &std::path::Path, database_url: Option<String>) -> SocketAddr {
    let home = Home::open(folder).unwrap();
    let store = match &database_url {
        Some(url) => Store::open_url(url, Durability::Normal).await.unwrap(),
        None => Store::open_sqlite(&home.database(), Durability::Normal).await.unwrap(),
    };
    let (mut arena, now) = (Arena::new(), OffsetDateTime::now_utc());
    for n in 0..USERS {
        let phrase = CanonicalPhrase::new(&SecretString::new(crate::PHRASE.into()));
        let mut rng = UnwrapErr(SysRng);
        let hash = PhraseHash::create(&phrase, HashCost::DEFAULT, &mut arena, &mut rng).unwrap();
        let new = NewAccount { user: format!("user{n}").parse().unwrap(), hash, opaque: None };
        let added =
            store.decide(Ask::default(), now, move |_| add_account(new, now, &mut UnwrapErr(SysRng))).await;
        added.unwrap();
    }
    store.close().await;
    drop(arena);
    let config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        control: None,
        database_url: database_url.map(SecretString::new).map(Arc::new),
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        ..Config::default()
    };
    let vault: VaultSource = Box::new(|| panic!("nobody asks for an item"));
    let running = Server::start(config, home, vault, Clock::system()).await.unwrap();
    let listen = running.listen;
    // It runs until the process ends.
    std::mem::forget(running);
    listen
}

type Keys = Arc<HashMap<[u8; 32], [&'static str; 3]>>;

/// The same question, answered with nothing around it.
async fn plain() -> SocketAddr {
    let mut keys = HashMap::new();
    keys.insert(Sha256::digest(PLAIN_KEY).into(), ["user0", "dev_terminal_d10.0.0.0_20260101", "terminal"]);
    let router = Router::new().route("/auth/verify", get(plain_verify)).with_state(Arc::new(keys));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn plain_verify(State(keys): State<Keys>, headers: HeaderMap) -> Response {
    let hash: Option<[u8; 32]> = headers.get("x-api-key").map(|key| Sha256::digest(key.as_bytes()).into());
    match hash.and_then(|hash| keys.get(&hash)) {
        Some([user, device, kind]) => {
            let names = [("remote-user", *user), ("remote-device", *device), ("remote-device-type", *kind)];
            (StatusCode::OK, names).into_response()
        }
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}
