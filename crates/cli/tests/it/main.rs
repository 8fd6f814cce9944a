//! The real `durward`, as whole processes: what owners and agents type, what crosses the wire, what is
//! left on disk, what happens when it is killed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod accounts;
mod backup;
mod care;
mod clipboard;
mod clocks;
mod crash;
mod devices;
mod disk;
mod docs;
mod env;
mod guessing;
mod helpers;
mod home;
mod hostile;
mod http;
mod keyring;
mod local;
mod locking;
mod many;
mod needles;
mod notices;
mod output;
mod owner;
mod python;
mod run;
mod screen;
mod secrets;
mod selftest;
mod socket;
mod spake;
mod steps;
mod stopping;
mod stream;
mod terminal;
mod tmux;
mod token;
mod trust;
mod vault;
mod wire;
