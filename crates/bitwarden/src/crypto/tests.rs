//! The vectors: every account, wrapped key, protected entry and negative case of the reference file.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bitwarden_crypto::SymmetricCryptoKey;
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::keyring::{decrypt_with, unwrap_item_key};
use super::*;
use crate::Error;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/bitwarden-vectors.json")).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is no text"))
}

fn secret(value: &Value, key: &str) -> SecretString {
    SecretString::from(text(value, key))
}

fn account(vectors: &Value, tag: &str) -> Value {
    vectors["accounts"].as_array().unwrap().iter().find(|a| a["tag"] == tag).unwrap().clone()
}

fn master_key(account: &Value) -> MasterKey {
    let kdf: Kdf = serde_json::from_value(account["kdf"].clone()).unwrap();
    MasterKey::derive(&secret(account, "password"), text(account, "email"), kdf).unwrap()
}

#[test]
fn accounts_derive_hash_and_unwrap_as_recorded() {
    for account in vectors()["accounts"].as_array().unwrap() {
        let master = master_key(account);
        assert_eq!(
            master.server_hash(&secret(account, "password")).expose_secret(),
            text(account, "masterPasswordHash")
        );
        let user = master.unwrap_user_key(text(account, "masterKeyWrappedUserKey")).unwrap();
        assert_eq!(user.expose_base64().expose_secret(), text(account, "userKey"));
        assert_eq!(user.id().unwrap(), text(account, "userKeyId"));
        assert_eq!(
            user.decrypt(text(account, "sampleFieldEncString")).unwrap(),
            text(account, "sampleFieldPlaintext")
        );
        let session = SessionKey::parse(&secret(account, "sessionKey")).unwrap();
        let opened = session.open(text(account, "protectedUserAuto")).unwrap();
        assert_eq!(opened.expose_base64().expose_secret(), text(account, "userKey"));
        let keyring = Keyring::new(
            user,
            Some(text(account, "wrappedPrivateKey").to_owned()),
            HashMap::new(),
            HashMap::new(),
        );
        assert!(keyring.user_key_fits());
        let other = Keyring::new(
            UserKey::generate(),
            Some(text(account, "wrappedPrivateKey").to_owned()),
            HashMap::new(),
            HashMap::new(),
        );
        assert!(!other.user_key_fits());
    }
}

#[test]
fn entries_written_by_the_official_command_line_open_and_ours_have_their_size() {
    for entry in vectors()["protectedStorage"]["writtenByOfficialCli"].as_array().unwrap() {
        let session = SessionKey::parse(&secret(entry, "sessionKey")).unwrap();
        let user = session.open(text(entry, "value")).unwrap();
        assert_eq!(user.expose_base64().expose_secret(), text(entry, "plaintextBase64"));
        let ours = session.protect(&user).unwrap();
        assert_eq!(ours.len(), 172);
        assert_ne!(ours, text(entry, "value"), "a fresh iv each time");
        assert_eq!(session.open(&ours).unwrap().id(), user.id());
        assert!(SessionKey::generate().open(&ours).is_none());
    }
}

#[test]
fn wrong_passwords_and_type_zero_wraps() {
    let vectors = vectors();
    let low = account(&vectors, "pbkdf2-min");
    let legacy = &vectors["legacyType0UserKey"];
    let user = master_key(&low).unwrap_user_key(text(legacy, "encString")).unwrap();
    assert_eq!(user.expose_base64().expose_secret(), text(legacy, "expectUserKey"));

    let kdf: Kdf = serde_json::from_value(low["kdf"].clone()).unwrap();
    let wrong = MasterKey::derive(&SecretString::from("hunter2hunter2 "), text(&low, "email"), kdf).unwrap();
    assert!(matches!(
        wrong.unwrap_user_key(text(&low, "masterKeyWrappedUserKey")),
        Err(Error::WrongPassword)
    ));
}

