//! A fake approver, a hostile middle, an owner and raw HTTP for demonstrations, peers to install.
//!
//! For tests only: nothing here is built into a binary that ships.

pub mod approver;
#[cfg(feature = "bitwarden")]
pub mod bitwarden;
pub mod http;
pub mod middle;
pub mod owner;
pub mod python;
pub mod wire;
