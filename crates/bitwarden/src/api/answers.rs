//! What the identity server's answers mean.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::TwoFactorProvider;
use super::http::Answer;
use super::lenient::{any, camel, flag, get, number, text};
use crate::crypto::Kdf;
use crate::environment::Environment;
use crate::state::{Claims, MasterPasswordUnlock};
use crate::{Error, Result};

/// The official server's text for a wrong password; it names no host, the official client's own text does.
const OFFICIAL_WRONG_PASSWORD: &str = "Username or password is incorrect. Try again.";

/// What must be known before the password is worth anything.
#[derive(Clone, Debug)]
pub struct Prelogin {
    /// The key derivation.
    pub kdf: Kdf,
    /// The salt: the server's, else the address in lower case.
    pub salt: String,
}

impl Prelogin {
    pub(super) fn parse(answer: &Value, email: &str) -> Result<Self> {
        let settings = get(answer, "kdfSettings");
        let kdf = match settings {
            Some(settings) => Kdf::new(
                number(settings, "kdfType").unwrap_or(0),
                number(settings, "iterations").unwrap_or(0),
                number(settings, "memory"),
                number(settings, "parallelism"),
            ),
            None => Kdf::new(
                number(answer, "kdf").unwrap_or(0),
                number(answer, "kdfIterations").unwrap_or(0),
                number(answer, "kdfMemory"),
                number(answer, "kdfParallelism"),
            ),
        }?;
        Ok(Self { kdf, salt: text(answer, "salt").unwrap_or_else(|| email.to_owned()) })
    }
}

/// What the server says to a token request.
#[derive(Debug)]
#[non_exhaustive]
pub enum TokenOutcome {
    /// Logged in.
    Granted(Box<TokenAnswer>),
    /// A second factor is wanted.
    TwoFactor(TwoFactorChallenge),
    /// The one-time password from the login e-mail is wanted.
    NewDevice,
    /// The account must log in through its organisation; the identifier, when told.
    Sso(String),
}

/// A granted login.
#[derive(Debug)]
pub struct TokenAnswer {
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token.
    pub refresh_token: Option<SecretString>,
    /// `userDecryptionOptions` in the shape of the data file.
    pub decryption_options: Value,
    /// What the master password unlocks.
    pub unlock: Option<MasterPasswordUnlock>,
    /// The user key under a Key Connector's master key.
    pub wrapped_user_key: Option<String>,
    /// The wrapped private keys in the shape of the data file.
    pub crypto_state: Option<Value>,
    /// Where an organisation's Key Connector is.
    pub key_connector: Option<String>,
    /// A remember token, when one was asked for.
    pub remember_token: Option<SecretString>,
    /// Whether an administrator wants the password changed.
    pub force_password_reset: bool,
    /// What the organisations demand of the master password.
    pub password_policy: Value,
}

/// Which second factors the account has.
#[derive(Clone, Debug)]
pub struct TwoFactorChallenge {
    /// Those a terminal can serve, in the order they are offered.
    pub providers: Vec<TwoFactorProvider>,
    /// The masked address codes go to.
    pub email: Option<String>,
    /// The account's own address; after SSO nobody has typed it.
    pub account_email: Option<String>,
    /// Repeated when a code is to be mailed after SSO.
    pub sso_email_token: Option<SecretString>,
}

pub(super) fn token(answer: Answer, environment: &Environment) -> Result<TokenOutcome> {
    let host = answer.host.clone();
    if answer.status == 200 {
        return granted(&answer.ok()?, &host).map(|a| TokenOutcome::Granted(Box::new(a)));
    }
    let body = answer.json().unwrap_or_default();
    if let Some(challenge) = challenge(&body) {
        return Ok(TokenOutcome::TwoFactor(challenge));
    }
    if answer.status == 400 {
        if let Some(organization) = text(&body, "SsoOrganizationIdentifier") {
            return Ok(TokenOutcome::Sso(organization));
        }
        match message(&body).as_deref() {
            Some("new device verification required") => return Ok(TokenOutcome::NewDevice),
            Some(OFFICIAL_WRONG_PASSWORD) => {
                return Err(Error::Api {
                    status: 400,
                    message: format!(
                        "Invalid master password. Confirm your email is correct and your account was created on {}.",
                        environment.web_vault_host()
                    ),
                });
            }
            _ if text(&body, "error").as_deref() == Some("invalid_client") => {
                return Err(Error::Api {
                    status: 400,
                    message: "client_id or client_secret is incorrect. Try again.".to_owned(),
                });
            }
            _ if text(&body, "HCaptcha_SiteKey").is_some() => {
                return Err(Error::Unsupported(
                    "The server wants a captcha solved. Log in with an API key instead: `bw login --apikey`.",
                ));
            }
            _ => {}
        }
    }
    Err(refusal(&answer))
}

