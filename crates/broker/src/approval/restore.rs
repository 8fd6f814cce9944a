//! Starting with what was stored.

use durward_protocol::{SecretBytes, SessionKeys, Verdict};
use rand_core::CryptoRng;
use time::Duration;

use super::audit::{Actor, AuditEntry, AuditEvent, ChainHead};
use super::event::Effect;
use super::grant::Grant;
use super::machine::{Approval, Deadline, Step};
use super::records::{
    GrantRecord, NonceRecord, RequestRecord, SessionRecord, Snapshot, StoredRequestState, Write,
};
use super::request::{Details, Open, Request, RequestState, Stage};
use super::session::Session;
use crate::Now;

/// How far a stored time may lie ahead before it counts as a clock that was set back.
const CLOCK_TOLERANCE: Duration = Duration::seconds(2);

impl Approval {
    /// Adds what was stored. Sessions that ended meanwhile, whose keys do not open, or whose times lie
    /// in the future are ended, with an audit record that says why.
    pub fn restore(
        &mut self,
        snapshot: Snapshot,
        head: ChainHead,
        now: Now,
        rng: &mut impl CryptoRng,
    ) -> Vec<Effect> {
        let mut step = Step { now, rng, effects: Vec::new() };
        self.head = head;
        let started = AuditEntry::new(now.wall, AuditEvent::Started, Actor::System);
        step.save(vec![Write::Audit(started)]);
        self.restore_pairing_setting(&snapshot.settings);
        self.restore_paused(&snapshot.settings, now.wall);
        self.restore_heads(&snapshot.settings);
        self.restore_memory(&mut step, &snapshot.settings);
        self.restore_denials(&snapshot.settings);
        let mut sessions = snapshot.sessions;
        sessions.sort_by_key(|record| record.created_at);
        for record in sessions {
            self.restore_session(&mut step, record);
        }
        self.restore_rules(&mut step, &snapshot.settings);
        self.restore_runs_on(&mut step, &snapshot.settings);
        for record in snapshot.nonces {
            self.restore_nonce(now, record);
        }
        for record in snapshot.grants {
            self.restore_grant(&mut step, record);
        }
        for record in snapshot.requests {
            self.restore_request(&mut step, record);
        }
        self.restore_approved(&mut step, &snapshot.settings);
        self.end_waiting_of_paused(&mut step);
        self.request_sweep(now.steady);
        step.effects
    }

    fn restore_session<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, record: SessionRecord) {
        let now = step.now.steady;
        let opened = self.rest.open("session", record.id.to_string().as_bytes(), &record.sealed_keys);
        let keys = opened.ok().and_then(|bytes| {
            let stored = <[u8; SessionKeys::STORED_BYTES]>::try_from(bytes.as_slice()).ok()?;
            Some(SessionKeys::from_stored(&SecretBytes::new(stored)))
        });
        let id = record.id;
        let in_future = record.last_used_at.max(record.created_at) > now + CLOCK_TOLERANCE;
        let why = match keys {
            None => Some("keys_lost"),
            Some(_) if in_future => Some("clock_went_back"),
            Some(_) if record.expires_at <= now => Some("expired"),
            Some(_) => None,
        };
        if let Some(older) = self.by_agent.get(&record.agent_id).copied() {
            self.end_session(step, older, "replaced", Actor::System);
        }
        self.by_agent.insert(record.agent_id.clone(), id);
        let due = Session::from_record(record, keys);
        let ends_at = due.ends_at(&self.settings);
        self.sessions.insert(id, due);
        match why {
            Some(why) => self.end_session(step, id, why, Actor::System),
            // An idle one is judged after its requests and grants are back: they may keep it.
            None => self.schedule(ends_at.max(now), Deadline::Session(id)),
        }
    }

    fn restore_nonce(&mut self, now: Now, record: NonceRecord) {
        if let Some(session) = self.sessions.get_mut(&record.session_id) {
            let (expires, now) = (record.expires_at.unix_timestamp() + 1, now.steady.unix_timestamp());
            if expires >= now && session.replay.remember(record.nonce, expires, now).is_ok() {
                self.nonces += 1;
            }
        }
    }

    fn restore_grant<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, record: GrantRecord) {
        let id = record.id;
        let used_up = record.max_uses.is_some_and(|max| record.uses >= max);
        let session = self.sessions.get_mut(&record.session_id);
        let orphan = session.is_none();
        if let Some(session) = session {
            session.grants.insert(id);
        }
        let end = record.expires_at;
        let grant = Grant { record, reserved: 0 };
        let live = grant.is_live(step.now.steady);
        self.grants.insert(id, grant);
        if orphan || used_up || !live {
            let why = match (orphan, used_up) {
                (true, _) => "session_ended",
                (false, true) => "used_up",
                (false, false) => "expired",
            };
            let writes = self.end_grant_writes(step, id, why);
            return self.commit_done(step, Vec::new(), writes);
        }
        if let Some(end) = end {
            self.schedule(end, Deadline::Grant(id));
        }
    }

    fn restore_request<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, record: RequestRecord) {
        let key = (record.session_id, record.id);
        let Some(session) = self.sessions.get_mut(&key.0) else { return self.end_orphan(step, record) };
        let forget_at = record.expires_at + self.settings.request_memory;
        let expires_at = record.expires_at;
        session.remembered += 1;
        let state = match record.state {
            StoredRequestState::Pending => {
                session.open_requests.insert(key.1);
                self.pending += 1;
                let details = Details {
                    domain: record.domain,
                    reason: record.reason,
                    fields: record.fields,
                    item_id: record.item_id,
                    created_at: record.created_at,
                    expires_at,
                };
                let (waiters, approved, stage) = (Vec::new(), None, Stage::waiting());
                RequestState::Open(Box::new(Open { details, waiters, approved, stage }))
            }
            // The sealed bytes died with the process that held them.
            StoredRequestState::Released { .. } => {
                RequestState::Over { verdict: Verdict::Expired, reason: None, by: Actor::System }
            }
            StoredRequestState::Ended { verdict, reason, by } => RequestState::Over { verdict, reason, by },
        };
        let request = Request { digest: record.digest, forget_at, decided_on: None, state };
        self.requests.insert(key, request);
        self.schedule(expires_at.max(step.now.steady), Deadline::Request(key));
    }

    /// A request that still waited when its session ended, and whose end did not reach the store.
    fn end_orphan<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, record: RequestRecord) {
        if record.state != StoredRequestState::Pending {
            return;
        }
        let (verdict, reason) = (Verdict::Denied, Some("session_ended".to_owned()));
        let mut entry = AuditEntry::new(step.now.wall, AuditEvent::RequestEnded, Actor::System)
            .outcome(verdict.as_str())
            .detail("session_ended");
        entry.session_id = Some(record.session_id);
        entry.request_id = Some(record.id);
        entry.domain = Some(record.domain.clone());
        entry.fields.clone_from(&record.fields);
        let row = RequestRecord {
            reason: String::new(),
            state: StoredRequestState::Ended { verdict, reason, by: Actor::System },
            ..record
        };
        self.commit_done(step, Vec::new(), vec![Write::Request(row), Write::Audit(entry)]);
    }
}
