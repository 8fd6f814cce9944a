//! The whole of it: the real approver on a terminal, the real agent, a real Chromium, an airline of the test's own.
//!
//! `durward` is the one that `cargo test --workspace` built beside this test.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod flights;
mod stage;
