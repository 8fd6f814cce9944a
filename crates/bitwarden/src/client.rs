//! The flows: log in, unlock, sync, lock, log out, over one data folder.

use secrecy::SecretString;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::api::{
    Api, ClientInfo, Grant, Network, Prelogin, SecondFactor, TokenAnswer, TokenOutcome, TwoFactorChallenge,
};
use crate::crypto::{MasterKey, SessionKey, UserKey};
use crate::state::{Claims, DataFolder, Document, LoginRecord, MasterPasswordUnlock};
use crate::{Error, Result};

/// Tokens are renewed when they live no longer than this.
const RENEW_BEFORE: Duration = Duration::minutes(5);
/// The server's settings are fetched again after this.
const CONFIG_AGE: Duration = Duration::hours(1);
/// How long after a failed attempt the server is not told the key's id again.
const BACKFILL_PAUSE: Duration = Duration::hours(24);

/// One data folder and how this client appears on the network.
#[derive(Clone, Debug)]
pub struct Client {
    folder: DataFolder,
    info: ClientInfo,
    network: Network,
}

/// A master password login under way: what is left of the password once the key is derived.
#[derive(Debug)]
pub struct PasswordLogin {
    email: String,
    master: MasterKey,
    hash: SecretString,
}

/// What a sync did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synced {
    /// The vault was pulled.
    Pulled,
    /// Nothing had changed at the server.
    Unchanged,
}

impl PasswordLogin {
    /// Derives the master key and the server's hash. Takes time and memory as the account's settings say.
    ///
    /// # Errors
    /// Those of [`MasterKey::derive`].
    pub fn derive(email: &str, password: &SecretString, prelogin: &Prelogin) -> Result<Self> {
        let master = MasterKey::derive(password, &prelogin.salt, prelogin.kdf)?;
        let hash = master.server_hash(password);
        Ok(Self { email: email.to_owned(), master, hash })
    }

    /// The address as typed.
    pub fn email(&self) -> &str {
        &self.email
    }

    /// Opens the user key of a granted login.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the account has no key under a master password; [`Error::WrongPassword`].
    pub fn open_user_key(&self, answer: &TokenAnswer) -> Result<UserKey> {
        let wrapped = wrapped_key(answer).ok_or(Error::Unsupported(
            "Legacy encryption is no longer supported. Please contact support to recover your account.",
        ))?;
        self.master.unwrap_user_key(&wrapped)
    }
}

impl Client {
    /// Nothing is read, locked or sent yet.
    pub fn new(folder: DataFolder, info: ClientInfo, network: Network) -> Self {
        Self { folder, info, network }
    }

    /// The data folder.
    pub fn folder(&self) -> &DataFolder {
        &self.folder
    }

    /// A connection to the account's server, or, logged out, to the one set in the folder. `store` says whether
    /// a device identifier made for it is kept.
    ///
    /// # Errors
    /// [`Error::Configuration`] and those of reading the folder.
    pub fn connect(&self, store: bool) -> Result<Online<'_>> {
        let document = self.folder.read()?;
        let environment = match document.account()? {
            Some(account) => account.environment()?,
            None => document.environment()?,
        };
        let device = match document.known_device_id()? {
            Some(id) => id,
            None if store => self.folder.update(Document::device_id)?,
            None => Document::new().device_id()?,
        };
        let api = Api::new(&self.info, &self.network, environment, device)?;
        Ok(Online { client: self, api })
    }

    /// Unlocks with the master password, without network, and makes a new session key.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`], [`Error::WrongPassword`].
    pub fn unlock(&self, password: &SecretString, now: OffsetDateTime) -> Result<SessionKey> {
        let document = self.folder.read()?;
        let account = document.account()?.ok_or(Error::NotLoggedIn)?;
        let user = account.open_with_password(password)?;
        self.start_session(account.id(), &user, now)
    }

    /// Makes a new session key for an account whose user key was opened.
    ///
    /// The official client 2026.9.0 fails its own `unlock` when it cannot tell the server the key's id, so a
    /// cooldown is written that keeps it from trying while the id is unknown.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`] when that account is not the active one any more.
    pub fn start_session(&self, id: &str, user: &UserKey, now: OffsetDateTime) -> Result<SessionKey> {
        let session = SessionKey::generate();
        self.folder.update(|document| {
            // Another process may have logged out, or in as somebody else, while the key was derived.
            if active(document)? != id {
                return Err(Error::NotLoggedIn);
            }
            document.unlock(id, user, &session, now)?;
            start_cooldown_if_unknown(document, id, now)
        })?;
        Ok(session)
    }

    /// Makes every session key worthless. Repeating it is fine. An account without a master password could not be
    /// opened again, so it is logged out instead.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`]; [`Error::NoLock`] after a logout instead.
    pub fn lock(&self) -> Result<()> {
        let locked = self.folder.update(|document| {
            let account = document.account()?.ok_or(Error::NotLoggedIn)?;
            let (id, by_connector) = (account.id().to_owned(), account.uses_key_connector()?);
            if by_connector {
                document.log_out(&id)?;
            } else {
                document.lock(&id);
            }
            Ok(!by_connector)
        })?;
        if locked { Ok(()) } else { Err(Error::NoLock) }
    }

    /// Throws the entry of a session key away if what it opens is not the account's, see [`Error::ForeignKey`].
    ///
    /// # Errors
    /// Those of the data folder.
    pub fn discard_foreign_key(&self, session: &SessionKey) -> Result<()> {
        self.folder.update(|document| {
            // Looked at again: another process may have unlocked since.
            let foreign = match document.account()? {
                Some(account) if matches!(account.open_with_session(session), Err(Error::ForeignKey)) => {
                    account.id().to_owned()
                }
                _ => return Ok(()),
            };
            document.lock(&foreign);
            Ok(())
        })
    }

    /// Forgets the account. No server is told.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`].
    pub fn logout(&self) -> Result<()> {
        self.folder.update(|document| {
            let id = active(document)?;
            document.log_out(&id)
        })
    }
}

