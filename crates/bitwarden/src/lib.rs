//! A Bitwarden and Vaultwarden client.
pub mod api;
pub mod client;
pub mod clock;
pub mod crypto;
pub mod environment;
mod error;
pub mod generate;
pub mod items;
pub mod policy;
pub mod state;
pub mod totp;
mod vault;
pub use error::{Error, Result};
pub use vault::Vault;
