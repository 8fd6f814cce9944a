//! What goes into the machine and what comes out.

use std::sync::Arc;

use durward_protocol::device::{DeviceDecision, DeviceId, DeviceName};
use durward_protocol::wire::{ConfirmResponse, ExchangeResponse, InitiateResponse};
use durward_protocol::{
    AgentId, AgentName, Code, Confirmation, Credential, Domain, ErrorCode, Field, GrantId, PairingId,
    PairingNumber, PakeMessage, RequestId, Scope, SessionId, Timestamp, Verdict,
};
use serde::{Deserialize, Serialize};

use super::audit::{AuditEntry, ChainHead};
use super::by_device::RunsOn;
pub use super::notice::Notice;
use super::policy::Policy;
use super::records::Write;
use super::view::SessionView;

/// Somebody who waits for an answer: one call of the API. Made by the caller, unique while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Waiter(pub u64);

/// Joins an effect with the event that reports how it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(crate) u64);

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// `POST /pairing/initiate`
    Initiate {
        /// Who waits.
        waiter: Waiter,
        /// The claimed id.
        agent_id: AgentId,
        /// The claimed name.
        agent_name: AgentName,
        /// The scope asked for.
        scope: Scope,
    },
    /// `POST /pairing/exchange`
    Exchange {
        /// Who waits.
        waiter: Waiter,
        /// Which pairing.
        pairing_id: PairingId,
        /// The agent's message, checked.
        message: PakeMessage,
    },
    /// `POST /pairing/confirm`
    Confirm {
        /// Who waits.
        waiter: Waiter,
        /// The session that shall be.
        session_id: SessionId,
        /// MAC_A.
        confirmation: Confirmation,
    },
    /// `POST /pairing/cancel`
    CancelPairing {
        /// Who waits.
        waiter: Waiter,
        /// Which pairing.
        pairing_id: PairingId,
    },
    /// `POST /credential/request`
    Request {
        /// Who waits.
        waiter: Waiter,
        /// The session.
        session_id: SessionId,
        /// The envelope.
        payload: String,
    },
    /// `POST /credential/cancel`
    CancelRequest {
        /// Who waits.
        waiter: Waiter,
        /// The session.
        session_id: SessionId,
        /// The envelope.
        payload: String,
    },
    /// `POST /session/revoke` on the agent plane
    RevokeByAgent {
        /// Who waits.
        waiter: Waiter,
        /// The session.
        session_id: SessionId,
        /// The envelope.
        payload: String,
    },
    /// A held call is over: its time is up or its connection is gone.
    WaitOver {
        /// Who waited.
        waiter: Waiter,
    },
    /// The owner typed a code.
    TypeCode {
        /// Who waits; answered when the pairing is confirmed or over.
        waiter: Waiter,
        /// The pairing meant; needed when several wait.
        number: Option<PairingNumber>,
        /// The code.
        code: Code,
        /// A narrower scope than was asked for.
        scope: Option<Scope>,
        /// Whether rules of the policy that name agents count for this session.
        apply_rules: bool,
        /// On which other device the agent runs; `None`: on this one.
        runs_on: Option<RunsOn>,
    },
    /// The owner refuses one waiting pairing, or all.
    RefusePairing {
        /// Who waits.
        waiter: Waiter,
        /// Which; `None` for all.
        number: Option<PairingNumber>,
    },
    /// The owner closes or opens pairing.
    SwitchPairing {
        /// Who waits.
        waiter: Waiter,
        /// Whether agents may pair from now on.
        open: bool,
    },
    /// The owner pauses an agent, or resumes it.
    SwitchAgent {
        /// Who waits; answered with how many agents changed, 0 or 1.
        waiter: Waiter,
        /// Which.
        agent_id: AgentId,
        /// Whether it is paused from now on.
        pause: bool,
    },
    /// The owner decides a request.
    Decide {
        /// Who waits.
        waiter: Waiter,
        /// The session.
        session_id: SessionId,
        /// The request.
        request_id: RequestId,
        /// The decision.
        decision: Decision,
    },
    /// The owner decided a request on another device. The caller has checked that the peer `decision.device_id` signed
    /// it.
    DecideByDevice {
        /// Who waits.
        waiter: Waiter,
        /// The session.
        session_id: SessionId,
        /// The request.
        request_id: RequestId,
        /// The device's name here.
        name: DeviceName,
        /// What it signed.
        decision: Box<DeviceDecision>,
    },
    /// These peers, and no others, may decide requests from now on. What another one approved and was not released
    /// waits for the owner again.
    Approvers {
        /// Which.
        devices: Vec<DeviceId>,
    },
    /// The vault was unlocked: what devices approved meanwhile is released.
    VaultOpened,
    /// The owner ends one session, or all.
    RevokeSession {
        /// Who waits.
        waiter: Waiter,
        /// Which; `None` for all.
        session_id: Option<SessionId>,
    },
    /// The owner ends a grant.
    EndGrant {
        /// Who waits.
        waiter: Waiter,
        /// Which.
        grant_id: GrantId,
    },
    /// A commit went through, or failed.
    Committed {
        /// Which.
        ticket: Ticket,
        /// The new end of the audit chain, or nothing when it failed.
        head: Option<ChainHead>,
    },
    /// The vault was read.
    VaultRead {
        /// Which reading.
        reading: Ticket,
        /// What was found.
        result: Result<Credential, VaultFailure>,
    },
    /// A record of the audit log was compared with what an agent has seen.
    HeadCompared {
        /// Which agent.
        agent_id: AgentId,
        /// What it has seen.
        head: ChainHead,
        /// Whether the log has the same.
        same: bool,
    },
    /// The owner has read what does not agree with agents' records: begin anew with what they say next.
    ForgetHeads {
        /// Who waits; answered with how many agents were forgotten.
        waiter: Waiter,
    },
    /// Something elsewhere belongs into the audit log.
    Record(AuditEntry),
    /// The owner's standing rules were read anew. What waits is judged again: a denial takes effect at once, a
    /// release if the vault is open.
    SetPolicy(Policy),
    /// The owner says that rules which name its agent count for a live session.
    ApplyRules {
        /// Who waits; answered with 1, or 0 when they counted already.
        waiter: Waiter,
        /// Which.
        session_id: SessionId,
    },
    /// The process ends: what was only counted is written down.
    Stopping,
    /// Time has passed.
    Tick,
}

