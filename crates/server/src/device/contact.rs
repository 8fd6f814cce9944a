//! What is known of reaching a peer right now. In memory only.

use std::time::Duration;

use tokio::time::Instant;

/// Longest pause between two tries.
const LONGEST: Duration = Duration::from_mins(5);

/// Calls taken from one peer in a minute.
const CALLS_A_MINUTE: u32 = 600;

/// One peer.
#[derive(Debug, Default)]
pub(super) struct Contact {
    /// Somebody delivers to it now.
    pub(super) busy: bool,
    /// Why the last try failed.
    pub(super) problem: Option<String>,
    /// Its inbox is full, and it has all that it takes nevertheless.
    pub(super) full: bool,
    /// When the next try is due; `None`: at once.
    pub(super) due: Option<Instant>,
    failures: u32,
    window: Option<(Instant, u32)>,
}

impl Contact {
    /// It was reached.
    pub(super) fn reached(&mut self) {
        (self.problem, self.due, self.failures, self.full) = (None, None, 0, false);
    }

    /// It was not: the next try comes later and later.
    pub(super) fn failed(&mut self, problem: String) {
        let pause = Duration::from_secs(1 << self.failures.min(10)).min(LONGEST);
        self.failures += 1;
        self.full = false;
        self.problem = Some(problem);
        self.due = Some(Instant::now() + pause);
    }

    /// Something is different: try at once.
    pub(super) fn try_now(&mut self) {
        (self.due, self.failures) = (None, 0);
    }

    /// Whether one more call is taken from it now.
    pub(super) fn admit(&mut self) -> bool {
        let now = Instant::now();
        let (since, count) = self.window.unwrap_or((now, 0));
        let (since, count) =
            if now.duration_since(since) >= Duration::from_mins(1) { (now, 0) } else { (since, count) };
        self.window = Some((since, count + 1));
        count < CALLS_A_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_calls_is_cut_off_for_the_rest_of_its_minute() {
        let mut contact = Contact::default();
        assert!((0..CALLS_A_MINUTE).all(|_| contact.admit()));
        assert!(!contact.admit());
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(contact.admit());
    }

    #[tokio::test(start_paused = true)]
    async fn tries_come_later_and_later() {
        let mut contact = Contact::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            contact.failed("gone".into());
            pauses.push(contact.due.unwrap() - Instant::now());
        }
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!((pauses[0], pauses[11]), (Duration::from_secs(1), LONGEST));
        contact.try_now();
        assert!(contact.due.is_none() && contact.problem.is_some());
    }
}
