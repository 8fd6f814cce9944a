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
    ///
    /// A folder that others can write to is not taken: a token or a key that somebody else put there would count.
    pub fn lock(&self) -> Result<HomeLock, Error> {
        check_ours(&self.folder)?;
        for inside in ["tokens", "keys", "run"] {
            check_ours(&self.folder.join(inside))?;
        }
        let path = self.folder.join("durward.lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            // A link would lead the lines below to a file that is not ours to shorten.
            options.mode(0o600).custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
        }
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

/// Whether a folder, if it is there, is this user's and nobody else's to write to.
#[cfg(unix)]
fn check_ours(folder: &Path) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::File { path: folder.to_owned(), source }),
    };
    let (uid, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if uid != nix::unistd::geteuid().as_raw() {
        return Err(Error::FolderOfAnother { folder: folder.to_owned(), uid });
    }
    if mode & 0o022 != 0 {
        return Err(Error::FolderOpen { folder: folder.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_ours(_: &Path) -> Result<(), Error> {
    Ok(())
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

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_write_to_is_not_taken() {
        use std::os::unix::fs::PermissionsExt as _;
        let base = tempfile::tempdir().unwrap();
        let home = Home::open(base.path()).unwrap();
        let tokens = base.path().join("tokens");
        create_private_dir(&tokens).unwrap();
        for folder in [base.path(), &tokens] {
            for mode in [0o770, 0o702, 0o1777] {
                std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
                match home.lock() {
                    Err(Error::FolderOpen { folder: open, mode: said }) => {
                        assert_eq!((open.as_path(), said), (folder, mode));
                    }
                    other => panic!("{other:?}"),
                }
            }
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711)).unwrap();
            assert!(home.lock().is_ok(), "who may only look in cannot plant anything");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_the_lock_is_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let victim = base.path().join("victim");
        durward_files::write_private(&victim, b"precious").unwrap();
        std::os::unix::fs::symlink(&victim, base.path().join("durward.lock")).unwrap();
        let home = Home::open(base.path()).unwrap();
        assert!(matches!(home.lock(), Err(Error::File { .. })));
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }
}
