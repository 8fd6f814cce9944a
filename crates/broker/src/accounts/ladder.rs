//! The ladder of lock-outs and the rate limits, as pure functions over stored rows.
//!
//! ```text
//! failures in a row   3        6       10, and each one after
//! locked for          15 min   1 h     24 h (and an alert)
//! ```
//!
//! Counted per scope, account and address ([`LadderRow`]), and per scope and account over all addresses
//! ([`TotalRow`], 30 an hour). An attempt is counted **before** it is verified: [`attempt`] raises the counters, and
//! only [`succeed`] gives back. A crash or a race can therefore never buy a guess.
//!
//! Several servers may share one database. Each call is one transaction: lock both rows (or make them), apply the
//! function, write both back. Nothing is cached between calls.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use time::{Duration, OffsetDateTime};

use durward_protocol::SecretBytes;

use super::device::{ClientAddress, UserId};

/// Failures of one account over all addresses, within [`TOTAL_WINDOW`], past which strangers must wait.
pub(crate) const TOTAL_FAILURES: u32 = 30;
/// Window of all failures of a user, from its first failure.
pub const TOTAL_WINDOW: Duration = Duration::HOUR;
/// A row is forgotten when this long has passed since its last failure and since its lock ended.
pub const MEMORY: Duration = Duration::DAY;
/// How long an address with a success stays known to the account.
pub const SUCCESS_MEMORY: Duration = Duration::days(90);
/// The failure that alerts the owner.
pub(crate) const ALERT_AT: u32 = 10;
/// Knocks of one address.
pub const KNOCK_LIMIT: RateLimit = RateLimit { count: 10, window: Duration::MINUTE };
/// Successful passphrase changes of one account.
pub const CHANGE_LIMIT: RateLimit = RateLimit { count: 1, window: Duration::HOUR };

const STEPS: [(u32, Duration); 3] =
    [(3, Duration::minutes(15)), (6, Duration::HOUR), (ALERT_AT, Duration::DAY)];
const SUBJECT_LABEL: &[u8] = b"durward/1 ladder subject";

/// Which secret is being guessed; each has its own rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LadderScope {
    /// The passphrase: plain and OPAQUE logins and the current phrase of a change, together.
    Passphrase,
    /// Recovery codes.
    Recovery,
}

impl LadderScope {
    /// The name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Recovery => "recovery",
        }
    }
}

/// An account name as the counters know it: HMAC-SHA256 of the name under a key of the store.
///
/// Names that have no account are counted like any other, and the table of counters must not become a list of what
/// strangers typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject([u8; 32]);

impl Subject {
    /// `HMAC-SHA256(key, "durward/1 ladder subject" || name)`.
    pub fn new(key: &SecretBytes<32>, user: &UserId) -> Self {
        // HMAC takes a key of any length, so a wrong one cannot occur; a zero subject would only merge counters.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose_bytes()) else { return Self([0; 32]) };
        mac.update(SUBJECT_LABEL);
        mac.update(user.as_str().as_bytes());
        Self(mac.finalize().into_bytes().into())
    }

    /// The 32 bytes, for a binary column.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From a binary column.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Primary key of a [`LadderRow`]; without the address, of a [`TotalRow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LadderKey {
    /// What is guessed.
    pub scope: LadderScope,
    /// Whose.
    pub subject: Subject,
    /// From where.
    pub address: ClientAddress,
}

/// Failures of one account from one address. A missing row is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LadderRow {
    /// Failures in a row, attempts under way included.
    pub failures: u32,
    /// When the last of them was counted.
    pub last_failure: Option<OffsetDateTime>,
    /// No attempt before this moment.
    pub locked_until: Option<OffsetDateTime>,
    /// When this address last gave the right answer.
    pub last_success: Option<OffsetDateTime>,
}

/// Failures of one account over all addresses. A missing row is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TotalRow {
    /// First failure of the window.
    pub window_start: Option<OffsetDateTime>,
    /// Failures since then.
    pub failures: u32,
}

/// The two rows that decide about an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LadderRows {
    /// This address.
    pub own: LadderRow,
    /// All addresses.
    pub total: TotalRow,
}

/// What the ladder says about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Counted; verify it now.
    Counted(Counted),
    /// Not counted, not to be verified. Come back after so many seconds.
    Locked {
        /// Whole seconds, at least one.
        retry_after: u32,
    },
}

/// A counted attempt, in case it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Failures left before the next lock, this one being a failure; 0 means that it locked.
    pub attempts_remaining: u32,
    /// This failure is one that the owner hears of.
    pub alert: Option<LadderAlert>,
}

/// Why the owner hears of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LadderAlert {
    /// One address failed ten times in a row.
    Persistent,
    /// Thirty failures within an hour, from anywhere: somebody guesses from many addresses.
    Distributed,
}

