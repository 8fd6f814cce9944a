//! Receipts: the approver's signed word on one request, which the agent can keep and show.
//!
//! ```text
//! receipt = base64url( 0x01 || Ed25519 signature (64 bytes) || body )
//! body    = lp(approver_id) || lp(agent_id) || lp(fingerprint) || lp(request id) || lp(domain) || lp(SHA-256(reason))
//!           || lp(fields asked) || lp(fields released) || lp(verdict) || lp(decided by) || lp(time) || lp(policy version)
//! ```
//!
//! The signature (RFC 8032) is over `lp("durward/1 receipt") || lp(body)`. Its key is `approver_id`, which the
//! pairing's transcript vouches for: without that anybody could sign a receipt under a key of their own.

use std::fmt;
use std::str::FromStr as _;

use ed25519_dalek::{SIGNATURE_LENGTH, Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::encoding::{base64url_array, base64url_decode, base64url_encode, lp, lp_all};
use crate::{
    AgentId, ApproverId, ApproverKey, Domain, Error, Field, Fingerprint, RequestId, Timestamp, Verdict,
};

/// First byte of a receipt.
pub const RECEIPT_VERSION: u8 = 0x01;

/// Longest receipt, in characters. Sixteen of the longest field names twice take about half.
pub const MAX_RECEIPT_CHARS: usize = 8_192;

const LABEL: &[u8] = b"durward/1 receipt";

/// Who decided a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decider {
    /// The owner, asked.
    Owner,
    /// The agent itself: it gave the request up.
    Agent,
    /// A standing grant.
    Grant,
    /// A rule of the owner's policy.
    Policy,
    /// The clock or the approver itself.
    System,
}

impl Decider {
    const ALL: [Self; 5] = [Self::Owner, Self::Agent, Self::Grant, Self::Policy, Self::System];

    /// The word in a receipt.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Agent => "agent",
            Self::Grant => "grant",
            Self::Policy => "policy",
            Self::System => "system",
        }
    }

    /// The reverse.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decider| decider.as_str() == text)
    }
}

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a receipt says, without who says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The agent that asked, as it was paired.
    pub agent_id: AgentId,
    /// The session it asked in: both ends show these bytes as five words.
    pub fingerprint: Fingerprint,
    /// The request.
    pub request_id: RequestId,
    /// What for.
    pub domain: Domain,
    /// SHA-256 of the reason: who has the reason can prove that the owner read it, nobody else learns it.
    pub reason_hash: [u8; 32],
    /// Fields asked for, see [`field_names`].
    pub fields_asked: String,
    /// Fields released, see [`field_names`]; empty unless approved.
    pub fields_released: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Who decided.
    pub decided_by: Decider,
    /// When it was sealed.
    pub at: Timestamp,
    /// Version of the owner's policy then; empty without one.
    pub policy_version: String,
}

/// A receipt whose signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Who signed it.
    pub approver_id: ApproverId,
    /// What it says.
    pub statement: Statement,
}

/// Names of fields as a receipt has them: sorted by their bytes, joined by commas, with a backslash before a comma or a
/// backslash within one.
pub fn field_names(fields: &[Field]) -> String {
    let mut names: Vec<String> = fields.iter().map(ToString::to_string).collect();
    names.sort();
    joined_names(&names)
}

/// Joins names by commas. A comma or a backslash within a name stands behind a backslash: else `a,b` would be signed
/// like `a` and `b`, and a word given for one list would count for the other.
pub(crate) fn joined_names(names: &[String]) -> String {
    let escaped: Vec<String> =
        names.iter().map(|name| name.replace('\\', "\\\\").replace(',', "\\,")).collect();
    escaped.join(",")
}

/// SHA-256 of a request's reason.
pub fn reason_hash(reason: &str) -> [u8; 32] {
    Sha256::digest(reason.as_bytes()).into()
}

impl Statement {
    /// Signs it. The text goes into the sealed answer.
    pub fn sign(&self, key: &ApproverKey) -> String {
        let body = self.body(key.id());
        let signature = key.sign(&lp_all(&[LABEL, &body]));
        let mut bytes = Vec::with_capacity(1 + SIGNATURE_LENGTH + body.len());
        bytes.push(RECEIPT_VERSION);
        bytes.extend_from_slice(&signature);
        bytes.extend_from_slice(&body);
        base64url_encode(&bytes)
    }

    fn body(&self, approver_id: &ApproverId) -> Vec<u8> {
        let (request_id, at) = (self.request_id.to_string(), self.at.to_string());
        lp_all(&[
            approver_id.as_str().as_bytes(),
            self.agent_id.as_str().as_bytes(),
            &self.fingerprint.0,
            request_id.as_bytes(),
            self.domain.as_str().as_bytes(),
            &self.reason_hash,
            self.fields_asked.as_bytes(),
            self.fields_released.as_bytes(),
            self.verdict.as_str().as_bytes(),
            self.decided_by.as_str().as_bytes(),
            at.as_bytes(),
            self.policy_version.as_bytes(),
        ])
    }
}

