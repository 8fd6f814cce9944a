//! The operating system's keyring: Secret Service on Linux, Keychain on macOS, Credential Manager on Windows.

use std::fmt::Debug;
use std::sync::mpsc;
use std::time::Duration;

use durward_protocol::{KeeperError, RestKey, SecretBytes, base64url_array, base64url_encode};
use zeroize::Zeroizing;

use crate::env_vars;

/// The service of every entry.
const SERVICE: &str = "durward";
/// A keyring that asks its owner for a password, or hangs, is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked of a keyring. Tests have one in memory; the system's is tested with a Secret Service of its own.
pub(crate) trait Keyring: Debug + Send + Sync {
    /// The key, if there is such an entry.
    fn get(&self, entry: &str) -> Result<Option<RestKey>, KeeperError>;
    /// Makes or replaces the entry.
    fn set(&self, entry: &str, key: &RestKey) -> Result<(), KeeperError>;
    /// Removes the entry; that there was none is no error.
    fn delete(&self, entry: &str) -> Result<(), KeeperError>;
}

/// The real one.
#[derive(Debug)]
pub(crate) struct SystemKeyring;

impl Keyring for SystemKeyring {
    fn get(&self, entry: &str) -> Result<Option<RestKey>, KeeperError> {
        let found = ask(entry, |entry| match entry.get_password() {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(keyring::Error::NoEntry) => Ok(None),
            Err(error) => Err(error),
        })?;
        let Some(text) = found else { return Ok(None) };
        let bytes = base64url_array::<32>(text.trim())
            .map_err(|_| KeeperError(format!("its entry {entry} does not hold a key")))?;
        Ok(Some(RestKey::from_bytes(SecretBytes::new(bytes))))
    }

    fn set(&self, entry: &str, key: &RestKey) -> Result<(), KeeperError> {
        let text = Zeroizing::new(base64url_encode(key.expose_bytes()));
        ask(entry, move |entry| entry.set_password(&text))
    }

    fn delete(&self, entry: &str) -> Result<(), KeeperError> {
        ask(entry, |entry| match entry.delete_credential() {
            Err(keyring::Error::NoEntry) => Ok(()),
            other => other,
        })
    }
}

impl SystemKeyring {
    /// Whether one answers. Nothing is read, nothing is unlocked.
    pub(crate) fn answers() -> Result<(), KeeperError> {
        Self.get("probe").map(|_| ())
    }
}

/// On a thread of its own: the library blocks on a bus, and must not do so inside a runtime. A thread that
/// hangs is left behind; it holds nothing but the entry's name and, while storing, the key.
fn ask<T: Send + 'static>(
    entry: &str,
    work: impl FnOnce(&keyring::Entry) -> keyring::Result<T> + Send + 'static,
) -> Result<T, KeeperError> {
    if !has_bus() {
        return Err(KeeperError("this session has no bus that a keyring could answer on".into()));
    }
    let entry = entry.to_owned();
    let (sender, receiver) = mpsc::channel();
    let asking = move || {
        let done = keyring::Entry::new(SERVICE, &entry).and_then(|entry| work(&entry));
        let _ = sender.send(done.map_err(|error| KeeperError(explain(&error)))); // nobody waits any more
    };
    let spawned = std::thread::Builder::new().name("keyring".into()).spawn(asking);
    spawned.map_err(|error| KeeperError(error.to_string()))?;
    receiver
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|_| Err(KeeperError(format!("no answer within {} seconds", PATIENCE.as_secs()))))
}

/// The library's words, but for those that would show what was read.
fn explain(error: &keyring::Error) -> String {
    match error {
        keyring::Error::BadEncoding(_) | keyring::Error::BadDataFormat(..) => "its entry holds no key".into(),
        keyring::Error::NoDefaultStore => match keyring::Entry::store_status() {
            Err(error) => error.to_string(),
            Ok(()) => "there is no keyring".into(),
        },
        other => other.to_string(),
    }
}

/// The Secret Service answers on the session's bus; where there is none nothing needs to be tried.
fn has_bus() -> bool {
    if !cfg!(all(unix, not(target_os = "macos"))) {
        return true;
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    set(env_vars::DBUS_SESSION_BUS_ADDRESS).is_some()
        || set(env_vars::XDG_RUNTIME_DIR)
            .is_some_and(|folder| std::path::Path::new(&folder).join("bus").exists())
}
