//! What happened while no approver was connected: for the owner who comes back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use durward_broker::Now;
use durward_broker::approval::{Actor, AuditEvent, ChainHead, Write};
use durward_protocol::Verdict;
use durward_store::Store;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::control::api::Away;

/// The setting that remembers when an approver was last connected.
const SEEN_SETTING: &str = "owner_seen";

/// Records of the audit log that are looked through at most.
const MAX_RECORDS: u64 = 10_000;

const PAGE: u32 = 1_000;

/// Who watches the events, and when the last one left.
#[derive(Debug, Default)]
pub(crate) struct Presence(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    watchers: usize,
    seen: Option<Seen>,
}

/// An approver left when the audit log ended here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    n: u64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
}

impl Presence {
    /// As it was stored.
    pub(crate) fn restore(settings: &[(String, String)]) -> Self {
        let stored = settings.iter().find(|(key, _)| key == SEEN_SETTING);
        let seen = stored.and_then(|(_, value)| serde_json::from_str(value).ok());
        Self(Mutex::new(Inner { watchers: 0, seen }))
    }

    /// An approver connects: from now on it sees what happens.
    pub(crate) fn enter(&self, head: ChainHead, now: Now) -> Write {
        let mut inner = self.inner();
        inner.watchers += 1;
        inner.seen = Some(Seen { n: head.n, at: now.wall });
        write(inner.seen)
    }

    /// An approver is gone; what to store if it was the last.
    pub(crate) fn leave(&self, head: ChainHead, now: Now) -> Option<Write> {
        let mut inner = self.inner();
        inner.watchers = inner.watchers.saturating_sub(1);
        (inner.watchers == 0).then(|| {
            inner.seen = Some(Seen { n: head.n, at: now.wall });
            write(inner.seen)
        })
    }

    /// What happened since the last approver left; nothing while one is connected, or was never there.
    pub(crate) async fn away(&self, store: &Store, waiting: usize) -> Option<Away> {
        let seen = {
            let inner = self.inner();
            inner.seen.filter(|_| inner.watchers == 0)?
        };
        let mut away = Away { since: seen.at, waiting, expired: 0, released: 0, denied: 0 };
        let mut after = seen.n;
        while after < seen.n.saturating_add(MAX_RECORDS) {
            let Ok(records) = store.audit(after, PAGE).await else { return Some(away) };
            let Some(last) = records.last() else { break };
            after = last.n;
            for entry in records.iter().filter_map(durward_broker::approval::AuditRecord::entry) {
                let ended = |verdict: Verdict| entry.outcome.as_deref() == Some(verdict.as_str());
                match (entry.event, entry.actor) {
                    (AuditEvent::CredentialReleased, Actor::Grant | Actor::Policy) => away.released += 1,
                    (AuditEvent::RequestEnded, Actor::Policy) if ended(Verdict::Denied) => away.denied += 1,
                    (AuditEvent::RequestEnded, _) if ended(Verdict::Expired) => away.expired += 1,
                    _ => {}
                }
            }
        }
        Some(away)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(seen: Option<Seen>) -> Write {
    let value = seen.and_then(|seen| serde_json::to_string(&seen).ok());
    Write::Setting { key: SEEN_SETTING.into(), value }
}
