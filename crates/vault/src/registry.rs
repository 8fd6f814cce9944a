//! The names of several vaults and how each is reached: `vaults.toml` in the configuration folder.
//!
//! ```toml
//! use = "work"
//!
//! [vaults.default]
//! provider = "builtin"
//! path = "vault.age"          # relative to the data folder
//!
//! [vaults.work]
//! provider = "command"
//! program = "rbw"
//! args = ["get", "--raw", "{domain}"]
//! timeout_seconds = 30
//! ```
//!
//! No secret belongs here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::command::{CommandConfig, CommandVault};
use crate::file::{self, Lock};
use crate::{BuiltinVault, Error, Vault};

/// Name of the vault that exists without a configuration.
pub const DEFAULT_VAULT: &str = "default";

/// Most bytes of a configuration that are read.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// Vaults by name, one of them in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    #[serde(rename = "use", default = "default_name")]
    in_use: String,
    #[serde(default)]
    vaults: BTreeMap<String, VaultConfig>,
}

/// How one vault is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "provider", rename_all = "snake_case")]
#[non_exhaustive]
pub enum VaultConfig {
    /// An encrypted file.
    Builtin {
        /// The file; a relative path starts at the data folder.
        path: PathBuf,
    },
    /// A program.
    Command(CommandConfig),
    /// Bitwarden's data folder.
    #[cfg(feature = "bitwarden")]
    Bitwarden(crate::BitwardenConfig),
}

impl Default for Registry {
    /// One built-in vault, `vault.age` in the data folder.
    fn default() -> Self {
        let vault = VaultConfig::Builtin { path: PathBuf::from("vault.age") };
        Self { in_use: default_name(), vaults: BTreeMap::from([(default_name(), vault)]) }
    }
}

