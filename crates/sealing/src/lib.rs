//! Keys of devices, and files sealed for them.
//!
//! A device has an X25519 key, for which others seal, and an Ed25519 key, with which it signs what it seals. Both
//! lie in files that the `age` program reads too: [`KeyFolder`] says where. What [`seal()`] makes is an age file
//! (age-encryption.org/v1) with one more stanza, which says who sealed it and which `age` passes over; ADR 55 says
//! what is signed and why.
//!
//! No HTTP, no terminal, no clock: times are parameters.

mod card;
mod error;
mod files;
mod folder;
mod header;
mod identity;
mod input;
mod message;
mod open;
mod pump;
mod seal;
mod sender;

pub use card::DeviceCard;
pub use error::Error;
pub use files::{Existing, open_to_path, open_to_stream, seal_to_path, seal_to_stream, write_new};
pub use folder::{CardFile, KeyFolder, MAX_PEERS};
pub use identity::DeviceIdentity;
pub use open::{Accept, Opened, Opening, Sender, open, open_small};
pub use seal::{MAX_RECIPIENTS, Sealing, seal, seal_small};
pub use sender::Purpose;
