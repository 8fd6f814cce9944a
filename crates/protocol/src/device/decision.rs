//! Approving from another device: what a marked peer is asked, and the decision that it signs.
//!
//! ```text
//! digest    = SHA-256( lp(session_id) || lp(request id) || lp(domain) || lp(reason) || lp(fields asked) || lp(item_id) )
//! signature = Ed25519 over lp("durward/1 device decision") || lp(approver_id) || lp(device_id) || lp(digest)
//!             || lp("approve" or "deny") || lp(fields) || lp(expires)
//! ```
//!
//! The device computes the digest from what it shows its owner, the approver from what it would release: a decision
//! fits no other request and no other wording of the same one.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

use super::{DeviceId, DeviceKeys, DevicePublic};
use crate::encoding::{base64url_array, base64url_encode, lp_all};
use crate::receipt::joined_names;
use crate::{
    AgentId, AgentName, ApproverId, Domain, Error, Field, MAX_FIELDS, MAX_REASON_BYTES, RequestId, SessionId,
    Timestamp, field_names,
};

const LABEL: &[u8] = b"durward/1 device decision";

/// Longest item id taken from a peer, in bytes.
const MAX_ITEM_ID_BYTES: usize = 256;

/// What makes a request this one and no other: the same id must mean the same again, and decisions are signed over it.
pub fn request_digest(
    session_id: &SessionId,
    id: &RequestId,
    domain: &Domain,
    reason: &str,
    fields: &[Field],
    item_id: Option<&str>,
) -> [u8; 32] {
    let names: Vec<String> = fields.iter().map(ToString::to_string).collect();
    let bytes = lp_all(&[
        session_id.to_string().as_bytes(),
        id.to_string().as_bytes(),
        domain.as_str().as_bytes(),
        reason.as_bytes(),
        joined_names(&names).as_bytes(),
        item_id.unwrap_or_default().as_bytes(),
    ]);
    Sha256::digest(bytes).into()
}

/// A request as an approver shows it to a device of its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AskedRequest {
    /// Whose signing key a decision is for.
    pub approver_id: ApproverId,
    /// The agent's session there.
    pub session_id: SessionId,
    /// The agent's id for the request.
    pub request_id: RequestId,
    /// The agent.
    pub agent_id: AgentId,
    /// Its name.
    pub agent_name: AgentName,
    /// What for.
    pub domain: Domain,
    /// Why, in the agent's words.
    pub reason: String,
    /// Fields asked for, in the order of the digest.
    pub fields: Vec<Field>,
    /// A particular item, if the agent named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_id: Option<String>,
    /// When it stops waiting, by the approver's clock.
    pub expires: Timestamp,
}

impl AskedRequest {
    /// What a decision about it is signed over.
    pub fn digest(&self) -> [u8; 32] {
        let item_id = self.item_id.as_deref();
        request_digest(&self.session_id, &self.request_id, &self.domain, &self.reason, &self.fields, item_id)
    }

    /// Whether it is within the bounds that a request of an agent has.
    pub fn is_within_bounds(&self) -> bool {
        self.reason.len() <= MAX_REASON_BYTES
            && (1..=MAX_FIELDS).contains(&self.fields.len())
            && self.item_id.as_ref().is_none_or(|id| id.len() <= MAX_ITEM_ID_BYTES)
    }
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DecisionWord {
    /// Release the credential, once.
    Approve,
    /// Release nothing.
    Deny,
}

impl DecisionWord {
    /// The word that is signed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }

    /// The reverse.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Approve, Self::Deny].into_iter().find(|word| word.as_str() == text)
    }
}

/// A decision of a device's owner, signed by the device. Good once, for one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceDecision {
    /// For which approver.
    pub approver_id: ApproverId,
    /// Who decides.
    pub device_id: DeviceId,
    /// Which request, see [`AskedRequest::digest`].
    #[serde(serialize_with = "encode", deserialize_with = "decode")]
    pub digest: [u8; 32],
    /// Yes or no.
    pub decision: DecisionWord,
    /// Fields to release; none when denied.
    pub fields: Vec<Field>,
    /// Until when it is good, by the approver's clock.
    pub expires: Timestamp,
    /// Ed25519 (RFC 8032).
    #[serde(serialize_with = "encode", deserialize_with = "decode")]
    pub signature: [u8; 64],
}

