//! The one place that reads the system's clocks.

use std::sync::{Arc, Mutex, PoisonError};

use durward_broker::Now;
use time::{Duration, OffsetDateTime};

/// Where time comes from.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    /// The system: wall clock, and boot time (suspend included) counted from the start.
    System { started_wall: OffsetDateTime, started_boot: Duration },
    /// A test moves it.
    Manual(Arc<Mutex<Now>>),
}

impl Clock {
    /// The system's clocks.
    pub fn system() -> Self {
        Self(Source::System { started_wall: wall(), started_boot: boot() })
    }

    /// A clock that stands still until [`Clock::advance`].
    pub fn manual(start: OffsetDateTime) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(Now::at(start)))))
    }

    /// Both clocks, read once.
    pub fn now(&self) -> Now {
        match &self.0 {
            Source::System { started_wall, started_boot } => {
                Now { wall: wall(), steady: *started_wall + (boot() - *started_boot) }
            }
            Source::Manual(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a manual clock; the system's is left alone.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &self.0 {
            let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
            now.wall += by;
            now.steady += by;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// Time since boot, suspend included: `CLOCK_BOOTTIME` on Linux, `CLOCK_MONOTONIC` (which counts
/// suspend there) on macOS.
#[cfg(unix)]
fn boot() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: nix::time::ClockId = nix::time::ClockId::CLOCK_BOOTTIME;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: nix::time::ClockId = nix::time::ClockId::CLOCK_MONOTONIC;
    nix::time::clock_gettime(CLOCK)
        .map_or(Duration::ZERO, |t| Duration::new(t.tv_sec(), i32::try_from(t.tv_nsec()).unwrap_or(0)))
}

/// Elsewhere: the process's own monotonic clock, which may miss suspend.
#[cfg(not(unix))]
fn boot() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    Duration::try_from(elapsed).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_never_goes_back_and_starts_at_the_wall() {
        let clock = Clock::system();
        let (first, second) = (clock.now(), clock.now());
        assert!(second.steady >= first.steady);
        assert!((first.steady - first.wall).abs() < Duration::seconds(1));
    }

    #[test]
    fn a_manual_clock_moves_when_told() {
        let clock = Clock::manual(OffsetDateTime::UNIX_EPOCH);
        clock.advance(Duration::seconds(5));
        assert_eq!(clock.now(), Now::at(OffsetDateTime::UNIX_EPOCH + Duration::seconds(5)));
    }
}
