//! Where Durward's credentials live.
//!
//! A [`Vault`] is locked until [`Vault::unlock`] opens it; dropping the [`OpenVault`] locks it again and wipes
//! every item. Two providers exist: [`BuiltinVault`], one age file that `age -d` opens too, and
//! [`CommandVault`], any program that prints JSON. [`Registry`] keeps the names of several vaults.
//!
//! Everything here blocks: call it from a thread that may. Nothing here prints, prompts, reads the
//! environment, the clock or the OS generator (age draws its own salt, file key and nonce).
//!
//! # What is wiped, and what cannot be
//!
//! Secrets are wiped on drop in [`Item`], in the decrypted file and in the buffer that is encrypted.
//! Out of reach are the 64 KiB write buffer inside the age library, the scratch buffer of the JSON reader for a
//! value that contains escapes (`\"`, `\\`), and the row buffers of the CSV library during an import or a plain
//! export. They are freed at once, unwiped.

#[cfg(feature = "bitwarden")]
mod bitwarden;
mod builtin;
mod command;
mod error;
mod export;
mod file;
mod foreign;
mod generate;
mod import;
mod item;
mod matching;
mod registry;
mod totp;
mod vault;

#[cfg(feature = "bitwarden")]
pub use bitwarden::{BitwardenConfig, BitwardenVault};
pub use builtin::{
    BuiltinVault, Items, MAX_VAULT_BYTES, MAX_WORK_FACTOR, OpenBuiltin, WORK_FACTOR, decrypt_with_password,
    encrypt_with_password,
};
pub use command::{CommandConfig, CommandVault, MAX_OUTPUT_BYTES};
pub use error::Error;
pub use export::PlainFormat;
pub use foreign::ImportLine;
pub use generate::{PasswordRules, PhraseRules, generate_password, generate_phrase};
pub use import::{
    DuplicateLine, Duplicates, Import, ImportFormat, ImportReport, MAX_IMPORT_BYTES, MAX_IMPORT_ENTRIES,
    SkippedLine,
};
pub use item::{CustomField, Item, ItemSummary};
pub use matching::{match_domain, uri_domain};
pub use registry::{DEFAULT_VAULT, Registry, VaultConfig};
pub use totp::TotpSecret;
pub use vault::{Candidate, MatchKind, OpenVault, Vault, VaultInfo};