/// A [`Client`] with a server.
#[derive(Debug)]
pub struct Online<'c> {
    client: &'c Client,
    api: Api,
}

impl Online<'_> {
    /// The server's interface.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// One token request of a master password login.
    ///
    /// # Errors
    /// Refusals and network errors.
    pub async fn password_token(
        &self,
        login: &PasswordLogin,
        factor: Option<&SecondFactor>,
        new_device_otp: Option<&SecretString>,
    ) -> Result<TokenOutcome> {
        let grant = Grant::Password { email: &login.email, hash: &login.hash, new_device_otp };
        self.api.token(grant, factor).await
    }

    /// Has a login code sent by e-mail.
    ///
    /// # Errors
    /// Refusals and network errors.
    pub async fn send_email_code(
        &self,
        email: &str,
        login: Option<&PasswordLogin>,
        challenge: &TwoFactorChallenge,
    ) -> Result<()> {
        self.api.send_email_code(email, login.map(|l| &l.hash), challenge.sso_email_token.as_ref()).await
    }

    /// Stores a granted master password login, unlocked under a new session key.
    ///
    /// # Errors
    /// [`Error::BadAnswer`] for a token without an account, those of [`PasswordLogin::open_user_key`].
    pub fn store_password_login(
        &self,
        login: &PasswordLogin,
        answer: TokenAnswer,
        now: OffsetDateTime,
    ) -> Result<(SessionKey, UserKey)> {
        let user = login.open_user_key(&answer)?;
        let session = SessionKey::generate();
        self.store(answer, None, Some((&user, &session)), now)?;
        Ok((session, user))
    }

    /// Stores a granted login by API key: the vault stays locked.
    ///
    /// # Errors
    /// [`Error::BadAnswer`] for a token without an account.
    pub fn store_api_key_login(
        &self,
        answer: TokenAnswer,
        client_id: &str,
        secret: &SecretString,
        now: OffsetDateTime,
    ) -> Result<()> {
        self.store(answer, Some((client_id.to_owned(), secret.clone())), None, now)
    }

    /// Stores a granted SSO login. With a Key Connector the vault is unlocked at once, else it stays locked.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the account has neither a master password nor a Key Connector.
    pub async fn store_sso_login(
        &self,
        answer: TokenAnswer,
        now: OffsetDateTime,
    ) -> Result<Option<SessionKey>> {
        let Some(connector) = answer.key_connector.clone() else {
            if answer.decryption_options["hasMasterPassword"] != Value::Bool(true) {
                return Err(Error::Unsupported(no_way_in(&answer.decryption_options)));
            }
            self.store(answer, None, None, now)?;
            return Ok(None);
        };
        let key = self.api.key_connector_key(&connector, &answer.access_token).await?;
        let master = MasterKey::from_key_connector(&key)?;
        let wrapped = wrapped_key(&answer).ok_or(Error::Decrypt)?;
        let user = master.unwrap_user_key(&wrapped)?;
        let session = SessionKey::generate();
        self.store(answer, None, Some((&user, &session)), now)?;
        Ok(Some(session))
    }

    fn store(
        &self,
        answer: TokenAnswer,
        api_key: Option<(String, SecretString)>,
        open: Option<(&UserKey, &SessionKey)>,
        now: OffsetDateTime,
    ) -> Result<()> {
        let claims = Claims::parse(&answer.access_token).filter(|c| !c.sub.is_empty()).ok_or_else(|| {
            Error::BadAnswer {
                host: self.api.environment().web_vault_host(),
                what: "the access token names no account".to_owned(),
            }
        })?;
        let id = claims.sub.clone();
        let record = LoginRecord {
            claims,
            key_connector: answer.key_connector.is_some(),
            access_token: answer.access_token,
            refresh_token: answer.refresh_token,
            api_key,
            decryption_options: answer.decryption_options,
            unlock: answer.unlock,
            crypto_state: answer.crypto_state,
        };
        self.client.folder.update(|document| {
            if let Some(account) = document.account()? {
                return Err(Error::AlreadyLoggedIn(account.email()?));
            }
            document.log_in(&record, now)?;
            match open {
                Some((user, session)) => document.unlock(&id, user, session, now),
                None => Ok(()),
            }
        })
    }

    /// Fetches the server's settings when the cached copy is old. Failure does not matter to anything here.
    pub async fn refresh_config(&self, now: OffsetDateTime) {
        let key = self.api.environment().api();
        let Ok(document) = self.client.folder.read() else { return };
        let fresh = document.server_config(&key).ok().flatten().is_some_and(|(_, at)| now - at < CONFIG_AGE);
        if fresh {
            return;
        }
        let token = document.account().ok().flatten().and_then(|a| a.access_token().ok());
        if let Ok(config) = self.api.config(token.as_ref()).await {
            let config = if config.is_object() { config } else { json!({}) };
            let _ = self.client.folder.update(|document| document.set_server_config(&key, config, now));
        }
    }

    /// Pulls the vault when it changed, or, with `force`, in any case.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`]; [`Error::SessionExpired`], after which the account is logged out here too.
    pub async fn sync(&self, force: bool, now: OffsetDateTime) -> Result<Synced> {
        let document = self.client.folder.read()?;
        let account = document.account()?.ok_or(Error::NotLoggedIn)?;
        let last = account.last_sync()?.and_then(|t| OffsetDateTime::parse(&t, &Rfc3339).ok());
        if let (false, Some(last)) = (force, last) {
            let revision = self.authorized(now, async |token| self.api.revision_date(token).await).await?;
            if revision < 0 {
                self.client.logout()?;
                return Err(Error::SessionExpired);
            }
            if i128::from(revision) <= last.unix_timestamp_nanos() / 1_000_000 {
                let id = account.id().to_owned();
                self.client.folder.update(|document| document.set_last_sync(&id, now))?;
                return Ok(Synced::Unchanged);
            }
        }
        self.renew(now).await?;
        self.pull(now).await?;
        Ok(Synced::Pulled)
    }

    /// Pulls the vault with the tokens at hand, as right after a login.
    ///
    /// # Errors
    /// As [`Online::sync`].
    pub async fn pull(&self, now: OffsetDateTime) -> Result<()> {
        let before = active(&self.client.folder.read()?)?;
        let record = self.authorized(now, async |token| self.api.sync(token).await).await?;
        self.client.folder.update(|document| {
            // Another process may have logged out, or in as somebody else, while the answer was on its way.
            if active(document)? != before {
                return Err(Error::NotLoggedIn);
            }
            document.store_sync(&before, &record, now)
        })
    }

    /// Tells the server the user key's id if it does not know it. Servers without that endpoint, or none at all,
    /// are fine: then a cooldown is written, which also keeps the official client 2026.9.0 working.
    ///
    /// # Errors
    /// Only those of the data folder.
    pub async fn backfill_key_id(&self, user: &UserKey, now: OffsetDateTime) -> Result<()> {
        let document = self.client.folder.read()?;
        let Some(account) = document.account()? else { return Ok(()) };
        let Some(key_id) = user.id() else { return Ok(()) };
        let waiting = account.backfill_cooldown()?.is_some_and(|at| now - at < BACKFILL_PAUSE);
        if account.user_key_id()?.is_some() || waiting {
            return Ok(());
        }
        let id = account.id().to_owned();
        let told = self.api.post_user_key_id(&account.access_token()?, &key_id).await;
        self.client.folder.update(|document| match told {
            Ok(()) => document.set_user_key_id(&id, &key_id),
            Err(_) => document.start_backfill_cooldown(&id, now),
        })
    }

    /// Calls with a live token. After a 401 the token is renewed and the call repeated once; a second 401, or a
    /// 403, ends the session here, as the official client ends it.
    async fn authorized<T>(
        &self,
        now: OffsetDateTime,
        call: impl AsyncFn(&SecretString) -> Result<T>,
    ) -> Result<T> {
        let token = self.live_token(now).await?;
        match call(&token).await {
            Err(Error::Api { status: 401, .. } | Error::Unauthorized) => {}
            Err(Error::Api { status: 403, .. } | Error::Forbidden) => return self.expired(),
            other => return other,
        }
        let token = self.renew(now).await?;
        match call(&token).await {
            Err(Error::Api { status: 401 | 403, .. } | Error::Unauthorized | Error::Forbidden) => {
                self.expired()
            }
            other => other,
        }
    }

    fn expired<T>(&self) -> Result<T> {
        self.client.logout()?;
        Err(Error::SessionExpired)
    }

    async fn live_token(&self, now: OffsetDateTime) -> Result<SecretString> {
        let document = self.client.folder.read()?;
        let token = document.account()?.ok_or(Error::NotLoggedIn)?.access_token()?;
        let ends = Claims::parse(&token).map_or(0, |c| c.exp);
        if ends - now.unix_timestamp() < RENEW_BEFORE.whole_seconds() {
            self.renew(now).await
        } else {
            Ok(token)
        }
    }

    /// New tokens: by refresh token, or by the API key that the login was made with.
    async fn renew(&self, _now: OffsetDateTime) -> Result<SecretString> {
        let document = self.client.folder.read()?;
        let account = document.account()?.ok_or(Error::NotLoggedIn)?;
        let id = account.id().to_owned();
        let renewed = if let Some((client_id, secret)) = account.api_key()? {
            self.renew_by_api_key(&client_id, &secret).await
        } else if let Some(refresh) = account.refresh_token()? {
            let client = Claims::parse(&account.access_token()?).and_then(|c| c.client_id);
            self.api.refresh(client.as_deref().unwrap_or("cli"), &refresh).await
        } else {
            Err(Error::SessionExpired)
        };
        let (access, refresh) = match renewed {
            Err(Error::SessionExpired) => return self.expired(),
            other => other?,
        };
        self.client.folder.update(|document| {
            if active(document)? == id { document.set_tokens(&id, &access, refresh.as_ref()) } else { Ok(()) }
        })?;
        Ok(access)
    }

    async fn renew_by_api_key(
        &self,
        client_id: &str,
        secret: &SecretString,
    ) -> Result<(SecretString, Option<SecretString>)> {
        match self.api.token(Grant::ApiKey { client_id, secret }, None).await? {
            TokenOutcome::Granted(answer) => Ok((answer.access_token, answer.refresh_token)),
            _ => Err(Error::SessionExpired),
        }
    }
}

