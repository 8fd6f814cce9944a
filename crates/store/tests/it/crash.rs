//! Killed processes and lost connections.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use durward_broker::approval::Write;
use durward_store::{Durability, Store};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::backend::{Backend, on_both};
use crate::sample::{NOW, entry, nonce, request};

/// Names the database for the child that is going to be killed.
const CHILD: &str = "DURWARD_STORE_TEST_CHILD";

on_both!(kill_nine);

/// After `kill -9` in the middle of writing, everything that was answered is there, whole.
async fn kill_nine(backend: Backend) {
    for round in 1..=3_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_writes_until_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD, backend.url())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut answered: Vec<(u64, u64)> = Vec::new();
        while answered.len() < 400 {
            let line = lines.next().expect("the child writes until it is killed").unwrap();
            if let Some((number, n)) = line.strip_prefix("answered ").and_then(|l| l.split_once(' ')) {
                answered.push((number.parse().unwrap(), n.parse().unwrap()));
            }
        }
        child.kill().unwrap(); // SIGKILL
        for line in lines.map_while(Result::ok) {
            if let Some((number, n)) = line.strip_prefix("answered ").and_then(|l| l.split_once(' '))
                && let (Ok(number), Ok(n)) = (number.parse(), n.parse())
            {
                answered.push((number, n)); // a line cut short by the kill names a smaller record, which is there too
            }
        }
        child.wait().unwrap();

        let store = backend.open().await;
        let head = store.verify_audit().await.unwrap().unwrap();
        let log = store.audit(0, u32::MAX).await.unwrap();
        assert_eq!(log.len() as u64, head.n);
        for (number, n) in &answered[..400] {
            let record = &log[usize::try_from(*number).unwrap() - 1];
            assert_eq!(record.entry(), Some(entry(*n)), "round {round}");
        }
        let found = store.load(NOW).await.unwrap();
        assert_eq!(found.requests.len() as u64, head.n, "each batch is there whole or not at all");
        assert_eq!(found.nonces.len() as u64, head.n);
        assert!(answered.iter().all(|(number, _)| *number <= head.n));
        store.close().await;
    }
}

/// Not a test by itself: the process that `kill_nine` starts and kills.
#[tokio::test(flavor = "multi_thread")]
async fn child_writes_until_killed() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let store = Store::open_url(&url, Durability::Normal).await.unwrap();
    let start = store.head().await.unwrap().n * 1_000;
    let writers: Vec<_> = (0..16_u64)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for i in 0.. {
                    let n = start + i * 16 + writer;
                    let writes = vec![
                        Write::Request(request(1, n)),
                        Write::Nonce(nonce(1, n, 300)),
                        Write::Audit(entry(n)),
                    ];
                    let head = store.submit(writes).await.unwrap().head;
                    writeln!(std::io::stdout().lock(), "answered {} {n}", head.n).unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

/// A server that drops the connection costs nothing: the writer connects anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_made_again() {
    let backend = Backend::postgres().await;
    let store = backend.open().await;
    store.submit(vec![Write::Audit(entry(0))]).await.unwrap();
    for n in 1..4 {
        backend.raw(&backend.terminate()).await.unwrap();
        assert_eq!(store.submit(vec![Write::Audit(entry(n))]).await.unwrap().head.n, n + 1);
    }
    assert_eq!(store.verify_audit().await.unwrap().map(|head| head.n), Ok(4));
}

/// A COMMIT that took effect and whose answer was lost is not done twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_no_second_record() {
    let backend = Backend::postgres().await;
    let cut = Arc::new(AtomicBool::new(false));
    let store = Store::open_url(&behind_proxy(&backend, &cut).await, Durability::Normal).await.unwrap();
    for n in 0..3 {
        cut.store(true, Ordering::SeqCst);
        let writes = vec![Write::Request(request(1, n)), Write::Audit(entry(n))];
        assert_eq!(store.submit(writes).await.unwrap().head.n, n + 1);
        assert!(!cut.load(Ordering::SeqCst), "the proxy did not cut");
    }
    let log = backend.open().await.audit(0, 10).await.unwrap();
    assert_eq!(log.iter().map(|r| r.entry().unwrap()).collect::<Vec<_>>(), [entry(0), entry(1), entry(2)]);
    assert!(store.verify_audit().await.unwrap().is_ok());
}

/// The URL of a proxy that, when `cut` is set, once swallows the server's "COMMIT done" and hangs up.
async fn behind_proxy(backend: &Backend, cut: &Arc<AtomicBool>) -> String {
    let options = PgConnectOptions::from_str(&backend.url()).unwrap();
    let server = (options.get_host().to_owned(), options.get_port());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxied = options.host("127.0.0.1").port(listener.local_addr().unwrap().port());
    let cut = Arc::clone(cut);
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(server.clone()).await.unwrap();
            tokio::spawn(forward(client, server, Arc::clone(&cut)));
        }
    });
    let mut url = proxied.to_url_lossy();
    let query = backend.url().split_once('?').map(|(_, query)| format!("{query}&sslmode=disable"));
    url.set_query(query.as_deref()); // options are lost on the way; under TLS the proxy would see nothing
    url.to_string()
}

async fn forward(client: TcpStream, server: TcpStream, cut: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut buffer = vec![0; 65_536];
    while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
        let commits = buffer[..n].windows(7).any(|window| window == b"COMMIT\0");
        if commits && cut.swap(false, Ordering::SeqCst) {
            break;
        }
        if to_client.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    up.abort();
}
