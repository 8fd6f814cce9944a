//! Asking for a credential, waiting for the verdict, giving up.

use std::time::Duration;

use durward_protocol::wire::CancelResponse;
use durward_protocol::{
    Credential, CredentialCancel, CredentialResponse, Domain, ErrorCode, Field, RequestId, Timestamp, Verdict,
};

use crate::agent::check_acknowledgement;
use crate::wait::Waiting;
use crate::{Agent, Error, PendingRequest, pending, receipts};

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
            id: self.fresh_id(),
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
        let answered = match Waiting::new(self, &session, &request, wait).verdict().await {
            Err(error) if is_unknown_session(&error) => {
                // A hint only. But if another process of this profile has paired meanwhile, use that session.
                session =
                    self.reload()?.filter(|new| new.info.session_id != request.session_id).ok_or(error)?;
                request.session_id = session.info.session_id;
                Waiting::new(self, &session, &request, wait).verdict().await
            }
            other => other,
        };
        match answered {
            Ok((header, response)) => {
                receipts::check(&session, &request, &response)?;
                self.keep_receipt(&session, &request, header, &response);
                pending::remove(&self.profile, request.id)?;
                self.remember_approver();
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

    /// Not one that begins with `-`, which a command line would take for an option. The protocol takes any.
    fn fresh_id(&self) -> RequestId {
        loop {
            let id = RequestId::random(&mut *self.rng());
            if !id.to_string().starts_with('-') {
                return id;
            }
        }
    }

    /// The address whose answer opened under the session's own key is where the next run looks for the approver. Only a
    /// convenience: an answer that is here is not lost over it, and what another process wrote meanwhile stays.
    fn remember_approver(&self) {
        let Ok(Some(mut record)) = self.profile.load() else { return };
        let here = Some(self.approver().to_string());
        if record.approver_url == here {
            return;
        }
        record.approver_url = here;
        if let Err(error) = self.store_record(record) {
            tracing::debug!(%error, "where the approver answered could not be written down");
        }
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

fn is_unknown_session(error: &Error) -> bool {
    matches!(error, Error::Refused { code: Some(ErrorCode::SessionNotFound), .. })
}
