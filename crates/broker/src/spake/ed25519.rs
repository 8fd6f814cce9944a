//! python-spake2's Ed25519 suite, and the key confirmation it lacks.
//!
//! ```text
//! key        = the 32 bytes python-spake2's finish() returns
//! transcript = SHA-256( lp("durward/1 spake confirm") || lp("spake2-ed25519") || lp(session_id)
//!                       || lp(id_a) || lp(id_b) || lp(msg_A) || lp(msg_B) )
//! prk        = HKDF-SHA256-Extract(salt = "", ikm = key)
//! cA         = HMAC-SHA256( HKDF-Expand(prk, "durward/1 spake confirm a", 32), transcript )
//! cB         = HMAC-SHA256( HKDF-Expand(prk, "durward/1 spake confirm b", 32), transcript )
//! ```
//!
//! Messages are 33 bytes, the side byte included. The library keeps a copy of the password that it does
//! not wipe; its scalars and everything this module adds are wiped on drop.

use curve25519_dalek::Scalar;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::traits::IsIdentity;
use durward_protocol::{SecretBytes, SecretString};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use spake2::{Identity, Password, Spake2};
use zeroize::Zeroizing;

use super::Error;
use super::exchange::{Agreed, Awaited, secret_from};
use super::group::TabledGroup;
use super::id::SessionId;
use super::suite::{Role, Suite};
use durward_protocol::Rng06;

/// Side byte and compressed point.
pub(super) const MESSAGE_BYTES: usize = 33;

/// Our half of an exchange, from our message to the peer's.
pub(super) struct Exchange {
    library: Box<Spake2<TabledGroup>>,
    role: Role,
    session_id: SessionId,
    id_a: String,
    id_b: String,
    message: Vec<u8>,
}

/// Makes our message.
pub(super) fn begin<R: CryptoRng + ?Sized>(
    role: Role,
    password: &SecretString,
    session_id: &SessionId,
    id_a: &str,
    id_b: &str,
    rng: &mut R,
) -> (Vec<u8>, Exchange) {
    let password = Password::new(password.expose_secret().as_bytes());
    let (a, b) = (Identity::new(id_a.as_bytes()), Identity::new(id_b.as_bytes()));
    let (library, message) = match role {
        Role::A => Spake2::start_a_with_rng(&password, &a, &b, Rng06(rng)),
        Role::B => Spake2::start_b_with_rng(&password, &a, &b, Rng06(rng)),
    };
    let exchange = Exchange {
        library: Box::new(library),
        role,
        session_id: session_id.clone(),
        id_a: id_a.to_owned(),
        id_b: id_b.to_owned(),
        message: message.clone(),
    };
    (message, exchange)
}

impl Exchange {
    /// Takes the peer's message and, if it sent one, its confirmation.
    pub(super) fn finish(self, peer: &[u8], confirmation: Option<&[u8]>) -> Result<Agreed, Error> {
        check_message(peer, self.role)?;
        let transcript = self.transcript(peer);
        let (ours, theirs) = match self.role {
            Role::A => (LABEL_A, LABEL_B),
            Role::B => (LABEL_B, LABEL_A),
        };
        let key = self.library.finish(peer).map(Zeroizing::new).map_err(|_| Error::BadPublicKey)?;
        let expected: [u8; 32] = confirmer(&key, theirs, &transcript)?.finalize().into_bytes().into();
        let awaited = Awaited::Ed25519(SecretBytes::new(expected));
        if let Some(mac) = confirmation {
            awaited.verify(mac)?;
        }
        Ok(Agreed {
            secret: secret_from(&key)?,
            confirmation: confirmer(&key, ours, &transcript)?.finalize().into_bytes().into(),
            awaited: confirmation.is_none().then_some(awaited),
        })
    }

