//! What lasts: the rows of the store, and the writes that change them.
//!
//! A write says what a row shall be, not how to change it, so writes of one batch can be folded and
//! repeated without harm. All writes of one batch are committed together or not at all.

use durward_protocol::{
    AgentId, AgentName, Domain, Field, GrantId, Nonce, RequestId, Scope, SessionId, Verdict,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::audit::{Actor, AuditEntry};
use crate::devices::DeviceWrite;

/// A session, live or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its id.
    pub id: SessionId,
    /// The agent that was paired.
    pub agent_id: AgentId,
    /// What the owner read when pairing.
    pub agent_name: AgentName,
    /// The granted scope, as sent.
    pub scope: Scope,
    /// Session keys sealed under the rest key; empty once the session has ended.
    pub sealed_keys: Vec<u8>,
    /// SHA-256 of MAC_A, so that a repeated `confirm` gets the same answer.
    pub confirmation_digest: [u8; 32],
    /// When it was confirmed.
    pub created_at: OffsetDateTime,
    /// Its last envelope that opened.
    pub last_used_at: OffsetDateTime,
    /// Its absolute end.
    pub expires_at: OffsetDateTime,
    /// Credentials it has received.
    pub uses: u64,
    /// When and why it ended; `None` while live.
    pub ended: Option<Ended>,
}

/// When and why something ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: OffsetDateTime,
    /// A stable word: `revoked_by_owner`, `revoked_by_agent`, `replaced`, `idle`, `expired`, …
    pub why: String,
}

/// One request of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// The session.
    pub session_id: SessionId,
    /// The agent's id for it.
    pub id: RequestId,
    /// SHA-256 of its content: the same id with other content is a conflict.
    pub digest: [u8; 32],
    /// What for.
    pub domain: Domain,
    /// Why.
    pub reason: String,
    /// Fields asked for, sorted.
    pub fields: Vec<Field>,
    /// A particular item.
    pub item_id: Option<String>,
    /// When it came.
    pub created_at: OffsetDateTime,
    /// When it stops waiting.
    pub expires_at: OffsetDateTime,
    /// How it stands.
    pub state: StoredRequestState,
}

/// How a stored request stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum StoredRequestState {
    /// Waiting for the owner.
    Pending,
    /// Released at this moment. The sealed answer lives in memory only: after a restart it reads `expired`.
    Released {
        /// When the release was committed.
        at: OffsetDateTime,
    },
    /// Ended without a credential.
    Ended {
        /// The verdict; never `approved`.
        verdict: Verdict,
        /// The owner's words or a stable word.
        reason: Option<String>,
        /// Who decided.
        by: Actor,
    },
}

/// A standing approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// Its id.
    pub id: GrantId,
    /// For this session.
    pub session_id: SessionId,
    /// For this domain, exactly.
    pub domain: Domain,
    /// For at most these fields, sorted.
    pub fields: Vec<Field>,
    /// The item that was released when the grant was given.
    pub item_id: Option<String>,
    /// When it was given.
    pub created_at: OffsetDateTime,
    /// Until then; `None`: as long as the session.
    pub expires_at: Option<OffsetDateTime>,
    /// At most this many uses; `None`: any number.
    pub max_uses: Option<u64>,
    /// Uses so far.
    pub uses: u64,
    /// When and why it ended; `None` while live.
    pub ended: Option<Ended>,
}

/// A nonce that took effect, kept until an envelope with its timestamp would be stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceRecord {
    /// The session.
    pub session_id: SessionId,
    /// The nonce.
    pub nonce: Nonce,
    /// When it may be forgotten.
    pub expires_at: OffsetDateTime,
}

/// One change to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Insert or replace a session.
    Session(SessionRecord),
    /// Move a session's last use forward. Lazy: losing it costs the session idle time, nothing else.
    SessionUsed {
        /// Which.
        id: SessionId,
        /// When.
        last_used_at: OffsetDateTime,
    },
    /// Insert or replace a request.
    Request(RequestRecord),
    /// Insert or replace a grant.
    Grant(GrantRecord),
    /// Remember a nonce.
    Nonce(NonceRecord),
    /// Append to the audit log. The store numbers and chains it as it commits, see the module `audit`.
    Audit(AuditEntry),
    /// Set or (with `None`) remove a small setting, for example whether pairing is closed.
    Setting {
        /// Its name.
        key: String,
        /// Its value.
        value: Option<String>,
    },
    /// A change to devices.
    Device(Box<DeviceWrite>),
    /// Delete what nobody needs any more: requests that expired before `requests_before`, nonces before
    /// `nonces_before`, ended sessions and grants before `ended_before`. Audit records stay.
    Sweep {
        /// Requests whose `expires_at` is before this and that are not pending.
        requests_before: OffsetDateTime,
        /// Nonces whose `expires_at` is before this.
        nonces_before: OffsetDateTime,
        /// Ended sessions and grants whose end is before this.
        ended_before: OffsetDateTime,
    },
}

/// Everything a start needs.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Live sessions.
    pub sessions: Vec<SessionRecord>,
    /// Requests that were not swept.
    pub requests: Vec<RequestRecord>,
    /// Live grants.
    pub grants: Vec<GrantRecord>,
    /// Nonces that were not swept.
    pub nonces: Vec<NonceRecord>,
    /// Settings.
    pub settings: Vec<(String, String)>,
}