fn granted(body: &Value, host: &str) -> Result<TokenAnswer> {
    let missing = |what: &str| Error::BadAnswer { host: host.to_owned(), what: format!("no {what}") };
    let access_token = text(body, "access_token").ok_or_else(|| missing("access_token"))?;
    let access_token = SecretString::from(access_token);
    let wrapped_user_key = text(body, "Key");
    // Servers of before 2023 say nothing of it; an account with a wrapped key had a master password then.
    let before = json!({ "HasMasterPassword": wrapped_user_key.is_some() });
    let options = match get(body, "UserDecryptionOptions") {
        Some(options) => options,
        None if wrapped_user_key.is_some() => &before,
        None => return Err(missing("UserDecryptionOptions")),
    };
    let connector = get(options, "KeyConnectorOption");
    let connector_url = connector.and_then(|c| text(c, "KeyConnectorUrl"));
    let has_password = flag(options, "HasMasterPassword");
    let mut decryption_options = json!({ "hasMasterPassword": has_password });
    if let Some(url) = &connector_url {
        decryption_options["keyConnectorOption"] = json!({ "keyConnectorUrl": url });
    }
    if let Some(trusted) = get(options, "TrustedDeviceOption") {
        decryption_options["trustedDeviceOption"] = camel(trusted.clone());
    }
    // Only named in a refusal: a terminal cannot serve it.
    if let Some(passkey) = get(options, "WebAuthnPrfOption").filter(|_| !has_password) {
        decryption_options["webAuthnPrfOptions"] = camel(passkey.clone());
    }
    Ok(TokenAnswer {
        refresh_token: text(body, "refresh_token").map(SecretString::from),
        decryption_options,
        unlock: match get(options, "MasterPasswordUnlock") {
            Some(unlock) => Some(password_unlock(unlock)?),
            None if has_password => earlier_unlock(body, &access_token)?,
            None => None,
        },
        access_token,
        wrapped_user_key,
        crypto_state: crypto_state(get(body, "AccountKeys"), text(body, "PrivateKey")),
        key_connector: connector_url.or_else(|| text(body, "KeyConnectorUrl")),
        remember_token: text(body, "TwoFactorToken").map(SecretString::from),
        force_password_reset: flag(body, "ForcePasswordReset"),
        password_policy: camel(any(body, "MasterPasswordPolicy")),
    })
}

/// `MasterPasswordUnlock` of a login, or `masterPasswordUnlock` of a sync.
pub(super) fn password_unlock(value: &Value) -> Result<MasterPasswordUnlock> {
    let kdf = any(value, "kdf");
    let wrapped = text(value, "masterKeyEncryptedUserKey").or_else(|| text(value, "masterKeyWrappedUserKey"));
    Ok(MasterPasswordUnlock {
        salt: text(value, "salt").unwrap_or_default(),
        kdf: Kdf::new(
            number(&kdf, "kdfType").unwrap_or(0),
            number(&kdf, "iterations").unwrap_or(0),
            number(&kdf, "memory"),
            number(&kdf, "parallelism"),
        )?,
        master_key_wrapped_user_key: wrapped.unwrap_or_default(),
    })
}