    fn transcript(&self, peer: &[u8]) -> [u8; 32] {
        let (message_a, message_b) = match self.role {
            Role::A => (self.message.as_slice(), peer),
            Role::B => (peer, self.message.as_slice()),
        };
        let parts: [&[u8]; 7] = [
            b"durward/1 spake confirm",
            Suite::Spake2Ed25519.name().as_bytes(),
            self.session_id.as_str().as_bytes(),
            self.id_a.as_bytes(),
            self.id_b.as_bytes(),
            message_a,
            message_b,
        ];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

const LABEL_A: &[u8] = b"durward/1 spake confirm a";
const LABEL_B: &[u8] = b"durward/1 spake confirm b";

/// Refuses what the library would take: a point of another encoding, the identity, or one outside the prime-order
/// group, with which a peer could learn the shared point modulo eight or force it to a few values.
fn check_message(message: &[u8], our_role: Role) -> Result<(), Error> {
    let side = match our_role {
        Role::A => b'B',
        Role::B => b'A',
    };
    let [first, point @ ..] = message else { return Err(Error::BadPublicKey) };
    if message.len() != MESSAGE_BYTES || *first != side {
        return Err(Error::BadPublicKey);
    }
    let encoded = CompressedEdwardsY::from_slice(point).map_err(|_| Error::BadPublicKey)?;
    let point = encoded.decompress().ok_or(Error::BadPublicKey)?;
    if point.compress() == encoded && !point.is_identity() && in_prime_order_group(&point) {
        Ok(())
    } else {
        Err(Error::BadPublicKey)
    }
}

/// Whether l*P is the identity, asked as (l-1)*P = -P because l itself is no scalar. In variable time, at two thirds
/// of the cost of `is_torsion_free`: the point is public, it came over the network.
fn in_prime_order_group(point: &EdwardsPoint) -> bool {
    EdwardsPoint::vartime_double_scalar_mul_basepoint(&-Scalar::ONE, point, &Scalar::ZERO) == -point
}

fn confirmer(key: &[u8], label: &[u8], transcript: &[u8; 32]) -> Result<Hmac<Sha256>, Error> {
    let mut mac_key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, key).expand(label, &mut *mac_key).map_err(|_| Error::Internal)?;
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&*mac_key).map_err(|_| Error::Internal)?;
    Ok(mac.chain_update(transcript))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Scripted, unhex, vectors};
    use super::*;

    #[test]
    fn python_spake2_vectors() {
        let vectors = vectors();
        for vector in vectors["ed25519"].as_array().unwrap() {
            let text = |name: &str| vector[name].as_str().unwrap();
            // The library reduces 64 little-endian bytes to a scalar.
            let scalar = |name: &str| {
                let mut bytes = unhex(text(name));
                bytes.resize(64, 0);
                Scripted::new(bytes)
            };
            let start = |role, rng: &mut Scripted| {
                let password = SecretString::new(text("password").to_owned());
                let id = text("session_id").parse().unwrap();
                begin(role, &password, &id, text("id_a"), text("id_b"), rng)
            };
            let (message_a, a) = start(Role::A, &mut scalar("x"));
            let (message_b, b) = start(Role::B, &mut scalar("y"));
            assert_eq!(message_a, unhex(text("public_key_a")));
            assert_eq!(message_b, unhex(text("public_key_b")));

            let a = a.finish(&message_b, Some(&unhex(text("confirmation_b")))).unwrap();
            let b = b.finish(&message_a, Some(&unhex(text("confirmation_a")))).unwrap();
            assert_eq!(a.confirmation.as_slice(), unhex(text("confirmation_a")));
            assert_eq!(b.confirmation.as_slice(), unhex(text("confirmation_b")));
            assert_eq!(a.secret.expose_bytes().as_slice(), unhex(text("shared_secret")));
            assert!(a.secret == b.secret);
            assert!(secret_from(&unhex(text("key"))).unwrap() == a.secret);
        }
    }

    #[test]
    fn only_good_points_pass() {
        let good = "41262d0f891ddc5697075c089ad722c1b8bbb643aa50218db38f59fe4cce961f85";
        assert_eq!(check_message(&unhex(good), Role::B), Ok(()));
        assert_eq!(check_message(&unhex(good), Role::A), Err(Error::BadPublicKey), "our own side");

        let with_side = |point: &str| unhex(&format!("41{point}"));
        let bad = [
            ("empty", Vec::new()),
            ("short", unhex(&good[..64])),
            ("long", unhex(&format!("{good}00"))),
            ("side S", unhex(&format!("53{}", &good[2..]))),
            ("not on the curve", with_side(&format!("02{}", "00".repeat(31)))),
            ("identity", with_side(&format!("01{}", "00".repeat(31)))),
            ("identity, sign bit set", with_side(&format!("01{}80", "00".repeat(30)))),
            ("identity, y = p + 1", with_side(&format!("ee{}7f", "ff".repeat(30)))),
            ("order two", with_side(&format!("ec{}7f", "ff".repeat(30)))),
            ("order four", with_side(&"00".repeat(32))),
            ("order four, y = p", with_side(&format!("ed{}7f", "ff".repeat(30)))),
            ("order eight", with_side("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")),
            ("prime order plus torsion", mixed()),
        ];
        for (what, message) in bad {
            assert_eq!(check_message(&message, Role::B), Err(Error::BadPublicKey), "{what}");
        }
    }

    #[test]
    fn a_second_encoding_is_refused() {
        // y and y + p mean the same; below 2^255 there is room for both while y < 19. As it happens no point of the
        // prime-order group but the identity has such a y, so the other checks would refuse these too.
        let mut twins = 0;
        for y in 0..19_u8 {
            for sign in [0, 0x80] {
                let mut canonical = vec![b'A'; 33];
                canonical[1..].fill(0);
                canonical[1] = y;
                canonical[32] = sign;
                let mut twin = vec![0xff; 33];
                twin[0] = b'A';
                twin[1] = y + 0xed;
                twin[32] = 0x7f | sign;
                twins += usize::from(check_message(&canonical, Role::B).is_ok());
                assert_eq!(check_message(&twin, Role::B), Err(Error::BadPublicKey), "y = {y}");
            }
        }
        assert_eq!(twins, 0);
    }

    #[test]
    fn the_subgroup_check_agrees_with_the_librarys() {
        use curve25519_dalek::constants::EIGHT_TORSION;
        for factor in 0_u64..20 {
            let point = EdwardsPoint::mul_base(&Scalar::from(factor));
            for (order, torsion) in EIGHT_TORSION.iter().enumerate() {
                let sum = point + torsion;
                assert_eq!(in_prime_order_group(&sum), sum.is_torsion_free());
                assert_eq!(in_prime_order_group(&sum), order == 0);
            }
        }
    }

    /// The base point plus a point of order eight: on the curve, canonical, not of small order, still wrong.
    fn mixed() -> Vec<u8> {
        use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
        let point = ED25519_BASEPOINT_POINT + EIGHT_TORSION[1];
        let mut message = vec![b'A'];
        message.extend_from_slice(point.compress().as_bytes());
        message
    }
}
