//! The CLI's side of the control plane: HTTP over the Unix socket of the running approver.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use durward_broker::approval::ItemChoice;
use durward_protocol::{ErrorCode, SecretString};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::net::UnixStream;
use zeroize::{Zeroize as _, Zeroizing};

use crate::exit::{CliError, Exit};

/// How long an answer may take before the approver is asked whether it is there at all.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long it may take to say so.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Largest answer taken.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A running approver.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    socket: PathBuf,
}

/// What the approver refused, as it said it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) error: String,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) choices: Vec<ItemChoice>,
}

impl Refusal {
    pub(crate) fn is(&self, code: ErrorCode) -> bool {
        self.error == code.as_str()
    }
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody listens.
    NotRunning,
    /// Its process is there and says nothing.
    Silent(Option<i32>),
    /// It said no.
    Refused(Refusal),
    /// Something else.
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning => f.write_str("no approver is running here"),
            Self::Silent(Some(pid)) => {
                write!(f, "the approver, pid {pid}, does not answer: is it suspended?")
            }
            Self::Silent(None) => f.write_str("the approver does not answer: is it suspended?"),
            Self::Refused(refusal) => f.write_str(&refusal.message),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        let text = failure.to_string();
        match failure {
            Failure::NotRunning => CliError::new(Exit::CannotConnect, "not_running", text)
                .hint("start the approver with `durward up`"),
            Failure::Silent(pid) => {
                let kill = pid.map_or_else(String::new, |pid| format!(", or `kill -CONT {pid}`,"));
                CliError::new(Exit::CannotConnect, "not_answering", text)
                    .hint(format!("`fg` in its terminal{kill} lets it go on"))
            }
            Failure::Refused(refusal) => CliError::new(exit_of(&refusal), refusal.error, text),
            Failure::Other(_) => CliError::new(Exit::Other, "control", text),
        }
    }
}

fn exit_of(refusal: &Refusal) -> Exit {
    match ErrorCode::parse(&refusal.error) {
        Some(ErrorCode::ConfirmationFailed) => Exit::Mismatch,
        Some(
            ErrorCode::PairingNotFound
            | ErrorCode::SessionNotFound
            | ErrorCode::RequestNotFound
            | ErrorCode::GrantNotFound
            | ErrorCode::SuggestionNotFound
            | ErrorCode::ItemNotFound
            | ErrorCode::VaultNotFound
            | ErrorCode::DeviceNotFound
            | ErrorCode::MessageNotFound,
        ) => Exit::NotFound,
        Some(ErrorCode::VaultLocked | ErrorCode::WrongPassword) => Exit::VaultLocked,
        Some(
            ErrorCode::InvalidCode
            | ErrorCode::InvalidScope
            | ErrorCode::InvalidRequest
            | ErrorCode::InvalidDeviceName
            | ErrorCode::NameTaken,
        ) => Exit::Usage,
        Some(
            ErrorCode::CodeAlreadyTyped
            | ErrorCode::PairingNotWaiting
            | ErrorCode::PairingUsed
            | ErrorCode::PairingBusy
            | ErrorCode::SeveralPairings
            | ErrorCode::DeviceKnown,
        ) => Exit::SessionFailed,
        Some(
            ErrorCode::TooManyPairings
            | ErrorCode::PairingPaused
            | ErrorCode::RateLimited
            | ErrorCode::OutboxFull,
        ) => Exit::RateLimited,
        Some(ErrorCode::DeviceUnreachable) => Exit::CannotConnect,
        Some(ErrorCode::OutOfScope) => Exit::Refused,
        _ => Exit::Other,
    }
}

/// A JSON body that may hold secrets: built by hand, wiped after it was sent.
#[derive(Default)]
pub(crate) struct SecretBody(Map<String, Value>);

impl SecretBody {
    pub(crate) fn new(value: impl serde::Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(Value::Object(map)) => Self(map),
            _ => Self::default(),
        }
    }

    pub(crate) fn secret(mut self, key: &str, secret: &SecretString) -> Self {
        self.0.insert(key.into(), Value::String(secret.expose_secret().to_owned()));
        self
    }

    pub(crate) fn set(mut self, key: &str, value: impl serde::Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.insert(key.into(), value);
        }
        self
    }

    /// As it is sent.
    pub(crate) fn bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(serde_json::to_vec(&self.0).unwrap_or_default())
    }
}

impl Drop for SecretBody {
    fn drop(&mut self) {
        for (_, value) in std::mem::take(&mut self.0) {
            if let Value::String(mut text) = value {
                text.zeroize();
            }
        }
    }
}