/// Counts an attempt, or says that it must wait.
///
/// `holds_key`: the request carries one of the account's live API keys. That, or an earlier success of the address,
/// lifts the limit over all addresses: nobody can lock the owner out from afar. The address's own ladder stays.
#[must_use]
pub fn attempt(rows: LadderRows, holds_key: bool, now: OffsetDateTime) -> (LadderRows, Verdict) {
    let own = rows.own.aged(now);
    let total = rows.total.aged(now);
    if let Some(until) = own.locked_until.filter(|until| now < *until) {
        return (rows, Verdict::Locked { retry_after: seconds_until(until, now) });
    }
    let trusted = holds_key || own.last_success.is_some();
    if total.failures >= TOTAL_FAILURES && !trusted {
        let until = total.window_start.unwrap_or(now).saturating_add(TOTAL_WINDOW);
        return (rows, Verdict::Locked { retry_after: seconds_until(until, now) });
    }
    let failures = own.failures.saturating_add(1);
    let lock = lock_at(failures);
    let counted = LadderRows {
        own: LadderRow {
            failures,
            last_failure: Some(now),
            locked_until: lock.map(|length| now.saturating_add(length)),
            last_success: own.last_success,
        },
        total: TotalRow {
            window_start: Some(total.window_start.unwrap_or(now)),
            failures: total.failures.saturating_add(1),
        },
    };
    let alert = if failures == ALERT_AT {
        Some(LadderAlert::Persistent)
    } else if counted.total.failures == TOTAL_FAILURES {
        Some(LadderAlert::Distributed)
    } else {
        None
    };
    (counted, Verdict::Counted(Counted { attempts_remaining: remaining_after(failures), alert }))
}

/// The attempt was good: clears this address's row and gives the one count back to the total.
///
/// Others' failures stay in the total, so that a success does not refill an attacker's allowance.
#[must_use]
pub fn succeed(rows: LadderRows, now: OffsetDateTime) -> LadderRows {
    let total = rows.total.aged(now);
    LadderRows {
        own: LadderRow { last_success: Some(now), ..LadderRow::default() },
        total: TotalRow { failures: total.failures.saturating_sub(1), ..total },
    }
}

impl LadderRow {
    /// The row as it counts at `now`: what is forgotten is gone, and a lock that is over.
    #[must_use]
    pub fn at(self, now: OffsetDateTime) -> Self {
        let row = self.aged(now);
        Self { locked_until: row.locked_until.filter(|until| now < *until), ..row }
    }

    /// Whether the row says nothing any more: what the store's sweep deletes.
    #[cfg(test)]
    fn is_spent(&self, now: OffsetDateTime) -> bool {
        self.aged(now) == Self::default()
    }

    fn aged(self, now: OffsetDateTime) -> Self {
        let last_success = self.last_success.filter(|at| now < at.saturating_add(SUCCESS_MEMORY));
        match self.last_failure.max(self.locked_until) {
            Some(last) if now < last.saturating_add(MEMORY) => Self { last_success, ..self },
            _ => Self { last_success, ..Self::default() },
        }
    }
}

impl TotalRow {
    fn aged(self, now: OffsetDateTime) -> Self {
        match self.window_start {
            Some(start) if now < start.saturating_add(TOTAL_WINDOW) => self,
            _ => Self::default(),
        }
    }
}

/// So many calls in a window that begins with its first call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Calls allowed.
    pub count: u32,
    /// Length of the window.
    pub window: Duration,
}

/// Calls counted by a [`RateLimit`]. A missing row is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateRow {
    /// First call of the window.
    pub window_start: Option<OffsetDateTime>,
    /// Calls since then.
    pub count: u32,
}

impl RateLimit {
    /// The row with this call counted, or the seconds to wait.
    pub fn take(self, row: RateRow, now: OffsetDateTime) -> Result<RateRow, u32> {
        let start = row.window_start.filter(|start| now < start.saturating_add(self.window));
        match start {
            Some(start) if row.count >= self.count => {
                Err(seconds_until(start.saturating_add(self.window), now))
            }
            Some(start) => Ok(RateRow { window_start: Some(start), count: row.count.saturating_add(1) }),
            None => Ok(RateRow { window_start: Some(now), count: 1 }),
        }
    }
}

fn lock_at(failures: u32) -> Option<Duration> {
    match failures {
        n if n > ALERT_AT => Some(Duration::DAY),
        n => STEPS.into_iter().find_map(|(at, length)| (at == n).then_some(length)),
    }
}

fn remaining_after(failures: u32) -> u32 {
    if lock_at(failures).is_some() {
        return 0;
    }
    STEPS.into_iter().map(|(at, _)| at).find(|at| *at > failures).map_or(0, |at| at - failures)
}

fn seconds_until(until: OffsetDateTime, now: OffsetDateTime) -> u32 {
    let left = until - now;
    let rounded = left.whole_seconds().saturating_add(i64::from(left.subsec_nanoseconds() > 0));
    u32::try_from(rounded.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
