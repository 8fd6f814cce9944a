//! The wire: identity and API servers of Bitwarden and Vaultwarden.

mod answers;
mod http;
mod lenient;
mod sync;
mod tls;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::time::Duration;

pub use answers::{Prelogin, TokenAnswer, TokenOutcome, TwoFactorChallenge};
pub use http::{ClientInfo, Network, Platform};
pub use sync::parse as parse_sync;

use crate::environment::Environment;
use crate::state::SyncRecord;
use crate::{Error, Result};
use http::{Answer, Body, Http};

/// Answers other than the vault itself are small.
const SMALL: usize = 1 << 20;
/// A vault of ten thousand items is a tenth of this.
const VAULT: usize = 256 << 20;
/// The official client does not wait longer for the server's settings.
const CONFIG_WAIT: Duration = Duration::from_millis(800);

/// A second factor as it travels in the token request.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    /// What it is.
    pub provider: TwoFactorProvider,
    /// The code, or the remember token.
    pub code: SecretString,
    /// Whether the server should hand out a remember token.
    pub remember: bool,
}

/// The kinds of second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TwoFactorProvider {
    /// Authenticator application.
    Authenticator,
    /// Code by e-mail.
    Email,
    /// Duo; not for command lines.
    Duo,
    /// YubiKey one-time password.
    YubiKey,
    /// A token from an earlier login.
    Remember,
    /// Duo of an organisation; not for command lines.
    OrganizationDuo,
    /// WebAuthn; not for command lines.
    WebAuthn,
    /// Recovery code.
    Recovery,
}

impl TwoFactorProvider {
    /// Those that a terminal can serve, in the order they are offered.
    pub const USABLE: [Self; 3] = [Self::Authenticator, Self::YubiKey, Self::Email];

    /// From its number on the wire.
    pub fn from_id(id: u64) -> Option<Self> {
        Some(match id {
            0 => Self::Authenticator,
            1 => Self::Email,
            2 => Self::Duo,
            3 => Self::YubiKey,
            5 => Self::Remember,
            6 => Self::OrganizationDuo,
            7 => Self::WebAuthn,
            8 => Self::Recovery,
            _ => return None,
        })
    }

    /// Its number on the wire.
    pub fn id(self) -> u8 {
        match self {
            Self::Authenticator => 0,
            Self::Email => 1,
            Self::Duo => 2,
            Self::YubiKey => 3,
            Self::Remember => 5,
            Self::OrganizationDuo => 6,
            Self::WebAuthn => 7,
            Self::Recovery => 8,
        }
    }
}

/// What proves who logs in.
#[derive(Clone, Copy, Debug)]
pub enum Grant<'a> {
    /// Address and master password hash.
    Password {
        /// The address as typed.
        email: &'a str,
        /// The hash for the server.
        hash: &'a SecretString,
        /// The one-time password for a new device.
        new_device_otp: Option<&'a SecretString>,
    },
    /// An API key.
    ApiKey {
        /// `user.` and a GUID.
        client_id: &'a str,
        /// Its secret.
        secret: &'a SecretString,
    },
    /// What came back from the browser.
    Sso {
        /// The code of the callback.
        code: &'a SecretString,
        /// The PKCE verifier.
        verifier: &'a SecretString,
        /// The callback's address.
        redirect_uri: &'a str,
    },
}

/// One server, as one device.
#[derive(Debug)]
pub struct Api {
    http: Http,
    environment: Environment,
    device_id: String,
}

impl Api {
    /// Prepares connections; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Configuration`] for unusable certificates or proxies.
    pub fn new(
        info: &ClientInfo,
        network: &Network,
        environment: Environment,
        device_id: String,
    ) -> Result<Self> {
        Ok(Self { http: Http::new(info, network)?, environment, device_id })
    }

    /// The server's addresses.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The account's key derivation and salt. Unknown addresses get answers like any other.
    ///
    /// # Errors
    /// Network errors, and [`Error::KdfTooWeak`] or [`Error::KdfTooStrong`] for settings no account may have.
    pub async fn prelogin(&self, email: &str) -> Result<Prelogin> {
        let email = email.trim().to_lowercase();
        let base = self.environment.identity();
        let body = json!({ "email": email });
        let mut answer = self.anonymous(&format!("{base}/accounts/prelogin/password"), &body).await?;
        if answer.status == 404 || answer.status == 405 {
            answer = self.anonymous(&format!("{base}/accounts/prelogin"), &body).await?;
        }
        Prelogin::parse(&answer.ok()?, &email)
    }

    /// Asks for tokens.
    ///
    /// # Errors
    /// Everything but the questions of [`TokenOutcome`].
    pub async fn token(&self, grant: Grant<'_>, factor: Option<&SecondFactor>) -> Result<TokenOutcome> {
        let url = format!("{}/connect/token", self.environment.identity());
        let form = self.token_form(grant, factor);
        let answer = self.http.send("POST", &url, None, None, Body::Form(&form), SMALL).await?;
        answers::token(answer, &self.environment)
    }

