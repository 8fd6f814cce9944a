//! Refusals in the audit log, bounded: whoever proves nothing must not fill a log that is never cut.

use time::{Duration, OffsetDateTime};

use super::audit::{AccountAudit, AccountEvent};
use super::device::ClientAddress;
use super::error::ApiError;

/// Refusals without proof that are written down within a minute; of the others there is one record that counts them.
const PER_MINUTE: u32 = 60;

/// Lets so many refusals a minute through and counts the rest. Each server has one of its own.
#[derive(Debug, Default)]
pub struct AuditMeter {
    window_start: Option<OffsetDateTime>,
    written: u32,
    counted: u64,
    last_address: Option<ClientAddress>,
}

impl AuditMeter {
    /// Takes out of `audit` what is only counted, and puts the count of a minute that is over before it.
    pub fn pass(&mut self, audit: &mut Vec<AccountAudit>, now: OffsetDateTime) {
        if !audit.iter().any(is_without_proof) {
            return;
        }
        let summary = self.summary(now);
        if self.is_over(now) {
            self.window_start = Some(now);
            self.written = 0;
        }
        audit.retain(|entry| !is_without_proof(entry) || self.take(entry));
        audit.splice(0..0, summary);
    }

    /// The count of a minute that is over, if there is one to tell.
    pub fn summary(&mut self, now: OffsetDateTime) -> Option<AccountAudit> {
        if self.is_over(now) { self.end() } else { None }
    }

    /// The count so far.
    pub fn end(&mut self) -> Option<AccountAudit> {
        if self.counted == 0 {
            return None;
        }
        let event = AccountEvent::MoreRefused { count: std::mem::take(&mut self.counted) };
        let address = self.last_address.take();
        Some(AccountAudit { event, user: None, device: None, address, refused: None })
    }

    /// Whether there is a count that has not been told.
    pub fn is_counting(&self) -> bool {
        self.counted > 0
    }

    fn is_over(&self, now: OffsetDateTime) -> bool {
        // A clock that was set back begins a new minute, too.
        self.window_start.is_none_or(|start| now < start || now - start >= Duration::MINUTE)
    }

    fn take(&mut self, entry: &AccountAudit) -> bool {
        if self.written < PER_MINUTE {
            self.written += 1;
            return true;
        }
        self.counted += 1;
        self.last_address = entry.address;
        false
    }
}

/// Every refusal but a counted guess at an account that exists: of those the ladder allows few.
fn is_without_proof(entry: &AccountAudit) -> bool {
    match entry.refused {
        None => false,
        Some(ApiError::InvalidPassphrase | ApiError::InvalidRecoveryCode) => entry.user.is_none(),
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_one_line_a_minute() {
        let start = OffsetDateTime::UNIX_EPOCH;
        let refusal = || AccountAudit {
            event: AccountEvent::Exchange,
            user: None,
            device: None,
            address: Some(ClientAddress::new([192, 0, 2, 1].into())),
            refused: Some(ApiError::InvalidChallenge),
        };
        let mut meter = AuditMeter::default();
        let mut log = Vec::new();
        let mut call = |meter: &mut AuditMeter, at: OffsetDateTime| {
            let mut audit = vec![refusal()];
            meter.pass(&mut audit, at);
            log.extend(audit);
            log.len()
        };
        for n in 0..1_000 {
            call(&mut meter, start + Duration::milliseconds(n));
        }
        assert_eq!(call(&mut meter, start + Duration::seconds(59)), 60);
        assert_eq!(meter.summary(start + Duration::seconds(59)), None, "not yet");
        assert!(meter.is_counting());
        assert_eq!(
            call(&mut meter, start + Duration::MINUTE),
            62,
            "the count, and the first of a new minute"
        );
        assert_eq!(log[60].event, AccountEvent::MoreRefused { count: 941 });
        let entry = log[60].to_entry(start);
        assert_eq!(entry.detail.as_deref(), Some("auth.more_refused address=192.0.2.1 count=941"));
        assert!(!meter.is_counting() && meter.end().is_none());
    }
}
