//! Bodies of the agent plane, plain JSON. Pairing bodies refuse unknown fields: what is not in the
//! transcript must not be there.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, ApproverId, PairingId, RequestId, SessionId};
use crate::message::Timestamp;
use crate::{ErrorCode, PairingNumber};

/// `POST /pairing/initiate`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InitiateRequest {
    /// What the agent calls itself.
    pub agent_id: String,
    /// What the owner will read.
    pub agent_name: String,
    /// The scope asked for, see [`crate::Scope`]. Absent or empty: no limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Refused with `code_must_not_be_sent`: the code never crosses the wire.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schemars(skip))]
    pub pairing_code: Option<IgnoredAny>,
}

/// Answer to `POST /pairing/initiate`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct InitiateResponse {
    /// Names the pairing from here on.
    pub pairing_id: PairingId,
    /// Shown before the code, so that the owner picks the right pairing.
    pub number: PairingNumber,
    /// The approver's receipt key.
    pub approver_id: ApproverId,
    /// When the pairing ends unused.
    pub expires_at: Timestamp,
}

/// `POST /pairing/exchange`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ExchangeRequest {
    /// The pairing.
    pub pairing_id: PairingId,
    /// SPAKE2 message of the agent, base64url.
    pub pake_message: String,
    /// Refused with `code_must_not_be_sent`.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schemars(skip))]
    pub pairing_code: Option<IgnoredAny>,
}

/// Answer to `POST /pairing/exchange`, once the owner has typed the code
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ExchangeResponse {
    /// The session that `confirm` makes live.
    pub session_id: SessionId,
    /// The agent, repeated.
    pub agent_id: AgentId,
    /// SPAKE2 message of the approver, base64url.
    pub pake_message: String,
    /// MAC_B, base64url.
    pub confirmation: String,
    /// The granted scope; empty for no limits.
    pub scope: String,
}

/// `POST /pairing/confirm`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// The session.
    pub session_id: SessionId,
    /// MAC_A, base64url.
    pub confirmation: String,
}

/// Answer to `POST /pairing/confirm`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ConfirmResponse {
    /// Always true: anything else is an error.
    pub active: bool,
    /// The nearer of idle end and absolute end.
    pub expires_at: Timestamp,
}

/// `POST /pairing/cancel`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CancelPairingRequest {
    /// The pairing.
    pub pairing_id: PairingId,
}

/// Answer to `POST /pairing/cancel`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CancelPairingResponse {
    /// Always true: cancelling what is over is no error.
    pub cancelled: bool,
}

/// `POST /credential/request`, `/credential/cancel`, `/session/revoke`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SealedRequest {
    /// The session.
    pub session_id: SessionId,
    /// The envelope. Its absence has an error of its own, `envelope_required`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted_payload: Option<String>,
}

/// What `/credential/request` answers. `status` is a hint, `answered` or `pending`: the sealed one decides.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CredentialAnswer {
    /// `answered` or `pending`.
    pub status: AnswerStatus,
    /// The request, while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The sealed verdict, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted_payload: Option<String>,
}

/// Whether there is a verdict yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AnswerStatus {
    /// There is: it is sealed in `encrypted_payload`.
    Answered,
    /// Not yet: send the same request again to keep waiting.
    Pending,
}

/// Answer to `POST /credential/cancel`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CancelResponse {
    /// Whether a waiting request was ended.
    pub cancelled: bool,
    /// A sealed `ok`.
    pub encrypted_payload: String,
}

/// Answer to `POST /session/revoke`, on both planes
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RevokeResponse {
    /// Always true.
    pub revoked: bool,
    /// The session that was.
    pub session_id: SessionId,
    /// A sealed `ok`, for the agent's own call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted_payload: Option<String>,
}

/// Answer to `GET /session/status`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SessionStatus {
    /// Always true: an ended session is `session_not_found`.
    pub active: bool,
    /// The last envelope that opened.
    pub last_access: Timestamp,
    /// The nearer of idle end and absolute end.
    pub expires_at: Timestamp,
}

/// Answer to `GET /health` on the agent plane
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// Live sessions.
    pub active_sessions: usize,
}

/// Any error, on both planes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    /// Stable code.
    pub error: String,
    /// What happened and what to do.
    pub message: String,
    /// The approver's clock, with `stale_timestamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver_time: Option<Timestamp>,
}

impl ErrorBody {
    /// The table's text for a code.
    pub fn new(code: ErrorCode) -> Self {
        Self { error: code.as_str().into(), message: code.message().into(), approver_time: None }
    }

    /// The code, when this build knows it.
    pub fn code(&self) -> Option<ErrorCode> {
        ErrorCode::parse(&self.error)
    }
}
