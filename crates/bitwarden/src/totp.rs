//! One-time codes (RFC 6238), read as leniently as the official clients read them, and Steam's variant.

use hmac::Hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use url::Url;
use zeroize::Zeroizing;

const STEAM: &[u8] = b"23456789BCDFGHJKMNPQRTVWXY";
const STEAM_BASE: u32 = 26;
const STEAM_LENGTH: usize = 5;

#[derive(Clone, Copy)]
enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

/// The code of a setting (an `otpauth://` or `steam://` address or a bare secret) for a moment in seconds since
/// 1970. `None` when there is no secret in it.
pub fn code(setting: &str, at: u64) -> Option<String> {
    let setting = Zeroizing::new(setting.to_lowercase());
    if let Some(secret) = setting.strip_prefix("steam://") {
        let number = truncated(Algorithm::Sha1, &decode(secret)?, at / 30)?;
        return Some(steam(number));
    }
    let (mut algorithm, mut digits, mut period) = (Algorithm::Sha1, 6_u32, 30_u64);
    let mut secret = setting.clone();
    if setting.starts_with("otpauth://") {
        let url = Url::parse(&setting).ok()?;
        secret = Zeroizing::new(String::new());
        for (name, value) in url.query_pairs() {
            match &*name {
                "secret" => secret = Zeroizing::new(value.into_owned()),
                "digits" => digits = value.trim().parse::<i64>().map_or(6, clamp_digits),
                "period" => period = value.trim().parse().ok().filter(|p| *p > 0).unwrap_or(period),
                "algorithm" => {
                    algorithm = match &*value {
                        "sha256" => Algorithm::Sha256,
                        "sha512" => Algorithm::Sha512,
                        _ => Algorithm::Sha1,
                    }
                }
                _ => {}
            }
        }
    }
    let number = u64::from(truncated(algorithm, &decode(&secret)?, at / period)?);
    let number = number % 10_u64.pow(digits);
    let width = digits as usize;
    Some(if width == 0 { String::new() } else { format!("{number:0width$}") })
}

fn clamp_digits(digits: i64) -> u32 {
    u32::try_from(digits.clamp(0, 10)).unwrap_or(6)
}

fn steam(mut number: u32) -> String {
    let mut text = String::with_capacity(STEAM_LENGTH);
    for _ in 0..STEAM_LENGTH {
        text.push(char::from(STEAM.get((number % STEAM_BASE) as usize).copied().unwrap_or(b'2')));
        number /= STEAM_BASE;
    }
    text
}

/// Base32 that passes over every foreign character and drops bits left over at the end.
fn decode(secret: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut bytes = Zeroizing::new(Vec::with_capacity(secret.len() * 5 / 8));
    for c in secret.bytes() {
        let value = match c.to_ascii_uppercase() {
            c @ b'A'..=b'Z' => c - b'A',
            c @ b'2'..=b'7' => c - b'2' + 26,
            _ => continue,
        };
        bits = (bits << 5) | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held).unwrap_or(0));
            bits &= (1 << held) - 1;
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

/// RFC 4226 section 5.3: the 31 bits at the offset that the last nibble names.
fn truncated(algorithm: Algorithm, key: &[u8], counter: u64) -> Option<u32> {
    let message = counter.to_be_bytes();
    let digest: Zeroizing<Vec<u8>> = match algorithm {
        Algorithm::Sha1 => Zeroizing::new(mac::<Hmac<Sha1>>(key, &message)?),
        Algorithm::Sha256 => Zeroizing::new(mac::<Hmac<Sha256>>(key, &message)?),
        Algorithm::Sha512 => Zeroizing::new(mac::<Hmac<Sha512>>(key, &message)?),
    };
    let offset = usize::from(digest.last()? & 0x0f);
    let bytes: [u8; 4] = digest.get(offset..offset + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes) & 0x7fff_ffff)
}

fn mac<M: hmac::Mac + hmac::KeyInit>(key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let mut mac = <M as hmac::KeyInit>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::code;
    use proptest::prelude::*;

    #[test]
    fn every_recorded_code() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/bitwarden-vectors.json")).unwrap();
        let cases = vectors["totp"].as_array().unwrap();
        assert_eq!(cases.len(), 25);
        for case in cases {
            let (key, at) = (case["key"].as_str().unwrap(), case["time"].as_u64().unwrap());
            assert_eq!(code(key, at).as_deref(), case["code"].as_str(), "{key} at {at}");
        }
    }

    #[test]
    fn odd_settings_are_bent_into_shape_and_empty_ones_refused() {
        assert_eq!(code("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&digits=99", 0).unwrap().len(), 10);
        assert_eq!(code("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&digits=-1", 0).unwrap(), "");
        assert_eq!(
            code("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&period=0", 59),
            code("JBSWY3DPEHPK3PXP", 59)
        );
        assert_eq!(code("JBSW-Y3DP=EHPK 3PXP!", 0).unwrap(), "282760");
        for empty in ["", "steam://", "otpauth://totp/x", "!!!", "a"] {
            assert_eq!(code(empty, 0), None, "{empty}");
        }
    }

    proptest! {
        #[test]
        fn any_setting_gives_a_code_or_none(setting in "(otpauth://totp/|steam://)?\\PC{0,60}", at in any::<u64>()) {
            let _ = code(&setting, at);
        }
    }
}
