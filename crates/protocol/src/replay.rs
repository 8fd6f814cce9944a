//! Which envelopes of a session have taken effect.

use std::collections::{BTreeMap, HashSet};

use crate::Error;
use crate::ids::Nonce;

/// How far a timestamp may be off, in seconds.
pub const MAX_CLOCK_SKEW_SECONDS: i64 = 300;

/// Most nonces remembered for one session.
pub const MAX_NONCES_PER_SESSION: usize = 262_144;

/// Most nonces remembered in all.
pub const MAX_NONCES: usize = 4_194_304;

/// Expired nonces forgotten per message: more than one, so the window shrinks; few, so that no
/// message pays for the thousands before it.
const FORGET_PER_MESSAGE: usize = 4;

/// The nonces of one session, each remembered until an envelope with its timestamp would be stale anyway.
///
/// Work per message is constant. Nothing is forgotten early: a full window refuses instead, because
/// an attacker who could push old nonces out could then replay their envelopes.
#[derive(Debug, Default)]
pub struct ReplayWindow {
    seen: HashSet<Nonce>,
    by_expiry: BTreeMap<i64, Vec<Nonce>>,
}

impl ReplayWindow {
    /// Whether this nonce was seen.
    pub fn contains(&self, nonce: &Nonce) -> bool {
        self.seen.contains(nonce)
    }

    /// Remembers a nonce until `expires` (seconds on the caller's steady clock; `now` on the same one).
    pub fn remember(&mut self, nonce: Nonce, expires: i64, now: i64) -> Result<(), Error> {
        self.forget(now, FORGET_PER_MESSAGE);
        if self.seen.contains(&nonce) {
            return Err(Error::Replayed);
        }
        if self.seen.len() >= MAX_NONCES_PER_SESSION {
            return Err(Error::RateLimited);
        }
        self.seen.insert(nonce);
        self.by_expiry.entry(expires).or_default().push(nonce);
        Ok(())
    }

    /// Forgets at most `budget` nonces that have expired and returns how many.
    pub fn forget(&mut self, now: i64, budget: usize) -> usize {
        let mut forgotten = 0;
        while forgotten < budget {
            let Some(mut oldest) = self.by_expiry.first_entry() else { break };
            if *oldest.key() >= now {
                break;
            }
            match oldest.get_mut().pop() {
                Some(nonce) => {
                    self.seen.remove(&nonce);
                    forgotten += 1;
                }
                None => {
                    oldest.remove();
                }
            }
        }
        if self.seen.is_empty() {
            // An idle session costs nothing.
            self.seen = HashSet::new();
            self.by_expiry = BTreeMap::new();
        }
        forgotten
    }

    /// Nonces remembered now.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nonce(n: u32) -> Nonce {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        Nonce::from_bytes(bytes)
    }

    #[test]
    fn a_nonce_counts_once_until_it_expires() {
        let mut window = ReplayWindow::default();
        assert!(window.remember(nonce(1), 100, 0).is_ok());
        assert_eq!(window.remember(nonce(1), 100, 50), Err(Error::Replayed));
        assert_eq!(window.remember(nonce(1), 100, 100), Err(Error::Replayed));
        assert!(window.remember(nonce(2), 500, 101).is_ok());
        assert!(!window.contains(&nonce(1)));
    }

    #[test]
    fn a_full_window_refuses_and_forgets_nothing_early() {
        let mut window = ReplayWindow::default();
        for n in 0..MAX_NONCES_PER_SESSION {
            window.remember(nonce(u32::try_from(n).unwrap()), 600, 0).unwrap();
        }
        assert_eq!(window.remember(nonce(u32::MAX), 600, 0), Err(Error::RateLimited));
        assert!(window.contains(&nonce(0)));
        assert!(window.remember(nonce(u32::MAX), 1_300, 700).is_ok());
        assert_eq!(window.forget(701, usize::MAX), MAX_NONCES_PER_SESSION - FORGET_PER_MESSAGE);
        assert_eq!(window.len(), 1);
    }

    proptest! {
        /// Against the plain model: every nonce seen, with its expiry.
        #[test]
        fn matches_a_plain_model(steps in proptest::collection::vec((0_u32..40, 0_i64..600, 0_i64..30), 0..300)) {
            let mut window = ReplayWindow::default();
            let mut model: BTreeMap<u32, i64> = BTreeMap::new();
            let mut now = 0;
            for (n, life, pause) in steps {
                now += pause;
                let fresh = model.get(&n).is_none_or(|expires| *expires < now);
                match window.remember(nonce(n), now + life, now) {
                    Ok(()) => {
                        prop_assert!(fresh);
                        model.insert(n, now + life);
                        prop_assert!(window.contains(&nonce(n)));
                    }
                    // Forgetting is lazy: an expired nonce may be refused a little longer, never accepted early.
                    Err(error) => {
                        prop_assert_eq!(error, Error::Replayed);
                    }
                }
            }
        }
    }
}
