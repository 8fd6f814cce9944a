//! The master key: password and salt through the account's key derivation.

use std::num::NonZeroU32;

use bitwarden_crypto::{HashPurpose, MasterKey as SdkMasterKey};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::UserKey;
use crate::{Error, Result};

/// Highest PBKDF2 iteration count taken from a server. Accounts can be set to 2,000,000 at most; twice
/// that leaves room and still ends in under a second.
const PBKDF2_MAX: u32 = 4_000_000;
const PBKDF2_MIN: u32 = 5_000;
/// MiB. The web vault allows 1024 at most, so a server that names more is broken or hostile.
const ARGON2_MEMORY_MAX: u32 = 1_024;
const ARGON2_MEMORY_MIN: u32 = 16;
const ARGON2_ITERATIONS_MAX: u32 = 20;
const ARGON2_ITERATIONS_MIN: u32 = 2;
const ARGON2_PARALLELISM_MAX: u32 = 16;

/// An account's key derivation, checked against floors (a weak one would hand a hostile server a cheap
/// password hash) and ceilings (a huge one would take the machine's memory).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kdf {
    /// PBKDF2-HMAC-SHA256 over the salt.
    Pbkdf2 {
        /// 5,000 to 4,000,000.
        iterations: u32,
    },
    /// Argon2id version 1.3 over SHA-256 of the salt.
    Argon2id {
        /// Passes, 2 to 20.
        iterations: u32,
        /// MiB, 16 to 1024.
        memory: u32,
        /// Lanes, 1 to 16.
        parallelism: u32,
    },
}

/// The four numbers as they stand on the wire and on disk.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawKdf {
    iterations: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parallelism: Option<u64>,
    kdf_type: u64,
}

impl Kdf {
    /// Builds from the numbers a server or the data file names.
    ///
    /// # Errors
    /// [`Error::KdfUnknown`], [`Error::KdfTooWeak`], [`Error::KdfTooStrong`].
    pub fn new(kind: u64, iterations: u64, memory: Option<u64>, parallelism: Option<u64>) -> Result<Self> {
        match kind {
            0 => Ok(Self::Pbkdf2 { iterations: within("iterations", iterations, PBKDF2_MIN, PBKDF2_MAX)? }),
            1 => Ok(Self::Argon2id {
                iterations: within("iterations", iterations, ARGON2_ITERATIONS_MIN, ARGON2_ITERATIONS_MAX)?,
                memory: within("memory", memory.unwrap_or(0), ARGON2_MEMORY_MIN, ARGON2_MEMORY_MAX)?,
                parallelism: within("parallelism", parallelism.unwrap_or(0), 1, ARGON2_PARALLELISM_MAX)?,
            }),
            other => Err(Error::KdfUnknown(other)),
        }
    }

    fn to_sdk(self) -> Option<bitwarden_crypto::Kdf> {
        let nz = NonZeroU32::new;
        Some(match self {
            Self::Pbkdf2 { iterations } => bitwarden_crypto::Kdf::PBKDF2 { iterations: nz(iterations)? },
            Self::Argon2id { iterations, memory, parallelism } => bitwarden_crypto::Kdf::Argon2id {
                iterations: nz(iterations)?,
                memory: nz(memory)?,
                parallelism: nz(parallelism)?,
            },
        })
    }
}

impl Serialize for Kdf {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Pbkdf2 { iterations } => {
                RawKdf { iterations: iterations.into(), memory: None, parallelism: None, kdf_type: 0 }
            }
            Self::Argon2id { iterations, memory, parallelism } => RawKdf {
                iterations: iterations.into(),
                memory: Some(memory.into()),
                parallelism: Some(parallelism.into()),
                kdf_type: 1,
            },
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Kdf {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawKdf::deserialize(deserializer)?;
        Self::new(raw.kdf_type, raw.iterations, raw.memory, raw.parallelism).map_err(serde::de::Error::custom)
    }
}

fn within(what: &str, value: u64, min: u32, max: u32) -> Result<u32> {
    if value < u64::from(min) {
        return Err(Error::KdfTooWeak(format!("{what} {value}, at least {min}")));
    }
    match u32::try_from(value) {
        Ok(n) if n <= max => Ok(n),
        _ => Err(Error::KdfTooStrong(format!("{what} {value}, at most {max}"))),
    }
}

/// The key derived from the master password. Wiped on drop.
pub struct MasterKey(SdkMasterKey);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey([redacted])")
    }
}

impl MasterKey {
    /// Derives from password and salt; the salt is trimmed and lower-cased, the password is taken as it is.
    ///
    /// Takes from a tenth of a second to seconds and, for Argon2id, the memory the account asks for.
    ///
    /// # Errors
    /// [`Error::KdfTooWeak`] when the cryptographic library refuses the numbers.
    pub fn derive(password: &SecretString, salt: &str, kdf: Kdf) -> Result<Self> {
        let sdk = kdf.to_sdk().ok_or_else(|| Error::KdfTooWeak("zero".to_owned()))?;
        SdkMasterKey::derive(password.expose_secret(), salt, &sdk)
            .map(Self)
            .map_err(|_| Error::KdfTooWeak("refused by the cryptographic library".to_owned()))
    }

    /// A Key Connector's master key: 32 bytes in base64.
    ///
    /// # Errors
    /// [`Error::Decrypt`] when it is not that.
    pub fn from_key_connector(base64: &SecretString) -> Result<Self> {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(base64.expose_secret())
            .map_err(|_| Error::Decrypt)?;
        SdkMasterKey::try_from(bytes).map(Self).map_err(|_| Error::Decrypt)
    }

    /// The hash that proves the password to the server: PBKDF2 with the master key as key material and the
    /// password as salt, one iteration, in base64.
    pub fn server_hash(&self, password: &SecretString) -> SecretString {
        let hash = self
            .0
            .derive_master_key_hash(password.expose_secret().as_bytes(), HashPurpose::ServerAuthorization);
        SecretString::from(hash.to_string())
    }

    /// Opens the wrapped user key.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] when it does not open.
    pub fn unwrap_user_key(&self, wrapped: &str) -> Result<UserKey> {
        let wrapped = bitwarden_crypto::EncString::parse_strict(wrapped).map_err(|_| Error::Decrypt)?;
        self.0.decrypt_user_key(wrapped).map(UserKey::new).map_err(|_| Error::WrongPassword)
    }

    /// Wraps a user key under this master key, as registration does.
    ///
    /// # Errors
    /// [`Error::Decrypt`] when the cryptographic library refuses.
    pub fn wrap_user_key(&self, key: &UserKey) -> Result<String> {
        Ok(self.0.encrypt_user_key(key.sdk())?.to_string())
    }
}
