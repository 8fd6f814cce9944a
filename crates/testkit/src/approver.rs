//! A small approver in memory, honest and without a vault: the other end for agents under test.
//!
//! It follows `docs/protocol.md` with the protocol crate's own parts and keeps what a test wants to
//! know: who paired, what was asked, how often something was released. It never holds an answer open;
//! it says "pending" at once.

use std::collections::{HashMap, HashSet};

use durward_protocol::Error as ProtocolError;
use durward_protocol::wire::{
    AnswerStatus, CancelPairingRequest, CancelPairingResponse, CancelResponse, ConfirmRequest,
    ConfirmResponse, CredentialAnswer, ErrorBody, ExchangeRequest, ExchangeResponse, Health, InitiateRequest,
    InitiateResponse, RevokeResponse, SealedRequest, SessionStatus,
};
use durward_protocol::{
    Acknowledgement, AgentId, AgentName, Answered, ApproverId, ApproverKey, Code, Confirmation,
    CredentialCancel, CredentialRequest, CredentialResponse, Decider, ErrorCode, Field, Fingerprint, Header,
    Heads, Nonce, PairingId, PairingNumber, PairingOffer, PakeMessage, RequestId, Scope, SecretBytes,
    SecretString, SessionId, SessionKeys, SessionRevoke, Side, Statement, Timestamp, Verdict, field_names,
    from_json_object, open, reason_hash, seal,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

/// One HTTP request, as far as the agent plane looks at it.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET` or `POST`.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Query, or empty.
    pub query: String,
    /// Body.
    pub body: Vec<u8>,
}

/// One HTTP answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// What the owner says to every request.
#[derive(Clone, Debug)]
pub enum Owner {
    /// Yes, with a value for each field asked for: see [`value_of`].
    Approves,
    /// No, in these words.
    Denies(String),
    /// The vault has nothing.
    HasNothing,
    /// No word yet.
    IsSilent,
}

/// The value the approver releases for a field of a domain.
pub fn value_of(domain: &str, field: &Field) -> String {
    format!("{field} of {domain}")
}

struct Waiting {
    offer: PairingOffer,
    number: PairingNumber,
    typed: Option<(Code, Scope)>,
    message_a: Option<String>,
    answer: Option<ExchangeResponse>,
    refused: bool,
}

/// A session as the approver sees it.
pub struct Live {
    /// The agent's claim.
    pub agent_id: AgentId,
    /// Its name.
    pub agent_name: AgentName,
    /// The granted scope.
    pub scope: Scope,
    /// The fingerprint.
    pub fingerprint: Fingerprint,
    keys: SessionKeys,
    mac_a: [u8; 32],
    nonces: HashSet<Nonce>,
    requests: HashMap<RequestId, Asked>,
}

struct Asked {
    content: CredentialRequest,
    /// The one sealing.
    sealed: Option<String>,
    cancelled: bool,
}

/// The approver.
pub struct Approver {
    key: ApproverKey,
    rng: StdRng,
    waiting: HashMap<PairingId, Waiting>,
    answered: HashMap<SessionId, (PairingId, Answered)>,
    sessions: HashMap<SessionId, Live>,
    /// What the owner says.
    pub owner: Owner,
    /// Every prompt the owner got, in order.
    pub prompts: Vec<(RequestId, String)>,
    /// Every release, in order.
    pub releases: Vec<RequestId>,
    /// Error codes to answer with before anything else, one per call.
    pub failures: Vec<ErrorCode>,
    /// Every answer to an exchange: session, fingerprint, agent, name and scope as seen here.
    pub derived: HashMap<SessionId, (Fingerprint, AgentId, AgentName, Scope)>,
    /// Calls that came in.
    pub calls: usize,
    /// What comes with each verdict.
    pub receipts: Receipts,
    /// The heads of its log that go with each verdict.
    pub heads: Option<Heads>,
    /// The heads that came with requests, in order.
    pub heads_seen: Vec<Heads>,
}

/// What kind of receipt comes with a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipts {
    /// A true one.
    Good,
    /// None.
    None,
    /// One that says something else than the answer does.
    Lies,
    /// A true one under another key.
    Stolen,
}

type Outcome = Result<Reply, ErrorCode>;

