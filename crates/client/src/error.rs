//! What can go wrong for an agent.

use std::path::PathBuf;
use std::time::Duration;

use durward_protocol::{ApproverId, ErrorCode, RequestId, Timestamp};
use time::OffsetDateTime;

/// The reason of a denial by a standing rule of the owner's.
pub const DENIED_BY_RULE: &str = "policy";

/// The reason of a denial because the agent is paused.
pub const DENIED_BY_PAUSE: &str = "agent_paused";

/// Why a call failed. Each variant is something a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not an address of an approver.
    #[error("not an approver's address: {reason}")]
    InvalidApproverUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers at the address.
    #[error("cannot connect to the approver at {url}: {reason}")]
    CannotConnect {
        /// Where.
        url: String,
        /// The system's words.
        reason: String,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to the approver broke: {reason}")]
    ConnectionLost {
        /// The system's words.
        reason: String,
    },
    /// No answer in time.
    #[error("the approver did not answer in time")]
    Timeout,
    /// A plain error from the approver, or from somebody in between: a hint, not a verdict.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The code, when this build knows it.
        code: Option<ErrorCode>,
        /// The code's text as received, at most 64 characters.
        name: String,
        /// What happened and what to do, as received, at most 512 characters.
        message: String,
        /// The approver's clock, with `stale_timestamp`.
        approver_time: Option<OffsetDateTime>,
        /// When it says to come back (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// An answer that no honest approver gives.
    #[error("the approver's answer is not one of Durward's: {reason}")]
    BadAnswer {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no session: pair first.
    #[error("this agent is not paired with an approver")]
    NotPaired,
    /// Five answers failed within an hour.
    #[error("five pairing codes failed within an hour: somebody may be guessing; no new code before {}", Timestamp::new(*until))]
    PairingPaused {
        /// When the oldest of the five is an hour old.
        until: OffsetDateTime,
    },
    /// Another process of this profile is pairing and did not finish.
    #[error("another process is pairing this agent right now")]
    PairingBusy,
    /// The owner said no to the pairing.
    #[error("the owner refused this pairing")]
    PairingRefused,
    /// Nobody typed the code in its five minutes.
    #[error("the code expired before it was typed at the approver")]
    CodeExpired,
    /// The pairing is over at the approver, for example because it was restarted.
    #[error("the pairing is over at the approver; start a new one")]
    PairingEnded,
    /// The approver's proof does not match: another code was typed, or somebody sits in between.
    #[error(
        "the confirmation does not match: another code was typed at the approver, or somebody is in between"
    )]
    WrongCode,
    /// The approver granted more than was asked for.
    #[error("the approver granted a wider scope than was asked for; the pairing was given up")]
    ScopeWidened,
    /// This profile knows another approver.
    #[error("this agent was paired with another approver before")]
    ApproverChanged {
        /// The one it knows.
        known: Box<ApproverId>,
        /// The one that answers now.
        offered: Box<ApproverId>,
    },
    /// The session was ended by its owner; its keys are gone. Sealed, so it is certain.
    #[error("the owner revoked this session")]
    SessionRevoked,
    /// The owner, or a rule, said no. Sealed.
    #[error("{}", denied(.reason.as_deref()))]
    Denied {
        /// The owner's words, if any; [`DENIED_BY_RULE`] and [`DENIED_BY_PAUSE`] are the approver's.
        reason: Option<String>,
    },
    /// The vault has nothing for this domain. Sealed.
    #[error("the vault has no matching item{}", .reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    NotFound {
        /// The approver's words, if any.
        reason: Option<String>,
    },
    /// Nobody decided in time, or the answer can no longer be given. Sealed.
    #[error("the request expired before it was decided")]
    Expired,
    /// The request was cancelled. Sealed.
    #[error("the request was cancelled")]
    Cancelled,
    /// No decision yet; the request stays and can be waited for by its id.
    #[error("the request is still waiting for the owner")]
    Pending {
        /// Which request.
        id: RequestId,
    },
    /// The pending request belongs to a session that is no longer this agent's.
    #[error("the request belongs to an earlier session; ask again")]
    StaleRequest,
    /// There is no pending request with this id.
    #[error("there is no pending request with this id")]
    UnknownRequest,
    /// A file of the profile cannot be read or written.
    #[error("cannot use {}: {source}", .path.display())]
    State {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the profile is not what this library writes.
    #[error("{} is damaged or not from this version", .path.display())]
    DamagedState {
        /// Which file.
        path: PathBuf,
    },
    /// The rest key does not open the stored session.
    #[error("the stored session does not open: its rest key is another one or was lost; pair again")]
    RestKeyLost,
    /// The place that keeps the rest key does not answer.
    #[error(transparent)]
    RestKeyPlace(#[from] durward_protocol::KeeperError),
    /// The operating system's generator failed.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
    /// TLS could not be set up.
    #[error("cannot set up connections: {reason}")]
    Transport {
        /// The library's words.
        reason: String,
    },
    /// A value the protocol does not take.
    #[error(transparent)]
    Protocol(#[from] durward_protocol::Error),
}

impl Error {
    /// Whether the same call may succeed a moment later: the network failed, or the approver says it
    /// could not do it now. A failed confirmation never is.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::CannotConnect { .. } | Self::ConnectionLost { .. } | Self::Timeout => true,
            Self::Refused { status, code, .. } => {
                matches!(status, 408 | 502 | 503 | 504) && *code != Some(ErrorCode::VaultUnavailable)
            }
            _ => false,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// A stable snake_case word for scripts: the wire's where the wire has one.
    pub fn code(&self) -> &str {
        match self {
            Self::InvalidApproverUrl { .. } => "invalid_approver",
            Self::CannotConnect { .. } => "cannot_connect",
            Self::ConnectionLost { .. } => "connection_lost",
            Self::Timeout => "timeout",
            Self::Refused { name, .. } => name,
            Self::BadAnswer { .. } => "bad_answer",
            Self::NotPaired => "not_paired",
            Self::PairingPaused { .. } => ErrorCode::PairingPaused.as_str(),
            Self::PairingBusy => "pairing_busy",
            Self::PairingRefused => ErrorCode::PairingRefused.as_str(),
            Self::CodeExpired => "code_expired",
            Self::PairingEnded => ErrorCode::PairingNotFound.as_str(),
            Self::WrongCode => ErrorCode::ConfirmationFailed.as_str(),
            Self::ScopeWidened => "scope_widened",
            Self::ApproverChanged { .. } => "approver_changed",
            Self::SessionRevoked => "session_revoked",
            Self::Denied { reason } => match reason.as_deref() {
                Some(DENIED_BY_RULE) => "denied_by_rule",
                Some(DENIED_BY_PAUSE) => ErrorCode::AgentPaused.as_str(),
                _ => "denied",
            },
            Self::NotFound { .. } => "not_found",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Pending { .. } => "pending",
            Self::StaleRequest => "stale_request",
            Self::UnknownRequest => ErrorCode::RequestNotFound.as_str(),
            Self::State { .. } => "state_unusable",
            Self::DamagedState { .. } => "state_damaged",
            Self::RestKeyLost => "rest_key_lost",
            Self::RestKeyPlace(_) => "rest_key_unreachable",
            Self::NoRandomness => "no_randomness",
            Self::Transport { .. } => "transport",
            Self::Protocol(error) => error.code().as_str(),
        }
    }
}

fn denied(reason: Option<&str>) -> String {
    match reason {
        None => "the owner denied the request".to_owned(),
        Some(DENIED_BY_RULE) => "a rule of the owner's denied the request".to_owned(),
        Some(DENIED_BY_PAUSE) => "the owner paused this agent, which denied the request".to_owned(),
        Some(words) => format!("the owner denied the request: {words}"),
    }
}