#[test]
fn bad_mac_is_refused_and_so_is_type_zero_in_the_vault() {
    let vectors = vectors();
    let negative = &vectors["negative"];
    let key = UserKey::from_base64(&secret(negative, "type2BadMacKey")).unwrap();
    assert!(key.decrypt(text(negative, "type2BadMac")).is_err());
    assert!(key.decrypt(text(&vectors["legacyType0UserKey"], "encString")).is_err());
}

#[test]
fn organisation_keys_of_both_rsa_types() {
    let vectors = vectors();
    let account = account(&vectors, "pbkdf2");
    let org = &vectors["orgKeys"];
    for field in ["type4RsaOaepSha1", "type3RsaOaepSha256"] {
        let user = UserKey::from_base64(&secret(&account, "userKey")).unwrap();
        let sources = HashMap::from([(
            "o".to_owned(),
            OrgKeySource::Organization { key: text(org, field).to_owned() },
        )]);
        let keyring =
            Keyring::new(user, Some(text(&account, "wrappedPrivateKey").to_owned()), sources, HashMap::new());
        assert_eq!(keyring.owner(Some("o")).unwrap().to_base64().to_string(), text(org, "orgKey"));
        assert!(keyring.owner(Some("unknown")).is_none());
    }
}

#[test]
fn provider_organisations_go_over_the_provider_key() {
    let vectors = vectors();
    let account = account(&vectors, "pbkdf2");
    let provider_key = text(&vectors["orgKeys"], "orgKey");
    let provider = UserKey::from_base64(&SecretString::from(provider_key)).unwrap();
    let inner = UserKey::generate();
    let raw = STANDARD.decode(inner.expose_base64().expose_secret()).unwrap();
    let wrapped = provider.encrypt_bytes(&raw).unwrap();
    let keyring = Keyring::new(
        UserKey::from_base64(&secret(&account, "userKey")).unwrap(),
        Some(text(&account, "wrappedPrivateKey").to_owned()),
        HashMap::from([(
            "o".to_owned(),
            OrgKeySource::Provider { key: wrapped, provider_id: "p".to_owned() },
        )]),
        HashMap::from([("p".to_owned(), text(&vectors["orgKeys"], "type4RsaOaepSha1").to_owned())]),
    );
    assert_eq!(
        &keyring.owner(Some("o")).unwrap().to_base64().to_string(),
        inner.expose_base64().expose_secret()
    );
}

#[test]
fn cose_keys_and_type_seven() {
    for case in vectors()["coseType7"].as_array().unwrap() {
        let key = SymmetricCryptoKey::try_from(text(case, "keyBase64").to_owned()).unwrap();
        assert_eq!(decrypt_with(&key, text(case, "encString")).unwrap(), text(case, "plaintext"));
        assert_eq!(UserKey::new(key).id().unwrap(), text(case, "keyId"));
    }
}

#[test]
fn a_cose_user_key_goes_through_wrap_session_and_items() {
    let vectors = vectors();
    let low = account(&vectors, "pbkdf2-min");
    for case in vectors["coseType7"].as_array().unwrap() {
        let key = UserKey::from_base64(&secret(case, "keyBase64")).unwrap();
        let wrapped = master_key(&low).wrap_user_key(&key).unwrap();
        let opened = master_key(&low).unwrap_user_key(&wrapped).unwrap();
        assert_eq!(opened.decrypt(text(case, "encString")).unwrap(), text(case, "plaintext"));
        let session = SessionKey::generate();
        let again = session.open(&session.protect(&opened).unwrap()).unwrap();
        assert_eq!(again.id().unwrap(), text(case, "keyId"));
        assert_eq!(again.decrypt(&again.encrypt("x").unwrap()).unwrap(), "x");
    }
}

#[test]
fn item_keys_unwrap_under_their_owner_only() {
    let owner = UserKey::generate();
    let item = UserKey::generate();
    let raw = STANDARD.decode(item.expose_base64().expose_secret()).unwrap();
    let wrapped = owner.encrypt_bytes(&raw).unwrap();
    assert_eq!(unwrap_item_key(owner.sdk(), &wrapped).unwrap(), *item.sdk());
    assert!(unwrap_item_key(item.sdk(), &wrapped).is_none());
}

