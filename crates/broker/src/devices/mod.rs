//! Devices of one owner: who is a peer, how one becomes one, what waits for whom.
//!
//! Pure: the server hands in the clock, the generator and the keys. A change is made on a copy of [`Devices`]; its
//! [`DeviceWrite`]s are committed; then the copy takes the place of the original. What could not be written did not
//! happen. [`PairDesk`] is the displayer's side of a pairing and lives in memory only.

mod asked;
mod clock;
mod event;
mod pairing;
mod peers;
mod records;
mod sync;
mod take;
#[cfg(test)]
mod tests;
mod words;

pub use asked::{AskedNews, AskedStep, PeerRequestKey};
pub use clock::{MAX_CLOCK_ENTRIES, MAX_COUNT, Register, RegisterField, Registers, Stamp, VectorClock};
pub use event::{DeviceEvent, EventBody, EventKind, plain_file_name};
pub use pairing::{
    ABSENT_SECONDS, DISPLAY_SECONDS, Exchanging, GUESSES_SETTING, HelloState, MAX_FAILURES, PairDesk,
    PairView, shown,
};
pub use peers::{Devices, Limits, This};
pub use records::{
    AskedRecord, DeviceSnapshot, DeviceWrite, InboxRecord, IntroducedRecord, OutboxRecord, PeerRecord,
    PeerRequestRecord, RegisterRecord,
};
pub use sync::{Received, Taken};
