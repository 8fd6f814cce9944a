//! The flows: parse, decide on facts, do the costly work outside the transaction, decide again.
//!
//! Every step is a pure function. A value of each stage is consumed by the next, so that a phrase is verified only
//! after it was counted, and a key issued only after the phrase was verified.

mod admin;
mod devices;
mod login;
mod opaque;
mod phrase;

pub use admin::{
    AccountSummary, ImportedKey, NewAccount, add_account, import_key, new_recovery_codes, remove_account,
    set_phrase, summarize, unlock_account,
};
pub use devices::{
    KeyUse, TOUCH_INTERVAL, check_key, device_list, forward_auth_headers, rename, revoke, rotate, whoami,
};
pub use login::{
    Admitted, AttemptFacts, Enrolment, Exchange, IssueFacts, Issued, KnockFacts, Verified, knock,
};
pub use opaque::{OpaqueAdmitted, OpaqueFinish, OpaqueStart};
pub use phrase::{
    Change, ChangeAdmitted, ChangeCommit, ChangeFacts, Recover, RecoverAdmitted, RecoverCommit, RecoverFacts,
};

use durward_protocol::SecretBytes;
use time::OffsetDateTime;

use super::audit::{AccountAudit, AccountEvent, Alert};
use super::device::{ClientAddress, UserId};
use super::error::{ApiError, Refusal};
use super::ladder::{self, Counted, LadderKey, LadderRows, LadderScope, Subject, Verdict};
use super::write::{AccountWrite, Decision};

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// From where.
    pub address: ClientAddress,
    /// The account whose live API key the request carries, if any.
    pub key_of: Option<UserId>,
}

/// Outcome of the costly check between two transactions.
#[derive(Debug)]
pub enum Checked<T> {
    /// Go on.
    Good(T),
    /// Commit this and answer with the refusal.
    Bad(Decision<Refusal>),
}

/// One guess at one account's secret, before and after it is counted.
#[derive(Clone, Debug)]
struct Guess {
    event: AccountEvent,
    user: UserId,
    key: LadderKey,
    holds_key: bool,
}

impl Guess {
    fn new(
        event: AccountEvent,
        scope: LadderScope,
        user: UserId,
        caller: &Caller,
        subjects: &SecretBytes<32>,
    ) -> Self {
        let key = LadderKey { scope, subject: Subject::new(subjects, &user), address: caller.address };
        Self { event, holds_key: caller.key_of.as_ref() == Some(&user), user, key }
    }

    /// Counts the guess; the counter is among the writes, to be committed before anything is verified.
    fn count(
        &self,
        rows: LadderRows,
        known: bool,
        now: OffsetDateTime,
        writes: &mut Vec<AccountWrite>,
    ) -> Result<Counted, Refusal> {
        let (rows, verdict) = ladder::attempt(rows, self.holds_key, now);
        match verdict {
            Verdict::Counted(counted) => {
                writes.push(AccountWrite::PutLadder {
                    key: self.key,
                    own: rows.own,
                    total: rows.total,
                    known,
                });
                Ok(counted)
            }
            Verdict::Locked { retry_after } => Err(Refusal::wait(ApiError::LockedOut, retry_after)),
        }
    }

    /// The guess was right: what to write for the counters.
    fn give_back(&self, rows: LadderRows, now: OffsetDateTime) -> AccountWrite {
        let rows = ladder::succeed(rows, now);
        AccountWrite::PutLadder { key: self.key, own: rows.own, total: rows.total, known: true }
    }

    /// The guess was wrong: answer, audit record, and the alert that was due.
    fn failed(&self, error: ApiError, counted: Counted, known: bool) -> Decision<Refusal> {
        let mut decision = Decision::only(Refusal::counted(error, counted.attempts_remaining));
        decision.audit.push(self.audit(known, Some(error)));
        // There is nobody to alert about a name without an account.
        if let Some(kind) = counted.alert.filter(|_| known) {
            let event = match kind {
                ladder::LadderAlert::Persistent => AccountEvent::AlertPersistent,
                ladder::LadderAlert::Distributed => AccountEvent::AlertDistributed,
            };
            decision.audit.push(AccountAudit { event, ..self.audit(known, None) });
            decision.alerts.push(Alert {
                kind,
                scope: self.key.scope,
                user: self.user.clone(),
                address: self.key.address,
            });
        }
        decision
    }

    fn audit(&self, known: bool, refused: Option<ApiError>) -> AccountAudit {
        AccountAudit {
            event: self.event,
            user: known.then(|| self.user.clone()),
            device: None,
            address: Some(self.key.address),
            refused,
        }
    }
}

/// The account a request means: the one it names, else the only one.
fn resolve(named: Option<UserId>, sole: Option<&UserId>) -> Result<UserId, ApiError> {
    named.or_else(|| sole.cloned()).ok_or(ApiError::UserRequired)
}

#[cfg(test)]
mod tests;