impl Approver {
    /// A new approver; the seed makes its key and all its choices.
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            key: ApproverKey::generate(&mut rng),
            rng,
            waiting: HashMap::new(),
            answered: HashMap::new(),
            sessions: HashMap::new(),
            owner: Owner::Approves,
            prompts: Vec::new(),
            releases: Vec::new(),
            failures: Vec::new(),
            derived: HashMap::new(),
            calls: 0,
            receipts: Receipts::Good,
            heads: None,
            heads_seen: Vec::new(),
        }
    }

    /// Its public name.
    pub fn id(&self) -> &ApproverId {
        self.key.id()
    }

    /// The owner types a code for the pairing with this number and grants the scope asked for, or `scope`.
    pub fn type_code(&mut self, number: PairingNumber, code: &str, scope: Option<Scope>) -> bool {
        let Some(waiting) = self.waiting.values_mut().find(|w| w.number == number) else { return false };
        let Ok(code) = code.parse() else { return false };
        let granted = scope.unwrap_or_else(|| waiting.offer.scope_asked.clone());
        waiting.typed = Some((code, granted));
        true
    }

    /// The owner refuses every waiting pairing.
    pub fn refuse_all(&mut self) {
        self.waiting.values_mut().for_each(|waiting| waiting.refused = true);
    }

    /// Confirmed sessions.
    pub fn sessions(&self) -> &HashMap<SessionId, Live> {
        &self.sessions
    }

    /// Forgets a session, as after its end.
    pub fn drop_session(&mut self, id: &SessionId) {
        self.sessions.remove(id);
    }

    /// Answers one call.
    pub fn handle(&mut self, call: &Call, now: OffsetDateTime) -> Reply {
        self.calls += 1;
        if let Some(code) = self.failures.pop() {
            return refuse(code);
        }
        let outcome = match (call.method.as_str(), call.path.as_str()) {
            ("GET", "/health") => good(&Health { status: "ok".into(), active_sessions: self.sessions.len() }),
            ("GET", "/session/status") => self.status(&call.query, now),
            ("POST", "/pairing/initiate") => self.initiate(&call.body, now),
            ("POST", "/pairing/exchange") => self.exchange(&call.body),
            ("POST", "/pairing/confirm") => self.confirm(&call.body, now),
            ("POST", "/pairing/cancel") => self.cancel_pairing(&call.body),
            ("POST", "/credential/request") => self.request(&call.body, now),
            ("POST", "/credential/cancel") => self.cancel(&call.body, now),
            ("POST", "/session/revoke") => self.revoke(&call.body, now),
            _ => Err(ErrorCode::NotFound),
        };
        outcome.unwrap_or_else(refuse)
    }

    fn initiate(&mut self, body: &[u8], now: OffsetDateTime) -> Outcome {
        let request: InitiateRequest = from_json_object(body).map_err(ProtocolError::code)?;
        if request.pairing_code.is_some() {
            return Err(ErrorCode::CodeMustNotBeSent);
        }
        let taken: HashSet<u8> = self.waiting.values().map(|w| w.number.get()).collect();
        let number =
            (1..=PairingNumber::MAX).find(|n| !taken.contains(n)).ok_or(ErrorCode::TooManyPairings)?;
        let number = PairingNumber::try_from(number).map_err(ProtocolError::code)?;
        let offer = PairingOffer {
            pairing_id: PairingId::random(&mut self.rng),
            agent_id: AgentId::parse(&request.agent_id).map_err(ProtocolError::code)?,
            agent_name: AgentName::parse(&request.agent_name).map_err(ProtocolError::code)?,
            approver_id: self.key.id().clone(),
            scope_asked: Scope::parse(request.scope.as_deref().unwrap_or_default())
                .map_err(ProtocolError::code)?,
        };
        let answer = InitiateResponse {
            pairing_id: offer.pairing_id,
            number,
            approver_id: offer.approver_id.clone(),
            expires_at: Timestamp::new(now + Duration::seconds(300)),
        };
        let waiting = Waiting { offer, number, typed: None, message_a: None, answer: None, refused: false };
        self.waiting.insert(answer.pairing_id, waiting);
        good(&answer)
    }

    fn exchange(&mut self, body: &[u8]) -> Outcome {
        let request: ExchangeRequest = from_json_object(body).map_err(ProtocolError::code)?;
        let message_a = PakeMessage::parse(&request.pake_message, Side::A).map_err(ProtocolError::code)?;
        let waiting = self.waiting.get_mut(&request.pairing_id).ok_or(ErrorCode::PairingNotFound)?;
        if waiting.refused {
            return Err(ErrorCode::PairingRefused);
        }
        if waiting.message_a.get_or_insert_with(|| request.pake_message.clone()) != &request.pake_message {
            return Err(ErrorCode::PairingUsed);
        }
        if let Some(answer) = &waiting.answer {
            return good(answer);
        }
        let Some((code, granted)) = waiting.typed.take() else { return pending(None) };
        let answered = Answered::answer(&waiting.offer, &code, &message_a, granted, &mut self.rng)
            .map_err(ProtocolError::code)?;
        let answer = ExchangeResponse {
            session_id: answered.session_id,
            agent_id: waiting.offer.agent_id.clone(),
            pake_message: answered.message.encode(),
            confirmation: answered.mac_b.encode(),
            scope: answered.scope.as_str().to_owned(),
        };
        waiting.answer = Some(answer.clone());
        let PairingOffer { agent_id, agent_name, .. } = waiting.offer.clone();
        let seen = (answered.fingerprint(), agent_id, agent_name, answered.scope.clone());
        self.derived.insert(answered.session_id, seen);
        self.answered.insert(answered.session_id, (request.pairing_id, answered));
        good(&answer)
    }

    fn confirm(&mut self, body: &[u8], now: OffsetDateTime) -> Outcome {
        let request: ConfirmRequest = from_json_object(body).map_err(ProtocolError::code)?;
        let mac_a = Confirmation::parse(&request.confirmation).map_err(ProtocolError::code)?;
        if let Some(live) = self.sessions.get(&request.session_id) {
            return if live.mac_a == mac_a.digest() { active(now) } else { Err(ErrorCode::PairingUsed) };
        }
        let (pairing_id, answered) =
            self.answered.remove(&request.session_id).ok_or(ErrorCode::PairingNotFound)?;
        let waiting = self.waiting.remove(&pairing_id).ok_or(ErrorCode::PairingNotFound)?;
        let scope = answered.scope.clone();
        let keys = answered.confirm(&mac_a).map_err(ProtocolError::code)?;
        let live = Live {
            agent_id: waiting.offer.agent_id,
            agent_name: waiting.offer.agent_name,
            scope,
            fingerprint: keys.fingerprint(),
            keys,
            mac_a: mac_a.digest(),
            nonces: HashSet::new(),
            requests: HashMap::new(),
        };
        self.sessions.insert(request.session_id, live);
        active(now)
    }

    fn cancel_pairing(&mut self, body: &[u8]) -> Outcome {
        let request: CancelPairingRequest = from_json_object(body).map_err(ProtocolError::code)?;
        self.waiting.remove(&request.pairing_id);
        self.answered.retain(|_, (pairing_id, _)| *pairing_id != request.pairing_id);
        good(&CancelPairingResponse { cancelled: true })
    }

    fn status(&mut self, query: &str, now: OffsetDateTime) -> Outcome {
        let id = query.strip_prefix("session_id=").ok_or(ErrorCode::InvalidRequest)?;
        let id: SessionId = id.parse().map_err(|_| ErrorCode::InvalidRequest)?;
        self.sessions.get(&id).ok_or(ErrorCode::SessionNotFound)?;
        let at = |seconds| Timestamp::new(now + Duration::seconds(seconds));
        good(&SessionStatus { active: true, last_access: at(0), expires_at: at(1_800) })
    }

    /// Parse, authenticate, check freshness, commit the replay state; the caller acts.
    fn opened<T>(
        &mut self,
        body: &[u8],
        now: OffsetDateTime,
        parse: impl Fn(&[u8]) -> Result<(Header, T), durward_protocol::Error>,
    ) -> Result<(SessionId, Header, T), ErrorCode> {
        let request: SealedRequest = from_json_object(body).map_err(ProtocolError::code)?;
        let payload = request.encrypted_payload.ok_or(ErrorCode::EnvelopeRequired)?;
        let live = self.sessions.get_mut(&request.session_id).ok_or(ErrorCode::SessionNotFound)?;
        let plaintext =
            open(&live.keys, Side::A, &request.session_id, &payload).map_err(ProtocolError::code)?;
        let (header, message) = parse(&plaintext).map_err(ProtocolError::code)?;
        if (header.timestamp.get() - now).whole_seconds().abs() > 300 {
            return Err(ErrorCode::StaleTimestamp);
        }
        if !live.nonces.insert(header.nonce) {
            return Err(ErrorCode::Replayed);
        }
        Ok((request.session_id, header, message))
    }

    fn request(&mut self, body: &[u8], now: OffsetDateTime) -> Outcome {
        let (session_id, _, mut message) = self.opened(body, now, CredentialRequest::parse)?;
        self.heads_seen.extend(message.heads.take());
        let live = self.sessions.get_mut(&session_id).ok_or(ErrorCode::SessionNotFound)?;
        if !live.scope.covers(&message.domain) {
            return Err(ErrorCode::OutOfScope);
        }
        let id = message.id;
        let asked = live.requests.entry(id).or_insert_with(|| {
            self.prompts.push((id, message.domain.to_string()));
            Asked { content: message.clone(), sealed: None, cancelled: false }
        });
        if asked.content != message {
            return Err(ErrorCode::RequestIdConflict);
        }
        if asked.sealed.is_none() {
            let Some(mut verdict) = verdict(&self.owner, asked) else { return pending(Some(id)) };
            let about = (&live.agent_id, live.fingerprint, &asked.content);
            verdict.receipt = receipt(self.receipts, &self.key, about, &verdict, now);
            verdict.heads.clone_from(&self.heads);
            if verdict.status == Verdict::Approved {
                self.releases.push(id);
            }
            let plaintext =
                verdict.to_plaintext(Header::new(now, &mut self.rng)).map_err(ProtocolError::code)?;
            let sealed = seal(&live.keys, Side::B, &session_id, &plaintext, &mut self.rng)
                .map_err(ProtocolError::code)?;
            asked.sealed = Some(sealed);
        }
        good(&CredentialAnswer {
            status: AnswerStatus::Answered,
            request_id: None,
            encrypted_payload: asked.sealed.clone(),
        })
    }

    fn cancel(&mut self, body: &[u8], now: OffsetDateTime) -> Outcome {
        let (session_id, header, message) = self.opened(body, now, CredentialCancel::parse)?;
        let live = self.sessions.get_mut(&session_id).ok_or(ErrorCode::SessionNotFound)?;
        let asked = live.requests.get_mut(&message.id).filter(|asked| asked.sealed.is_none());
        let cancelled = asked.is_some();
        if let Some(asked) = asked {
            asked.cancelled = true;
        }
        let encrypted_payload = self.acknowledge(session_id, header, now)?;
        good(&CancelResponse { cancelled, encrypted_payload })
    }

    fn revoke(&mut self, body: &[u8], now: OffsetDateTime) -> Outcome {
        let (session_id, header, SessionRevoke) = self.opened(body, now, SessionRevoke::parse)?;
        let encrypted_payload = Some(self.acknowledge(session_id, header, now)?);
        self.sessions.remove(&session_id);
        good(&RevokeResponse { revoked: true, session_id, encrypted_payload })
    }

    fn acknowledge(
        &mut self,
        session_id: SessionId,
        header: Header,
        now: OffsetDateTime,
    ) -> Result<String, ErrorCode> {
        let live = self.sessions.get(&session_id).ok_or(ErrorCode::SessionNotFound)?;
        let plaintext = Acknowledgement { in_reply_to: header.nonce }
            .to_plaintext(Header::new(now, &mut self.rng))
            .map_err(ProtocolError::code)?;
        seal(&live.keys, Side::B, &session_id, &plaintext, &mut self.rng).map_err(ProtocolError::code)
    }
}

