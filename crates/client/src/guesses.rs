//! How many answers failed lately. Kept on disk, counted before an answer is checked: a crash, or
//! killing the process, cannot buy a guess.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Error, files};

/// Failed answers after which no code is made.
pub const MAX_FAILED_ANSWERS: usize = 5;

/// How long a failed answer counts, in seconds.
pub const PAUSE_WINDOW_SECONDS: i64 = 3_600;

/// The answers of one profile that were checked and not taken back. Use it under the pairing lock.
#[derive(Debug)]
pub(crate) struct Guesses {
    path: PathBuf,
    answers: Vec<i64>,
}

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    /// Unix seconds.
    answers: Vec<i64>,
}

impl Guesses {
    /// Reads the count. A damaged file is an error and not zero: else damaging it would buy guesses.
    pub(crate) fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("answers.json");
        let stored: Stored = files::read_json(&path)?.unwrap_or_default();
        Ok(Self { path, answers: stored.answers })
    }

    /// Whether a code may be made now.
    pub(crate) fn check(&self, now: OffsetDateTime) -> Result<(), Error> {
        let recent: Vec<i64> = self.recent(now).collect();
        // The pause ends when fewer than five are left in the window.
        let Some(index) = recent.len().checked_sub(MAX_FAILED_ANSWERS) else { return Ok(()) };
        let ends = recent.get(index).map_or(now.unix_timestamp(), |at| at + PAUSE_WINDOW_SECONDS);
        Err(Error::PairingPaused { until: OffsetDateTime::from_unix_timestamp(ends).unwrap_or(now) })
    }

    /// Counts an answer, on disk when this returns.
    pub(crate) fn count(&mut self, now: OffsetDateTime) -> Result<(), Error> {
        self.answers = self.recent(now).collect();
        self.answers.push(now.unix_timestamp());
        self.store()
    }

    /// The answer that was counted last was right.
    pub(crate) fn take_back(&mut self) -> Result<(), Error> {
        self.answers.pop();
        self.store()
    }

    /// A time in the future (the clock was set back) counts as now, not as never.
    fn recent(&self, now: OffsetDateTime) -> impl Iterator<Item = i64> {
        let now = now.unix_timestamp();
        self.answers.iter().map(move |at| (*at).min(now)).filter(move |at| at + PAUSE_WINDOW_SECONDS > now)
    }

    fn store(&self) -> Result<(), Error> {
        files::write_json(&self.path, &Stored { answers: self.answers.clone() })
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn five_an_hour_then_a_pause() {
        let folder = tempfile::tempdir().unwrap();
        for second in 0..5 {
            let mut guesses = Guesses::load(folder.path()).unwrap();
            guesses.check(at(second * 10)).unwrap();
            guesses.count(at(second * 10)).unwrap();
        }
        let guesses = Guesses::load(folder.path()).unwrap();
        let Err(Error::PairingPaused { until }) = guesses.check(at(60)) else { panic!("not paused") };
        assert_eq!(until, at(3_600), "an hour after the oldest of the five");
        assert!(guesses.check(at(3_599)).is_err());
        assert!(guesses.check(at(3_600)).is_ok());
        assert!(guesses.check(at(-90_000)).is_err(), "setting the clock back helps nobody");
    }

    #[test]
    fn a_success_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let mut guesses = Guesses::load(folder.path()).unwrap();
            guesses.check(at(0)).unwrap();
            guesses.count(at(0)).unwrap();
            guesses.take_back().unwrap();
        }
    }

    #[test]
    fn a_damaged_count_is_not_zero() {
        let folder = tempfile::tempdir().unwrap();
        files::write(&folder.path().join("answers.json"), b"{").unwrap();
        assert!(Guesses::load(folder.path()).is_err());
    }
}