#[test]
fn weak_and_huge_derivations_are_refused_before_any_work() {
    assert!(matches!(Kdf::new(0, 4_999, None, None), Err(Error::KdfTooWeak(_))));
    assert!(matches!(Kdf::new(0, 4_000_001, None, None), Err(Error::KdfTooStrong(_))));
    assert!(matches!(Kdf::new(1, 3, Some(15), Some(4)), Err(Error::KdfTooWeak(_))));
    assert!(matches!(Kdf::new(1, 3, None, Some(4)), Err(Error::KdfTooWeak(_))));
    assert!(matches!(Kdf::new(1, 3, Some(1_025), Some(4)), Err(Error::KdfTooStrong(_))));
    assert!(matches!(Kdf::new(1, 3, Some(u64::MAX), Some(4)), Err(Error::KdfTooStrong(_))));
    assert!(matches!(Kdf::new(1, 21, Some(64), Some(4)), Err(Error::KdfTooStrong(_))));
    assert!(matches!(Kdf::new(1, 3, Some(64), Some(17)), Err(Error::KdfTooStrong(_))));
    assert!(matches!(Kdf::new(7, 600_000, None, None), Err(Error::KdfUnknown(7))));
    assert!(Kdf::new(1, 10, Some(1_024), Some(16)).is_ok());
}

#[test]
fn kdf_settings_stand_on_disk_in_the_official_order() {
    let argon = Kdf::new(1, 3, Some(64), Some(4)).unwrap();
    assert_eq!(
        serde_json::to_string(&argon).unwrap(),
        r#"{"iterations":3,"memory":64,"parallelism":4,"kdfType":1}"#
    );
    let pbkdf2 = Kdf::new(0, 600_000, None, None).unwrap();
    assert_eq!(serde_json::to_string(&pbkdf2).unwrap(), r#"{"iterations":600000,"kdfType":0}"#);
}

#[test]
fn debug_shows_no_key() {
    let key = UserKey::generate();
    assert_eq!(format!("{key:?} {:?}", SessionKey::generate()), "UserKey([redacted]) SessionKey([redacted])");
}

#[test]
fn session_keys_of_the_wrong_size_are_no_keys() {
    for bad in ["", "garbage", "AAAA", "!!!!", &STANDARD.encode([0u8; 63]), &STANDARD.encode([0u8; 65])] {
        assert!(SessionKey::parse(&SecretString::from(bad)).is_none(), "{bad}");
    }
}

proptest! {
    /// Nothing that looks like, or does not look like, an encrypted text may panic or decrypt.
    #[test]
    fn any_text_is_refused_without_a_panic(text in "([0-9]{1,2}\\.)?[A-Za-z0-9+/=|. ]{0,200}") {
        let key = UserKey::generate();
        prop_assert!(key.decrypt(&text).is_err());
        prop_assert!(SessionKey::generate().open(&text).is_none());
    }

    /// A changed character never yields another text. (The decoder takes a last character whose spare bits
    /// differ; then the bytes are the same, and so is the text.)
    #[test]
    fn bending_a_text_never_changes_it(plain in "\\PC{0,40}", at in any::<prop::sample::Index>(), with in "[A-Za-z0-9+/=|.]") {
        let key = UserKey::generate();
        let sealed = key.encrypt(&plain).unwrap();
        prop_assert_eq!(&key.decrypt(&sealed).unwrap(), &plain);
        let i = at.index(sealed.len());
        let mut bent = sealed.clone();
        bent.replace_range(i..=i, &with);
        if let Ok(opened) = key.decrypt(&bent) {
            prop_assert_eq!(opened, plain);
        }
    }

    /// The binary form, too.
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(SessionKey::generate().open(&STANDARD.encode(bytes)).is_none());
    }
}
