//! The audit log: append-only, each record chained to the one before by its hash.
//!
//! `hash(n) = SHA-256( lp("durward/1 audit") || lp(n, u64 little-endian) || lp(hash(n-1)) || lp(body) )`,
//! `hash(0)` is 32 zero bytes. Changing, inserting or removing a record in the middle breaks every hash
//! after it; cutting records off the end does not, which is what heads exchanged with agents are for.
//!
//! Records are numbered when they are committed, by the one writer that owns the log, and not when
//! they are thought of: a batch that fails to commit leaves no gap.

use durward_protocol::{AgentId, Decider, Domain, Field, RequestId, SessionId, chain_hash};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What happened. Ids and names, never values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// When, UTC.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "openapi", schemars(with = "durward_protocol::Timestamp"))]
    pub at: OffsetDateTime,
    /// What.
    pub event: AuditEvent,
    /// Who did it.
    pub actor: Actor,
    /// The agent concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The session concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The request concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The domain concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// The fields concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// How it ended, a stable word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// More for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl AuditEntry {
    /// An entry about nothing in particular yet.
    pub fn new(at: OffsetDateTime, event: AuditEvent, actor: Actor) -> Self {
        Self {
            at,
            event,
            actor,
            agent_id: None,
            session_id: None,
            request_id: None,
            domain: None,
            fields: Vec::new(),
            outcome: None,
            detail: None,
        }
    }

    /// Sets the outcome.
    #[must_use]
    pub fn outcome(mut self, outcome: impl Into<String>) -> Self {
        self.outcome = Some(outcome.into());
        self
    }

    /// Sets the detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// What an audit record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditEvent {
    /// The approver started.
    Started,
    /// The approver stopped in order.
    Stopped,
    /// An agent waits for its code to be typed.
    PairingWaiting,
    /// The owner typed a code.
    PairingAnswered,
    /// Both ends have the key: a session is live.
    PairingConfirmed,
    /// A pairing ended without a session.
    PairingFailed,
    /// Pairing was closed or opened.
    PairingSwitched,
    /// A session ended.
    SessionEnded,
    /// An agent asked for a credential.
    RequestReceived,
    /// A request ended without a credential.
    RequestEnded,
    /// The release of a credential was committed.
    CredentialReleased,
    /// A committed release was not handed over, because its session ended meanwhile.
    DeliveryWithheld,
    /// A standing approval was given.
    GrantCreated,
    /// A standing approval ended.
    GrantEnded,
    /// Something was refused: replayed, stale, out of scope, …
    Refused,
    /// The vault was unlocked beyond one retrieval, or locked again.
    VaultSwitched,
    /// A wrong vault password.
    VaultPasswordWrong,
    /// An agent was paused or resumed.
    AgentSwitched,
    /// A credential was released in local mode.
    LocalReleased,
    /// A release in local mode was declined.
    LocalDenied,
    /// A device pairing began, or ended without a peer.
    DevicePairing,
    /// A device became a peer.
    DevicePaired,
    /// A device is a peer no more.
    DeviceRemoved,
    /// A peer was renamed, moved or given a right.
    DeviceChanged,
    /// A message went to a peer or came from one.
    DeviceMessage,
    /// The owner decided a request on another device, or on this one a request of another.
    DeviceDecision,
    /// What an agent has seen of this log is not what is in it, or the agent's own record changed.
    HeadsDiffer,
    /// Something of another part of the product: `detail` says what.
    Other,
}

impl AuditEvent {
    /// The word in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::PairingWaiting => "pairing_waiting",
            Self::PairingAnswered => "pairing_answered",
            Self::PairingConfirmed => "pairing_confirmed",
            Self::PairingFailed => "pairing_failed",
            Self::PairingSwitched => "pairing_switched",
            Self::SessionEnded => "session_ended",
            Self::RequestReceived => "request_received",
            Self::RequestEnded => "request_ended",
            Self::CredentialReleased => "credential_released",
            Self::DeliveryWithheld => "delivery_withheld",
            Self::GrantCreated => "grant_created",
            Self::GrantEnded => "grant_ended",
            Self::Refused => "refused",
            Self::VaultSwitched => "vault_switched",
            Self::VaultPasswordWrong => "vault_password_wrong",
            Self::AgentSwitched => "agent_switched",
            Self::LocalReleased => "local_released",
            Self::LocalDenied => "local_denied",
            Self::DevicePairing => "device_pairing",
            Self::DevicePaired => "device_paired",
            Self::DeviceRemoved => "device_removed",
            Self::DeviceChanged => "device_changed",
            Self::DeviceMessage => "device_message",
            Self::DeviceDecision => "device_decision",
            Self::HeadsDiffer => "heads_differ",
            Self::Other => "other",
        }
    }
}

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The owner, at the approver.
    Owner,
    /// An agent.
    Agent,
    /// A standing grant.
    Grant,
    /// A rule of the policy.
    Policy,
    /// The clock or the approver itself.
    System,
}

