//! The header of an age file, into which the sender's stanza is put when the content is known.
//!
//! The signature covers the content's hash, and the header stands before the content. So the library first writes
//! a stanza of zeros of the right length; when the content is sealed, the stanza is filled in and the header's MAC
//! made anew (age-encryption.org/v1, "Header"). The content's key depends on file key and nonce, not on the header.

use age_core::format::FileKey;
use age_core::secrecy::ExposeSecret as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::sender::{TAG, VERSION};

const COLUMNS: usize = 64;
const MAC_MARK: &[u8] = b"\n---";
const MAC_CHARS: usize = 43;

/// Replaces the sender's stanza in the header that `bytes` begins with, and makes the MAC anew. `None` when there
/// is no stanza of that length, or no header.
pub(crate) fn fill_in(bytes: &mut [u8], body: &[u8], key: &FileKey) -> Option<()> {
    let first_line = format!("\n-> {TAG} {VERSION}\n");
    let at = find(bytes, first_line.as_bytes())? + first_line.len();
    let stanza = encode(body);
    let place = bytes.get_mut(at..at + stanza.len())?;
    if *place != *encode(&vec![0; body.len()]) {
        return None;
    }
    place.copy_from_slice(&stanza);
    let marked = at + find(bytes.get(at..)?, MAC_MARK)? + MAC_MARK.len();
    let mac_key = Zeroizing::new(age_core::primitives::hkdf(&[], b"header", key.expose_secret()));
    let mut mac = Hmac::<Sha256>::new_from_slice(mac_key.as_slice()).ok()?;
    mac.update(bytes.get(..marked)?);
    let mac = STANDARD_NO_PAD.encode(mac.finalize().into_bytes());
    let place = bytes.get_mut(marked + 1..marked + 1 + MAC_CHARS)?;
    place.copy_from_slice(mac.as_bytes());
    Some(())
}

/// Whether a header ends in `bytes`.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    find(bytes, MAC_MARK).is_some()
}

/// A stanza's body: base64 in lines of 64 columns, the last one shorter, if need be empty.
fn encode(body: &[u8]) -> Vec<u8> {
    let text = STANDARD_NO_PAD.encode(body);
    let mut lines = Vec::with_capacity(text.len() + text.len() / COLUMNS + 2);
    for line in text.as_bytes().chunks(COLUMNS) {
        lines.extend_from_slice(line);
        lines.push(b'\n');
    }
    if text.len().is_multiple_of(COLUMNS) {
        lines.push(b'\n');
    }
    lines
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_end_in_a_short_line() {
        assert_eq!(encode(&[]), b"\n");
        assert_eq!(encode(&[0; 3]), b"AAAA\n");
        assert_eq!(encode(&[0; 48]), [b"A".repeat(64), b"\n\n".to_vec()].concat());
        assert_eq!(encode(&[0; 49]), [b"A".repeat(64), b"\nAA\n".to_vec()].concat());
    }

    #[test]
    fn nothing_but_a_stanza_of_zeros_is_replaced() {
        let key = FileKey::new(Box::new([1; 16]));
        let header = |stanza: &str| {
            format!(
                "age-encryption.org/v1\n-> X25519 a\nb\n-> durward-sender 1\n{stanza}\n--- {}\nnonce",
                "m".repeat(43)
            )
            .into_bytes()
        };
        let mut good = header("AAAA");
        assert_eq!(fill_in(&mut good, &[255; 3], &key), Some(()));
        assert!(find(&good, b"1\n////\n--- ").is_some());
        assert!(good.ends_with(b"\nnonce") && find(&good, b"mmm").is_none());
        assert_eq!(fill_in(&mut header("AAAB"), &[255; 3], &key), None);
        assert_eq!(fill_in(&mut header("AAAAAAAA"), &[255; 3], &key), None);
        assert_eq!(fill_in(&mut b"AAAA".to_vec(), &[255; 3], &key), None);
    }
}
