//! Calls to a server with accounts: bounded answers, refusals as errors that say when to come back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use durward_protocol::SecretString;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Method, Response, Url, redirect};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{not_understood, other};
use crate::exit::{CliError, Exit};
use crate::terminal;

const TIMEOUT: Duration = Duration::from_mins(1);

/// No answer of ours is larger, a list of a thousand devices included.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Which server.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5000")]
    pub(super) server: Url,
    /// Trust this certificate (PEM) and no other: for a server that signed its own.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A server to call, with a key or without.
pub(super) struct Server {
    client: Client,
    base: Url,
    key: Option<SecretString>,
}

impl ServerArgs {
    /// The server, unless secrets would travel bare to it.
    pub(super) fn open(&self, key: Option<SecretString>) -> Result<Server, CliError> {
        if self.server.scheme() != "https" && !is_loopback(&self.server) {
            let text = "the key would travel bare: use an https:// address, or a server on this machine";
            return Err(CliError::new(Exit::Refused, "plain_http", text));
        }
        Ok(Server { client: client(self.ca.as_deref())?, base: self.server.clone(), key })
    }

    /// What the files of this server's keys begin with.
    pub(super) fn file_stem(&self) -> String {
        let host = self.server.host_str().unwrap_or("server").replace([':', '[', ']'], "-");
        let port = self.server.port_or_known_default().unwrap_or_default();
        format!("{host}_{port}_")
    }
}

impl Server {
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, CliError> {
        self.call(Method::GET, path, None).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CliError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let mut request = self.client.request(method, url);
        if let Some(key) = &self.key {
            request = request.header("X-API-Key", key.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let bytes = self.bounded(&mut response).await?;
        let answer: Value = serde_json::from_slice(&bytes).map_err(|_| not_understood())?;
        if status.is_success() { Ok(answer) } else { Err(refused(status.as_u16(), &answer, retry_after)) }
    }

    async fn bounded(&self, response: &mut Response) -> Result<Zeroizing<Vec<u8>>, CliError> {
        let mut bytes = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(not_understood());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let mut reason: &dyn std::error::Error = error;
        while let Some(source) = reason.source() {
            reason = source;
        }
        let text = format!("cannot reach {}: {reason}", self.base);
        CliError::new(Exit::CannotConnect, "cannot_connect", text)
    }
}

fn retry_after(response: &Response) -> Option<u64> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

fn client(ca: Option<&Path>) -> Result<Client, CliError> {
    let _ = rustls::crypto::ring::default_provider().install_default(); // another part was faster: as good
    let mut builder = Client::builder().redirect(redirect::Policy::none()).timeout(TIMEOUT).no_proxy();
    if let Some(path) = ca {
        let unreadable = |error: &dyn std::fmt::Display| {
            CliError::new(Exit::Usage, "bad_certificate", format!("cannot use {}: {error}", path.display()))
        };
        let pem = std::fs::read(path).map_err(|error| unreadable(&error))?;
        let certificate = reqwest::Certificate::from_pem(&pem).map_err(|error| unreadable(&error))?;
        builder = builder.tls_certs_only([certificate]);
    }
    builder.build().map_err(|error| other("start_failed", error.to_string()))
}

fn refused(status: u16, answer: &Value, retry_after: Option<u64>) -> CliError {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let exit = match status {
        401 => Exit::SessionFailed,
        429 => Exit::RateLimited,
        400 => Exit::Usage,
        404 => Exit::NotFound,
        _ => Exit::Other,
    };
    let code = Some(text("error")).filter(|code| !code.is_empty()).unwrap_or_else(|| "refused".into());
    let message = Some(text("message")).filter(|text| !text.is_empty());
    let message = message.unwrap_or_else(|| format!("the server answered {status}"));
    let error = CliError::new(exit, code, terminal::harmless(&message));
    match (retry_after, answer.get("attempts_remaining").and_then(Value::as_u64)) {
        (Some(seconds), _) => error.hint(wait(seconds)).fact("retry_after_seconds", seconds),
        (None, Some(left)) => error.hint(remaining(left)).fact("attempts_remaining", left),
        (None, None) => error,
    }
}

/// How many wrong phrases there may still be.
pub(super) fn remaining(left: u64) -> String {
    match left {
        0 => "this account is locked for this address now".to_owned(),
        1 => "1 more failure and the account is locked for this address".to_owned(),
        left => format!("{left} more failures before the account is locked for this address"),
    }
}

/// Rounded up: who comes back at that time is not told to wait again.
fn wait(seconds: u64) -> String {
    match seconds {
        0..=90 => format!("wait {seconds} s"),
        91..=5_400 => format!("wait {} min", seconds.div_ceil(60)),
        _ => format!("wait {} h", seconds.div_ceil(3_600)),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_when_to_come_back() {
        let locked = serde_json::json!({ "error": "locked_out", "message": "Too many failed attempts" });
        let error = refused(429, &locked, Some(840));
        assert_eq!((error.code.as_str(), error.hint.as_deref()), ("locked_out", Some("wait 14 min")));
        assert_eq!(error.facts, [("retry_after_seconds", 840)]);
        assert_eq!(
            (wait(60), wait(841), wait(86_400)),
            ("wait 60 s".into(), "wait 15 min".into(), "wait 24 h".into())
        );
    }
}
