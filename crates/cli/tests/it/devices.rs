//! Devices: keys and sealed files without a daemon, pairing and drops with two, and three on networks of their own.

mod approving;
mod browser;
mod killed;
mod network;
mod pairing;
mod sealed;
