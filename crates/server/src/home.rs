//! The data folder: what lies where, and who owns it.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::Error;
use durward_files::create_private_dir;

/// The folder that holds store, keys and tokens of one approver.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// The folder at `folder`, created 0700 if it is not there.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        create_private_dir(folder).map_err(Error::file(folder))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.folder.join("durward.db")
    }

    /// The rest key, outside the database.
    pub fn rest_key(&self) -> PathBuf {
        self.folder.join("keys").join("rest.key")
    }

    /// The token file of a scope: `api.token`, `pair.token`, `spake.token`.
    pub fn token(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.token"))
    }

    /// The control plane's socket.
    pub fn control_socket(&self) -> PathBuf {
        self.folder.join("run").join("control.sock")
    }

    /// Takes the folder for this process. Held until dropped; a killed process lets go by itself.
    pub fn lock(&self) -> Result<HomeLock, Error> {
        let path = self.folder.join("durward.lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(Error::file(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(Error::InUse { pid, folder: self.folder.clone() });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(Error::File { path, source }),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(Error::file(&path))?;
        Ok(HomeLock { _file: file })
    }
}

/// Proof that this process owns the folder.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_owns_a_folder() {
        let base = tempfile::tempdir().unwrap();
        let home = Home::open(base.path()).unwrap();
        let lock = home.lock().unwrap();
        match home.lock() {
            Err(Error::InUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert!(home.lock().is_ok());
    }
}
