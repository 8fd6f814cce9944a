//! The larger changes to the data file: after a login, after a sync, at unlock, lock and logout.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::account::{AccountProfile, Claims, MasterPasswordUnlock};
use super::{Document, keys};
use crate::Result;
use crate::clock::iso_millis;
use crate::crypto::{OrgKeySource, SessionKey, UserKey};

/// What a good answer of the token endpoint leaves on disk.
#[derive(Debug)]
pub struct LoginRecord {
    /// The access token's claims.
    pub claims: Claims,
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token; API-key logins have none.
    pub refresh_token: Option<SecretString>,
    /// Id and secret of an API-key login.
    pub api_key: Option<(String, SecretString)>,
    /// `userDecryptionOptions` in the shape of the file.
    pub decryption_options: Value,
    /// What the master password unlocks.
    pub unlock: Option<MasterPasswordUnlock>,
    /// `{"V1":{"private_key":…}}` or `{"V2":…}`.
    pub crypto_state: Option<Value>,
    /// Whether the key comes from a Key Connector.
    pub key_connector: bool,
}

/// Encrypted objects by id, in the server's order.
pub type ById = Vec<(String, Value)>;

/// What a sync leaves on disk.
#[derive(Debug, Default)]
pub struct SyncRecord {
    /// The account's id, e-mail, name, verification and creation date.
    pub account: Value,
    /// Master password data, when the server sends it.
    pub unlock: Option<MasterPasswordUnlock>,
    /// The wrapped user key of the profile.
    pub wrapped_user_key: Option<String>,
    /// As in [`LoginRecord`].
    pub crypto_state: Option<Value>,
    /// The user key's id, when the server knows it.
    pub user_key_id: Option<String>,
    /// Who pays.
    pub profile: AccountProfile,
    /// Whether the key comes from a Key Connector.
    pub key_connector: bool,
    /// Whether new devices must be verified.
    pub verify_devices: bool,
    /// A colour, or null.
    pub avatar: Value,
    /// Where organisation keys come from.
    pub org_keys: BTreeMap<String, OrgKeySource>,
    /// Wrapped provider keys.
    pub provider_keys: BTreeMap<String, String>,
    /// Organisations by id.
    pub organizations: ById,
    /// Providers by id.
    pub providers: ById,
    /// Policies of confirmed memberships by id.
    pub policies: ById,
    /// Policies of accepted ones, too; empty when there are none, and then those on disk stay.
    pub policies_new: ById,
    /// Folders by id.
    pub folders: ById,
    /// Collections by id.
    pub collections: ById,
    /// Items by id.
    pub ciphers: ById,
    /// Sends by id.
    pub sends: ById,
}

impl Document {
    /// Records a login. The session entry is written apart, by [`Document::unlock`].
    ///
    /// # Errors
    /// [`crate::Error::BadState`] when the file has another shape than it should.
    pub fn log_in(&mut self, record: &LoginRecord, now: OffsetDateTime) -> Result<()> {
        let id = record.claims.sub.as_str();
        let environment = self.environment()?;
        self.set(keys::ENVIRONMENT, &environment)?;
        let mut accounts: BTreeMap<String, Value> = self.get(keys::ACCOUNTS)?.unwrap_or_default();
        let entry = accounts.entry(id.to_owned()).or_insert_with(|| json!({}));
        entry["name"] = record.claims.name.clone().map_or(Value::Null, Value::String);
        entry["email"] = Value::String(record.claims.email.clone());
        entry["emailVerified"] = Value::Bool(record.claims.email_verified);
        self.set(keys::ACCOUNTS, &accounts)?;
        self.touch(id, now)?;
        self.put(id, keys::USER_ENVIRONMENT, &environment)?;
        self.register_events()?;
        self.set(keys::ACTIVE, id)?;
        self.put(id, keys::DECRYPTION_OPTIONS, &record.decryption_options)?;
        if let Some(unlock) = &record.unlock {
            self.set_password_unlock(id, unlock)?;
        }
        self.put(id, keys::TIMEOUT, "never")?;
        self.put(id, keys::TIMEOUT_ACTION, "lock")?;
        self.set_tokens(id, &record.access_token, record.refresh_token.as_ref())?;
        if let Some((client_id, secret)) = &record.api_key {
            self.put(id, keys::CLIENT_ID, client_id)?;
            self.put(id, keys::CLIENT_SECRET, secret.expose_secret())?;
        }
        let profile =
            AccountProfile { has_premium_personally: record.claims.premium, ..AccountProfile::default() };
        self.put(id, keys::PROFILE, &profile)?;
        if let Some(state) = &record.crypto_state {
            self.put(id, keys::CRYPTO_STATE, state)?;
        }
        self.put(id, keys::KEY_CONNECTOR, &record.key_connector)
    }

