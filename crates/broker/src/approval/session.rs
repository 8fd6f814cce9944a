//! Sessions: what a finished pairing leaves, until it is revoked, replaced, idle or old.

use std::collections::HashSet;

use durward_protocol::{
    Acknowledgement, ErrorCode, Fingerprint, GrantId, Header, MAX_CLOCK_SKEW_SECONDS, Nonce, PairingOffer,
    ReplayWindow, RequestId, SessionId, SessionKeys, SessionRevoke, Side, open, seal,
};
use rand_core::CryptoRng;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::audit::{Actor, AuditEvent};
use super::by_device::{RunsOn, device_setting};
use super::confirm::NewSession;
use super::event::{Answer, Notice, Waiter};
use super::machine::{Approval, Deadline, Step};
use super::records::{Ended, NonceRecord, SessionRecord, Write};
use super::ruled::rules_setting;
use super::settings::Settings;
use crate::Now;

/// A last use is written again only after it moved by this much: it is a convenience, not a promise.
const LAST_USE_STEP: Duration = Duration::seconds(30);

/// A live session.
pub(super) struct Session {
    pub(super) record: SessionRecord,
    /// `None` only between construction and commit.
    pub(super) keys: Option<SessionKeys>,
    pub(super) replay: ReplayWindow,
    /// Releases under way that count against `max_uses`.
    pub(super) reserved: u64,
    /// Requests of this session that are remembered, waiting and finished.
    pub(super) remembered: usize,
    /// Requests that have no verdict yet.
    pub(super) open_requests: HashSet<RequestId>,
    pub(super) grants: HashSet<GrantId>,
    /// Whether rules of the policy that name agents count.
    pub(super) named_rules: bool,
    /// The other device on which the agent runs.
    pub(super) runs_on: Option<RunsOn>,
    pub(super) last_saved: OffsetDateTime,
    /// Until then an answer can be fetched.
    pub(super) answer_until: Option<OffsetDateTime>,
    /// When all that it has asked the owner would have been asked at an even pace.
    asked_until: OffsetDateTime,
}

impl Session {
    pub(super) fn new(offer: &PairingOffer, new: NewSession, settings: &Settings) -> Self {
        let asked = new.scope.limits().expires_in.and_then(|s| i64::try_from(s).ok()).map(Duration::seconds);
        let life = asked.map_or(settings.session_absolute, |asked| asked.min(settings.session_absolute));
        let record = SessionRecord {
            id: new.id,
            agent_id: offer.agent_id.clone(),
            agent_name: offer.agent_name.clone(),
            scope: new.scope,
            sealed_keys: new.sealed_keys,
            confirmation_digest: new.confirmation_digest,
            created_at: new.created_at,
            last_used_at: new.created_at,
            expires_at: new.created_at + life,
            uses: 0,
            ended: None,
        };
        Self::from_record(record, None)
    }

    pub(super) fn from_record(record: SessionRecord, keys: Option<SessionKeys>) -> Self {
        Self {
            last_saved: record.last_used_at,
            record,
            keys,
            replay: ReplayWindow::default(),
            reserved: 0,
            remembered: 0,
            open_requests: HashSet::new(),
            grants: HashSet::new(),
            named_rules: false,
            runs_on: None,
            answer_until: None,
            asked_until: OffsetDateTime::UNIX_EPOCH,
        }
    }

    /// Whether it has asked the owner as often in a row as it may.
    pub(super) fn asks_too_often(&self, now: OffsetDateTime, settings: &Settings) -> bool {
        self.asked_until - now > settings.ask_again_after * (settings.max_asks_in_a_row.saturating_sub(1))
    }

    /// It asks the owner once more.
    pub(super) fn asks(&mut self, now: OffsetDateTime, settings: &Settings) {
        self.asked_until = self.asked_until.max(now) + settings.ask_again_after;
    }

    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        self.keys.as_ref().map(SessionKeys::fingerprint)
    }

    /// The nearer of idle end and absolute end.
    pub(super) fn ends_at(&self, settings: &Settings) -> OffsetDateTime {
        (self.record.last_used_at + settings.session_idle).min(self.record.expires_at)
    }

    /// The row of this session once it has ended: without keys.
    pub(super) fn ended_record(&self, now: Now, why: &str) -> SessionRecord {
        SessionRecord {
            sealed_keys: Vec::new(),
            ended: Some(Ended { at: now.steady, why: why.into() }),
            ..self.record.clone()
        }
    }

    /// Credentials this session may still receive.
    pub(super) fn uses_left(&self) -> Option<u64> {
        let max = self.record.scope.limits().max_uses?;
        Some(max.saturating_sub(self.record.uses).saturating_sub(self.reserved))
    }

    pub(super) fn seal<R: CryptoRng>(&self, plaintext: &[u8], rng: &mut R) -> Result<String, ErrorCode> {
        let keys = self.keys.as_ref().ok_or(ErrorCode::SessionNotFound)?;
        seal(keys, Side::B, &self.record.id, plaintext, rng).map_err(durward_protocol::Error::code)
    }
}

