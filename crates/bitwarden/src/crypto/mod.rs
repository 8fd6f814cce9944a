//! Keys: from the master password down to the item, all through `bitwarden-crypto`.

mod kdf;
mod keyring;
mod session;
mod stack;

pub use kdf::{Kdf, MasterKey};
pub use keyring::{EncText, Keyring, OrgKeySource, make_key_pair, share_key};
pub use session::{SessionKey, UserKey};

pub(crate) use keyring::{decrypt_with, unwrap_item_key};
pub(crate) use stack::{wipe_stack, wipe_worker_stacks};

#[cfg(test)]
mod tests;
