//! The server from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod call;
mod devices;
mod openapi;