impl DeviceDecision {
    /// Signs a decision about `asked`. `fields`: fewer than were asked for; none is all of them.
    pub fn sign(
        asked: &AskedRequest,
        decision: DecisionWord,
        fields: Option<Vec<Field>>,
        device_id: DeviceId,
        keys: &dyn DeviceKeys,
    ) -> Result<Self, Error> {
        let fields = match decision {
            DecisionWord::Approve => fields.unwrap_or_else(|| asked.fields.clone()),
            DecisionWord::Deny => Vec::new(),
        };
        let within = fields.iter().all(|field| asked.fields.contains(field));
        if !within || fields.is_empty() == (decision == DecisionWord::Approve) {
            return Err(Error::InvalidField);
        }
        let mut signed = Self {
            approver_id: asked.approver_id.clone(),
            device_id,
            digest: asked.digest(),
            decision,
            fields,
            expires: asked.expires,
            signature: [0; 64],
        };
        signed.signature = keys.sign(&signed.signed_bytes());
        Ok(signed)
    }

    /// What the signature covers. Fields as in a receipt, see [`field_names`].
    pub fn signed_bytes(&self) -> Vec<u8> {
        lp_all(&[
            LABEL,
            self.approver_id.as_str().as_bytes(),
            self.device_id.to_string().as_bytes(),
            &self.digest,
            self.decision.as_str().as_bytes(),
            field_names(&self.fields).as_bytes(),
            self.expires.to_string().as_bytes(),
        ])
    }

    /// Checks that `peer` signed it.
    pub fn verify(&self, peer: &DevicePublic) -> Result<(), Error> {
        peer.verify(&self.signed_bytes(), &self.signature)
    }
}

/// How a request that a device was asked about stands, or what became of the device's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AskedState {
    /// Released.
    Approved,
    /// Denied.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The agent gave it up.
    Cancelled,
    /// The vault has no such item.
    NotFound,
    /// It is no longer for this device to decide.
    Withdrawn,
    /// Somebody else was first, or it is over.
    TooLate,
    /// Approved by a device; the approver's vault is locked.
    VaultLocked,
    /// Several items match: the owner has to choose at the approver.
    ChooseItem,
    /// The decision does not count: not signed by this device, not for this request, too old, or not its to make.
    Refused,
    /// The approver could not act on it; it waits as before.
    Failed,
}

impl AskedState {
    const ALL: [Self; 11] = [
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::Cancelled,
        Self::NotFound,
        Self::Withdrawn,
        Self::TooLate,
        Self::VaultLocked,
        Self::ChooseItem,
        Self::Refused,
        Self::Failed,
    ];

    /// The reverse of [`AskedState::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the request is off the device's list with it.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::VaultLocked | Self::ChooseItem | Self::Refused | Self::Failed)
    }

    /// The word on the wire and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::NotFound => "not_found",
            Self::Withdrawn => "withdrawn",
            Self::TooLate => "too_late",
            Self::VaultLocked => "vault_locked",
            Self::ChooseItem => "choose_item",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

fn encode<const N: usize, S: Serializer>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&base64url_encode(bytes))
}

