//! What agents send: a request, its end, the session's end.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Header, Heads, MessageType, Timestamp, expect_type, to_json};
use crate::credential::MAX_FIELDS;
use crate::encoding::from_json_object;
use crate::ids::{Nonce, RequestId};
use crate::{Domain, Error, Field};

/// Longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 4_096;

/// Longest wait an agent may ask for, in seconds: 24 h.
pub const MAX_EXPIRES_IN_SECONDS: u64 = 86_400;

const MAX_ITEM_ID_BYTES: usize = 256;

/// An agent asks for one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRequest {
    /// The agent's id for it: the same id with the same content joins, and never asks twice.
    pub id: RequestId,
    /// What the credential is for.
    pub domain: Domain,
    /// Why, for the owner to read. At most [`MAX_REASON_BYTES`].
    pub reason: String,
    /// Fields asked for; never empty.
    pub fields: Vec<Field>,
    /// A particular item, when the agent knows it.
    pub item_id: Option<String>,
    /// How long to wait for the owner, in seconds.
    pub expires_in: Option<u64>,
    /// Audit heads.
    pub heads: Option<Heads>,
}

#[derive(Serialize, Deserialize)]
struct RequestWire {
    #[serde(rename = "type")]
    kind: String,
    id: RequestId,
    domain: Domain,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<Field>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heads: Option<Heads>,
    timestamp: Timestamp,
    nonce: Nonce,
}

impl CredentialRequest {
    /// Reads a plaintext that opened.
    pub fn parse(plaintext: &[u8]) -> Result<(Header, Self), Error> {
        let wire: RequestWire = match from_json_object::<RequestWire>(plaintext) {
            Ok(wire) if wire.kind == MessageType::CredentialRequest.as_str() => wire,
            // Read once when it is good; another type is named as such, whatever fields it has.
            _ => {
                expect_type(plaintext, MessageType::CredentialRequest)?;
                return Err(Error::InvalidMessage);
            }
        };
        let mut fields = wire.fields.unwrap_or_else(Field::default_set);
        fields.sort();
        fields.dedup();
        let fits = !fields.is_empty()
            && fields.len() <= MAX_FIELDS
            && wire.reason.len() <= MAX_REASON_BYTES
            // No database takes a NUL as text, and no honest reason has one.
            && !wire.reason.contains('\0')
            && wire.item_id.as_ref().is_none_or(|id| !id.contains('\0'))
            && wire.item_id.as_ref().is_none_or(|id| (1..=MAX_ITEM_ID_BYTES).contains(&id.len()))
            && wire.expires_in.is_none_or(|s| (1..=MAX_EXPIRES_IN_SECONDS).contains(&s));
        if !fits {
            return Err(Error::InvalidMessage);
        }
        let header = Header { timestamp: wire.timestamp, nonce: wire.nonce };
        let request = Self {
            id: wire.id,
            domain: wire.domain,
            reason: wire.reason,
            fields,
            item_id: wire.item_id,
            expires_in: wire.expires_in,
            heads: wire.heads,
        };
        Ok((header, request))
    }

    /// The plaintext to seal.
    pub fn to_plaintext(&self, header: Header) -> Result<Zeroizing<Vec<u8>>, Error> {
        to_json(&RequestWire {
            kind: MessageType::CredentialRequest.as_str().into(),
            id: self.id,
            domain: self.domain.clone(),
            reason: self.reason.clone(),
            fields: Some(self.fields.clone()),
            item_id: self.item_id.clone(),
            expires_in: self.expires_in,
            heads: self.heads.clone(),
            timestamp: header.timestamp,
            nonce: header.nonce,
        })
    }
}

/// An agent gives a request up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialCancel {
    /// The request.
    pub id: RequestId,
}

#[derive(Serialize, Deserialize)]
struct CancelWire {
    #[serde(rename = "type")]
    kind: String,
    id: RequestId,
    timestamp: Timestamp,
    nonce: Nonce,
}

impl CredentialCancel {
    /// Reads a plaintext that opened.
    pub fn parse(plaintext: &[u8]) -> Result<(Header, Self), Error> {
        expect_type(plaintext, MessageType::CredentialCancel)?;
        let wire: CancelWire = from_json_object(plaintext)?;
        Ok((Header { timestamp: wire.timestamp, nonce: wire.nonce }, Self { id: wire.id }))
    }

    /// The plaintext to seal.
    pub fn to_plaintext(&self, header: Header) -> Result<Zeroizing<Vec<u8>>, Error> {
        to_json(&CancelWire {
            kind: MessageType::CredentialCancel.as_str().into(),
            id: self.id,
            timestamp: header.timestamp,
            nonce: header.nonce,
        })
    }
}

/// An agent ends its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRevoke;

#[derive(Serialize, Deserialize)]
struct RevokeWire {
    #[serde(rename = "type")]
    kind: String,
    timestamp: Timestamp,
    nonce: Nonce,
}

impl SessionRevoke {
    /// Reads a plaintext that opened.
    pub fn parse(plaintext: &[u8]) -> Result<(Header, Self), Error> {
        expect_type(plaintext, MessageType::SessionRevoke)?;
        let wire: RevokeWire = from_json_object(plaintext)?;
        Ok((Header { timestamp: wire.timestamp, nonce: wire.nonce }, Self))
    }

    /// The plaintext to seal.
    pub fn to_plaintext(self, header: Header) -> Result<Zeroizing<Vec<u8>>, Error> {
        to_json(&RevokeWire {
            kind: MessageType::SessionRevoke.as_str().into(),
            timestamp: header.timestamp,
            nonce: header.nonce,
        })
    }
}
