//! The life of the records, told once and run on both databases.

use durward_broker::approval::{Actor, ChainHead, StoredRequestState, Write};
use durward_protocol::{SessionId, Verdict};
use durward_store::Error;

use crate::backend::{Backend, on_both};
use crate::sample::{NOW, at, ended, entry, grant, id, nonce, request, session, setting};

on_both!(
    a_day,
    order_and_folding,
    sweep_by_age,
    a_bad_batch_fails_alone,
    a_refused_row_fails_alone,
    empty_batches
);

/// Everything written is read back, also after a restart.
async fn a_day(backend: Backend) {
    let store = backend.open().await;
    assert_eq!(store.head().await, Ok(ChainHead::default()));
    assert!(store.load(NOW).await.unwrap().sessions.is_empty());

    let mut released = request(1, 11);
    released.state = StoredRequestState::Released { at: at(5) };
    released.item_id = Some("item".into());
    let mut denied = request(1, 12);
    denied.state = StoredRequestState::Ended {
        verdict: Verdict::Denied,
        reason: Some("not today".into()),
        by: Actor::Owner,
    };
    let mut over = session(2);
    over.ended = Some(ended(1));
    over.sealed_keys = Vec::new();
    let mut spent = grant(1, 32);
    spent.ended = Some(ended(2));
    let mut open = grant(1, 33);
    (open.expires_at, open.max_uses, open.item_id) = (None, None, None);
    let written = store
        .submit(vec![
            Write::Session(session(1)),
            Write::Session(over),
            Write::Request(request(1, 10)),
            Write::Request(released.clone()),
            Write::Request(denied.clone()),
            Write::Grant(grant(1, 31)),
            Write::Grant(spent),
            Write::Grant(open.clone()),
            Write::Nonce(nonce(1, 41, 300)),
            Write::Nonce(nonce(1, 42, -1)),
            setting("pairing", Some("closed")),
            setting("gone", Some("1")),
            setting("gone", None),
            Write::Audit(entry(1)),
            Write::Audit(entry(2)),
        ])
        .await
        .unwrap();
    assert_eq!(written.head.n, 2);
    assert_eq!(store.head().await, Ok(written.head));
    store.close().await;

    let store = backend.open().await;
    let found = store.load(NOW).await.unwrap();
    assert_eq!(found.sessions, [session(1)]);
    assert_eq!(found.requests, [request(1, 10), released, denied]);
    assert_eq!(found.grants, [grant(1, 31), open]);
    assert_eq!(found.nonces, [nonce(1, 41, 300)]);
    assert_eq!(found.settings, [("pairing".to_owned(), "closed".to_owned())]);
    let log = store.audit(0, 100).await.unwrap();
    assert_eq!(
        log.iter().map(|r| (r.n, r.entry())).collect::<Vec<_>>(),
        [(1, Some(entry(1))), (2, Some(entry(2)))]
    );
    assert_eq!(store.audit(1, 100).await.unwrap(), log[1..]);
    assert_eq!(store.audit(u64::MAX, 1).await, Ok(vec![]));
    assert_eq!(store.audit_tail(1).await.unwrap(), log[1..]);
    assert_eq!(store.verify_audit().await, Ok(Ok(written.head)));
}

/// The last write of a row wins, within a batch and across batches of one transaction.
async fn order_and_folding(backend: Backend) {
    let store = backend.open().await;
    store.submit(vec![Write::Session(session(1)), Write::Session(session(2))]).await.unwrap();
    let used =
        |n: u64, seconds| Write::SessionUsed { id: SessionId::from_bytes(id(n)), last_used_at: at(seconds) };
    let mut commits = Vec::new();
    for n in 0..100_u64 {
        let mut changed = session(1);
        changed.uses = n;
        commits.push(store.submit(vec![
            Write::Session(changed),
            used(1, 50),
            used(1, 40),
            used(2, i64::try_from(n).unwrap()),
            used(3, 9),
            setting("n", Some(&n.to_string())),
            Write::Audit(entry(n)),
        ]));
    }
    commits.push(store.submit(vec![
        used(2, -5),
        setting("m", Some("1")),
        setting("n", None),
        setting("n", Some("end")),
    ]));
    for (n, commit) in commits.into_iter().enumerate() {
        assert_eq!(commit.await.unwrap().head.n, (n as u64 + 1).min(100));
    }
    let found = store.load(NOW).await.unwrap();
    let mut first = session(1);
    (first.uses, first.last_used_at) = (99, at(50));
    let mut second = session(2);
    second.last_used_at = at(99);
    assert_eq!(found.sessions, [first, second]);
    assert_eq!(found.settings, [("m".into(), "1".into()), ("n".into(), "end".into())]);
    let details =
        store.audit(0, 1_000).await.unwrap().into_iter().map(|r| r.entry().unwrap().detail.unwrap());
    assert_eq!(details.collect::<Vec<_>>(), (0..100).map(|n: u32| n.to_string()).collect::<Vec<_>>());
}

