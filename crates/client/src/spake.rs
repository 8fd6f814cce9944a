//! A client of the SPAKE service beside the application: `durward spake serve`, or a control port.
//!
//! ```no_run
//! # async fn example() -> Result<(), durward_client::spake::Error> {
//! use durward_client::spake::{Client, Initiate, Role};
//! use durward_protocol::SecretString;
//!
//! # let (token, password) = (SecretString::new(String::new()), SecretString::new(String::new()));
//! let service = Client::new("http://127.0.0.1:5000", Some(token))?;
//! let started = service.initiate(&Initiate::new("backup-7", &password).role(Role::A)).await?;
//! // Send started.public_key to the peer, over any channel, and get the peer's.
//! # let (peers_key, peers_confirmation) = ("", "");
//! let agreed = service.exchange("backup-7", peers_key, None).await?;
//! // Send agreed.confirmation, get the peer's. Until it is checked the secret is not to be relied on.
//! service.confirm("backup-7", peers_confirmation).await?;
//! # let _ = (started.public_key, agreed.shared_secret);
//! # Ok(()) }
//! ```
//!
//! `initiate` carries the password and `exchange` answers with the secret, so the client talks to loopback only.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use durward_protocol::wire::ErrorBody;
use durward_protocol::{SecretBytes, SecretString, hex_array};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, redirect};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use url::{Host, Url};
use zeroize::Zeroizing;

/// Largest answer that is read: a list of some ten thousand sessions.
const MAX_ANSWER_BYTES: usize = 4 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For a whole call. A stretch waits for its turn at the service.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a URL of a service on this machine.
    #[error("{reason}")]
    InvalidUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// The token cannot be sent in a header.
    #[error("the token holds characters that no token has; read the file that `durward spake serve` names")]
    InvalidToken,
    /// Nobody answers, or the answer broke off.
    #[error("no answer from {url}: {reason}; is `durward spake serve` running?")]
    NoAnswer {
        /// Where.
        url: String,
        /// The system's words.
        reason: String,
    },
    /// The service refused. The codes are listed in `docs/spake-service.md`.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The stable code, for example `confirmation_failed`.
        code: String,
        /// What happened and what to do.
        message: String,
        /// Seconds until it is worth trying again, with 429.
        retry_after: Option<u64>,
    },
    /// Something else answers there.
    #[error("what answers is not a SPAKE service: {reason}")]
    BadAnswer {
        /// What is wrong with the answer.
        reason: &'static str,
    },
    /// Connections could not be set up.
    #[error("cannot set up connections: {reason}")]
    Transport {
        /// The library's words.
        reason: String,
    },
}

/// Which SPAKE2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suite {
    /// RFC 9382 on P-256; the service stretches the password.
    #[default]
    #[serde(rename = "p256-sha256")]
    P256Sha256,
    /// The same; the password is the stretched value, 32 to 64 bytes in hex.
    #[serde(rename = "p256-sha256-raw")]
    P256Sha256Raw,
    /// python-spake2's Ed25519.
    #[serde(rename = "spake2-ed25519")]
    Spake2Ed25519,
}

/// Which side the service plays; the peer plays the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A.
    A,
    /// B.
    #[default]
    B,
}

/// What `initiate` asks for.
#[derive(Clone, Copy, Debug)]
pub struct Initiate<'a> {
    session_id: &'a str,
    password: &'a SecretString,
    suite: Suite,
    role: Role,
    id_a: &'a str,
    id_b: &'a str,
}

impl<'a> Initiate<'a> {
    /// A session of the default suite in which the service is B. Both sides use the same `session_id`.
    pub fn new(session_id: &'a str, password: &'a SecretString) -> Self {
        Self { session_id, password, suite: Suite::default(), role: Role::default(), id_a: "", id_b: "" }
    }

    /// Another suite.
    #[must_use]
    pub fn suite(self, suite: Suite) -> Self {
        Self { suite, ..self }
    }

    /// The service's side.
    #[must_use]
    pub fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// The names of the two sides; both give the same two.
    #[must_use]
    pub fn identities(self, id_a: &'a str, id_b: &'a str) -> Self {
        Self { id_a, id_b, ..self }
    }
}

