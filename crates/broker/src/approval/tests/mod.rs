//! The machine in a small world: a clock that tests move, a store that can fail or lag, a vault with
//! moods, and agents that follow the protocol.

mod agent;
mod by_device;
mod commits;
mod delivery;
mod envelopes;
mod fatigue;
mod grants;
mod harness;
mod interleavings;
mod limits;
mod pairing;
mod policy;
mod receipts;
mod requests;
mod restart;
mod sessions;
mod store;

use harness::{Vault, World, code, payload};
