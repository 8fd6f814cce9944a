//! Where the rest keys lie: the operating system's keyring where one answers, else a 0600 file. And how a key
//! moves from one to the other without ending a session.
//!
//! A file beside the key's own, `rest.key.keyring`, holds the name of the keyring's entry. It is no secret; it is
//! what tells "there never was a key" from "the keyring does not answer", so that a keyring that is locked or
//! missing for once never looks like a lost key.

mod keyring;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use durward_client::RestKeySource;
use durward_files::write_private;
use durward_protocol::{KeeperError, RestKey, RestKeyKeeper};
use durward_server::Home;
use serde::{Deserialize, Serialize};

pub(crate) use keyring::{Keyring, SystemKeyring};

use crate::config::FileConfig;
use crate::env_vars;
use crate::exit::{CliError, Exit};
use crate::paths::Paths;

/// The name of the file that names the keyring's entry.
pub(crate) const MARKER: &str = "rest.key.keyring";

/// `rest_key` in config.toml, `DURWARD_REST_KEY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Choice {
    /// Where the key is; a new one in the keyring if one answers, else in a file.
    Auto,
    /// In the keyring; a key in a file is moved there.
    Keyring,
    /// In a file; a key in the keyring is moved there.
    File,
}

impl Choice {
    /// The environment, else the file, else the keyring where there is one. Under `DURWARD_HOME` everything
    /// lies in that folder, the key too, unless somebody says otherwise.
    pub(crate) fn read(paths: &Paths) -> Result<Self, CliError> {
        if let Some(value) = std::env::var_os(env_vars::DURWARD_REST_KEY).filter(|value| !value.is_empty()) {
            let text = value.to_string_lossy();
            return Self::from_str(&text, false).map_err(|_| {
                let text = format!("{} is auto, keyring or file, not {text:?}", env_vars::DURWARD_REST_KEY);
                CliError::new(Exit::Usage, "bad_config", text)
            });
        }
        let file = FileConfig::load(&paths.config_file())?;
        Ok(file.rest_key.unwrap_or(Self::default_for(paths)))
    }

    /// What holds when nobody says anything.
    pub(crate) fn default_for(paths: &Paths) -> Self {
        if paths.in_one_folder() { Self::File } else { Self::Auto }
    }
}

/// The approver's.
pub(crate) fn of_approver(paths: &Paths) -> Result<Arc<dyn RestKeyKeeper>, CliError> {
    let home = Home::open(paths.data())
        .map_err(|error| CliError::new(Exit::Other, "start_failed", error.to_string()))?;
    let file = Box::new(durward_server::RestKeyFile::of(&home));
    Ok(Arc::new(Kept::new(Choice::read(paths)?, file, paths.data().join("keys"), "approver")))
}

/// The agents' on this machine: all profiles share one.
pub(crate) fn of_agents(paths: &Paths) -> Result<RestKeySource, CliError> {
    Ok(RestKeySource::Kept { keeper: of_agents_here(paths)?, folder: paths.agents().join(".keys") })
}

/// The same, to look at.
pub(crate) fn of_agents_here(paths: &Paths) -> Result<Arc<dyn RestKeyKeeper>, CliError> {
    let folder = paths.agents().join(".keys");
    let file = Box::new(durward_client::RestKeyFile::in_folder(&folder));
    Ok(Arc::new(Kept::new(Choice::read(paths)?, file, folder, "agents")))
}

/// A key that lies in a file or in the keyring.
#[derive(Debug)]
pub(crate) struct Kept {
    choice: Choice,
    file: Box<dyn RestKeyKeeper>,
    keyring: Box<dyn Keyring>,
    folder: PathBuf,
    /// What the entry's name begins with, for people who look into their keyring.
    whose: &'static str,
}

impl Kept {
    fn new(choice: Choice, file: Box<dyn RestKeyKeeper>, folder: PathBuf, whose: &'static str) -> Self {
        Self { choice, file, keyring: Box::new(SystemKeyring), folder, whose }
    }

    fn marker(&self) -> PathBuf {
        self.folder.join(MARKER)
    }