    /// Records what a sync brought.
    ///
    /// # Errors
    /// [`crate::Error::BadState`] when the file has another shape than it should.
    pub fn store_sync(&mut self, id: &str, sync: &SyncRecord, now: OffsetDateTime) -> Result<()> {
        let mut accounts: BTreeMap<String, Value> = self.get(keys::ACCOUNTS)?.unwrap_or_default();
        let entry = accounts.entry(id.to_owned()).or_insert_with(|| json!({}));
        for name in ["name", "email", "emailVerified", "creationDate"] {
            if !sync.account[name].is_null() {
                entry[name] = sync.account[name].clone();
            }
        }
        self.set(keys::ACCOUNTS, &accounts)?;
        if let Some(unlock) = &sync.unlock {
            self.set_password_unlock(id, unlock)?;
        }
        if let Some(wrapped) = &sync.wrapped_user_key {
            self.put(id, keys::WRAPPED_USER_KEY, wrapped)?;
        }
        if let Some(state) = &sync.crypto_state {
            self.put(id, keys::CRYPTO_STATE, state)?;
        }
        if let Some(key_id) = &sync.user_key_id {
            self.put(id, keys::USER_KEY_ID, key_id)?;
        }
        self.put(id, keys::PROVIDER_KEYS, &sync.provider_keys)?;
        self.put(id, keys::ORG_KEYS, &sync.org_keys)?;
        self.put(id, keys::AVATAR, &sync.avatar)?;
        self.put(id, keys::PROFILE, &sync.profile)?;
        self.put(id, keys::VERIFY_DEVICE, &sync.verify_devices)?;
        self.put(id, keys::KEY_CONNECTOR, &sync.key_connector)?;
        for (name, objects) in [
            (keys::PROVIDERS, &sync.providers),
            (keys::ORGANIZATIONS, &sync.organizations),
            (keys::FOLDERS, &sync.folders),
            (keys::COLLECTIONS, &sync.collections),
            (keys::CIPHERS, &sync.ciphers),
            (keys::SENDS, &sync.sends),
            (keys::POLICIES, &sync.policies),
        ] {
            self.put(id, name, &InOrder(objects))?;
        }
        if !sync.policies_new.is_empty() {
            self.put(id, keys::POLICIES_NEW, &InOrder(&sync.policies_new))?;
        }
        self.put(id, keys::DOMAINS, &json!([]))?;
        self.set_last_sync(id, now)
    }

    /// Records that the vault is up to date.
    ///
    /// # Errors
    /// [`crate::Error::BadState`].
    pub fn set_last_sync(&mut self, id: &str, now: OffsetDateTime) -> Result<()> {
        self.put(id, keys::LAST_SYNC, &iso_millis(now))
    }

    /// Replaces the tokens; a missing refresh token leaves the old one.
    ///
    /// # Errors
    /// [`crate::Error::BadState`].
    pub fn set_tokens(
        &mut self,
        id: &str,
        access: &SecretString,
        refresh: Option<&SecretString>,
    ) -> Result<()> {
        self.put(id, keys::ACCESS_TOKEN, access.expose_secret())?;
        match refresh {
            Some(refresh) => self.put(id, keys::REFRESH_TOKEN, refresh.expose_secret()),
            None => Ok(()),
        }
    }

    /// Protects the user key under a session key: the vault is unlocked for whoever has it. Older session keys
    /// open nothing any more.
    ///
    /// # Errors
    /// [`crate::Error::Decrypt`] when the cryptographic library refuses.
    pub fn unlock(
        &mut self,
        id: &str,
        key: &UserKey,
        session: &SessionKey,
        now: OffsetDateTime,
    ) -> Result<()> {
        self.set(&keys::protected(id), &session.protect(key)?)?;
        self.put(id, keys::EVER_HAD_KEY, &true)?;
        self.touch(id, now)
    }

