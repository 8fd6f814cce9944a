//! Requests: how they come in, wait, are joined, given up and forgotten.
//!
//! ```text
//! Creating --committed--> Waiting --owner--> Reading --vault--> Releasing --committed--> Answered
//!                            ^  |               | locked, several items                     | 300 s
//!                            |  +-- deny, expiry, cancel --> Ending --committed--> Answered v
//!                            +------------------+                                          Over
//! ```
//!
//! With a live grant or under an `allow` of the policy a request starts in Reading, and its creation is committed with its release.

use std::sync::Arc;

use durward_protocol::device::{DeviceName, request_digest};
use durward_protocol::{
    CredentialRequest, Domain, ErrorCode, Field, GrantId, Header, RequestId, SessionId, Verdict,
};
use rand_core::CryptoRng;
use time::{Duration, OffsetDateTime};

use super::audit::{Actor, AuditEvent};
use super::by_device::ByDevice;
use super::commit::InFlight;
use super::decision::By;
use super::event::{Answer, ItemChoice, Notice, Ticket, Waiter};
use super::machine::{Approval, Deadline, Held, Step};
use super::policy::PolicyVerdict;
use super::receipt::Facts;
use super::records::{NonceRecord, RequestRecord, StoredRequestState, Write};
use super::release::Release;
use crate::Now;

/// A request's name: the agent's id for it is unique within its session only.
pub(super) type RequestKey = (SessionId, RequestId);

/// A request, from its arrival until it is forgotten.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) digest: [u8; 32],
    pub(super) forget_at: OffsetDateTime,
    /// The other device on which the owner decided it.
    pub(super) decided_on: Option<DeviceName>,
    pub(super) state: RequestState,
}

#[derive(Debug)]
pub(super) enum RequestState {
    /// No verdict yet.
    Open(Box<Open>),
    /// The verdict, sealed once: these bytes and no others.
    Answered { verdict: Verdict, reason: Option<String>, by: Actor, payload: Arc<str>, until: OffsetDateTime },
    /// The verdict without bytes: sealed anew for who asks. Never `approved`.
    Over { verdict: Verdict, reason: Option<String>, by: Actor },
}

/// A request without a verdict.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) details: Details,
    pub(super) waiters: Vec<Waiter>,
    /// Approved on another device; the vault was locked.
    pub(super) approved: Option<ByDevice>,
    pub(super) stage: Stage,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(super) struct Details {
    pub(super) domain: Domain,
    pub(super) reason: String,
    pub(super) fields: Vec<Field>,
    pub(super) item_id: Option<String>,
    pub(super) created_at: OffsetDateTime,
    pub(super) expires_at: OffsetDateTime,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Being recorded, before anybody sees it; then it waits like this.
    Creating { granted: bool, choices: Vec<ItemChoice> },
    /// Waits for the owner; with `granted` only for the vault password.
    Waiting { granted: bool, choices: Vec<ItemChoice> },
    /// The vault is being read. `unsaved`: the rows of a request that a grant covers.
    Reading { reading: Ticket, by: By, unsaved: Vec<Write> },
    /// The release is being committed.
    Releasing(Box<Release>),
    /// A verdict without a credential is being committed.
    Ending {
        verdict: Verdict,
        reason: Option<String>,
        actor: Actor,
        replies: Vec<(Waiter, Answer)>,
        owner: Option<Waiter>,
        /// Whether the request is on disk already; else it never came should this commit fail.
        recorded: bool,
    },
}

impl Stage {
    /// Waits for the owner, and nothing is known about the items yet.
    pub(super) fn waiting() -> Self {
        Self::Waiting { granted: false, choices: Vec::new() }
    }

    /// Whether it is this reading that is under way: an earlier one, given up, must not answer for it.
    pub(super) fn is_reading(&self, ticket: Ticket) -> bool {
        matches!(self, Self::Reading { reading, .. } if *reading == ticket)
    }
}

impl Request {
    pub(super) fn details(&self) -> Option<&Details> {
        self.open().map(|open| &open.details)
    }

    pub(super) fn open(&self) -> Option<&Open> {
        match &self.state {
            RequestState::Open(open) => Some(open),
            _ => None,
        }
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.state {
            RequestState::Open(open) => Some(open),
            _ => None,
        }
    }
}

