//! What the server holds, and how it shall behave.

use std::collections::{HashMap, VecDeque};

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use bitwarden_crypto::SymmetricKeyAlgorithm;
use durward_bitwarden::crypto::{Kdf, MasterKey, UserKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::contents::Contents;
use super::cose::{self, Signing};

/// Whose answers the server gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Vaultwarden of August 2026: no salt at prelogin, no endpoint for key ids, its own texts.
    Vaultwarden,
    /// Vaultwarden up to 2024: the same in Pascal case, without what came later.
    OldVaultwarden,
    /// The official server: the endpoint, the salt, its own texts.
    Official,
}

impl Flavour {
    /// Whether it is the official server.
    pub(super) fn is_official(self) -> bool {
        self == Self::Official
    }
}

/// An account to make.
#[derive(Clone, Debug)]
pub struct AccountSpec {
    /// Its id.
    pub id: String,
    /// Address, as registered.
    pub email: String,
    /// Master password.
    pub password: String,
    /// Key derivation.
    pub kdf: Kdf,
}

impl AccountSpec {
    /// PBKDF2 at a count that keeps tests fast.
    ///
    /// # Panics
    /// Never: the count is allowed.
    #[allow(clippy::expect_used, reason = "a constant")]
    pub fn quick(email: &str, password: &str) -> Self {
        Self {
            id: "0bc87994-7c15-4960-806d-6e807fed6694".to_owned(),
            email: email.to_owned(),
            password: password.to_owned(),
            kdf: Kdf::new(0, 5_000, None, None).expect("allowed"),
        }
    }
}

/// An account as the server knows it, and its vault.
#[derive(Clone, Debug)]
pub struct Account {
    /// What it was made from.
    pub spec: AccountSpec,
    /// The vault.
    pub contents: Contents,
    /// The hash that proves the password.
    pub password_hash: String,
    /// The user key, wrapped.
    pub wrapped_key: String,
    /// The private key, wrapped.
    pub wrapped_private: String,
    /// The public key, SPKI in base64.
    pub public_key: String,
    /// Second factors: provider number and the one code that is right.
    pub two_factor: Vec<(u8, String)>,
    /// The one-time password a new device must bring, if any.
    pub new_device_otp: Option<String>,
    /// API key: id and secret.
    pub api_key: (String, String),
    /// The master key of a Key Connector, when there is one.
    pub key_connector: Option<String>,
    /// What the organisations demand of the password.
    pub policy: Value,
    /// `policies` of a sync.
    pub policies: Vec<Value>,
    /// `policiesNew` of a sync, from servers that send it.
    pub policies_new: Option<Vec<Value>>,
    /// The account's role in the organisation: 0 owner, 1 administrator, 2 user.
    pub role: u8,
    /// `UserDecryptionOptions` to give instead of the right ones.
    pub decryption: Option<Value>,
    /// Whether an administrator changed the password.
    pub force_reset: bool,
    /// Whether the organisation demands SSO.
    pub sso_required: Option<String>,
    /// Whether the account pays.
    pub premium: bool,
    /// Milliseconds of the last change.
    pub revision: i64,
    /// The key's id, once a client told it.
    pub key_id: Option<String>,
    user_key: UserKey,
    signing: Option<Signing>,
}

#[allow(clippy::expect_used, reason = "a test cannot go on without its account")]
impl Account {
    /// Makes the keys of an account. The RSA key is one of the recorded ones, because making one takes a second.
    pub fn new(spec: AccountSpec) -> Self {
        Self::with_key(spec, UserKey::generate())
    }

    /// The same with a COSE key at the root, and what goes with it: an account of the second kind.
    pub fn cose(spec: AccountSpec, algorithm: SymmetricKeyAlgorithm) -> Self {
        let mut account = Self::with_key(spec, cose::user_key(algorithm));
        let public = recorded("publicKeySpkiDer");
        account.signing = Some(Signing::new(&account.spec.id, &account.user_key, &public));
        account.key_id = account.user_key.id();
        account
    }

    fn with_key(spec: AccountSpec, user_key: UserKey) -> Self {
        let password = SecretString::from(spec.password.as_str());
        let master = MasterKey::derive(&password, &spec.email, spec.kdf).expect("derives");
        Self {
            password_hash: master.server_hash(&password).expose_secret().to_owned(),
            wrapped_key: master.wrap_user_key(&user_key).expect("wraps"),
            public_key: STANDARD.encode(recorded("publicKeySpkiDer")),
            wrapped_private: cose::wrap_private_key(&user_key, &recorded("privateKeyPkcs8Der")),
            contents: Contents::new(user_key.clone(), &recorded("publicKeySpkiDer")),
            two_factor: Vec::new(),
            new_device_otp: None,
            api_key: (format!("user.{}", spec.id), "api-secret-0123456789".to_owned()),
            key_connector: None,
            policy: json!({"object": "masterPasswordPolicy"}),
            policies: Vec::new(),
            policies_new: None,
            role: 0,
            decryption: None,
            force_reset: false,
            sso_required: None,
            premium: true,
            revision: 1_000,
            key_id: None,
            user_key,
            signing: None,
            spec,
        }
    }

