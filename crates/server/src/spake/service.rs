//! The session table behind its lock, with clock, generator and a bound on slow work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use durward_broker::spake::{
    Begun, CleanupResponse, ConfirmRequest, ConfirmResponse, Error, ExchangeRequest, ExchangeResponse,
    InitiateRequest, InitiateResponse, Limits, SessionId, SessionList, SessionStatus, Sessions, Start,
};
use tokio::sync::{Notify, Semaphore};

use crate::clock::Clock;
use crate::keys::os_rng;

/// How long the timer sleeps at most while there are sessions: its sleep does not count the machine's, so after a
/// suspend an expired session is wiped this much late.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The service, shared by every connection. No curve arithmetic happens under its lock.
pub(crate) struct SpakeService {
    sessions: Mutex<Sessions>,
    clock: Clock,
    /// One slot a core: each stretch keeps a core busy for tens of milliseconds.
    stretches: Arc<Semaphore>,
    opened: Notify,
}

impl SpakeService {
    /// A service without sessions.
    pub(crate) fn new(limits: Limits, clock: Clock) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            sessions: Mutex::new(Sessions::new(limits)),
            clock,
            stretches: Arc::new(Semaphore::new(cores)),
            opened: Notify::new(),
        })
    }

    /// Answers `initiate`.
    pub(super) async fn initiate(&self, body: &[u8]) -> Result<InitiateResponse, Error> {
        let start = Start::try_from(InitiateRequest::from_json(body)?)?;
        self.with(|sessions, now| sessions.admit(start.session_id(), now))?;
        let begun = self.begin(start).await?;
        let answer = self.with(|sessions, now| sessions.open(begun, now))?;
        self.opened.notify_one();
        tracing::debug!(session_id = %answer.session_id, suite = answer.suite.name(), role = ?answer.role, "spake session initiated");
        Ok(answer)
    }

    /// Answers `exchange`.
    pub(super) fn exchange(&self, body: &[u8]) -> Result<ExchangeResponse, Error> {
        let request = ExchangeRequest::from_json(body)?;
        let attempt = self.with(|sessions, now| sessions.take(request, now))?;
        let id = attempt.session_id().clone();
        let outcome = attempt.run();
        let answer = self.with(|sessions, now| sessions.settle(outcome, now));
        match &answer {
            Ok(answer) => {
                tracing::debug!(session_id = %id, peer_confirmed = answer.peer_confirmed, "spake exchange completed");
            }
            Err(error) => tracing::warn!(session_id = %id, code = error.code(), "spake exchange failed"),
        }
        answer
    }

    /// Answers `confirm`.
    pub(super) fn confirm(&self, body: &[u8]) -> Result<ConfirmResponse, Error> {
        let request = ConfirmRequest::from_json(body)?;
        let id = SessionId::new(request.session_id.clone())?;
        let answer = self.with(|sessions, now| sessions.confirm(request, now));
        match &answer {
            Ok(_) => tracing::debug!(session_id = %id, "spake peer confirmed"),
            Err(error) => tracing::warn!(session_id = %id, code = error.code(), "spake confirmation refused"),
        }
        answer
    }

    /// Answers `status`.
    pub(super) fn status(&self, id: &SessionId) -> Result<SessionStatus, Error> {
        self.with(|sessions, now| sessions.status(id, now))
    }

    /// Answers `cleanup`.
    pub(super) fn cleanup(&self, id: &SessionId) -> Result<CleanupResponse, Error> {
        let answer = self.with(|sessions, now| sessions.cleanup(id, now))?;
        tracing::debug!(session_id = %id, "spake session cleaned up");
        Ok(answer)
    }

    /// Answers `sessions`.
    pub(super) fn list(&self) -> SessionList {
        self.with(Sessions::list)
    }

    /// Wipes expired sessions as they expire. Sleeps for good while there are none.
    pub(crate) async fn run_timer(self: Arc<Self>) {
        loop {
            let next = self.lock().next_expiry();
            let Some(next) = next else {
                self.opened.notified().await;
                continue;
            };
            let left = Duration::try_from(next - self.clock.now().steady).unwrap_or(Duration::ZERO);
            tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
            let purged = self.with(Sessions::purge);
            if purged > 0 {
                tracing::debug!(purged, "spake sessions expired");
            }
        }
    }

    /// Stretches where the suite asks for it, off the threads that serve others, and makes our key.
    async fn begin(&self, start: Start) -> Result<Begun, Error> {
        if !start.is_slow() {
            return start.stretch()?.begin(&mut os_rng());
        }
        let slot = Arc::clone(&self.stretches).acquire_owned().await.map_err(|_| Error::Internal)?;
        let work = move || {
            // Held by the work and not by the caller, who may go away while it runs.
            let _slot = slot;
            start.stretch()?.begin(&mut os_rng())
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Internal)?
    }

    fn with<T>(&self, act: impl FnOnce(&mut Sessions, time::OffsetDateTime) -> T) -> T {
        let mut sessions = self.lock();
        act(&mut sessions, self.clock.now().steady)
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the table holds anything, expired or not.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().next_expiry().is_none()
    }
}
