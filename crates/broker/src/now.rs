//! One reading of both clocks.

use time::OffsetDateTime;

/// A moment, read once per event.
///
/// Two clocks, because they answer two questions. `wall` is what a person's watch says and what peers
/// stamp on messages; it can be set back. `steady` started as the wall clock when the process did and
/// then counts every second, suspended ones too, and never goes back: lifetimes are measured on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The system's clock.
    pub wall: OffsetDateTime,
    /// Start of the process plus elapsed time, suspend included.
    pub steady: OffsetDateTime,
}

impl Now {
    /// A moment at which both clocks agree.
    pub fn at(moment: OffsetDateTime) -> Self {
        Self { wall: moment, steady: moment }
    }
}
