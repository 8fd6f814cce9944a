//! SPAKE2 over the Ed25519 group, through RustCrypto's `spake2` (byte-compatible with python-spake2).
//!
//! The idea: each side blinds a Diffie-Hellman share with the password. Side A sends
//! `X = x·G + pw·M`, side B sends `Y = y·G + pw·N`, where M and N are fixed points whose discrete
//! logarithms nobody knows. Who knows `pw` can take the blinding off and gets `K = x·y·G`; who does
//! not is left with a random point. An eavesdropper who tries codes offline finds that *every* code
//! explains the messages equally well: there is nothing to check a guess against. A man in the
//! middle must commit to one code before he sends his share, so he has one guess per exchange, live.
//!
//! Everything that the library does not check is checked here first, because `finish` consumes the
//! state even when it fails and a code must not be burnt by a message that was never well formed.

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::IsIdentity as _;
use rand_core::CryptoRng;
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::Zeroize;

use crate::encoding::{base64url_array, base64url_encode};
use crate::rng::Rng06;
use crate::{Code, Error, SecretBytes};

/// Length of a SPAKE2 message: one side byte and a compressed point.
pub const PAKE_MESSAGE_BYTES: usize = 33;

/// Which end of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The displayer: made the code and shows it. Sends first.
    A,
    /// The enterer: a person typed the code there.
    B,
}

impl Side {
    /// The byte in front of this side's point (python-spake2's convention).
    fn byte(self) -> u8 {
        match self {
            Self::A => b'A',
            Self::B => b'B',
        }
    }

    /// The other end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The letter used in labels and associated data.
    pub fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// A SPAKE2 message that is safe to give to the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PakeMessage([u8; PAKE_MESSAGE_BYTES]);

impl PakeMessage {
    /// Reads and checks the text on the wire: length, side byte, canonical encoding, not the
    /// identity, in the prime-order subgroup.
    ///
    /// Without the last two an attacker could send a point of small order: the shared key would then
    /// be one of eight values whatever the code is, and the "password" in the exchange would be gone.
    pub fn parse(text: &str, from: Side) -> Result<Self, Error> {
        let bytes = base64url_array(text).map_err(|_| Error::BadPakeMessage)?;
        Self::from_bytes(bytes, from)
    }

    /// The same checks on bytes.
    pub fn from_bytes(bytes: [u8; PAKE_MESSAGE_BYTES], from: Side) -> Result<Self, Error> {
        let (side, point) = bytes.split_first().ok_or(Error::BadPakeMessage)?;
        if *side != from.byte() {
            return Err(Error::BadPakeMessage);
        }
        let compressed = CompressedEdwardsY::from_slice(point).map_err(|_| Error::BadPakeMessage)?;
        let decompressed = compressed.decompress().ok_or(Error::BadPakeMessage)?;
        // Decompression accepts some y >= p; the round trip shows whether this was the one canonical text.
        let canonical = decompressed.compress() == compressed;
        if !canonical || decompressed.is_identity() || !decompressed.is_torsion_free() {
            return Err(Error::BadPakeMessage);
        }
        Ok(Self(bytes))
    }

    /// The 33 bytes, side byte included: what enters the transcript.
    pub fn as_bytes(&self) -> &[u8; PAKE_MESSAGE_BYTES] {
        &self.0
    }

    /// The text on the wire.
    pub fn encode(&self) -> String {
        base64url_encode(&self.0)
    }
}

/// One side of a running SPAKE2 exchange. Consumed by [`Pake::finish`]: a code cannot be tried twice,
/// because the value that could try it is gone.
pub struct Pake {
    state: Spake2<Ed25519Group>,
    side: Side,
}

impl Pake {
    /// Blinds a fresh share with the code and returns it with the state to finish with.
    ///
    /// Both identities enter the key, so a share made for one agent and approver is worthless
    /// between any other two.
    pub fn start(
        side: Side,
        code: &Code,
        id_a: &str,
        id_b: &str,
        rng: &mut impl CryptoRng,
    ) -> (Self, PakeMessage) {
        let password = Password::new(code.expose_digits().as_bytes());
        let (id_a, id_b) = (Identity::new(id_a.as_bytes()), Identity::new(id_b.as_bytes()));
        let rng = Rng06(rng);
        let (state, sent) = match side {
            Side::A => Spake2::<Ed25519Group>::start_a_with_rng(&password, &id_a, &id_b, rng),
            Side::B => Spake2::<Ed25519Group>::start_b_with_rng(&password, &id_a, &id_b, rng),
        };
        let mut bytes = [0; PAKE_MESSAGE_BYTES];
        bytes.copy_from_slice(&sent); // the group's length is fixed at 33
        (Self { state, side }, PakeMessage(bytes))
    }

