//! The key schedule: from one SPAKE2 key to the keys of a session, a type for each stage.
//!
//! `spake2_key -> Prk -> { confirm a, confirm b, seal a to b, seal b to a, fingerprint }`
//!
//! Each stage consumes the one before, so an early secret cannot be used late.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::encoding::{base64url_array, base64url_encode, lp_all};
use crate::ids::{AgentId, AgentName, ApproverId, PairingId, SessionId};
use crate::pake::{PakeMessage, Side};
use crate::words::fingerprint_words;
use crate::{Error, Scope, SecretBytes};

/// Everything both ends said while pairing, in the order in which it is hashed.
#[derive(Clone, Debug)]
pub struct PairingTranscript<'a> {
    /// Which pairing.
    pub pairing_id: &'a PairingId,
    /// Who asks (SPAKE2's idA).
    pub agent_id: &'a AgentId,
    /// What the owner read.
    pub agent_name: &'a AgentName,
    /// Who answers (SPAKE2's idB).
    pub approver_id: &'a ApproverId,
    /// The scope the agent asked for.
    pub scope_asked: &'a Scope,
    /// The scope the owner granted.
    pub scope_granted: &'a Scope,
    /// The session that will be.
    pub session_id: &'a SessionId,
    /// SPAKE2 message of the agent.
    pub message_a: &'a PakeMessage,
    /// SPAKE2 message of the approver.
    pub message_b: &'a PakeMessage,
}

impl PairingTranscript<'_> {
    /// SHA-256 over a label and every field, each with its length.
    ///
    /// What is hashed here cannot be changed in flight: an attacker who renames the agent, widens the
    /// scope or swaps the session id leaves the two ends with different transcripts, different keys
    /// and a confirmation that fails.
    pub fn hash(&self) -> TranscriptHash {
        let (pairing_id, session_id) = (self.pairing_id.to_string(), self.session_id.to_string());
        let bytes = lp_all(&[
            b"durward/1 pairing agent",
            pairing_id.as_bytes(),
            self.agent_id.as_str().as_bytes(),
            self.agent_name.as_str().as_bytes(),
            self.approver_id.as_str().as_bytes(),
            self.scope_asked.as_str().as_bytes(),
            self.scope_granted.as_str().as_bytes(),
            session_id.as_bytes(),
            self.message_a.as_bytes(),
            self.message_b.as_bytes(),
        ]);
        TranscriptHash(Sha256::digest(bytes).into())
    }
}

/// SHA-256 of a pairing transcript. Public: everything in it crossed the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranscriptHash([u8; 32]);

impl TranscriptHash {
    /// A hash that was computed elsewhere, for example over a device transcript.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Keys that exist between the exchange and its confirmation.
pub struct UnconfirmedKeys {
    confirm_a: SecretBytes<32>,
    confirm_b: SecretBytes<32>,
    transcript: TranscriptHash,
    session: SessionKeys,
}

impl UnconfirmedKeys {
    /// HKDF-SHA256 (RFC 5869) with the transcript as salt: Extract, then one Expand per purpose.
    ///
    /// One key per purpose and direction, so a message can never be taken for one of another kind:
    /// with a single key an attacker could send an agent's own request back to it as an answer.
    pub fn derive(spake2_key: SecretBytes<32>, transcript: TranscriptHash) -> Self {
        let prk = Hkdf::<Sha256>::new(Some(&transcript.0), spake2_key.expose_bytes());
        drop(spake2_key); // wiped: from here on only derived keys exist
        Self {
            confirm_a: expand(&prk, "durward/1 confirm a"),
            confirm_b: expand(&prk, "durward/1 confirm b"),
            transcript,
            session: SessionKeys {
                a_to_b: expand(&prk, "durward/1 seal a to b"),
                b_to_a: expand(&prk, "durward/1 seal b to a"),
                fingerprint: Fingerprint(*expand::<8>(&prk, "durward/1 fingerprint").expose_bytes()),
            },
        }
    }

    /// The MAC that `side` sends to prove it has the key: HMAC-SHA256(confirm, transcript).
    pub fn confirmation(&self, side: Side) -> Confirmation {
        let key = match side {
            Side::A => &self.confirm_a,
            Side::B => &self.confirm_b,
        };
        let mac = hmac(key, &self.transcript.0);
        Confirmation(mac)
    }

    /// Checks what `from` sent, in constant time, and turns the keys into those of a session.
    ///
    /// Without confirmation a wrong code would show only later, as messages that do not open, and
    /// nobody could tell a typing error from an attack. Consumes the keys either way: a wrong
    /// confirmation was the one guess.
    pub fn verify(self, from: Side, received: &Confirmation) -> Result<SessionKeys, Error> {
        let expected = self.confirmation(from);
        if expected.0.ct_eq(&received.0).into() { Ok(self.session) } else { Err(Error::ConfirmationFailed) }
    }

    /// The fingerprint, for the side that must show it before the other confirms.
    pub fn fingerprint(&self) -> Fingerprint {
        self.session.fingerprint
    }
}

impl std::fmt::Debug for UnconfirmedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UnconfirmedKeys([redacted])")
    }
}

/// A key confirmation: 32 bytes, public once sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation([u8; 32]);

impl Confirmation {
    /// Reads the text on the wire.
    pub fn parse(text: &str) -> Result<Self, Error> {
        base64url_array(text).map(Self)
    }