impl Receipt {
    /// Reads a receipt and checks its signature under the key it names. Whether that key is the right
    /// approver's is the caller's to know: see [`Receipt::verify_from`].
    pub fn verify(text: &str) -> Result<Self, Error> {
        let bad = |_| Error::BadReceipt;
        if text.len() > MAX_RECEIPT_CHARS {
            return Err(Error::BadReceipt);
        }
        let bytes = base64url_decode(text).map_err(bad)?;
        let (version, rest) = bytes.split_first().ok_or(Error::BadReceipt)?;
        if *version != RECEIPT_VERSION {
            return Err(Error::UnsupportedVersion);
        }
        let (signature, body) = rest.split_first_chunk::<SIGNATURE_LENGTH>().ok_or(Error::BadReceipt)?;
        let receipt = Self::parse(body).ok_or(Error::BadReceipt)?;
        let key = base64url_array::<32>(receipt.approver_id.as_str()).map_err(bad)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| Error::BadReceipt)?;
        // Strict: a signature that another library refuses would be no proof to a stranger.
        key.verify_strict(&lp_all(&[LABEL, body]), &Signature::from_bytes(signature))
            .map_err(|_| Error::BadReceipt)?;
        Ok(receipt)
    }

    /// The same, and it must be this approver's.
    pub fn verify_from(text: &str, approver_id: &ApproverId) -> Result<Self, Error> {
        let receipt = Self::verify(text)?;
        if receipt.approver_id == *approver_id { Ok(receipt) } else { Err(Error::ReceiptOfAnother) }
    }

    /// Whether it is about a request with this reason.
    pub fn is_for_reason(&self, reason: &str) -> bool {
        self.statement.reason_hash == reason_hash(reason)
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let mut rest = body;
        let mut next = || {
            let (length, after) = rest.split_first_chunk::<8>()?;
            let (part, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            rest = after;
            Some(part)
        };
        let mut parts: [&[u8]; 12] = [&[]; 12];
        for part in &mut parts {
            *part = next()?;
        }
        if !rest.is_empty() {
            return None;
        }
        let [approver, agent, fingerprint, id, domain, reason, asked, released, verdict, by, at, policy] =
            parts;
        let text = |part: &[u8]| String::from_utf8(part.to_vec()).ok();
        Some(Self {
            approver_id: ApproverId::parse(&text(approver)?).ok()?,
            statement: Statement {
                agent_id: AgentId::parse(&text(agent)?).ok()?,
                fingerprint: Fingerprint(fingerprint.try_into().ok()?),
                request_id: RequestId::from_str(&text(id)?).ok()?,
                domain: Domain::parse(&text(domain)?).ok()?,
                reason_hash: reason.try_into().ok()?,
                fields_asked: text(asked)?,
                fields_released: text(released)?,
                verdict: Verdict::parse(&text(verdict)?)?,
                decided_by: Decider::parse(&text(by)?)?,
                at: Timestamp::parse(&text(at)?).ok()?,
                policy_version: text(policy)?,
            },
        })
    }
}

/// `SHA-256( lp("durward/1 audit") || lp(n, u64 little-endian) || lp(previous hash) || lp(body) )`: links one
/// record of an audit chain to the one before. Both ends chain their records like this.
pub fn chain_hash(n: u64, previous: &[u8; 32], body: &str) -> [u8; 32] {
    let mut bytes = lp_all(&[b"durward/1 audit", &n.to_le_bytes(), previous]);
    lp(&mut bytes, body.as_bytes());
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretBytes;

    fn statement() -> Statement {
        Statement {
            agent_id: AgentId::parse("a").unwrap(),
            fingerprint: Fingerprint([3; 8]),
            request_id: RequestId::from_bytes([4; 16]),
            domain: Domain::parse("example.com").unwrap(),
            reason_hash: reason_hash("Book the flight"),
            fields_asked: field_names(&[Field::Username, Field::Password]),
            fields_released: field_names(&[Field::Password]),
            verdict: Verdict::Approved,
            decided_by: Decider::Owner,
            at: Timestamp::parse("2026-11-22T10:00:00.123Z").unwrap(),
            policy_version: String::new(),
        }
    }

    fn key(seed: u8) -> ApproverKey {
        ApproverKey::from_seed(&SecretBytes::new([seed; 32]))
    }

    #[test]
    fn a_receipt_says_what_was_signed_and_by_whom() {
        let text = statement().sign(&key(1));
        let receipt = Receipt::verify_from(&text, key(1).id()).unwrap();
        assert_eq!(receipt.statement, statement());
        assert_eq!(receipt.statement.fields_asked, "password,username");
        assert!(receipt.is_for_reason("Book the flight") && !receipt.is_for_reason("Book the Flight"));
        assert_eq!(Receipt::verify_from(&text, key(2).id()), Err(Error::ReceiptOfAnother));
    }

    #[test]
    fn no_byte_of_it_can_be_changed() {
        let text = statement().sign(&key(1));
        let bytes = base64url_decode(&text).unwrap();
        for at in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[at] ^= 1;
            assert!(Receipt::verify(&base64url_encode(&bent)).is_err(), "byte {at}");
            assert!(Receipt::verify(&base64url_encode(&bytes[..at])).is_err(), "cut at {at}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(Receipt::verify(&base64url_encode(&longer)).is_err());
        assert!(Receipt::verify(&"A".repeat(MAX_RECEIPT_CHARS + 1)).is_err());
    }

    #[test]
    fn the_longest_one_fits() {
        let fields: Vec<Field> = (0..16).map(|n| Field::Custom(format!("{n:064}"))).collect();
        let long = Statement {
            agent_id: AgentId::parse(&"x".repeat(64)).unwrap(),
            fields_asked: field_names(&fields),
            fields_released: field_names(&fields),
            ..statement()
        };
        let text = long.sign(&key(1));
        assert!(text.len() < MAX_RECEIPT_CHARS, "{}", text.len());
        assert_eq!(Receipt::verify(&text).unwrap().statement, long);
    }
}
