//! The agent's commands as a user types them, against an approver on a real port.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod bench;
mod policy;
mod programs;
mod real;
mod request;
mod run;
mod sessions;
mod waiting;
