//! The audit log as far as it was read, and what it says about the past.

use std::collections::VecDeque;

use durward_broker::approval::{AuditEntry, AuditEvent, AuditRecord};
use durward_protocol::{AgentId, Domain};
use time::OffsetDateTime;

use crate::approver::call::AUDIT_PAGE;

/// Most records kept in memory.
const MAX_RECORDS: usize = 20_000;

/// A record, read once.
#[derive(Clone, Debug)]
pub(crate) struct AuditLine {
    pub(crate) n: u64,
    /// `None`: written by a newer version.
    pub(crate) entry: Option<AuditEntry>,
}

/// A run of records without gaps, oldest first.
#[derive(Debug, Default)]
pub(crate) struct AuditLog {
    pub(crate) lines: VecDeque<AuditLine>,
    /// A reading is under way.
    pub(crate) reading: bool,
    /// Something was recorded since that reading began.
    pub(crate) stale: bool,
}

/// What was decided before for one agent and one domain, as far as the log was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) released: usize,
    pub(crate) denied: usize,
    pub(crate) other: usize,
    pub(crate) last: Option<(OffsetDateTime, &'static str)>,
}

impl AuditLog {
    /// The number of the newest record.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.lines.back().map(|line| line.n)
    }

    /// From where to read older records; `None` when all are there, or as many as are kept.
    pub(crate) fn older(&self) -> Option<u64> {
        let first = self.lines.front()?.n;
        (first > 1 && self.lines.len() < MAX_RECORDS).then(|| first.saturating_sub(AUDIT_PAGE + 1))
    }

    /// Takes a page: newer records to the end, older ones to the front. What would leave a gap begins anew.
    /// Returns whether more may be waiting behind the page.
    pub(crate) fn take(&mut self, records: Vec<AuditRecord>) -> bool {
        let full = records.len() as u64 >= AUDIT_PAGE;
        let newest_before = self.newest();
        let first = self.lines.front().map_or(u64::MAX, |line| line.n);
        let (older, newer): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.n < first);
        let newer: Vec<_> = newer.into_iter().filter(|r| newest_before.is_none_or(|n| r.n > n)).collect();
        let (older, newer) = if newest_before.is_none() { (Vec::new(), older) } else { (older, newer) };
        if newest_before.is_some_and(|n| newer.first().is_some_and(|r| r.n > n + 1)) {
            self.lines.clear();
        }
        let behind = full && !newer.is_empty() && newest_before.is_some();
        for record in older.into_iter().rev() {
            if self.lines.len() < MAX_RECORDS {
                self.lines.push_front(AuditLine::read(&record));
            }
        }
        for record in newer {
            self.lines.push_back(AuditLine::read(&record));
            if self.lines.len() > MAX_RECORDS {
                self.lines.pop_front();
            }
        }
        behind
    }

    /// What was decided for this agent and domain.
    pub(crate) fn before(&self, agent: &AgentId, domain: &Domain) -> Before {
        let mut before = Before::default();
        for line in self.lines.iter().rev() {
            let Some(entry) = &line.entry else { continue };
            if entry.agent_id.as_ref() != Some(agent) || entry.domain.as_ref() != Some(domain) {
                continue;
            }
            let word = match (entry.event, entry.outcome.as_deref()) {
                (AuditEvent::CredentialReleased, _) => "released",
                (AuditEvent::RequestEnded, Some("denied")) => "denied",
                (AuditEvent::RequestEnded, Some("expired")) => "expired",
                (AuditEvent::RequestEnded, Some("cancelled")) => "given up",
                (AuditEvent::RequestEnded, _) => "not found",
                _ => continue,
            };
            match word {
                "released" => before.released += 1,
                "denied" => before.denied += 1,
                _ => before.other += 1,
            }
            before.last.get_or_insert((entry.at, word));
        }
        before
    }
}

impl AuditLine {
    fn read(record: &AuditRecord) -> Self {
        Self { n: record.n, entry: record.entry() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: u64) -> AuditRecord {
        AuditRecord { n, body: "{}".into(), hash: [0; 32] }
    }

    fn numbers(log: &AuditLog) -> Vec<u64> {
        log.lines.iter().map(|line| line.n).collect()
    }

    #[test]
    fn pages_join_without_gaps_and_without_doubles() {
        let mut log = AuditLog::default();
        assert!(!log.take((5..=7).map(record).collect()));
        assert!(!log.take((7..=9).map(record).collect()));
        assert_eq!(numbers(&log), [5, 6, 7, 8, 9]);
        assert_eq!(log.older(), Some(0));
        log.take((1..=9).map(record).collect());
        assert_eq!(numbers(&log), (1..=9).collect::<Vec<_>>());
        assert_eq!(log.older(), None);
        log.take(vec![record(12)]);
        assert_eq!(numbers(&log), [12], "a gap begins anew");
        assert!(log.take((13..13 + AUDIT_PAGE).map(record).collect()), "more may be waiting");
    }
}
