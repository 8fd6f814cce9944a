//! Pairing, step by step. Each step consumes the one before, so no step can be skipped or repeated:
//!
//! ```text
//! agent      Displayer::start ----A----> Enterer::answer      approver
//!            Displayer::verify <--B,MAC_B--  -> Answered
//!            Verified          ---MAC_A--> Answered::confirm -> SessionKeys
//! ```
//!
//! `MAC_B` goes first. A fake agent that guessed a code learns from it whether the guess was right,
//! and nothing more: without a `MAC_A` the approver keeps no session.

use rand_core::CryptoRng;

use crate::ids::{AgentId, AgentName, ApproverId, PairingId, SessionId};
use crate::pake::{Pake, PakeMessage, Side};
use crate::schedule::{Confirmation, Fingerprint, PairingTranscript, SessionKeys, UnconfirmedKeys};
use crate::{Code, Error, Scope, SecretBytes};

/// What both ends know about a pairing before any key exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingOffer {
    /// Which pairing.
    pub pairing_id: PairingId,
    /// Who asks.
    pub agent_id: AgentId,
    /// What the owner reads.
    pub agent_name: AgentName,
    /// Who answers.
    pub approver_id: ApproverId,
    /// The scope the agent asks for.
    pub scope_asked: Scope,
}

impl PairingOffer {
    fn finish(
        &self,
        key: SecretBytes<32>,
        session_id: &SessionId,
        scope_granted: &Scope,
        message_a: &PakeMessage,
        message_b: &PakeMessage,
    ) -> UnconfirmedKeys {
        let transcript = PairingTranscript {
            pairing_id: &self.pairing_id,
            agent_id: &self.agent_id,
            agent_name: &self.agent_name,
            approver_id: &self.approver_id,
            scope_asked: &self.scope_asked,
            scope_granted,
            session_id,
            message_a,
            message_b,
        };
        UnconfirmedKeys::derive(key, transcript.hash())
    }
}

/// The agent, showing its code and waiting for the answer.
#[derive(Debug)]
pub struct Displayer {
    offer: PairingOffer,
    pake: Pake,
    message: PakeMessage,
}

impl Displayer {
    /// Starts the exchange for a code that is on the screen now.
    pub fn start(offer: PairingOffer, code: &Code, rng: &mut impl CryptoRng) -> Self {
        let (pake, message) =
            Pake::start(Side::A, code, offer.agent_id.as_str(), offer.approver_id.as_str(), rng);
        Self { offer, pake, message }
    }

    /// What to send.
    pub fn message(&self) -> &PakeMessage {
        &self.message
    }

    /// Checks the approver's proof. An error means: the code typed there was another one, or somebody
    /// sits in between. Either way this pairing is over.
    pub fn verify(
        self,
        session_id: SessionId,
        scope_granted: Scope,
        message_b: &PakeMessage,
        mac_b: &Confirmation,
    ) -> Result<Verified, Error> {
        if !scope_granted.is_within(&self.offer.scope_asked) {
            return Err(Error::ScopeWidened);
        }
        let key = self.pake.finish(message_b)?;
        let unconfirmed = self.offer.finish(key, &session_id, &scope_granted, &self.message, message_b);
        let mac_a = unconfirmed.confirmation(Side::A);
        let keys = unconfirmed.verify(Side::B, mac_b)?;
        Ok(Verified { session_id, scope: scope_granted, keys, mac_a })
    }
}

/// The agent, sure of the approver; the approver is sure of the agent once it has `mac_a`.
#[derive(Debug)]
pub struct Verified {
    /// The session that is live after `confirm`.
    pub session_id: SessionId,
    /// The granted scope.
    pub scope: Scope,
    /// The keys.
    pub keys: SessionKeys,
    /// What to send to `confirm`.
    pub mac_a: Confirmation,
}

/// The approver's step: a person typed a code for a waiting pairing.
#[derive(Debug)]
pub struct Answered {
    /// The session that will be.
    pub session_id: SessionId,
    /// The granted scope.
    pub scope: Scope,
    /// SPAKE2 message to send.
    pub message: PakeMessage,
    /// Proof to send.
    pub mac_b: Confirmation,
    keys: UnconfirmedKeys,
}