fn receipt(
    kind: Receipts,
    key: &ApproverKey,
    (agent_id, fingerprint, asked): (&AgentId, Fingerprint, &CredentialRequest),
    answer: &CredentialResponse,
    now: OffsetDateTime,
) -> Option<String> {
    let mut statement = Statement {
        agent_id: agent_id.clone(),
        fingerprint,
        request_id: asked.id,
        domain: asked.domain.clone(),
        reason_hash: reason_hash(&asked.reason),
        fields_asked: field_names(&asked.fields),
        fields_released: field_names(&answer.credential.fields()),
        verdict: answer.status,
        decided_by: Decider::Owner,
        at: Timestamp::new(now),
        policy_version: String::new(),
    };
    match kind {
        Receipts::None => None,
        Receipts::Good => Some(statement.sign(key)),
        Receipts::Stolen => Some(statement.sign(&ApproverKey::from_seed(&SecretBytes::new([9; 32])))),
        Receipts::Lies => {
            statement.fields_released = "totp".into();
            Some(statement.sign(key))
        }
    }
}

fn verdict(owner: &Owner, asked: &Asked) -> Option<CredentialResponse> {
    let content = &asked.content;
    let plain = |status, reason| CredentialResponse::verdict(content.id, status, reason);
    if asked.cancelled {
        return Some(plain(Verdict::Cancelled, None));
    }
    match owner {
        Owner::IsSilent => None,
        Owner::HasNothing => Some(plain(Verdict::NotFound, None)),
        Owner::Denies(reason) => Some(plain(Verdict::Denied, Some(reason.clone()))),
        Owner::Approves => {
            let mut response = plain(Verdict::Approved, None);
            response.credential.domain = Some(content.domain.clone());
            for field in &content.fields {
                let value = value_of(content.domain.as_str(), field);
                response.credential.set(field, SecretString::new(value));
            }
            Some(response)
        }
    }
}

fn good(body: &impl Serialize) -> Outcome {
    serde_json::to_vec(body).map(|body| Reply { status: 200, body }).map_err(|_| ErrorCode::Internal)
}

fn pending(request_id: Option<RequestId>) -> Outcome {
    let answer = CredentialAnswer { status: AnswerStatus::Pending, request_id, encrypted_payload: None };
    good(&answer).map(|reply| Reply { status: 202, ..reply })
}

fn active(now: OffsetDateTime) -> Outcome {
    good(&ConfirmResponse { active: true, expires_at: Timestamp::new(now + Duration::seconds(1_800)) })
}

fn refuse(code: ErrorCode) -> Reply {
    let body = serde_json::to_vec(&ErrorBody::new(code)).unwrap_or_default();
    Reply { status: code.status(), body }
}
