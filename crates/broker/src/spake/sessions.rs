//! The session table: who waits, who had an exchange, who must go.
//!
//! A session is initiated, then completed or failed, once, and gone 300 s after it was initiated. The table is
//! bounded: a full one drops ended sessions, the oldest first, and refuses when every session is still open. Ended
//! sessions do not hold the shared secret; they are kept so that a second exchange is told from a first, and for a
//! confirmation that comes late.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use rand_core::CryptoRng;
use time::{Duration, OffsetDateTime};

use super::Error;
use super::exchange::{Agreed, Awaited, Exchange};
use super::id::SessionId;
use super::start::{Begun, Start};
use super::wire::{
    CleanupResponse, ConfirmRequest, ConfirmResponse, ExchangeRequest, ExchangeResponse, InitiateRequest,
    InitiateResponse, SessionList, SessionStatus, Status,
};

/// How many sessions, and how long each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most sessions in the table, about 2 kB each.
    pub max_sessions: usize,
    /// Life of a session from its initiation, ended or not.
    pub lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_sessions: 4096, lifetime: Duration::seconds(300) }
    }
}

/// All sessions of a service. In memory only. `now` is the steady clock ([`crate::Now::steady`]): were it to go back,
/// sessions would live longer by as much.
pub struct Sessions {
    limits: Limits,
    /// The serial number of the next session. Serials rise with age, so an old reference finds nothing new.
    next: u64,
    by_serial: BTreeMap<u64, Session>,
    by_id: BTreeMap<SessionId, u64>,
    ended: BTreeSet<u64>,
}

struct Session {
    id: SessionId,
    expires_at: OffsetDateTime,
    state: State,
}

enum State {
    Open(Exchange),
    /// The exchange is being computed outside the table. It counts as had.
    Exchanging,
    /// With the peer's confirmation, unless it has come.
    Completed(Option<Awaited>),
    Failed,
}

/// A session's one exchange, taken out of the table: [`Attempt::run`] computes without it.
pub struct Attempt {
    id: SessionId,
    serial: u64,
    exchange: Exchange,
    public_key: String,
    confirmation: Option<String>,
}

/// A computed exchange, for [`Sessions::settle`].
pub struct Outcome {
    id: SessionId,
    serial: u64,
    result: Result<Agreed, Error>,
}

