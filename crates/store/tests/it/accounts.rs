//! The life of accounts, told once and run on both databases; races, with two servers where the database allows.

use durward_broker::accounts::*;
use durward_broker::approval::Write;
use durward_protocol::SecretString;
use durward_store::{Ask, Error, Store, Touch};
use time::Duration;

use crate::backend::{Backend, on_both};
use crate::desk::{Desk, PHRASE, WRONG, from, mac, subjects, user};
use crate::sample::entry;

on_both!(
    a_life,
    one_challenge_one_winner,
    parallel_guesses_count,
    counters_survive_a_restart,
    a_name_is_given_once,
    revoked_is_dead_at_once,
    one_rotation_wins,
    a_login_is_taken_once,
    unknown_names_are_bounded,
    a_full_table_of_challenges_makes_room,
    swept_when_over,
    imported_keys_are_audited,
    keys_of_many_devices,
    one_chain_for_everything,
    secrets_are_kept,
);

/// Servers on the backend: two where it can be shared.
async fn desks(backend: &Backend) -> Vec<Desk> {
    let count = if matches!(backend, Backend::Postgres { .. }) { 2 } else { 1 };
    let mut desks = Vec::new();
    for _ in 0..count {
        desks.push(Desk::new(backend.open().await));
    }
    desks
}

/// From knock to removal; what is written is read back after a restart.
async fn a_life(backend: Backend) {
    let desk = Desk::new(backend.open().await);
    let home = from("192.0.2.1");
    assert_eq!(desk.store.sole_account().await, Ok(None));
    let codes = desk.add("alan").await.unwrap();
    assert_eq!((codes.len(), desk.store.sole_account().await), (10, Ok(Some(user("alan")))));
    let refusal = desk.exchange(&home, "alan", WRONG).await.unwrap_err();
    assert_eq!((refusal.error, refusal.attempts_remaining), (ApiError::InvalidPassphrase, Some(2)));
    let first = desk.exchange(&home, "alan", PHRASE).await.unwrap();
    assert_eq!(first.device_id.as_str(), "dev_terminal_osx-Mac.lan_20261122");
    let second = desk.exchange(&home, "alan", PHRASE).await.unwrap();
    assert_eq!(second.device_id.as_str(), "dev_terminal_osx-Mac.lan_20261122-2");
    assert!(!desk.works(first.api_key.expose_key()).await, "the same fingerprint again revokes");
    assert!(desk.works(second.api_key.expose_key()).await);
    let touch = Touch {
        device: second.device_id.clone(),
        user: user("alan"),
        at: desk.now,
        address: None,
        legacy: false,
    };
    desk.store.touch(vec![touch], desk.now).await.unwrap();
    let before = (
        desk.store.accounts().await.unwrap(),
        desk.store.keys_of(&user("alan")).await.unwrap(),
        desk.store.codes_of(&user("alan")).await.unwrap(),
    );
    assert_eq!(before.1[1].last_used, Some(desk.now));
    desk.store.close().await;

    let desk = Desk::new(backend.open().await);
    let after = (
        desk.store.accounts().await.unwrap(),
        desk.store.keys_of(&user("alan")).await.unwrap(),
        desk.store.codes_of(&user("alan")).await.unwrap(),
    );
    assert_eq!(before, after);
    assert!(desk.works(second.api_key.expose_key()).await, "keys are read at the start");
    assert!(!desk.works(first.api_key.expose_key()).await);
    let done = desk.store.decide(Ask::default(), desk.now, |_| remove_account(&user("alan"), &subjects()));
    done.await.unwrap();
    assert!(!desk.works(second.api_key.expose_key()).await, "an account takes its keys with it");
    assert_eq!(desk.store.accounts().await, Ok(vec![]));
    assert_eq!(
        desk.details().await,
        [
            "account.add user=alan ok",
            "auth.exchange user=alan address=192.0.2.1 invalid_passphrase",
            "auth.exchange user=alan device=dev_terminal_osx-Mac.lan_20261122 address=192.0.2.1 ok",
            "auth.exchange user=alan device=dev_terminal_osx-Mac.lan_20261122-2 address=192.0.2.1 ok",
            "auth.revoke user=alan device=dev_terminal_osx-Mac.lan_20261122 address=192.0.2.1 ok",
            "account.remove user=alan ok",
        ]
    );
}

