//! The store's public interface, on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounts;
mod backend;
mod chain;
mod crash;
mod desk;
mod devices;
mod disk;
mod group;
mod model;
mod sample;
mod story;
mod whole;
