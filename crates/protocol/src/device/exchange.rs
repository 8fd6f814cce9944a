//! Device pairing, step by step: the same PAKE, schedule and envelope as for agents, under labels of its own.
//!
//! ```text
//! displayer  DeviceDisplayer::start   ----A---->        enterer (a person typed the code)
//!            DeviceDisplayer::answer  <--B,MAC_B--      DeviceProof::enter
//!            DeviceChannel            --MAC_A,hello-->  DeviceProof::verify -> DeviceChannel
//! ```
//!
//! Here the enterer proves itself first: the displayer's daemon is the server, and whoever calls it has one guess
//! before anything that depends on the code leaves.

use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};

use crate::encoding::lp_all;
use crate::envelope::{open_named, seal_named};
use crate::ids::PairingId;
use crate::pake::{Pake, PakeMessage, Side};
use crate::schedule::{Confirmation, Fingerprint, SessionKeys, TranscriptHash, UnconfirmedKeys};
use crate::{Code, Error};
use zeroize::Zeroizing;

/// SPAKE2's idA.
pub const DISPLAYER_ID: &str = "durward device displayer";

/// SPAKE2's idB.
pub const ENTERER_ID: &str = "durward device enterer";

/// The transcript of an agent pairing under another label: no name, no scopes, the pairing is the session.
fn transcript(pairing_id: &PairingId, message_a: &PakeMessage, message_b: &PakeMessage) -> TranscriptHash {
    let id = pairing_id.to_string();
    let bytes = lp_all(&[
        b"durward/1 pairing device",
        id.as_bytes(),
        DISPLAYER_ID.as_bytes(),
        b"",
        ENTERER_ID.as_bytes(),
        b"",
        b"",
        id.as_bytes(),
        message_a.as_bytes(),
        message_b.as_bytes(),
    ]);
    TranscriptHash::from_bytes(Sha256::digest(bytes).into())
}

/// The device that made the code and shows it.
#[derive(Debug)]
pub struct DeviceDisplayer {
    pairing_id: PairingId,
    pake: Pake,
    message: PakeMessage,
}

impl DeviceDisplayer {
    /// Starts the exchange for a code that is on the screen now.
    pub fn start(pairing_id: PairingId, code: &Code, rng: &mut impl CryptoRng) -> Self {
        let (pake, message) = Pake::start(Side::A, code, DISPLAYER_ID, ENTERER_ID, rng);
        Self { pairing_id, pake, message }
    }

    /// Which pairing.
    pub fn pairing_id(&self) -> &PairingId {
        &self.pairing_id
    }

    /// A, the same for everybody who asks.
    pub fn message(&self) -> &PakeMessage {
        &self.message
    }

    /// The one guess: consumes the exchange, whether MAC_B is right or not. On an error nothing has left.
    pub fn answer(
        self,
        message_b: &PakeMessage,
        mac_b: &Confirmation,
    ) -> Result<(DeviceChannel, Confirmation), Error> {
        let transcript = transcript(&self.pairing_id, &self.message, message_b);
        let keys = UnconfirmedKeys::derive(self.pake.finish(message_b)?, transcript);
        let mac_a = keys.confirmation(Side::A);
        let keys = keys.verify(Side::B, mac_b)?;
        Ok((DeviceChannel { pairing_id: self.pairing_id, side: Side::A, transcript, keys }, mac_a))
    }
}

/// The device on which a person typed the code, before it knows whether it was the right one.
#[derive(Debug)]
pub struct DeviceProof {
    pairing_id: PairingId,
    transcript: TranscriptHash,
    keys: UnconfirmedKeys,
    /// B.
    pub message: PakeMessage,
    /// What proves the code to the displayer.
    pub mac_b: Confirmation,
}

