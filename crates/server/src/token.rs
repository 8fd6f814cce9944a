//! Tokens of the control port: one 0600 file each, scoped, looked at for every call and read again when one has
//! changed, so that a rotation or removal takes effect at once.

mod seen;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use durward_protocol::{SecretString, base64url_encode};
use rand_core::Rng as _;
use zeroize::Zeroizing;

use crate::home::Home;
use crate::keys::os_rng;
use durward_files::{create_private_dir, write_private};
use seen::Seen;

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenScope {
    /// Everything.
    Owner,
    /// Device pairing: `/pair/*`, `/devices`, `/status`.
    Pair,
    /// The SPAKE service: `/spake/*`.
    Spake,
}

impl TokenScope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::Owner, Self::Pair, Self::Spake];

    /// The word in file names and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Pair => "pair",
            Self::Spake => "spake",
        }
    }

    /// Whether a call of `path` is within this scope.
    pub fn allows(self, path: &str) -> bool {
        let under = |prefix: &str| {
            path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
        };
        match self {
            Self::Owner => true,
            Self::Pair => under("/pair") || path == "/devices" || path == "/status",
            Self::Spake => under("/spake"),
        }
    }
}

impl TokenScope {
    /// The scope that suffices for `path` and allows least beside it.
    pub(crate) fn narrowest(path: &str) -> Self {
        [Self::Pair, Self::Spake].into_iter().find(|scope| scope.allows(path)).unwrap_or(Self::Owner)
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TokenScope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| "use owner, pair or spake".to_owned())
    }
}

/// The tokens of one data folder.
#[derive(Clone)]
pub struct Tokens {
    home: Home,
    seen: Arc<Mutex<Seen>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("home", &self.home).finish_non_exhaustive()
    }
}

/// One token, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its name.
    pub name: String,
    /// What it may be used for.
    pub scope: TokenScope,
    /// Where it lies.
    pub path: PathBuf,
}

impl Tokens {
    /// The tokens of `home`.
    pub fn new(home: Home) -> Self {
        Self { home, seen: Arc::default() }
    }

    /// Makes the three standard tokens if they are not there.
    pub fn ensure(&self) -> std::io::Result<()> {
        for (_, scope) in STANDARD {
            self.ensure_standard(scope)?;
        }
        Ok(())
    }

    /// Makes the standard token of one scope if it is not there.
    pub fn ensure_standard(&self, scope: TokenScope) -> std::io::Result<()> {
        let path = self.standard(scope);
        if is_ours(&path) { Ok(()) } else { Self::write(&path) }
    }

    /// Where the standard token of a scope lies.
    pub fn standard(&self, scope: TokenScope) -> PathBuf {
        let name = STANDARD.iter().find(|row| row.1 == scope).map_or(scope.as_str(), |row| row.0);
        self.home.token(name)
    }

    /// All tokens, standard ones first.
    pub fn list(&self) -> std::io::Result<Vec<TokenInfo>> {
        let standard =
            STANDARD.map(|(name, scope)| TokenInfo { name: name.into(), scope, path: self.home.token(name) });
        let mut all: Vec<TokenInfo> = standard.into_iter().filter(|token| is_ours(&token.path)).collect();
        match std::fs::read_dir(self.folder()) {
            Ok(entries) => {
                let mut added: Vec<TokenInfo> =
                    entries.filter_map(|entry| added_token(&entry.ok()?.path())).collect();
                added.sort_by(|a, b| a.name.cmp(&b.name));
                all.extend(added);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(all)
    }

    /// Makes a token. `None` when the name is taken or not 1..=32 of `[a-z0-9-]`.
    pub fn add(&self, name: &str, scope: TokenScope) -> std::io::Result<Option<TokenInfo>> {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let well_named = (1..=32).contains(&name.len()) && name.bytes().all(good);
        if !well_named || self.list()?.iter().any(|token| token.name == name) {
            return Ok(None);
        }
        create_private_dir(&self.folder())?;
        let path = self.folder().join(format!("{name}.{scope}.token"));
        Self::write(&path)?;
        Ok(Some(TokenInfo { name: name.to_owned(), scope, path }))
    }

    /// Gives a token a new value; the old one is dead. `None` when there is none of that name.
    pub fn rotate(&self, name: &str) -> std::io::Result<Option<TokenInfo>> {
        let found = self.list()?.into_iter().find(|token| token.name == name);
        if let Some(token) = &found {
            Self::write(&token.path)?;
        }
        Ok(found)
    }

    /// Removes a token. Standard ones come back, with a new value, at the next start.
    pub fn remove(&self, name: &str) -> std::io::Result<bool> {
        let Some(token) = self.list()?.into_iter().find(|token| token.name == name) else { return Ok(false) };
        std::fs::remove_file(token.path)?;
        Ok(true)
    }

    /// The scope of a presented token. Every token is compared, each in constant time.
    pub fn scope_of(&self, presented: &SecretString) -> Option<TokenScope> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.is_current() {
            *seen = Seen::default();
            *seen = self.read().ok()?;
        }
        seen.scope_of(presented)
    }

    fn read(&self) -> std::io::Result<Seen> {
        let standard = STANDARD.iter().map(|(name, _)| self.home.token(name));
        let folder = Seen::mark(std::iter::once(self.folder()).chain(standard));
        let all = self.list()?;
        let added = all.iter().map(|token| &token.path).filter(|path| path.starts_with(self.folder()));
        let mut seen = folder.and(added.cloned());
        for token in all {
            let Ok(text) = std::fs::read_to_string(&token.path).map(Zeroizing::new) else { continue };
            seen.add(token.scope, SecretString::new(text.trim().to_owned()));
        }
        Ok(seen)
    }

    fn folder(&self) -> PathBuf {
        self.home.folder().join("tokens")
    }

    fn write(path: &Path) -> std::io::Result<()> {
        let mut bytes = Zeroizing::new([0; 32]);
        os_rng().fill_bytes(bytes.as_mut());
        let text = Zeroizing::new(base64url_encode(bytes.as_ref()));
        write_private(path, text.as_bytes())
    }
}

const STANDARD: [(&str, TokenScope); 3] =
    [("api", TokenScope::Owner), ("pair", TokenScope::Pair), ("spake", TokenScope::Spake)];

fn added_token(path: &Path) -> Option<TokenInfo> {
    let file = path.file_name()?.to_str()?.strip_suffix(".token")?;
    let (name, scope) = file.rsplit_once('.')?;
    if !is_ours(path) {
        return None;
    }
    Some(TokenInfo { name: name.to_owned(), scope: scope.parse().ok()?, path: path.to_owned() })
}

/// Whether a file is there that this user made: what another one put there opens nothing.
fn is_ours(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        path.symlink_metadata().is_ok_and(|metadata| metadata.uid() == nix::unistd::geteuid().as_raw())
    }
    #[cfg(not(unix))]
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_scopes_and_end_at_once() {
        let base = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(Home::open(base.path()).unwrap());
        tokens.ensure().unwrap();
        let read = |path: &Path| SecretString::new(std::fs::read_to_string(path).unwrap());
        let added = tokens.add("extension", TokenScope::Pair).unwrap().unwrap();
        assert!(tokens.add("extension", TokenScope::Owner).unwrap().is_none());
        assert!(tokens.add("../evil", TokenScope::Owner).unwrap().is_none());
        let first = read(&added.path);
        assert_eq!(tokens.scope_of(&first), Some(TokenScope::Pair));
        tokens.rotate("extension").unwrap().unwrap();
        assert_eq!(tokens.scope_of(&first), None);
        assert_eq!(tokens.scope_of(&read(&added.path)), Some(TokenScope::Pair));
        assert!(tokens.remove("extension").unwrap());
        assert_eq!(tokens.list().unwrap().len(), 3);
        assert_eq!(tokens.scope_of(&SecretString::new(String::new())), None);
    }

