//! The one module of this crate that writes files: 0600, whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

pub use durward_files::Existing;
use durward_files::Staged;

use crate::{Error, Opened, Opening, Sealing};

const BUFFER: usize = 256 * 1024;

/// Seals into a file. Nothing has its name before it is whole.
pub fn seal_to_path(
    input: impl Read,
    path: &Path,
    existing: Existing,
    how: &Sealing<'_>,
) -> Result<u64, Error> {
    let target = Target::new(path, existing)?;
    let mut file = target.stage()?;
    let length = crate::seal(input, file.file(), how).map_err(|error| named(error, path))?;
    target.publish(file)?;
    Ok(length)
}

/// Opens into a file. Nothing has its name before signature and content are checked.
pub fn open_to_path(
    input: impl Read,
    path: &Path,
    existing: Existing,
    how: &Opening<'_>,
) -> Result<Opened, Error> {
    let target = Target::new(path, existing)?;
    let mut file = target.stage()?;
    let opened = crate::open(input, BufWriter::with_capacity(BUFFER, file.file()), how)
        .map_err(|error| named(error, path))?;
    target.publish(file)?;
    Ok(opened)
}

/// Seals to a stream that cannot be sought in, such as a pipe: through a file without a name.
pub fn seal_to_stream(input: impl Read, output: impl Write, how: &Sealing<'_>) -> Result<u64, Error> {
    let mut spool = tempfile::tempfile().map_err(Error::Write)?;
    let length = crate::seal(input, &mut spool, how)?;
    pass_on(spool, output).map(|()| length)
}

/// Opens to a stream: through a file without a name, so that nothing unverified goes out.
pub fn open_to_stream(input: impl Read, output: impl Write, how: &Opening<'_>) -> Result<Opened, Error> {
    let mut spool = tempfile::tempfile().map_err(Error::Write)?;
    let opened = crate::open(input, BufWriter::with_capacity(BUFFER, &mut spool), how)?;
    pass_on(spool, output).map(|()| opened)
}

/// Writes a file for its owner alone, unless there is one of that name.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let target = Target::new(path, Existing::Refuse)?;
    let mut file = target.stage()?;
    file.file().write_all(bytes).map_err(|source| Error::io("writing", path, source))?;
    target.publish(file)
}

/// Writes a small file for its owner alone.
pub(crate) fn write(path: &Path, bytes: &[u8], existing: Existing) -> Result<(), Error> {
    let target = Target::new(path, existing)?;
    create_folder(target.folder())?;
    let mut file = target.stage()?;
    file.file().write_all(bytes).map_err(|source| Error::io("writing", path, source))?;
    target.publish(file)
}

/// Reads a text of at most `most` bytes; `None` when there is no such file.
pub(crate) fn read(path: &Path, most: u64) -> Result<Option<zeroize::Zeroizing<String>>, Error> {
    let failed = |source| Error::io("reading", path, source);
    // Looked at before it is opened: opening a pipe would wait for its writer.
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err(Error::key_file(path, "it is not a file")),
        Ok(found) if found.len() > most => return Err(Error::key_file(path, "it is too long")),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(usize::try_from(most).unwrap_or(4096)));
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(failed)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Some(zeroize::Zeroizing::new(text.to_owned()))),
        Err(_) => Err(Error::key_file(path, "it is not text")),
    }
}

/// Removes a file; whether there was one.
pub(crate) fn remove(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => {
            durward_files::sync_folder_of(path)
                .map_err(|source| Error::io("syncing the folder of", path, source))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("removing", path, error)),
    }
}

/// Files of a folder with this ending, sorted; none when there is no folder. Hidden files are not counted.
pub(crate) fn list(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::io("reading", folder, source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|found| found == ending) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Makes a folder for its owner alone; one that is there stays as it is.
pub(crate) fn create_folder(folder: &Path) -> Result<(), Error> {
    durward_files::create_private_dir(folder).map_err(|source| Error::io("making the folder", folder, source))
}

/// Where a file goes.
struct Target {
    path: PathBuf,
    existing: Existing,
}

impl Target {
    /// A link is followed when its file is replaced; what is no file is never replaced.
    fn new(path: &Path, existing: Existing) -> Result<Self, Error> {
        let there = fs::symlink_metadata(path).is_ok();
        if there && existing == Existing::Refuse {
            return Err(Error::Exists { path: path.to_owned() });
        }
        if there && !fs::metadata(path).is_ok_and(|found| found.is_file()) {
            return Err(Error::key_file(path, "it is not a file, and nothing else is replaced"));
        }
        let path = if there {
            fs::canonicalize(path).map_err(|source| Error::io("opening", path, source))?
        } else {
            path.to_owned()
        };
        Ok(Self { path, existing })
    }

    fn folder(&self) -> &Path {
        durward_files::folder_of(&self.path)
    }

    /// A file of another name beside it, which goes when it is dropped.
    fn stage(&self) -> Result<Staged, Error> {
        if !self.folder().is_dir() {
            let none = io::Error::new(io::ErrorKind::NotFound, "there is no such folder");
            return Err(Error::io("making a file in", self.folder(), none));
        }
        Staged::beside(&self.path).map_err(|source| Error::io("making a file in", self.folder(), source))
    }

    fn publish(&self, file: Staged) -> Result<(), Error> {
        file.publish(&self.path, self.existing).map_err(|source| Error::io("writing", &self.path, source))
    }
}

fn pass_on(mut spool: File, mut output: impl Write) -> Result<(), Error> {
    spool.rewind().map_err(Error::Write)?;
    io::copy(&mut spool, &mut output).and_then(|_| output.flush()).map_err(Error::Write)
}

/// A stream that could not be written is this file.
fn named(error: Error, path: &Path) -> Error {
    match error {
        Error::Write(source) => Error::io("writing", path, source),
        other => other,
    }
}