impl Actor {
    /// The word in the log and in receipts.
    pub fn as_str(self) -> &'static str {
        self.decider().as_str()
    }

    /// The reverse.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Owner, Self::Agent, Self::Grant, Self::Policy, Self::System]
            .into_iter()
            .find(|actor| actor.as_str() == text)
    }

    /// The same in a receipt.
    pub fn decider(self) -> Decider {
        match self {
            Self::Owner => Decider::Owner,
            Self::Agent => Decider::Agent,
            Self::Grant => Decider::Grant,
            Self::Policy => Decider::Policy,
            Self::System => Decider::System,
        }
    }
}

/// A committed record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditRecord {
    /// 1, 2, 3, …
    pub n: u64,
    /// The entry as JSON: these bytes are what is hashed.
    pub body: String,
    /// Hash of this record and, through it, of all before.
    #[serde(with = "hex_hash")]
    #[cfg_attr(feature = "openapi", schemars(with = "String", regex(pattern = "^[0-9a-f]{64}$")))]
    pub hash: [u8; 32],
}

impl AuditRecord {
    /// The entry inside. `None` when a newer version wrote something this one does not know.
    pub fn entry(&self) -> Option<AuditEntry> {
        serde_json::from_str(&self.body).ok()
    }
}

/// The end of the chain: what the next record is linked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainHead {
    /// Number of the newest record; 0 for an empty log.
    pub n: u64,
    /// Its hash; zeros for an empty log.
    pub hash: [u8; 32],
}

impl ChainHead {
    /// The record that follows, and the head after it. The caller keeps the new head only when the
    /// record is committed.
    pub fn link(&self, entry: &AuditEntry) -> Result<(AuditRecord, Self), serde_json::Error> {
        let body = serde_json::to_string(entry)?;
        let n = self.n.saturating_add(1);
        let hash = chain_hash(n, &self.hash, &body);
        Ok((AuditRecord { n, body, hash }, Self { n, hash }))
    }

    /// Checks that `record` is the one that follows, and moves on.
    pub fn follow(&self, record: &AuditRecord) -> Result<Self, ChainError> {
        if record.n != self.n.saturating_add(1) {
            return Err(ChainError::Gap { expected: self.n.saturating_add(1), found: record.n });
        }
        if chain_hash(record.n, &self.hash, &record.body) != record.hash {
            return Err(ChainError::Changed { n: record.n });
        }
        Ok(Self { n: record.n, hash: record.hash })
    }
}

/// Why an audit log does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Records are missing or out of order.
    #[error(
        "record {expected} is missing: the log goes on with {found}. Somebody removed records, or a backup was restored"
    )]
    Gap {
        /// The number that should follow.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// A record, or one before it, was changed.
    #[error("record {n} was changed, or one before it was: its hash does not match")]
    Changed {
        /// The first record that does not match.
        n: u64,
    },
    /// The end of the log is missing.
    #[error(
        "the log ends with record {last} and should end with {expected}. Somebody removed records, or a backup was restored"
    )]
    Cut {
        /// The last record found.
        last: u64,
        /// The last record there should be.
        expected: u64,
    },
}

mod hex_hash {
    use durward_protocol::{hex_array, hex_encode};
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex_encode(hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        hex_array(&text).ok_or_else(|| D::Error::custom("a hash has 64 hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<AuditRecord> {
        let mut head = ChainHead::default();
        let entry = |i: u64| {
            AuditEntry::new(OffsetDateTime::UNIX_EPOCH, AuditEvent::Refused, Actor::Agent)
                .detail(i.to_string())
        };
        let mut records = Vec::new();
        for i in 0..4 {
            let (record, next) = head.link(&entry(i)).unwrap();
            records.push(record);
            head = next;
        }
        records
    }

    fn verify(records: &[AuditRecord]) -> Result<ChainHead, ChainError> {
        records.iter().try_fold(ChainHead::default(), |head, record| head.follow(record))
    }

    #[test]
    fn an_honest_chain_verifies() {
        assert_eq!(verify(&chain()).map(|head| head.n), Ok(4));
    }

    #[test]
    fn tampering_shows() {
        let mut changed = chain();
        changed[1].body = changed[1].body.replace('1', "9");
        assert_eq!(verify(&changed), Err(ChainError::Changed { n: 2 }));
        let mut removed = chain();
        removed.remove(1);
        assert_eq!(verify(&removed), Err(ChainError::Gap { expected: 2, found: 3 }));
        let mut renumbered = chain();
        renumbered.remove(1);
        for (i, record) in renumbered.iter_mut().enumerate() {
            record.n = i as u64 + 1;
        }
        assert_eq!(verify(&renumbered), Err(ChainError::Changed { n: 2 }));
    }

    #[test]
    fn records_survive_export() {
        let record = &chain()[0];
        let json = serde_json::to_string(record).unwrap();
        assert_eq!(&serde_json::from_str::<AuditRecord>(&json).unwrap(), record);
        assert_eq!(record.entry().map(|e| e.event), Some(AuditEvent::Refused));
    }
}