impl Control {
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Whether somebody answers.
    pub(crate) async fn is_running(&self) -> bool {
        self.connect().await.is_ok()
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, None, None).await
    }

    /// The same, held by the daemon for up to so many seconds.
    pub(crate) async fn get_held<T: DeserializeOwned>(&self, path: &str, seconds: u64) -> Result<T, Failure> {
        self.call(Method::GET, path, None, Some(seconds)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: SecretBody) -> Result<T, Failure> {
        self.call(Method::POST, path, Some(body), None).await
    }

    /// The same, held by the daemon for up to so many seconds.
    pub(crate) async fn post_held<T: DeserializeOwned>(
        &self,
        path: &str,
        body: SecretBody,
        seconds: u64,
    ) -> Result<T, Failure> {
        self.call(Method::POST, path, Some(body), Some(seconds)).await
    }

    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: SecretBody,
    ) -> Result<T, Failure> {
        self.call(Method::PATCH, path, Some(body), None).await
    }

    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::DELETE, path, None, None).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<SecretBody>,
        held: Option<u64>,
    ) -> Result<T, Failure> {
        let response = self.send(method, path, body, held).await?;
        let good = response.status().is_success();
        let limited = http_body_util::Limited::new(response.into_body(), MAX_ANSWER_BYTES);
        let bytes = limited.collect().await.map_err(|error| Failure::Other(error.to_string()))?.to_bytes();
        if good {
            return serde_json::from_slice(&bytes).map_err(|error| {
                Failure::Other(format!("the approver's answer is not understood: {error}"))
            });
        }
        match serde_json::from_slice(&bytes) {
            Ok(refusal) => Err(Failure::Refused(refusal)),
            Err(_) => Err(Failure::Other("the approver's answer is not understood".into())),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<SecretBody>,
        held: Option<u64>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut sender = self.connect().await?;
        let bytes = body.as_ref().map(SecretBody::bytes).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json");
        if let Some(seconds) = held {
            request = request.header("prefer", format!("wait={seconds}"));
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(&bytes)))
            .map_err(|error| Failure::Other(error.to_string()))?;
        let answer = sender.send_request(request);
        let answer = if held.is_some() { answer.await } else { self.watched(answer).await? };
        answer.map_err(|error| Failure::Other(format!("the approver went away: {error}")))
    }

    /// Waits for an answer. A vault takes its time; a process that was suspended says nothing at all, not even to the
    /// shortest question.
    async fn watched<T>(&self, answer: impl Future<Output = T>) -> Result<T, Failure> {
        let mut answer = std::pin::pin!(answer);
        loop {
            if let Ok(answer) = tokio::time::timeout(PATIENCE, &mut answer).await {
                return Ok(answer);
            }
            let health = tokio::time::timeout(LAST_WORD, self.health());
            tokio::select! {
                answer = &mut answer => return Ok(answer),
                said = health => {
                    let Ok(said) = said else {
                        let pid = connect_socket(&self.socket).await.ok().and_then(|(_, pid)| pid);
                        return Err(Failure::Silent(pid));
                    };
                    said?;
                }
            }
        }
    }

    async fn health(&self) -> Result<(), Failure> {
        let mut sender = self.connect().await?;
        let request = Request::builder().uri("/health").header("host", "localhost").body(Full::default());
        let request = request.map_err(|error| Failure::Other(error.to_string()))?;
        let answer = sender.send_request(request).await;
        answer.map(drop).map_err(|error| Failure::Other(format!("the approver went away: {error}")))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let (stream, _) = connect_socket(&self.socket).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::Other(error.to_string()))?;
        tokio::spawn(async move {
            let _ = connection.await; // an error shows at the call
        });
        Ok(sender)
    }

    /// What happens, from now on.
    pub(crate) async fn events(&self) -> Result<Events, Failure> {
        let response = self.send(Method::GET, "/events", None, None).await?;
        Ok(Events { body: response.into_body(), buffer: Vec::new() })
    }
}

/// Connects, and checks that the other side runs as the same user: a socket in a folder that somebody
/// else could write to may be somebody else's. With it the id of the process that listens, where the system says it.
async fn connect_socket(path: &Path) -> Result<(UnixStream, Option<i32>), Failure> {
    let stream = UnixStream::connect(path).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => Failure::NotRunning,
        _ => Failure::Other(format!("cannot use {}: {error}", path.display())),
    })?;
    let peer = stream.peer_cred().map_err(|error| Failure::Other(error.to_string()))?;
    if peer.uid() != nix::unistd::geteuid().as_raw() {
        return Err(Failure::Other(format!("{} belongs to another user; not used", path.display())));
    }
    Ok((stream, peer.pid()))
}

/// Server-sent events, one at a time.
pub(crate) struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerEvent {
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Events {
    /// The next one; `None` when the approver is gone.
    pub(crate) async fn next(&mut self) -> Option<ServerEvent> {
        loop {
            if let Some(event) = self.take() {
                return Some(event);
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                if self.buffer.len() + data.len() > MAX_ANSWER_BYTES {
                    return None;
                }
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    fn take(&mut self) -> Option<ServerEvent> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let text = String::from_utf8_lossy(&block);
        let field = |name: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            lines.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect::<Vec<_>>().join("\n")
        };
        Some(ServerEvent { name: field("event"), data: field("data") })
    }
}