    /// `accountKeys` of a login or a profile.
    pub(super) fn keys(&self) -> Value {
        let mut keys = json!({
            "publicKeyEncryptionKeyPair": {
                "wrappedPrivateKey": self.wrapped_private, "publicKey": self.public_key,
                "object": "publicKeyEncryptionKeyPair",
            },
            "object": "privateKeys",
        });
        if let Some(signing) = &self.signing {
            signing.extend(&mut keys);
        }
        keys
    }

    /// The key at the root of its vault.
    pub fn user_key(&self) -> &UserKey {
        &self.user_key
    }

    pub(super) fn salt(&self) -> String {
        self.spec.email.trim().to_lowercase()
    }

    pub(super) fn kdf_numbers(&self) -> (u64, u64, Value, Value) {
        let kdf = serde_json::to_value(self.spec.kdf).unwrap_or_default();
        let number = |name: &str| kdf[name].as_u64().unwrap_or(0);
        (number("kdfType"), number("iterations"), kdf["memory"].clone(), kdf["parallelism"].clone())
    }
}

/// A part of the recorded key pair that all accounts share.
#[allow(clippy::expect_used, reason = "the vectors are part of the tests")]
fn recorded(name: &str) -> Vec<u8> {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../bitwarden/tests/vectors/bitwarden-vectors.json"))
            .expect("the vectors");
    STANDARD.decode(vectors["accounts"][0][name].as_str().expect("text")).expect("base64")
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: HashMap<String, String>,
    /// Body.
    pub body: String,
}

impl Recorded {
    /// A form's fields in order.
    pub fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.body.replace("%20", "+").as_bytes()).into_owned().collect()
    }
}

/// Everything behind the lock.
#[derive(Debug)]
pub struct World {
    /// Whose answers are given.
    pub flavour: Flavour,
    /// The server's own address.
    pub base: String,
    /// The accounts.
    pub accounts: Vec<Account>,
    /// What was asked so far.
    pub requests: Vec<Recorded>,
    /// Answers to give instead of the right one: part of a path, status, body. Each counts once.
    pub failures: VecDeque<(String, u16, String)>,
    /// Prelogin answers instead of the right one.
    pub prelogin: Option<Value>,
    /// Seconds an access token lives; below 300 every client renews before each call.
    pub token_life: i64,
    /// Whether tokens given so far are refused.
    pub revoked: bool,
    /// The codes and verifiers that SSO would have handed out.
    pub sso_codes: HashMap<String, (String, String)>,
    /// Codes "sent" by e-mail, by address.
    pub mailed: Vec<String>,
    pub(super) tokens: HashMap<String, String>,
    pub(super) refresh: HashMap<String, String>,
    counter: u64,
}

impl World {
    pub(super) fn new(flavour: Flavour, base: String, accounts: Vec<Account>) -> Self {
        Self {
            flavour,
            base,
            accounts,
            requests: Vec::new(),
            failures: VecDeque::new(),
            prelogin: None,
            token_life: 7_200,
            revoked: false,
            sso_codes: HashMap::new(),
            mailed: Vec::new(),
            tokens: HashMap::new(),
            refresh: HashMap::new(),
            counter: 0,
        }
    }

    /// The last request whose path ends so.
    pub fn last(&self, path: &str) -> Option<&Recorded> {
        self.requests.iter().rev().find(|r| r.path.ends_with(path))
    }

    pub(super) fn by_email(&self, email: &str) -> Option<&Account> {
        let email = email.trim().to_lowercase();
        self.accounts.iter().find(|a| a.salt() == email)
    }

    pub(super) fn by_id(&mut self, id: &str) -> Option<&mut Account> {
        self.accounts.iter_mut().find(|a| a.spec.id == id)
    }

    /// An access token with the claims the clients read; its signature is nonsense, because no client checks it.
    pub(super) fn issue(&mut self, account: &str, now: i64) -> String {
        self.counter += 1;
        let found = self.accounts.iter().find(|a| a.spec.id == account);
        let email = found.map_or("", |a| a.spec.email.as_str()).to_lowercase();
        let premium = found.is_some_and(|a| a.premium);
        let claims = json!({
            "nbf": now, "exp": now + self.token_life, "iss": format!("{}|login", self.base), "sub": account,
            "premium": premium, "name": "Test", "email": email, "email_verified": true, "client_id": "cli",
            "sstamp": "stamp", "device": "d", "scope": ["api", "offline_access"], "amr": ["Application"],
            "jti": self.counter,
        });
        let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
        let token = format!("{}.{}.c2ln", part(&json!({"alg": "RS256", "typ": "JWT"})), part(&claims));
        self.tokens.insert(token.clone(), account.to_owned());
        token
    }

    pub(super) fn issue_refresh(&mut self, account: &str) -> String {
        self.counter += 1;
        let token = format!("refresh-{}", self.counter);
        self.refresh.insert(token.clone(), account.to_owned());
        token
    }
}
