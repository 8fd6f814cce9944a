//! One HTTP exchange: the official headers, TLS with extra roots, a proxy, limits on time and size.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Method, Proxy, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::environment::{host_of, require_https};
use crate::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const TIMEOUT: Duration = Duration::from_mins(2);
const MAX_REDIRECTS: usize = 5;

/// The operating system as the servers know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Linux and everything like it.
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

impl Platform {
    /// The one this program was built for.
    pub const fn current() -> Self {
        if cfg!(target_os = "macos") {
            Self::MacOs
        } else if cfg!(windows) {
            Self::Windows
        } else {
            Self::Linux
        }
    }

    /// The device type of the command line on this system.
    pub fn device_type(self) -> &'static str {
        match self {
            Self::Windows => "23",
            Self::MacOs => "24",
            Self::Linux => "25",
        }
    }

    /// The device's name.
    pub fn device_name(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::MacOs => "macos",
            Self::Linux => "linux",
        }
    }
}

/// How this client introduces itself.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The client version the servers expect, such as `2026.9.0`.
    pub version: String,
    /// The operating system.
    pub platform: Platform,
}

/// How connections are made.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// PEM files with roots to trust beside the system's.
    pub extra_roots: Vec<Vec<u8>>,
    /// A proxy for all calls, such as `http://proxy.example:3128`.
    pub proxy: Option<String>,
}

/// The body of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    None,
    Json(&'a Value),
    Form(&'a [(&'static str, SecretString)]),
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) host: String,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The body as JSON; `None` when it is none.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body of a success.
    ///
    /// # Errors
    /// The server's refusal, or [`Error::BadAnswer`].
    pub(super) fn ok(self) -> Result<Value> {
        if (200..300).contains(&self.status) {
            if self.body.iter().all(u8::is_ascii_whitespace) {
                return Ok(Value::Null);
            }
            return self
                .json()
                .ok_or_else(|| Error::BadAnswer { host: self.host, what: "no JSON".to_owned() });
        }
        Err(super::answers::refusal(&self))
    }
}

/// A client with its fixed headers.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    platform: Platform,
}

impl Http {
    pub(super) fn new(info: &ClientInfo, network: &Network) -> Result<Self> {
        let config = |e: &dyn std::fmt::Display| Error::Configuration(e.to_string());
        let mut builder = Client::builder()
            .tls_backend_preconfigured(super::tls::config(network)?)
            .https_only(true)
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::custom(same_host))
            .no_proxy()
            .default_headers(headers(info).ok_or_else(|| config(&"unusable client version"))?);
        if let Some(proxy) = &network.proxy {
            let proxy =
                Proxy::all(proxy).map_err(|e| config(&format!("The proxy address is not usable: {e}")))?;
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|e| config(&innermost(&e)))?;
        Ok(Self { client, platform: info.platform })
    }

    pub(super) fn platform(&self) -> Platform {
        self.platform
    }

    /// Sends and reads the answer, at most `limit` bytes of it.
    pub(super) async fn send(
        &self,
        method: &str,
        url: &str,
        token: Option<&SecretString>,
        device: Option<&str>,
        body: Body<'_>,
        limit: usize,
    ) -> Result<Answer> {
        let host = host_of(url);
        let url = require_https(url)?;
        let get = method == "GET";
        let mut request = self.client.request(if get { Method::GET } else { Method::POST }, url);
        if get {
            request = request.header("Cache-Control", "no-store").header("Pragma", "no-cache");
        }
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(device) = device {
            request = request.header("Device-Identifier", device);
        }
        request = match body {
            Body::None => request,
            Body::Json(value) => request
                .header("Content-Type", "application/json; charset=utf-8")
                .body(serde_json::to_vec(value).unwrap_or_default()),
            Body::Form(form) => request
                .header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
                .body(encode_form(form)),
        };
        let mut response = request.send().await.map_err(|e| network_error(&host, &e))?;
        let status = response.status().as_u16();
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|e| network_error(&host, &e))? {
            if body.len().saturating_add(chunk.len()) > limit {
                return Err(Error::BadAnswer { host, what: format!("more than {limit} bytes") });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, host, body })
    }
}

fn headers(info: &ClientInfo) -> Option<HeaderMap> {
    let system = match info.platform {
        Platform::Linux => "LINUX",
        Platform::MacOs => "MACOS",
        Platform::Windows => "WINDOWS",
    };
    let mut headers = HeaderMap::new();
    headers.insert("User-Agent", format!("Bitwarden_CLI/{} ({system})", info.version).parse().ok()?);
    headers.insert("Device-Type", HeaderValue::from_static(info.platform.device_type()));
    headers.insert("Bitwarden-Client-Name", HeaderValue::from_static("cli"));
    headers.insert("Bitwarden-Client-Version", info.version.parse().ok()?);
    headers.insert("Accept", HeaderValue::from_static("application/json"));
    Some(headers)
}

/// A redirect to another host would carry the password hash or the token there.
fn same_host(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let first = attempt.previous().first();
    let stays = first.is_some_and(|f| {
        f.host_str() == attempt.url().host_str()
            && f.port_or_known_default() == attempt.url().port_or_known_default()
    });
    if stays && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.error("the server redirects elsewhere")
    }
}

fn network_error(host: &str, error: &reqwest::Error) -> Error {
    let reason = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) };
    Error::Network { host: host.to_owned(), reason }
}

/// The last error of the chain says what happened; the ones above only where.
fn innermost(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(next) = source.source() {
        source = next;
    }
    // reqwest's own text repeats the URL.
    if error.source().is_none() { "request failed".to_owned() } else { source.to_string() }
}

/// Percent-encodes like JavaScript's `encodeURIComponent`, which is what the servers' form readers were built for.
fn encode_form(form: &[(&'static str, SecretString)]) -> String {
    let mut text = String::new();
    for (name, value) in form {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        encode_component(&mut text, value.expose_secret());
    }
    text
}

pub(super) fn encode_component(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_like_the_official_client_does() {
        let form = [
            ("scope", SecretString::from("api offline_access")),
            ("username", SecretString::from("a+b@example.com")),
            ("password", SecretString::from("x/y=ä~!*'()")),
        ];
        assert_eq!(
            encode_form(&form),
            "scope=api%20offline_access&username=a%2Bb%40example.com&password=x%2Fy%3D%C3%A4~!*'()"
        );
    }
}