    /// Takes off the blinding and hashes both messages, both identities and the shared point into a key.
    ///
    /// It always yields a key; only with the same code on both sides is it the same one. That is why
    /// confirmation follows.
    pub fn finish(self, received: &PakeMessage) -> Result<SecretBytes<32>, Error> {
        if received.0.first() != Some(&self.side.other().byte()) {
            return Err(Error::BadPakeMessage);
        }
        let mut key = self.state.finish(&received.0).map_err(|_| Error::BadPakeMessage)?;
        let array = <[u8; 32]>::try_from(key.as_slice()).map(SecretBytes::new);
        key.zeroize();
        array.map_err(|_| Error::BadPakeMessage)
    }
}

impl std::fmt::Debug for Pake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pake").field("side", &self.side).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::hex_encode;
    use crate::testing::{FixedScalar, seeded};

    fn code(digits: &str) -> Code {
        digits.parse().unwrap()
    }

    /// The check value of docs/protocol.md section 2, computed with python-spake2.
    #[test]
    fn check_value_of_python_spake2() {
        let (a, message_a) = Pake::start(
            Side::A,
            &code("847293"),
            "flight-booking-001",
            "approver-1",
            &mut FixedScalar::new(7),
        );
        let (b, message_b) = Pake::start(
            Side::B,
            &code("847293"),
            "flight-booking-001",
            "approver-1",
            &mut FixedScalar::new(9),
        );
        assert_eq!(
            hex_encode(message_a.as_bytes()),
            "41262d0f891ddc5697075c089ad722c1b8bbb643aa50218db38f59fe4cce961f85"
        );
        assert_eq!(
            hex_encode(message_b.as_bytes()),
            "42530134cad576f2462244560431fd3c1dc932ade91347e1ac420724af1a746b90"
        );
        let key_a = a.finish(&message_b).unwrap();
        let key_b = b.finish(&message_a).unwrap();
        let expected = "eec81d912f259f9709faf00da0addf1c522f0054e133d4d0b1b6010a4159d3c0";
        assert_eq!(hex_encode(key_a.expose_bytes()), expected);
        assert_eq!(hex_encode(key_b.expose_bytes()), expected);
    }

    #[test]
    fn another_code_or_identity_gives_another_key() {
        let mut rng = seeded(1);
        let mut key = |code_b: &str, id_b: &str| {
            let (a, message_a) = Pake::start(Side::A, &code("847293"), "agent", "approver", &mut rng);
            let (b, message_b) = Pake::start(Side::B, &code(code_b), "agent", id_b, &mut rng);
            a.finish(&message_b).unwrap() == b.finish(&message_a).unwrap()
        };
        assert!(key("847293", "approver"));
        assert!(!key("847294", "approver"));
        assert!(!key("847293", "somebody-else"));
    }

    #[test]
    fn bad_points_are_refused_before_the_library_sees_them() {
        let (_, good) = Pake::start(Side::A, &code("847293"), "a", "b", &mut seeded(2));
        let with_point = |point: [u8; 32]| {
            let mut bytes = [0; 33];
            bytes[0] = b'A';
            bytes[1..].copy_from_slice(&point);
            bytes
        };
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut small_order = [0; 32];
        small_order[31] = 0x80; // y = 0: order four
        let mut not_canonical = [0xff; 32];
        not_canonical[0] = 0xee; // y = p + 1, the identity in disguise
        not_canonical[31] = 0x7f;
        let not_on_curve = with_point([2; 32]);
        for bad in [
            with_point(identity),
            with_point(small_order),
            with_point(not_canonical),
            with_point([0; 32]),
            not_on_curve,
        ] {
            assert_eq!(
                PakeMessage::from_bytes(bad, Side::A),
                Err(Error::BadPakeMessage),
                "{}",
                hex_encode(&bad)
            );
        }
        assert_eq!(
            PakeMessage::from_bytes(*good.as_bytes(), Side::B),
            Err(Error::BadPakeMessage),
            "wrong side"
        );
        assert!(PakeMessage::parse(&good.encode()[1..], Side::A).is_err());
        assert_eq!(PakeMessage::parse(&good.encode(), Side::A), Ok(good));
        // A point of the right kind plus one of small order: on the curve, canonical, and still refused.
        let torsion = curve25519_dalek::constants::EIGHT_TORSION[1];
        let mixed = (curve25519_dalek::constants::ED25519_BASEPOINT_POINT + torsion).compress().to_bytes();
        assert_eq!(PakeMessage::from_bytes(with_point(mixed), Side::A), Err(Error::BadPakeMessage));
    }

    #[test]
    fn a_reflected_message_is_refused() {
        let (a, message_a) = Pake::start(Side::A, &code("847293"), "a", "b", &mut seeded(3));
        assert!(a.finish(&message_a).is_err());
    }
}