impl Sessions {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        Self { limits, next: 0, by_serial: BTreeMap::new(), by_id: BTreeMap::new(), ended: BTreeSet::new() }
    }

    /// Whether a session of this id could open now. Reserves nothing; it spares a doomed call its stretch.
    pub fn admit(&mut self, id: &SessionId, now: OffsetDateTime) -> Result<(), Error> {
        self.purge(now);
        if self.by_id.contains_key(id) {
            return Err(Error::Exists);
        }
        if self.by_serial.len() >= self.limits.max_sessions && self.ended.is_empty() {
            return Err(Error::Full { retry_after: self.seconds_until_room(now) });
        }
        Ok(())
    }

    /// Puts a begun session into the table and answers `initiate`.
    pub fn open(&mut self, begun: Begun, now: OffsetDateTime) -> Result<InitiateResponse, Error> {
        let Begun { names, public_key, exchange } = begun;
        self.admit(&names.session_id, now)?;
        if self.by_serial.len() >= self.limits.max_sessions
            && let Some(oldest) = self.ended.first().copied()
        {
            self.remove(oldest);
        }
        let (id, serial) = (names.session_id, self.next);
        self.next += 1;
        self.by_id.insert(id.clone(), serial);
        let expires_at = now + self.limits.lifetime;
        self.by_serial.insert(serial, Session { id: id.clone(), expires_at, state: State::Open(exchange) });
        Ok(InitiateResponse {
            parameters: names.suite.parameters(&id),
            session_id: id,
            public_key,
            status: Status::Initiated,
            suite: names.suite,
            role: names.role,
            id_a: names.id_a,
            id_b: names.id_b,
            expires_in: self.limits.lifetime.whole_seconds().unsigned_abs(),
        })
    }

    /// Takes a session's one exchange. From here on it is spent, whatever becomes of the [`Attempt`].
    pub fn take(&mut self, request: ExchangeRequest, now: OffsetDateTime) -> Result<Attempt, Error> {
        let id = SessionId::new(request.session_id)?;
        let serial = self.find(&id, now)?;
        let session = self.by_serial.get_mut(&serial).ok_or(Error::NotFound)?;
        match std::mem::replace(&mut session.state, State::Exchanging) {
            State::Open(exchange) => Ok(Attempt {
                id,
                serial,
                exchange,
                public_key: request.client_public_key,
                confirmation: request.client_confirmation,
            }),
            had => {
                session.state = had;
                Err(Error::Completed)
            }
        }
    }

    /// Records how an exchange went and answers it. A session cleaned up or expired meanwhile releases nothing.
    pub fn settle(&mut self, outcome: Outcome, now: OffsetDateTime) -> Result<ExchangeResponse, Error> {
        let serial = self.find(&outcome.id, now)?;
        if serial != outcome.serial {
            return Err(Error::NotFound);
        }
        let session = self.by_serial.get_mut(&serial).ok_or(Error::NotFound)?;
        session.state = State::Failed;
        self.ended.insert(serial);
        let Agreed { secret, confirmation, awaited } = outcome.result?;
        let peer_confirmed = awaited.is_none();
        session.state = State::Completed(awaited);
        Ok(ExchangeResponse {
            session_id: outcome.id,
            shared_secret: secret,
            status: Status::Completed,
            peer_confirmed,
            confirmation: HEXLOWER.encode(&confirmation),
        })
    }

    /// Answers `confirm`: takes the peer's confirmation after an exchange without one. Once: a wrong one fails the
    /// session.
    pub fn confirm(
        &mut self,
        request: ConfirmRequest,
        now: OffsetDateTime,
    ) -> Result<ConfirmResponse, Error> {
        let id = SessionId::new(request.session_id)?;
        let serial = self.find(&id, now)?;
        let session = self.by_serial.get_mut(&serial).ok_or(Error::NotFound)?;
        let awaited = match &mut session.state {
            State::Open(_) | State::Exchanging => return Err(Error::NotExchanged),
            State::Completed(awaited) => awaited.take().ok_or(Error::Completed)?,
            State::Failed => return Err(Error::Completed),
        };
        let mac = unhex(&request.client_confirmation, 32);
        if mac.is_none_or(|mac| awaited.verify(&mac).is_err()) {
            session.state = State::Failed;
            return Err(Error::ConfirmationLate);
        }
        Ok(ConfirmResponse { session_id: id, status: Status::Completed, peer_confirmed: true })
    }

    /// Answers `status`.
    pub fn status(&mut self, id: &SessionId, now: OffsetDateTime) -> Result<SessionStatus, Error> {
        let serial = self.find(id, now)?;
        self.by_serial.get(&serial).map(Session::status).ok_or(Error::NotFound)
    }

    /// Answers `cleanup`: the session and its secrets are gone, and its id is free.
    pub fn cleanup(&mut self, id: &SessionId, now: OffsetDateTime) -> Result<CleanupResponse, Error> {
        let serial = self.find(id, now)?;
        self.remove(serial);
        Ok(CleanupResponse { session_id: id.clone(), message: "Session cleaned up successfully" })
    }

    /// Answers `sessions`.
    pub fn list(&mut self, now: OffsetDateTime) -> SessionList {
        self.purge(now);
        let sessions: Vec<_> = self.by_serial.values().map(Session::status).collect();
        SessionList { active_sessions: sessions.len(), sessions }
    }

    /// Drops and wipes what has expired; returns how many sessions that were. Every call does this first; a server
    /// calls it at [`Sessions::next_expiry`] too, so that a secret does not wait for the next caller.
    pub fn purge(&mut self, now: OffsetDateTime) -> usize {
        let before = self.by_serial.len();
        while let Some((serial, session)) = self.by_serial.first_key_value()
            && session.expires_at <= now
        {
            self.remove(*serial);
        }
        before - self.by_serial.len()
    }

    /// When the oldest session expires.
    pub fn next_expiry(&self) -> Option<OffsetDateTime> {
        self.by_serial.first_key_value().map(|(_, session)| session.expires_at)
    }

    /// All steps of `initiate` at once, the stretch included: for callers that share the table with nobody.
    pub fn initiate<R: CryptoRng + ?Sized>(
        &mut self,
        request: InitiateRequest,
        now: OffsetDateTime,
        rng: &mut R,
    ) -> Result<InitiateResponse, Error> {
        let start = Start::try_from(request)?;
        self.admit(start.session_id(), now)?;
        self.open(start.stretch()?.begin(rng)?, now)
    }

    /// All steps of `exchange` at once.
    pub fn exchange(
        &mut self,
        request: ExchangeRequest,
        now: OffsetDateTime,
    ) -> Result<ExchangeResponse, Error> {
        let outcome = self.take(request, now)?.run();
        self.settle(outcome, now)
    }

    fn find(&mut self, id: &SessionId, now: OffsetDateTime) -> Result<u64, Error> {
        self.purge(now);
        self.by_id.get(id).copied().ok_or(Error::NotFound)
    }

    fn remove(&mut self, serial: u64) {
        if let Some(session) = self.by_serial.remove(&serial) {
            self.by_id.remove(&session.id);
            self.ended.remove(&serial);
        }
    }

    fn seconds_until_room(&self, now: OffsetDateTime) -> u64 {
        let left = self.next_expiry().map_or(self.limits.lifetime, |at| at - now);
        u64::try_from(left.whole_seconds()).unwrap_or(0) + 1
    }
}

impl Session {
    fn status(&self) -> SessionStatus {
        let status = match self.state {
            State::Open(_) | State::Exchanging => Status::Initiated,
            State::Completed(_) => Status::Completed,
            State::Failed => Status::Failed,
        };
        SessionStatus { session_id: self.id.clone(), status }
    }
}

impl Attempt {
    /// The session it belongs to.
    pub fn session_id(&self) -> &SessionId {
        &self.id
    }

    /// Computes the exchange: a tenth of a millisecond or two, no table needed.
    pub fn run(self) -> Outcome {
        let Self { id, serial, exchange, public_key, confirmation } = self;
        Outcome { id, serial, result: run(exchange, &public_key, confirmation.as_deref()) }
    }
}

fn run(exchange: Exchange, public_key: &str, confirmation: Option<&str>) -> Result<Agreed, Error> {
    let public_key = unhex(public_key, exchange.peer_bytes()).ok_or(Error::BadPublicKey)?;
    let confirmation = confirmation.map(|hex| unhex(hex, 32).ok_or(Error::ConfirmationFailed)).transpose()?;
    exchange.finish(&public_key, confirmation.as_deref())
}

fn unhex(text: &str, bytes: usize) -> Option<Vec<u8>> {
    (text.len() == 2 * bytes).then(|| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()).flatten()
}
