//! Asking for a credential, waiting for the verdict, giving up.

use std::time::Duration;

use durward_protocol::wire::{AnswerStatus, CancelResponse, CredentialAnswer};
use durward_protocol::{
    Credential, CredentialCancel, CredentialResponse, Domain, ErrorCode, Field, Header, RequestId, Side,
    Timestamp, Verdict, open,
};
use time::OffsetDateTime;

use crate::agent::check_acknowledgement;
use crate::http::Reply;
use crate::session::Session;
use crate::{Agent, Error, PendingRequest, pending, receipts};

/// A request unanswered for this long is written down. A grant answers sooner, and then nothing is.
const WRITE_DOWN_AFTER: Duration = Duration::from_millis(250);

/// An approver that says "pending" sooner than this did not hold the request: then we wait here.
const SHORTEST_HOLD_SECONDS: i64 = 1;

/// What an agent asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What the credential is for.
    pub domain: Domain,
    /// Why, for the owner to read.
    pub reason: String,
    /// Fields; user name and password unless said otherwise.
    pub fields: Vec<Field>,
    /// A particular item.
    pub item_id: Option<String>,
    /// How long the owner has, in seconds; the approver's default is ten minutes.
    pub expires_in: Option<u64>,
}

impl Ask {
    /// User name and password for a domain.
    pub fn new(domain: Domain, reason: impl Into<String>) -> Self {
        Self { domain, reason: reason.into(), fields: Field::default_set(), item_id: None, expires_in: None }
    }

    /// These fields instead. An empty list means the default.
    #[must_use]
    pub fn fields(mut self, fields: Vec<Field>) -> Self {
        if !fields.is_empty() {
            self.fields = fields;
        }
        self
    }
}

/// How long to wait for a verdict here. The request itself lives on until it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until there is one; the approver ends every request after a while.
    UntilDecided,
    /// At most this long, then [`Error::Pending`]. Zero only hands the request in.
    AtMost(Duration),
}

/// A yes.
#[derive(Debug)]
pub struct Approval {
    /// The credential; wiped when dropped.
    pub credential: Credential,
    /// The owner's words, if any.
    pub reason: Option<String>,
    /// The approver's signed receipt, base64url, if it sends one.
    pub receipt: Option<String>,
}

impl Agent {
    /// Gives a request its id. Sends and writes nothing.
    pub fn prepare(&self, ask: Ask) -> Result<PendingRequest, Error> {
        let mut fields = ask.fields;
        fields.sort();
        fields.dedup();
        Ok(PendingRequest {
            id: RequestId::random(&mut *self.rng()),
            session_id: self.live_session()?.info.session_id,
            domain: ask.domain,
            reason: ask.reason,
            fields,
            item_id: ask.item_id,
            expires_in: ask.expires_in,
            created_at: Timestamp::new(self.clock.now()),
        })
    }

