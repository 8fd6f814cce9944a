//! The suites and roles by name, and what a client must know of each.

use serde::Serialize;

use super::Error;
use super::id::SessionId;
use super::stretch::{ITERATIONS, STRETCHED_BYTES, salt};

/// Which SPAKE2 a session speaks. The name is on the wire; it is never negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeSuite"))]
pub enum Suite {
    /// RFC 9382 on P-256 with SHA-256, HKDF and HMAC; the password is stretched by PBKDF2.
    #[default]
    #[serde(rename = "p256-sha256")]
    P256Sha256,
    /// The same, with `w` as the caller stretched it.
    #[serde(rename = "p256-sha256-raw")]
    P256Sha256Raw,
    /// python-spake2's Ed25519 suite with its messages, and our key confirmation.
    #[serde(rename = "spake2-ed25519")]
    Spake2Ed25519,
}

impl Suite {
    /// Every suite, the default first.
    pub const ALL: [Self; 3] = [Self::P256Sha256, Self::P256Sha256Raw, Self::Spake2Ed25519];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::P256Sha256 => "p256-sha256",
            Self::P256Sha256Raw => "p256-sha256-raw",
            Self::Spake2Ed25519 => "spake2-ed25519",
        }
    }

    /// Looks a suite up by its name.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|suite| suite.name() == name).ok_or(Error::UnknownSuite)
    }

    /// What the answer to `initiate` repeats, so that a client can check what it assumed.
    pub(super) fn parameters(self, session_id: &SessionId) -> Parameters {
        let stretch = (self == Self::P256Sha256).then(|| Stretch {
            function: "PBKDF2-HMAC-SHA256",
            salt: salt(session_id),
            iterations: ITERATIONS,
            output_bytes: STRETCHED_BYTES,
        });
        Parameters {
            group: if self == Self::Spake2Ed25519 { "Ed25519" } else { "P-256" },
            hash: "SHA-256",
            kdf: "HKDF-SHA256",
            mac: "HMAC-SHA256",
            stretch,
        }
    }
}

/// Which side of SPAKE2 the service plays; the caller's peer plays the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeRole"))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Party A: blinds with M.
    A,
    /// Party B: blinds with N.
    #[default]
    B,
}

impl Role {
    /// Reads `a` or `b`.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        match name {
            "a" => Ok(Self::A),
            "b" => Ok(Self::B),
            _ => Err(Error::UnknownRole),
        }
    }
}

/// The parameters of a suite, as `initiate` answers them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeParameters"))]
pub struct Parameters {
    /// `P-256` or `Ed25519`.
    pub group: &'static str,
    /// The transcript hash.
    pub hash: &'static str,
    /// The key derivation.
    pub kdf: &'static str,
    /// The confirmation MAC.
    pub mac: &'static str,
    /// How the password becomes `w`; absent where the suite does not stretch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stretch: Option<Stretch>,
}

/// How `p256-sha256` stretches a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SpakeStretch"))]
pub struct Stretch {
    /// The function.
    pub function: &'static str,
    /// The salt, as text: its UTF-8 bytes count.
    pub salt: String,
    /// The iteration count.
    pub iterations: u32,
    /// The output length in bytes, before the reduction modulo the group order.
    pub output_bytes: usize,
}