impl Approval {
    /// A session that has not ended by now, whatever the agenda has come to.
    pub(super) fn live_session(&self, now: Now, id: SessionId) -> Option<&Session> {
        let session = self.sessions.get(&id)?;
        let idle = session.record.last_used_at + self.settings.session_idle <= now.steady
            && !self.kept_busy(now.steady, session);
        let old = session.record.expires_at <= now.steady;
        (!idle && !old).then_some(session)
    }

    /// A waiting request, an answer that can still be fetched, or a timed grant keeps a session from
    /// idling out: else the agent that waited for hours would find the answer locked away.
    fn kept_busy(&self, now: OffsetDateTime, session: &Session) -> bool {
        !session.open_requests.is_empty()
            || session.answer_until.is_some_and(|until| until > now)
            || session.grants.iter().any(|id| {
                self.grants.get(id).is_some_and(|g| g.record.expires_at.is_some() && g.is_live(now))
            })
    }

    /// When a live session ends if nothing more comes. Kept past its idle end, it has its absolute end left.
    pub(super) fn ends_at(&self, now: Now, session: &Session) -> OffsetDateTime {
        let end = session.ends_at(&self.settings);
        if end > now.steady { end } else { session.record.expires_at }
    }

    /// What an envelope says, in this order: its session lives, its tag verifies, it is a message of this type, it is new
    /// and of now. Nothing has changed yet when this returns.
    pub(super) fn read_envelope<M>(
        &self,
        now: Now,
        id: SessionId,
        payload: &str,
        parse: impl FnOnce(&[u8]) -> Result<(Header, M), durward_protocol::Error>,
    ) -> Result<(Header, M), ErrorCode> {
        let plain = self.open_envelope(now, id, payload)?;
        let (header, message) = parse(&plain).map_err(durward_protocol::Error::code)?;
        self.check_fresh(now, id, header)?;
        Ok((header, message))
    }

    fn open_envelope(&self, now: Now, id: SessionId, payload: &str) -> Result<Zeroizing<Vec<u8>>, ErrorCode> {
        let session = self.live_session(now, id).ok_or(ErrorCode::SessionNotFound)?;
        let keys = session.keys.as_ref().ok_or(ErrorCode::SessionNotFound)?;
        open(keys, Side::A, &id, payload).map_err(durward_protocol::Error::code)
    }

    /// Clock and replay: is this envelope new and of now? Still nothing has changed.
    fn check_fresh(&self, now: Now, id: SessionId, header: Header) -> Result<(), ErrorCode> {
        let skew = (header.timestamp.get() - now.wall).abs();
        if skew > Duration::seconds(MAX_CLOCK_SKEW_SECONDS) {
            return Err(ErrorCode::StaleTimestamp);
        }
        let session = self.sessions.get(&id).ok_or(ErrorCode::SessionNotFound)?;
        if session.replay.contains(&header.nonce) {
            return Err(ErrorCode::Replayed);
        }
        if self.nonces_full() {
            return Err(ErrorCode::RateLimited);
        }
        Ok(())
    }

