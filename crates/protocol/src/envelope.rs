//! One sealed message inside a session: XChaCha20-Poly1305 over padded JSON.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::encoding::{base64url_decode, base64url_encode};
use crate::ids::SessionId;
use crate::pake::Side;
use crate::schedule::SessionKeys;
use crate::{Error, SecretBytes};

/// The version byte in front of every envelope.
pub const ENVELOPE_VERSION: u8 = 0x01;

/// Most bytes of plaintext before padding: 256 · 2^7 less the 0x80 marker.
pub const MAX_PLAINTEXT_BYTES: usize = 32_767;

/// Most characters of an `encrypted_payload`: base64url of version, nonce, 32,768 bytes and tag.
pub const MAX_PAYLOAD_CHARS: usize = 43_746;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const SMALLEST_PAD: usize = 256;

/// Seals `plaintext` as `side` of the session.
///
/// The nonce is random, 192 bits, because several processes of an agent may share one session: a
/// counter would need them to agree, and one nonce used twice would give both plaintexts away.
pub fn seal(
    keys: &SessionKeys,
    side: Side,
    session_id: &SessionId,
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<String, Error> {
    seal_named(keys, side, &session_id.to_string(), plaintext, rng)
}

/// The same where the session is called otherwise: a pairing of devices is its own session.
pub(crate) fn seal_named(
    keys: &SessionKeys,
    side: Side,
    session: &str,
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<String, Error> {
    let padded = pad(plaintext)?;
    let mut nonce = [0; NONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    let payload = Payload { msg: &padded, aad: &associated_data(side, session) };
    let sealed =
        cipher(keys.sealing(side)).encrypt(&XNonce::from(nonce), payload).map_err(|_| Error::TooLarge)?;
    let mut bytes = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
    bytes.push(ENVELOPE_VERSION);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&sealed);
    Ok(base64url_encode(&bytes))
}

/// Opens an envelope that `side` of the session is said to have sealed.
///
/// Side and session are associated data: an envelope moved to another session or sent back to its
/// sealer has the wrong ones and does not open. Nothing inside is looked at before the tag verifies.
pub fn open(
    keys: &SessionKeys,
    side: Side,
    session_id: &SessionId,
    payload: &str,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    open_named(keys, side, &session_id.to_string(), payload)
}

/// The reverse of [`seal_named`].
pub(crate) fn open_named(
    keys: &SessionKeys,
    side: Side,
    session: &str,
    payload: &str,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    if payload.len() > MAX_PAYLOAD_CHARS {
        return Err(Error::BadEnvelope);
    }
    let bytes = base64url_decode(payload).map_err(|_| Error::BadEnvelope)?;
    let (version, rest) = bytes.split_first().ok_or(Error::BadEnvelope)?;
    if *version != ENVELOPE_VERSION {
        return Err(Error::UnsupportedVersion);
    }
    if rest.len() < NONCE_BYTES + SMALLEST_PAD + TAG_BYTES {
        return Err(Error::BadEnvelope);
    }
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Error::BadEnvelope)?;
    let payload = Payload { msg: sealed, aad: &associated_data(side, session) };
    let padded =
        cipher(keys.sealing(side)).decrypt(&XNonce::from(*nonce), payload).map_err(|_| Error::BadEnvelope)?;
    unpad(Zeroizing::new(padded))
}

fn cipher(key: &SecretBytes<32>) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&(*key.expose_bytes()).into())
}

/// `"durward/1" || 0x00 || "a" or "b" || session_id`
fn associated_data(side: Side, session: &str) -> Vec<u8> {
    let mut aad = b"durward/1\0".to_vec();
    aad.extend_from_slice(side.letter().as_bytes());
    aad.extend_from_slice(session.as_bytes());
    aad
}

/// 0x80, then zeros up to the smallest 256 · 2^k that holds it (ISO/IEC 7816-4).
///
/// A cipher hides what is said and not how much: without padding the length of an answer would tell
/// a denial from a password, and a short password from a long one.
fn pad(plaintext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    if plaintext.len() > MAX_PLAINTEXT_BYTES {
        return Err(Error::TooLarge);
    }
    let mut size = SMALLEST_PAD;
    while size < plaintext.len() + 1 {
        size *= 2;
    }
    let mut padded = Zeroizing::new(Vec::with_capacity(size));
    padded.extend_from_slice(plaintext);
    padded.push(0x80);
    padded.resize(size, 0);
    Ok(padded)
}

