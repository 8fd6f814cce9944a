//! The server from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent_plane;
mod call;
mod devices;
mod openapi;