    /// Sends a request, new or known, and waits for its verdict. Sent again it joins: the owner is
    /// asked once. Anything but a yes is an error that says what it was.
    pub async fn request(&self, request: &PendingRequest, wait: Wait) -> Result<Approval, Error> {
        let mut session = self.live_session()?;
        if request.session_id != session.info.session_id {
            pending::remove(&self.profile, request.id)?;
            return Err(Error::StaleRequest);
        }
        let mut request = request.clone();
        let answered = match self.wait_for_answer(&session, &request, wait).await {
            Err(error) if is_unknown_session(&error) => {
                // A hint only. But if another process of this profile has paired meanwhile, use that session.
                session =
                    self.reload()?.filter(|new| new.info.session_id != request.session_id).ok_or(error)?;
                request.session_id = session.info.session_id;
                self.wait_for_answer(&session, &request, wait).await
            }
            other => other,
        };
        match answered {
            Ok((header, response)) => {
                receipts::check(&session, &request, &response)?;
                self.keep_receipt(&session, &request, header, &response);
                pending::remove(&self.profile, request.id)?;
                self.judge(response)
            }
            Err(Error::Pending { id }) => {
                self.write_down(&request)?;
                Err(Error::Pending { id })
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a request up, here and at the approver. True when it was still waiting there.
    pub async fn cancel(&self, id: RequestId) -> Result<bool, Error> {
        let session = self.live_session()?;
        let cancelled = self
            .patiently(|| async {
                let header = self.header();
                let body = self.sealed(&session, &CredentialCancel { id }.to_plaintext(header)?)?;
                let answer: CancelResponse = self.http.post("/credential/cancel", &body).await?;
                check_acknowledgement(&session, &answer.encrypted_payload, header)?;
                Ok(answer.cancelled)
            })
            .await?;
        pending::remove(&self.profile, id)?;
        Ok(cancelled)
    }

    /// Writes a request down so that another run can wait for it or cancel it.
    pub fn write_down(&self, request: &PendingRequest) -> Result<(), Error> {
        pending::store(&self.profile, request)
    }

    async fn wait_for_answer(
        &self,
        session: &Session,
        request: &PendingRequest,
        wait: Wait,
    ) -> Result<(Header, CredentialResponse), Error> {
        let deadline = match wait {
            Wait::UntilDecided => None,
            Wait::AtMost(limit) => Some(self.clock.now() + limit),
        };
        let mut written = false;
        loop {
            let started = self.clock.now();
            let hold = self.hold(deadline, started);
            let held = self.patiently(|| self.ask_once(session, request, hold));
            let reply = self.writing_down_if_slow(held, request, &mut written).await?;
            if let Reply::Ready(response) = reply {
                return Ok(response);
            }
            let now = self.clock.now();
            if deadline.is_some_and(|deadline| now >= deadline) || hold.is_zero() {
                return Err(Error::Pending { id: request.id });
            }
            if (now - started).whole_seconds() < SHORTEST_HOLD_SECONDS {
                self.clock.sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// A new envelope each time: the nonce of the last one may have been spent.
    async fn ask_once(
        &self,
        session: &Session,
        request: &PendingRequest,
        hold: Duration,
    ) -> Result<Reply<(Header, CredentialResponse)>, Error> {
        let mut message = request.message();
        message.heads = self.heads(session);
        let body = self.sealed(session, &message.to_plaintext(self.header())?)?;
        let reply: Reply<CredentialAnswer> =
            self.http.post_held("/credential/request", &body, Some(hold), hold).await?;
        let Reply::Ready(answer) = reply else { return Ok(Reply::Pending) };
        if answer.status == AnswerStatus::Pending {
            return Ok(Reply::Pending);
        }
        let payload =
            answer.encrypted_payload.ok_or(Error::BadAnswer { reason: "it has no sealed verdict" })?;
        open_verdict(session, request.id, &payload).map(Reply::Ready)
    }

    async fn writing_down_if_slow<T>(
        &self,
        held: impl Future<Output = Result<T, Error>>,
        request: &PendingRequest,
        written: &mut bool,
    ) -> Result<T, Error> {
        let mut held = std::pin::pin!(held);
        if *written {
            return held.await;
        }
        tokio::select! {
            biased;
            done = &mut held => return done,
            () = self.clock.sleep(WRITE_DOWN_AFTER) => {}
        }
        self.write_down(request)?;
        *written = true;
        held.await
    }

    fn hold(&self, deadline: Option<OffsetDateTime>, now: OffsetDateTime) -> Duration {
        let most = self.http.timeouts().hold;
        let left = deadline.map(|deadline| Duration::try_from(deadline - now).unwrap_or_default());
        left.map_or(most, |left| left.min(most))
    }

    fn judge(&self, response: CredentialResponse) -> Result<Approval, Error> {
        let CredentialResponse { status, reason, credential, receipt, .. } = response;
        match status {
            Verdict::Approved => Ok(Approval { credential, reason, receipt }),
            Verdict::Denied if reason.as_deref() == Some("session_revoked") => {
                // Sealed under the session's own key: nobody else can have said it.
                self.forget()?;
                Err(Error::SessionRevoked)
            }
            Verdict::Denied => Err(Error::Denied { reason }),
            Verdict::NotFound => Err(Error::NotFound { reason }),
            Verdict::Expired => Err(Error::Expired),
            Verdict::Cancelled => Err(Error::Cancelled),
        }
    }
}

/// No clock check here: `in_reply_to` names 16 random bytes that were made for this one question, and
/// the approver may repeat its one sealing for 300 seconds.
fn open_verdict(
    session: &Session,
    asked: RequestId,
    payload: &str,
) -> Result<(Header, CredentialResponse), Error> {
    let plaintext = open(&session.keys, Side::B, &session.info.session_id, payload)
        .map_err(|_| Error::BadAnswer { reason: "its envelope does not open" })?;
    let (header, response) = CredentialResponse::parse(&plaintext)
        .map_err(|_| Error::BadAnswer { reason: "its envelope holds something else" })?;
    if response.in_reply_to != asked {
        return Err(Error::BadAnswer { reason: "it answers something else" });
    }
    Ok((header, response))
}

fn is_unknown_session(error: &Error) -> bool {
    matches!(error, Error::Refused { code: Some(ErrorCode::SessionNotFound), .. })
}
