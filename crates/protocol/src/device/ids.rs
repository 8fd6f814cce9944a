//! How a device is called and known.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;

use crate::Error;
use crate::encoding::hex_encode;
use crate::ids::is_deceptive;
use crate::words::word_list;

/// Longest device name, in characters.
pub const MAX_DEVICE_NAME_CHARS: usize = 64;

/// Words of a [`PairTag`].
pub const TAG_WORDS: usize = 2;

/// Sixteen bytes shown as a UUID of version 7 (RFC 9562 section 5.7): a name for a device, made once by itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"))
)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId([u8; 16]);

/// Names one message between devices: a UUID of version 7 too.
pub type EventId = DeviceId;

impl DeviceId {
    /// A new one: 48 bits of time in milliseconds, the rest random.
    pub fn new(now: OffsetDateTime, rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        let millis = u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        Self(bytes)
    }

    /// An id with these bytes, as a store has them. Bytes of another version or variant are refused.
    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, Error> {
        if bytes[6] >> 4 == 7 && bytes[8] >> 6 == 2 { Ok(Self(bytes)) } else { Err(Error::InvalidId) }
    }

    /// The sixteen bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for DeviceId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
        let mut digits = Vec::with_capacity(32);
        if text.len() != 36 {
            return Err(Error::InvalidId);
        }
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'-' if hyphen(at) => {}
                b'0'..=b'9' if !hyphen(at) => digits.push(byte - b'0'),
                b'a'..=b'f' if !hyphen(at) => digits.push(byte - b'a' + 10),
                _ => return Err(Error::InvalidId),
            }
        }
        let bytes: Vec<u8> = digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect();
        Self::from_bytes(bytes.try_into().map_err(|_| Error::InvalidId)?)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = hex_encode(&self.0);
        for (at, c) in hex.chars().enumerate() {
            if matches!(at, 8 | 12 | 16 | 20) {
                f.write_str("-")?;
            }
            write!(f, "{c}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for DeviceId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> Self {
        id.to_string()
    }
}

/// What a person calls a device: 1..=64 characters, usable as a file name everywhere, nothing that deceives.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(extend("minLength" = 1, "maxLength" = 64)))]
#[serde(try_from = "String", into = "String")]
pub struct DeviceName(String);

impl DeviceName {
    /// Takes a name that is good as it stands.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let safe = Self::made_safe(text);
        if safe.0 == text { Ok(safe) } else { Err(Error::InvalidDeviceName) }
    }

    /// Makes a good name of any text: what is not letter, digit, blank or one of `. _ -` becomes `-`, the rest is cut.
    ///
    /// A peer chooses its name, and the name becomes a file's: without this, `../../keys/local.key` would be one.
    pub fn made_safe(text: &str) -> Self {
        let keep = |c: char| {
            if (c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-' | '(' | ')')) && !is_deceptive(c) {
                c
            } else {
                '-'
            }
        };
        let name: String = text.trim().chars().take(MAX_DEVICE_NAME_CHARS).map(keep).collect();
        let name = name.trim_matches(|c| matches!(c, ' ' | '.' | '-'));
        // A file name has at most 255 bytes, and `-999.pub` may follow.
        let mut end = name.len().min(200);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let name = name.get(..end).unwrap_or_default().trim_end();
        Self(if name.is_empty() { "device".into() } else { name.to_owned() })
    }

    /// This name, or with `-2`, `-3`, … behind it the first that `taken` does not know.
    #[must_use]
    pub fn unique(self, taken: impl Fn(&Self) -> bool) -> Self {
        if !taken(&self) {
            return self;
        }
        let base: String = self.0.chars().take(MAX_DEVICE_NAME_CHARS - 5).collect();
        let numbered = (2..10_000_u32).map(|n| Self(format!("{}-{n}", base.trim_end())));
        let mut free = numbered.filter(|name| !taken(name));
        free.next().unwrap_or(self)
    }

    /// Whether two names would be one file where case does not count.
    pub fn same_file(&self, other: &Self) -> bool {
        self.0.to_lowercase() == other.0.to_lowercase()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DeviceName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.0
    }
}

/// A device's public keys: X25519 to seal for it, Ed25519 to check what it signed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DevicePublic {
    /// Sealing key.
    pub x25519: [u8; 32],
    /// Signing key.
    pub ed25519: [u8; 32],
}

impl DevicePublic {
    /// Takes keys that can be used: an X25519 point that is not one of small order, a strong Ed25519 key.
    pub fn new(x25519: [u8; 32], ed25519: [u8; 32]) -> Result<Self, Error> {
        let signing = VerifyingKey::from_bytes(&ed25519).map_err(|_| Error::InvalidId)?;
        let small = SMALL_ORDER.iter().any(|point| {
            let mut masked = x25519;
            masked[31] &= 0x7f;
            bool::from(point.ct_eq(&masked))
        });
        if signing.is_weak() || small { Err(Error::InvalidId) } else { Ok(Self { x25519, ed25519 }) }
    }

    /// Checks a signature of this device (RFC 8032, strictly).
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), Error> {
        let key = VerifyingKey::from_bytes(&self.ed25519).map_err(|_| Error::BadSignature)?;
        key.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| Error::BadSignature)
    }

    /// What people compare: first and last eight hex digits of the sealing key.
    pub fn fingerprint(&self) -> String {
        let hex = hex_encode(&self.x25519);
        format!("{}...{}", hex.get(..8).unwrap_or_default(), hex.get(56..).unwrap_or_default())
    }

    /// The whole sealing key as 64 hex digits.
    pub fn x25519_hex(&self) -> String {
        hex_encode(&self.x25519)
    }

    /// The whole signing key as 64 hex digits.
    pub fn ed25519_hex(&self) -> String {
        hex_encode(&self.ed25519)
    }
}

