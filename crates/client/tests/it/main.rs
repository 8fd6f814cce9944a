//! The SDK against an approver over real TCP, honest and with somebody in between.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod hostile;
mod interop;
mod pairing;
mod receipts;
mod requests;
mod restarts;
mod support;
