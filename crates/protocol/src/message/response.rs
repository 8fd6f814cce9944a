//! What approvers send: the verdict on a request, and the plain yes to an order.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Header, Heads, MessageType, Timestamp, check_size, expect_type, to_json};
use crate::encoding::from_json_object;
use crate::ids::{Nonce, RequestId};
use crate::{Credential, Domain, Error, SecretString};

/// How a request ended. The sealed word is the one that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The owner, or a grant, said yes: the credential is in the answer.
    Approved,
    /// The owner, or a rule, said no.
    Denied,
    /// The vault has nothing for this domain.
    NotFound,
    /// Nobody answered in time, or the answer can no longer be given: ask anew under a new id.
    Expired,
    /// The agent gave it up.
    Cancelled,
}

impl Verdict {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// The reverse.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Approved, Self::Denied, Self::NotFound, Self::Expired, Self::Cancelled]
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The verdict on a request, with the credential when it is [`Verdict::Approved`].
#[derive(Debug)]
pub struct CredentialResponse {
    /// The request it answers.
    pub in_reply_to: RequestId,
    /// The verdict.
    pub status: Verdict,
    /// The owner's words, or a stable word such as `session_revoked`.
    pub reason: Option<String>,
    /// The credential; empty unless approved.
    pub credential: Credential,
    /// A signed receipt, base64url.
    pub receipt: Option<String>,
    /// Audit heads.
    pub heads: Option<Heads>,
}

#[derive(Serialize)]
struct ResponseOut<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    in_reply_to: RequestId,
    status: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a Domain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    totp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<BTreeMap<&'a str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heads: Option<&'a Heads>,
    timestamp: Timestamp,
    nonce: Nonce,
}

#[derive(Deserialize)]
struct ResponseIn {
    in_reply_to: RequestId,
    status: Verdict,
    reason: Option<String>,
    domain: Option<Domain>,
    #[serde(default)]
    item_id: String,
    username: Option<SecretString>,
    password: Option<SecretString>,
    totp: Option<SecretString>,
    uri: Option<SecretString>,
    notes: Option<SecretString>,
    #[serde(default)]
    custom: BTreeMap<String, SecretString>,
    receipt: Option<String>,
    heads: Option<Heads>,
    timestamp: Timestamp,
    nonce: Nonce,
}

impl CredentialResponse {
    /// A verdict without a credential.
    pub fn verdict(in_reply_to: RequestId, status: Verdict, reason: Option<String>) -> Self {
        Self { in_reply_to, status, reason, credential: Credential::default(), receipt: None, heads: None }
    }

    /// Reads a plaintext that opened.
    pub fn parse(plaintext: &[u8]) -> Result<(Header, Self), Error> {
        expect_type(plaintext, MessageType::CredentialResponse)?;
        let wire: ResponseIn = from_json_object(plaintext)?;
        let header = Header { timestamp: wire.timestamp, nonce: wire.nonce };
        let credential = Credential {
            item_id: wire.item_id,
            domain: wire.domain,
            username: wire.username,
            password: wire.password,
            totp: wire.totp,
            uri: wire.uri,
            notes: wire.notes,
            custom: wire.custom,
        };
        let response = Self {
            in_reply_to: wire.in_reply_to,
            status: wire.status,
            reason: wire.reason,
            credential,
            receipt: wire.receipt,
            heads: wire.heads,
        };
        Ok((header, response))
    }

    /// The plaintext to seal; wiped on drop.
    pub fn to_plaintext(&self, header: Header) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.with_wire(header, |wire| to_json(wire))
    }

    /// Whether an envelope holds it, without writing it anywhere.
    pub fn fits(&self, header: Header) -> bool {
        self.with_wire(header, |wire| check_size(wire)).is_ok()
    }

    fn with_wire<T>(&self, header: Header, write: impl FnOnce(&ResponseOut<'_>) -> T) -> T {
        let credential = &self.credential;
        let custom: BTreeMap<&str, &str> =
            credential.custom.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        write(&ResponseOut {
            kind: MessageType::CredentialResponse.as_str(),
            in_reply_to: self.in_reply_to,
            status: self.status,
            reason: self.reason.as_deref(),
            domain: credential.domain.as_ref(),
            item_id: Some(credential.item_id.as_str()).filter(|id| !id.is_empty()),
            username: credential.username.as_ref().map(SecretString::expose_secret),
            password: credential.password.as_ref().map(SecretString::expose_secret),
            totp: credential.totp.as_ref().map(SecretString::expose_secret),
            uri: credential.uri.as_ref().map(SecretString::expose_secret),
            notes: credential.notes.as_ref().map(SecretString::expose_secret),
            custom: Some(custom).filter(|fields| !fields.is_empty()),
            receipt: self.receipt.as_deref(),
            heads: self.heads.as_ref(),
            timestamp: header.timestamp,
            nonce: header.nonce,
        })
    }
}

/// Done as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The nonce of the envelope that asked.
    pub in_reply_to: Nonce,
}

#[derive(Serialize, Deserialize)]
struct OkWire {
    #[serde(rename = "type")]
    kind: String,
    in_reply_to: Nonce,
    timestamp: Timestamp,
    nonce: Nonce,
}

impl Acknowledgement {
    /// Reads a plaintext that opened.
    pub fn parse(plaintext: &[u8]) -> Result<(Header, Self), Error> {
        expect_type(plaintext, MessageType::Ok)?;
        let wire: OkWire = from_json_object(plaintext)?;
        Ok((Header { timestamp: wire.timestamp, nonce: wire.nonce }, Self { in_reply_to: wire.in_reply_to }))
    }

    /// The plaintext to seal.
    pub fn to_plaintext(self, header: Header) -> Result<Zeroizing<Vec<u8>>, Error> {
        to_json(&OkWire {
            kind: MessageType::Ok.as_str().into(),
            in_reply_to: self.in_reply_to,
            timestamp: header.timestamp,
            nonce: header.nonce,
        })
    }
}
