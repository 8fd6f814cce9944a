//! The built-in vault: one age file, encrypted with a password, its plaintext versioned JSON.
//!
//! `age -d vault.age` opens it without this program. Writers hold a lock beside the file, write a new file,
//! sync it and rename it into place, so a reader sees the old vault or the new one and never a part. The
//! version before the last edit stays beside it as `NAME.bak`, under the same password; changing the
//! password removes that copy, because the old password would still open it.

mod items;
mod seal;

use std::path::{Path, PathBuf};

use durward_protocol::{Credential, Domain, Field, SecretString};
use time::OffsetDateTime;

use crate::error::backup_path;
use crate::file::{self, Lock, Stamp};
use crate::{Candidate, Error, OpenVault, Vault, VaultInfo};
use items::Index;
pub use items::Items;
pub(crate) use items::VERSION;
pub use seal::{MAX_WORK_FACTOR, WORK_FACTOR, decrypt_with_password, encrypt_with_password};

/// Largest vault file that is read or written, in bytes.
pub const MAX_VAULT_BYTES: u64 = 64 * 1024 * 1024;

/// A vault in one encrypted file.
#[derive(Clone, Debug)]
pub struct BuiltinVault {
    path: PathBuf,
    name: String,
    work_factor: u8,
}

impl BuiltinVault {
    /// The vault in the file `path`, which need not exist yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), name: "default".to_owned(), work_factor: WORK_FACTOR }
    }

    /// Gives it the name that [`Vault::describe`] shows; `default` without.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Writes with scrypt work factor `log_n` instead of [`WORK_FACTOR`], so that tests need not wait for the
    /// key derivation. **For tests only**: such a file falls to a guessing attack. Clamped to 1..=22.
    #[must_use]
    pub fn with_work_factor_for_tests(mut self, log_n: u8) -> Self {
        self.work_factor = log_n.clamp(1, MAX_WORK_FACTOR);
        self
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the version before the last edit is kept, under the same password. To go back to it, copy it over
    /// [`BuiltinVault::path`].
    pub fn backup_path(&self) -> PathBuf {
        backup_path(&self.path)
    }

    /// Whether there is a file.
    pub fn exists(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// Makes an empty vault, and its folder (0700) if that is missing.
    ///
    /// [`Error::AlreadyExists`] when a file is there; it is never overwritten.
    pub fn create(&self, password: &SecretString) -> Result<(), Error> {
        check_new_password(password)?;
        if self.exists() {
            return Err(Error::AlreadyExists { path: self.path.clone() });
        }
        file::create_folder(&self.path)?;
        let _lock = Lock::acquire(&self.path)?;
        let sealed = self.seal(&Items::default(), password)?;
        file::stage(&self.path, &sealed)?.publish_new()
    }

    /// Opens the vault for reading.
    pub fn open(&self, password: &SecretString) -> Result<OpenBuiltin, Error> {
        let (sealed, stamp) = file::read(&self.path)?;
        let items = self.unseal(&sealed, password)?;
        let index = items.index();
        Ok(OpenBuiltin { items, index, path: self.path.clone(), stamp })
    }

    /// Opens the vault, lets `change` work on its items, and writes them back, alone: a second writer gets
    /// [`Error::Busy`] meanwhile. When `change` fails, nothing is written. The version before is kept as
    /// `NAME.bak`; an item that was removed stays in there until the next edit.
    ///
    /// Costs two key derivations (age draws a new salt for each file), about a second: ask the person
    /// everything first.
    pub fn edit<T>(
        &self,
        password: &SecretString,
        change: impl FnOnce(&mut Items) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let path = file::resolve(&self.path)?;
        let _lock = Lock::acquire(&path)?;
        let (before, _) = file::read(&path)?;
        let mut items = self.unseal(&before, password)?;
        let outcome = change(&mut items)?;
        let sealed = self.seal(&items, password)?;
        file::stage(&backup_path(&path), &before)?.publish()?;
        file::stage(&path, &sealed)?.publish()?;
        Ok(outcome)
    }

    /// Encrypts the vault anew under the password `new`, and removes the copy of the version before.
    ///
    /// What the old password opened stays readable with it in backups made elsewhere.
    pub fn change_password(&self, old: &SecretString, new: &SecretString) -> Result<(), Error> {
        check_new_password(new)?;
        let path = file::resolve(&self.path)?;
        let _lock = Lock::acquire(&path)?;
        let (before, _) = file::read(&path)?;
        let items = self.unseal(&before, old)?;
        let sealed = self.seal(&items, new)?;
        file::stage(&path, &sealed)?.publish()?;
        file::remove_if_there(&backup_path(&path))
    }

    pub(crate) fn seal(&self, items: &Items, password: &SecretString) -> Result<Vec<u8>, Error> {
        check_new_password(password)?;
        seal::seal(&items.to_json()?, password, self.work_factor)
    }

    fn unseal(&self, sealed: &[u8], password: &SecretString) -> Result<Items, Error> {
        let json = seal::unseal(&self.path, sealed, password)?;
        Items::from_json(&self.path, &json)
    }
}

impl Vault for BuiltinVault {
    fn describe(&self) -> VaultInfo {
        VaultInfo {
            provider: "builtin",
            name: self.name.clone(),
            location: self.path.display().to_string(),
            exists: self.exists(),
            needs_password: true,
        }
    }

    fn unlock(&self, password: &SecretString) -> Result<Box<dyn OpenVault>, Error> {
        Ok(Box::new(self.open(password)?))
    }
}

/// The built-in vault, open. Dropping it wipes every item.
#[derive(Debug)]
pub struct OpenBuiltin {
    items: Items,
    index: Index,
    path: PathBuf,
    stamp: Stamp,
}

impl OpenBuiltin {
    /// What is in the vault.
    pub fn items(&self) -> &Items {
        &self.items
    }
}

impl OpenVault for OpenBuiltin {
    fn is_current(&self) -> bool {
        Stamp::of_path(&self.path).is_some_and(|stamp| stamp == self.stamp)
    }

    fn find(&self, domain: &Domain) -> Result<Vec<Candidate>, Error> {
        Ok(self.items.find_indexed(&self.index, domain))
    }

    fn read(
        &self,
        item_id: &str,
        fields: &[Field],
        domain: &Domain,
        now: OffsetDateTime,
    ) -> Result<Credential, Error> {
        self.items.get(item_id)?.credential(fields, domain, now)
    }
}

fn check_new_password(password: &SecretString) -> Result<(), Error> {
    if password.is_empty() { Err(Error::EmptyPassword) } else { Ok(()) }
}