impl Answered {
    /// Answers an agent's message with the code that was typed. Whether it was the right code shows
    /// in [`Answered::confirm`].
    pub fn answer(
        offer: &PairingOffer,
        code: &Code,
        message_a: &PakeMessage,
        scope_granted: Scope,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Error> {
        let session_id = SessionId::random(rng);
        let (pake, message) =
            Pake::start(Side::B, code, offer.agent_id.as_str(), offer.approver_id.as_str(), rng);
        let key = pake.finish(message_a)?;
        let keys = offer.finish(key, &session_id, &scope_granted, message_a, &message);
        let mac_b = keys.confirmation(Side::B);
        Ok(Self { session_id, scope: scope_granted, message, mac_b, keys })
    }

    /// The fingerprint that the agent shows too, if the code was right.
    pub fn fingerprint(&self) -> Fingerprint {
        self.keys.fingerprint()
    }

    /// Checks the agent's proof: the one guess this pairing allows.
    pub fn confirm(self, mac_a: &Confirmation) -> Result<SessionKeys, Error> {
        self.keys.verify(Side::A, mac_a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ApproverKey;
    use crate::scope::Limits;
    use crate::testing::seeded;

    fn offer(scope: Scope) -> PairingOffer {
        let mut rng = seeded(5);
        PairingOffer {
            pairing_id: PairingId::random(&mut rng),
            agent_id: AgentId::parse("flight-booking-001").unwrap(),
            agent_name: AgentName::parse("Flight Booking Agent").unwrap(),
            approver_id: ApproverKey::generate(&mut rng).id().clone(),
            scope_asked: scope,
        }
    }

    fn code(digits: &str) -> Code {
        digits.parse().unwrap()
    }

    #[test]
    fn the_same_code_gives_the_same_keys() {
        let offer = offer(Scope::none());
        let agent = Displayer::start(offer.clone(), &code("847293"), &mut seeded(1));
        let approver =
            Answered::answer(&offer, &code("847293"), agent.message(), Scope::none(), &mut seeded(2))
                .unwrap();
        let (message, mac_b, fingerprint) = (approver.message, approver.mac_b, approver.fingerprint());
        let verified = agent.verify(approver.session_id, Scope::none(), &message, &mac_b).unwrap();
        let keys = approver.confirm(&verified.mac_a).unwrap();
        assert_eq!(keys.fingerprint(), fingerprint);
        assert!(keys.expose_stored() == verified.keys.expose_stored());
    }

    #[test]
    fn a_wrong_code_fails_at_both_ends() {
        let offer = offer(Scope::none());
        let agent = Displayer::start(offer.clone(), &code("847293"), &mut seeded(1));
        let approver =
            Answered::answer(&offer, &code("847294"), agent.message(), Scope::none(), &mut seeded(2))
                .unwrap();
        let (message, mac_b) = (approver.message, approver.mac_b);
        let refused = agent.verify(approver.session_id, Scope::none(), &message, &mac_b);
        assert_eq!(refused.unwrap_err(), Error::ConfirmationFailed);
        assert_eq!(approver.confirm(&mac_b).unwrap_err(), Error::ConfirmationFailed, "MAC_B is no MAC_A");
    }

    #[test]
    fn everything_in_the_transcript_counts() {
        let asked = Scope::new(&Limits { max_uses: Some(3), ..Limits::default() }).unwrap();
        let narrowed = Scope::new(&Limits { max_uses: Some(1), ..Limits::default() }).unwrap();
        let offer = offer(asked);
        let attempt = |seen: &PairingOffer, told_scope: Scope, other_session: bool| {
            let agent = Displayer::start(offer.clone(), &code("847293"), &mut seeded(1));
            let approver =
                Answered::answer(seen, &code("847293"), agent.message(), narrowed.clone(), &mut seeded(2))
                    .unwrap();
            let session = if other_session { SessionId::from_bytes([0; 16]) } else { approver.session_id };
            agent.verify(session, told_scope, &approver.message, &approver.mac_b).map(|_| ())
        };
        assert_eq!(attempt(&offer, narrowed.clone(), false), Ok(()));
        assert_eq!(
            attempt(&offer, narrowed.clone(), true),
            Err(Error::ConfirmationFailed),
            "session id swapped"
        );
        assert_eq!(
            attempt(&offer, offer.scope_asked.clone(), false),
            Err(Error::ConfirmationFailed),
            "scope swapped"
        );
        assert_eq!(attempt(&offer, Scope::none(), false), Err(Error::ScopeWidened));
        let renamed = PairingOffer { agent_name: AgentName::parse("Payroll").unwrap(), ..offer.clone() };
        assert_eq!(
            attempt(&renamed, narrowed.clone(), false),
            Err(Error::ConfirmationFailed),
            "agent renamed"
        );
        let other_pairing = PairingOffer { pairing_id: PairingId::from_bytes([9; 16]), ..offer.clone() };
        assert_eq!(attempt(&other_pairing, narrowed.clone(), false), Err(Error::ConfirmationFailed));
    }
}
