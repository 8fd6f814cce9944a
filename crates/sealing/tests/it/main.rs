//! Sealed files as others meet them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod age_interop;
mod files;
mod forgery;
mod support;
