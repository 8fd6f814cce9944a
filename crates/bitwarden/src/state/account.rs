//! What the data file says about the logged-in account, and the small changes to it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Document, keys};
use crate::clock::iso_millis;
use crate::crypto::{Kdf, Keyring, MasterKey, OrgKeySource, SessionKey, UserKey};
use crate::environment::Environment;
use crate::{Error, Result};

/// What unlocking with the master password needs; no network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MasterPasswordUnlock {
    /// The salt of the key derivation.
    pub salt: String,
    /// The key derivation.
    pub kdf: Kdf,
    /// The user key under the stretched master key.
    pub master_key_wrapped_user_key: String,
}

/// Whether TOTP codes may be shown.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccountProfile {
    /// The account itself pays.
    pub has_premium_personally: bool,
    /// An organisation pays.
    pub has_premium_from_any_organization: bool,
}

/// The logged-in account of a [`Document`], read only.
#[derive(Clone, Copy, Debug)]
pub struct Account<'d> {
    document: &'d Document,
    id: &'d str,
}

impl Document {
    /// The server settings in force before login.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn environment(&self) -> Result<Environment> {
        Ok(self.get(keys::ENVIRONMENT)?.unwrap_or_default())
    }

    /// Changes the server settings.
    ///
    /// # Errors
    /// [`Error::LogoutRequired`] while an account is active.
    pub fn set_environment(&mut self, environment: &Environment) -> Result<()> {
        if self.account()?.is_some() {
            return Err(Error::LogoutRequired);
        }
        self.set(keys::ENVIRONMENT, environment)
    }

    /// This installation's device identifier, made when first needed.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn device_id(&mut self) -> Result<String> {
        if let Some(id) = self.get::<String>(keys::APP_ID)? {
            return Ok(id);
        }
        let id = random_guid();
        self.set(keys::APP_ID, &id)?;
        Ok(id)
    }

    /// The device identifier, if it was made already.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn known_device_id(&self) -> Result<Option<String>> {
        self.get(keys::APP_ID)
    }

    /// The logged-in account: an active id with an access token.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn account(&self) -> Result<Option<Account<'_>>> {
        let Some(raw) = self.raw(keys::ACTIVE) else { return Ok(None) };
        let id: &str = serde_json::from_str(raw).map_err(|_| Error::BadState(keys::ACTIVE.to_owned()))?;
        let token: Option<String> = self.get(&keys::user(id, keys::ACCESS_TOKEN))?;
        Ok(token.is_some_and(|t| !t.is_empty()).then_some(Account { document: self, id }))
    }

    /// The server's settings cached for an API URL, with the time they were fetched.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn server_config(&self, api: &str) -> Result<Option<(Value, OffsetDateTime)>> {
        let all: Option<BTreeMap<String, Value>> = self.get(keys::CONFIG_BY_SERVER)?;
        let Some(config) = all.and_then(|mut all| all.remove(api)) else { return Ok(None) };
        let at = config["utcDate"].as_str().and_then(|t| OffsetDateTime::parse(t, &Rfc3339).ok());
        Ok(at.map(|at| (config, at)))
    }

    /// Caches the server's settings.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn set_server_config(&mut self, api: &str, mut config: Value, now: OffsetDateTime) -> Result<()> {
        config["utcDate"] = Value::String(iso_millis(now));
        let mut all: BTreeMap<String, Value> = self.get(keys::CONFIG_BY_SERVER)?.unwrap_or_default();
        all.insert(api.to_owned(), config.clone());
        self.set(keys::CONFIG_BY_SERVER, &all)?;
        if let Some(id) = self.account()?.map(|a| a.id.to_owned()) {
            self.set(&keys::user(&id, keys::SERVER_CONFIG), &config)?;
        }
        Ok(())
    }

    /// The remember token of an e-mail address.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn remember_token(&self, email: &str) -> Result<Option<SecretString>> {
        let all: Option<HashMap<String, String>> = self.get(keys::REMEMBERED)?;
        Ok(all.and_then(|mut all| all.remove(&email.trim().to_lowercase())).map(SecretString::from))
    }

    /// Keeps, or with `None` forgets, a remember token.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn set_remember_token(&mut self, email: &str, token: Option<&SecretString>) -> Result<()> {
        let mut all: BTreeMap<String, String> = self.get(keys::REMEMBERED)?.unwrap_or_default();
        let email = email.trim().to_lowercase();
        match token {
            Some(token) => {
                all.insert(email, token.expose_secret().to_owned());
            }
            None if all.remove(&email).is_none() => return Ok(()),
            None => {}
        }
        self.set(keys::REMEMBERED, &all)
    }
}