async fn one_challenge_one_winner(backend: Backend) {
    let desks = desks(&backend).await;
    desks[0].add("alan").await.unwrap();
    let challenge = desks[0].knock(&from("192.0.2.1"), mac()).await.unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|n: usize| {
            let (desk, challenge) = (desks[n % desks.len()].clone(), challenge.clone());
            let caller = from(&format!("198.51.100.{n}"));
            tokio::spawn(async move { desk.admit(&caller, "alan", &challenge, PHRASE).await })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(refusal) => assert_eq!(refusal.error, ApiError::InvalidChallenge),
        }
    }
    assert_eq!(won, 1);
}

async fn parallel_guesses_count(backend: Backend) {
    let desks = desks(&backend).await;
    desks[0].add("alan").await.unwrap();
    let home = from("192.0.2.1");
    let tasks: Vec<_> = (0..40)
        .map(|n: usize| {
            let (desk, home) = (desks[n % desks.len()].clone(), home.clone());
            tokio::spawn(async move { desk.exchange(&home, "alan", WRONG).await.unwrap_err() })
        })
        .collect();
    let (mut wrong, mut locked) = (0, 0);
    for task in tasks {
        match task.await.unwrap().error {
            ApiError::InvalidPassphrase => wrong += 1,
            ApiError::LockedOut => locked += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((wrong, locked), (3, 37));
    // Elsewhere the owner gets in; here not even the right phrase does.
    assert!(desks[0].exchange(&from("203.0.113.9"), "alan", PHRASE).await.is_ok());
    let refusal = desks[0].exchange(&home, "alan", PHRASE).await.unwrap_err();
    assert_eq!((refusal.error, refusal.retry_after), (ApiError::LockedOut, Some(900)));
    assert!(desks[0].later(Duration::minutes(15)).exchange(&home, "alan", PHRASE).await.is_ok());
}

/// A restart between attempts buys nothing, and a crash after the counting costs the guess.
async fn counters_survive_a_restart(backend: Backend) {
    let home = from("192.0.2.1");
    for attempt in 0..4 {
        let desk = Desk::new(backend.open().await);
        if attempt == 0 {
            desk.add("alan").await.unwrap();
        }
        let challenge = desk.knock(&from("198.51.100.1"), mac()).await.unwrap();
        let admitted = desk.admit(&home, "alan", &challenge, WRONG).await;
        // The verification never happens: the server is killed here.
        match attempt {
            0..3 => assert!(admitted.is_ok()),
            _ => assert_eq!(admitted.unwrap_err().error, ApiError::LockedOut),
        }
        desk.store.close().await;
    }
}

async fn a_name_is_given_once(backend: Backend) {
    let desk = Desk::new(backend.open().await);
    let (one, two) = (desk.clone(), desk.clone());
    let (one, two) =
        tokio::join!(tokio::spawn(async move { one.add("alan").await }), async { two.add("alan").await });
    let results = [one.unwrap(), two];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().any(|result| matches!(result, Err(Error::Conflict(_)))));
    assert_eq!(desk.details().await, ["account.add user=alan ok"], "nothing of the loser stays");
    assert_eq!(desk.store.codes_of(&user("alan")).await.unwrap().len(), 10);
}

/// Once the revoking call has returned, no server takes the key, whatever it did a moment ago.
async fn revoked_is_dead_at_once(backend: Backend) {
    let desks = desks(&backend).await;
    desks[0].add("alan").await.unwrap();
    for round in 0..5 {
        let at = desks[0].later(Duration::days(round));
        let issued = at.exchange(&from("192.0.2.1"), "alan", PHRASE).await.unwrap();
        let key = issued.api_key.expose_key().to_owned();
        for desk in &desks {
            assert!(desk.works(&key).await);
        }
        let users: Vec<_> = (0..4)
            .map(|n: usize| {
                let (desk, key) = (desks[n % desks.len()].clone(), key.clone());
                tokio::spawn(async move {
                    while desk.works(&key).await {
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        assert!(at.revoke("bert", &issued.device_id).await.is_err(), "only one's own");
        at.revoke("alan", &issued.device_id).await.unwrap();
        for desk in &desks {
            assert!(!desk.works(&key).await);
        }
        for user in users {
            user.await.unwrap();
        }
        assert!(at.revoke("alan", &issued.device_id).await.is_err(), "there is nothing left to revoke");
    }
}

async fn one_rotation_wins(backend: Backend) {
    let desks = desks(&backend).await;
    desks[0].add("alan").await.unwrap();
    let issued = desks[0].exchange(&from("192.0.2.1"), "alan", PHRASE).await.unwrap();
    let old = issued.api_key.expose_key().to_owned();
    let tasks: Vec<_> = (0..8)
        .map(|n: usize| {
            let (desk, device, old) = (desks[n % desks.len()].clone(), issued.device_id.clone(), old.clone());
            tokio::spawn(async move { desk.rotate(&device, &old).await })
        })
        .collect();
    let mut keys = Vec::new();
    for task in tasks {
        keys.push(task.await.unwrap().unwrap().api_key.expose_key().to_owned());
    }
    let mut alive = 0;
    for key in &keys {
        alive += usize::from(desks[0].works(key).await);
    }
    assert_eq!(alive, 1, "the keys that nobody may have received are dead");
    assert!(desks[0].works(&old).await);
    let late = desks[0].later(Duration::minutes(5));
    assert!(!late.works(&old).await, "the grace period did not grow");
}

async fn a_login_is_taken_once(backend: Backend) {
    let desks = desks(&backend).await;
    let id: Challenge = format!("nonce_{}", "A".repeat(43)).parse().unwrap();
    let record = OpaqueLoginRecord {
        login_id: id.clone(),
        user_id: user("alan"),
        known: true,
        phrase_revision: Some(PhraseRevision::from_bytes([4; 16])),
        device: serde_json::from_value(mac()).unwrap(),
        address: from("2001:db8::7").address,
        counted: Counted { attempts_remaining: 2, alert: Some(LadderAlert::Distributed) },
        state: LoginState::from_stored(vec![1, 2, 3]),
        expires_at: desks[0].now,
    };
    let (expected, now) = (format!("{record:?}"), desks[0].now);
    let insert = desks[0].store.decide(Ask::default(), now, move |_| Decision {
        writes: vec![AccountWrite::InsertOpaqueLogin(Box::new(record))],
        ..Decision::only(())
    });
    insert.await.unwrap();
    let take = |desk: &Desk| {
        let ask = Ask { take_login: Some(id.clone()), ..Ask::default() };
        let store = desk.store.clone();
        async move { store.decide(ask, now, |facts| Decision::only(facts.login)).await.unwrap().outcome }
    };
    let tasks: Vec<_> = (0..10).map(|n: usize| tokio::spawn(take(&desks[n % desks.len()]))).collect();
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap());
    }
    assert_eq!(taken.len(), 1);
    assert_eq!(format!("{:?}", taken[0]), expected);
    assert_eq!(taken[0].state.expose_bytes(), [1, 2, 3]);
}

/// Names that nobody has are counted like others, and the newest few are kept.
async fn unknown_names_are_bounded(backend: Backend) {
    let desk = Desk::new(backend.open().await);
    desk.add("alan").await.unwrap();
    let home = from("192.0.2.1");
    desk.exchange(&home, "alan", WRONG).await.unwrap_err();
    for left in [2, 1, 0] {
        let refusal = desk.exchange(&home, "nobody", WRONG).await.unwrap_err();
        assert_eq!((refusal.error, refusal.attempts_remaining), (ApiError::InvalidPassphrase, Some(left)));
    }
    assert_eq!(desk.exchange(&home, "nobody", PHRASE).await.unwrap_err().error, ApiError::LockedOut);
    for n in 0..8 {
        let desk = desk.later(Duration::seconds(n + 1));
        desk.exchange(&home, &format!("stranger{n}"), WRONG).await.unwrap_err();
    }
    let desk = desk.later(Duration::minutes(1));
    let left = async |name: &str| desk.exchange(&home, name, WRONG).await.unwrap_err().attempts_remaining;
    assert_eq!(left("alan").await, Some(1), "a row with an account is never evicted");
    assert_eq!(left("stranger7").await, Some(1));
    assert_eq!(left("nobody").await, Some(2), "the oldest has made room");
    assert!(
        !desk.details().await.iter().any(|line| line.contains("stranger")),
        "no list of what strangers type"
    );
}

/// Whoever fills the table loses his own; a success of before has a share of its own.
async fn a_full_table_of_challenges_makes_room(backend: Backend) {
    let mut desks = desks(&backend).await;
    for desk in &mut desks {
        desk.policy.max_open_challenges = 64;
    }
    desks[0].add("alan").await.unwrap();
    let home = from("10.0.0.1");
    desks[0].exchange(&home, "alan", PHRASE).await.unwrap();
    let stranger = desks[0].knock(&from("203.0.113.9"), mac()).await.unwrap();
    let known = desks[0].knock(&home, mac()).await.unwrap();
    let flood = async |from_n: u32| {
        for n in from_n..from_n + 150 {
            let desk = desks[n as usize % desks.len()].later(Duration::milliseconds(n.into()));
            let attacker = std::net::Ipv4Addr::from(0x0a00_0002 + n).to_string();
            desk.knock(&from(&attacker), mac()).await.unwrap();
        }
    };
    flood(0).await;
    let fresh = desks[0].knock(&from("2001:db8::1"), mac()).await.unwrap();
    flood(150).await;
    let open = backend.count("challenges").await;
    assert!(open <= 64, "{open}");
    for challenge in [stranger, known, fresh] {
        assert!(desks[0].admit(&home, "alan", &challenge, PHRASE).await.is_ok());
    }
}

async fn swept_when_over(backend: Backend) {
    let desk = Desk::new(backend.open().await);
    desk.add("alan").await.unwrap();
    let home = from("192.0.2.1");
    let challenge = desk.knock(&home, mac()).await.unwrap();
    desk.exchange(&home, "alan", WRONG).await.unwrap_err();
    desk.store.sweep_accounts(desk.now + Duration::minutes(4)).await.unwrap();
    let rows = async |table: &str| {
        let probe = format!(
            "CREATE TABLE probe_{table} AS SELECT 1 AS one FROM {table}; CREATE UNIQUE INDEX i_{table} ON probe_{table} (one)"
        );
        // The index cannot be made over two rows; over none or one it can: count by what is refused.
        let several = backend.raw(&probe).await.is_err();
        let _ = backend.raw(&format!("DROP TABLE IF EXISTS probe_{table}")).await;
        several
    };
    assert!(rows("challenges").await, "both challenges still count");
    assert!(desk.admit(&home, "alan", &challenge, WRONG).await.is_ok());
    let late = desk.later(Duration::days(1));
    late.store.sweep_accounts(late.now).await.unwrap();
    assert!(!rows("challenges").await);
    let locked = late.exchange(&home, "alan", WRONG).await.unwrap_err();
    assert_eq!(locked.attempts_remaining, Some(2), "a day without failure clears the counter");
    assert_eq!(late.details().await.len(), 3, "the log is not swept");
}

async fn imported_keys_are_audited(backend: Backend) {
    let desks = desks(&backend).await;
    let desk = &desks[0];
    desk.add("alan").await.unwrap();
    let key = "the-shared-key-of-before";
    let import = || ImportedKey {
        user: user("alan"),
        name: "shared".parse().unwrap(),
        key: SecretString::new(key.into()),
        expires_at: desk.now + Duration::days(30),
    };
    let now = desk.now;
    let put = |import: ImportedKey| {
        let ask = Ask { user: Some(user("alan")), ..Ask::default() };
        let store = desk.store.clone();
        async move { store.decide(ask, now, move |_| import_key(&import, &[], now).unwrap()).await }
    };
    let device = put(import()).await.unwrap().outcome;
    assert!(matches!(put(import()).await, Err(Error::Conflict(_))), "the same key twice");
    assert!(desk.works(key).await && !desk.later(Duration::days(30)).works(key).await);
    let touch = |seconds| Touch {
        device: device.clone(),
        user: user("alan"),
        at: now + Duration::seconds(seconds),
        address: Some(from("192.0.2.1").address),
        legacy: true,
    };
    for seconds in [0, 1, 59, 60, 61] {
        for desk in &desks {
            desk.store.touch(vec![touch(seconds)], now).await.unwrap();
        }
    }
    let uses = desk.details().await.iter().filter(|line| line.starts_with("auth.legacy")).count();
    assert_eq!(uses, 2, "once a minute, whoever saw it");
}

/// Ids and answers stay right when many devices are made at once.
async fn keys_of_many_devices(backend: Backend) {
    let desks = desks(&backend).await;
    for name in ["alan", "bert", "cora"] {
        desks[0].add(name).await.unwrap();
    }
    let tasks: Vec<_> = (0..30)
        .map(|n: usize| {
            let desk = desks[n % desks.len()].clone();
            let name = ["alan", "bert", "cora"][n % 3];
            tokio::spawn(async move {
                desk.exchange(&from(&format!("198.51.100.{n}")), name, PHRASE).await.unwrap()
            })
        })
        .collect();
    let mut ids = Vec::new();
    let mut alive = 0;
    for task in tasks {
        let issued = task.await.unwrap();
        ids.push(issued.device_id.as_str().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 30, "no id twice");
    for name in ["alan", "bert", "cora"] {
        let keys = desks[0].store.keys_of(&user(name)).await.unwrap();
        alive += keys.iter().filter(|key| key.revoked_at.is_none()).count();
    }
    assert_eq!(alive, 3, "one live key a fingerprint and account");
}

/// Batches of the approval side and decisions share one log, in order, from every server.
async fn one_chain_for_everything(backend: Backend) {
    let desks = desks(&backend).await;
    desks[0].add("alan").await.unwrap();
    let write =
        |store: Store, n: u64| async move { store.submit(vec![Write::Audit(entry(n))]).await.map(drop) };
    let mut tasks = Vec::new();
    for n in 0..60_u64 {
        let desk = desks[usize::try_from(n).unwrap() % desks.len()].clone();
        tasks.push(tokio::spawn(async move {
            if n % 2 == 0 {
                write(desk.store, n).await.unwrap();
            } else {
                let caller = from(&format!("198.51.100.{n}"));
                desk.exchange(&caller, "alan", PHRASE).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let lines = desks[0].details().await;
    assert_eq!(lines.iter().filter(|line| line.starts_with("auth.exchange")).count(), 30);
    assert_eq!(lines.len(), 1 + 30 + 30 + 29, "29 revocations by the next key");
}

async fn secrets_are_kept(backend: Backend) {
    let desks = desks(&backend).await;
    for (n, desk) in desks.iter().enumerate() {
        let value = vec![u8::try_from(n).unwrap() + 1];
        assert_eq!(desk.store.keep_auth_secret("opaque", value).await, Ok(vec![1]), "the first one stays");
    }
    assert_eq!(desks[0].store.replace_auth_secret("opaque", vec![7]).await, Ok(vec![7]));
    assert_eq!(desks[0].store.auth_secret("opaque").await, Ok(Some(vec![7])));
    assert_eq!(desks[0].store.auth_secret("none").await, Ok(None));
}
