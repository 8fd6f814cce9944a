//! Durward's two planes over HTTP: the agent plane for agents, the control plane for the owner. And the SPAKE
//! service, on the control plane or alone.
//!
//! Handlers parse, call the domain, render. The domain is `durward-broker`; this crate carries out its
//! effects: commits go to the store in order, answers to the calls that wait, readings to the vault.

mod agent;
pub mod auth;
mod away;
mod clock;
mod config;
pub mod control;
mod device;
mod engine;
mod error;
mod home;
mod http;
mod keys;
mod notify;
pub mod openapi;
mod policy;
mod server;
mod spake;
mod tls;
pub mod token;
mod verify;

pub use clock::Clock;
pub use config::{AccountsConfig, Config, DevicesConfig, Limits};
pub use engine::VaultSource;
pub use error::Error;
pub use home::{Home, HomeLock};
pub use http::Network;
pub use keys::RestKeyFile;
pub use notify::{Hook, Notifier, OwnerNotice};
pub use policy::read_policy;
pub use server::{Running, Server};
pub use spake::{SpakeAccess, SpakeConfig, SpakeRunning, SpakeServer};
pub use tls::TlsConfig;
pub use verify::verify_audit;
