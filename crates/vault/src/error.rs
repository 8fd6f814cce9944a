//! What can go wrong with a vault, said so that a person can act on it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a vault could not do what was asked. No variant carries a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no vault file.
    #[error("there is no vault at {}: make one with `durward vault init`", path.display())]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file is where a vault was to be made.
    #[error("{} exists already and was left alone: choose another path, or move the file away", path.display())]
    AlreadyExists {
        /// The file that is there.
        path: PathBuf,
    },
    /// The password does not open the vault.
    #[error("wrong vault password: try again (nothing was changed)")]
    WrongPassword,
    /// A password of no characters was chosen.
    #[error("the vault password is empty: choose one")]
    EmptyPassword,
    /// The file is not a whole vault.
    #[error("the vault {} is damaged ({detail}): restore it from a backup; the previous version may be in {}",
        path.display(), backup_path(path).display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without any of its content.
        detail: String,
    },
    /// The file asks for more key-derivation work than this program is ready to do.
    #[error("the vault {} asks for scrypt work factor {required}, more than {max} allowed: it was not made by durward; \
        decrypt it with `age -d` and import the result", path.display(), max = crate::MAX_WORK_FACTOR)]
    ExcessiveWork {
        /// The file.
        path: PathBuf,
        /// The work factor it asks for, log2 of N.
        required: u8,
    },
    /// A later version of the program wrote the file.
    #[error("the vault {} has format version {version}, this durward reads {}: update durward", path.display(), crate::builtin::VERSION)]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The version it says it has.
        version: u64,
    },
    /// The vault outgrew what this program reads.
    #[error("the vault would have {size} bytes, at most {max} are allowed: remove items or use a second vault", max = crate::MAX_VAULT_BYTES)]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// Another process is writing the vault.
    #[error("another durward process is writing the vault {}: try again when it has finished (nothing was changed)", path.display())]
    Busy {
        /// The vault file.
        path: PathBuf,
    },
    /// No item has this id or name.
    #[error("no item {wanted:?} in the vault: `durward vault list` shows what is there")]
    ItemNotFound {
        /// What was asked for.
        wanted: String,
    },
    /// Several items answer to this name.
    #[error("{} items are called {wanted:?}: use the id of one of them: {}", ids.len(), ids.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The ids of the items.
        ids: Vec<String>,
    },
    /// An item cannot be stored as it is.
    #[error("the item cannot be stored: {reason}")]
    InvalidItem {
        /// Which rule it breaks.
        reason: String,
    },
    /// Not a TOTP secret.
    #[error(
        "not a usable TOTP secret: {reason}; give the base32 secret or the otpauth:// address the site shows"
    )]
    InvalidTotp {
        /// Which rule it breaks, without the secret.
        reason: &'static str,
    },
    /// The disk or the quota is full.
    #[error("no room left while {action} {}: free some space and try again (the vault is as it was)", path.display())]
    NoSpace {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{action} {} failed: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The program behind a vault did not answer in time and was killed.
    #[error(
        "{program} did not answer within {seconds} s and was stopped: raise timeout_seconds, or check that it \
        does not wait for input"
    )]
    Timeout {
        /// The program.
        program: String,
        /// The limit, in seconds.
        seconds: u64,
    },
    /// The program behind a vault failed.
    #[error("{program} gave no credential: {detail}")]
    Command {
        /// The program.
        program: String,
        /// What happened, with the start of its error output.
        detail: String,
    },
    /// The configuration of a program cannot work.
    #[error("the command cannot be used: {reason}")]
    InvalidCommand {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The rules allow no password.
    #[error("nothing can be generated: {reason}")]
    Rules {
        /// Which rule cannot be met.
        reason: &'static str,
    },
    /// The list of vaults cannot be read.
    #[error("{} cannot be used: {detail}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        detail: String,
    },
    /// No vault has this name.
    #[error("there is no vault called {name:?}; known: {}", known.join(", "))]
    UnknownVault {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A vault has this name already.
    #[error(
        "there is a vault called {name:?} already: choose another name, or remove that one from the list first"
    )]
    VaultNameTaken {
        /// The name.
        name: String,
    },
    /// The vault in use cannot be forgotten.
    #[error("the vault {name:?} is in use: choose another one with `durward vault use NAME` first")]
    VaultInUse {
        /// Its name.
        name: String,
    },
    /// Not a name for a vault.
    #[error("{name:?} cannot name a vault: use 1 to 64 letters, digits, dots, dashes and underscores")]
    InvalidVaultName {
        /// The name.
        name: String,
    },
    /// A vault of another program cannot be changed from here.
    #[error(
        "the vault {name:?} belongs to another program: change its items there, or choose a built-in vault"
    )]
    NotBuiltin {
        /// Its name.
        name: String,
    },
    /// A file cannot be imported at all.
    #[error("nothing was imported: {detail}")]
    Import {
        /// What is wrong with it, without its content.
        detail: String,
    },
    /// Bitwarden's folder, server or account does not do what is wanted.
    #[error("the Bitwarden vault: {detail}")]
    Bitwarden {
        /// What happened and what to do, without any secret.
        detail: String,
    },
    /// Encryption failed; nothing was written.
    #[error("encrypting the vault failed: {0}")]
    Encrypt(String),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull, WriteZero};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge | WriteZero => Self::NoSpace { action, path },
            _ => Self::Io { action, path, source },
        }
    }

    pub(crate) fn damaged(path: &Path, detail: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), detail: detail.into() }
    }

    pub(crate) fn config(path: &Path, detail: impl Into<String>) -> Self {
        Self::Config { path: path.to_owned(), detail: detail.into() }
    }

    pub(crate) fn import(detail: impl Into<String>) -> Self {
        Self::Import { detail: detail.into() }
    }

    pub(crate) fn item_not_found(wanted: &str) -> Self {
        Self::ItemNotFound { wanted: wanted.to_owned() }
    }
}

/// Where the previous version of the file `path` is kept.
pub(crate) fn backup_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".bak");
    path.with_file_name(name)
}