impl<'d> Account<'d> {
    /// The account's id.
    pub fn id(&self) -> &'d str {
        self.id
    }

    fn get<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        self.document.get(&keys::user(self.id, name))
    }

    fn secret(&self, name: &str) -> Result<Option<SecretString>> {
        Ok(self.get::<String>(name)?.filter(|t| !t.is_empty()).map(SecretString::from))
    }

    /// The e-mail address, empty when the file has none.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn email(&self) -> Result<String> {
        let accounts: Option<HashMap<String, Value>> = self.document.get(keys::ACCOUNTS)?;
        let mine = accounts.and_then(|mut all| all.remove(self.id)).unwrap_or_default();
        Ok(mine["email"].as_str().unwrap_or_default().to_owned())
    }

    /// The account's own copy of the server settings.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn environment(&self) -> Result<Environment> {
        match self.get(keys::USER_ENVIRONMENT)? {
            Some(environment) => Ok(environment),
            None => self.document.environment(),
        }
    }

    /// The access token.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`], [`Error::BadState`].
    pub fn access_token(&self) -> Result<SecretString> {
        self.secret(keys::ACCESS_TOKEN)?.ok_or(Error::NotLoggedIn)
    }

    /// The refresh token; API-key logins have none.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn refresh_token(&self) -> Result<Option<SecretString>> {
        self.secret(keys::REFRESH_TOKEN)
    }

    /// Id and secret of an API-key login.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn api_key(&self) -> Result<Option<(String, SecretString)>> {
        let Some(secret) = self.secret(keys::CLIENT_SECRET)? else { return Ok(None) };
        Ok(self.get::<String>(keys::CLIENT_ID)?.map(|id| (id, secret)))
    }

    /// What the password unlocks.
    ///
    /// # Errors
    /// [`Error::BadState`], [`Error::Unsupported`] for accounts without a master password.
    pub fn password_unlock(&self) -> Result<MasterPasswordUnlock> {
        if let Some(unlock) = self.get::<MasterPasswordUnlock>(keys::PASSWORD_UNLOCK)? {
            return Ok(unlock);
        }
        // Files of older versions hold the parts only.
        let wrapped = self.get::<String>(keys::WRAPPED_USER_KEY)?;
        match (wrapped, self.get::<Kdf>(keys::KDF)?) {
            (Some(master_key_wrapped_user_key), Some(kdf)) => {
                Ok(MasterPasswordUnlock { salt: self.email()?, kdf, master_key_wrapped_user_key })
            }
            _ => Err(Error::Unsupported("Master password unlock data is required is null or undefined.")),
        }
    }

    /// Derives the master key and opens the user key with it.
    ///
    /// # Errors
    /// [`Error::WrongPassword`], those of [`Account::password_unlock`].
    pub fn open_with_password(&self, password: &SecretString) -> Result<UserKey> {
        let unlock = self.password_unlock()?;
        let master = MasterKey::derive(password, &unlock.salt, unlock.kdf)?;
        let user = master.unwrap_user_key(&unlock.master_key_wrapped_user_key);
        drop(master);
        crate::crypto::wipe_stack();
        user
    }

    /// Opens the user key with a session key. `None` when the vault is locked.
    ///
    /// # Errors
    /// [`Error::BadState`]; [`Error::ForeignKey`] when what is opened is another account's.
    pub fn open_with_session(&self, session: &SessionKey) -> Result<Option<UserKey>> {
        Ok(self.session_keyring(session)?.map(|keyring| keyring.user().clone()))
    }

    /// The same with all keys.
    pub(crate) fn session_keyring(&self, session: &SessionKey) -> Result<Option<Keyring>> {
        let entry: Option<String> = self.document.get(&keys::protected(self.id))?;
        let Some(user) = entry.and_then(|entry| session.open(&entry)) else { return Ok(None) };
        let keyring = self.keyring(user)?;
        if keyring.user_key_fits() { Ok(Some(keyring)) } else { Err(Error::ForeignKey) }
    }

    /// Whether the account's key comes from an organisation's Key Connector, so that there is no master password.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn uses_key_connector(&self) -> Result<bool> {
        Ok(self.get(keys::KEY_CONNECTOR)?.unwrap_or(false))
    }

    /// All keys, given the user key.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn keyring(&self, user: UserKey) -> Result<Keyring> {
        let sources: HashMap<String, OrgKeySource> = self.get(keys::ORG_KEYS)?.unwrap_or_default();
        let providers: HashMap<String, String> = self.get(keys::PROVIDER_KEYS)?.unwrap_or_default();
        Ok(Keyring::new(user, self.wrapped_private_key()?, sources, providers))
    }

    fn wrapped_private_key(&self) -> Result<Option<String>> {
        let state: Option<Value> = self.get(keys::CRYPTO_STATE)?;
        let state = state.unwrap_or_default();
        let key = ["V1", "V2"].iter().find_map(|v| state[*v]["private_key"].as_str());
        Ok(key.map(str::to_owned))
    }

    /// Whether TOTP codes may be shown.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn profile(&self) -> Result<AccountProfile> {
        Ok(self.get(keys::PROFILE)?.unwrap_or_default())
    }

    /// The last sync as the file has it.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn last_sync(&self) -> Result<Option<String>> {
        self.get(keys::LAST_SYNC)
    }

    /// The user key's id at the server, once known.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn user_key_id(&self) -> Result<Option<String>> {
        self.get(keys::USER_KEY_ID)
    }

    /// When the last attempt to tell the server the key's id failed.
    ///
    /// # Errors
    /// [`Error::BadState`].
    pub fn backfill_cooldown(&self) -> Result<Option<OffsetDateTime>> {
        let at: Option<String> = self.get(keys::BACKFILL_COOLDOWN)?;
        Ok(at.and_then(|t| OffsetDateTime::parse(&t, &Rfc3339).ok()))
    }

    /// The encrypted items as text, by id.
    pub fn ciphers(&self) -> Vec<(Cow<'d, str>, &'d str)> {
        self.document.members(&keys::user(self.id, keys::CIPHERS)).unwrap_or_default()
    }

    /// The encrypted folders.
    pub fn folders(&self) -> Option<&'d str> {
        self.document.raw(&keys::user(self.id, keys::FOLDERS))
    }

    /// The encrypted collections.
    pub fn collections(&self) -> Option<&'d str> {
        self.document.raw(&keys::user(self.id, keys::COLLECTIONS))
    }

    /// The organisations' policies. A file that was written by an older program has the older map only.
    pub(crate) fn policies(&self) -> Option<&'d str> {
        let map = |name: &str| self.document.raw(&keys::user(self.id, name));
        map(keys::POLICIES_NEW).or_else(|| map(keys::POLICIES))
    }

    /// The organisations.
    pub fn organizations(&self) -> Option<&'d str> {
        self.document.raw(&keys::user(self.id, keys::ORGANIZATIONS))
    }
}

/// The claims of an access token that this client reads. The token's signature is the server's business.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// The account's id.
    pub sub: String,
    /// Its e-mail address.
    pub email: String,
    /// Its name.
    pub name: Option<String>,
    /// Whether the address is confirmed.
    #[serde(deserialize_with = "truthy")]
    pub email_verified: bool,
    /// Whether the account pays.
    #[serde(deserialize_with = "truthy")]
    pub premium: bool,
    /// End of life, seconds since 1970.
    pub exp: i64,
    /// The client it was given to.
    pub client_id: Option<String>,
}

impl Claims {
    /// Reads the middle part of a token.
    pub fn parse(token: &SecretString) -> Option<Self> {
        let middle = token.expose_secret().split('.').nth(1)?;
        let bytes = URL_SAFE_NO_PAD.decode(middle.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Servers write booleans as such or as text.
fn truthy<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value == Value::Bool(true) || value.as_str().is_some_and(|t| t.eq_ignore_ascii_case("true")))
}

fn random_guid() -> String {
    uuid::Builder::from_random_bytes(*bitwarden_crypto::generate_random_bytes::<[u8; 16]>())
        .into_uuid()
        .to_string()
}