impl Approval {
    pub(super) fn request<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        id: SessionId,
        payload: &str,
    ) {
        let (header, request) = match self.read_envelope(step.now, id, payload, CredentialRequest::parse) {
            Ok(read) => read,
            Err(code) => return self.refuse_envelope(step, waiter, id, code),
        };
        let key = (id, request.id);
        let digest = request_digest(
            &id,
            &request.id,
            &request.domain,
            &request.reason,
            &request.fields,
            request.item_id.as_deref(),
        );
        let accepted = match self.requests.get(&key) {
            Some(known) if known.digest != digest => Err(ErrorCode::RequestIdConflict),
            Some(_) => return self.join(step, waiter, key, header, &request),
            None => self.may_ask(step.now, id, &request),
        };
        match accepted.and_then(|()| self.accept_envelope(step.now, id, header)) {
            Ok(nonce) => {
                self.note_heads(step, id, header, request.heads.as_ref());
                self.open_request(step, waiter, key, digest, request, nonce);
            }
            Err(code) => self.refuse_envelope(step, waiter, id, code),
        }
    }

    /// Scope and bounds, for a request that is new.
    fn may_ask(&self, now: Now, id: SessionId, asked: &CredentialRequest) -> Result<(), ErrorCode> {
        self.check_not_paused(id)?;
        let session = self.sessions.get(&id).ok_or(ErrorCode::SessionNotFound)?;
        if !session.record.scope.covers(&asked.domain) || session.uses_left() == Some(0) {
            return Err(ErrorCode::OutOfScope);
        }
        if session.asks_too_often(now.steady, &self.settings) && self.asks_owner(now, id, asked) {
            return Err(ErrorCode::RateLimited);
        }
        // A session may fill as much as it leaves free. So one alone gets half, each of n gets its part of n + 1, and
        // one that has asked for nothing yet always finds room.
        let free = self.settings.max_remembered_requests.saturating_sub(self.requests.len());
        let full = session.open_requests.len() >= self.settings.max_pending_per_session
            || self.pending >= self.settings.max_pending
            || session.remembered >= free;
        if full { Err(ErrorCode::RateLimited) } else { Ok(()) }
    }

    /// Whether neither a grant nor a rule would release it unasked.
    fn asks_owner(&self, now: Now, id: SessionId, asked: &CredentialRequest) -> bool {
        let item_id = asked.item_id.as_deref();
        let grant = self.find_grant(now.steady, id, &asked.domain, &asked.fields, item_id);
        !goes_unasked(self.judge(now, id, &asked.domain, &asked.fields).verdict, grant)
    }

    fn open_request<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        key: RequestKey,
        digest: [u8; 32],
        request: CredentialRequest,
        nonce: NonceRecord,
    ) {
        let now = step.now.steady;
        let asked = request.expires_in.and_then(|s| i64::try_from(s).ok()).map(Duration::seconds);
        let details = Details {
            domain: request.domain,
            reason: request.reason,
            fields: request.fields,
            item_id: request.item_id,
            created_at: now,
            expires_at: now + asked.unwrap_or(self.settings.request_life),
        };
        let grant = self.find_grant(now, key.0, &details.domain, &details.fields, details.item_id.as_deref());
        let ruling = self.judge(step.now, key.0, &details.domain, &details.fields);
        let expires_at = details.expires_at;
        let forget_at = expires_at + self.settings.request_memory;
        let open = Open {
            details,
            waiters: vec![waiter],
            approved: None,
            stage: Stage::Creating { granted: false, choices: Vec::new() },
        };
        let state = RequestState::Open(Box::new(open));
        let entry = Request { digest, forget_at, decided_on: None, state };
        self.requests.insert(key, entry);
        self.pending += 1;
        if let Some(session) = self.sessions.get_mut(&key.0) {
            session.remembered += 1;
            session.open_requests.insert(key.1);
        }
        self.held.insert(waiter, Held::Request(key));
        self.schedule(expires_at, Deadline::Request(key));
        let audit = self.request_entry(step.now, AuditEvent::RequestReceived, Actor::Agent, key);
        let writes = vec![Write::Nonce(nonce), Write::Audit(audit)];
        if !goes_unasked(ruling.verdict, grant)
            && let Some(session) = self.sessions.get_mut(&key.0)
        {
            session.asks(now, &self.settings);
        }
        if ruling.verdict == PolicyVerdict::Deny {
            self.deny_by_policy(step, key, &ruling, writes);
        } else if let Some(grant_id) = grant {
            self.read_under_grant(step, key, grant_id, writes);
        } else if ruling.verdict == PolicyVerdict::Allow {
            self.read_under_policy(step, key, &ruling, writes, false);
        } else {
            self.save_last_use(step, key.0);
            let row = self.request_record(key, StoredRequestState::Pending).map(Write::Request);
            self.commit(step, InFlight::Create(key), row.into_iter().chain(writes).collect());
        }
    }

    /// The same request again: its waiter joins, or gets the same bytes.
    fn join<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        key: RequestKey,
        header: Header,
        asked: &CredentialRequest,
    ) {
        if let Err(code) = self.accept_envelope(step.now, key.0, header) {
            return self.refuse_envelope(step, waiter, key.0, code);
        }
        self.save_last_use(step, key.0);
        self.note_heads(step, key.0, header, asked.heads.as_ref());
        self.drop_answer_if_due(step.now.steady, key);
        let max_waiters = self.settings.max_waiters_per_request;
        let Some(request) = self.requests.get_mut(&key) else { return };
        match &mut request.state {
            RequestState::Open(open) if open.waiters.len() >= max_waiters => {
                step.refuse(waiter, ErrorCode::RateLimited);
            }
            RequestState::Open(open) => {
                open.waiters.push(waiter);
                self.held.insert(waiter, Held::Request(key));
            }
            RequestState::Answered { payload, .. } => {
                let payload = Arc::clone(payload);
                step.reply(waiter, Answer::Answered { payload });
            }
            RequestState::Over { verdict, reason, by } => {
                let (verdict, reason, by) = (*verdict, reason.clone(), *by);
                match self.seal_verdict(step, key, verdict, reason, by, &Facts::of(asked)) {
                    Ok(payload) => step.reply(waiter, Answer::Answered { payload }),
                    Err(code) => step.refuse(waiter, code),
                }
            }
        }
    }

    pub(super) fn request_created<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        ok: bool,
    ) {
        let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) else { return };
        let Stage::Creating { granted, choices } = &mut open.stage else { return };
        if !ok {
            return self.drop_request(step, key, ErrorCode::StorageFailed);
        }
        open.stage = Stage::Waiting { granted: *granted, choices: std::mem::take(choices) };
        self.let_go(step, key);
        if self.session_paused(key.0) {
            return self.end_paused(step, key);
        }
        if let Some(request) = self.request_view(key) {
            step.notify(Notice::RequestWaiting { request });
        }
    }

    /// Forgets a request that could not be recorded: as far as anybody knows it never came.
    pub(super) fn drop_request<R>(&mut self, step: &mut Step<'_, R>, key: RequestKey, code: ErrorCode) {
        let Some(request) = self.forget_request(key) else { return };
        self.no_longer_open(key);
        if let RequestState::Open(open) = request.state {
            for waiter in open.waiters {
                self.held.remove(&waiter);
                step.refuse(waiter, code);
            }
        }
    }

    pub(super) fn forget_request(&mut self, key: RequestKey) -> Option<Request> {
        let request = self.requests.remove(&key)?;
        if let Some(session) = self.sessions.get_mut(&key.0) {
            session.remembered = session.remembered.saturating_sub(1);
        }
        Some(request)
    }

    pub(super) fn no_longer_open(&mut self, key: RequestKey) {
        self.pending = self.pending.saturating_sub(1);
        if let Some(session) = self.sessions.get_mut(&key.0) {
            session.open_requests.remove(&key.1);
        }
    }

    /// A held call is over without a verdict.
    pub(super) fn request_released<R>(&mut self, step: &mut Step<'_, R>, key: RequestKey, waiter: Waiter) {
        if let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) {
            // While something is being committed nothing may be said yet: "pending" would promise a request
            // that a crash could still undo. The answer comes with the commit.
            if matches!(open.stage, Stage::Creating { .. } | Stage::Releasing(_) | Stage::Ending { .. }) {
                return;
            }
            open.waiters.retain(|other| *other != waiter);
        }
        step.reply(waiter, Answer::Pending { request_id: key.1 });
    }

    /// Back to waiting: whoever stopped holding meanwhile is told so now.
    pub(super) fn let_go<R>(&mut self, step: &mut Step<'_, R>, key: RequestKey) {
        let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) else { return };
        for waiter in open.waiters.extract_if(.., |waiter| !self.held.contains_key(waiter)) {
            step.reply(waiter, Answer::Pending { request_id: key.1 });
        }
    }

    /// The row of an open request. Of one that has ended nobody reads the reason any more, and it is the only long
    /// part: an agent that asks and gives up, again and again, must not fill the disk with it.
    pub(super) fn request_record(&self, key: RequestKey, state: StoredRequestState) -> Option<RequestRecord> {
        let request = self.requests.get(&key)?;
        let details = request.details()?;
        Some(RequestRecord {
            session_id: key.0,
            id: key.1,
            digest: request.digest,
            domain: details.domain.clone(),
            reason: if state == StoredRequestState::Pending { details.reason.clone() } else { String::new() },
            fields: details.fields.clone(),
            item_id: details.item_id.clone(),
            created_at: details.created_at,
            expires_at: details.expires_at,
            state,
        })
    }
}

/// Whether a rule or a grant releases a request while the vault is open: then it costs no question.
fn goes_unasked(verdict: PolicyVerdict, grant: Option<GrantId>) -> bool {
    match verdict {
        PolicyVerdict::Allow => true,
        PolicyVerdict::Ask => grant.is_some(),
        PolicyVerdict::Deny => false,
    }
}
