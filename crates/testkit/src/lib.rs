//! Fake clock and generator, hostile middle, hermetic environments, real peers' installers.
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
