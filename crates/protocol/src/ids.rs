//! Names of things. Each is parsed once, at the edge, and can then only be a good one.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::encoding::{base64url_array, base64url_encode};
use crate::{Error, SecretBytes};

/// Longest agent id, in bytes.
pub const MAX_AGENT_ID_BYTES: usize = 64;

/// Longest agent name, in characters.
pub const MAX_AGENT_NAME_CHARS: usize = 64;

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(
            feature = "openapi",
            derive(schemars::JsonSchema),
            schemars(extend("pattern" = concat!("^", $prefix, "[A-Za-z0-9_-]{22}$")))
        )]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// Sixteen fresh random bytes.
            pub fn random(rng: &mut impl CryptoRng) -> Self {
                let mut bytes = [0; 16];
                rng.fill_bytes(&mut bytes);
                Self(bytes)
            }

            /// An id with these bytes: what a test or a store has at hand.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The sixteen bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let rest = text.strip_prefix($prefix).ok_or(Error::InvalidId)?;
                base64url_array(rest).map(Self).map_err(|_| Error::InvalidId)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, base64url_encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

random_id!(
    /// Names one pairing, from `initiate` until it is confirmed or over. Made by the approver.
    PairingId,
    "pair_"
);
random_id!(
    /// Names one session. A name, not a secret: without the keys it opens nothing. Made by the approver.
    SessionId,
    "sess_"
);
random_id!(
    /// Names one request inside a session. Made by the agent, so that a repeat joins and does not ask twice.
    RequestId,
    ""
);
random_id!(
    /// Names one grant. Made by the approver.
    GrantId,
    "grant_"
);
random_id!(
    /// New for every envelope; the replay window remembers it.
    Nonce,
    ""
);

/// What an agent calls itself: 1..=64 of `[A-Za-z0-9._-]`. A claim, not a proof.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(extend("pattern" = "^[A-Za-z0-9._-]{1,64}$")))]
#[serde(try_from = "String", into = "String")]
pub struct AgentId(String);

impl AgentId {
    /// Checks length and characters.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=MAX_AGENT_ID_BYTES).contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::InvalidAgentId)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a person reads: 1..=64 characters without controls, direction marks or invisible characters.
///
/// Refused and not cleaned: the name is part of the pairing transcript, so both ends must hold the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(extend("minLength" = 1, "maxLength" = 64)))]
#[serde(try_from = "String", into = "String")]
pub struct AgentName(String);

impl AgentName {
    /// Checks length and characters.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let length = text.chars().count();
        let blank = text.trim().is_empty();
        if !(1..=MAX_AGENT_NAME_CHARS).contains(&length) || blank || text.chars().any(is_deceptive) {
            return Err(Error::InvalidAgentName);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a character can make text read differently from what it is: controls, direction marks
/// (Unicode TR 36 section 2.5), zero-width and other invisible characters, line separators.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

macro_rules! text_id {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(AgentId);
text_id!(AgentName);
text_id!(ApproverId);

/// An approver's name on the wire: its Ed25519 receipt key, 32 bytes in base64url.
///
/// It is SPAKE2's `idB` and part of the transcript, so a finished pairing vouches for the key that
/// will sign this approver's receipts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(extend("pattern" = "^[A-Za-z0-9_-]{43}$")))]
#[serde(try_from = "String", into = "String")]
pub struct ApproverId(String);

impl ApproverId {
    /// Takes a canonical encoding of a valid point only.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bytes = base64url_array::<32>(text).map_err(|_| Error::InvalidId)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| Error::InvalidId)?;
        if key.is_weak() {
            return Err(Error::InvalidId);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text, as it enters SPAKE2 and the transcript.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The approver's signing key. Its public half is the [`ApproverId`].
pub struct ApproverKey {
    signing: SigningKey,
    id: ApproverId,
}

impl ApproverKey {
    /// A new key from 32 random bytes.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let key = Self::from_seed(&SecretBytes::new(seed));
        seed.zeroize();
        key
    }

    /// The key of a stored seed (RFC 8032 section 5.1.5).
    pub fn from_seed(seed: &SecretBytes<32>) -> Self {
        let signing = SigningKey::from_bytes(seed.expose_bytes());
        let id = ApproverId(base64url_encode(signing.verifying_key().as_bytes()));
        Self { signing, id }
    }

    /// The public name.
    pub fn id(&self) -> &ApproverId {
        &self.id
    }

    /// Signs what a receipt says (RFC 8032 section 5.1.6).
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    /// The seed, to be sealed under the rest key and nothing else.
    pub fn expose_seed(&self) -> SecretBytes<32> {
        SecretBytes::new(self.signing.to_bytes())
    }
}

impl fmt::Debug for ApproverKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApproverKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_text() {
        let id = SessionId::from_bytes([7; 16]);
        assert_eq!(id.to_string(), "sess_BwcHBwcHBwcHBwcHBwcHBw");
        assert_eq!(id.to_string().parse::<SessionId>(), Ok(id));
        for bad in [
            "",
            "sess_",
            "pair_BwcHBwcHBwcHBwcHBwcHBw",
            "sess_BwcHBwcHBwcHBwcHBwcHBx",
            "sess_BwcHBwcHBwcHBwcHBwcHBw==",
        ] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn agents_cannot_dress_up() {
        assert!(AgentId::parse("flight-booking-001").is_ok());
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(AgentId::parse(bad).is_err(), "{bad}");
        }
        assert!(AgentName::parse("Flugbuchung für Zoë ✈").is_ok());
        for bad in ["", "   ", "a\nb", "a\u{1b}[2J", "abc\u{202e}fed", "a\u{200b}b", &"x".repeat(65)] {
            assert!(AgentName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn approver_id_is_its_key() {
        let key = ApproverKey::from_seed(&SecretBytes::new([1; 32]));
        assert_eq!(ApproverId::parse(key.id().as_str()).as_ref(), Ok(key.id()));
        assert!(ApproverId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").is_err(), "a weak point");
        assert!(ApproverId::parse("approver-1").is_err());
    }
}
