//! Looking for secrets in bytes, in every dress they could wear.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use durward_protocol::hex_encode;

/// A secret and its name.
pub(crate) struct Needle {
    pub(crate) name: String,
    plain: Vec<u8>,
    dressed: Vec<(&'static str, Vec<u8>)>,
}

impl Needle {
    pub(crate) fn new(name: impl Into<String>, secret: &[u8]) -> Self {
        assert!(secret.len() >= 6, "shorter ones are found by chance");
        let mut dressed =
            vec![("hex", hex_encode(secret).into_bytes()), ("HEX", hex_encode(secret).to_uppercase().into())];
        for (label, engine) in [("base64", &STANDARD), ("base64url", &URL_SAFE)] {
            for offset in 0..3 {
                dressed.push((label, aligned(engine, secret, offset)));
            }
        }
        Self { name: name.into(), plain: secret.to_owned(), dressed }
    }

    /// How it was dressed where it was found.
    pub(crate) fn found_in(&self, hay: &[u8]) -> Option<&'static str> {
        if self.plainly_in(hay) {
            return Some("plain");
        }
        self.dressed.iter().find(|(_, bytes)| contains(hay, bytes)).map(|(label, _)| *label)
    }

    /// Six digits also turn up inside longer numbers and as the fraction of a second: such a place is not
    /// the code.
    fn plainly_in(&self, hay: &[u8]) -> bool {
        if !self.plain.iter().all(u8::is_ascii_digit) {
            return contains(hay, &self.plain);
        }
        let (n, digit) = (self.plain.len(), |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit));
        (0..=hay.len().saturating_sub(n)).any(|i| {
            let before = i.checked_sub(1).and_then(|i| hay.get(i));
            hay.get(i..i + n) == Some(&self.plain)
                && !digit(before)
                && before != Some(&b'.')
                && !digit(hay.get(i + n))
        })
    }
}

/// What stands in base64 text when the secret starts `offset` bytes after a multiple of three: only the
/// characters that depend on the secret alone.
fn aligned(engine: &impl base64::Engine, secret: &[u8], offset: usize) -> Vec<u8> {
    let text = engine.encode([&vec![0; offset], secret].concat());
    let first = (offset * 8).div_ceil(6);
    let last = (offset + secret.len()) * 8 / 6;
    text.as_bytes()[first..last].to_owned()
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let mut rest = hay;
    while let Some(at) = rest.iter().position(|b| b == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[test]
fn every_dress_is_seen_through() {
    let secret = b"zB7!qW9#mK\xff\xfe2$v?";
    let needle = Needle::new("secret", secret);
    let mut hays = vec![("plain", secret.to_vec()), ("hex", hex_encode(secret).into_bytes())];
    hays.push(("HEX", hex_encode(secret).to_uppercase().into_bytes()));
    for before in ["", "a", "ab", "abc", "abcd"] {
        for after in ["", "x", "xy", "xyz"] {
            let whole = [before.as_bytes(), secret, after.as_bytes()].concat();
            hays.push(("base64", STANDARD.encode(&whole).into_bytes()));
            hays.push(("base64", URL_SAFE.encode(&whole).into_bytes()));
            hays.push(("hex", hex_encode(&whole).into_bytes()));
        }
    }
    for (label, hay) in hays {
        let planted = [b"noise \0 noise".as_slice(), &hay, b"\xffnoise"].concat();
        assert!(needle.found_in(&planted).is_some(), "{label}: {}", String::from_utf8_lossy(&hay));
    }
    assert_eq!(needle.found_in(b"noise zB7!qW9#mK noise"), None);
}

#[test]
fn a_code_is_told_from_other_digits() {
    let needle = Needle::new("code", b"847293");
    for hay in ["847293", "12-847293", "code=\"847293\"", "x847293y", "383437323933", "ODQ3Mjkz"] {
        assert!(needle.found_in(hay.as_bytes()).is_some(), "{hay}");
    }
    for hay in ["10:00:00.847293Z", "1847293", "8472931", "847 293"] {
        assert_eq!(needle.found_in(hay.as_bytes()), None, "{hay}");
    }
}
