//! The `bw` program as a whole process: its texts, what it leaves on disk, and side by side with Bitwarden's own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod bw_cose;
mod bw_disk;
mod bw_golden;
mod bw_harness;
mod bw_interop;
mod bw_login;
mod bw_memory;
mod bw_policy;
mod bw_provider;
mod bw_terminal;
mod bw_vaultwarden;
mod bw_wire;
