//! A store in memory: applies writes, chains the audit log.

use std::collections::BTreeMap;

use durward_protocol::{GrantId, Nonce, RequestId, SessionId};

use super::super::{
    AuditEntry, AuditEvent, AuditRecord, ChainHead, GrantRecord, NonceRecord, RequestRecord, SessionRecord,
    Snapshot, StoredRequestState, Write,
};

#[derive(Default)]
pub(super) struct Store {
    pub(super) sessions: BTreeMap<SessionId, SessionRecord>,
    pub(super) requests: BTreeMap<(SessionId, RequestId), RequestRecord>,
    pub(super) grants: BTreeMap<GrantId, GrantRecord>,
    pub(super) nonces: BTreeMap<(SessionId, Nonce), NonceRecord>,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) audit: Vec<AuditRecord>,
    pub(super) head: ChainHead,
}

impl Store {
    pub(super) fn apply(&mut self, writes: Vec<Write>) {
        for write in writes {
            self.apply_one(write);
        }
    }

    fn apply_one(&mut self, write: Write) {
        match write {
            Write::Session(record) => {
                let was_ended = self.sessions.get(&record.id).is_some_and(|old| old.ended.is_some());
                assert!(!was_ended || record.ended.is_some(), "an ended session came back to life");
                assert!(record.ended.is_none() || record.sealed_keys.is_empty(), "keys of an ended session");
                self.sessions.insert(record.id, record);
            }
            Write::SessionUsed { id, last_used_at } => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.last_used_at = session.last_used_at.max(last_used_at);
                }
            }
            Write::Request(record) => {
                self.requests.insert((record.session_id, record.id), record);
            }
            Write::Grant(record) => {
                let was_ended = self.grants.get(&record.id).is_some_and(|old| old.ended.is_some());
                assert!(!was_ended || record.ended.is_some(), "an ended grant came back to life");
                self.grants.insert(record.id, record);
            }
            Write::Nonce(record) => {
                self.nonces.insert((record.session_id, record.nonce), record);
            }
            Write::Audit(entry) => {
                let (record, head) = self.head.link(&entry).unwrap();
                self.audit.push(record);
                self.head = head;
            }
            Write::Setting { key, value } => {
                match value {
                    Some(value) => self.settings.insert(key, value),
                    None => self.settings.remove(&key),
                };
            }
            Write::Device(_) => {} // not this machine's
            Write::Sweep { requests_before, nonces_before, ended_before } => {
                self.requests
                    .retain(|_, r| r.state == StoredRequestState::Pending || r.expires_at >= requests_before);
                self.nonces.retain(|_, n| n.expires_at >= nonces_before);
                self.sessions.retain(|_, s| s.ended.as_ref().is_none_or(|e| e.at >= ended_before));
                self.grants.retain(|_, g| g.ended.as_ref().is_none_or(|e| e.at >= ended_before));
            }
        }
    }

    /// What a start reads.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            sessions: self.sessions.values().filter(|s| s.ended.is_none()).cloned().collect(),
            requests: self.requests.values().cloned().collect(),
            grants: self.grants.values().filter(|g| g.ended.is_none()).cloned().collect(),
            nonces: self.nonces.values().copied().collect(),
            settings: self.settings.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }

    /// The audit log so far; panics when the chain is broken.
    pub(super) fn log(&self) -> Vec<AuditEntry> {
        let mut head = ChainHead::default();
        for record in &self.audit {
            head = head.follow(record).unwrap();
        }
        assert_eq!(head, self.head);
        self.audit.iter().map(|record| record.entry().unwrap()).collect()
    }

    pub(super) fn events(&self) -> Vec<AuditEvent> {
        self.log().into_iter().map(|entry| entry.event).collect()
    }

    pub(super) fn count(&self, event: AuditEvent) -> usize {
        self.events().into_iter().filter(|other| *other == event).count()
    }
}
