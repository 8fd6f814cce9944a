//! Many submitters at once.

use durward_broker::approval::Write;
use durward_store::{Error, MAX_WAITING};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use crate::backend::{Backend, on_both};
use crate::sample::{NOW, entry, nonce, request, session};

/// The queue is bounded, and says so.
#[tokio::test]
async fn a_full_queue_is_an_error() {
    let backend = Backend::sqlite();
    let store = backend.open().await;
    let mut other = SqliteConnection::connect(&backend.url()).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    // The writer waits for the lock with what it has taken so far, one group of batches at most.
    let mut commits = vec![store.submit(vec![Write::Audit(entry(1))])];
    commits.extend((0..MAX_WAITING + 1_024).map(|_| store.submit(vec![])));
    other.execute("ROLLBACK").await.unwrap();
    let mut refused = 0;
    for commit in commits {
        match commit.await {
            Err(Error::Overloaded) => refused += 1,
            Ok(_) | Err(Error::Busy) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!((1..=1_025).contains(&refused), "{refused}");
    let before = store.head().await.unwrap().n;
    let after = store.submit(vec![Write::Audit(entry(1))]).await.unwrap().head.n;
    assert_eq!(after, before + 1, "there is room again");
}

/// A writer that died with its runtime leaves errors, not waiting.
#[test]
fn a_gone_writer_is_an_error() {
    let backend = Backend::sqlite();
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let first = runtime();
    let store = first.block_on(backend.open());
    drop(first);
    assert_eq!(runtime().block_on(store.submit(vec![Write::Audit(entry(1))])), Err(Error::Stopped));
    runtime().block_on(store.close());
}

on_both!(a_thousand_at_once, closing_flushes, dropping_flushes);

/// Every one is answered with its own place in the log, and everything is there.
async fn a_thousand_at_once(backend: Backend) {
    let store = backend.open().await;
    let tasks: Vec<_> = (0..1_000_u64)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let writes = vec![
                    Write::Session(session(n % 50)),
                    Write::Request(request(n % 50, n)),
                    Write::Nonce(nonce(n % 50, n, 300)),
                    Write::Audit(entry(n)),
                ];
                (n, store.submit(writes).await.unwrap().head.n)
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        let (n, number) = task.await.unwrap();
        let record = store.audit(number - 1, 1).await.unwrap().remove(0);
        assert_eq!(record.entry(), Some(entry(n)), "the head belongs to the batch");
        numbers.push(number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=1_000).collect::<Vec<u64>>());
    let found = store.load(NOW).await.unwrap();
    assert_eq!((found.sessions.len(), found.requests.len(), found.nonces.len()), (50, 1_000, 1_000));
    assert!(store.verify_audit().await.unwrap().is_ok());
}

/// `close` waits for what was submitted; afterwards every clone says so.
async fn closing_flushes(backend: Backend) {
    let store = backend.open().await;
    let other = store.clone();
    for n in 0..2_000 {
        drop(store.submit(vec![Write::Request(request(1, n)), Write::Audit(entry(n))]));
    }
    store.close().await;
    assert_eq!(other.submit(vec![Write::Audit(entry(0))]).await, Err(Error::Stopped));
    assert_eq!(other.load(NOW).await.unwrap_err(), Error::Stopped);
    let store = backend.open().await;
    assert_eq!(store.load(NOW).await.unwrap().requests.len(), 2_000);
    assert_eq!(store.head().await.unwrap().n, 2_000);
}

/// Dropped without `close`: what was answered is there.
async fn dropping_flushes(backend: Backend) {
    for n in 0..5 {
        let store = backend.open().await;
        assert_eq!(store.submit(vec![Write::Audit(entry(n))]).await.unwrap().head.n, n + 1);
        drop(store);
    }
    let store = backend.open().await;
    assert_eq!(store.verify_audit().await.unwrap().map(|head| head.n), Ok(5));
}