    /// The text on the wire.
    pub fn encode(&self) -> String {
        base64url_encode(&self.0)
    }

    /// SHA-256 of the MAC: what is kept so that a repeated `confirm` is recognised after a restart.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

/// Eight bytes that both ends can show: equal words mean equal keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 8]);

impl Fingerprint {
    /// Five words of the EFF large list.
    pub fn words(&self) -> String {
        fingerprint_words(self.0)
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words())
    }
}

/// The keys of a live session: one for each direction.
pub struct SessionKeys {
    pub(crate) a_to_b: SecretBytes<32>,
    pub(crate) b_to_a: SecretBytes<32>,
    fingerprint: Fingerprint,
}

impl SessionKeys {
    /// Length of the form that is sealed at rest.
    pub const STORED_BYTES: usize = 72;

    /// Both keys and the fingerprint as bytes, to be sealed under the rest key and nothing else.
    pub fn expose_stored(&self) -> SecretBytes<{ Self::STORED_BYTES }> {
        let mut bytes = [0; Self::STORED_BYTES];
        bytes[..32].copy_from_slice(self.a_to_b.expose_bytes());
        bytes[32..64].copy_from_slice(self.b_to_a.expose_bytes());
        bytes[64..].copy_from_slice(&self.fingerprint.0);
        let stored = SecretBytes::new(bytes);
        zeroize::Zeroize::zeroize(&mut bytes);
        stored
    }

    /// The reverse of [`SessionKeys::expose_stored`].
    pub fn from_stored(stored: &SecretBytes<{ Self::STORED_BYTES }>) -> Self {
        let bytes = stored.expose_bytes();
        let mut a_to_b = [0; 32];
        let mut b_to_a = [0; 32];
        let mut fingerprint = [0; 8];
        a_to_b.copy_from_slice(&bytes[..32]);
        b_to_a.copy_from_slice(&bytes[32..64]);
        fingerprint.copy_from_slice(&bytes[64..]);
        let keys = Self {
            a_to_b: SecretBytes::new(a_to_b),
            b_to_a: SecretBytes::new(b_to_a),
            fingerprint: Fingerprint(fingerprint),
        };
        zeroize::Zeroize::zeroize(&mut a_to_b);
        zeroize::Zeroize::zeroize(&mut b_to_a);
        keys
    }

    /// The fingerprint of these keys.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The key under which `side` seals.
    pub(crate) fn sealing(&self, side: Side) -> &SecretBytes<32> {
        match side {
            Side::A => &self.a_to_b,
            Side::B => &self.b_to_a,
        }
    }
}

impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionKeys").field("fingerprint", &self.fingerprint.words()).finish_non_exhaustive()
    }
}

fn expand<const N: usize>(prk: &Hkdf<Sha256>, label: &str) -> SecretBytes<N> {
    let mut okm = [0; N];
    // HKDF-SHA256 fails past 8,160 bytes; the longest here is 32.
    let fits = prk.expand(label.as_bytes(), &mut okm).is_ok();
    debug_assert!(fits, "HKDF output length");
    let key = SecretBytes::new(okm);
    zeroize::Zeroize::zeroize(&mut okm);
    key
}

fn hmac(key: &SecretBytes<32>, message: &[u8]) -> [u8; 32] {
    // RFC 2104: a key shorter than the hash's block is filled up with zeros.
    let mut block = zeroize::Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key.expose_bytes());
    let mut mac = Hmac::<Sha256>::new(&(*block).into());
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(key: u8, transcript: u8) -> UnconfirmedKeys {
        UnconfirmedKeys::derive(SecretBytes::new([key; 32]), TranscriptHash([transcript; 32]))
    }

    #[test]
    fn confirmation_needs_the_same_key_and_transcript() {
        let mac_b = keys(1, 2).confirmation(Side::B);
        assert!(keys(1, 2).verify(Side::B, &mac_b).is_ok());
        assert_eq!(
            keys(1, 2).verify(Side::A, &mac_b).unwrap_err(),
            Error::ConfirmationFailed,
            "other side's MAC"
        );
        assert_eq!(keys(9, 2).verify(Side::B, &mac_b).unwrap_err(), Error::ConfirmationFailed, "other code");
        assert_eq!(
            keys(1, 9).verify(Side::B, &mac_b).unwrap_err(),
            Error::ConfirmationFailed,
            "other transcript"
        );
    }

    #[test]
    fn every_purpose_has_its_own_key() {
        let unconfirmed = keys(1, 2);
        let session = &unconfirmed.session;
        let all = [&unconfirmed.confirm_a, &unconfirmed.confirm_b, &session.a_to_b, &session.b_to_a];
        for (i, left) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|right| left != right));
        }
    }

    #[test]
    fn stored_keys_come_back() {
        let mac = keys(1, 2).confirmation(Side::A);
        let session = keys(1, 2).verify(Side::A, &mac).unwrap();
        let back = SessionKeys::from_stored(&session.expose_stored());
        assert!(back.a_to_b == session.a_to_b && back.b_to_a == session.b_to_a);
        assert_eq!(back.fingerprint(), session.fingerprint());
        assert!(!format!("{session:?} {:?}", keys(1, 2)).contains('['.to_string().repeat(2).as_str()));
    }
}
