//! The audit log: append-only in the database, and tampering shows.

use durward_broker::approval::{ChainError, Write};
use durward_store::Store;

use crate::backend::{Backend, on_both};
use crate::sample::entry;

on_both!(triggers_refuse, changes_show, a_removed_record_shows, a_cut_end_shows, a_long_log_verifies);

async fn filled(backend: &Backend) -> Store {
    let store = backend.open().await;
    store.submit((1..=5).map(|n| Write::Audit(entry(n))).collect()).await.unwrap();
    assert!(store.verify_audit().await.unwrap().is_ok());
    store
}

async fn drop_triggers(backend: &Backend) {
    let sql = backend.pick(
        "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete",
        "DROP TRIGGER audit_no_update ON audit",
    );
    backend.raw(sql).await.unwrap();
}

async fn triggers_refuse(backend: Backend) {
    let store = filled(&backend).await;
    for sql in [
        "UPDATE audit SET body = '{}' WHERE n = 2",
        "UPDATE audit SET n = 9 WHERE n = 5",
        "DELETE FROM audit WHERE n = 5",
        "DELETE FROM audit",
        "UPDATE audit_head SET n = 4",
        "DELETE FROM audit_head",
        "INSERT INTO audit SELECT * FROM audit WHERE n = 1",
        backend.pick("DELETE FROM audit", "TRUNCATE audit"),
        backend.pick("DELETE FROM audit_head", "TRUNCATE audit_head"),
    ] {
        assert!(backend.raw(sql).await.is_err(), "{sql}");
    }
    assert_eq!(store.verify_audit().await.unwrap().map(|head| head.n), Ok(5));
}

async fn changes_show(backend: Backend) {
    let store = filled(&backend).await;
    drop_triggers(&backend).await;
    backend
        .raw("UPDATE audit SET body = replace(body, 'credential', 'something') WHERE n = 3")
        .await
        .unwrap();
    assert_eq!(store.verify_audit().await, Ok(Err(ChainError::Changed { n: 3 })));
}

async fn a_removed_record_shows(backend: Backend) {
    let store = filled(&backend).await;
    drop_triggers(&backend).await;
    backend.raw("DELETE FROM audit WHERE n = 2").await.unwrap();
    assert_eq!(store.verify_audit().await, Ok(Err(ChainError::Gap { expected: 2, found: 3 })));
    backend.raw("UPDATE audit SET n = n - 1 WHERE n = 3").await.unwrap();
    assert_eq!(store.verify_audit().await, Ok(Err(ChainError::Changed { n: 2 })));
}

async fn a_cut_end_shows(backend: Backend) {
    let store = filled(&backend).await;
    drop_triggers(&backend).await;
    backend.raw("DELETE FROM audit WHERE n > 3").await.unwrap();
    assert_eq!(store.verify_audit().await, Ok(Err(ChainError::Cut { last: 3, expected: 5 })));
    backend.raw("DELETE FROM audit").await.unwrap();
    assert_eq!(store.verify_audit().await, Ok(Err(ChainError::Cut { last: 0, expected: 5 })));
}

/// Longer than a page of the verification.
async fn a_long_log_verifies(backend: Backend) {
    let store = backend.open().await;
    let head = store.submit((0..2_345).map(|n| Write::Audit(entry(n))).collect()).await.unwrap().head;
    assert_eq!(head.n, 2_345);
    assert_eq!(store.verify_audit().await, Ok(Ok(head)));
    assert_eq!(store.audit(2_000, 1_000).await.unwrap().len(), 345);
}

/// Several servers on one database keep one chain.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_keep_one_chain() {
    let backend = Backend::postgres().await;
    let stores = [backend.open().await, backend.open().await, backend.open().await];
    let mut commits = Vec::new();
    for n in 0..600_u64 {
        let store = &stores[usize::try_from(n % 3).unwrap()];
        // The same rows in different orders: whoever does not lock them alike runs into a deadlock.
        let (one, two) =
            (Write::Session(crate::sample::session(n % 7)), Write::Session(crate::sample::session(n % 5)));
        commits.push((n, store.submit(vec![one, Write::Audit(entry(n)), two])));
    }
    let mut numbers = Vec::new();
    for (_, commit) in commits {
        numbers.push(commit.await.unwrap().head.n);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=600).collect::<Vec<u64>>());
    for store in &stores {
        assert_eq!(store.verify_audit().await.unwrap().map(|head| head.n), Ok(600));
    }
}
