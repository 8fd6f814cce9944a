//! Waiting for one verdict: held calls one after the other, over failures and a restart of the approver.

use std::time::Duration;

use durward_protocol::wire::{AnswerStatus, CredentialAnswer};
use durward_protocol::{CredentialResponse, Header, RequestId, Side, open};
use time::OffsetDateTime;

use crate::http::Reply;
use crate::retry::{self, TRIES};
use crate::session::Session;
use crate::{Agent, Error, PendingRequest, Wait, pending};

/// A request unanswered for this long is written down. A grant answers sooner, and then nothing is.
const WRITE_DOWN_AFTER: Duration = Duration::from_millis(250);

/// An approver that says "pending" sooner than this did not hold the request: then we wait here. One that broke
/// off later than this had it.
const SHORTEST_HOLD: Duration = Duration::from_secs(1);

/// A request that the approver has is asked for again this long: a restart takes less.
const RESTART_PATIENCE: Duration = Duration::from_secs(30);

/// What an answer holds.
pub(crate) type Answer = (Header, CredentialResponse);

/// Whether the approver has the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Taken {
    /// It cannot have it.
    No,
    /// It was sent, and nothing came back.
    Perhaps,
    /// It said so, or held the call.
    Yes,
}

/// One wait.
pub(crate) struct Waiting<'a> {
    agent: &'a Agent,
    session: &'a Session,
    request: &'a PendingRequest,
    deadline: Option<OffsetDateTime>,
    /// An earlier run wrote it down: it stays, whatever happens here.
    known: bool,
    written: bool,
    taken: Taken,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(
        agent: &'a Agent,
        session: &'a Session,
        request: &'a PendingRequest,
        wait: Wait,
    ) -> Self {
        let deadline = match wait {
            Wait::UntilDecided => None,
            Wait::AtMost(limit) => Some(agent.clock.now() + limit),
        };
        let known = pending::is_stored(&agent.profile, request.id);
        Self { agent, session, request, deadline, known, written: false, taken: Taken::No }
    }

    /// The verdict. A request that the approver may have is on disk when this fails, for another run to wait for; one
    /// that it cannot have is not.
    pub(crate) async fn verdict(mut self) -> Result<Answer, Error> {
        let verdict = self.wait().await;
        if verdict.is_err() && !self.known {
            match self.taken {
                Taken::No => pending::remove(&self.agent.profile, self.request.id)?,
                Taken::Perhaps | Taken::Yes => self.write_down()?,
            }
        }
        verdict
    }

    async fn wait(&mut self) -> Result<Answer, Error> {
        loop {
            let started = self.now();
            let hold = self.hold(started);
            if let Reply::Ready(answer) = self.ask_over_failures(hold).await? {
                return Ok(answer);
            }
            self.taken = Taken::Yes;
            let now = self.now();
            if self.deadline.is_some_and(|deadline| now >= deadline) || hold.is_zero() {
                return Err(Error::Pending { id: self.request.id });
            }
            if now - started < SHORTEST_HOLD {
                self.agent.clock.sleep(SHORTEST_HOLD).await;
            }
        }
    }

    async fn ask_over_failures(&mut self, hold: Duration) -> Result<Reply<Answer>, Error> {
        let (mut failed, mut out_since) = (0, None);
        loop {
            let asked = self.now();
            let error = match self.ask_writing_down(hold).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let now = self.now();
            self.taken = self.taken.max(taken(&error, now - asked));
            failed += 1;
            let out_since = *out_since.get_or_insert(now);
            let Some(pause) = self.pause(&error, failed, out_since) else { return Err(error) };
            tracing::debug!(%error, failed, "trying again");
            self.agent.clock.sleep(pause).await;
        }
    }

    /// Three tries; more while the approver has the request, until the wait or [`RESTART_PATIENCE`] is over.
    fn pause(&self, error: &Error, failed: u32, out_since: OffsetDateTime) -> Option<Duration> {
        if !error.is_transient() {
            return None;
        }
        let pause = retry::pause(failed, &mut *self.agent.rng());
        if self.taken != Taken::Yes {
            return (failed < TRIES).then_some(pause);
        }
        let end = out_since + RESTART_PATIENCE;
        let end = self.deadline.map_or(end, |deadline| end.min(deadline));
        let left = Duration::try_from(end - self.now()).unwrap_or_default();
        if left.is_zero() {
            return (failed < TRIES).then_some(pause);
        }
        Some(pause.max(error.retry_after().unwrap_or_default()).min(left))
    }

    async fn ask_writing_down(&mut self, hold: Duration) -> Result<Reply<Answer>, Error> {
        let mut asked = std::pin::pin!(ask_once(self.agent, self.session, self.request, hold));
        if self.written || self.known {
            return asked.await;
        }
        tokio::select! {
            biased;
            done = &mut asked => return done,
            () = self.agent.clock.sleep(WRITE_DOWN_AFTER) => {}
        }
        self.write_down()?;
        asked.await
    }

    fn write_down(&mut self) -> Result<(), Error> {
        if !self.written {
            self.agent.write_down(self.request)?;
            self.written = true;
        }
        Ok(())
    }

    fn now(&self) -> OffsetDateTime {
        self.agent.clock.now()
    }

    fn hold(&self, now: OffsetDateTime) -> Duration {
        let most = self.agent.http.timeouts().hold;
        let left = self.deadline.map(|deadline| Duration::try_from(deadline - now).unwrap_or_default());
        left.map_or(most, |left| left.min(most))
    }
}

/// What a failure after so long says about the request. An approver that refuses did not take it.
fn taken(error: &Error, after: time::Duration) -> Taken {
    match error {
        Error::CannotConnect { .. } => Taken::No,
        Error::Refused { .. } | Error::ConnectionLost { .. } if after >= SHORTEST_HOLD => Taken::Yes,
        Error::Refused { code, status, .. } if code.is_some() || *status < 500 => Taken::No,
        _ => Taken::Perhaps,
    }
}

/// A new envelope each time: the nonce of the last one may have been spent.
async fn ask_once(
    agent: &Agent,
    session: &Session,
    request: &PendingRequest,
    hold: Duration,
) -> Result<Reply<Answer>, Error> {
    let mut message = request.message();
    message.heads = agent.heads(session);
    let body = agent.sealed(session, &message.to_plaintext(agent.header())?)?;
    let reply: Reply<CredentialAnswer> =
        agent.http.post_held("/credential/request", &body, Some(hold), hold).await?;
    let Reply::Ready(answer) = reply else { return Ok(Reply::Pending) };
    if answer.status == AnswerStatus::Pending {
        return Ok(Reply::Pending);
    }
    let payload = answer.encrypted_payload.ok_or(Error::BadAnswer { reason: "it has no sealed verdict" })?;
    open_verdict(session, request.id, &payload).map(Reply::Ready)
}

/// No clock check here: `in_reply_to` names 16 random bytes that were made for this one question, and
/// the approver may repeat its one sealing for 300 seconds.
fn open_verdict(session: &Session, asked: RequestId, payload: &str) -> Result<Answer, Error> {
    let plaintext = open(&session.keys, Side::B, &session.info.session_id, payload)
        .map_err(|_| Error::BadAnswer { reason: "its envelope does not open" })?;
    let (header, response) = CredentialResponse::parse(&plaintext)
        .map_err(|_| Error::BadAnswer { reason: "its envelope holds something else" })?;
    if response.in_reply_to != asked {
        return Err(Error::BadAnswer { reason: "it answers something else" });
    }
    Ok((header, response))
}
