//! What can be seen of the machine's state: no secrets, plain data.

use durward_protocol::device::DeviceName;
use durward_protocol::wire::SessionStatus;
use durward_protocol::{
    AgentId, AgentName, Domain, ErrorCode, Field, GrantId, Limits, PairingId, PairingNumber, RequestId,
    SessionId, Timestamp,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::by_device::RunsOn;
use super::event::ItemChoice;
use super::machine::Approval;
use super::request::{RequestKey, Stage};
use crate::Now;

/// A waiting pairing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PairingView {
    /// Its id.
    pub pairing_id: PairingId,
    /// What the agent shows before the code.
    pub number: PairingNumber,
    /// The claimed id.
    pub agent_id: AgentId,
    /// The claimed name.
    pub agent_name: AgentName,
    /// The scope asked for.
    pub scope: Limits,
    /// Whether the code was typed and the agent has not confirmed yet.
    pub answered: bool,
    /// Whether another waiting pairing claims the same id or name.
    pub duplicate_claim: bool,
    /// A live session of this agent id that a good code would replace.
    pub replaces: Option<SessionId>,
    /// Rules of the policy that name this agent id: they count only on the owner's yes with the code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// When it ends unused.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "openapi", schemars(with = "durward_protocol::Timestamp"))]
    pub expires_at: OffsetDateTime,
}

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SessionView {
    /// Its id.
    pub session_id: SessionId,
    /// The agent.
    pub agent_id: AgentId,
    /// Its name.
    pub agent_name: AgentName,
    /// The granted scope.
    pub scope: Limits,
    /// Five words, the same at the agent.
    pub fingerprint: String,
    /// When it was confirmed.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "openapi", schemars(with = "durward_protocol::Timestamp"))]
    pub created_at: OffsetDateTime,
    /// Its last envelope that opened.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "openapi", schemars(with = "durward_protocol::Timestamp"))]
    pub last_used_at: OffsetDateTime,
    /// When it idles out, if nothing more comes.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "openapi", schemars(with = "durward_protocol::Timestamp"))]
    pub idle_at: OffsetDateTime,
    /// Its absolute end.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "openapi", schemars(with = "durward_protocol::Timestamp"))]
    pub expires_at: OffsetDateTime,
    /// Credentials it has received.
    pub uses: u64,
    /// Requests waiting.
    pub waiting: usize,
    /// Whether the agent is paused: its new requests are refused.
    #[serde(default)]
    pub paused: bool,
    /// Whether rules of the policy that name agents count for it.
    #[serde(default)]
    pub named_rules: bool,
    /// The other device on which the agent runs, as the owner said with the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_on: Option<RunsOn>,
}

/// A request that waits for the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RequestView {
    /// The session.
    pub session_id: SessionId,
    /// The request.
    pub request_id: RequestId,
    /// The agent.
    pub agent_id: AgentId,
    /// Its name.
    pub agent_name: AgentName,
    /// Five words of the session's keys.
    pub fingerprint: String,
    /// What for.
    pub domain: Domain,
    /// Why.
    pub reason: String,
    /// Fields asked for.
    pub fields: Vec<Field>,
    /// A particular item, if the agent named one.
    pub item_id: Option<String>,
    /// The session's scope.
    pub scope: Limits,
    /// Whether a grant covers it and only the vault password is missing.
    pub granted: bool,
    /// How many more wait that look the same: same session, domain, fields and item. An approval
    /// releases this one only; a denial ends them all.
    #[serde(default)]
    pub alike: usize,
    /// The device on which the owner approved it, while it waits for the next unlock of the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<DeviceName>,
    /// Whether somebody is deciding it now.
    pub deciding: bool,
    /// Items to choose from, once the vault was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<ItemChoice>,
    /// When it came.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "openapi", schemars(with = "durward_protocol::Timestamp"))]
    pub created_at: OffsetDateTime,
    /// When it stops waiting.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "openapi", schemars(with = "durward_protocol::Timestamp"))]
    pub expires_at: OffsetDateTime,
}

