//! Sealing what lies on disk: session keys and the approver's seed, under a rest key kept elsewhere.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use rand_core::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

use crate::encoding::lp_all;
use crate::{Error, SecretBytes};

const NONCE_BYTES: usize = 24;

/// The key under which secrets lie in the database. It never lies in the database itself, so a copy
/// of the database alone opens nothing.
#[derive(Debug)]
pub struct RestKey(SecretBytes<32>);

/// A place that keeps one rest key: a file, the operating system's keyring. It may block.
pub trait RestKeyKeeper: std::fmt::Debug + Send + Sync {
    /// The key, if one is kept here. An error means that it cannot be told, and nobody should make a new one.
    fn load(&self) -> Result<Option<RestKey>, KeeperError>;

    /// Keeps this key, instead of the one before.
    fn save(&self, key: &RestKey) -> Result<(), KeeperError>;

    /// Forgets the key; that there was none is no error.
    fn remove(&self) -> Result<(), KeeperError>;
}

/// Why a place did not give, take or forget the key, and what to do. Holds no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeeperError(pub String);

impl RestKey {
    /// A fresh key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let key = Self(SecretBytes::new(bytes));
        bytes.zeroize();
        key
    }

    /// A stored key.
    pub fn from_bytes(bytes: SecretBytes<32>) -> Self {
        Self(bytes)
    }

    /// The key's bytes, for the keyring or the 0600 file.
    pub fn expose_bytes(&self) -> &[u8; 32] {
        self.0.expose_bytes()
    }

    /// `nonce || XChaCha20-Poly1305(key, nonce, secret, aad = lp("durward/1 rest") || lp(kind) || lp(identity))`.
    ///
    /// The row's identity is associated data: who can write to the database but has no rest key could
    /// otherwise put one session's keys into another session's row.
    pub fn seal(
        &self,
        kind: &str,
        identity: &[u8],
        secret: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let payload = Payload { msg: secret, aad: &associated_data(kind, identity) };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| Error::TooLarge)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// The reverse; fails when key, kind, identity or a single bit is another.
    pub fn open(&self, kind: &str, identity: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Error::RestKeyMismatch)?;
        let payload = Payload { msg: rest, aad: &associated_data(kind, identity) };
        let opened =
            self.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| Error::RestKeyMismatch)?;
        Ok(Zeroizing::new(opened))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.0.expose_bytes()).into())
    }
}

fn associated_data(kind: &str, identity: &[u8]) -> Vec<u8> {
    lp_all(&[b"durward/1 rest", kind.as_bytes(), identity])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;

    #[test]
    fn rows_cannot_change_places() {
        let key = RestKey::generate(&mut seeded(1));
        let sealed = key.seal("session", b"sess_1", b"keys", &mut seeded(2)).unwrap();
        assert_eq!(key.open("session", b"sess_1", &sealed).unwrap().as_slice(), b"keys");
        assert!(key.open("session", b"sess_2", &sealed).is_err());
        assert!(key.open("device", b"sess_1", &sealed).is_err());
        assert!(RestKey::generate(&mut seeded(3)).open("session", b"sess_1", &sealed).is_err());
        assert!(key.open("session", b"sess_1", &sealed[..10]).is_err());
    }
}