    /// Removes the protected entry: every session key is dead.
    pub fn lock(&mut self, id: &str) {
        self.remove(&keys::protected(id));
    }

    /// Notes the user key's id at the server.
    ///
    /// # Errors
    /// [`crate::Error::BadState`].
    pub fn set_user_key_id(&mut self, id: &str, key_id: &str) -> Result<()> {
        self.put(id, keys::USER_KEY_ID, key_id)?;
        self.remove(&keys::user(id, keys::BACKFILL_COOLDOWN));
        Ok(())
    }

    /// Notes that the server would not take the key's id just now. The official client 2026.9.0 asks no earlier
    /// than a day later, and fails its whole `login` or `unlock` when it asks in vain.
    ///
    /// # Errors
    /// [`crate::Error::BadState`].
    pub fn start_backfill_cooldown(&mut self, id: &str, now: OffsetDateTime) -> Result<()> {
        self.put(id, keys::BACKFILL_COOLDOWN, &iso_millis(now))
    }

    /// Forgets the account: everything of it but what the official client keeps too. Keys that stay there as
    /// `null` stay so here.
    ///
    /// # Errors
    /// [`crate::Error::BadState`].
    pub fn log_out(&mut self, id: &str) -> Result<()> {
        self.remove(&keys::protected(id));
        let prefix = keys::user(id, "");
        let mine: Vec<String> = self.keys().filter(|k| k.starts_with(&prefix)).map(str::to_owned).collect();
        for key in mine {
            let name = key.strip_prefix(&prefix).unwrap_or_default();
            if keys::NULL_AFTER_LOGOUT.contains(&name) {
                self.set(&key, &Value::Null)?;
            } else if !keys::KEPT_AT_LOGOUT.contains(&name) {
                self.remove(&key);
            }
        }
        let mut accounts: BTreeMap<String, Value> = self.get(keys::ACCOUNTS)?.unwrap_or_default();
        accounts.insert(id.to_owned(), json!({"email": "", "emailVerified": false}));
        self.set(keys::ACCOUNTS, &accounts)?;
        let mut activity: BTreeMap<String, Value> = self.get(keys::ACTIVITY)?.unwrap_or_default();
        activity.remove(id);
        self.set(keys::ACTIVITY, &activity)?;
        self.set(keys::ACTIVE, &Value::Null)
    }

    fn put(&mut self, id: &str, name: &str, value: &(impl Serialize + ?Sized)) -> Result<()> {
        self.set(&keys::user(id, name), value)
    }

    fn set_password_unlock(&mut self, id: &str, unlock: &MasterPasswordUnlock) -> Result<()> {
        self.put(id, keys::PASSWORD_UNLOCK, unlock)?;
        self.put(id, keys::KDF, &unlock.kdf)?;
        self.put(id, keys::WRAPPED_USER_KEY, &unlock.master_key_wrapped_user_key)
    }

    fn touch(&mut self, id: &str, now: OffsetDateTime) -> Result<()> {
        let mut activity: BTreeMap<String, Value> = self.get(keys::ACTIVITY)?.unwrap_or_default();
        activity.insert(id.to_owned(), Value::String(iso_millis(now)));
        self.set(keys::ACTIVITY, &activity)
    }

    /// The official client wipes at logout what is registered here; what it does not find it leaves behind.
    fn register_events(&mut self) -> Result<()> {
        for (key, wanted) in
            [(keys::CLEAR_ON_LOGOUT, keys::LOGOUT_EVENTS), (keys::CLEAR_ON_LOCK, keys::LOCK_EVENTS)]
        {
            let mut events: Vec<Value> = self.get(key)?.unwrap_or_default();
            let before = events.len();
            for (state, name, location) in wanted {
                if !events.iter().any(|e| e["state"] == *state && e["key"] == *name) {
                    events.push(json!({"state": state, "key": name, "location": location}));
                }
            }
            if events.len() != before {
                self.set(key, &events)?;
            }
        }
        Ok(())
    }
}

/// A map that keeps the server's order.
struct InOrder<'a>(&'a ById);

impl Serialize for InOrder<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(k, v)| (k, v)))
    }
}
