//! An honest agent: pairs, seals what it asks, opens what it gets.

use durward_protocol::wire::{ExchangeResponse, InitiateResponse};
use durward_protocol::{
    AgentId, AgentName, Code, Confirmation, CredentialCancel, CredentialRequest, CredentialResponse,
    Displayer, Domain, Field, Head, Header, Heads, Nonce, PairingId, PairingNumber, PairingOffer,
    PakeMessage, RequestId, Scope, SessionId, SessionKeys, SessionRevoke, Side, Timestamp, Verified, open,
    seal,
};
use rand::rngs::StdRng;
use time::OffsetDateTime;

/// An agent that shows its code.
pub(super) struct Displaying {
    pub(super) id: PairingId,
    pub(super) number: PairingNumber,
    pub(super) code: Code,
    pub(super) message: PakeMessage,
    displayer: Displayer,
}

impl Displaying {
    pub(super) fn new(response: &InitiateResponse, agent: &str, scope: Scope, rng: &mut StdRng) -> Self {
        let offer = PairingOffer {
            pairing_id: response.pairing_id,
            agent_id: AgentId::parse(agent).unwrap(),
            agent_name: AgentName::parse(agent).unwrap(),
            approver_id: response.approver_id.clone(),
            scope_asked: scope,
        };
        let code = Code::random(rng);
        let displayer = Displayer::start(offer, &code, rng);
        let message = *displayer.message();
        Self { id: response.pairing_id, number: response.number, code, message, displayer }
    }

    /// Another code than the one shown.
    pub(super) fn wrong_code(&self) -> Code {
        let value: u32 = self.code.expose_digits().parse().unwrap();
        let other = if value == 999_999 { 100_000 } else { value + 1 };
        other.to_string().parse().unwrap()
    }

    pub(super) fn verify(self, response: &ExchangeResponse) -> Result<Agent, durward_protocol::Error> {
        let message = PakeMessage::parse(&response.pake_message, Side::B)?;
        let mac_b = Confirmation::parse(&response.confirmation)?;
        let scope = Scope::parse(&response.scope)?;
        let Verified { session_id, keys, mac_a, scope } =
            self.displayer.verify(response.session_id, scope, &message, &mac_b)?;
        Ok(Agent { session: session_id, keys, mac_a, scope })
    }
}

/// An agent with a session.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) session: SessionId,
    pub(super) keys: SessionKeys,
    pub(super) mac_a: Confirmation,
    pub(super) scope: Scope,
}

/// A request as the tests write it.
pub(super) struct Ask {
    pub(super) request: CredentialRequest,
    pub(super) at: Option<OffsetDateTime>,
    pub(super) nonce: Option<Nonce>,
}

pub(super) fn ask(id: u8, domain: &str) -> Ask {
    let request = CredentialRequest {
        id: RequestId::from_bytes([id; 16]),
        domain: Domain::parse(domain).unwrap(),
        reason: "to book the flight".into(),
        fields: Field::default_set(),
        item_id: None,
        expires_in: None,
        heads: None,
    };
    Ask { request, at: None, nonce: None }
}

impl Ask {
    pub(super) fn fields(mut self, fields: &[Field]) -> Self {
        self.request.fields = fields.to_vec();
        self
    }

    pub(super) fn item(mut self, item: &str) -> Self {
        self.request.item_id = Some(item.into());
        self
    }

    pub(super) fn reason(mut self, reason: &str) -> Self {
        self.request.reason = reason.into();
        self
    }

    pub(super) fn expires_in(mut self, seconds: u64) -> Self {
        self.request.expires_in = Some(seconds);
        self
    }

    /// Sealed at another time than now.
    pub(super) fn at(mut self, at: OffsetDateTime) -> Self {
        self.at = Some(at);
        self
    }

    pub(super) fn heads(mut self, mine: (u64, u8), yours: Option<Head>) -> Self {
        self.request.heads = Some(Heads { mine: Head::new(mine.0, &[mine.1; 32]), yours });
        self
    }

    pub(super) fn nonce(mut self, nonce: u8) -> Self {
        self.nonce = Some(Nonce::from_bytes([nonce; 16]));
        self
    }

    pub(super) fn header(&self, now: OffsetDateTime, rng: &mut StdRng) -> Header {
        let mut header = Header::new(self.at.unwrap_or(now), rng);
        header.nonce = self.nonce.unwrap_or(header.nonce);
        header
    }
}

impl Agent {
    pub(super) fn seal(&self, plaintext: &[u8], rng: &mut StdRng) -> String {
        seal(&self.keys, Side::A, &self.session, plaintext, rng).unwrap()
    }

    pub(super) fn request(&self, ask: &Ask, now: OffsetDateTime, rng: &mut StdRng) -> String {
        let plaintext = ask.request.to_plaintext(ask.header(now, rng)).unwrap();
        self.seal(&plaintext, rng)
    }

    pub(super) fn cancel(&self, id: RequestId, now: OffsetDateTime, rng: &mut StdRng) -> String {
        let plaintext = CredentialCancel { id }.to_plaintext(Header::new(now, rng)).unwrap();
        self.seal(&plaintext, rng)
    }

    pub(super) fn revoke(&self, now: OffsetDateTime, rng: &mut StdRng) -> String {
        let plaintext = SessionRevoke.to_plaintext(Header::new(now, rng)).unwrap();
        self.seal(&plaintext, rng)
    }

    /// Opens an answer.
    pub(super) fn open(&self, payload: &str) -> CredentialResponse {
        self.try_open(payload).unwrap()
    }

    /// `None` when it is for another session.
    pub(super) fn try_open(&self, payload: &str) -> Option<CredentialResponse> {
        let plaintext = open(&self.keys, Side::B, &self.session, payload).ok()?;
        Some(CredentialResponse::parse(&plaintext).unwrap().1)
    }

    /// A second process of the same agent.
    pub(super) fn twin(&self) -> Self {
        Self {
            session: self.session,
            keys: SessionKeys::from_stored(&self.keys.expose_stored()),
            mac_a: self.mac_a,
            scope: self.scope.clone(),
        }
    }
}

pub(super) fn stamp(at: OffsetDateTime) -> Timestamp {
    Timestamp::new(at)
}
