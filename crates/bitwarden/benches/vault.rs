//! What a command costs inside: the bare key derivation, an unlock, and one item of small and large vaults.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used)]

use criterion::{Criterion, criterion_group, criterion_main};
use durward_bitwarden::Vault;
use durward_bitwarden::client::Client;
use durward_bitwarden::crypto::{Kdf, MasterKey, SessionKey, UserKey};
use durward_bitwarden::items::{ItemFilter, Wanted};
use durward_bitwarden::state::{DataFolder, Document};
use secrecy::SecretString;
use serde_json::{Value, json};
use time::OffsetDateTime;

const ID: &str = "0bc87994-7c15-4960-806d-6e807fed6694";

/// A data file with `count` logins under the user key.
fn document(count: usize, password: &SecretString, kdf: Kdf, session: &SessionKey) -> String {
    let user = UserKey::generate();
    let master = MasterKey::derive(password, "bench@example.com", kdf).unwrap();
    let sealed = |text: String| user.encrypt(&text).unwrap();
    let ciphers: serde_json::Map<String, Value> = (0..count)
        .map(|n| {
            let id = format!("00000000-0000-4000-8000-{n:012x}");
            let item = json!({
                "id": id, "type": 1, "name": sealed(format!("Site {n}")), "notes": sealed(format!("note {n}")),
                "favorite": false, "reprompt": 0, "viewPassword": true, "collectionIds": [],
                "revisionDate": "2026-11-21T23:10:22.117321Z", "creationDate": "2026-11-21T23:10:22.117321Z",
                "login": {
                    "username": sealed(format!("user{n}@example.com")), "password": sealed(format!("secret-{n}")),
                    "uris": [{"uri": sealed(format!("https://site-{n}.example.com/login")), "match": null}],
                },
            });
            (id, item)
        })
        .collect();
    let mut document = Document::new();
    let user_key = |name: &str| format!("user_{ID}_{name}");
    document.set("global_account_activeAccountId", ID).unwrap();
    document.set("global_account_accounts", &json!({ID: {"email": "bench@example.com"}})).unwrap();
    document.set(&user_key("token_accessToken"), "x.y.z").unwrap();
    let unlock = json!({
        "salt": "bench@example.com", "kdf": kdf,
        "masterKeyWrappedUserKey": master.wrap_user_key(&user).unwrap(),
    });
    document.set(&user_key("masterPasswordUnlock_masterPasswordUnlockKey"), &unlock).unwrap();
    document.set(&user_key("ciphers_ciphers"), &ciphers).unwrap();
    document.unlock(ID, &user, session, OffsetDateTime::UNIX_EPOCH).unwrap();
    document.render()
}

fn derivation(c: &mut Criterion) {
    let password = SecretString::from("correct horse battery staple");
    let mut group = c.benchmark_group("unlock");
    group.sample_size(20);
    for (name, kdf) in [
        ("pbkdf2 600000", Kdf::new(0, 600_000, None, None).unwrap()),
        ("argon2id 64 MiB, 3, 4", Kdf::new(1, 3, Some(64), Some(4)).unwrap()),
    ] {
        group.bench_function(format!("bare derivation, {name}"), |b| {
            b.iter(|| MasterKey::derive(&password, "bench@example.com", kdf).unwrap());
        });
        let dir = tempfile::tempdir().unwrap();
        let text = document(62, &password, kdf, &SessionKey::generate());
        let (folder, _) = DataFolder::open(dir.path()).unwrap();
        std::io::Write::write_all(&mut std::fs::File::create(folder.file()).unwrap(), text.as_bytes())
            .unwrap();
        let info = durward_bitwarden::api::ClientInfo {
            version: "2026.9.0".to_owned(),
            platform: durward_bitwarden::api::Platform::current(),
        };
        let client = Client::new(folder, info, durward_bitwarden::api::Network::default());
        group.bench_function(format!("unlock, {name}"), |b| {
            b.iter(|| client.unlock(&password, OffsetDateTime::UNIX_EPOCH).unwrap());
        });
    }
    group.finish();
}

fn reads(c: &mut Criterion) {
    let password = SecretString::from("correct horse battery staple");
    let kdf = Kdf::new(0, 5_000, None, None).unwrap();
    let mut group = c.benchmark_group("read");
    for count in [62, 2_000] {
        let session = SessionKey::generate();
        let text = document(count, &password, kdf, &session);
        let wanted = format!("site {}", count - 1);
        group.bench_function(format!("parse the file, {count} items"), |b| {
            b.iter(|| Document::parse(&text).unwrap());
        });
        group.bench_function(format!("one item of {count}"), |b| {
            b.iter(|| {
                let document = Document::parse(&text).unwrap();
                let vault = Vault::with_session(&document, &session).unwrap();
                vault.item(&wanted, Wanted::Password).unwrap()
            });
        });
        group.bench_function(format!("list {count}"), |b| {
            b.iter(|| {
                let document = Document::parse(&text).unwrap();
                Vault::with_session(&document, &session).unwrap().items(&ItemFilter::default())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, derivation, reads);
criterion_main!(benches);
