//! The folder and its file: found or made, locked like the official client locks, written whole or not at all.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::state::Document;
use crate::{Error, Result};

const FILE: &str = "data.json";
/// A lock older than this was left behind.
const STALE: Duration = Duration::from_secs(10);
/// Longer than that: who comes after a killed process waits, and is not turned away.
const TRIES: u32 = 110;
const PAUSE: Duration = Duration::from_millis(100);
/// Links in a row that are followed; more are a circle.
const MOST_LINKS: usize = 32;

/// What had to be made on opening, for the two lines the official client prints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// The folder.
    pub folder: Option<PathBuf>,
    /// The file.
    pub file: Option<PathBuf>,
}

/// A folder with a `data.json`.
#[derive(Clone)]
pub struct DataFolder {
    dir: PathBuf,
    on_damage: fn(&Path),
}

impl fmt::Debug for DataFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataFolder").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl DataFolder {
    /// Opens a folder, making it (0700) and an empty data file (0600) where they are missing.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::StateLocked`].
    pub fn open(dir: impl Into<PathBuf>) -> Result<(Self, Created)> {
        let folder = Self { dir: dir.into(), on_damage: |_| {} };
        let mut created = Created::default();
        if !folder.dir.is_dir() {
            durward_files::create_private_dir(&folder.dir).map_err(Error::io(&folder.dir))?;
            created.folder = Some(folder.dir.clone());
        }
        if !folder.file().exists() {
            let _lock = folder.lock()?;
            if !folder.file().exists() {
                folder.write(&Document::new())?;
                created.file = Some(folder.file());
            }
        }
        Ok((folder, created))
    }

    /// With somebody to tell when a file that is no JSON was put aside, and where to.
    #[must_use]
    pub fn telling(self, on_damage: fn(&Path)) -> Self {
        Self { on_damage, ..self }
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The data file's path.
    pub fn file(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Reads the data file under the lock. A file that is no JSON is kept as `data.json.bak` and read as empty,
    /// as the official client does.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::StateLocked`], [`Error::StateTooOld`].
    pub fn read(&self) -> Result<Document> {
        let _lock = self.lock()?;
        self.load()
    }

    /// Reads, changes and writes under one lock. Nothing is written when `change` fails or changes nothing.
    ///
    /// # Errors
    /// Those of [`DataFolder::read`] and of `change`.
    pub fn update<T>(&self, change: impl FnOnce(&mut Document) -> Result<T>) -> Result<T> {
        let _lock = self.lock()?;
        let mut document = self.load()?;
        let result = change(&mut document)?;
        if document.is_changed() {
            self.write(&document)?;
        }
        Ok(result)
    }

    fn load(&self) -> Result<Document> {
        let path = self.file();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Document::new()),
            Err(e) => return Err(Error::io(path)(e)),
        };
        let bad = match String::from_utf8(bytes) {
            Ok(text) => match Document::parse(text) {
                Ok(document) => {
                    document.check_version()?;
                    return Ok(document);
                }
                // The parser has eaten the text; what cannot be read is rare enough to be read twice.
                Err(_) => fs::read(&path).map_err(Error::io(&path))?,
            },
            Err(e) => e.into_bytes(),
        };
        if !bad.iter().all(u8::is_ascii_whitespace) {
            let kept = self.dir.join("data.json.bak");
            durward_files::write_private(&kept, &bad).map_err(Error::io(&kept))?;
            (self.on_damage)(&kept);
        }
        Ok(Document::new())
    }

    fn write(&self, document: &Document) -> Result<()> {
        let path = self.real_file();
        durward_files::write_private(&path, document.render().as_bytes()).map_err(Error::io(&path))
    }

    /// Where the data is. A `data.json` may be a link into another folder: replacing the link would leave the entry
    /// that a lock removes where it was, and the official client locks and writes behind the link.
    fn real_file(&self) -> PathBuf {
        let mut file = self.file();
        for _ in 0..MOST_LINKS {
            let Ok(target) = fs::read_link(&file) else { return file };
            file = durward_files::folder_of(&file).join(target);
        }
        file
    }

    fn lock(&self) -> Result<Lock> {
        let mut path = self.real_file().into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        for _ in 0..TRIES {
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Lock(path)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                    if is_stale(&path) {
                        // Whoever removes it first wins; the other finds it gone or new.
                        let _ = fs::remove_dir(&path);
                    } else {
                        std::thread::park_timeout(PAUSE);
                    }
                }
                Err(e) => return Err(Error::io(path)(e)),
            }
        }
        Err(Error::StateLocked(path))
    }
}

/// Holds the lock folder; gone on drop.
struct Lock(PathBuf);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn is_stale(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|m| m.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > STALE))
}
