//! The life of keys over HTTP: lost devices, all devices at once, a race of revoking and using, lifetimes, and the
//! hash behind them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use durward_broker::accounts::{Arena, CanonicalPhrase, HashCost, PhraseHash};
use durward_protocol::SecretString;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::peers::Database;
use super::serving::{PHRASE, Serving, WRONG, account, call, device};
use crate::env::TestEnvironment;

/// The page's curl for a lost ring, as it stands; only the port and the day are the test's.
#[test]
fn a_lost_device() {
    let env = TestEnvironment::new();
    let server = Serving::start(&env, &[]);
    account(&env, "alan");
    let ring = json!({ "type": "ring", "name": "Ring", "fingerprint": "oura" });
    let lost = server.exchange("alan", PHRASE, &ring);
    let (lost, id) =
        (lost.body["api_key"].as_str().unwrap(), lost.body["device_id"].as_str().unwrap().to_owned());
    assert!(id.starts_with("dev_ring_oura_20"), "{id}");
    let (mine, other) = (server.key("alan", &device("mine")), server.key("alan", &device("other")));
    let script = r#"MY_KEY=KEY
curl -s -X POST http://localhost:3000/auth/revoke \
  -H "X-API-Key: $MY_KEY" \
  -H "Content-Type: application/json" \
  -d '{"device_id": "dev_ring_oura_20260110"}'
"#;
    let script = script.replace("localhost:3000", &server.address.to_string());
    let script = script.replace("KEY\n", &format!("{mine}\n")).replace("dev_ring_oura_20260110", &id);
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        said,
        json!({
            "success": true, "revoked": id,
            "message": "Device key revoked. Device must re-authenticate with passphrase.",
        })
    );
    assert_eq!(server.get("/auth/verify", Some(lost)).error(), "invalid_api_key");
    for key in [&mine, &other] {
        assert_eq!(server.get("/auth/verify", Some(key)).status, 200, "other devices are unaffected");
    }
    let stranger = server.post("/auth/revoke", Some(lost), &json!({ "device_id": id }));
    assert_eq!((stranger.status, stranger.error()), (401, "invalid_api_key"), "a dead key revokes nothing");
}

/// A new phrase and `revoke_all_devices`: every key of this account is dead, the caller's too; other accounts go on.
#[test]
fn a_new_phrase_for_everything() {
    let env = TestEnvironment::new();
    let server = Serving::start(&env, &[]);
    account(&env, "alan");
    account(&env, "bert");
    let keys = [server.key("alan", &device("one")), server.key("alan", &device("two"))];
    let bert = server.key("bert", &device("one"));
    let new = "The forest remembers every footstep.";
    let change = json!({ "current_passphrase": PHRASE, "new_passphrase": new, "revoke_all_devices": true });
    let wrong = json!({ "current_passphrase": WRONG, "new_passphrase": new, "revoke_all_devices": true });
    let refused = server.post("/auth/passphrase/change", Some(&keys[0]), &wrong);
    assert_eq!(
        (refused.error(), refused.body["attempts_remaining"].as_u64()),
        ("invalid_passphrase", Some(2))
    );
    assert_eq!(server.get("/auth/verify", Some(&keys[1])).status, 200, "a refusal revokes nothing");
    let changed = server.post("/auth/passphrase/change", Some(&keys[0]), &change);
    assert_eq!(
        changed.body,
        json!({ "success": true, "message": "Passphrase changed. All device keys revoked." }),
        "no tip"
    );
    for key in &keys {
        assert_eq!(server.get("/auth/verify", Some(key)).error(), "invalid_api_key");
    }
    assert_eq!(server.get("/auth/verify", Some(&bert)).status, 200);
    assert_eq!(server.exchange("alan", PHRASE, &device("one")).error(), "invalid_passphrase");
    assert_eq!(server.exchange("alan", new, &device("one")).status, 200);
}