    fn token_form(
        &self,
        grant: Grant<'_>,
        factor: Option<&SecondFactor>,
    ) -> Vec<(&'static str, SecretString)> {
        let plain = |text: &str| SecretString::from(text);
        let platform = self.http.platform();
        let (scope, client) = match grant {
            Grant::ApiKey { client_id, .. } => ("api", client_id),
            _ => ("api offline_access", "cli"),
        };
        let mut form = vec![
            ("scope", plain(scope)),
            ("client_id", plain(client)),
            ("deviceType", plain(platform.device_type())),
            ("deviceIdentifier", plain(&self.device_id)),
            ("deviceName", plain(platform.device_name())),
        ];
        if let Some(factor) = factor {
            form.push(("twoFactorToken", factor.code.clone()));
            form.push(("twoFactorProvider", plain(&factor.provider.id().to_string())));
            form.push(("twoFactorRemember", plain(if factor.remember { "1" } else { "0" })));
        }
        match grant {
            Grant::Password { email, hash, new_device_otp } => {
                form.push(("grant_type", plain("password")));
                form.push(("username", plain(email)));
                form.push(("password", hash.clone()));
                if let Some(otp) = new_device_otp {
                    form.push(("newDeviceOtp", otp.clone()));
                }
            }
            Grant::ApiKey { secret, .. } => {
                form.push(("grant_type", plain("client_credentials")));
                form.push(("client_secret", secret.clone()));
            }
            Grant::Sso { code, verifier, redirect_uri } => {
                form.push(("grant_type", plain("authorization_code")));
                form.push(("code", code.clone()));
                form.push(("code_verifier", verifier.clone()));
                form.push(("redirect_uri", plain(redirect_uri)));
            }
        }
        form
    }

    /// New tokens for a refresh token.
    ///
    /// # Errors
    /// [`Error::SessionExpired`] when the server does not take it any more.
    pub async fn refresh(
        &self,
        client_id: &str,
        refresh: &SecretString,
    ) -> Result<(SecretString, Option<SecretString>)> {
        let url = format!("{}/connect/token", self.environment.identity());
        let form = [
            ("grant_type", SecretString::from("refresh_token")),
            ("client_id", SecretString::from(client_id)),
            ("refresh_token", refresh.clone()),
        ];
        let answer = self.http.send("POST", &url, None, None, Body::Form(&form), SMALL).await?;
        answers::refreshed(answer)
    }

    /// Has the server send a login code by e-mail.
    ///
    /// # Errors
    /// Network errors and refusals.
    pub async fn send_email_code(
        &self,
        email: &str,
        hash: Option<&SecretString>,
        sso_token: Option<&SecretString>,
    ) -> Result<()> {
        let url = format!("{}/two-factor/send-email-login", self.environment.api());
        let mut body = json!({
            "email": email,
            "masterPasswordHash": hash.map(|h| h.expose_secret().to_owned()),
        });
        if let Some(token) = sso_token {
            body["ssoEmail2FaSessionToken"] = Value::String(token.expose_secret().to_owned());
        }
        self.anonymous(&url, &body).await?.ok().map(drop)
    }

    /// The server's settings. Waits no longer than 0.8 s.
    ///
    /// # Errors
    /// Network errors and refusals.
    pub async fn config(&self, token: Option<&SecretString>) -> Result<Value> {
        let url = format!("{}/config", self.environment.api());
        let device = token.is_none().then_some(self.device_id.as_str());
        let sent = self.http.send("GET", &url, token, device, Body::None, SMALL);
        match tokio::time::timeout(CONFIG_WAIT, sent).await {
            Ok(answer) => answer?.ok(),
            Err(_) => Err(Error::Network {
                host: crate::environment::host_of(&url),
                reason: "no answer in time".to_owned(),
            }),
        }
    }

    /// When the account last changed, in milliseconds since 1970; negative when it is gone.
    ///
    /// # Errors
    /// Network errors and refusals.
    pub async fn revision_date(&self, token: &SecretString) -> Result<i64> {
        let url = format!("{}/accounts/revision-date", self.environment.api());
        let answer = self.http.send("GET", &url, Some(token), None, Body::None, SMALL).await?;
        let host = answer.host.clone();
        let value = answer.ok()?;
        value
            .as_i64()
            .or_else(|| value.as_str().and_then(|t| t.trim().parse().ok()))
            .ok_or_else(|| Error::BadAnswer { host, what: "the revision date is no number".to_owned() })
    }

    /// The whole vault.
    ///
    /// # Errors
    /// Network errors, refusals and answers that are no vault.
    pub async fn sync(&self, token: &SecretString) -> Result<SyncRecord> {
        let url = format!("{}/sync?excludeDomains=true", self.environment.api());
        let answer = self.http.send("GET", &url, Some(token), None, Body::None, VAULT).await?;
        let host = answer.host.clone();
        sync::parse(&answer.ok()?, &host)
    }

    /// Tells the server the user key's id.
    ///
    /// # Errors
    /// Network errors and refusals; servers without this endpoint answer 404.
    pub async fn post_user_key_id(&self, token: &SecretString, key_id: &str) -> Result<()> {
        let url = format!("{}/accounts/key-management/user-key-id", self.environment.api());
        let body = json!({ "userKeyId": key_id });
        let answer = self.http.send("POST", &url, Some(token), None, Body::Json(&body), SMALL).await?;
        answer.ok().map(drop)
    }

    /// An organisation's Key Connector: the master key in base64.
    ///
    /// # Errors
    /// Network errors, refusals, [`Error::InsecureUrl`].
    pub async fn key_connector_key(&self, connector: &str, token: &SecretString) -> Result<SecretString> {
        let url = format!("{}/user-keys", connector.trim_end_matches('/'));
        let answer = self.http.send("GET", &url, Some(token), None, Body::None, SMALL).await?;
        let host = answer.host.clone();
        let value = answer.ok()?;
        lenient::text(&value, "key")
            .map(SecretString::from)
            .ok_or_else(|| Error::BadAnswer { host, what: "no key".to_owned() })
    }

    async fn anonymous(&self, url: &str, body: &Value) -> Result<Answer> {
        self.http.send("POST", url, None, Some(&self.device_id), Body::Json(body), SMALL).await
    }
}