/// Why an account that came by single sign-on cannot be opened here.
fn no_way_in(options: &Value) -> &'static str {
    if options.get("trustedDeviceOption").is_some() {
        "The CLI does not support SSO login for accounts using trusted device encryption. Log in through the web vault, desktop app, or browser extension."
    } else if options.get("webAuthnPrfOptions").is_some() {
        "The CLI does not support SSO login for accounts using PRF passkey decryption. Log in through the web vault or browser extension."
    } else {
        "In order to log in with SSO from the CLI, you must first log in through the web vault, the desktop, or the extension to set your master password."
    }
}

fn wrapped_key(answer: &TokenAnswer) -> Option<String> {
    let unlock: Option<&MasterPasswordUnlock> = answer.unlock.as_ref();
    unlock
        .map(|u| u.master_key_wrapped_user_key.clone())
        .filter(|k| !k.is_empty())
        .or_else(|| answer.wrapped_user_key.clone())
}

fn active(document: &Document) -> Result<String> {
    Ok(document.account()?.ok_or(Error::NotLoggedIn)?.id().to_owned())
}

fn start_cooldown_if_unknown(document: &mut Document, id: &str, now: OffsetDateTime) -> Result<()> {
    let Some(account) = document.account()? else { return Ok(()) };
    let waiting = account.backfill_cooldown()?.is_some_and(|at| now - at < BACKFILL_PAUSE);
    if account.user_key_id()?.is_some() || waiting {
        return Ok(());
    }
    document.start_backfill_cooldown(id, now)
}
