//! The key under which session keys lie on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durward_protocol::{KeeperError, RestKey, RestKeyKeeper, SecretBytes};
use rand_core::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{Error, files};

/// Where the rest key lies.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RestKeySource {
    /// A file `rest.key`, 0600, in this folder; made when it is missing.
    Folder(PathBuf),
    /// Bytes that the caller keeps.
    Given(Arc<SecretBytes<32>>),
    /// A place of the caller's, for example the operating system's keyring. It is called in place.
    Kept {
        /// The place.
        keeper: Arc<dyn RestKeyKeeper>,
        /// A folder for the lock that keeps two profiles from making a key each.
        folder: PathBuf,
    },
}

impl RestKeySource {
    /// The key, if there is one.
    pub(crate) fn load(&self) -> Result<Option<RestKey>, Error> {
        match self {
            Self::Given(bytes) => Ok(Some(RestKey::from_bytes(bytes.duplicate()))),
            Self::Folder(folder) => read_key(&folder.join("rest.key")),
            Self::Kept { keeper, .. } => Ok(keeper.load()?),
        }
    }

    /// The key; a new one when there is none.
    pub(crate) fn load_or_create(&self, rng: &mut impl CryptoRng) -> Result<RestKey, Error> {
        if let Some(key) = self.load()? {
            return Ok(key);
        }
        let (Self::Folder(folder) | Self::Kept { folder, .. }) = self else {
            return Err(Error::RestKeyLost);
        };
        // Two profiles may pair at the same moment: the lock keeps one from overwriting the other's key.
        let _lock = files::lock(&folder.join("rest.key.lock"))?;
        if let Some(key) = self.load()? {
            return Ok(key);
        }
        let key = RestKey::generate(rng);
        match self {
            Self::Kept { keeper, .. } => keeper.save(&key)?,
            _ => files::write(&folder.join("rest.key"), key.expose_bytes())?,
        }
        Ok(key)
    }
}

/// A rest key in a 0600 file.
#[derive(Clone, Debug)]
pub struct RestKeyFile(PathBuf);

impl RestKeyFile {
    /// The file `rest.key` in this folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.join("rest.key"))
    }
}

impl RestKeyKeeper for RestKeyFile {
    fn load(&self) -> Result<Option<RestKey>, KeeperError> {
        read_key(&self.0).map_err(|error| KeeperError(error.to_string()))
    }

    fn save(&self, key: &RestKey) -> Result<(), KeeperError> {
        files::write(&self.0, key.expose_bytes()).map_err(|error| KeeperError(error.to_string()))
    }

    fn remove(&self) -> Result<(), KeeperError> {
        files::remove(&self.0).map_err(|error| KeeperError(error.to_string()))
    }
}

fn read_key(path: &Path) -> Result<Option<RestKey>, Error> {
    let Some(bytes) = files::read(path)?.map(Zeroizing::new) else { return Ok(None) };
    let mut key: [u8; 32] =
        bytes.as_slice().try_into().map_err(|_| Error::DamagedState { path: path.to_owned() })?;
    let rest = RestKey::from_bytes(SecretBytes::new(key));
    key.zeroize();
    Ok(Some(rest))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn made_once() {
        let folder = tempfile::tempdir().unwrap();
        let source = RestKeySource::Folder(folder.path().join("keys"));
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        assert!(source.load().unwrap().is_none());
        let made = source.load_or_create(&mut rng).unwrap();
        let again = source.load_or_create(&mut rng).unwrap();
        assert_eq!(made.expose_bytes(), again.expose_bytes());
        let file = RestKeyFile::in_folder(&folder.path().join("keys"));
        assert_eq!(file.load().unwrap().unwrap().expose_bytes(), made.expose_bytes(), "one format");
        files::write(&folder.path().join("keys/rest.key"), b"short").unwrap();
        assert!(matches!(source.load(), Err(Error::DamagedState { .. })));
    }

    #[test]
    fn a_place_of_the_callers() {
        let folder = tempfile::tempdir().unwrap();
        let file = Arc::new(RestKeyFile::in_folder(&folder.path().join("elsewhere")));
        let source = RestKeySource::Kept { keeper: file.clone(), folder: folder.path().join("keys") };
        assert!(source.load().unwrap().is_none());
        let made = source.load_or_create(&mut rand::rngs::StdRng::seed_from_u64(1)).unwrap();
        assert_eq!(source.load().unwrap().unwrap().expose_bytes(), made.expose_bytes());
        file.remove().unwrap();
        file.remove().unwrap();
        assert!(source.load().unwrap().is_none());
    }
}