    /// The envelope counts: remembers its nonce and moves the session's last use. Returns the row to
    /// store with whatever the envelope does.
    pub(super) fn accept_envelope(
        &mut self,
        now: Now,
        id: SessionId,
        header: Header,
    ) -> Result<NonceRecord, ErrorCode> {
        // The timestamp is on the wall clock; what is left of its life is measured on the steady one.
        let left = header.timestamp.get() - now.wall + Duration::seconds(MAX_CLOCK_SKEW_SECONDS);
        let expires_at = now.steady + left;
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::SessionNotFound)?;
        let before = session.replay.len();
        let result = session.replay.remember(
            header.nonce,
            expires_at.unix_timestamp() + 1,
            now.steady.unix_timestamp(),
        );
        let after = session.replay.len();
        if result.is_ok() {
            session.record.last_used_at = now.steady;
        }
        self.nonces = (self.nonces + after).saturating_sub(before);
        result.map_err(durward_protocol::Error::code)?;
        self.request_sweep(now.steady);
        Ok(NonceRecord { session_id: id, nonce: header.nonce, expires_at })
    }

    /// The lazy write of a session's last use, when it is due.
    pub(super) fn save_last_use<R>(&mut self, step: &mut Step<'_, R>, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            let last_used_at = session.record.last_used_at;
            if last_used_at - session.last_saved >= LAST_USE_STEP {
                session.last_saved = last_used_at;
                step.save(vec![Write::SessionUsed { id, last_used_at }]);
            }
        }
    }

    pub(super) fn refuse_envelope<R>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        id: SessionId,
        code: ErrorCode,
    ) {
        step.refuse(waiter, code);
        // An unknown session is a stranger's guess: it is answered and not written down.
        if code != ErrorCode::SessionNotFound {
            let entry =
                self.session_entry(step.now, AuditEvent::Refused, Actor::Agent, id).outcome(code.as_str());
            self.record_refusal(step, entry);
        }
    }

    pub(super) fn revoke_by_agent<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        id: SessionId,
        payload: &str,
    ) {
        let header = self
            .read_envelope(step.now, id, payload, SessionRevoke::parse)
            .and_then(|(header, _)| self.accept_envelope(step.now, id, header).map(|nonce| (header, nonce)));
        let (header, nonce) = match header {
            Ok(header) => header,
            Err(code) => return self.refuse_envelope(step, waiter, id, code),
        };
        let payload = self.seal_ok(step, id, header.nonce).ok();
        let mut writes = self.end_session_writes(step, id, "revoked_by_agent", Actor::Agent);
        writes.push(Write::Nonce(nonce));
        self.commit_done(step, vec![(waiter, Answer::Revoked { session_id: id, payload })], writes);
    }

    pub(super) fn revoke_by_owner<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        id: Option<SessionId>,
    ) {
        let ids: Vec<SessionId> = match id {
            Some(id) if self.sessions.contains_key(&id) => vec![id],
            Some(_) => return step.refuse(waiter, ErrorCode::SessionNotFound),
            None => self.sessions.keys().copied().collect(),
        };
        let mut writes = Vec::new();
        for id in &ids {
            writes.extend(self.end_session_writes(step, *id, "revoked_by_owner", Actor::Owner));
        }
        let answer = match id {
            Some(session_id) => Answer::Revoked { session_id, payload: None },
            None => Answer::Done(ids.len()),
        };
        self.commit_done(step, vec![(waiter, answer)], writes);
    }

    pub(super) fn seal_ok<R: CryptoRng>(
        &self,
        step: &mut Step<'_, R>,
        id: SessionId,
        nonce: Nonce,
    ) -> Result<String, ErrorCode> {
        let session = self.sessions.get(&id).ok_or(ErrorCode::SessionNotFound)?;
        let header = Header::new(step.now.wall, step.rng);
        let plain = Acknowledgement { in_reply_to: nonce }
            .to_plaintext(header)
            .map_err(durward_protocol::Error::code)?;
        session.seal(&plain, step.rng)
    }

    /// Ends a session now, with a commit of its own that nobody waits for.
    pub(super) fn end_session<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        id: SessionId,
        why: &str,
        actor: Actor,
    ) {
        let writes = self.end_session_writes(step, id, why, actor);
        if !writes.is_empty() {
            self.commit_done(step, Vec::new(), writes);
        }
    }

    /// Ends a session now: keys wiped, grants dead, waiting requests told. Returns what to store.
    ///
    /// This takes effect before it is on disk: a full disk must not keep a revoked session alive.
    fn end_session_writes<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        id: SessionId,
        why: &str,
        actor: Actor,
    ) -> Vec<Write> {
        let reason = if why.starts_with("revoked") { "session_revoked" } else { "session_ended" };
        let mut writes = Vec::new();
        for request_id in self.requests_of(id) {
            writes.extend(self.end_request_with_session(step, (id, request_id), reason));
        }
        let entry = self.session_entry(step.now, AuditEvent::SessionEnded, actor, id).outcome(why);
        let Some(session) = self.sessions.remove(&id) else { return writes };
        self.nonces = self.nonces.saturating_sub(session.replay.len());
        for grant_id in &session.grants {
            writes.extend(self.end_grant_writes(step, *grant_id, "session_ended"));
        }
        writes.push(Write::Session(session.ended_record(step.now, why)));
        writes.push(Write::Audit(entry));
        if session.named_rules {
            writes.push(rules_setting(id, false));
        }
        if session.runs_on.is_some() {
            writes.push(device_setting(id, None));
        }
        let agent_id = session.record.agent_id.clone();
        if self.by_agent.get(&agent_id) == Some(&id) {
            self.by_agent.remove(&agent_id);
        }
        step.notify(Notice::SessionEnded { session_id: id, agent_id, why: why.into() });
        writes // dropping `session` here wipes its keys
    }

    pub(super) fn session_due<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let now = step.now.steady;
        if session.record.expires_at <= now {
            return self.end_session(step, id, "expired", Actor::System);
        }
        let idle_at = session.record.last_used_at + self.settings.session_idle;
        if idle_at <= now && !self.kept_busy(now, session) {
            return self.end_session(step, id, "idle", Actor::System);
        }
        let next = if idle_at <= now { now + Duration::minutes(1) } else { idle_at };
        let next = next.min(session.record.expires_at);
        self.schedule(next, Deadline::Session(id));
    }
}