/// The same put together from an answer of a server of before 2025, which has no such member. Without it `unlock`
/// would need the network.
fn earlier_unlock(body: &Value, token: &SecretString) -> Result<Option<MasterPasswordUnlock>> {
    let (Some(wrapped), Some(kind)) = (text(body, "Key"), number(body, "Kdf")) else { return Ok(None) };
    let Some(claims) = Claims::parse(token) else { return Ok(None) };
    let number = |name: &str| number(body, name);
    Ok(Some(MasterPasswordUnlock {
        salt: claims.email.trim().to_lowercase(),
        kdf: Kdf::new(
            kind,
            number("KdfIterations").unwrap_or(0),
            number("KdfMemory"),
            number("KdfParallelism"),
        )?,
        master_key_wrapped_user_key: wrapped,
    }))
}

/// The wrapped private keys in the shape of the data file: V1 with one, V2 with a signing key and its state.
pub(super) fn crypto_state(keys: Option<&Value>, private_key: Option<String>) -> Option<Value> {
    let pair = keys.map(|k| any(k, "publicKeyEncryptionKeyPair")).unwrap_or_default();
    let private = text(&pair, "wrappedPrivateKey").or(private_key)?;
    let signing = keys.map(|k| any(k, "signatureKeyPair")).and_then(|s| text(&s, "wrappedSigningKey"));
    let state = keys.map(|k| any(k, "securityState")).and_then(|s| text(&s, "securityState"));
    Some(match (signing, state) {
        (Some(signing), Some(state)) => json!({"V2": {
            "private_key": private,
            "signing_key": signing,
            "signed_public_key": text(&pair, "signedPublicKey"),
            "security_state": state,
        }}),
        _ => json!({"V1": {"private_key": private}}),
    })
}

fn challenge(body: &Value) -> Option<TwoFactorChallenge> {
    let providers = get(body, "TwoFactorProviders2")?.as_object().filter(|p| !p.is_empty())?;
    let has = |p: TwoFactorProvider| providers.contains_key(&p.id().to_string());
    let email = providers.get("1").and_then(|e| text(e, "Email"));
    Some(TwoFactorChallenge {
        providers: TwoFactorProvider::USABLE.into_iter().filter(|p| has(*p)).collect(),
        email,
        account_email: text(body, "Email"),
        sso_email_token: text(body, "SsoEmail2faSessionToken").map(SecretString::from),
    })
}

pub(super) fn refreshed(answer: Answer) -> Result<(SecretString, Option<SecretString>)> {
    if answer.status == 400 {
        let body = answer.json().unwrap_or_default();
        if text(&body, "error").as_deref() == Some("invalid_grant") {
            return Err(Error::SessionExpired);
        }
    }
    let host = answer.host.clone();
    let body = answer.ok()?;
    let access = text(&body, "access_token")
        .ok_or_else(|| Error::BadAnswer { host, what: "no access_token".to_owned() })?;
    Ok((SecretString::from(access), text(&body, "refresh_token").map(SecretString::from)))
}

/// A refusal as an error: the first validation error, else the message.
pub(super) fn refusal(answer: &Answer) -> Error {
    let message = answer.json().as_ref().and_then(message);
    match (answer.status, message) {
        (429, _) => Error::RateLimited,
        (401, None) => Error::Unauthorized,
        (403, None) => Error::Forbidden,
        (status, Some(message)) => Error::Api { status, message },
        (status @ 500.., None) => Error::Server { status },
        (404, None) => {
            Error::BadAnswer { host: answer.host.clone(), what: "404: nothing is at this address".to_owned() }
        }
        (status, None) => {
            Error::Api { status, message: format!("{{\"response\":null,\"statusCode\":{status}}}") }
        }
    }
}

fn message(body: &Value) -> Option<String> {
    let model = get(body, "ErrorModel").unwrap_or(body);
    let validation = get(model, "validationErrors").or_else(|| get(body, "validationErrors"));
    let first = validation
        .and_then(Value::as_object)
        .and_then(|all| all.values().find_map(|v| v.as_array()?.first()?.as_str().map(str::to_owned)));
    first.filter(|t| !t.is_empty()).or_else(|| text(model, "message")).or_else(|| text(body, "message"))
}