/// While a key is used and rotated from all sides it is revoked: what was asked after that answer is refused, and no
/// key that came of a rotation lives on.
#[test]
fn revoking_beats_using() {
    let env = TestEnvironment::new();
    let server = Arc::new(Serving::start(&env, &[]));
    account(&env, "alan");
    let mine = server.key("alan", &device("mine"));
    for round in 0..4 {
        let issued = server.exchange("alan", PHRASE, &device("other"));
        let key = issued.body["api_key"].as_str().unwrap().to_owned();
        let id = issued.body["device_id"].as_str().unwrap().to_owned();
        let (revoked, in_use) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let users: Vec<_> = (0..3)
            .map(|_| {
                let (server, key) = (Arc::clone(&server), key.clone());
                let (revoked, in_use) = (Arc::clone(&revoked), Arc::clone(&in_use));
                std::thread::spawn(move || {
                    loop {
                        let over = revoked.load(Ordering::SeqCst);
                        match server.get("/auth/verify", Some(&key)).status {
                            200 => assert!(!over, "asked after the revocation was answered"),
                            status => break status,
                        }
                        in_use.store(true, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let rotating = {
            let (server, key) = (Arc::clone(&server), key.clone());
            std::thread::spawn(move || {
                let mut fresh = Vec::new();
                loop {
                    let rotated = server.post("/auth/rotate", Some(&key), &json!({ "grace_seconds": 3_600 }));
                    match rotated.body["api_key"].as_str() {
                        Some(key) => fresh.push(key.to_owned()),
                        None => break (rotated.status, fresh),
                    }
                }
            })
        };
        while !in_use.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        assert_eq!(
            server.post("/auth/revoke", Some(&mine), &json!({ "device_id": id })).status,
            200,
            "{round}"
        );
        revoked.store(true, Ordering::SeqCst);
        for user in users {
            assert_eq!(user.join().unwrap(), 401);
        }
        let (status, fresh) = rotating.join().unwrap();
        assert_eq!(status, 401);
        for key in fresh {
            assert_eq!(server.get("/auth/verify", Some(&key)).status, 401, "a key of a rotation");
        }
    }
    assert_eq!(server.get("/auth/verify", Some(&mine)).status, 200);
}

/// `--key-lifetime`, and the key of the configuration: shown with the key, in the list, and prolonged by a rotation.
#[test]
fn keys_that_end() {
    let env = TestEnvironment::new();
    account(&env, "alan");
    let at = |value: &serde_json::Value| OffsetDateTime::parse(value.as_str().unwrap(), &Rfc3339).unwrap();
    env.file("config.toml", "[server]\nkey_lifetime = \"2w\"\n");
    for (flags, days) in [(vec![], 14), (vec!["--key-lifetime", "90d"], 90)] {
        let server = Serving::start(&env, &flags);
        let issued = server.exchange("alan", PHRASE, &device("d"));
        let key = issued.body["api_key"].as_str().unwrap();
        assert_eq!((at(&issued.body["expires_at"]) - at(&issued.body["issued_at"])).whole_days(), days);
        let who = server.get("/auth/whoami", Some(key));
        assert_eq!(who.body["expires_at"], issued.body["expires_at"], "{who:?}");
        let rotated = call(server.address, "POST", "/auth/rotate", Some(key), None);
        assert_eq!(rotated.status, 200, "{rotated:?}");
        assert!(at(&rotated.body["expires_at"]) >= at(&issued.body["expires_at"]));
        server.kill();
    }
    for (bad, word) in [("90", "for example 90d"), ("0d", "between 1m and 3650d")] {
        let refused = env.run(&["serve", "--no-control-port", "--key-lifetime", bad]);
        assert_eq!(refused.code, 64, "{refused:?}");
        assert!(refused.stderr.contains(word), "{refused:?}");
    }
    env.file("config.toml", "[server]\nkey_lifetime = \"soon\"\n");
    let refused = env.run(&["serve", "--no-control-port"]);
    assert_eq!(refused.code, 64, "{refused:?}");
    assert!(refused.stderr.contains("key_lifetime"), "{refused:?}");
}

/// A hash of a cheaper cost is replaced by the first good login, by no wrong one, and works on.
#[test]
fn a_cheap_hash_is_upgraded_by_a_login() {
    let env = TestEnvironment::new();
    let database = Database::new();
    let server = Serving::start(&env, &["--database-url", &database.url]);
    account(&env, "alan");
    let usual = database.query("SELECT passphrase_hash FROM {schema}.users");
    assert!(usual.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{usual}");
    let phrase = CanonicalPhrase::new(&SecretString::new(PHRASE.into()));
    let cost = HashCost::new(64, 1, 1).unwrap();
    let cheap = PhraseHash::create(&phrase, cost, &mut Arena::new(), &mut rand::rng()).unwrap();
    let cheap = cheap.expose_phc().to_owned();
    assert_eq!(database.query(&format!("UPDATE {{schema}}.users SET passphrase_hash = '{cheap}'")), "");
    assert_eq!(server.exchange("alan", WRONG, &device("d")).error(), "invalid_passphrase");
    assert_eq!(database.query("SELECT passphrase_hash FROM {schema}.users"), cheap);
    assert_eq!(server.exchange("alan", PHRASE, &device("d")).status, 200);
    let after = database.query("SELECT passphrase_hash FROM {schema}.users");
    assert!(after.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && after != usual, "{after}");
    assert_eq!(server.exchange("alan", PHRASE, &device("d")).status, 200);
    assert_eq!(database.query("SELECT passphrase_hash FROM {schema}.users"), after, "and is then left alone");
}