/// A sweep sees what was submitted before it, and not what comes after, in one batch too.
async fn sweep_by_age(backend: Backend) {
    let store = backend.open().await;
    let mut old = request(1, 1);
    (old.expires_at, old.state) = (at(-10), StoredRequestState::Released { at: at(-100) });
    let mut waiting = old.clone();
    (waiting.id, waiting.state) = (request(1, 2).id, StoredRequestState::Pending);
    let mut late = old.clone();
    late.id = request(1, 3).id;
    let (mut gone, mut kept) = (session(1), session(2));
    (gone.ended, kept.ended) = (Some(ended(-100)), Some(ended(0)));
    let mut done = grant(1, 5);
    done.ended = Some(ended(-100));
    store
        .submit(vec![
            Write::Request(old),
            Write::Request(waiting.clone()),
            Write::Session(gone.clone()),
            Write::Session(kept.clone()),
            Write::Session(session(3)),
            Write::Grant(done.clone()),
            Write::Nonce(nonce(1, 1, -1)),
            Write::Nonce(nonce(1, 2, 0)),
            Write::Audit(entry(1)),
            Write::Sweep { requests_before: NOW, nonces_before: NOW, ended_before: NOW },
            Write::Request(late.clone()),
        ])
        .await
        .unwrap();
    let found = store.load(at(-1_000)).await.unwrap();
    assert_eq!(found.requests, [waiting, late]);
    assert_eq!(found.nonces, [nonce(1, 2, 0)]);
    assert_eq!(found.sessions, [session(3)]);
    assert_eq!(store.head().await.unwrap().n, 1);
    // Ended rows are in no snapshot: ask the database itself.
    let one = |table: &str, n: u64| {
        format!("INSERT INTO {table} SELECT * FROM {table} WHERE id = {}", backend_id(&backend, n))
    };
    assert!(
        backend.raw(&one("session", 2)).await.is_err(),
        "an ended session of now stays: its key is taken"
    );
    assert!(backend.raw(&one("session", 1)).await.is_ok(), "an older one is gone: nothing is inserted");
    assert!(backend.raw(&one("grant_", 5)).await.is_ok());
}

fn backend_id(backend: &Backend, n: u64) -> String {
    format!("{}{n:032x}'", backend.pick("x'", "'\\x"))
}

/// A batch with something that does not fit fails, whole; its neighbours do not.
async fn a_bad_batch_fails_alone(backend: Backend) {
    let store = backend.open().await;
    let mut huge = session(2);
    huge.uses = u64::MAX;
    let mut nul = request(1, 2);
    nul.reason = "a\0b".into();
    let first = store.submit(vec![Write::Session(session(1)), Write::Audit(entry(1))]);
    let bad = store.submit(vec![Write::Request(request(1, 1)), Write::Audit(entry(2)), Write::Session(huge)]);
    let worse = store.submit(vec![Write::Audit(entry(3)), Write::Request(nul)]);
    let last = store.submit(vec![Write::Session(session(3)), Write::Audit(entry(4))]);
    assert_eq!(first.await.unwrap().head.n, 1);
    assert!(matches!(bad.await, Err(Error::Unstorable(..))));
    assert!(matches!(worse.await, Err(Error::Unstorable(..))));
    let head = last.await.unwrap().head;
    assert_eq!(head.n, 2);
    assert_eq!(store.verify_audit().await, Ok(Ok(head)));
    let found = store.load(NOW).await.unwrap();
    assert_eq!(found.sessions, [session(1), session(3)]);
    assert!(found.requests.is_empty(), "nothing of a bad batch stays");
}

/// The same when only the database notices.
async fn a_refused_row_fails_alone(backend: Backend) {
    let store = backend.open().await;
    let trigger = backend.pick(
        "CREATE TRIGGER bad BEFORE INSERT ON setting WHEN new.key = 'bad'
         BEGIN SELECT RAISE(ABORT, 'refused by the test'); END",
        "CREATE FUNCTION bad() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'refused by the test'; END $$;
         CREATE TRIGGER bad BEFORE INSERT ON setting FOR EACH ROW WHEN (new.key = 'bad') EXECUTE FUNCTION bad()",
    );
    backend.raw(trigger).await.unwrap();
    let commits: Vec<_> = (0..50_u64)
        .map(|n| {
            let key = if n % 10 == 3 { "bad".to_owned() } else { n.to_string() };
            store.submit(vec![
                Write::Request(request(1, n)),
                setting(&key, Some("1")),
                Write::Audit(entry(n)),
            ])
        })
        .collect();
    let mut last = ChainHead::default();
    for (n, commit) in commits.into_iter().enumerate() {
        match commit.await {
            Ok(committed) => {
                assert_ne!(n % 10, 3);
                assert_eq!(committed.head.n, last.n + 1);
                last = committed.head;
            }
            Err(error) => {
                assert_eq!(n % 10, 3);
                assert!(error.to_string().contains("refused by the test"), "{error}");
            }
        }
    }
    assert_eq!(store.verify_audit().await, Ok(Ok(last)));
    assert_eq!(store.load(NOW).await.unwrap().requests.len(), 45);
    assert_eq!(last.n, 45);
}

/// Nothing to do is done at once, in order.
async fn empty_batches(backend: Backend) {
    let store = backend.open().await;
    let before = store.submit(vec![Write::Audit(entry(1))]);
    assert_eq!(store.submit(vec![]).await.unwrap().head.n, 1);
    assert_eq!(before.await.unwrap().head.n, 1);
}
