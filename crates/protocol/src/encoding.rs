//! The two encodings everything else is built from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Error;

/// `lp(x)` = length of x as u64 little-endian, then x.
///
/// Without the lengths, ("ab", "c") and ("a", "bc") would hash alike, and an attacker could move
/// bytes from one field of a transcript to its neighbour without changing the hash.
pub fn lp(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_le_bytes());
    out.extend_from_slice(part);
}

/// Several parts, each length-prefixed, in order.
pub fn lp_all(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        lp(&mut out, part);
    }
    out
}

/// Unpadded base64url (RFC 4648 section 5).
pub fn base64url_encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The reverse. Padding, other alphabets and non-zero trailing bits are refused: one value, one text.
pub fn base64url_decode(text: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::InvalidBase64)
}

/// The reverse for a value of known length.
pub fn base64url_array<const N: usize>(text: &str) -> Result<[u8; N], Error> {
    base64url_decode(text)?.try_into().map_err(|_| Error::InvalidBase64)
}

/// Reads one JSON object. A bare array is refused: serde would fill a struct from it by position,
/// and two readers could then disagree about what a message says.
pub fn from_json_object<'de, T: serde::Deserialize<'de>>(json: &'de [u8]) -> Result<T, Error> {
    let first = json.iter().find(|b| !b.is_ascii_whitespace());
    if first != Some(&b'{') {
        return Err(Error::InvalidMessage);
    }
    serde_json::from_slice(json).map_err(|_| Error::InvalidMessage)
}

/// Lower-case hexadecimal, as protocol documents and vectors show bytes.
pub fn hex_encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| char::from(DIGITS[usize::from(d)])).collect()
}

/// The bytes of exactly `N` pairs of hex digits, in either case; anything else is `None`.
pub fn hex_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |at: usize| char::from(text.as_bytes()[at]).to_digit(16).and_then(|d| u8::try_from(d).ok());
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = digit(2 * at)? << 4 | digit(2 * at + 1)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_digits_and_nothing_else() {
        assert_eq!(hex_array::<3>(&hex_encode(&[0, 0x7f, 0xff])), Some([0, 0x7f, 0xff]));
        assert_eq!(hex_array::<2>("0aB9"), Some([0x0a, 0xb9]));
        for bad in ["", "0", "0a0", "0g", "+f", " f", "0a0b0c", "éa"] {
            assert_eq!(hex_array::<2>(bad), None, "{bad}");
            assert_eq!(hex_array::<1>(bad), None, "{bad}");
        }
    }

    #[test]
    fn length_prefix_separates_parts() {
        assert_eq!(lp_all(&[b"ab"]), [2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b']);
        assert_ne!(lp_all(&[b"ab", b"c"]), lp_all(&[b"a", b"bc"]));
    }

    #[test]
    fn base64url_is_canonical() {
        assert_eq!(base64url_decode(&base64url_encode(&[251, 255])).unwrap(), [251, 255]);
        for bad in ["+/8=", "-_8=", "-_9", "a", "-_8 "] {
            assert!(base64url_decode(bad).is_err(), "{bad}");
        }
        assert!(base64url_array::<3>("-_8").is_err());
        assert_eq!(hex_encode(&[0, 171]), "00ab");
    }
}
