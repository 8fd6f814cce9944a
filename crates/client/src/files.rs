//! The one module that touches files: small ones that are whole or absent, records that grow, locks.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// Largest file of a profile that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// As much of a file's end as [`read_end`] reads: the longest line of a record fits twice.
const END_BYTES: u64 = 128 * 1_024;

/// Makes the folder, and its parents, for the owner alone.
pub(crate) fn ensure_folder(folder: &Path) -> Result<(), Error> {
    durward_files::create_private_dir(folder).map_err(|source| failed(folder, source))
}

/// Writes a file. Who reads sees the old one or the new one, also after a crash.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    ensure_folder(durward_files::folder_of(path))?;
    durward_files::write_private(path, bytes).map_err(|source| failed(path, source))
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// Writes a value as JSON, see [`write()`].
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let mut json =
        serde_json::to_vec_pretty(value).map_err(|_| Error::DamagedState { path: path.to_owned() })?;
    json.push(b'\n');
    write(path, &json)
}

/// The file's bytes; `None` when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(path, source)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(|source| failed(path, source))?;
    Ok(Some(bytes))
}

/// A value from a JSON file; `None` when there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|_| Error::DamagedState { path: path.to_owned() })
}

/// Removes a file; that it was not there is no error.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(failed(path, source)),
        _ => Ok(()),
    }
}

/// Takes the exclusive lock of `path` if nobody has it. Dropping the file releases it, also when the
/// process dies.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>, Error> {
    let file = open_or_create(path, private_options().truncate(false))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(path, source)),
    }
}

/// The same, and waits for whoever has it: for locks that are held only while a few bytes are written.
pub(crate) fn lock(path: &Path) -> Result<File, Error> {
    if let Some(file) = try_lock(path)? {
        return Ok(file);
    }
    let file = File::open(path).map_err(|source| failed(path, source))?;
    file.lock().map_err(|source| failed(path, source))?;
    Ok(file)
}

/// Most often it is there: the folder is made when it turns out to be missing.
fn open_or_create(path: &Path, options: &mut OpenOptions) -> Result<File, Error> {
    options.create(true);
    let opened = match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            ensure_folder(durward_files::folder_of(path))?;
            options.open(path)
        }
        opened => opened,
    };
    opened.map_err(|source| failed(path, source))
}

/// What a file is known by: written by another, or another file in its place, it has another mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    length: u64,
    #[cfg(unix)]
    inode: u64,
    #[cfg(not(unix))]
    modified: Option<std::time::SystemTime>,
}

impl Mark {
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            length: metadata.len(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(metadata),
            #[cfg(not(unix))]
            modified: metadata.modified().ok(),
        }
    }
}

/// The mark of a file; the empty one when there is no such file.
pub(crate) fn mark(path: &Path) -> Result<Mark, Error> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Mark::of(&metadata)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Mark::default()),
        Err(source) => Err(failed(path, source)),
    }
}

/// The end of a text file, enough for its last lines, and its mark; empty when there is no such file.
pub(crate) fn read_end(path: &Path) -> Result<(String, Mark), Error> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(source) => return Err(failed(path, source)),
    };
    let mut read = || {
        let mark = Mark::of(&file.metadata()?);
        Ok((end_of(&mut file, mark.length)?, mark))
    };
    let (bytes, mark) = read().map_err(|source| failed(path, source))?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), mark))
}

fn end_of(file: &mut File, length: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(length.saturating_sub(END_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(END_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Adds a line to a file, whose mark is returned. Half a line that a crash left at its end is cut off first. Not
/// synced.
pub(crate) fn append(path: &Path, line: &[u8]) -> Result<Mark, Error> {
    let mut file = open_or_create(path, private_options().truncate(false).read(true))?;
    let mut write = || {
        let whole = whole_lines(&mut file)?;
        file.seek(SeekFrom::Start(whole))?;
        file.write_all(line)?;
        Ok(Mark::of(&file.metadata()?))
    };
    write().map_err(|source| failed(path, source))
}

/// Cuts off half a line at the end. How long the file is then.
fn whole_lines(file: &mut File) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
    }
    if last == [b'\n'] {
        return Ok(length);
    }
    let bytes = end_of(file, length)?;
    let after = bytes.iter().rev().take_while(|byte| **byte != b'\n').count() as u64;
    file.set_len(length - after)?;
    Ok(length - after)
}

/// Gives a file another name, over one that is there.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::rename(from, to).map_err(|source| failed(from, source))
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::State { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn files_are_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/secret");
        write(&path, b"x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.path().join("a/b")), 0o700);
        assert_eq!(read(&path).unwrap().as_deref(), Some(b"x".as_slice()));
        assert_eq!(std::fs::read_dir(folder.path().join("a/b")).unwrap().count(), 1, "no temporary left");
    }

    #[test]
    fn what_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&folder.path().join("none")).unwrap(), None);
        remove(&folder.path().join("none")).unwrap();
    }

    #[test]
    fn one_holder_of_a_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = try_lock(&path).unwrap();
        assert!(held.is_some());
        assert!(try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
    }
}
