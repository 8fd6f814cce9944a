//! What is said inside envelopes: JSON with a `type`. Unknown fields are ignored here, so that a newer
//! peer can say more to an older one.
//!
//! `request` is what agents send, `response` what comes back; here is what both have.

mod request;
mod response;
#[cfg(test)]
mod tests;

use std::fmt;

use rand_core::CryptoRng;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use crate::Error;
use crate::encoding::{base64url_array, base64url_encode, from_json_object};
use crate::ids::Nonce;

pub use request::{
    CredentialCancel, CredentialRequest, MAX_EXPIRES_IN_SECONDS, MAX_REASON_BYTES, SessionRevoke,
};
pub use response::{Acknowledgement, CredentialResponse, Verdict};

/// When a message was sealed: RFC 3339 in UTC, written with `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(extend("format" = "date-time")))]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// `now`, cut to milliseconds.
    pub fn new(now: OffsetDateTime) -> Self {
        let millis = now.to_offset(time::UtcOffset::UTC).replace_millisecond(now.millisecond());
        Self(millis.unwrap_or(now))
    }

    /// Reads the text on the wire.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > 40 || !text.ends_with('Z') {
            return Err(Error::InvalidMessage);
        }
        OffsetDateTime::parse(text, &Rfc3339).map(Self).map_err(|_| Error::InvalidMessage)
    }

    /// The moment.
    pub fn get(self) -> OffsetDateTime {
        self.0
    }
}

impl TryFrom<String> for Timestamp {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

/// The kinds of sealed message. Each endpoint takes exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// An agent asks for a credential.
    CredentialRequest,
    /// An agent gives a request up.
    CredentialCancel,
    /// An agent ends its session.
    SessionRevoke,
    /// The verdict on a request.
    CredentialResponse,
    /// Done as asked.
    Ok,
}

impl MessageType {
    /// The `type` field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CredentialRequest => "credential.request",
            Self::CredentialCancel => "credential.cancel",
            Self::SessionRevoke => "session.revoke",
            Self::CredentialResponse => "credential.response",
            Self::Ok => "ok",
        }
    }
}

/// What every sealed message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// When it was sealed.
    pub timestamp: Timestamp,
    /// New for every envelope.
    pub nonce: Nonce,
}

impl Header {
    /// A header for a message sealed now.
    pub fn new(now: OffsetDateTime, rng: &mut impl CryptoRng) -> Self {
        Self { timestamp: Timestamp::new(now), nonce: Nonce::random(rng) }
    }
}

/// The newest audit records each side has: its own, and the other's that it has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    /// The sender's newest record.
    pub mine: Head,
    /// The receiver's newest record that the sender has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yours: Option<Head>,
}

/// One record of an audit chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The record's number; 0 for a chain without records.
    pub n: u64,
    /// Its hash, base64url.
    pub hash: String,
}

impl Head {
    /// The head of a chain that ends with this record.
    pub fn new(n: u64, hash: &[u8; 32]) -> Self {
        Self { n, hash: base64url_encode(hash) }
    }

    /// The hash; `None` when the peer wrote something else there, which is no reason to refuse a message.
    pub fn hash_bytes(&self) -> Option<[u8; 32]> {
        base64url_array(&self.hash).ok()
    }
}

#[derive(Deserialize)]
struct TypeOnly {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(flatten)]
    _rest: IgnoredAny,
}

fn expect_type(plaintext: &[u8], expected: MessageType) -> Result<(), Error> {
    let found: TypeOnly = from_json_object(plaintext)?;
    if found.kind.as_deref() == Some(expected.as_str()) { Ok(()) } else { Err(Error::WrongType) }
}

/// Serialises into a buffer large enough never to move: a buffer that grows leaves copies behind.
fn to_json(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut out = Zeroizing::new(Vec::with_capacity(check_size(value)?));
    serde_json::to_writer(&mut *out, value).map_err(|_| Error::InvalidMessage)?;
    Ok(out)
}

/// How long a message is as JSON; an error when no envelope holds it.
fn check_size(value: &impl Serialize) -> Result<usize, Error> {
    let mut counter = CountingWriter(0);
    serde_json::to_writer(&mut counter, value).map_err(|_| Error::InvalidMessage)?;
    if counter.0 > crate::envelope::MAX_PLAINTEXT_BYTES { Err(Error::TooLarge) } else { Ok(counter.0) }
}

struct CountingWriter(usize);

impl std::io::Write for CountingWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
