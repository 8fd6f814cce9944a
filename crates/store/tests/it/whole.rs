//! One story over everything that is stored (accounts and keys, sessions, requests, grants, the audit log), told once
//! and run on SQLite and on PostgreSQL.

use durward_broker::accounts::ApiError;
use durward_broker::approval::{StoredRequestState, Write};

use crate::backend::{Backend, on_both};
use crate::desk::{Desk, PHRASE, WRONG, from, user};
use crate::sample::{NOW, at, ended, entry, grant, nonce, request, session, setting};

on_both!(accounts_sessions_requests_grants_and_audit);

/// A person gets an account and a device a key; an agent pairs, asks, is granted and gets; the server restarts in the
/// middle; then key and session are revoked. Each part finds what it wrote, and the one log has it all in order.
async fn accounts_sessions_requests_grants_and_audit(backend: Backend) {
    let home = from("192.0.2.1");
    let desk = Desk::new(backend.open().await);
    desk.add("alan").await.unwrap();
    let key = desk.exchange(&home, "alan", PHRASE).await.unwrap();
    let paired = vec![
        Write::Session(session(1)),
        Write::Request(request(1, 10)),
        Write::Nonce(nonce(1, 40, 300)),
        setting("pairing", Some("closed")),
        Write::Audit(entry(1)),
    ];
    assert_eq!(desk.store.submit(paired).await.unwrap().head.n, 3, "numbered after the account and its key");
    let refused = desk.exchange(&home, "alan", WRONG).await.unwrap_err();
    assert_eq!((refused.error, refused.attempts_remaining), (ApiError::InvalidPassphrase, Some(2)));
    let mut released = request(1, 10);
    released.state = StoredRequestState::Released { at: at(5) };
    let granted = vec![Write::Request(released.clone()), Write::Grant(grant(1, 30)), Write::Audit(entry(2))];
    let head = desk.store.submit(granted).await.unwrap().head;
    desk.store.close().await;

    let desk = Desk::new(backend.open().await);
    assert_eq!(desk.store.head().await, Ok(head));
    let found = desk.store.load(NOW).await.unwrap();
    assert_eq!((found.sessions, found.requests), (vec![session(1)], vec![released]));
    assert_eq!((found.grants, found.nonces), (vec![grant(1, 30)], vec![nonce(1, 40, 300)]));
    assert_eq!(found.settings, [("pairing".to_owned(), "closed".to_owned())]);
    assert!(desk.works(key.api_key.expose_key()).await);
    assert_eq!(desk.store.keys_of(&user("alan")).await.unwrap().len(), 1);
    let refused = desk.exchange(&home, "alan", WRONG).await.unwrap_err();
    assert_eq!(refused.attempts_remaining, Some(1), "the counter was kept, too");

    desk.revoke("alan", &key.device_id).await.unwrap();
    let (mut over, mut spent) = (session(1), grant(1, 30));
    (over.ended, spent.ended) = (Some(ended(6)), Some(ended(6)));
    over.sealed_keys = Vec::new();
    let head = desk.store.submit(vec![Write::Session(over), Write::Grant(spent), Write::Audit(entry(3))]);
    let head = head.await.unwrap().head;
    assert!(!desk.works(key.api_key.expose_key()).await);
    let found = desk.store.load(NOW).await.unwrap();
    assert!(found.sessions.is_empty() && found.grants.is_empty());
    let device = key.device_id.as_str();
    assert_eq!(
        desk.details().await,
        [
            "account.add user=alan ok".to_owned(),
            format!("auth.exchange user=alan device={device} address=192.0.2.1 ok"),
            "1 ".to_owned(),
            "auth.exchange user=alan address=192.0.2.1 invalid_passphrase".to_owned(),
            "2 ".to_owned(),
            "auth.exchange user=alan address=192.0.2.1 invalid_passphrase".to_owned(),
            format!("auth.revoke user=alan device={device} ok"),
            "3 ".to_owned(),
        ]
    );
    assert_eq!(desk.store.verify_audit().await, Ok(Ok(head)));
}