/// What the owner decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Decision {
    /// Release the credential.
    Approve {
        /// And approve more of the same without asking.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant: Option<GrantSpec>,
        /// The item to release, when several match.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item_id: Option<String>,
        /// Fewer fields than were asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fields: Option<Vec<Field>>,
    },
    /// Release nothing.
    Deny {
        /// Words for the agent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// How long an approval stands, counted from the approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GrantSpec {
    /// As long as the session.
    Session,
    /// For this long.
    For {
        /// Seconds, 1 to 86,400.
        seconds: u64,
    },
    /// For this many uses, the one approved now not counted.
    Uses {
        /// Uses, 1 to 1,000.
        uses: u64,
    },
}

/// Why the vault gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultFailure {
    /// It is locked.
    Locked,
    /// There is no vault.
    Missing,
    /// No item matches.
    NotFound,
    /// Several items match: the owner has to choose.
    Several(Vec<ItemChoice>),
    /// Something else; the text is for the owner and holds no secret.
    Unavailable(String),
}

/// An item the owner may choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ItemChoice {
    /// The provider's id.
    pub item_id: String,
    /// Its name.
    pub name: String,
    /// Its user name.
    pub username: Option<String>,
}

/// What the caller has to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Commit these together, then report [`Event::Committed`]. Nothing that depends on it happens before.
    Commit {
        /// To report with.
        ticket: Ticket,
        /// What.
        writes: Vec<Write>,
    },
    /// Commit these; nobody waits for it.
    Save {
        /// What.
        writes: Vec<Write>,
    },
    /// Answer a call.
    Reply {
        /// Whose.
        waiter: Waiter,
        /// With what.
        answer: Answer,
    },
    /// Read the vault once, then report [`Event::VaultRead`].
    ReadVault {
        /// To report with.
        reading: Ticket,
        /// For which request.
        session_id: SessionId,
        /// For which request.
        request_id: RequestId,
        /// What for.
        domain: Domain,
        /// A particular item.
        item_id: Option<String>,
        /// These fields and no others.
        fields: Vec<Field>,
    },
    /// Look up one record of the audit log, then report [`Event::HeadCompared`]; nobody waits for it.
    CompareHead {
        /// Which agent has seen it.
        agent_id: AgentId,
        /// What it has seen.
        head: ChainHead,
    },
    /// Tell whoever watches.
    Notify(Notice),
}

/// The answer to one call.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A pairing exists.
    Initiated(InitiateResponse),
    /// The code was typed.
    Exchanged(ExchangeResponse),
    /// The code was not typed yet: ask again.
    ExchangePending,
    /// The session is live.
    Confirmed(ConfirmResponse),
    /// The pairing is over.
    PairingCancelled,
    /// The sealed verdict.
    Answered {
        /// The envelope, the same bytes for everybody who joins.
        payload: Arc<str>,
    },
    /// No verdict yet.
    Pending {
        /// The request.
        request_id: RequestId,
    },
    /// The request was given up.
    RequestCancelled {
        /// Whether there was something to end.
        cancelled: bool,
        /// A sealed `ok`.
        payload: String,
    },
    /// The session is over.
    Revoked {
        /// Which.
        session_id: SessionId,
        /// A sealed `ok`, when the agent asked.
        payload: Option<String>,
    },
    /// The owner's code was right: paired.
    Paired(SessionView),
    /// The owner's decision took effect.
    Decided {
        /// As this verdict.
        verdict: Verdict,
        /// Fields released.
        fields: Vec<Field>,
        /// What was said to the agent with a verdict that releases nothing.
        reason: Option<String>,
    },
    /// The owner has to choose an item and decide again.
    Choose(Vec<ItemChoice>),
    /// Done; this many things were concerned.
    Done(usize),
    /// Refused.
    Error {
        /// Why.
        code: ErrorCode,
        /// The approver's clock, where it helps.
        approver_time: Option<Timestamp>,
        /// More for the owner; never sent to agents.
        detail: Option<String>,
    },
}

impl Answer {
    /// A refusal by the table.
    pub fn error(code: ErrorCode) -> Self {
        Self::Error { code, approver_time: None, detail: None }
    }
}