impl DeviceProof {
    /// Answers A with the typed code.
    pub fn enter(
        pairing_id: PairingId,
        message_a: &PakeMessage,
        code: &Code,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Error> {
        let (pake, message) = Pake::start(Side::B, code, DISPLAYER_ID, ENTERER_ID, rng);
        let transcript = transcript(&pairing_id, message_a, &message);
        let keys = UnconfirmedKeys::derive(pake.finish(message_a)?, transcript);
        let mac_b = keys.confirmation(Side::B);
        Ok(Self { pairing_id, transcript, keys, message, mac_b })
    }

    /// Checks the displayer's proof. Without it no hello must leave.
    pub fn verify(self, mac_a: &Confirmation) -> Result<DeviceChannel, Error> {
        let keys = self.keys.verify(Side::A, mac_a)?;
        Ok(DeviceChannel { pairing_id: self.pairing_id, side: Side::B, transcript: self.transcript, keys })
    }
}

/// Both ends have proven the code: what passes now is sealed.
#[derive(Debug)]
pub struct DeviceChannel {
    pairing_id: PairingId,
    side: Side,
    transcript: TranscriptHash,
    keys: SessionKeys,
}

impl DeviceChannel {
    /// Which pairing.
    pub fn pairing_id(&self) -> PairingId {
        self.pairing_id
    }

    /// Which end this is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// What both ends said.
    pub fn transcript(&self) -> &TranscriptHash {
        &self.transcript
    }

    /// Equal words at both ends mean equal keys.
    pub fn fingerprint(&self) -> Fingerprint {
        self.keys.fingerprint()
    }

    /// Seals for the other end.
    pub fn seal(&self, plaintext: &[u8], rng: &mut impl CryptoRng) -> Result<String, Error> {
        seal_named(&self.keys, self.side, &self.pairing_id.to_string(), plaintext, rng)
    }

    /// Opens what the other end sealed.
    pub fn open(&self, envelope: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        open_named(&self.keys, self.side.other(), &self.pairing_id.to_string(), envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeded;

    fn code(digits: &str) -> Code {
        digits.parse().unwrap()
    }

    fn displayer() -> DeviceDisplayer {
        DeviceDisplayer::start(PairingId::from_bytes([1; 16]), &code("847293"), &mut seeded(1))
    }

    #[test]
    fn the_same_code_makes_a_channel() {
        let a = displayer();
        let b = DeviceProof::enter(*a.pairing_id(), a.message(), &code("847293"), &mut seeded(2)).unwrap();
        let (at_a, mac_a) = a.answer(&b.message, &b.mac_b).unwrap();
        let at_b = b.verify(&mac_a).unwrap();
        assert_eq!(at_a.transcript(), at_b.transcript());
        assert_eq!(at_a.fingerprint(), at_b.fingerprint());
        let sealed = at_a.seal(b"{}", &mut seeded(3)).unwrap();
        assert_eq!(at_b.open(&sealed).unwrap().as_slice(), b"{}");
        assert!(at_a.open(&sealed).is_err(), "sent back to its sealer");
    }

    #[test]
    fn a_wrong_code_gives_nothing_away() {
        let a = displayer();
        let b = DeviceProof::enter(*a.pairing_id(), a.message(), &code("847294"), &mut seeded(2)).unwrap();
        assert_eq!(a.answer(&b.message, &b.mac_b).unwrap_err(), Error::ConfirmationFailed);
    }

    #[test]
    fn a_displayer_without_the_code_is_found_out() {
        let fake = DeviceDisplayer::start(PairingId::from_bytes([1; 16]), &code("111111"), &mut seeded(1));
        let b =
            DeviceProof::enter(*fake.pairing_id(), fake.message(), &code("847293"), &mut seeded(2)).unwrap();
        let made_up = b.mac_b; // reflected: all a fake has
        assert_eq!(b.verify(&made_up).unwrap_err(), Error::ConfirmationFailed);
    }

    #[test]
    fn another_pairing_id_is_another_transcript() {
        let a = displayer();
        let other = PairingId::from_bytes([2; 16]);
        let b = DeviceProof::enter(other, a.message(), &code("847293"), &mut seeded(2)).unwrap();
        assert!(a.answer(&b.message, &b.mac_b).is_err());
    }
}
