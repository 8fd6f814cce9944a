//! Files that are whole or absent: a temporary file beside the target, synced, renamed, its folder synced.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use durward_files::{Existing, folder_of};

use crate::{Error, MAX_VAULT_BYTES};

/// How often a lock that somebody has is tried, and how long apart: two seconds in all.
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What a file looked like when it was read. Each write makes a new file, so any edit changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    length: u64,
    modified: Option<std::time::SystemTime>,
    #[cfg(unix)]
    identity: (u64, u64, i64, i64),
}

impl Stamp {
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }

    fn of(metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            identity: (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Reads a whole vault file, at most [`MAX_VAULT_BYTES`].
pub(crate) fn read(path: &Path) -> Result<(Vec<u8>, Stamp), Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Error::NotFound { path: path.to_owned() },
        _ => Error::io("reading", path, source),
    };
    // Looked at before it is opened: opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::damaged(path, "it is not a file"));
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.len() > MAX_VAULT_BYTES {
        return Err(Error::damaged(path, "it is larger than any vault this program writes"));
    }
    let mut bytes = Vec::new();
    (&file).take(MAX_VAULT_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok((bytes, Stamp::of(&metadata)))
}

/// Follows links, so that a linked vault is replaced where it lies and the link stays.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NotFound { path: path.to_owned() },
        _ => Error::io("opening", path, source),
    })
}

/// Makes the folder of `path`, for its owner alone; one that is there stays as it is.
pub(crate) fn create_folder(path: &Path) -> Result<(), Error> {
    let folder = folder_of(path);
    durward_files::create_private_dir(folder).map_err(|source| Error::io("making the folder", folder, source))
}

/// Keeps other writers away until it is dropped; the kernel frees it when the process dies.
pub(crate) struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl Lock {
    /// Locks `path` by the file `.NAME.lock` beside it: the vault file itself is replaced by each write.
    pub(crate) fn acquire(path: &Path) -> Result<Self, Error> {
        let lock_path = beside(path, ".lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file =
            options.open(&lock_path).map_err(|source| Error::io("opening the lock", &lock_path, source))?;
        // Another edit takes a second, most of it in the lock; and a process that this one starts has a copy of the
        // lock until it runs its own program.
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) => std::thread::park_timeout(LOCK_PAUSE),
                Err(TryLockError::Error(source)) => return Err(Error::io("locking", &lock_path, source)),
            }
        }
        Err(Error::Busy { path: path.to_owned() })
    }
}

/// Writes `bytes` to a file (0600) beside `path`; `path` is as it was. What killed writers left there is removed.
pub(crate) fn stage(path: &Path, bytes: &[u8]) -> Result<Staged, Error> {
    let failed = |source| Error::io("writing", path, source);
    let mut file = durward_files::Staged::beside(path).map_err(failed)?;
    file.sweep();
    file.file().write_all(bytes).map_err(failed)?;
    Ok(Staged { file, path: path.to_owned() })
}

/// A file that is not yet in its place.
pub(crate) struct Staged {
    file: durward_files::Staged,
    path: PathBuf,
}

impl Staged {
    /// Renames it into place, over what is there.
    pub(crate) fn publish(self) -> Result<(), Error> {
        self.file
            .publish(&self.path, Existing::Replace)
            .map_err(|source| Error::io("replacing", &self.path, source))
    }

    /// Moves it into place unless something is there.
    pub(crate) fn publish_new(self) -> Result<(), Error> {
        self.file.publish(&self.path, Existing::Refuse).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: self.path.clone() },
            _ => Error::io("making", &self.path, source),
        })
    }
}

/// Removes a file; one that is not there is fine.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::io("removing", path, source)),
        _ => Ok(()),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(ending);
    path.with_file_name(name)
}
