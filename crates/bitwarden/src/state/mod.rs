//! The data folder, shared with the official command line: `data.json`, its lock, and what each key holds.

mod account;
mod document;
mod folder;
mod keys;
mod layout;
mod store;

pub use account::{Account, AccountProfile, Claims, MasterPasswordUnlock};
pub use document::Document;
pub use folder::{Created, DataFolder};
pub use store::{ById, LoginRecord, SyncRecord};

#[cfg(test)]
mod tests;
