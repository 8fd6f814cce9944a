//! What the token files held when they were read, for as long as nothing about them has changed.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use durward_protocol::SecretString;

use super::TokenScope;

/// The tokens as they were read, and by what one sees that they are still so.
#[derive(Default)]
pub(super) struct Seen {
    /// Every file, and the folder of those that were added. Empty: nothing was read yet.
    marks: Vec<(PathBuf, Option<Mark>)>,
    tokens: Vec<(TokenScope, SecretString)>,
}

impl Seen {
    /// Remembers nothing but how `paths` look now. Before reading them: what changes meanwhile is seen next time.
    pub(super) fn mark(paths: impl Iterator<Item = PathBuf>) -> Self {
        let marks = paths.map(|path| {
            let mark = Mark::of_path(&path);
            (path, mark)
        });
        Self { marks: marks.collect(), tokens: Vec::new() }
    }

    /// The same with more paths.
    pub(super) fn and(mut self, paths: impl Iterator<Item = PathBuf>) -> Self {
        self.marks.extend(Self::mark(paths).marks);
        self
    }

    pub(super) fn add(&mut self, scope: TokenScope, token: SecretString) {
        self.tokens.push((scope, token));
    }

    /// Whether every file is the one that was read: a call costs a look at each and reads none.
    pub(super) fn is_current(&self) -> bool {
        !self.marks.is_empty() && self.marks.iter().all(|(path, mark)| Mark::of_path(path) == *mark)
    }

    /// Every token is compared, each in constant time.
    pub(super) fn scope_of(&self, presented: &SecretString) -> Option<TokenScope> {
        let mut found = None;
        for (scope, token) in &self.tokens {
            if !token.is_empty() && token == presented {
                found = Some(*scope);
            }
        }
        found
    }
}

/// What differs between a file and the one that took its place: our own writers rename a new file over the old one,
/// so the inode does, and an editor that writes in place moves the times.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    length: u64,
    modified: Option<std::time::SystemTime>,
    #[cfg(unix)]
    identity: (u64, u64, i64, i64),
}

impl Mark {
    fn of_path(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }

    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            identity: (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