    /// Whoever changes a file by whatever means, the next call sees it; and a call that finds nothing changed reads
    /// nothing.
    #[test]
    fn what_was_read_counts_only_while_the_files_are_the_same() {
        let base = tempfile::tempdir().unwrap();
        let home = Home::open(base.path()).unwrap();
        let tokens = Tokens::new(home.clone());
        tokens.ensure().unwrap();
        let path = tokens.standard(TokenScope::Spake);
        let value = |path: &Path| SecretString::new(std::fs::read_to_string(path).unwrap());
        let first = value(&path);
        assert_eq!(tokens.scope_of(&first), Some(TokenScope::Spake));
        assert!(tokens.seen.lock().unwrap().is_current());
        // Another process, as `durward token rotate` is.
        Tokens::new(home.clone()).rotate("spake").unwrap().unwrap();
        assert_eq!(tokens.scope_of(&first), None, "rotated");
        let second = value(&path);
        assert_eq!(tokens.scope_of(&second), Some(TokenScope::Spake));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(tokens.scope_of(&second), None, "removed");
        let added = Tokens::new(home.clone()).add("later", TokenScope::Pair).unwrap().unwrap();
        let third = value(&added.path);
        assert_eq!(tokens.scope_of(&third), Some(TokenScope::Pair), "added");
        write_private(&added.path, b"by hand, and longer than it was").unwrap();
        assert_eq!(tokens.scope_of(&third), None, "edited");
        assert!(Tokens::new(home).remove("later").unwrap());
        assert_eq!(tokens.scope_of(&SecretString::new("by hand, and longer than it was".into())), None);
        tokens.ensure().unwrap();
        assert_eq!(tokens.scope_of(&value(&path)), Some(TokenScope::Spake), "made again");
    }

    /// Only root can give a file to somebody else; without root there is nobody to be.
    #[cfg(unix)]
    #[test]
    fn what_another_user_put_there_opens_nothing() {
        let base = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(Home::open(base.path()).unwrap());
        tokens.ensure().unwrap();
        let added = tokens.add("evil", TokenScope::Owner).unwrap().unwrap();
        let value = |path: &Path| SecretString::new(std::fs::read_to_string(path).unwrap());
        let (planted, standard) = (value(&added.path), value(&tokens.standard(TokenScope::Owner)));
        assert_eq!(tokens.scope_of(&planted), Some(TokenScope::Owner));
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        for path in [&added.path, &tokens.standard(TokenScope::Owner)] {
            std::os::unix::fs::chown(path, Some(65_534), None).unwrap();
        }
        assert_eq!((tokens.scope_of(&planted), tokens.scope_of(&standard)), (None, None));
        assert_eq!(tokens.list().unwrap().len(), 2);
        tokens.ensure().unwrap();
        assert_eq!(
            tokens.scope_of(&value(&tokens.standard(TokenScope::Owner))),
            Some(TokenScope::Owner),
            "made anew"
        );
    }

    #[test]
    fn scopes_are_paths() {
        assert!(TokenScope::Pair.allows("/pair/initiate") && TokenScope::Pair.allows("/status"));
        assert!(!TokenScope::Pair.allows("/pairings") && !TokenScope::Pair.allows("/vault/unlock"));
        assert!(TokenScope::Spake.allows("/spake/initiate") && !TokenScope::Spake.allows("/spakeful"));
        assert!(TokenScope::Owner.allows("/vault/unlock"));
    }
}
