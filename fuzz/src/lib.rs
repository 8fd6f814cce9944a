//! Everything that parses what others wrote, one function a target: any bytes in, no panic, and what is
//! accepted keeps its promises. `make fuzz` runs them under libFuzzer; `tests/corpus.rs` replays the
//! committed corpora, and mutations of them, in `make test`.

// A target reports by panicking.
#![allow(clippy::panic, clippy::missing_panics_doc, clippy::expect_used)]

mod bitwarden;
mod protocol;
mod vault;

pub use bitwarden::{enc_string, sync};
pub use protocol::{code, domain, envelope, messages, policy, wire};
pub use vault::import;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// Every target with its name, which is also its folder in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("code", code),
    ("domain", domain),
    ("enc_string", enc_string),
    ("envelope", envelope),
    ("import", import),
    ("messages", messages),
    ("policy", policy),
    ("sync", sync),
    ("wire", wire),
];
