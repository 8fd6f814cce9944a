//! How long things live and how many there may be.

use time::Duration;

/// Lifetimes and bounds of the approval machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A session without an envelope ends after this.
    pub session_idle: Duration,
    /// A session ends after this in any case.
    pub session_absolute: Duration,
    /// A code is good for this long.
    pub code_life: Duration,
    /// A pairing whose exchange was not called ends after this; so does a waiting one that nobody holds.
    pub pairing_grace: Duration,
    /// A pairing whose code was typed must be confirmed within this.
    pub confirm_within: Duration,
    /// A request waits this long, unless it asks for another time.
    pub request_life: Duration,
    /// A sealed answer can be fetched again for this long.
    pub answer_life: Duration,
    /// A finished request is remembered for this long after its expiry.
    pub request_memory: Duration,
    /// Pairings that are announced and not held open.
    pub max_offered_pairings: usize,
    /// Pairings that are held open.
    pub max_waiting_pairings: usize,
    /// Live sessions.
    pub max_sessions: usize,
    /// Waiting requests of one session.
    pub max_pending_per_session: usize,
    /// Waiting requests in all.
    pub max_pending: usize,
    /// Calls that may hold one request.
    pub max_waiters_per_request: usize,
    /// Requests remembered in all, waiting and finished. A session may fill as much as it leaves free, half when it
    /// is alone.
    pub max_remembered_requests: usize,
    /// Bytes of sealed answers kept for those who ask again.
    pub max_answer_bytes: usize,
    /// Live grants of one session.
    pub max_grants_per_session: usize,
    /// Refusals written to the audit log one by one per minute; the rest is counted.
    pub max_refusals_per_minute: u32,
    /// Records of pairings without a typed code, one by one per minute; the rest is counted.
    pub max_pairing_records_per_minute: u32,
    /// Differences between logs that agents report, one by one per minute; the rest is counted.
    pub max_heads_records_per_minute: u32,
    /// Requests in a row that a session may ask the owner, and how long it waits for one more after that.
    pub max_asks_in_a_row: u32,
    /// A session that has asked too often may ask once more after this.
    pub ask_again_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_idle: Duration::minutes(30),
            session_absolute: Duration::hours(24),
            code_life: Duration::seconds(300),
            pairing_grace: Duration::seconds(15),
            confirm_within: Duration::seconds(60),
            request_life: Duration::minutes(10),
            answer_life: Duration::seconds(300),
            request_memory: Duration::minutes(15),
            max_offered_pairings: 64,
            max_waiting_pairings: 16,
            max_sessions: 1_024,
            max_pending_per_session: 64,
            max_pending: 4_096,
            max_waiters_per_request: 16,
            max_remembered_requests: 1_048_576,
            max_answer_bytes: 64 * 1024 * 1024,
            max_grants_per_session: 64,
            max_refusals_per_minute: 60,
            max_pairing_records_per_minute: 60,
            max_heads_records_per_minute: 10,
            max_asks_in_a_row: 256,
            ask_again_after: Duration::seconds(1),
        }
    }
}
