//! Private files that are whole or absent, whatever crashes.
//!
//! A file is written under another name beside its place (0600), synced, renamed over what is there, and its folder is
//! synced: who reads the place sees the old content or the new one. A writer that is killed leaves the other name
//! behind, with what may be a secret in it, so the first write of the next process in that folder removes it. It knows a
//! dead writer's file by its lock: the kernel frees the lock of a process that is gone, and of no other.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::NamedTempFile;

const PREFIX: &str = ".durward-";
const SUFFIX: &str = ".tmp";
const RANDOM_CHARACTERS: usize = 12;

/// Folders remembered as swept; past that all are swept once more.
const MAX_SWEPT: usize = 256;

/// Each is swept once by this process, so that writing in a large folder costs no walk through it.
static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// What happens to a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and nothing is written: [`io::ErrorKind::AlreadyExists`].
    Refuse,
    /// It is replaced when everything went well.
    Replace,
}

/// Writes a file that only its owner can read, over one that is there.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut staged = Staged::beside(path)?;
    staged.file().write_all(content)?;
    staged.publish(path, Existing::Replace)
}

/// Makes a folder, and its parents, that only its owner can enter: 0700. One that is there stays as it is.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Syncs the folder that holds `path`: a new name, or one that is gone, is durable only then.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    // Elsewhere folders cannot be opened for that.
    if cfg!(unix) { File::open(folder_of(path))?.sync_all() } else { Ok(()) }
}

/// A file that is being written under another name. Dropped, it is gone.
#[derive(Debug)]
pub struct Staged {
    file: NamedTempFile,
    folder: PathBuf,
}

impl Staged {
    /// An empty file (0600) in the folder of `path`, which must be there.
    pub fn beside(path: &Path) -> io::Result<Self> {
        let folder = folder_of(path);
        loop {
            let file = tempfile::Builder::new()
                .prefix(PREFIX)
                .suffix(SUFFIX)
                .rand_bytes(RANDOM_CHARACTERS)
                .tempfile_in(folder)?;
            // Without locks on this file system nobody sweeps either.
            let _ = file.as_file().lock();
            // Between its making and its lock it looked like a dead writer's.
            if is_linked(&file.as_file().metadata()?) {
                let staged = Self { file, folder: folder.to_owned() };
                staged.sweep_once();
                return Ok(staged);
            }
        }
    }

    /// To write to.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Syncs it and gives it its name, in the folder it was made in.
    pub fn publish(self, path: &Path, existing: Existing) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        let published = match existing {
            Existing::Refuse => self.file.persist_noclobber(path),
            Existing::Replace => self.file.persist(path),
        };
        published.map_err(|error| error.error)?;
        sync_folder_of(path)
    }

    /// Removes what killed writers left in its folder.
    pub fn sweep(&self) {
        let (Ok(own), Ok(entries)) = (self.file.as_file().metadata(), fs::read_dir(&self.folder)) else {
            return;
        };
        for entry in entries.flatten() {
            if is_staged_name(&entry.file_name()) {
                remove_if_dead(&entry.path(), &own);
            }
        }
    }

    fn sweep_once(&self) {
        let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.len() >= MAX_SWEPT {
            swept.clear();
        }
        let is_new = swept.insert(self.folder.clone());
        drop(swept);
        if is_new {
            self.sweep();
        }
    }
}

/// The folder of a path; the current one for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_staged_name(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
    random.is_some_and(|random| {
        random.len() == RANDOM_CHARACTERS && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Removes a file of the user who made `own`, when its writer is gone.
fn remove_if_dead(path: &Path, own: &Metadata) {
    // Looked at before it is opened: opening a pipe would wait, and a link may lead anywhere.
    if !fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && same_user(&found, own)) {
        return;
    }
    let Ok(file) = File::open(path) else { return };
    if file.try_lock().is_ok() {
        // Under the lock: who has just made it waits for it, and then sees that its file is gone. A file that stays is
        // found again by the next writer.
        let _ = fs::remove_file(path);
    }
}

#[cfg(unix)]
fn same_user(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    a.uid() == b.uid()
}

#[cfg(not(unix))]
fn same_user(_a: &Metadata, _b: &Metadata) -> bool {
    true // folders of one user, as far as this program makes them
}

#[cfg(unix)]
fn is_linked(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) > 0
}

#[cfg(not(unix))]
fn is_linked(_metadata: &Metadata) -> bool {
    true // a file that is open cannot be removed there
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn put(path: &Path) {
        File::create(path).unwrap().write_all(b"half a secret").unwrap();
    }

    #[test]
    fn files_and_folders_are_private() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("a").join("b");
        create_private_dir(&folder).unwrap();
        let file = folder.join("secret");
        write_private(&file, b"one").unwrap();
        write_private(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(names(&folder), ["secret"], "no temporary file is left");
    }

    #[test]
    fn what_is_there_stays_when_it_must_and_when_nothing_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_private(&path, b"old").unwrap();
        let mut refused = Staged::beside(&path).unwrap();
        refused.file().write_all(b"new").unwrap();
        let error = refused.publish(&path, Existing::Refuse).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        let mut given_up = Staged::beside(&path).unwrap();
        given_up.file().write_all(b"new").unwrap();
        drop(given_up);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn the_next_writer_removes_what_a_dead_one_left_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // As after a kill between the making and the renaming.
        put(&at(".durward-0123456789aB.tmp"));
        let kept =
            [".durward-0123456789aB.txt", ".durward-0123456789a.tmp", ".durward-notes.tmp", "durward.tmp"];
        for name in kept {
            put(&at(name));
        }
        std::os::unix::fs::symlink(at("durward.tmp"), at(".durward-linklinklink.tmp")).unwrap();
        write_private(&at("file"), b"x").unwrap();
        let mut expected: Vec<&str> = [&kept[..], &[".durward-linklinklink.tmp", "file"]].concat();
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn a_writer_that_lives_is_not_swept() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let mut writing = Staged::beside(&first).unwrap();
        writing.file().write_all(b"one").unwrap();
        let other = Staged::beside(&second).unwrap();
        other.sweep();
        drop(other);
        writing.publish(&first, Existing::Replace).unwrap();
        assert_eq!(fs::read(&first).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["first"]);
    }

    #[test]
    fn many_writers_and_sweepers_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = folder.path().join(format!("file-{writer}"));
                scope.spawn(move || {
                    for round in 0..50 {
                        let mut staged = Staged::beside(&path).unwrap();
                        staged.sweep();
                        write!(staged.file(), "{round}").unwrap();
                        staged.publish(&path, Existing::Replace).unwrap();
                    }
                });
            }
        });
        for writer in 0..4 {
            assert_eq!(fs::read(folder.path().join(format!("file-{writer}"))).unwrap(), b"49");
        }
        assert_eq!(names(folder.path()).len(), 4);
    }
}
