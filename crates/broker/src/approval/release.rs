//! Releases: the credential was read; commit, seal once, send.

use std::sync::Arc;

use durward_protocol::{Credential, CredentialResponse, ErrorCode, Field, Header, Verdict};
use rand_core::CryptoRng;

use super::audit::{Actor, AuditEvent};
use super::commit::InFlight;
use super::decision::{By, ByRule};
use super::event::{Answer, VaultFailure};
use super::heads::longest_heads;
use super::machine::{Approval, Step};
use super::policy::PolicyVerdict;
use super::receipt::Facts;
use super::records::{GrantRecord, StoredRequestState, Write};
use super::request::{Request, RequestKey, Stage};

/// A release that is being committed.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) by: By,
    /// The answer with its receipt; the credential in it is wiped when this is dropped.
    response: CredentialResponse,
    fields: Vec<Field>,
}

impl Approval {
    /// The credential is here. Commit its release.
    pub(super) fn release<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        by: &By,
        unsaved: Vec<Write>,
        credential: Credential,
    ) {
        if let Err(code) = self.may_release(step, key, by) {
            return match by {
                By::Owner { waiter, .. } => step.refuse(*waiter, code),
                By::Device { waiter, .. } => self.device_refused(step, key, *waiter, code),
                By::Policy(ByRule { waited: true, .. }) => self.wait_on(step, key, Vec::new()),
                By::Grant(_) | By::Policy(_) => self.ask_after_all(step, key, unsaved, false, Vec::new()),
            };
        }
        if let Some(lacking) = self.lacking(key, by, &credential) {
            // Nothing would be released: it is no release, and no use of a grant or a scope.
            let (reason, owner) = (Some(lacking), by.owner());
            return self.finish(step, key, Verdict::NotFound, reason, by.actor(), owner, Vec::new(), unsaved);
        }
        let Some((release, grant, item_id)) = self.prepare(step, key, by, credential) else {
            let text = "the item is larger than an envelope holds; approve fewer fields".to_owned();
            return self.reading_failed(step, key, by, unsaved, VaultFailure::Unavailable(text));
        };
        let mut writes = unsaved;
        writes.extend(self.release_writes(step, key, &release, grant.as_ref(), item_id));
        let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) else { return };
        open.stage = Stage::Releasing(Box::new(release));
        self.commit(step, InFlight::Release(key, grant), writes);
    }

    /// The last look before the commit: session, scope and grant as they are now.
    fn may_release<R>(&self, step: &Step<'_, R>, key: RequestKey, by: &By) -> Result<(), ErrorCode> {
        let session = self.live_session(step.now, key.0).ok_or(ErrorCode::SessionNotFound)?;
        let open = self.requests.get(&key).and_then(Request::open).ok_or(ErrorCode::RequestNotFound)?;
        if !session.record.scope.covers(&open.details.domain) || session.uses_left() == Some(0) {
            return Err(ErrorCode::OutOfScope);
        }
        match by {
            By::Owner { .. } => Ok(()),
            By::Device { device, .. } => self.still_counts(step.now, device),
            By::Grant(id) if self.grants.get(id).is_some_and(|grant| grant.is_live(step.now.steady)) => {
                Ok(())
            }
            By::Grant(_) => Err(ErrorCode::GrantNotFound),
            By::Policy(_) => {
                match self.judge(step.now, key.0, &open.details.domain, &open.details.fields).verdict {
                    PolicyVerdict::Allow => Ok(()),
                    PolicyVerdict::Ask | PolicyVerdict::Deny => Err(ErrorCode::OutOfScope),
                }
            }
        }
    }

    /// The fields that may leave.
    fn allowed<'a>(&'a self, key: RequestKey, by: &'a By) -> Option<&'a [Field]> {
        Some(match by {
            By::Owner { fields, .. } => fields,
            By::Device { device, .. } => &device.fields,
            By::Grant(_) | By::Policy(_) => &self.requests.get(&key)?.details()?.fields,
        })
    }

    /// What to tell the agent when the item has none of the fields that may leave.
    fn lacking(&self, key: RequestKey, by: &By, credential: &Credential) -> Option<String> {
        let allowed = self.allowed(key, by)?;
        if allowed.iter().any(|field| credential.get(field).is_some()) {
            return None;
        }
        let names: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        Some(format!("the item has no {}", names.join(" and no ")))
    }

    /// Builds the answer from the approved fields only. `None`: it does not fit into an envelope.
    fn prepare<R: CryptoRng>(
        &self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        by: &By,
        mut credential: Credential,
    ) -> Option<(Release, Option<GrantRecord>, Option<String>)> {
        let details = self.requests.get(&key)?.details()?;
        let allowed = self.allowed(key, by)?.to_vec();
        retain_fields(&mut credential, &allowed);
        credential.domain = Some(details.domain.clone());
        let fields = credential.fields();
        let item_id = Some(credential.item_id.clone()).filter(|id| !id.is_empty());
        let header = Header::new(step.now.wall, step.rng);
        let mut response = CredentialResponse::verdict(key.1, Verdict::Approved, None);
        response.credential = credential;
        let facts = Facts::about(details);
        response.receipt = self.receipt(step.now, key, &facts, Verdict::Approved, &fields, by.actor());
        response.heads = Some(longest_heads());
        if !response.fits(header) {
            return None;
        }
        let grant = match by {
            By::Owner { grant: Some(spec), .. } => {
                let domain = details.domain.clone();
                self.new_grant(step, key.0, domain, allowed, item_id.clone(), *spec)
            }
            _ => None,
        };
        Some((Release { by: by.clone(), response, fields }, grant, item_id))
    }

    fn release_writes<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        release: &Release,
        new_grant: Option<&GrantRecord>,
        item_id: Option<String>,
    ) -> Vec<Write> {
        let mut audit = self.request_entry(step.now, AuditEvent::CredentialReleased, release.by.actor(), key);
        audit.fields.clone_from(&release.fields);
        audit.detail = item_id.map(|id| format!("item {id}"));
        if let By::Policy(rule) = &release.by {
            let item = audit.detail.take().map(|item| format!("{item}; ")).unwrap_or_default();
            audit.detail = Some(format!("{item}{}", rule.detail));
        }
        if let By::Device { device, .. } = &release.by {
            let item = audit.detail.take().map(|item| format!("{item}; ")).unwrap_or_default();
            audit.detail = Some(format!("{item}approved on {device}"));
        }
        let released = StoredRequestState::Released { at: step.now.steady };
        let mut writes: Vec<Write> =
            self.request_record(key, released).map(Write::Request).into_iter().collect();
        writes.push(Write::Audit(audit));
        if let Some(session) = self.sessions.get_mut(&key.0) {
            session.record.uses += 1;
            session.last_saved = session.record.last_used_at;
            writes.push(Write::Session(session.record.clone()));
        }
        if let By::Policy(ByRule { counted: Some(rule), .. }) = &release.by
            && let Some(agent_id) = self.sessions.get(&key.0).map(|session| session.record.agent_id.clone())
        {
            writes.push(self.count_release(step.now, &agent_id, rule));
        }
        if let By::Grant(id) = &release.by
            && let Some(grant) = self.grants.get_mut(id)
        {
            grant.record.uses += 1;
            writes.push(Write::Grant(grant.record.clone()));
        }
        if let Some(grant) = new_grant {
            writes.push(Write::Grant(grant.clone()));
            writes.push(Write::Audit(self.grant_entry(
                step.now,
                AuditEvent::GrantCreated,
                Actor::Owner,
                grant,
            )));
        }
        writes
    }

    pub(super) fn release_committed<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        grant: Option<GrantRecord>,
        ok: bool,
    ) {
        let releasing = self
            .requests
            .get(&key)
            .and_then(Request::open)
            .is_some_and(|open| matches!(open.stage, Stage::Releasing(_)));
        if !releasing {
            // The session ended while the release was being written: the credential was wiped then.
            if ok {
                let entry = self.request_entry(step.now, AuditEvent::DeliveryWithheld, Actor::System, key);
                let mut writes = vec![Write::Audit(entry)];
                writes.extend(
                    grant.into_iter().flat_map(|grant| self.end_grant_record(step, grant, "session_ended")),
                );
                self.commit_done(step, Vec::new(), writes);
            }
            return;
        }
        let Some(open) = self.requests.get_mut(&key).and_then(Request::open_mut) else { return };
        let Stage::Releasing(release) = std::mem::replace(&mut open.stage, Stage::waiting()) else { return };
        if ok { self.deliver(step, key, *release, grant) } else { self.release_failed(step, key, &release) }
    }

    /// Committed: seal once and send. From here on these bytes are the answer.
    fn deliver<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        key: RequestKey,
        mut release: Release,
        grant: Option<GrantRecord>,
    ) {
        if let By::Owner { fields, .. } = &release.by {
            self.remember_approved(step, key, fields);
        }
        let Some(session) = self.sessions.get(&key.0) else { return };
        // Only now: the record of this very release is among what the agent has seen then.
        release.response.heads = Some(self.heads_for(session));
        let header = Header::new(step.now.wall, step.rng);
        let plaintext = release.response.to_plaintext(header).map_err(durward_protocol::Error::code);
        let sealed = plaintext.and_then(|plaintext| session.seal(&plaintext, step.rng));
        let actor = release.by.actor();
        self.decided_on(key, release.by.device());
        match sealed {
            Ok(payload) => self.answered(step, key, Verdict::Approved, None, &Arc::from(payload), actor),
            Err(code) => self.drop_request(step, key, code),
        }
        if let Some(grant) = grant {
            self.grant_committed(step, grant);
        }
        match release.by {
            By::Owner { waiter, .. } => {
                self.approved(step, key.0);
                step.reply(waiter, released(release.fields));
            }
            By::Device { waiter, .. } => {
                self.approved(step, key.0);
                if let Some(waiter) = waiter {
                    step.reply(waiter, released(release.fields));
                }
            }
            By::Grant(id) => self.end_grant_if_used_up(step, id),
            By::Policy(_) => {}
        }
    }

    fn release_failed<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, key: RequestKey, release: &Release) {
        // Another release under way may have written its row with this use in it: written again without.
        if let Some(session) = self.sessions.get_mut(&key.0) {
            session.record.uses = session.record.uses.saturating_sub(1);
            step.save(vec![Write::Session(session.record.clone())]);
        }
        match &release.by {
            By::Owner { waiter, .. } => {
                step.refuse(*waiter, ErrorCode::StorageFailed);
                self.let_go(step, key);
            }
            By::Device { waiter, .. } => self.device_refused(step, key, *waiter, ErrorCode::StorageFailed),
            By::Grant(id) => {
                if let Some(grant) = self.grants.get_mut(id) {
                    grant.record.uses = grant.record.uses.saturating_sub(1);
                    step.save(vec![Write::Grant(grant.record.clone())]);
                }
                self.drop_request(step, key, ErrorCode::StorageFailed);
            }
            By::Policy(ByRule { waited: true, .. }) => self.wait_on(step, key, Vec::new()),
            By::Policy(_) => self.drop_request(step, key, ErrorCode::StorageFailed),
        }
    }
}

fn released(fields: Vec<Field>) -> Answer {
    Answer::Decided { verdict: Verdict::Approved, fields, reason: None }
}

fn retain_fields(credential: &mut Credential, allowed: &[Field]) {
    for field in credential.fields() {
        if !allowed.contains(&field) {
            match field {
                Field::Username => credential.username = None,
                Field::Password => credential.password = None,
                Field::Totp => credential.totp = None,
                Field::Uri => credential.uri = None,
                Field::Notes => credential.notes = None,
                Field::Custom(name) => {
                    credential.custom.remove(&name);
                }
            }
        }
    }
}
