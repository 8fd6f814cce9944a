//! One-time codes (RFC 6238) from the secret a site shows when a second factor is set up.

use std::fmt;

use durward_protocol::SecretString;
use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;
use totp_rs::{Algorithm, Builder, Secret, Totp};
use url::Url;
use zeroize::Zeroizing;

use crate::Error;

/// A TOTP secret as the owner gave it: base32, an `otpauth://totp/` address, or `steam://` and base32.
///
/// Read from a file it may hold anything; [`TotpSecret::code`] then says what is wrong with it.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct TotpSecret(SecretString);

impl TotpSecret {
    /// Takes what a person pastes: base32 in any case with blanks and dashes, or an address.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let secret = Self(SecretString::new(text.trim().to_owned()));
        secret.generator()?;
        Ok(secret)
    }

    /// The code at the moment `now`.
    pub fn code(&self, now: OffsetDateTime) -> Result<SecretString, Error> {
        let time = u64::try_from(now.unix_timestamp()).map_err(|_| invalid("the clock is before 1970"))?;
        Ok(SecretString::new(self.generator()?.generate(time).to_string()))
    }

    /// For how many seconds after `now` the code stays the same.
    pub fn seconds_left(&self, now: OffsetDateTime) -> Result<u64, Error> {
        let time = u64::try_from(now.unix_timestamp()).map_err(|_| invalid("the clock is before 1970"))?;
        let period = self.generator()?.step();
        Ok(period - time % period)
    }

    /// The seed itself, for an export. Never for an agent.
    pub fn expose_seed(&self) -> &str {
        self.0.expose_secret()
    }

    fn generator(&self) -> Result<Totp, Error> {
        let text = self.0.expose_secret();
        if let Some(secret) = strip_scheme(text, "steam") {
            return Ok(Builder::new_steam().with_secret(decode(secret)?).build_noncompliant());
        }
        if strip_scheme(text, "otpauth").is_some() {
            return from_address(text);
        }
        Ok(Builder::new().with_secret(decode(text)?).build_noncompliant())
    }
}

/// Reads the Key URI format (github.com/google/google-authenticator/wiki/Key-Uri-Format).
///
/// Not the library's own reader: sites hand out 80-bit seeds, lower case, and issuers that differ from the
/// label, all of which it refuses.
fn from_address(text: &str) -> Result<Totp, Error> {
    let address = Url::parse(text).map_err(|_| invalid("the otpauth address cannot be read"))?;
    if !address.host_str().is_some_and(|kind| kind.eq_ignore_ascii_case("totp")) {
        return Err(invalid("only time-based codes (otpauth://totp/) are supported"));
    }
    let (mut algorithm, mut digits, mut period, mut secret) = (Algorithm::SHA1, 6_u8, 30_u64, None);
    for (key, value) in address.query_pairs() {
        match key.as_ref() {
            "secret" => secret = Some(decode(&value)?),
            "algorithm" => algorithm = algorithm_of(&value)?,
            "digits" => digits = value.parse().map_err(|_| invalid("digits is no number"))?,
            "period" => period = value.parse().map_err(|_| invalid("period is no number"))?,
            _ => {}
        }
    }
    if !(6..=8).contains(&digits) {
        return Err(invalid("digits must be 6, 7 or 8"));
    }
    if !(1..=3600).contains(&period) {
        return Err(invalid("period must be 1 to 3600 seconds"));
    }
    let secret = secret.ok_or_else(|| invalid("the otpauth address has no secret"))?;
    let builder = Builder::new().with_algorithm(algorithm).with_digits(digits).with_step_duration(period);
    Ok(builder.with_secret(secret).build_noncompliant())
}

fn algorithm_of(name: &str) -> Result<Algorithm, Error> {
    match name.to_ascii_uppercase().replace('-', "").as_str() {
        "SHA1" | "HMACSHA1" => Ok(Algorithm::SHA1),
        "SHA256" | "HMACSHA256" => Ok(Algorithm::SHA256),
        "SHA512" | "HMACSHA512" => Ok(Algorithm::SHA512),
        _ => Err(invalid("the algorithm is none of SHA1, SHA256, SHA512")),
    }
}

fn decode(base32: &str) -> Result<Secret, Error> {
    let keep = |c: &char| !c.is_whitespace() && *c != '-' && *c != '=';
    let mut clean = Zeroizing::new(String::with_capacity(base32.len()));
    clean.extend(base32.chars().filter(keep).map(|c| c.to_ascii_uppercase()));
    if clean.is_empty() {
        return Err(invalid("it is empty"));
    }
    let secret =
        Secret::try_from_base32(clean.as_str()).map_err(|_| invalid("it is not base32 (A-Z, 2-7)"))?;
    if secret.as_bytes().len() < 5 {
        return Err(invalid("it is too short"));
    }
    Ok(secret)
}

fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = text.split_once("://")?;
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn invalid(reason: &'static str) -> Error {
    Error::InvalidTotp { reason }
}

impl Serialize for TotpSecret {
    /// Only the vault file and an export the owner asked for are written with this.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose_seed())
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RFC_SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"; // "12345678901234567890"

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    fn code(text: &str, seconds: i64) -> String {
        TotpSecret::parse(text).unwrap().code(at(seconds)).unwrap().into_exposed()
    }

    #[test]
    fn rfc_6238_appendix_b() {
        let sha256 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA";
        let sha512 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
                      GEZDGNBVGY3TQOJQGEZDGNA";
        for (seconds, one, two, five) in [
            (59, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (20_000_000_000, "65353130", "77737706", "47863826"),
        ] {
            assert_eq!(code(&format!("otpauth://totp/x?digits=8&secret={RFC_SEED}"), seconds), one);
            let address = format!("otpauth://totp/x?digits=8&algorithm=SHA256&secret={sha256}");
            assert_eq!(code(&address, seconds), two);
            let address = format!("otpauth://totp/x?digits=8&algorithm=sha-512&secret={sha512}");
            assert_eq!(code(&address, seconds), five);
        }
    }

    #[test]
    fn people_paste_all_sorts() {
        assert_eq!(code(RFC_SEED, 59), "287082");
        assert_eq!(code("gezd gnbv-gy3t qojq gezd gnbv gy3t qojq", 59), "287082");
        let address = format!("otpauth://totp/Site:me?issuer=Other&secret={}", RFC_SEED.to_lowercase());
        assert_eq!(code(&address, 59), "287082");
        assert_eq!(code(&format!("otpauth://totp/x?period=60&secret={RFC_SEED}"), 59), code(RFC_SEED, 0));
        assert_eq!(code(&format!("steam://{RFC_SEED}"), 59).len(), 5);
        assert_eq!(TotpSecret::parse(RFC_SEED).unwrap().seconds_left(at(59)).unwrap(), 1);
    }

    #[test]
    fn what_cannot_work_is_refused_at_the_door() {
        for bad in [
            "",
            " ",
            "otpauth://totp/x",
            "otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ",
            "GEZ!",
            "11111111",
            "GE",
            "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&digits=10",
            "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&period=0",
            "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&algorithm=MD5",
        ] {
            let error = TotpSecret::parse(bad).unwrap_err().to_string();
            assert!(error.contains("base32") && (bad.trim().is_empty() || !error.contains(bad)), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC{0,80}", address in "otpauth://(totp|hotp)/[a-z:]{0,5}\\?[a-z0-9=&%]{0,60}") {
            for text in [text, address] {
                if let Ok(secret) = TotpSecret::parse(&text) {
                    prop_assert!(secret.code(at(1_700_000_000)).is_ok());
                }
            }
        }
    }
}
