//! One exchange of either kind, from our public key to the agreed secret, and the secret's derivation.

use durward_protocol::SecretBytes;
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Error, ed25519, p256};

/// Our half of an exchange, waiting for the peer's public key. Finishing consumes it: a guess cannot be tried twice.
pub(super) enum Exchange {
    /// RFC 9382 on P-256.
    P256(Box<p256::Exchange>),
    /// python-spake2's Ed25519.
    Ed25519(ed25519::Exchange),
}

impl Exchange {
    /// Agrees on a secret. With a `confirmation`, only if the peer knows the password.
    pub(super) fn finish(self, peer: &[u8], confirmation: Option<&[u8]>) -> Result<Agreed, Error> {
        match self {
            Self::P256(exchange) => exchange.finish(peer, confirmation),
            Self::Ed25519(exchange) => exchange.finish(peer, confirmation),
        }
    }

    /// The length of the peer's public key, in bytes.
    pub(super) fn peer_bytes(&self) -> usize {
        match self {
            Self::P256(_) => p256::PUBLIC_KEY_BYTES,
            Self::Ed25519(_) => ed25519::MESSAGE_BYTES,
        }
    }
}

/// What an exchange yields.
pub(super) struct Agreed {
    /// The shared secret.
    pub(super) secret: SecretBytes<32>,
    /// Our confirmation, for the peer.
    pub(super) confirmation: [u8; 32],
    /// The peer's confirmation, where it has not come yet; where it has, it verified.
    pub(super) awaited: Option<Awaited>,
}

/// The confirmation that the peer still owes.
pub(super) enum Awaited {
    /// The library's, without its key.
    P256(Box<p256::Unconfirmed>),
    /// The 32 bytes. Whoever has them can pose as a peer that knows the password.
    Ed25519(SecretBytes<32>),
}

impl Awaited {
    /// Compares in constant time.
    pub(super) fn verify(&self, mac: &[u8]) -> Result<(), Error> {
        let good = match self {
            Self::P256(unconfirmed) => unconfirmed.verifies(mac),
            Self::Ed25519(expected) => expected.expose_bytes().as_slice().ct_eq(mac).into(),
        };
        if good { Ok(()) } else { Err(Error::ConfirmationFailed) }
    }
}

/// `HKDF-SHA256(salt = "", ikm = Ke, info = "durward/1 spake secret", 32)`. Ke is 16 bytes on P-256 (half of a hash,
/// RFC 9382 section 4) and 32 on Ed25519; either way the caller gets 32.
pub(super) fn secret_from(ke: &[u8]) -> Result<SecretBytes<32>, Error> {
    let mut secret = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, ke)
        .expand(b"durward/1 spake secret", &mut *secret)
        .map_err(|_| Error::Internal)?;
    Ok(SecretBytes::new(*secret))
}
