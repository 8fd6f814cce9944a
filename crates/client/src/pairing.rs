//! Pairing, from the agent's side: make a code, show it, wait until the owner has typed it.

use std::fs::File;
use std::time::Duration;

use durward_protocol::wire::{
    CancelPairingRequest, CancelPairingResponse, ConfirmRequest, ConfirmResponse, ExchangeRequest,
    ExchangeResponse, InitiateRequest, InitiateResponse,
};
use durward_protocol::{
    ApproverId, Code, Confirmation, Displayer, ErrorCode, PairingId, PairingNumber, PairingOffer,
    PakeMessage, Scope, SecretString, SessionId, Side, Timestamp, Verified,
};
use time::OffsetDateTime;

use crate::guesses::Guesses;
use crate::http::Reply;
use crate::session::Session;
use crate::{Agent, Error, SessionInfo, files};

/// Life of a code, in seconds.
pub const CODE_LIFETIME_SECONDS: i64 = 300;

const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// What to pair for.
#[derive(Clone, Debug, Default)]
pub struct PairingAsk {
    /// Limits the agent puts on itself.
    pub scope: Scope,
    /// Whether an approver other than the one this profile knows is welcome.
    pub accept_new_approver: bool,
}

/// How a pairing began.
#[derive(Debug)]
pub enum Begun<'a> {
    /// A code was made: show it, then [`Pairing::wait`].
    Waiting(Box<Pairing<'a>>),
    /// Another process of this profile has paired meanwhile; its session is this agent's too.
    AlreadyPaired,
}

/// A pairing that waits for its owner. Dropping it without waiting leaves a small record at the
/// approver, which ends by itself; [`PairingCanceller::cancel`] ends it at once.
#[derive(Debug)]
pub struct Pairing<'a> {
    agent: &'a Agent,
    displayer: Displayer,
    id: PairingId,
    approver_id: ApproverId,
    number_code: NumberCode,
    expires_at: OffsetDateTime,
    guesses: Guesses,
    lock: File,
}

/// `12-847293`: which pairing, and its code. No `Display` and no `Debug` of the digits.
#[derive(Debug)]
pub struct NumberCode {
    number: PairingNumber,
    code: Code,
}

impl NumberCode {
    /// The public number.
    pub fn number(&self) -> PairingNumber {
        self.number
    }

    /// What the owner types. Show it on a screen; never log it, send it or put it on a command line.
    pub fn expose_text(&self) -> SecretString {
        SecretString::new(format!("{}-{}", self.number, self.code.expose_digits()))
    }
}

/// Ends a pairing from elsewhere, for example when a person presses Ctrl-C.
#[derive(Clone, Copy, Debug)]
pub struct PairingCanceller<'a> {
    agent: &'a Agent,
    id: PairingId,
}

impl PairingCanceller<'_> {
    /// Tells the approver. Best effort: the pairing ends by itself soon.
    pub async fn cancel(self) {
        let body = CancelPairingRequest { pairing_id: self.id };
        let told: Result<CancelPairingResponse, _> = self.agent.http.post("/pairing/cancel", &body).await;
        if let Err(error) = told {
            tracing::debug!(%error, "could not cancel the pairing");
        }
    }
}

