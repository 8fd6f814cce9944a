//! The agent's proof, and the session that comes of it.

use durward_protocol::wire::ConfirmResponse;
use durward_protocol::{Confirmation, ErrorCode, PairingId, Scope, SessionId, Timestamp};
use rand_core::CryptoRng;
use time::OffsetDateTime;

use super::audit::{Actor, AuditEvent};
use super::by_device::device_setting;
use super::commit::InFlight;
use super::event::{Answer, Notice, Waiter};
use super::machine::{Approval, Deadline, Step};
use super::pairing_end::pairing_failed;
use super::pairing_table::{Said, State, Verified};
use super::records::Write;
use super::ruled::rules_setting;
use super::session::Session;

impl Approval {
    pub(super) fn confirm<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        session_id: SessionId,
        confirmation: &Confirmation,
    ) {
        self.end_due_pairings(step);
        let Some(pairing_id) = self.pairings.by_session.get(&session_id).copied() else {
            return self.confirm_again(step, waiter, session_id, confirmation);
        };
        let Some(mut pairing) = self.pairings.all.remove(&pairing_id) else {
            return step.refuse(waiter, ErrorCode::SessionNotFound);
        };
        match pairing.state {
            State::Answered { message, response, answered, owner, .. } => {
                let scope = answered.scope.clone();
                match answered.confirm(confirmation) {
                    Ok(keys) => {
                        let verified = Verified {
                            session_id,
                            scope,
                            keys,
                            digest: confirmation.digest(),
                            sealed_keys: Vec::new(),
                            created_at: step.now.steady,
                        };
                        let until = step.now.steady + self.settings.confirm_within;
                        pairing.state = State::Verified {
                            message,
                            response,
                            verified,
                            owner,
                            waiters: vec![waiter],
                            committing: false,
                            until,
                        };
                        self.pairings.all.insert(pairing_id, pairing);
                        self.schedule(until, Deadline::Pairing(pairing_id));
                        self.commit_session(step, pairing_id);
                    }
                    Err(error) => {
                        self.pairings.by_session.remove(&session_id);
                        step.refuse(waiter, error.code());
                        pairing_failed(step, &pairing.offer, pairing.number, owner, Actor::Agent);
                    }
                }
            }
            State::Verified { ref verified, ref mut waiters, committing, .. } => {
                let same = verified.digest == confirmation.digest();
                if same {
                    waiters.push(waiter);
                } else {
                    step.refuse(waiter, ErrorCode::ConfirmationFailed);
                }
                self.pairings.all.insert(pairing_id, pairing);
                if same && !committing {
                    self.commit_session(step, pairing_id);
                }
            }
            other => {
                pairing.state = other;
                self.pairings.all.insert(pairing_id, pairing);
                step.refuse(waiter, ErrorCode::SessionNotFound);
            }
        }
    }

    /// The answer to a `confirm` was lost, and the session has been live since: the same answer again.
    fn confirm_again<R>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        id: SessionId,
        confirmation: &Confirmation,
    ) {
        let known =
            self.live_session(step.now, id).filter(|s| s.record.confirmation_digest == confirmation.digest());
        match known.map(|session| self.ends_at(step.now, session)) {
            Some(end) => {
                let response = ConfirmResponse { active: true, expires_at: Timestamp::new(end) };
                step.reply(waiter, Answer::Confirmed(response));
            }
            None => step.refuse(waiter, ErrorCode::SessionNotFound),
        }
    }

    fn commit_session<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, pairing_id: PairingId) {
        let mut entry = self.pairing_entry(step.now, AuditEvent::PairingConfirmed, Actor::Agent, pairing_id);
        let Some(pairing) = self.pairings.all.get_mut(&pairing_id) else { return };
        let replaces = self.by_agent.contains_key(&pairing.offer.agent_id);
        let full = !replaces && self.sessions.len() >= self.settings.max_sessions;
        let said = pairing.said.clone();
        let State::Verified { verified, committing, .. } = &mut pairing.state else { return };
        let stored = verified.keys.expose_stored();
        let identity = verified.session_id.to_string();
        let sealed = self.rest.seal("session", identity.as_bytes(), stored.expose_bytes(), step.rng);
        let (Ok(sealed_keys), false) = (sealed, full) else {
            return self.pairing_not_stored(step, pairing_id, ErrorCode::RateLimited);
        };
        let session_id = verified.session_id;
        verified.sealed_keys = sealed_keys;
        *committing = true;
        let session = Session::new(&pairing.offer, verified_parts(verified), &self.settings);
        entry.session_id = Some(session_id);
        entry.detail = said_detail(&said);
        // A session that this one replaces ends when this is on disk. A crash between the two leaves both
        // in the store, and the next start ends the older.
        let mut writes = vec![Write::Session(session.record), Write::Audit(entry)];
        writes.extend(said.apply_rules.then(|| rules_setting(session_id, true)));
        writes.extend(said.runs_on.as_ref().map(|runs_on| device_setting(session_id, Some(runs_on))));
        self.commit(step, InFlight::Confirm(pairing_id), writes);
    }

    pub(super) fn pairing_committed<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        pairing_id: PairingId,
        ok: bool,
    ) {
        if !ok {
            return self.pairing_not_stored(step, pairing_id, ErrorCode::StorageFailed);
        }
        let Some(pairing) = self.pairings.remove(pairing_id) else { return };
        let State::Verified { verified, owner, waiters, .. } = pairing.state else { return };
        if let Some(old) = self.by_agent.get(&pairing.offer.agent_id).copied() {
            self.end_session(step, old, "replaced", Actor::System);
        }
        let parts = verified_parts(&verified);
        let mut session = Session::new(&pairing.offer, parts, &self.settings);
        session.keys = Some(verified.keys);
        session.named_rules = pairing.said.apply_rules;
        session.runs_on = pairing.said.runs_on;
        let response =
            ConfirmResponse { active: true, expires_at: Timestamp::new(session.ends_at(&self.settings)) };
        let id = verified.session_id;
        self.by_agent.insert(pairing.offer.agent_id.clone(), id);
        self.schedule(session.ends_at(&self.settings), Deadline::Session(id));
        self.sessions.insert(id, session);
        for waiter in waiters {
            step.reply(waiter, Answer::Confirmed(response.clone()));
        }
        if let Some(view) = self.session_view(id) {
            step.notify(Notice::Paired { session: view.clone() });
            step.reply(owner, Answer::Paired(view));
        }
    }

    /// The session could not be stored: the keys stay, and the same `confirm` may come again.
    fn pairing_not_stored<R>(&mut self, step: &mut Step<'_, R>, pairing_id: PairingId, code: ErrorCode) {
        let Some(pairing) = self.pairings.all.get_mut(&pairing_id) else { return };
        if let State::Verified { waiters, committing, until, .. } = &mut pairing.state {
            *committing = false;
            for waiter in std::mem::take(waiters) {
                step.reply(waiter, Answer::error(code));
            }
            // Its deadline may have come up, and been passed over, during the commit.
            let at = (*until).max(step.now.steady);
            self.schedule(at, Deadline::Pairing(pairing_id));
        }
    }
}

/// What the owner said with the code, for the log.
fn said_detail(said: &Said) -> Option<String> {
    let rules = said.apply_rules.then(|| "with rules that name it".to_owned());
    let device = said.runs_on.as_ref().map(ToString::to_string);
    let all: Vec<String> = rules.into_iter().chain(device).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// What a new session is made of.
pub(super) struct NewSession {
    pub(super) id: SessionId,
    pub(super) scope: Scope,
    pub(super) sealed_keys: Vec<u8>,
    pub(super) confirmation_digest: [u8; 32],
    pub(super) created_at: OffsetDateTime,
}

fn verified_parts(verified: &Verified) -> NewSession {
    NewSession {
        id: verified.session_id,
        scope: verified.scope.clone(),
        sealed_keys: verified.sealed_keys.clone(),
        confirmation_digest: verified.digest,
        created_at: verified.created_at,
    }
}
