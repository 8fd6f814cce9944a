//! Refusals in the audit log, bounded: a peer that sends nonsense must not fill the disk.

use durward_protocol::AgentId;
use time::{Duration, OffsetDateTime};

use super::audit::{Actor, AuditEntry, AuditEvent};

/// Lets so many refusals a minute through and counts the rest.
#[derive(Debug)]
pub(super) struct RefusalMeter {
    per_minute: u32,
    window_start: Option<OffsetDateTime>,
    written: u32,
    counted: u64,
    last_agent: Option<AgentId>,
}

impl RefusalMeter {
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, window_start: None, written: 0, counted: 0, last_agent: None }
    }

    /// The entry to write, if it is written, and when to flush the count, if that is new.
    pub(super) fn take(
        &mut self,
        entry: AuditEntry,
        now: OffsetDateTime,
    ) -> (Option<AuditEntry>, Option<OffsetDateTime>) {
        let fresh = self.window_start.is_none_or(|start| now - start >= Duration::minutes(1));
        if fresh && self.counted == 0 {
            self.window_start = Some(now);
            self.written = 0;
        }
        if self.written < self.per_minute {
            self.written += 1;
            return (Some(entry), None);
        }
        self.counted += 1;
        self.last_agent = entry.agent_id;
        let flush_at = (self.counted == 1).then(|| self.window_start.unwrap_or(now) + Duration::minutes(1));
        (None, flush_at.map(|at| at.max(now)))
    }

    /// One entry for all that were only counted.
    pub(super) fn flush(&mut self, now: OffsetDateTime) -> Option<AuditEntry> {
        if self.counted == 0 {
            return None;
        }
        let mut entry = AuditEntry::new(now, AuditEvent::Refused, Actor::System)
            .outcome("summary")
            .detail(format!("{} more refusals within a minute", self.counted));
        entry.agent_id = self.last_agent.take();
        self.counted = 0;
        self.window_start = None;
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_one_line() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let entry = || AuditEntry::new(now, AuditEvent::Refused, Actor::Agent);
        let mut meter = RefusalMeter::new(2);
        let written = (0..1_000).filter(|_| meter.take(entry(), now).0.is_some()).count();
        assert_eq!(written, 2);
        assert_eq!(
            meter.flush(now).and_then(|e| e.detail).as_deref(),
            Some("998 more refusals within a minute")
        );
        assert_eq!(meter.flush(now), None);
        assert!(meter.take(entry(), now).0.is_some(), "a new window");
    }
}