impl Agent {
    /// Opens a pairing and makes its code. One process of a profile pairs at a time; a second one
    /// waits here and then finds [`Begun::AlreadyPaired`].
    ///
    /// Call it when a person asked for it or there is no session at all; never because a plain answer
    /// said that the session is gone.
    pub async fn begin_pairing(&self, ask: PairingAsk) -> Result<Begun<'_>, Error> {
        let before = self.session().map(|session| session.session_id);
        let lock = self.pairing_lock().await?;
        let other_paired =
            || Ok::<_, Error>(self.reload()?.is_some_and(|now| Some(now.info.session_id) != before));
        if other_paired()? || self.finish_unconfirmed().await? {
            return Ok(Begun::AlreadyPaired);
        }
        let guesses = Guesses::load(self.profile.folder())?;
        guesses.check(self.clock.now())?;
        let record = self.profile();
        let opened = self.initiate(&ask.scope).await?;
        let stranger = record.approver_id.filter(|known| *known != opened.approver_id);
        if let Some(known) = stranger.filter(|_| !ask.accept_new_approver) {
            PairingCanceller { agent: self, id: opened.pairing_id }.cancel().await;
            let offered = Box::new(opened.approver_id);
            return Err(Error::ApproverChanged { known: Box::new(known), offered });
        }
        let offer = PairingOffer {
            pairing_id: opened.pairing_id,
            agent_id: record.agent_id,
            agent_name: record.agent_name,
            approver_id: opened.approver_id.clone(),
            scope_asked: ask.scope,
        };
        let code = Code::random(&mut *self.rng());
        let displayer = Displayer::start(offer, &code, &mut *self.rng());
        Ok(Begun::Waiting(Box::new(Pairing {
            agent: self,
            displayer,
            id: opened.pairing_id,
            approver_id: opened.approver_id,
            number_code: NumberCode { number: opened.number, code },
            expires_at: self.clock.now() + Duration::from_secs(CODE_LIFETIME_SECONDS.unsigned_abs()),
            guesses,
            lock,
        })))
    }

    async fn initiate(&self, scope: &Scope) -> Result<InitiateResponse, Error> {
        let record = self.profile();
        let body = InitiateRequest {
            agent_id: record.agent_id.to_string(),
            agent_name: record.agent_name.to_string(),
            scope: Some(scope.as_str().to_owned()).filter(|scope| !scope.is_empty()),
            pairing_code: None,
        };
        self.patiently(|| self.http.post("/pairing/initiate", &body)).await.map_err(pairing_error)
    }

    async fn pairing_lock(&self) -> Result<File, Error> {
        let started = self.clock.now();
        loop {
            if let Some(lock) = files::try_lock(&self.profile.lock_file())? {
                return Ok(lock);
            }
            if (self.clock.now() - started).whole_seconds() > CODE_LIFETIME_SECONDS {
                return Err(Error::PairingBusy);
            }
            self.clock.sleep(LOCK_PAUSE).await;
        }
    }

    /// An earlier run was sure of the approver and never heard back: send the same proof again. The
    /// approver keeps its hash, so a pairing that was good is still good. True when it is.
    async fn finish_unconfirmed(&self) -> Result<bool, Error> {
        let path = self.profile.unconfirmed_file();
        if !path.exists() {
            return Ok(false);
        }
        let stored = Session::load(&path, self.rest_key.load()?.as_ref());
        let Ok(Some((session, Some(mac_a)))) = stored else {
            files::remove(&path)?;
            return Ok(false);
        };
        match self.confirm(session, &mac_a).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_transient() => Err(error),
            Err(_) => {
                files::remove(&path)?;
                Ok(false)
            }
        }
    }

    /// Sends `MAC_A`, and makes the session this agent's when the approver takes it.
    async fn confirm(&self, mut session: Session, mac_a: &Confirmation) -> Result<(), Error> {
        let session_id = session.info.session_id;
        let body = ConfirmRequest { session_id, confirmation: mac_a.encode() };
        let answer: ConfirmResponse =
            self.patiently(|| self.http.post("/pairing/confirm", &body)).await.map_err(pairing_error)?;
        if !answer.active {
            return Err(Error::BadAnswer { reason: "the session is not active" });
        }
        session.info.expires_at = Some(answer.expires_at);
        let rest = self.rest_key.load_or_create(&mut *self.rng())?;
        session.store(&self.profile.session_file(), None, &rest, &mut *self.rng())?;
        let mut record = self.profile();
        record.approver_id = Some(session.info.approver_id.clone());
        record.approver_url = Some(self.approver().to_string());
        if record != self.profile() || !self.profile.is_stored() {
            self.store_record(record)?;
        }
        files::remove(&self.profile.unconfirmed_file())?;
        tracing::info!(%session_id, fingerprint = %session.info.fingerprint, "session key established");
        self.adopt(session);
        Ok(())
    }
}

impl<'a> Pairing<'a> {
    /// What to show, prominently, until [`Pairing::wait`] returns.
    pub fn number_code(&self) -> &NumberCode {
        &self.number_code
    }

    /// When the code stops working, by the clock here.
    pub fn expires_at(&self) -> OffsetDateTime {
        self.expires_at
    }

    /// The approver that will answer. Not proven before [`Pairing::wait`] returns.
    pub fn approver_id(&self) -> &ApproverId {
        &self.approver_id
    }

