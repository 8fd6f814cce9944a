//! The rest key on disk, and the approver's signing key sealed under it.

use std::path::PathBuf;
use std::sync::Arc;

use durward_broker::approval::Write;
use durward_protocol::{
    ApproverKey, KeeperError, RestKey, RestKeyKeeper, SecretBytes, base64url_array, base64url_decode,
    base64url_encode,
};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use zeroize::Zeroizing;

use crate::Error;
use crate::home::Home;
use durward_files::{create_private_dir, write_private};

/// The setting that holds the approver's sealed seed.
const APPROVER_SETTING: &str = "approver_seed";

/// The operating system's generator.
pub(crate) type OsRng = UnwrapErr<SysRng>;

/// A handle to it; costs nothing.
pub(crate) fn os_rng() -> OsRng {
    UnwrapErr(SysRng)
}

/// The rest key in a 0600 file, as base64url.
#[derive(Clone, Debug)]
pub struct RestKeyFile(PathBuf);

impl RestKeyFile {
    /// `keys/rest.key` of this folder.
    pub fn of(home: &Home) -> Self {
        Self(home.rest_key())
    }

    fn failed(&self, error: &std::io::Error) -> KeeperError {
        KeeperError(format!("cannot use {}: {error}", self.0.display()))
    }
}

impl RestKeyKeeper for RestKeyFile {
    fn load(&self) -> Result<Option<RestKey>, KeeperError> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        let bytes = base64url_array::<32>(text.trim())
            .map_err(|_| KeeperError(Error::BadKeyFile(self.0.clone()).to_string()))?;
        Ok(Some(RestKey::from_bytes(SecretBytes::new(bytes))))
    }

    fn save(&self, key: &RestKey) -> Result<(), KeeperError> {
        let written = || {
            if let Some(folder) = self.0.parent() {
                create_private_dir(folder)?;
            }
            let text = Zeroizing::new(base64url_encode(key.expose_bytes()));
            write_private(&self.0, text.as_bytes())
        };
        written().map_err(|error| self.failed(&error))
    }

    fn remove(&self) -> Result<(), KeeperError> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.failed(&error)),
            _ => Ok(()),
        }
    }
}

/// The key from where it is kept, or a new one. The place may block, so it is asked from a thread of its own.
pub(crate) async fn rest_key(home: &Home, keeper: Option<Arc<dyn RestKeyKeeper>>) -> Result<RestKey, Error> {
    let keeper = keeper.unwrap_or_else(|| Arc::new(RestKeyFile::of(home)));
    let asked = tokio::task::spawn_blocking(move || load_or_create(keeper.as_ref())).await;
    asked.unwrap_or_else(|_| Err(KeeperError("reading the rest key failed".into()))).map_err(Error::RestKey)
}

fn load_or_create(keeper: &dyn RestKeyKeeper) -> Result<RestKey, KeeperError> {
    if let Some(key) = keeper.load()? {
        return Ok(key);
    }
    let key = RestKey::generate(&mut os_rng());
    keeper.save(&key)?;
    Ok(key)
}

/// The approver's key from the stored settings, or a new one with the write that stores it.
/// A seed sealed under another rest key is lost: sessions end then too, so a new name is no further harm.
pub(crate) fn approver_key(
    settings: &[(String, String)],
    rest: &RestKey,
) -> Result<(ApproverKey, Option<Write>), Error> {
    let stored = settings.iter().find(|(key, _)| key == APPROVER_SETTING).and_then(|(_, value)| {
        let sealed = base64url_decode(value).ok()?;
        let seed = rest.open("approver", APPROVER_SETTING.as_bytes(), &sealed).ok()?;
        <[u8; 32]>::try_from(seed.as_slice()).ok().map(SecretBytes::new)
    });
    if let Some(seed) = stored {
        return Ok((ApproverKey::from_seed(&seed), None));
    }
    if settings.iter().any(|(key, _)| key == APPROVER_SETTING) {
        tracing::warn!(
            "the rest key is not the one from before: it was lost or replaced. Every session has ended, and this \
             approver has a new name: agents pair again, with --new-approver"
        );
    }
    let key = ApproverKey::generate(&mut os_rng());
    let seed = key.expose_seed();
    let sealed = rest
        .seal("approver", APPROVER_SETTING.as_bytes(), seed.expose_bytes(), &mut os_rng())
        .map_err(|_| Error::BadKeyFile("approver key".into()))?;
    let write = Write::Setting { key: APPROVER_SETTING.into(), value: Some(base64url_encode(&sealed)) };
    Ok((key, Some(write)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_and_a_lost_rest_key_means_a_new_name() {
        let base = tempfile::tempdir().unwrap();
        let file = RestKeyFile::of(&Home::open(base.path()).unwrap());
        let first = load_or_create(&file).unwrap();
        assert_eq!(first.expose_bytes(), load_or_create(&file).unwrap().expose_bytes());
        let (key, write) = approver_key(&[], &first).unwrap();
        let Some(Write::Setting { key: name, value: Some(value) }) = write else { panic!("stored") };
        let settings = [(name, value)];
        let (again, write) = approver_key(&settings, &first).unwrap();
        assert_eq!((again.id(), write), (key.id(), None));
        let other = RestKey::generate(&mut os_rng());
        assert_ne!(approver_key(&settings, &other).unwrap().0.id(), key.id());
    }

    #[test]
    fn a_key_file_with_something_else_is_an_error() {
        let base = tempfile::tempdir().unwrap();
        let file = RestKeyFile(base.path().join("rest.key"));
        write_private(&file.0, b"hello").unwrap();
        let error = load_or_create(&file).unwrap_err();
        assert!(error.to_string().contains("rest.key does not hold a key"), "{error}");
        file.remove().unwrap();
        file.remove().unwrap();
        assert!(file.load().unwrap().is_none());
    }
}
