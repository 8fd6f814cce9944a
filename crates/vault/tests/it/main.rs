//! The vault as its users see it: files, passwords, imports, programs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod age_interop;
mod builtin;
mod command;
mod disk;
mod import;
mod support;
