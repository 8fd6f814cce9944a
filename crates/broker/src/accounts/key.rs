//! Device keys, challenges and recovery codes: everything that is made at random.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use durward_protocol::SecretString;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use time::Duration;
use zeroize::Zeroize;

use super::device::{DeviceType, UserId};
use super::error::ApiError;

/// How long a challenge may be answered; the answer to a knock says so in words.
pub(crate) const CHALLENGE_LIFETIME: Duration = Duration::minutes(5);
/// Random characters of a key.
pub(crate) const KEY_CHARS: usize = 32;
/// Longest value of `X-API-Key` that is looked at; an imported key may have any form below it.
pub(crate) const MAX_PRESENTED_KEY: usize = 512;
/// Shortest imported key: its SHA-256 lies in the store, so it must not be guessable.
pub(crate) const MIN_IMPORTED_KEY: usize = 16;
/// Recovery codes made at a time.
pub(crate) const RECOVERY_CODES: usize = 10;

const KEY_ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// Crockford's base 32 without the letters that read like digits.
const CODE_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const CODE_CHARS: usize = 16;
const CODE_GROUP: usize = 4;
const CODE_LABEL: &[u8] = b"durward/1 recovery code";

/// A new device key, `memorable_{type}_` and 32 of `[a-z0-9]` (165 bits). Shown once, wiped on drop.
#[derive(Debug)]
pub struct DeviceKey(SecretString);

impl DeviceKey {
    /// Draws a key for a device of this type.
    pub fn generate(kind: DeviceType, rng: &mut impl CryptoRng) -> Self {
        let mut text = format!("memorable_{}_", kind.as_str());
        text.reserve(KEY_CHARS);
        push_random(&mut text, KEY_CHARS, KEY_ALPHABET, rng);
        Self(SecretString::new(text))
    }

    /// The key itself, for the one answer that shows it.
    pub fn expose_key(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.expose_key())
    }

    /// `memorable_{type}_` and four random characters, to recognise a key in a list.
    pub fn prefix(&self) -> String {
        let key = self.expose_key();
        key.get(..key.len().saturating_sub(KEY_CHARS - 4)).unwrap_or_default().to_owned()
    }
}

/// SHA-256 of a device key; written `sha256$` and 64 hex digits.
///
/// A plain hash is enough because the key is uniformly random: there is nothing to guess. Looking a key up by its
/// hash also leaves no useful timing: an attacker cannot choose a hash byte by byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Hash of what a caller presented in `X-API-Key` or as bearer token.
    pub fn of_presented(key: &str) -> Result<Self, ApiError> {
        let visible =
            !key.is_empty() && key.len() <= MAX_PRESENTED_KEY && key.bytes().all(|b| b.is_ascii_graphic());
        if visible { Ok(Self::of(key)) } else { Err(ApiError::InvalidApiKey) }
    }

    /// Hash of a shared key that existed before, for import.
    pub fn of_imported(key: &SecretString) -> Result<Self, ApiError> {
        let text = key.expose_secret();
        if text.len() < MIN_IMPORTED_KEY {
            return Err(ApiError::InvalidRequest(
                "imported key: at least 16 characters, else make a new one",
            ));
        }
        Self::of_presented(text)
            .map_err(|_| ApiError::InvalidRequest("imported key: at most 512 visible ASCII characters"))
    }

    /// The 32 bytes, for a binary column.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From a binary column.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256$")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash([redacted])")
    }
}

impl FromStr for KeyHash {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        const WRONG: ApiError = ApiError::InvalidRequest("key hash: sha256$ and 64 hex digits");
        let hex =
            text.strip_prefix("sha256$").filter(|hex| hex.len() == 64 && hex.is_ascii()).ok_or(WRONG)?;
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            let digits = hex.get(2 * i..2 * i + 2).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(digits.ok_or(WRONG)?, 16).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}

/// A challenge: `nonce_` and base64url of 32 random bytes. Not a secret, but good for one attempt by one device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Challenge(String);

impl Challenge {
    /// Draws a challenge.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(format!("nonce_{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The challenge as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Challenge {
    type Err = ApiError;

    /// Anything that cannot be a challenge is answered like one that is unknown.
    fn from_str(text: &str) -> Result<Self, ApiError> {
        let decoded = text.strip_prefix("nonce_").and_then(|rest| URL_SAFE_NO_PAD.decode(rest).ok());
        match decoded {
            Some(bytes) if bytes.len() == 32 => Ok(Self(text.to_owned())),
            _ => Err(ApiError::InvalidChallenge),
        }
    }
}

/// A one-time recovery code, `xxxx-xxxx-xxxx-xxxx` of 32 letters and digits (80 bits). Shown once.
#[derive(Debug)]
pub struct RecoveryCode(SecretString);

impl RecoveryCode {
    /// Draws the ten codes of an account.
    pub fn generate_set(rng: &mut impl CryptoRng) -> Vec<Self> {
        (0..RECOVERY_CODES).map(|_| Self::generate(rng)).collect()
    }

