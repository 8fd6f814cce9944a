//! Targets of what a Bitwarden server and its data file say.

use std::sync::OnceLock;

use durward_bitwarden::api::parse_sync;
use durward_bitwarden::crypto::{SessionKey, UserKey};
use durward_bitwarden::state::Document;

fn key() -> &'static UserKey {
    static KEY: OnceLock<UserKey> = OnceLock::new();
    KEY.get_or_init(UserKey::generate)
}

fn session() -> &'static SessionKey {
    static KEY: OnceLock<SessionKey> = OnceLock::new();
    KEY.get_or_init(SessionKey::generate)
}

/// An EncString that nobody sealed under this key opens nowhere.
pub fn enc_string(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(key().decrypt(text).is_err(), "a text nobody sealed");
    assert!(session().open(text).is_none(), "an entry nobody protected");
}

/// The answer of a sync, and a data file.
pub fn sync(data: &[u8]) {
    if let Ok(body) = serde_json::from_slice(data) {
        let _ = parse_sync(&body, "vault.example");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(document) = Document::parse(text) else { return };
    if let Ok(Some(account)) = document.account() {
        let _ = account.ciphers();
        let _ = account.password_unlock();
        let _ = account.keyring(UserKey::generate());
    }
}
