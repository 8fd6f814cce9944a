//! Bodies of the control plane. Lists are those of `durward_broker::approval`: [`PairingView`],
//! [`SessionView`], [`RequestView`], [`GrantView`], [`Notice`].

use durward_broker::approval::{AuditRecord, Decision};
pub use durward_broker::approval::{
    GrantView, Notice, PairingView, PausedAgent, RequestView, SessionView, Suggestion,
};
use durward_protocol::device::DeviceId;
use durward_protocol::device::api::DeviceStatus;
use durward_protocol::{
    AgentId, ApproverId, Field, GrantId, PairingNumber, RequestId, SecretString, SessionId, Verdict,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// `GET /status`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Status {
    /// Version of the running program.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Its data folder.
    pub home: String,
    /// URL of the agent plane.
    pub listen: String,
    /// URL of the control port, when there is one.
    pub control: Option<String>,
    /// The approver's name on the wire.
    pub approver_id: ApproverId,
    /// When it started.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "openapi", schemars(with = "durward_protocol::Timestamp"))]
    pub started_at: OffsetDateTime,
    /// Its clock.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "openapi", schemars(with = "durward_protocol::Timestamp"))]
    pub now: OffsetDateTime,
    /// Whether agents may pair.
    pub pairing_open: bool,
    /// Pairings that wait for a code.
    pub waiting_pairings: usize,
    /// Requests that wait for the owner.
    pub waiting_requests: usize,
    /// Live sessions.
    pub active_sessions: usize,
    /// Live grants.
    pub grants: usize,
    /// The vault.
    pub vault: VaultStatus,
    /// Records in the audit log.
    pub audit_records: u64,
    /// Devices, where they are switched on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Box<DeviceStatus>>,
    /// What happened since an approver was last connected; absent while one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away: Option<Away>,
}

/// What the owner missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Away {
    /// When the last approver left.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "openapi", schemars(with = "durward_protocol::Timestamp"))]
    pub since: OffsetDateTime,
    /// Requests that wait now.
    pub waiting: usize,
    /// Requests that nobody answered in time.
    pub expired: u64,
    /// Credentials released under grants and rules.
    pub released: u64,
    /// Requests that rules denied.
    pub denied: u64,
}

/// `GET /vault`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct VaultStatus {
    /// Which kind.
    pub provider: String,
    /// The owner's name for it.
    pub name: String,
    /// Where it lies.
    pub location: String,
    /// Whether it is there.
    pub exists: bool,
    /// Whether it wants a password.
    pub needs_password: bool,
    /// Until when it stays open; absent: it is locked.
    #[serde(with = "time::serde::rfc3339::option")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<durward_protocol::Timestamp>"))]
    pub open_until: Option<OffsetDateTime>,
    /// Why it cannot be used, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// `GET /pairings`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Pairings {
    /// Whether agents may pair.
    pub open: bool,
    /// Those that wait, by number.
    pub pairings: Vec<PairingView>,
}

/// `POST /pairings/enter`: held until the pairing is confirmed or over.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnterCode {
    /// The number before the code; needed when several wait.
    #[serde(default)]
    pub number: Option<PairingNumber>,
    /// The six digits, or all that the agent shows: `12-847293`.
    pub code: SecretString,
    /// A narrower scope than was asked for, as on the wire.
    #[serde(default)]
    pub scope: Option<String>,
    /// Whether rules of the policy that name this agent count for the session.
    #[serde(default)]
    pub apply_rules: bool,
    /// The device on which the agent runs; absent: this one.
    #[serde(default)]
    pub runs_on: Option<DeviceId>,
    /// Whether that device's answers count for this agent all the same.
    #[serde(default)]
    pub device_may_answer: bool,
}

/// Answer to `POST /pairings/enter`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Paired {
    /// The new session.
    pub session: SessionView,
}

/// `POST /pairings/refuse`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RefusePairing {
    /// Which; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<PairingNumber>,
}

/// How many things a call concerned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Done {
    /// How many.
    pub done: usize,
}

/// `GET /sessions`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Sessions {
    /// Live ones, oldest first.
    pub sessions: Vec<SessionView>,
}

/// `POST /session/revoke`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RevokeSession {
    /// Which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// All of them; then no id is given.
    #[serde(default)]
    pub all: bool,
}

/// `GET /agents/paused`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PausedAgents {
    /// By id.
    pub agents: Vec<PausedAgent>,
}

/// `POST /agents/pause`, `POST /agents/resume`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SwitchAgent {
    /// Which.
    pub agent_id: AgentId,
}

/// `GET /policy`, `POST /policy/reload`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PolicyStatus {
    /// Where the file is.
    pub path: Option<String>,
    /// The version in the audit log; empty without a file.
    pub version: String,
    /// The rules in force, in order.
    pub rules: Vec<String>,
    /// What is wrong with the file as it is now; then older rules are in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// `GET /policy/suggestions`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Suggestions {
    /// Rules that would have spared questions.
    pub suggestions: Vec<Suggestion>,
}

/// `POST /policy/suggestions/{id}/accept`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AcceptSuggestion {
    /// How long the rule holds, 1 to 30 days; 7 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// Let rules that name the agent count for its session although other rules name it too.
    #[serde(default)]
    pub apply_rules: bool,
}

/// Answer to `POST /policy/suggestions/{id}/accept`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SuggestionAccepted {
    /// The file it was written into.
    pub path: String,
    /// What was written.
    pub rule: String,
    /// Whether it counts for the agent's live session.
    pub applies: bool,
}

/// `GET /requests`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Requests {
    /// Those that wait, oldest first; look-alikes are one, with a count.
    pub requests: Vec<RequestView>,
}

/// `POST /requests/decide`
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Decide {
    /// The session.
    pub session_id: SessionId,
    /// The request.
    pub request_id: RequestId,
    /// `{"verdict":"approve", "grant"?, "item_id"?, "fields"?}` or `{"verdict":"deny", "reason"?}`
    #[serde(flatten)]
    pub decision: Decision,
    /// The vault password, for an approval while the vault is locked.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// Keep the vault open for this many seconds after.
    #[serde(default)]
    pub keep_unlocked_seconds: Option<u64>,
}

/// Answer to `POST /requests/decide`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Decided {
    /// How the request ended.
    pub verdict: Verdict,
    /// Fields released.
    pub fields: Vec<Field>,
    /// Why nothing was, when the item has none of what was asked for; or what the owner said with a denial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `GET /grants`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Grants {
    /// Live ones, oldest first.
    pub grants: Vec<GrantView>,
}

/// `POST /grants/end`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EndGrant {
    /// Which.
    pub grant_id: GrantId,
}

/// `POST /vault/unlock`
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// The vault password.
    pub password: SecretString,
    /// How long it stays open, in seconds.
    pub seconds: u64,
}

/// `GET /audit`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditPage {
    /// Records, ascending.
    pub records: Vec<AuditRecord>,
}

/// `GET /audit/verify`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditVerdict {
    /// Whether the chain holds.
    pub ok: bool,
    /// Records checked.
    pub records: u64,
    /// What is wrong with the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What agents have seen of the log and is not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What this approver has seen of agents' records and is not in them any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
}