    /// A handle to end it from elsewhere.
    pub fn canceller(&self) -> PairingCanceller<'a> {
        PairingCanceller { agent: self.agent, id: self.id }
    }

    /// Waits until the owner has typed the code, checks the approver's proof, sends ours and keeps
    /// the session. Consumes the pairing: whatever happens, this code is spent.
    pub async fn wait(self) -> Result<SessionInfo, Error> {
        let (agent, canceller) = (self.agent, self.canceller());
        let approver_id = self.approver_id.clone();
        let result = self.exchange_and_verify().await;
        let (verified, _lock) = match result {
            Ok(verified) => verified,
            Err(error) => {
                canceller.cancel().await;
                return Err(error);
            }
        };
        let session = unconfirmed_session(agent, approver_id, &verified);
        // On disk before the approver can believe us: a crash from here on loses no pairing.
        let rest = agent.rest_key.load_or_create(&mut *agent.rng())?;
        let path = agent.profile.unconfirmed_file();
        let (session, mac_a) = (Session { info: session, keys: verified.keys }, verified.mac_a);
        session.store(&path, Some(&mac_a), &rest, &mut *agent.rng())?;
        if let Err(error) = agent.confirm(session, &mac_a).await {
            if !error.is_transient() {
                files::remove(&path)?;
            }
            return Err(error);
        }
        agent.session().ok_or(Error::NotPaired)
    }

    async fn exchange_and_verify(mut self) -> Result<(Verified, File), Error> {
        let answer = self.wait_for_exchange().await?;
        let agent = self.agent;
        let parsed = parse_exchange(&answer)
            .map_err(|_| Error::BadAnswer { reason: "it does not have the fields it should" })?;
        if answer.agent_id != agent.profile().agent_id {
            return Err(Error::BadAnswer { reason: "it names another agent" });
        }
        // Counted before it is checked: a guess costs its place in the count, whatever crashes.
        self.guesses.count(agent.clock.now())?;
        let (session_id, scope, message_b, mac_b) = parsed;
        let verified =
            self.displayer.verify(session_id, scope, &message_b, &mac_b).map_err(|error| match error {
                durward_protocol::Error::ScopeWidened => Error::ScopeWidened,
                durward_protocol::Error::ConfirmationFailed => Error::WrongCode,
                other => Error::Protocol(other),
            })?;
        self.guesses.take_back()?;
        Ok((verified, self.lock))
    }

    async fn wait_for_exchange(&self) -> Result<ExchangeResponse, Error> {
        let agent = self.agent;
        let body = ExchangeRequest {
            pairing_id: self.id,
            pake_message: self.displayer.message().encode(),
            pairing_code: None,
        };
        loop {
            let now = agent.clock.now();
            let left = Duration::try_from(self.expires_at - now).unwrap_or_default();
            if left.is_zero() {
                return Err(Error::CodeExpired);
            }
            let hold = left.min(agent.http.timeouts().hold);
            let reply =
                agent.patiently(|| agent.http.post_held("/pairing/exchange", &body, Some(hold), left)).await;
            match reply {
                Ok(Reply::Ready(answer)) => return Ok(answer),
                // Not held, or not for long: do not ask in a hurry.
                Ok(Reply::Pending) if (agent.clock.now() - now).whole_seconds() < 1 => {
                    agent.clock.sleep(Duration::from_secs(1)).await;
                }
                Ok(Reply::Pending) => {}
                Err(_) if agent.clock.now() >= self.expires_at => return Err(Error::CodeExpired),
                Err(error) => return Err(pairing_error(error)),
            }
        }
    }
}

fn unconfirmed_session(agent: &Agent, approver_id: ApproverId, verified: &Verified) -> SessionInfo {
    SessionInfo {
        session_id: verified.session_id,
        agent_id: agent.profile().agent_id,
        approver_id,
        scope: verified.scope.clone(),
        fingerprint: verified.keys.fingerprint(),
        created_at: Timestamp::new(agent.clock.now()),
        expires_at: None,
    }
}

type Parsed = (SessionId, Scope, PakeMessage, Confirmation);

fn parse_exchange(answer: &ExchangeResponse) -> Result<Parsed, durward_protocol::Error> {
    let message_b = PakeMessage::parse(&answer.pake_message, Side::B)?;
    let mac_b = Confirmation::parse(&answer.confirmation)?;
    Ok((answer.session_id, Scope::parse(&answer.scope)?, message_b, mac_b))
}

/// The approver's words about a pairing, as the agent's own errors.
fn pairing_error(error: Error) -> Error {
    let Error::Refused { code: Some(code), .. } = &error else { return error };
    match code {
        ErrorCode::PairingRefused => Error::PairingRefused,
        ErrorCode::PairingNotFound => Error::PairingEnded,
        ErrorCode::ConfirmationFailed => Error::WrongCode,
        _ => error,
    }
}
