//! From a password to the scalar `w` of RFC 9382: slow on purpose, so it stands apart from the state machine.

use data_encoding::HEXLOWER_PERMISSIVE;
use durward_protocol::{SecretBytes, SecretString};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Error;
use super::id::SessionId;

/// PBKDF2 iterations of `p256-sha256`.
pub const ITERATIONS: u32 = 100_000;

/// PBKDF2 output of `p256-sha256`: 64 bits more than the group order, so that the reduction is unbiased
/// (RFC 9382 section 3.2).
pub const STRETCHED_BYTES: usize = 40;

const SALT_PREFIX: &str = "durward/1 spake";

/// `w` before its reduction: big-endian, zeros in front.
pub type WideScalar = SecretBytes<64>;

/// `OS2IP(PBKDF2-HMAC-SHA256(password, "durward/1 spake" || session_id, 100000, 40))`, not yet reduced.
///
/// Some tens of milliseconds of one core: run it off the threads that serve others, and bound how many run at once.
pub fn stretch(password: &SecretString, session_id: &SessionId) -> WideScalar {
    stretch_with(password, session_id, ITERATIONS)
}

fn stretch_with(password: &SecretString, session_id: &SessionId, iterations: u32) -> WideScalar {
    let mut wide = Zeroizing::new([0; 64]);
    let (_, tail) = wide.split_at_mut(64 - STRETCHED_BYTES);
    let password = password.expose_secret().as_bytes();
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt(session_id).as_bytes(), iterations, tail);
    SecretBytes::new(*wide)
}

/// Reads the caller's own stretch: 32 to 64 bytes in hex, big-endian.
pub(super) fn wide_from_hex(hex: &SecretString) -> Result<WideScalar, Error> {
    let hex = hex.expose_secret().as_bytes();
    if !(64..=128).contains(&hex.len()) {
        return Err(Error::InvalidPassword);
    }
    let bytes = HEXLOWER_PERMISSIVE.decode(hex).map(Zeroizing::new).map_err(|_| Error::InvalidPassword)?;
    let mut wide = Zeroizing::new([0; 64]);
    for (to, from) in wide.iter_mut().rev().zip(bytes.iter().rev()) {
        *to = *from;
    }
    Ok(SecretBytes::new(*wide))
}

pub(super) fn salt(session_id: &SessionId) -> String {
    format!("{SALT_PREFIX}{session_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_like_hashlib() {
        // hashlib.pbkdf2_hmac("sha256", b"mypassword", b"durward/1 spaketest123", 100000, 40)
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../../docs/vectors/spake.json")).unwrap();
        for vector in vectors["stretch"].as_array().unwrap() {
            let password = SecretString::new(vector["password"].as_str().unwrap().to_owned());
            let id = vector["session_id"].as_str().unwrap().parse().unwrap();
            let wide = stretch(&password, &id);
            let (zeros, tail) = wide.expose_bytes().split_at(24);
            assert_eq!(zeros, [0; 24]);
            assert_eq!(HEXLOWER_PERMISSIVE.encode(tail), vector["output"].as_str().unwrap());
        }
    }

    #[test]
    fn a_raw_scalar_has_its_limits() {
        let read = |hex: String| wide_from_hex(&SecretString::new(hex));
        let value = read("01".repeat(32)).unwrap();
        assert_eq!(value.expose_bytes().split_at(32), (&[0; 32][..], &[1; 32][..]));
        assert!(read("aB".repeat(64)).is_ok());
        for bad in ["", "zz", &"01".repeat(31), &"01".repeat(65), &"0g".repeat(32), &"0".repeat(65)] {
            assert_eq!(read(bad.to_owned()), Err(Error::InvalidPassword), "{bad}");
        }
    }
}
