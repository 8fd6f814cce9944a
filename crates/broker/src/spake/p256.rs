//! RFC 9382 on P-256: the only module that names the library behind it, which is pinned to one release.
//!
//! ```text
//! pA = x*P + w*M        pB = y*P + w*N        K = x*(pB - w*N) = y*(pA - w*M)
//! TT = lp(A) || lp(B) || lp(pA) || lp(pB) || lp(K) || lp(w)          section 3.3
//! Ke || Ka = SHA-256(TT)                                            section 4
//! KcA || KcB = HKDF(salt = "", ikm = Ka, info = "ConfirmationKeys", 32)
//! cA = HMAC-SHA256(KcA, TT)      cB = HMAC-SHA256(KcB, TT)
//! ```

use pakery_core::SharedSecret;
use pakery_core::crypto::CpaceGroup;
use pakery_crypto::{P256Group, Spake2P256};
use pakery_spake2::{PartyA, PartyAState, PartyB, PartyBState, Spake2Output};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::Error;
use super::exchange::{Agreed, Awaited, secret_from};
use super::stretch::WideScalar;
use super::suite::Role;

/// A SEC1 uncompressed point: 0x04, x, y.
pub(super) const PUBLIC_KEY_BYTES: usize = 65;

/// Our half of an exchange, from our public key to the peer's. The library wipes it on drop.
pub(super) enum Exchange {
    /// We are A.
    A(PartyAState<Spake2P256>),
    /// We are B.
    B(PartyBState<Spake2P256>),
}

/// Makes our public key. Fails with [`Error::InvalidPassword`] when `w` is zero: then the key would say nothing
/// about the password.
pub(super) fn begin<R: CryptoRng + ?Sized>(
    role: Role,
    w: &WideScalar,
    id_a: &[u8],
    id_b: &[u8],
    mut rng: &mut R,
) -> Result<(Vec<u8>, Exchange), Error> {
    let mut w = P256Group::scalar_from_wide_bytes(w.expose_bytes()).map_err(|_| Error::Internal)?;
    let started = if is_zero(&w) {
        Err(Error::InvalidPassword)
    } else {
        match role {
            Role::A => PartyA::<Spake2P256>::start(&w, id_a, id_b, &[], &mut rng)
                .map(|(key, state)| (key, Exchange::A(state)))
                .map_err(|_| Error::Internal),
            Role::B => PartyB::<Spake2P256>::start(&w, id_a, id_b, &[], &mut rng)
                .map(|(key, state)| (key, Exchange::B(state)))
                .map_err(|_| Error::Internal),
        }
    };
    w.zeroize();
    started
}

impl Exchange {
    /// Takes the peer's public key and, if it sent one, its confirmation.
    pub(super) fn finish(self, peer: &[u8], confirmation: Option<&[u8]>) -> Result<Agreed, Error> {
        // The library would take compressed points too. One encoding per point, or two transcripts could mean the
        // same exchange.
        if peer.len() != PUBLIC_KEY_BYTES || peer.first() != Some(&4) {
            return Err(Error::BadPublicKey);
        }
        let mut output = match self {
            Self::A(state) => state.finish(peer),
            Self::B(state) => state.finish(peer),
        }
        .map_err(|_| Error::BadPublicKey)?;
        if let Some(mac) = confirmation {
            output.verify_peer_confirmation(mac).map_err(|_| Error::ConfirmationFailed)?;
        }
        let secret = secret_from(output.session_key.as_bytes())?;
        let ours = output.confirmation_mac.as_slice().try_into().map_err(|_| Error::Internal)?;
        // Wipes the key: what is kept for a late confirmation must not hold it.
        output.session_key = SharedSecret::new(Vec::new());
        let awaited = confirmation.is_none().then(|| Awaited::P256(Box::new(Unconfirmed(output))));
        Ok(Agreed { secret, confirmation: ours, awaited })
    }
}

/// What checks a confirmation that comes after the exchange. It holds the two MACs; the library wipes them on drop.
pub(super) struct Unconfirmed(Spake2Output);

impl Unconfirmed {
    /// Compares in constant time.
    pub(super) fn verifies(&self, mac: &[u8]) -> bool {
        self.0.verify_peer_confirmation(mac).is_ok()
    }
}

fn is_zero(w: &<P256Group as CpaceGroup>::Scalar) -> bool {
    Zeroizing::new(P256Group::scalar_to_bytes(w)).ct_eq(&[0; 32]).into()
}

#[cfg(test)]
mod tests {
    use durward_protocol::SecretBytes;
    use pakery_spake2::Spake2Output;
    use zeroize::ZeroizeOnDrop;

    use super::super::tests::{Scripted, unhex, vectors};
    use super::*;

    #[test]
    fn rfc_9382_appendix_b() {
        let vectors = vectors();
        let vectors = vectors["p256"].as_array().unwrap();
        assert_eq!(vectors.len(), 4);
        for vector in vectors {
            let text = |name: &str| vector[name].as_str().unwrap();
            let hex = |name: &str| unhex(text(name));
            let (id_a, id_b) = (text("id_a").as_bytes(), text("id_b").as_bytes());
            let mut wide = [0; 64];
            wide[32..].copy_from_slice(&hex("w"));
            let w = SecretBytes::new(wide);

            let (key_a, a) = begin(Role::A, &w, id_a, id_b, &mut Scripted::new(hex("x"))).unwrap();
            let (key_b, b) = begin(Role::B, &w, id_a, id_b, &mut Scripted::new(hex("y"))).unwrap();
            assert_eq!(key_a, hex("public_key_a"));
            assert_eq!(key_b, hex("public_key_b"));

            let a = a.finish(&key_b, Some(&hex("confirmation_b"))).unwrap();
            let b = b.finish(&key_a, Some(&hex("confirmation_a"))).unwrap();
            assert_eq!(a.confirmation.as_slice(), hex("confirmation_a"));
            assert_eq!(b.confirmation.as_slice(), hex("confirmation_b"));
            let secret = secret_from(&hex("ke")).unwrap();
            assert!(a.secret == secret && b.secret == secret);
        }
    }

    #[test]
    fn only_uncompressed_points_pass() {
        let vectors = vectors();
        let good = unhex(vectors["p256"][0]["public_key_a"].as_str().unwrap());
        let mut compressed = good.get(..33).unwrap().to_vec();
        compressed[0] = 2 + (good[64] & 1);
        let offer = |key: &[u8]| {
            let (_, b) =
                begin(Role::B, &SecretBytes::new([7; 64]), b"", b"", &mut Scripted::new(vec![1; 32]))
                    .unwrap();
            b.finish(key, None).map(drop)
        };
        assert_eq!(offer(&good), Ok(()));
        assert_eq!(offer(&compressed), Err(Error::BadPublicKey));
    }

    #[test]
    fn a_zero_scalar_is_no_password() {
        let order = unhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
        let mut wide = [0; 64];
        for bytes in [vec![0; 32], order] {
            wide[32..].copy_from_slice(&bytes);
            let begun = begin(Role::B, &SecretBytes::new(wide), b"", b"", &mut Scripted::new(vec![1; 32]));
            assert!(matches!(begun, Err(Error::InvalidPassword)));
        }
    }

    #[test]
    fn what_the_library_holds_is_wiped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<PartyAState<Spake2P256>>();
        wiped::<PartyBState<Spake2P256>>();
        wiped::<Spake2Output>();
        wiped::<WideScalar>();
    }
}