    /// The code, in groups of four.
    pub fn expose_code(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored; bound to the account, so that a stolen row is of no use in another's.
    pub fn hash(&self, user: &UserId) -> RecoveryHash {
        let mut hash = Sha256::new();
        hash.update(CODE_LABEL);
        hash.update((user.as_str().len() as u64).to_le_bytes());
        hash.update(user.as_str().as_bytes());
        hash.update(self.expose_code().as_bytes());
        RecoveryHash(hash.finalize().into())
    }

    /// Reads a typed code: case, blanks and dashes do not matter, `o` is 0, `i` and `l` are 1.
    pub fn parse(typed: &SecretString) -> Result<Self, ApiError> {
        let mut plain = String::with_capacity(CODE_CHARS);
        for c in typed.expose_secret().chars().filter(|c| !matches!(c, '-' | ' ')) {
            let read = match c.to_ascii_lowercase() {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            };
            let known = u8::try_from(read).is_ok_and(|byte| CODE_ALPHABET.contains(&byte));
            if !known || plain.len() == CODE_CHARS {
                plain.zeroize();
                return Err(ApiError::InvalidRecoveryCode);
            }
            plain.push(read);
        }
        let complete = plain.len() == CODE_CHARS;
        let code = Self(SecretString::new(in_groups(&plain)));
        plain.zeroize();
        if complete { Ok(code) } else { Err(ApiError::InvalidRecoveryCode) }
    }

    fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut plain = String::with_capacity(CODE_CHARS);
        push_random(&mut plain, CODE_CHARS, CODE_ALPHABET, rng);
        let code = Self(SecretString::new(in_groups(&plain)));
        plain.zeroize();
        code
    }
}

/// SHA-256 of a recovery code and its account.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecoveryHash([u8; 32]);

impl RecoveryHash {
    /// The 32 bytes, for a binary column.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From a binary column.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for RecoveryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryHash([redacted])")
    }
}

fn in_groups(plain: &str) -> String {
    let mut text = String::with_capacity(CODE_CHARS + CODE_CHARS / CODE_GROUP);
    for (i, c) in plain.chars().enumerate() {
        if i > 0 && i % CODE_GROUP == 0 {
            text.push('-');
        }
        text.push(c);
    }
    text
}

/// Appends `count` uniform characters. A byte past the last whole multiple of the alphabet is drawn again: taking
/// it modulo the length would favour the first letters.
fn push_random(text: &mut String, count: usize, alphabet: &[u8], rng: &mut impl CryptoRng) {
    let limit = 256 - 256 % alphabet.len();
    let mut pool = [0_u8; 64];
    let mut left = count;
    while left > 0 {
        rng.fill_bytes(&mut pool);
        for byte in pool.iter().map(|b| usize::from(*b)).filter(|b| *b < limit).take(left) {
            if let Some(letter) = alphabet.get(byte % alphabet.len()) {
                text.push(char::from(*letter));
                left -= 1;
            }
        }
    }
    pool.zeroize();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn keys_have_the_documented_form() {
        let mut rng = StdRng::seed_from_u64(1);
        for kind in DeviceType::ALL {
            let key = DeviceKey::generate(kind, &mut rng);
            let random = key.expose_key().strip_prefix(&format!("memorable_{kind}_")).unwrap();
            assert_eq!(random.len(), KEY_CHARS);
            assert!(random.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
            assert_eq!(key.prefix(), format!("memorable_{kind}_{}", &random[..4]));
            assert_eq!(KeyHash::of_presented(key.expose_key()).unwrap(), key.hash());
            assert_eq!(format!("{key:?}"), "DeviceKey([redacted])");
        }
    }

    #[test]
    fn key_hash_is_sha256_of_the_whole_key() {
        let hash = KeyHash::of_presented("abc").unwrap();
        let text = "sha256$ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse::<KeyHash>().unwrap(), hash);
    }

    #[test]
    fn letters_are_drawn_evenly() {
        // Chi-square over 36 letters; a modulo without rejection would give about 720 here.
        let mut rng = StdRng::seed_from_u64(2);
        let mut text = String::new();
        push_random(&mut text, 360_000, KEY_ALPHABET, &mut rng);
        let chi: f64 = KEY_ALPHABET
            .iter()
            .map(|letter| text.bytes().filter(|b| b == letter).count())
            .map(|count| (f64::from(u32::try_from(count).unwrap()) - 10_000.0).powi(2) / 10_000.0)
            .sum();
        assert!(chi < 80.0, "chi-square {chi}");
    }

    #[test]
    fn challenges_are_32_bytes_and_differ() {
        let mut rng = StdRng::seed_from_u64(3);
        let (a, b) = (Challenge::generate(&mut rng), Challenge::generate(&mut rng));
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), "nonce_".len() + 43);
        assert_eq!(a.as_str().parse::<Challenge>().unwrap(), a);
        assert_eq!("nonce_abc123xyz".parse::<Challenge>().unwrap_err(), ApiError::InvalidChallenge);
    }

    #[test]
    fn recovery_codes_forgive_how_they_are_typed() {
        let mut rng = StdRng::seed_from_u64(4);
        let user: UserId = "alan".parse().unwrap();
        let codes = RecoveryCode::generate_set(&mut rng);
        assert_eq!(codes.len(), 10);
        for code in &codes {
            let typed =
                code.expose_code().to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l");
            let read = RecoveryCode::parse(&typed.into()).unwrap();
            assert_eq!(read.hash(&user), code.hash(&user));
            assert_ne!(read.hash(&"eve".parse().unwrap()), code.hash(&user));
        }
    }

    #[test]
    fn short_imported_keys_are_refused() {
        assert!(KeyHash::of_imported(&"dev-key".to_owned().into()).is_err());
        assert!(KeyHash::of_imported(&"a-long-shared-dev-key".to_owned().into()).is_ok());
    }

    proptest! {
        #[test]
        fn parsers_never_panic(text in ".*") {
            let _ = text.parse::<Challenge>();
            let _ = text.parse::<KeyHash>();
            let _ = KeyHash::of_presented(&text);
            let _ = RecoveryCode::parse(&text.into());
        }
    }
}
