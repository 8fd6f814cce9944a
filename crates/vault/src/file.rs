//! Files that are whole or absent: a temporary file beside the target, synced, renamed, its folder synced.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use crate::error::backup_path;
use crate::{Error, MAX_VAULT_BYTES};

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
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).map_err(|source| Error::io("making the folder", &folder, source))
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
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Error::io("locking", &lock_path, source)),
        }
    }
}

/// Removes temporary files that a killed writer of `path`, or of its backup, left. Only under the lock:
/// nobody else has one then.
pub(crate) fn sweep(path: &Path) {
    let prefixes = [temporary_prefix(path), temporary_prefix(&backup_path(path))];
    let Ok(entries) = fs::read_dir(folder_of(path)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = |prefix: &OsString| name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes());
        if prefixes.iter().any(ours) {
            // A file that stays is found again by the next writer.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes `bytes` to a temporary file (0600) beside `path` and syncs it; `path` is as it was.
pub(crate) fn stage(path: &Path, bytes: &[u8]) -> Result<Staged, Error> {
    let failed = |source| Error::io("writing", path, source);
    let mut file: NamedTempFile = tempfile::Builder::new()
        .prefix(&temporary_prefix(path))
        .tempfile_in(folder_of(path))
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    Ok(Staged { temporary: file.into_temp_path(), path: path.to_owned() })
}

/// A file that is on disk and not yet in its place.
pub(crate) struct Staged {
    temporary: TempPath,
    path: PathBuf,
}

impl Staged {
    /// Renames it into place, over what is there.
    pub(crate) fn publish(self) -> Result<(), Error> {
        self.temporary
            .persist(&self.path)
            .map_err(|error| Error::io("replacing", &self.path, error.error))?;
        sync_folder(&self.path)
    }

    /// Moves it into place unless something is there.
    pub(crate) fn publish_new(self) -> Result<(), Error> {
        self.temporary.persist_noclobber(&self.path).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: self.path.clone() },
            _ => Error::io("making", &self.path, error.error),
        })?;
        sync_folder(&self.path)
    }
}

/// Removes a file; one that is not there is fine.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::io("removing", path, source)),
        _ => Ok(()),
    }
}

/// A rename is durable only when the folder that holds the name is.
fn sync_folder(path: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        let folder = folder_of(path);
        let synced = File::open(&folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| Error::io("syncing the folder", &folder, source))?;
    }
    Ok(())
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn temporary_prefix(path: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp-");
    name
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(ending);
    path.with_file_name(name)
}