fn decode<'de, const N: usize, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; N], D::Error> {
    base64url_array(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;
    use crate::{ApproverKey, SecretBytes};

    struct Seed(u8);

    impl DeviceKeys for Seed {
        fn public(&self) -> DevicePublic {
            let signing = SigningKey::from_bytes(&[self.0; 32]);
            DevicePublic::new([9; 32], signing.verifying_key().to_bytes()).unwrap()
        }

        fn sign(&self, message: &[u8]) -> [u8; 64] {
            SigningKey::from_bytes(&[self.0; 32]).sign(message).to_bytes()
        }

        fn seal(&self, _to: &DevicePublic, _plaintext: &[u8]) -> Result<Vec<u8>, Error> {
            Err(Error::TooLarge)
        }

        fn open(&self, _from: &DevicePublic, _sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
            Err(Error::BadEnvelope)
        }
    }

    fn approver(n: u8) -> ApproverId {
        ApproverKey::from_seed(&SecretBytes::new([n; 32])).id().clone()
    }

    fn device(n: u8) -> DeviceId {
        DeviceId::from_bytes([n, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, n]).unwrap()
    }

    fn asked() -> AskedRequest {
        AskedRequest {
            approver_id: approver(1),
            session_id: SessionId::from_bytes([1; 16]),
            request_id: RequestId::from_bytes([2; 16]),
            agent_id: AgentId::parse("flight").unwrap(),
            agent_name: AgentName::parse("Flight").unwrap(),
            domain: Domain::parse("example.com").unwrap(),
            reason: "to book".into(),
            fields: vec![Field::Username, Field::Password, Field::Totp],
            item_id: Some("item".into()),
            expires: Timestamp::parse("2026-11-22T10:10:00Z").unwrap(),
        }
    }

    fn signed() -> DeviceDecision {
        DeviceDecision::sign(&asked(), DecisionWord::Approve, None, device(2), &Seed(2)).unwrap()
    }

    /// Changes one thing that is signed.
    fn changed(mut decision: DeviceDecision, what: u8, by: u8) -> DeviceDecision {
        let by = by.max(1);
        match what % 7 {
            0 => decision.approver_id = approver(by.max(2)),
            1 => decision.device_id = device(by.saturating_add(2)),
            2 => decision.digest[usize::from(by) % 32] ^= by,
            3 => decision.decision = DecisionWord::Deny,
            4 => decision.fields.truncate(usize::from(by) % 3),
            5 => {
                let later = decision.expires.get() + time::Duration::milliseconds(i64::from(by));
                decision.expires = Timestamp::new(later);
            }
            _ => decision.signature[usize::from(by) % 64] ^= by,
        }
        decision
    }

    /// Changes one thing that the digest covers.
    fn reworded(mut asked: AskedRequest, what: u8, by: u8) -> AskedRequest {
        let by = by.max(3);
        match what % 6 {
            0 => asked.session_id = SessionId::from_bytes([by; 16]),
            1 => asked.request_id = RequestId::from_bytes([by; 16]),
            2 => asked.domain = Domain::parse(&format!("d{by}.example.com")).unwrap(),
            3 => asked.reason.push(char::from(b'a' + by % 26)),
            4 => asked.fields.truncate(usize::from(by) % 3),
            _ => asked.item_id = (!by.is_multiple_of(2)).then(|| format!("item{by}")),
        }
        asked
    }

    #[test]
    fn a_decision_says_what_was_asked_and_no_more() {
        let signed = signed();
        assert_eq!(signed.verify(&Seed(2).public()), Ok(()));
        assert_eq!(signed.verify(&Seed(3).public()), Err(Error::BadSignature));
        assert_eq!(signed.digest, asked().digest());
        let json = serde_json::to_string(&signed).unwrap();
        assert_eq!(serde_json::from_str::<DeviceDecision>(&json).unwrap(), signed);
        let sign = |word, fields| {
            DeviceDecision::sign(&asked(), word, fields, device(2), &Seed(2)).map(|d| d.fields)
        };
        assert_eq!(sign(DecisionWord::Deny, None), Ok(Vec::new()));
        assert_eq!(sign(DecisionWord::Deny, Some(vec![Field::Password])), Ok(Vec::new()));
        assert_eq!(sign(DecisionWord::Approve, Some(vec![Field::Totp])), Ok(vec![Field::Totp]));
        assert_eq!(sign(DecisionWord::Approve, Some(vec![Field::Notes])), Err(Error::InvalidField));
        assert_eq!(sign(DecisionWord::Approve, Some(Vec::new())), Err(Error::InvalidField));
    }

    proptest! {
        #[test]
        fn whatever_is_changed_makes_the_signature_bad(what in any::<u8>(), by in any::<u8>()) {
            prop_assert_eq!(changed(signed(), what, by).verify(&Seed(2).public()), Err(Error::BadSignature));
        }

        #[test]
        fn another_request_or_another_wording_has_another_digest(what in any::<u8>(), by in any::<u8>()) {
            prop_assert_ne!(reworded(asked(), what, by).digest(), asked().digest());
        }
    }
}