    fn read_keyring(&self, entry: &str) -> Result<Option<RestKey>, KeeperError> {
        let found = self.keyring.get(entry).map_err(|error| {
            KeeperError(format!(
                "the rest key lies in the keyring, which does not give it ({error}): unlock the keyring and try again; \
                 to give the key and its sessions up, remove {}",
                self.marker().display()
            ))
        })?;
        if found.is_none() {
            tracing::warn!(entry, "the keyring answers and has no such key: it was lost; its sessions end");
        }
        Ok(found)
    }

    /// Into the keyring, read back, and only then out of the file.
    fn write_keyring(&self, key: &RestKey) -> Result<(), KeeperError> {
        let entry = match read_marker(&self.marker())? {
            Some(entry) => entry,
            None => new_entry(self.whose)?,
        };
        let refused = |error: KeeperError| {
            KeeperError(format!(
                "the keyring cannot keep the rest key ({error}); `rest_key = \"file\"` does without it"
            ))
        };
        self.keyring.set(&entry, key).map_err(refused)?;
        let kept = self.keyring.get(&entry).map_err(refused)?;
        if kept.is_none_or(|kept| kept.expose_bytes() != key.expose_bytes()) {
            return Err(refused(KeeperError("it gave back something else".into())));
        }
        let written = durward_files::create_private_dir(&self.folder)
            .and_then(|()| write_private(&self.marker(), entry.as_bytes()));
        written.map_err(|error| KeeperError(format!("cannot use {}: {error}", self.marker().display())))?;
        self.file.remove()
    }

    /// The file has the key: the keyring's copy is not needed any more.
    fn leave_keyring(&self, entry: &str) -> Result<(), KeeperError> {
        remove_file(&self.marker())?;
        if let Err(error) = self.keyring.delete(entry) {
            tracing::warn!(%error, entry, "the keyring keeps a copy of the rest key; remove it by hand");
        }
        Ok(())
    }
}

impl RestKeyKeeper for Kept {
    /// A key in the file is the one that counts: it is there while a move is under way, too.
    fn load(&self) -> Result<Option<RestKey>, KeeperError> {
        let (key, marked) = (self.file.load()?, read_marker(&self.marker())?);
        match (self.choice, key, marked) {
            (Choice::Keyring, Some(key), _) => {
                self.write_keyring(&key)?;
                Ok(Some(key))
            }
            (Choice::File, Some(key), Some(entry)) => {
                self.leave_keyring(&entry)?;
                Ok(Some(key))
            }
            (_, Some(key), _) => Ok(Some(key)),
            (Choice::File, None, Some(entry)) => {
                let Some(key) = self.read_keyring(&entry)? else { return Ok(None) };
                self.file.save(&key)?;
                self.leave_keyring(&entry)?;
                Ok(Some(key))
            }
            (_, None, Some(entry)) => self.read_keyring(&entry),
            (_, None, None) => Ok(None),
        }
    }

    fn save(&self, key: &RestKey) -> Result<(), KeeperError> {
        match self.choice {
            Choice::File => self.file.save(key),
            Choice::Keyring => self.write_keyring(key),
            Choice::Auto => self.write_keyring(key).or_else(|error| {
                tracing::info!(%error, "no keyring: the rest key lies in a file");
                self.file.save(key)
            }),
        }
    }

    fn remove(&self) -> Result<(), KeeperError> {
        if let Some(entry) = read_marker(&self.marker())? {
            self.leave_keyring(&entry)?;
        }
        self.file.remove()
    }
}

/// The keyring's entry that a folder's key lies under, if it lies there.
pub(crate) fn read_marker(path: &Path) -> Result<Option<String>, KeeperError> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let entry = text.trim();
            let fine = (1..=64).contains(&entry.len())
                && entry.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let damaged =
                || KeeperError(format!("{} is damaged; remove it to give the key up", path.display()));
            if fine { Ok(Some(entry.to_owned())) } else { Err(damaged()) }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(KeeperError(format!("cannot use {}: {error}", path.display()))),
    }
}

/// `approver-` and 128 random bits: a folder that is moved keeps its entry, two folders never share one.
fn new_entry(whose: &str) -> Result<String, KeeperError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| KeeperError(error.to_string()))?;
    Ok(format!("{whose}-{:032x}", u128::from_be_bytes(bytes)))
}

fn remove_file(path: &Path) -> Result<(), KeeperError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(KeeperError(format!("cannot remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
