//! The public interface against `docs/`: vectors that strangers read, and the table of errors.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod conformance;
mod devices;
mod docs;
mod receipts;
mod rng;
mod vectors;