impl Registry {
    /// Reads a configuration from its text.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    /// Reads a configuration; a file that is not there is [`Registry::default`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Ok(metadata) if metadata.len() > MAX_CONFIG_BYTES => {
                return Err(Error::config(path, "it is larger than 1 MiB"));
            }
            _ => fs::read_to_string(path).map_err(|source| Error::io("reading", path, source))?,
        };
        let registry: Self =
            toml::from_str(&text).map_err(|error| Error::config(path, error.to_string().trim_end()))?;
        registry.check().map_err(|error| Error::config(path, error.to_string()))?;
        Ok(registry)
    }

    /// Reads the configuration, lets `change` work on it and writes it back (0600), alone.
    pub fn edit<T>(path: &Path, change: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        file::create_folder(path)?;
        let _lock = Lock::acquire(path)?;
        let mut registry = Self::load(path)?;
        let outcome = change(&mut registry)?;
        registry.check()?;
        let text =
            toml::to_string_pretty(&registry).map_err(|error| Error::config(path, error.to_string()))?;
        file::stage(path, text.as_bytes())?.publish()?;
        Ok(outcome)
    }

    /// All vaults, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &VaultConfig)> {
        self.vaults.iter().map(|(name, config)| (name.as_str(), config))
    }

    /// The name of the vault in use.
    pub fn in_use(&self) -> &str {
        &self.in_use
    }

    /// Makes `name` the vault in use; [`Error::UnknownVault`] when there is none of that name.
    pub fn select(&mut self, name: &str) -> Result<(), Error> {
        self.get(name)?;
        name.clone_into(&mut self.in_use);
        Ok(())
    }

    /// Adds a vault under a new name: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub fn add(&mut self, name: &str, config: VaultConfig) -> Result<(), Error> {
        check_name(name)?;
        if let VaultConfig::Command(command) = &config {
            command.check()?;
        }
        if self.vaults.contains_key(name) {
            return Err(Error::VaultNameTaken { name: name.to_owned() });
        }
        self.vaults.insert(name.to_owned(), config);
        Ok(())
    }

    /// Forgets a vault; its file stays. The vault in use cannot be forgotten.
    pub fn remove(&mut self, name: &str) -> Result<VaultConfig, Error> {
        if name == self.in_use {
            return Err(Error::VaultInUse { name: name.to_owned() });
        }
        self.vaults.remove(name).ok_or_else(|| self.unknown(name))
    }

    /// The vault `name`, ready to unlock. Relative paths start at `data_folder`.
    pub fn vault(&self, name: &str, data_folder: &Path) -> Result<Box<dyn Vault>, Error> {
        Ok(match self.get(name)? {
            VaultConfig::Builtin { .. } => Box::new(self.builtin(name, data_folder)?),
            VaultConfig::Command(config) => Box::new(CommandVault::new(name, config.clone())?),
            #[cfg(feature = "bitwarden")]
            VaultConfig::Bitwarden(config) => {
                Box::new(crate::BitwardenVault::at(data_folder.join(&config.path)).named(name).over(config))
            }
        })
    }

    /// The vault `name` when it is a built-in one, which can be edited; else [`Error::NotBuiltin`].
    pub fn builtin(&self, name: &str, data_folder: &Path) -> Result<BuiltinVault, Error> {
        match self.get(name)? {
            VaultConfig::Builtin { path } => Ok(BuiltinVault::at(data_folder.join(path)).named(name)),
            _ => Err(Error::NotBuiltin { name: name.to_owned() }),
        }
    }

    fn get(&self, name: &str) -> Result<&VaultConfig, Error> {
        self.vaults.get(name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> Error {
        Error::UnknownVault { name: name.to_owned(), known: self.vaults.keys().cloned().collect() }
    }

    fn check(&self) -> Result<(), Error> {
        self.get(&self.in_use)?;
        self.vaults.iter().try_for_each(|(name, config)| {
            check_name(name)?;
            match config {
                VaultConfig::Command(command) => command.check(),
                _ => Ok(()),
            }
        })
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
        return Err(Error::InvalidVaultName { name: name.to_owned() });
    }
    Ok(())
}

fn default_name() -> String {
    DEFAULT_VAULT.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rbw() -> VaultConfig {
        VaultConfig::Command(CommandConfig::preset("rbw").unwrap())
    }

    #[test]
    fn without_a_file_there_is_one_builtin_vault() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::load(&folder.path().join("vaults.toml")).unwrap();
        let info = registry.vault(registry.in_use(), Path::new("/data")).unwrap().describe();
        assert_eq!(
            (info.provider, info.name.as_str(), info.location.as_str()),
            ("builtin", "default", "/data/vault.age")
        );
    }

    #[test]
    fn add_use_remove_survive_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conf/vaults.toml");
        Registry::edit(&path, |registry| {
            registry.add("work", rbw())?;
            registry.select("work")
        })
        .unwrap();
        let registry = Registry::load(&path).unwrap();
        assert_eq!(registry.in_use(), "work");
        assert_eq!(registry.vault("work", folder.path()).unwrap().describe().provider, "command");
        assert!(matches!(registry.builtin("work", folder.path()), Err(Error::NotBuiltin { .. })));
        let refused = Registry::edit(&path, |registry| registry.remove("work"));
        assert!(matches!(refused, Err(Error::VaultInUse { .. })));
        let refused = Registry::edit(&path, |registry| registry.select("home"));
        assert!(refused.unwrap_err().to_string().contains("default, work"));
        assert!(matches!(Registry::default().add("a b", rbw()), Err(Error::InvalidVaultName { .. })));
        assert!(matches!(Registry::default().add("default", rbw()), Err(Error::VaultNameTaken { .. })));
    }

    #[test]
    fn mistakes_in_the_file_are_told_with_their_place() {
        for (text, told) in [
            ("use = \"x\"\n", "no vault"),
            ("[vaults.a]\nprovider = \"builtin\"\n", "path"),
            ("[vaults.default]\nprovider = \"nothing\"\n", "nothing"),
            ("colour = 1\n", "colour"),
            (
                "[vaults.default]\nprovider = \"command\"\nprogram = \"x\"\nargs = [\"a{domain}\"]\n",
                "{domain}",
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("vaults.toml");
            file::stage(&path, text.as_bytes()).unwrap().publish().unwrap();
            let error = Registry::load(&path).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains("vaults.toml"), "{text}: {error}");
        }
    }
}
