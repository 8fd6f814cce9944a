//! Grants: standing approvals, for one session and one domain.

use durward_protocol::{Domain, ErrorCode, Field, GrantId, SessionId};
use rand_core::CryptoRng;
use time::{Duration, OffsetDateTime};

use super::audit::{Actor, AuditEntry, AuditEvent};
use super::event::{Answer, GrantSpec, Notice, Waiter};
use super::machine::{Approval, Deadline, Step};
use super::records::{Ended, GrantRecord, Write};
use super::view::GrantView;

/// Longest timed grant.
pub const MAX_GRANT_SECONDS: u64 = 86_400;

/// Most uses of a counted grant.
pub const MAX_GRANT_USES: u64 = 1_000;

/// A live grant.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) record: GrantRecord,
    /// Uses under way: counted, so that two requests cannot both take the last one.
    pub(super) reserved: u64,
}

impl Grant {
    fn uses_left(&self) -> Option<u64> {
        Some(self.record.max_uses?.saturating_sub(self.record.uses).saturating_sub(self.reserved))
    }

    pub(super) fn is_live(&self, now: OffsetDateTime) -> bool {
        self.record.ended.is_none() && self.record.expires_at.is_none_or(|end| end > now)
    }

    fn covers(&self, domain: &Domain, fields: &[Field], item_id: Option<&str>) -> bool {
        self.record.domain == *domain
            && fields.iter().all(|field| self.record.fields.contains(field))
            && item_id.is_none_or(|asked| self.record.item_id.as_deref() == Some(asked))
    }
}

impl GrantSpec {
    /// Whether the numbers make sense.
    pub fn is_valid(self) -> bool {
        match self {
            Self::Session => true,
            Self::For { seconds } => (1..=MAX_GRANT_SECONDS).contains(&seconds),
            Self::Uses { uses } => (1..=MAX_GRANT_USES).contains(&uses),
        }
    }
}

impl Approval {
    /// A live grant with a use left for this request; the one that ends first.
    pub(super) fn find_grant(
        &self,
        now: OffsetDateTime,
        session_id: SessionId,
        domain: &Domain,
        fields: &[Field],
        item_id: Option<&str>,
    ) -> Option<GrantId> {
        let session = self.sessions.get(&session_id)?;
        session
            .grants
            .iter()
            .filter_map(|id| self.grants.get(id))
            .filter(|grant| {
                grant.is_live(now) && grant.uses_left() != Some(0) && grant.covers(domain, fields, item_id)
            })
            .min_by_key(|grant| (grant.record.expires_at.is_none(), grant.record.expires_at, grant.record.id))
            .map(|grant| grant.record.id)
    }

    pub(super) fn reserve_grant(&mut self, id: GrantId) {
        if let Some(grant) = self.grants.get_mut(&id) {
            grant.reserved += 1;
        }
    }

    pub(super) fn unreserve_grant(&mut self, id: GrantId) {
        if let Some(grant) = self.grants.get_mut(&id) {
            grant.reserved = grant.reserved.saturating_sub(1);
        }
    }

