//! The six digits, and the number that tells pending pairings apart.

use std::fmt;
use std::str::FromStr;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::{Error, SecretString};

const LOWEST: u32 = 100_000;
const SPAN: u32 = 900_000;

/// A pairing code: six decimal digits, 100000..=999999. About 19.8 bits.
///
/// Far too little for a key, enough for a PAKE: every guess needs a live exchange with somebody who
/// holds the code, and the first one that fails ends it. It never leaves the machine it is made or
/// typed on, and it has no `Display`: the one way to show it is [`Code::expose_digits`].
pub struct Code(SecretString);

impl Code {
    /// A uniform code. Plain `% 900000` would favour small values, so values past the last whole
    /// multiple are drawn again.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let limit = u32::MAX - u32::MAX % SPAN;
        loop {
            let draw = rng.next_u32();
            if draw < limit {
                return Self(SecretString::new((LOWEST + draw % SPAN).to_string()));
            }
        }
    }

    /// The six ASCII digits: the SPAKE2 password.
    pub fn expose_digits(&self) -> &str {
        self.0.expose_secret()
    }

    /// A second copy, wiped on its own.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }
}

impl FromStr for Code {
    type Err = Error;

    /// Takes what people type: blanks or one hyphen between the groups are dropped.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digits: String = text.trim().chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let good =
            digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if good { Ok(Self(SecretString::new(digits))) } else { Err(Error::InvalidCode) }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// 1..=99, unique among pending pairings: which pairing the owner means. Public, and no part of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(extend("minimum" = 1, "maximum" = 99)))]
#[serde(try_from = "u8", into = "u8")]
pub struct PairingNumber(u8);

impl PairingNumber {
    /// The largest number.
    pub const MAX: u8 = 99;

    /// The number as shown.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for PairingNumber {
    type Error = Error;

    fn try_from(number: u8) -> Result<Self, Error> {
        if (1..=Self::MAX).contains(&number) { Ok(Self(number)) } else { Err(Error::InvalidNumber) }
    }
}

impl From<PairingNumber> for u8 {
    fn from(number: PairingNumber) -> Self {
        number.0
    }
}

impl fmt::Display for PairingNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What an owner types at the approver: `12-847293`, or `847293` while only one pairing waits.
#[derive(Debug)]
pub struct TypedCode {
    /// The pairing meant, when it was typed.
    pub number: Option<PairingNumber>,
    /// The code.
    pub code: Code,
}

impl FromStr for TypedCode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let is_number = |part: &str| part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
        if let Some((number, code)) = text.split_once(['-', ' ']).filter(|(number, _)| is_number(number)) {
            let number: u8 = number.parse().map_err(|_| Error::InvalidNumber)?;
            return Ok(Self { number: Some(number.try_into()?), code: code.parse()? });
        }
        Ok(Self { number: None, code: text.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::seeded;

    #[test]
    fn typed_codes() {
        let typed = |text: &str| {
            text.parse::<TypedCode>().map(|t| (t.number.map(u8::from), t.code.expose_digits().to_owned()))
        };
        assert_eq!(typed("12-847293"), Ok((Some(12), "847293".into())));
        assert_eq!(typed(" 847293\n"), Ok((None, "847293".into())));
        assert_eq!(typed("847 293"), Ok((None, "847293".into())));
        assert_eq!(typed("7 847-293"), Ok((Some(7), "847293".into())));
        for bad in ["", "12", "84729", "8472933", "047293", "0-847293", "٨٤٧٢٩٣", "12-84729a", "-847293x"]
        {
            assert!(typed(bad).is_err(), "{bad}");
        }
        assert_eq!(format!("{:?}", "847293".parse::<Code>()), "Ok([redacted])");
    }

    proptest! {
        #[test]
        fn codes_are_in_range(seed: u64) {
            let code = Code::random(&mut seeded(seed));
            let value: u32 = code.expose_digits().parse().unwrap();
            prop_assert!((100_000..=999_999).contains(&value));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,20}") {
            let _ = text.parse::<TypedCode>();
        }
    }

    #[test]
    fn codes_are_spread_evenly() {
        let mut rng = seeded(1);
        let mut buckets = [0_u32; 9];
        for _ in 0..9_000 {
            let first = Code::random(&mut rng).expose_digits().as_bytes()[0] - b'1';
            buckets[usize::from(first)] += 1;
        }
        // Nine buckets of 1,000 each, standard deviation about 30: six of those is one run in half a billion.
        assert!(buckets.iter().all(|n| (820..=1180).contains(n)), "{buckets:?}");
    }
}
