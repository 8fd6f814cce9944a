//! How requests end, and how long their answers can be fetched again.

use std::sync::Arc;

use durward_protocol::{CredentialCancel, CredentialResponse, ErrorCode, Header, SessionId, Verdict};
use rand_core::CryptoRng;
use time::{Duration, OffsetDateTime};

use super::audit::{Actor, AuditEvent};
use super::by_device::approved_setting;
use super::commit::InFlight;
use super::decision::By;
use super::event::{Answer, Notice, Waiter};
use super::machine::{Approval, Deadline, Step};
use super::receipt::Facts;
use super::records::{StoredRequestState, Write};
use super::request::{Request, RequestKey, RequestState, Stage};

/// How long after a request's expiry a reading that was begun before may still end.
const READING_GRACE: Duration = Duration::seconds(60);

impl Approval {
    pub(super) fn cancel_request<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        id: SessionId,
        payload: &str,
    ) {
        let read = self.read_envelope(step.now, id, payload, CredentialCancel::parse).and_then(
            |(header, cancel)| {
                self.accept_envelope(step.now, id, header).map(|nonce| (header, cancel, nonce))
            },
        );
        let (header, cancel, nonce) = match read {
            Ok(read) => read,
            Err(code) => return self.refuse_envelope(step, waiter, id, code),
        };
        self.save_last_use(step, id);
        let key = (id, cancel.id);
        let sealed = match self.seal_ok(step, id, header.nonce) {
            Ok(sealed) => sealed,
            Err(code) => return step.refuse(waiter, code),
        };
        let endable = self
            .requests
            .get(&key)
            .and_then(Request::open)
            .is_some_and(|open| !matches!(open.stage, Stage::Releasing(_) | Stage::Ending { .. }));
        if endable {
            let replies = vec![(waiter, Answer::RequestCancelled { cancelled: true, payload: sealed })];
            self.finish(
                step,
                key,
                Verdict::Cancelled,
                None,
                Actor::Agent,
                None,
                replies,
                vec![Write::Nonce(nonce)],
            );
        } else {
            let replies = vec![(waiter, Answer::RequestCancelled { cancelled: false, payload: sealed })];
            self.commit(step, InFlight::Answer(replies), vec![Write::Nonce(nonce)]);
        }
    }

    /// Ends a request without a credential: committed first, then told.
    #[expect(clippy::too_many_arguments, reason = "one place for every end, and each says all of it")]
    pub(super) fn finish<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        verdict: Verdict,
        reason: Option<String>,
        actor: Actor,
        owner: Option<Waiter>,
        replies: Vec<(Waiter, Answer)>,
        mut writes: Vec<Write>,
    ) {
        let mut owner = owner;
        if let Some((by, unsaved)) = self.leave_reading(key) {
            owner = owner.or(by.owner());
            writes.extend(unsaved);
        }
        let mut audit =
            self.request_entry(step.now, AuditEvent::RequestEnded, actor, key).outcome(verdict.as_str());
        audit.detail.clone_from(&reason);
        let state = StoredRequestState::Ended { verdict, reason: reason.clone(), by: actor };
        writes.extend(self.request_record(key, state).map(Write::Request));
        writes.push(Write::Audit(audit));
        let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) else { return };
        open.stage = Stage::Ending { verdict, reason, actor, replies, owner, recorded: true };
        self.commit(step, InFlight::End(key), writes);
    }

    pub(super) fn end_committed<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, key: RequestKey, ok: bool) {
        let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) else { return };
        if !matches!(open.stage, Stage::Ending { .. }) {
            return;
        }
        let Stage::Ending { verdict, reason, actor, replies, owner, recorded } =
            std::mem::replace(&mut open.stage, Stage::waiting())
        else {
            return;
        };
        if !ok && !recorded {
            return self.drop_request(step, key, ErrorCode::StorageFailed);
        }
        if !ok {
            for (waiter, _) in replies {
                step.refuse(waiter, ErrorCode::StorageFailed);
            }
            if let Some(owner) = owner {
                step.refuse(owner, ErrorCode::StorageFailed);
            }
            self.decided_on(key, None);
            self.let_go(step, key);
            if actor == Actor::Policy {
                self.schedule(step.now.steady + Duration::seconds(1), Deadline::Judge);
            }
            return self.schedule(step.now.steady + Duration::seconds(1), Deadline::Request(key));
        }
        let facts = Facts::about(&open.details);
        if verdict == Verdict::Denied && actor == Actor::Owner {
            self.forget_approved(step, key);
        }
        match self.seal_verdict(step, key, verdict, reason.clone(), actor, &facts) {
            Ok(payload) => self.answered(step, key, verdict, reason.clone(), &payload, actor),
            Err(code) => self.drop_request(step, key, code),
        }
        for (waiter, answer) in replies {
            step.reply(waiter, answer);
        }
        if let Some(owner) = owner {
            if verdict == Verdict::Denied && actor == Actor::Owner {
                self.denied(step, key.0);
            }
            step.reply(owner, Answer::Decided { verdict, fields: Vec::new(), reason });
        }
    }

    /// The sealed verdict goes to everybody who waits, and is kept for those who ask again.
    pub(super) fn answered<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        verdict: Verdict,
        reason: Option<String>,
        payload: &Arc<str>,
        by: Actor,
    ) {
        let until = step.now.steady + self.settings.answer_life;
        let Some(request) = self.requests.get_mut(&key) else { return };
        let answered = RequestState::Answered { verdict, reason, by, payload: Arc::clone(payload), until };
        let RequestState::Open(open) = std::mem::replace(&mut request.state, answered) else { return };
        self.no_longer_open(key);
        if open.approved.is_some() {
            step.save(vec![approved_setting(key, None)]);
        }
        for waiter in open.waiters {
            self.held.remove(&waiter);
            step.reply(waiter, Answer::Answered { payload: Arc::clone(payload) });
        }
        self.schedule(until, Deadline::Request(key));
        self.answers.push_back(key);
        self.answer_bytes += payload.len();
        self.bound_answers();
        if let Some(session) = self.sessions.get_mut(&key.0) {
            session.answer_until = Some(until);
            step.notify(Notice::RequestOver {
                session_id: key.0,
                request_id: key.1,
                agent_id: session.record.agent_id.clone(),
                domain: open.details.domain,
                verdict,
                by,
            });
        }
    }

    /// Drops the oldest answers while they take too much room: who asks late learns `expired`.
    fn bound_answers(&mut self) {
        while self.answer_bytes > self.settings.max_answer_bytes {
            let Some(oldest) = self.answers.pop_front() else { return };
            self.drop_answer(oldest);
        }
    }

    fn drop_answer(&mut self, key: RequestKey) {
        let Some(request) = self.requests.get_mut(&key) else { return };
        if let RequestState::Answered { verdict, reason, by, payload, .. } = &mut request.state {
            self.answer_bytes = self.answer_bytes.saturating_sub(payload.len());
            // A credential is sealed once. Its bytes are gone, so it cannot be given again.
            let (verdict, by) = match *verdict {
                Verdict::Approved => (Verdict::Expired, Actor::System),
                verdict => (verdict, *by),
            };
            request.state = RequestState::Over { verdict, reason: reason.take(), by };
        }
    }

    /// An answer can be fetched until its time is up, whatever the agenda has come to.
    pub(super) fn drop_answer_if_due(&mut self, now: OffsetDateTime, key: RequestKey) {
        let state = self.requests.get(&key).map(|request| &request.state);
        if matches!(state, Some(RequestState::Answered { until, .. }) if *until <= now) {
            self.drop_answer(key);
            while self.answers.front().is_some_and(|front| !self.is_answered(front)) {
                self.answers.pop_front();
            }
        }
    }

    pub(super) fn request_due<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, key: RequestKey) {
        let now = step.now.steady;
        let Some(request) = self.requests.get(&key) else { return };
        let forget_at = request.forget_at;
        match &request.state {
            RequestState::Open(open) if open.details.expires_at > now => {
                let expires_at = open.details.expires_at;
                self.schedule(expires_at, Deadline::Request(key));
            }
            RequestState::Open(open) if matches!(open.stage, Stage::Waiting { .. }) => {
                self.finish(step, key, Verdict::Expired, None, Actor::System, None, Vec::new(), Vec::new());
            }
            // Decided in time: a slow vault may still answer, one that hangs may not.
            RequestState::Open(open)
                if matches!(open.stage, Stage::Reading { .. })
                    && open.details.expires_at + READING_GRACE <= now =>
            {
                self.finish(step, key, Verdict::Expired, None, Actor::System, None, Vec::new(), Vec::new());
            }
            RequestState::Open(_) => self.schedule(now + Duration::seconds(1), Deadline::Request(key)),
            RequestState::Answered { until, .. } if *until <= now => {
                self.drop_answer_if_due(now, key);
                self.schedule(forget_at.max(now), Deadline::Request(key));
            }
            RequestState::Answered { until, .. } => {
                let until = *until;
                self.schedule(until, Deadline::Request(key));
            }
            RequestState::Over { .. } if forget_at <= now => {
                self.forget_request(key);
            }
            RequestState::Over { .. } => self.schedule(forget_at, Deadline::Request(key)),
        }
    }

    fn is_answered(&self, key: &RequestKey) -> bool {
        self.requests.get(key).is_some_and(|request| matches!(request.state, RequestState::Answered { .. }))
    }

    /// The session of a waiting request ends: its last sealed word, while there are keys to seal it with.
    pub(super) fn end_request_with_session<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        reason: &str,
    ) -> Vec<Write> {
        let (by, mut writes) = self.leave_reading(key).unzip();
        let mut writes: Vec<Write> = writes.take().unwrap_or_default();
        let (verdict, actor) = (Verdict::Denied, Actor::System);
        let state = StoredRequestState::Ended { verdict, reason: Some(reason.into()), by: actor };
        writes.extend(self.request_record(key, state).map(Write::Request));
        let audit = self
            .request_entry(step.now, AuditEvent::RequestEnded, actor, key)
            .outcome(verdict.as_str())
            .detail(reason);
        writes.push(Write::Audit(audit));
        let Some(facts) = self.requests.get(&key).and_then(Request::details).map(Facts::about) else {
            return writes;
        };
        let sealed = self.seal_verdict(step, key, verdict, Some(reason.into()), actor, &facts);
        let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) else { return writes };
        let stage = std::mem::replace(&mut open.stage, Stage::waiting());
        let (owner, replies) = match stage {
            Stage::Releasing(release) => (release.by.owner(), Vec::new()),
            Stage::Ending { replies, owner, .. } => (owner, replies),
            Stage::Reading { .. } | Stage::Creating { .. } | Stage::Waiting { .. } => {
                (by.and_then(|by: By| by.owner()), Vec::new())
            }
        };
        if let Some(owner) = owner {
            step.refuse(owner, ErrorCode::SessionNotFound);
        }
        for (waiter, _) in replies {
            step.refuse(waiter, ErrorCode::SessionNotFound);
        }
        match sealed {
            Ok(payload) => {
                self.answered(step, key, Verdict::Denied, Some(reason.into()), &payload, Actor::System);
            }
            Err(code) => self.drop_request(step, key, code),
        }
        writes
    }

    /// Seals a verdict without a credential.
    pub(super) fn seal_verdict<R: CryptoRng>(
        &self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        verdict: Verdict,
        reason: Option<String>,
        by: Actor,
        facts: &Facts,
    ) -> Result<Arc<str>, ErrorCode> {
        let session = self.sessions.get(&key.0).ok_or(ErrorCode::SessionNotFound)?;
        let header = Header::new(step.now.wall, step.rng);
        let mut response = CredentialResponse::verdict(key.1, verdict, reason);
        response.receipt = self.receipt(step.now, key, facts, verdict, &[], by);
        response.heads = Some(self.heads_for(session));
        let plaintext = response.to_plaintext(header).map_err(durward_protocol::Error::code)?;
        session.seal(&plaintext, step.rng).map(Arc::from)
    }
}
