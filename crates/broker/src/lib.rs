//! Durward's domain as pure state machines: events and a clock reading in, effects out.
//!
//! No HTTP, no SQL, no terminal, no clock and no generator of its own.

pub mod accounts;
pub mod approval;
pub mod devices;
mod now;
pub mod spake;

pub use now::Now;