/// The answer to `initiate`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Initiated {
    /// The session.
    pub session_id: String,
    /// Our public key in hex, for the peer.
    pub public_key: String,
    /// As asked.
    pub suite: Suite,
    /// As asked.
    pub role: Role,
    /// Seconds until the session ends.
    pub expires_in: u64,
}

/// The answer to `exchange`.
#[derive(Debug, Deserialize)]
pub struct Exchanged {
    /// The session.
    pub session_id: String,
    /// The shared secret. Not to be relied on before the peer is confirmed.
    #[serde(deserialize_with = "secret_from_hex")]
    pub shared_secret: SecretBytes<32>,
    /// Whether the peer's confirmation came and matched.
    pub peer_confirmed: bool,
    /// Our confirmation in hex, for the peer.
    pub confirmation: String,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waits for its exchange.
    Initiated,
    /// Had a good exchange.
    Completed,
    /// Had a bad exchange, or a wrong confirmation.
    Failed,
}

/// One session of the list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Session {
    /// The session.
    pub session_id: String,
    /// Where it stands.
    pub status: Status,
}

/// Connections to one service, reused between calls.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
    token: Option<HeaderValue>,
}

impl Client {
    /// A client of the service at `url`, `http://` and a loopback address; without a token for one that runs with
    /// `--no-token`.
    pub fn new(url: &str, token: Option<SecretString>) -> Result<Self, Error> {
        let url = loopback(url)?;
        let token = token.map(|token| bearer(&token)).transpose()?;
        // Another provider that the program installed before is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .tls_certs_only([])
            .build()
            .map_err(|error| Error::Transport { reason: error.to_string() })?;
        Ok(Self { http, url, token })
    }

    /// Opens a session; hands the service the password.
    pub async fn initiate(&self, ask: &Initiate<'_>) -> Result<Initiated, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            session_id: &'a str,
            password: &'a str,
            suite: Suite,
            role: Role,
            id_a: &'a str,
            id_b: &'a str,
        }
        let Initiate { session_id, password, suite, role, id_a, id_b } = *ask;
        let body = Body { session_id, password: password.expose_secret(), suite, role, id_a, id_b };
        self.post("initiate", &body).await
    }

    /// The session's one exchange, with the peer's public key and, where it is there already, its confirmation.
    pub async fn exchange(
        &self,
        session_id: &str,
        public_key: &str,
        confirmation: Option<&str>,
    ) -> Result<Exchanged, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            session_id: &'a str,
            client_public_key: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            client_confirmation: Option<&'a str>,
        }
        let body = Body { session_id, client_public_key: public_key, client_confirmation: confirmation };
        self.post("exchange", &body).await
    }

    /// Checks the peer's confirmation after an exchange without one. An error means: do not use the secret.
    pub async fn confirm(&self, session_id: &str, confirmation: &str) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            session_id: &'a str,
            client_confirmation: &'a str,
        }
        #[derive(Deserialize)]
        struct Confirmed {
            peer_confirmed: bool,
        }
        let body = Body { session_id, client_confirmation: confirmation };
        let answer: Confirmed = self.post("confirm", &body).await?;
        if answer.peer_confirmed { Ok(()) } else { Err(Error::BadAnswer { reason: "not confirmed" }) }
    }

    /// Where a session stands.
    pub async fn status(&self, session_id: &str) -> Result<Status, Error> {
        let session: Session = self.call(Method::GET, &["status", session_id], None).await?;
        Ok(session.status)
    }

    /// Ends a session and frees its id.
    pub async fn cleanup(&self, session_id: &str) -> Result<(), Error> {
        let _: serde::de::IgnoredAny = self.call(Method::DELETE, &["cleanup", session_id], None).await?;
        Ok(())
    }

    /// All sessions, the oldest first.
    pub async fn sessions(&self) -> Result<Vec<Session>, Error> {
        #[derive(Deserialize)]
        struct List {
            sessions: Vec<Session>,
        }
        let list: List = self.call(Method::GET, &["sessions"], None).await?;
        Ok(list.sessions)
    }

    async fn post<T: DeserializeOwned>(&self, call: &str, body: &impl Serialize) -> Result<T, Error> {
        let body = serde_json::to_vec(body).map_err(|_| Error::BadAnswer { reason: "body" })?;
        self.call(Method::POST, &[call], Some(Zeroizing::new(body))).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<T, Error> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("spake").extend(path);
        }
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some(body) = body {
            // Wiped when the connection lets go of it.
            request = request.header(CONTENT_TYPE, "application/json").body(Bytes::from_owner(body));
        }
        let mut response = request.send().await.map_err(|error| self.no_answer(&error))?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| self.no_answer(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Error::BadAnswer { reason: "it is larger than any answer can be" });
            }
            body.extend_from_slice(&chunk);
        }
        if status == 200 {
            return serde_json::from_slice(&body)
                .map_err(|_| Error::BadAnswer { reason: "it does not have the fields it should" });
        }
        let refusal: ErrorBody = serde_json::from_slice(&body)
            .map_err(|_| Error::BadAnswer { reason: "its error does not have the fields it should" })?;
        Err(Error::Refused { status, code: refusal.error, message: refusal.message, retry_after })
    }

    fn no_answer(&self, error: &reqwest::Error) -> Error {
        let mut cause: &dyn std::error::Error = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        Error::NoAnswer { url: self.url.to_string(), reason: cause.to_string() }
    }
}