fn unpad(mut padded: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, Error> {
    let size = padded.len();
    let marker = padded.iter().rposition(|b| *b != 0).ok_or(Error::BadEnvelope)?;
    let good_size = size.is_power_of_two() && (SMALLEST_PAD..=MAX_PLAINTEXT_BYTES + 1).contains(&size);
    let smallest = size == SMALLEST_PAD || marker >= size / 2;
    if padded.get(marker) != Some(&0x80) || !good_size || !smallest {
        return Err(Error::BadEnvelope);
    }
    padded.truncate(marker);
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::{TranscriptHash, UnconfirmedKeys};
    use crate::testing::seeded;

    fn keys(n: u8) -> SessionKeys {
        let derive =
            || UnconfirmedKeys::derive(SecretBytes::new([n; 32]), TranscriptHash::from_bytes([n; 32]));
        derive().verify(Side::A, &derive().confirmation(Side::A)).unwrap()
    }

    fn session(n: u8) -> SessionId {
        SessionId::from_bytes([n; 16])
    }

    #[test]
    fn lengths_are_hidden_in_steps() {
        let length =
            |n: usize| seal(&keys(1), Side::A, &session(1), &vec![b'x'; n], &mut seeded(1)).map(|s| s.len());
        assert_eq!(length(0), length(255));
        assert_ne!(length(255), length(256));
        assert_eq!(length(MAX_PLAINTEXT_BYTES), Ok(MAX_PAYLOAD_CHARS));
        assert_eq!(length(MAX_PLAINTEXT_BYTES + 1), Err(Error::TooLarge));
    }

    #[test]
    fn only_the_right_place_opens() {
        let sealed = seal(&keys(1), Side::A, &session(1), b"{}", &mut seeded(1)).unwrap();
        assert_eq!(open(&keys(1), Side::A, &session(1), &sealed).unwrap().as_slice(), b"{}");
        assert_eq!(
            open(&keys(2), Side::A, &session(1), &sealed).unwrap_err(),
            Error::BadEnvelope,
            "other key"
        );
        assert_eq!(
            open(&keys(1), Side::B, &session(1), &sealed).unwrap_err(),
            Error::BadEnvelope,
            "reflected"
        );
        assert_eq!(
            open(&keys(1), Side::A, &session(2), &sealed).unwrap_err(),
            Error::BadEnvelope,
            "other session"
        );
        let version_2 = format!("Ag{}", &sealed[2..]);
        assert_eq!(open(&keys(1), Side::A, &session(1), &version_2).unwrap_err(), Error::UnsupportedVersion);
    }

    #[test]
    fn padding_has_one_form() {
        assert!(unpad(Zeroizing::new(vec![0; 256])).is_err(), "no marker");
        assert!(unpad(Zeroizing::new(vec![0x80; 255])).is_err(), "odd size");
        let mut loose = vec![0; 512];
        loose[10] = 0x80;
        assert!(unpad(Zeroizing::new(loose)).is_err(), "larger than needed");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(plaintext in proptest::collection::vec(any::<u8>(), 0..2_000), seed: u64) {
            let sealed = seal(&keys(3), Side::B, &session(3), &plaintext, &mut seeded(seed)).unwrap();
            let opened = open(&keys(3), Side::B, &session(3), &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), plaintext.as_slice());
        }

        #[test]
        fn a_changed_byte_does_not_open(at in 0_usize..390, flip in 1_u8..255) {
            let sealed = seal(&keys(4), Side::B, &session(4), b"secret", &mut seeded(4)).unwrap();
            let mut bytes = sealed.into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            let bent = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert!(open(&keys(4), Side::B, &session(4), &bent).is_err());
        }

        #[test]
        fn nonsense_never_panics(text in "\\PC{0,600}") {
            prop_assert!(open(&keys(5), Side::A, &session(5), &text).is_err());
        }
    }
}