    /// After a use was committed: was it the last?
    pub(super) fn end_grant_if_used_up<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, id: GrantId) {
        let used_up =
            self.grants.get(&id).is_some_and(|grant| grant.uses_left() == Some(0) && grant.reserved == 0);
        if used_up {
            self.end_grant(step, id, "used_up");
        }
    }

    /// Whether a session may have no further grant.
    pub(super) fn grants_full(&self, session_id: SessionId) -> bool {
        let max = self.settings.max_grants_per_session;
        self.sessions.get(&session_id).is_none_or(|session| session.grants.len() >= max)
    }

    /// A grant that the owner gave with an approval; live once committed.
    pub(super) fn new_grant<R: CryptoRng>(
        &self,
        step: &mut Step<'_, R>,
        session_id: SessionId,
        domain: Domain,
        fields: Vec<Field>,
        item_id: Option<String>,
        spec: GrantSpec,
    ) -> Option<GrantRecord> {
        if self.grants_full(session_id) {
            return None;
        }
        let now = step.now.steady;
        let (expires_at, max_uses) = match spec {
            GrantSpec::Session => (None, None),
            GrantSpec::For { seconds } => {
                (Some(now + Duration::seconds(i64::try_from(seconds).unwrap_or(1))), None)
            }
            GrantSpec::Uses { uses } => (None, Some(uses)),
        };
        Some(GrantRecord {
            id: GrantId::random(step.rng),
            session_id,
            domain,
            fields,
            item_id,
            created_at: now,
            expires_at,
            max_uses,
            uses: 0,
            ended: None,
        })
    }

    pub(super) fn grant_committed<R>(&mut self, step: &mut Step<'_, R>, record: GrantRecord) {
        let id = record.id;
        let Some(session) = self.sessions.get_mut(&record.session_id) else { return };
        session.grants.insert(id);
        if let Some(end) = record.expires_at {
            self.schedule(end, Deadline::Grant(id));
        }
        self.grants.insert(id, Grant { record, reserved: 0 });
        if let Some(grant) = self.grant_view(id) {
            step.notify(Notice::GrantCreated { grant });
        }
    }

    pub(super) fn grant_due<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, id: GrantId) {
        if self.grants.get(&id).is_some_and(|grant| !grant.is_live(step.now.steady)) {
            self.end_grant(step, id, "expired");
        }
    }

    pub(super) fn end_grant_by_owner<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        id: GrantId,
    ) {
        let writes = self.end_grant_writes(step, id, "ended_by_owner");
        if writes.is_empty() {
            return step.refuse(waiter, ErrorCode::GrantNotFound);
        }
        self.commit_done(step, vec![(waiter, Answer::Done(1))], writes);
    }

    fn end_grant<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, id: GrantId, why: &str) {
        let writes = self.end_grant_writes(step, id, why);
        self.commit_done(step, Vec::new(), writes);
    }

    /// Ends a grant now and returns what to store; nothing when there is no such grant.
    pub(super) fn end_grant_writes<R>(
        &mut self,
        step: &mut Step<'_, R>,
        id: GrantId,
        why: &str,
    ) -> Vec<Write> {
        let Some(grant) = self.grants.remove(&id) else { return Vec::new() };
        let session_id = grant.record.session_id;
        if let Some(session) = self.sessions.get_mut(&session_id) {
            session.grants.remove(&id);
        }
        step.notify(Notice::GrantEnded { grant_id: id, why: why.into() });
        self.end_grant_record(step, grant.record, why)
    }

    /// What to store for a grant that ends.
    pub(super) fn end_grant_record<R>(
        &self,
        step: &Step<'_, R>,
        mut record: GrantRecord,
        why: &str,
    ) -> Vec<Write> {
        record.ended = Some(Ended { at: step.now.steady, why: why.into() });
        let actor = if why == "ended_by_owner" { Actor::Owner } else { Actor::System };
        let entry = self.grant_entry(step.now, AuditEvent::GrantEnded, actor, &record).outcome(why);
        vec![Write::Grant(record), Write::Audit(entry)]
    }

    pub(super) fn grant_entry(
        &self,
        now: crate::Now,
        event: AuditEvent,
        actor: Actor,
        record: &GrantRecord,
    ) -> AuditEntry {
        let mut entry = self.session_entry(now, event, actor, record.session_id);
        entry.domain = Some(record.domain.clone());
        entry.fields.clone_from(&record.fields);
        entry.detail = Some(record.id.to_string());
        entry
    }

    /// Live grants, oldest first.
    pub fn grants(&self, now: OffsetDateTime) -> Vec<GrantView> {
        let live = self.grants.iter().filter(|(_, grant)| grant.is_live(now));
        let mut views: Vec<GrantView> = live.filter_map(|(id, _)| self.grant_view(*id)).collect();
        views.sort_by_key(|view| (view.created_at, view.grant_id));
        views
    }

    fn grant_view(&self, id: GrantId) -> Option<GrantView> {
        let grant = self.grants.get(&id)?;
        let record = &grant.record;
        Some(GrantView {
            grant_id: id,
            session_id: record.session_id,
            agent_id: self.sessions.get(&record.session_id)?.record.agent_id.clone(),
            domain: record.domain.clone(),
            fields: record.fields.clone(),
            created_at: record.created_at,
            expires_at: record.expires_at,
            uses_left: record.max_uses.map(|max| max.saturating_sub(record.uses)),
            uses: record.uses,
        })
    }
}
