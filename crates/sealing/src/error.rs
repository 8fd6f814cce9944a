//! What can go wrong with keys and sealed files.

use std::io;
use std::path::{Path, PathBuf};

/// Why something was not sealed, not opened, or not found among the keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody to seal for.
    #[error("there is nobody to seal for: name at least one device")]
    NoRecipients,
    /// More recipients than one file is sealed for.
    #[error("a file is sealed for at most {most} devices at once, and these are {count}")]
    TooManyRecipients {
        /// How many were named.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// Not an age file.
    #[error("this is not a sealed file: `durward seal` and `age -r` make them")]
    NotSealed,
    /// An age file under a password.
    #[error("this file is encrypted with a password, not sealed for a device: open it with `age -d`")]
    Password,
    /// An age version that is not known here.
    #[error("this file has a version that is not known here: update Durward")]
    UnknownVersion,
    /// None of this device's keys opens it.
    #[error("this file is not sealed for this device: ask its sender to seal it for this device's key")]
    NotForUs,
    /// Header or content are not what was sealed.
    #[error("this file is damaged or was altered on its way: ask its sender for another copy")]
    Damaged,
    /// Signed, and the signature does not fit the content.
    #[error(
        "the sender's signature does not fit the content: somebody changed it, so nothing was kept; ask the \
        sender for another copy"
    )]
    BadSignature,
    /// Signed by a known device, for others.
    #[error("{sender} sealed this, but not for this device: somebody else passed it on, so nothing was kept")]
    PassedOn {
        /// Who sealed it, as a person reads it.
        sender: String,
    },
    /// Signed for another use.
    #[error("this was sealed for another use, so nothing was kept")]
    WrongPurpose,
    /// Nobody signed it.
    #[error("nobody signed this file, so it may be from anybody who knows this device's public key")]
    Unsigned,
    /// Signed with a key that no paired device has.
    #[error("no paired device sealed this file; it is signed with the key {key}")]
    Stranger {
        /// First and last eight hex digits of the Ed25519 key.
        key: String,
    },
    /// Larger than the caller wants to hold in memory.
    #[error("the content is larger than {most} bytes")]
    TooLarge {
        /// The limit.
        most: usize,
    },
    /// This device has no keys yet.
    #[error("this device has no keys yet: they are made when the daemon first starts (`durward daemon`)")]
    NoKeys,
    /// A key file that cannot be used.
    #[error("{} cannot be used: {detail}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never the key itself.
        detail: &'static str,
    },
    /// More keys than are kept.
    #[error("there are {most} paired devices already: remove one first (`durward devices remove NAME`)")]
    TooManyPeers {
        /// The limit.
        most: usize,
    },
    /// Another device is called that.
    #[error("another device is called {name:?} already: choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is a file already.
    #[error("{} is there already: choose another name, or remove it first", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The disk or the quota is full.
    #[error("no room left while {action} {}: free some space and try again", path.display())]
    NoSpace {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
    },
    /// A file could not be used.
    #[error("{action} {} failed: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The content could not be read.
    #[error("reading failed: {0}")]
    Read(#[source] io::Error),
    /// The result could not be written.
    #[error("writing failed: {0}")]
    Write(#[source] io::Error),
    /// The library refused to encrypt.
    #[error("sealing failed: {0}")]
    Seal(String),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::NoSpace { action, path },
            io::ErrorKind::AlreadyExists => Self::Exists { path },
            _ => Self::Io { action, path, source },
        }
    }

    pub(crate) fn key_file(path: &Path, detail: &'static str) -> Self {
        Self::KeyFile { path: path.to_owned(), detail }
    }
}