/// A live grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct GrantView {
    /// Its id.
    pub grant_id: GrantId,
    /// The session.
    pub session_id: SessionId,
    /// The agent.
    pub agent_id: AgentId,
    /// For this domain.
    pub domain: Domain,
    /// For these fields.
    pub fields: Vec<Field>,
    /// When it was given.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "openapi", schemars(with = "durward_protocol::Timestamp"))]
    pub created_at: OffsetDateTime,
    /// Until then; absent: as long as the session.
    #[serde(with = "time::serde::rfc3339::option")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<durward_protocol::Timestamp>"))]
    pub expires_at: Option<OffsetDateTime>,
    /// Uses left; absent: any number.
    pub uses_left: Option<u64>,
    /// Uses so far.
    pub uses: u64,
}

impl Approval {
    /// What an agent learns from `GET /session/status`. Asking does not keep a session alive.
    pub fn session_status(&self, now: Now, id: SessionId) -> Result<SessionStatus, ErrorCode> {
        let session = self.live_session(now, id).ok_or(ErrorCode::SessionNotFound)?;
        Ok(SessionStatus {
            active: true,
            last_access: Timestamp::new(session.record.last_used_at),
            expires_at: Timestamp::new(self.ends_at(now, session)),
        })
    }

    /// Live sessions, oldest first.
    pub fn sessions(&self, now: Now) -> Vec<SessionView> {
        let live = self.sessions.keys().filter(|id| self.live_session(now, **id).is_some());
        let mut views: Vec<SessionView> = live.filter_map(|id| self.session_view(*id)).collect();
        views.sort_by_key(|view| (view.created_at, view.session_id));
        views
    }

    /// How many sessions are live.
    pub fn session_count(&self, now: Now) -> usize {
        self.sessions.keys().filter(|id| self.live_session(now, **id).is_some()).count()
    }

    pub(super) fn session_view(&self, id: SessionId) -> Option<SessionView> {
        let session = self.sessions.get(&id)?;
        let record = &session.record;
        Some(SessionView {
            session_id: id,
            agent_id: record.agent_id.clone(),
            agent_name: record.agent_name.clone(),
            scope: record.scope.limits().clone(),
            fingerprint: session.fingerprint().map(|f| f.words()).unwrap_or_default(),
            created_at: record.created_at,
            last_used_at: record.last_used_at,
            idle_at: record.last_used_at + self.settings.session_idle,
            expires_at: record.expires_at,
            uses: record.uses,
            waiting: session.open_requests.len(),
            paused: self.is_paused(&record.agent_id),
            named_rules: session.named_rules,
            runs_on: session.runs_on.clone(),
        })
    }

    /// Requests that wait for the owner, oldest first.
    pub fn waiting_requests(&self, now: Now) -> Vec<RequestView> {
        let mut views: Vec<RequestView> = self
            .sessions
            .iter()
            .filter(|(id, _)| self.live_session(now, **id).is_some())
            .flat_map(|(id, session)| session.open_requests.iter().map(|request_id| (*id, *request_id)))
            .filter_map(|key| self.request_view(key))
            .collect();
        views.sort_by_key(|view| (view.created_at, view.request_id));
        views
    }

    pub(super) fn request_view(&self, key: RequestKey) -> Option<RequestView> {
        let open = self.requests.get(&key)?.open()?;
        let session = self.sessions.get(&key.0)?;
        let (granted, deciding, choices) = match &open.stage {
            Stage::Creating { .. } => return None,
            Stage::Waiting { granted, choices } => (*granted, false, choices.clone()),
            Stage::Reading { .. } | Stage::Releasing(_) | Stage::Ending { .. } => (false, true, Vec::new()),
        };
        let details = &open.details;
        Some(RequestView {
            session_id: key.0,
            request_id: key.1,
            agent_id: session.record.agent_id.clone(),
            agent_name: session.record.agent_name.clone(),
            fingerprint: session.fingerprint().map(|f| f.words()).unwrap_or_default(),
            domain: details.domain.clone(),
            reason: details.reason.clone(),
            fields: details.fields.clone(),
            item_id: details.item_id.clone(),
            scope: session.record.scope.limits().clone(),
            granted,
            alike: self.alike(key).len(),
            approved_by: open.approved.as_ref().map(|device| device.name.clone()),
            deciding,
            choices,
            created_at: details.created_at,
            expires_at: details.expires_at,
        })
    }
}
