//! What can happen to the approver, and what it may do: the same for plain prompts and for the full
//! screen. Every action but showing and leaving is a call of the control plane, and has a command.

use durward_broker::approval::{
    AuditRecord, Decision, GrantView, ItemChoice, Notice, RequestView, SessionView,
};
use durward_protocol::{AgentId, GrantId, PairingNumber, RequestId, Scope, SecretString, SessionId};
use durward_server::control::api::{Away, Decided, Suggestion};
use time::OffsetDateTime;

use super::devices::{DeviceAction, DeviceEvent};
use super::known::Known;
use crate::tui::Input;

/// Which request.
pub(crate) type RequestKey = (SessionId, RequestId);

/// The key of a request.
pub(crate) fn key_of(request: &RequestView) -> RequestKey {
    (request.session_id, request.request_id)
}

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The owner typed a line, at the plain prompts. It may be a password, so it is treated as one throughout.
    Line(SecretString),
    /// The owner touched a key, at the full screen.
    Input(Input),
    /// What time it is.
    Clock(OffsetDateTime),
    /// No more input will come.
    InputEnded,
    /// The approver said something.
    Notice(Box<Notice>),
    /// Something may have been missed.
    Resync,
    /// The approver is gone.
    Gone,
    /// The lists, read anew.
    Lists(Box<Known>),
    /// The lists could not be read.
    NoLists(String),
    /// Records of the audit log.
    Audit(Vec<AuditRecord>),
    /// The audit log could not be read.
    NoAudit(String),
    /// What happened since an approver was last connected.
    Away(Away),
    /// The sessions, as asked for.
    Sessions(Vec<SessionView>),
    /// The grants, as asked for.
    Grants(Vec<GrantView>),
    /// The code was right.
    Paired(Box<SessionView>),
    /// The decision took effect.
    Decided { request: RequestKey, decided: Decided },
    /// The vault is locked, or the password was wrong.
    NeedPassword { request: RequestKey, decision: Decision, wrong: bool },
    /// Several items match.
    Choose {
        request: RequestKey,
        decision: Decision,
        choices: Vec<ItemChoice>,
        password: Option<SecretString>,
    },
    /// The decision was refused; the request may still wait.
    Undecided { request: RequestKey, message: String },
    /// The vault is open, or was not opened by this password.
    Unlocked { wrong: bool },
    /// Rules that would spare questions.
    Suggestions(Vec<Suggestion>),
    /// Something about devices.
    Device(DeviceEvent),
    /// Something else was done.
    Done(String),
    /// Something was refused.
    Failed(String),
}

/// Something to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Print, at the plain prompts.
    Show(String),
    /// Ring the terminal's bell.
    Bell,
    /// Stop as a job of the shell, until it is continued.
    Suspend,
    /// Read the lists anew.
    Refresh,
    /// Read the sessions.
    ListSessions,
    /// Read the grants.
    ListGrants,
    /// Read records of the audit log after this one; without a number the newest.
    ReadAudit { after: Option<u64> },
    /// Try a code, with the scope narrowed to this one.
    EnterCode { number: Option<PairingNumber>, code: SecretString, scope: Option<Scope>, apply_rules: bool },
    /// Refuse a pairing.
    RefusePairing { number: PairingNumber },
    /// Decide a request.
    Decide {
        request: RequestKey,
        decision: Decision,
        password: Option<SecretString>,
        keep_unlocked_seconds: Option<u64>,
    },
    /// End a session.
    Revoke { session_id: SessionId },
    /// End a grant.
    EndGrant { grant_id: GrantId },
    /// Pause an agent, or let it ask again.
    SwitchAgent { agent_id: AgentId, pause: bool },
    /// Keep the vault open for so long.
    Unlock { password: SecretString, seconds: u64 },
    /// Ask for rules that would spare questions.
    Suggest,
    /// Write a suggested rule into the policy.
    AcceptSuggestion { id: String },
    /// Lock the vault.
    Lock,
    /// Let agents pair, or not.
    SwitchPairing { open: bool },
    /// Something with devices.
    Device(DeviceAction),
    /// Read the policy anew.
    ReadPolicy,
    /// Leave.
    Quit,
}
