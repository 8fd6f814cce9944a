//! What a stranger or an agent can write into the audit log without the owner, bounded: it must not fill the disk.

use durward_protocol::AgentId;
use time::{Duration, OffsetDateTime};

use super::audit::{Actor, AuditEntry, AuditEvent};
use super::machine::{Approval, Deadline, Step};
use super::records::Write;
use super::settings::Settings;

/// Kinds of records that cost nobody anything to cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metered {
    /// An envelope or a call that was refused.
    Refusal,
    /// A pairing that waits, or is over before anybody typed its code: needs no code and no session.
    Pairing,
    /// An agent that says something else about the log than the last time.
    Heads,
}

/// One meter for each kind, so that a flood of one does not hide the others.
#[derive(Debug)]
pub(super) struct Meters {
    refusals: Meter,
    pairings: Meter,
    heads: Meter,
}

/// Lets so many records a minute through and counts the rest.
#[derive(Debug)]
struct Meter {
    event: AuditEvent,
    what: &'static str,
    per_minute: u32,
    window_start: Option<OffsetDateTime>,
    written: u32,
    counted: u64,
    last_agent: Option<AgentId>,
}

impl Meters {
    pub(super) fn new(settings: &Settings) -> Self {
        let pairings = settings.max_pairing_records_per_minute;
        Self {
            refusals: Meter::new(AuditEvent::Refused, "refusals", settings.max_refusals_per_minute),
            pairings: Meter::new(AuditEvent::PairingFailed, "records of pairings without a code", pairings),
            heads: Meter::new(AuditEvent::HeadsDiffer, "differences", settings.max_heads_records_per_minute),
        }
    }

    fn of(&mut self, kind: Metered) -> &mut Meter {
        match kind {
            Metered::Refusal => &mut self.refusals,
            Metered::Pairing => &mut self.pairings,
            Metered::Heads => &mut self.heads,
        }
    }
}

impl Meter {
    fn new(event: AuditEvent, what: &'static str, per_minute: u32) -> Self {
        Self { event, what, per_minute, window_start: None, written: 0, counted: 0, last_agent: None }
    }

    /// The entry to write, if it is written, and when to flush the count, if that is new.
    fn take(
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
    fn flush(&mut self, now: OffsetDateTime) -> Option<AuditEntry> {
        if self.counted == 0 {
            return None;
        }
        let mut entry = AuditEntry::new(now, self.event, Actor::System)
            .outcome("summary")
            .detail(format!("{} more {} within a minute", self.counted, self.what));
        entry.agent_id = self.last_agent.take();
        self.counted = 0;
        self.window_start = None;
        Some(entry)
    }
}

impl Approval {
    /// Writes a record that costs nobody anything, or counts it when there are too many. Whether it was written.
    pub(super) fn record_metered<R>(
        &mut self,
        step: &mut Step<'_, R>,
        kind: Metered,
        entry: AuditEntry,
    ) -> bool {
        let (record, flush_at) = self.meters.of(kind).take(entry, step.now.steady);
        if let Some(at) = flush_at {
            self.schedule(at, Deadline::Meter(kind));
        }
        let Some(entry) = record else { return false };
        step.save(vec![Write::Audit(entry)]);
        true
    }

    /// All of them, before the process ends.
    pub(super) fn flush_meters<R>(&mut self, step: &mut Step<'_, R>) {
        for kind in [Metered::Refusal, Metered::Pairing, Metered::Heads] {
            self.flush_meter(step, kind);
        }
    }

    /// A minute is over: what was only counted becomes one record.
    pub(super) fn flush_meter<R>(&mut self, step: &mut Step<'_, R>, kind: Metered) {
        if let Some(entry) = self.meters.of(kind).flush(step.now.wall) {
            step.save(vec![Write::Audit(entry)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_one_line() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let entry = || AuditEntry::new(now, AuditEvent::Refused, Actor::Agent);
        let mut meter = Meter::new(AuditEvent::Refused, "refusals", 2);
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
