//! Three tries, with a pause that grows and is never the same twice.

use std::time::Duration;

use rand_core::CryptoRng;

/// Tries of one call.
pub(crate) const TRIES: u32 = 3;

const FIRST_PAUSE_MILLIS: u64 = 100;

/// Pauses double up to 3.2 seconds.
const MOST_DOUBLINGS: u32 = 5;

/// How long to pause after the failed try number `failed` (from 1), or `None` when it was the last.
pub(crate) fn pause_after(failed: u32, rng: &mut impl CryptoRng) -> Option<Duration> {
    (failed < TRIES).then(|| pause(failed, rng))
}

/// The same without an end.
///
/// Half of it is random: agents that lost the same approver at the same moment come back apart.
pub(crate) fn pause(failed: u32, rng: &mut impl CryptoRng) -> Duration {
    let full = FIRST_PAUSE_MILLIS << failed.min(MOST_DOUBLINGS);
    Duration::from_millis(full / 2 + rng.next_u64() % (full / 2 + 1))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        for _ in 0..200 {
            let first = pause_after(1, &mut rng).unwrap();
            let second = pause_after(2, &mut rng).unwrap();
            assert!((100..=200).contains(&first.as_millis()), "{first:?}");
            assert!((200..=400).contains(&second.as_millis()), "{second:?}");
        }
        assert_eq!(pause_after(3, &mut rng), None);
        for failed in [5, 6, 60] {
            assert!((1_600..=3_200).contains(&pause(failed, &mut rng).as_millis()));
        }
    }
}