fn loopback(text: &str) -> Result<Url, Error> {
    let bad = |reason: &str| Error::InvalidUrl { reason: reason.to_owned() };
    let url = Url::parse(text).map_err(|error| bad(&format!("not a URL: {error}")))?;
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    };
    if url.scheme() != "http" || !local {
        return Err(bad(
            "use http:// and a loopback address: the service is called with the password and answers with the secret",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(bad("leave out user name, password and query"));
    }
    Ok(url)
}

fn bearer(token: &SecretString) -> Result<HeaderValue, Error> {
    let text = Zeroizing::new(format!("Bearer {}", token.expose_secret().trim()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| Error::InvalidToken)?;
    value.set_sensitive(true);
    Ok(value)
}

fn secret_from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretBytes<32>, D::Error> {
    let text = SecretString::deserialize(deserializer)?;
    let bytes = hex_array(text.expose_secret()).map(Zeroizing::new);
    bytes.map(|bytes| SecretBytes::new(*bytes)).ok_or_else(|| D::Error::custom("not 32 bytes in hex"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback() {
        for good in ["http://127.0.0.1:5000", "http://localhost:5000/", "http://[::1]:1", "http://127.9.9.9"]
        {
            assert!(loopback(good).is_ok(), "{good}");
        }
        for bad in [
            "http://10.0.0.1:5000",
            "http://localhost.example:5000",
            "https://127.0.0.1",
            "http://u:p@127.0.0.1",
            "http://127.0.0.1/?token=x",
            "localhost:5000",
            "",
        ] {
            assert!(matches!(loopback(bad), Err(Error::InvalidUrl { .. })), "{bad}");
        }
    }

    #[test]
    fn neither_token_nor_secret_is_shown() {
        let client = Client::new("http://127.0.0.1:1", Some(SecretString::new("hunter2".into()))).unwrap();
        assert!(!format!("{client:?}").contains("hunter2"));
        let secret = "0a".repeat(32);
        let json = format!(
            r#"{{"session_id":"s","shared_secret":"{secret}","peer_confirmed":true,"confirmation":""}}"#
        );
        let answer: Exchanged = serde_json::from_str(&json).unwrap();
        assert_eq!(answer.shared_secret.expose_bytes(), &[10; 32]);
        assert!(!format!("{answer:?}").contains(&secret));
        for bad in ["", &"0a".repeat(31), &"0g".repeat(32), &"é".repeat(32), "+a".repeat(32).as_str()] {
            let json = json.replace(&secret, bad);
            assert!(serde_json::from_str::<Exchanged>(&json).is_err(), "{bad}");
        }
        assert!(matches!(bearer(&SecretString::new("a\nb".into())), Err(Error::InvalidToken)));
    }
}