impl fmt::Debug for DevicePublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DevicePublic({})", self.fingerprint())
    }
}

/// Points of small order on Curve25519, little-endian: with one of them the shared secret would be no secret.
const SMALL_ORDER: [[u8; 32]; 7] = {
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    let mut p = minus_one;
    p[0] = 0xed;
    let mut p_and_one = minus_one;
    p_and_one[0] = 0xee;
    [
        [0; 32],
        one,
        [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
            0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
        ],
        [
            0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
            0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
        ],
        minus_one,
        p,
        p_and_one,
    ]
};

/// Two words that tell waiting pairings apart on a network. Public, and no part of the password.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(extend("pattern" = "^[a-z-]{3,40}$")))]
#[serde(try_from = "String", into = "String")]
pub struct PairTag(String);

impl PairTag {
    /// Two words drawn from the list of the fingerprints.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let words: Vec<&str> = (0..TAG_WORDS)
            .map(|_| {
                let all = word_list();
                let at = usize::try_from(rng.next_u64() % all.len().max(1) as u64).unwrap_or(0);
                all.get(at).copied().unwrap_or("tag")
            })
            .collect();
        Self(words.join("-"))
    }

    /// Takes two words as shown, or with a blank between them.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let tag = text.trim().to_ascii_lowercase().replace(' ', "-");
        let good = (3..=40).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if good { Ok(Self(tag)) } else { Err(Error::InvalidTag) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PairTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PairTag {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<PairTag> for String {
    fn from(tag: PairTag) -> Self {
        tag.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::seeded;

    #[test]
    fn ids_are_uuids_of_version_7_in_order_of_time() {
        let at = |seconds| OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds);
        let (first, second) = (
            DeviceId::new(at(1_700_000_000), &mut seeded(1)),
            DeviceId::new(at(1_700_000_001), &mut seeded(2)),
        );
        assert!(first < second);
        assert_eq!(first.to_string().parse(), Ok(first));
        assert_eq!(first.to_string().as_bytes().get(14), Some(&b'7'));
        for bad in ["", "019234ab-cdef-7890-1234-567890abcdef", "019234ab-cdef-4890-9234-567890abcdef"] {
            assert!(bad.parse::<DeviceId>().is_err(), "{bad}: wrong variant or version");
        }
        assert!("019234ab-cdef-7890-9234-567890abcdef".parse::<DeviceId>().is_ok());
        assert!("019234ABcdef-7890-9234-567890abcdef-".parse::<DeviceId>().is_err());
    }

    #[test]
    fn names_become_files_and_nothing_else() {
        let safe = |text: &str| DeviceName::made_safe(text).as_str().to_owned();
        assert_eq!(safe("desktop"), "desktop");
        assert_eq!(safe("../../keys/local.key"), "keys-local.key");
        assert_eq!(safe("a\nb\u{202e}c\0d"), "a-b-c-d");
        assert_eq!(safe(&"x".repeat(300)), "x".repeat(64));
        assert_eq!(safe("Zoës Rechner"), "Zoës Rechner");
        for nothing in ["", "..", "/", " - ", "\n"] {
            assert_eq!(safe(nothing), "device", "{nothing:?}");
        }
        assert!(DeviceName::parse("a/b").is_err());
        assert!(DeviceName::parse("laptop").is_ok());
        let names = [DeviceName::made_safe("laptop"), DeviceName::made_safe("Laptop-2")];
        let taken = |name: &DeviceName| names.iter().any(|other| other.same_file(name));
        assert_eq!(DeviceName::made_safe("LAPTOP").unique(taken).as_str(), "LAPTOP-3");
    }

    #[test]
    fn weak_keys_are_refused() {
        let mut good = [9; 32];
        let signing = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
        assert!(DevicePublic::new(good, signing).is_ok());
        for point in SMALL_ORDER {
            assert!(DevicePublic::new(point, signing).is_err());
            let mut high = point;
            high[31] |= 0x80;
            assert!(DevicePublic::new(high, signing).is_err(), "the top bit does not count");
        }
        good[31] = 1;
        assert!(DevicePublic::new(good, [0; 32]).is_err(), "a weak signing key");
        let shown = DevicePublic::new([0xab; 32], signing).unwrap().fingerprint();
        assert_eq!(shown, "abababab...abababab");
    }

    #[test]
    fn tags_are_two_words() {
        let tag = PairTag::random(&mut seeded(3));
        assert_eq!(
            PairTag::parse(&tag.as_str().replace('-', " ").to_uppercase()).map(|t| t.as_str().len()),
            Ok(tag.as_str().len())
        );
        assert!(PairTag::parse("amber/otter").is_err());
    }

    proptest! {
        #[test]
        fn any_text_makes_a_good_name(text in "\\PC{0,300}|[\\x00-\\x7f]{0,300}") {
            let name = DeviceName::made_safe(&text);
            prop_assert!(DeviceName::parse(name.as_str()).is_ok(), "{:?}", name);
            prop_assert!(!name.as_str().contains(['/', '\\', '\0', '\n']));
            prop_assert!(name.as_str().len() <= 200);
        }
    }
}
