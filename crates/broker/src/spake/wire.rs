//! What goes over HTTP, field by field.

use data_encoding::HEXLOWER;
use durward_protocol::{SecretBytes, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::Error;
use super::id::SessionId;
use super::suite::{Parameters, Role, Suite};

/// `POST /spake/initiate`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeInitiateRequest"))]
#[serde(deny_unknown_fields)]
pub struct InitiateRequest {
    /// The caller's name for the session; the peer uses the same.
    pub session_id: String,
    /// The password; for `p256-sha256-raw` the stretched value in hex.
    pub password: SecretString,
    /// The suite's name; `p256-sha256` when absent.
    pub suite: Option<String>,
    /// The service's role, `a` or `b`; `b` when absent.
    pub role: Option<String>,
    /// The identity of A; empty when absent.
    #[serde(default)]
    pub id_a: String,
    /// The identity of B; empty when absent.
    #[serde(default)]
    pub id_b: String,
}

impl InitiateRequest {
    /// Reads a body. The parser's own message is dropped: it can quote the password.
    pub fn from_json(body: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(body).map_err(|_| Error::InvalidInitiate)
    }
}

/// The answer to `initiate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeInitiateResponse"))]
pub struct InitiateResponse {
    /// As asked.
    pub session_id: SessionId,
    /// Our public key in hex: SEC1 uncompressed on P-256, python-spake2's 33 bytes on Ed25519.
    pub public_key: String,
    /// `initiated`.
    pub status: Status,
    /// The suite's name.
    pub suite: Suite,
    /// What the name stands for.
    pub parameters: Parameters,
    /// The service's role.
    pub role: Role,
    /// The identity of A.
    pub id_a: String,
    /// The identity of B.
    pub id_b: String,
    /// Seconds until the session ends.
    pub expires_in: u64,
}

/// `POST /spake/exchange`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeExchangeRequest"))]
#[serde(deny_unknown_fields)]
pub struct ExchangeRequest {
    /// The session.
    pub session_id: String,
    /// The peer's public key in hex.
    pub client_public_key: String,
    /// The peer's confirmation in hex, 32 bytes; without one the secret is marked unconfirmed.
    pub client_confirmation: Option<String>,
}

impl ExchangeRequest {
    /// Reads a body.
    pub fn from_json(body: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(body).map_err(|_| Error::InvalidExchange)
    }
}

/// The answer to `exchange`. Serialising it exposes the secret: that is its purpose, once, over loopback.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeExchangeResponse"))]
pub struct ExchangeResponse {
    /// The session.
    pub session_id: SessionId,
    /// The agreed secret, 32 bytes in hex.
    #[serde(serialize_with = "expose_hex")]
    #[cfg_attr(feature = "openapi", schemars(with = "String"))]
    pub shared_secret: SecretBytes<32>,
    /// `completed`.
    pub status: Status,
    /// Whether the peer proved that it has the same secret.
    pub peer_confirmed: bool,
    /// Our proof for the peer, 32 bytes in hex.
    pub confirmation: String,
}

/// `POST /spake/confirm`, for a session whose secret came unconfirmed.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeConfirmRequest"))]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// The session.
    pub session_id: String,
    /// The peer's confirmation in hex, 32 bytes.
    pub client_confirmation: String,
}

impl ConfirmRequest {
    /// Reads a body.
    pub fn from_json(body: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(body).map_err(|_| Error::InvalidConfirm)
    }
}

/// The answer to `confirm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeConfirmResponse"))]
pub struct ConfirmResponse {
    /// The session.
    pub session_id: SessionId,
    /// `completed`.
    pub status: Status,
    /// `true`: the peer has the same secret.
    pub peer_confirmed: bool,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeStatus"))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waits for its exchange.
    Initiated,
    /// Had a good exchange.
    Completed,
    /// Had a bad one, or a late confirmation that was wrong.
    Failed,
}

/// The answer to `GET /spake/status/{id}`, and an element of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeSessionStatus"))]
pub struct SessionStatus {
    /// The session.
    pub session_id: SessionId,
    /// Where it stands.
    pub status: Status,
}

/// The answer to `DELETE /spake/cleanup/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeCleanupResponse"))]
pub struct CleanupResponse {
    /// The session that was.
    pub session_id: SessionId,
    /// `Session cleaned up successfully`.
    pub message: &'static str,
}

/// The answer to `GET /spake/sessions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeSessionList"))]
pub struct SessionList {
    /// How many sessions the table holds, ended ones included.
    pub active_sessions: usize,
    /// Each of them, the oldest first.
    pub sessions: Vec<SessionStatus>,
}

/// The answer to `GET /health` of the service alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// `healthy`.
    pub status: &'static str,
    /// `spake`.
    pub service: &'static str,
}

impl Health {
    /// The only state in which the service answers.
    pub const HEALTHY: Self = Self { status: "healthy", service: "spake" };
}

fn expose_hex<S: Serializer>(secret: &SecretBytes<32>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&Zeroizing::new(HEXLOWER.encode(secret.expose_bytes())))
}
