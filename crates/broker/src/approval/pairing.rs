//! Pairings: announced, waiting for a code, answered, verified, over.
//!
//! ```text
//!             exchange              code typed            good MAC_A         committed
//! Offered ----------------> Waiting ----------> Answered ----------> Verified ---------> session
//!    | 15 s                    | refused, 300 s,    | bad MAC_A, cancel,    | store failed: the same
//!    v                         v nobody holds it    v 60 s                  v confirm may come again
//!   gone                      over                 over
//! ```

use std::collections::HashSet;

use durward_protocol::wire::{ExchangeResponse, InitiateResponse};
use durward_protocol::{
    AgentId, AgentName, Answered, Code, ErrorCode, PairingId, PairingNumber, PairingOffer, PakeMessage,
    Scope, Timestamp,
};
use rand_core::CryptoRng;

use super::audit::{Actor, AuditEntry, AuditEvent};
use super::event::{Answer, Notice, Waiter};
use super::machine::{Approval, Deadline, Held, Step};
use super::meter::Metered;
use super::pairing_table::{Pairing, Said, State};
use super::records::Write;
use super::view::PairingView;
use crate::Now;

/// The setting that is there while pairing is closed.
pub(super) const PAIRING_SETTING: &str = "pairing";

const CLOSED: &str = "closed";

impl Approval {
    pub(super) fn initiate<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        agent_id: AgentId,
        agent_name: AgentName,
        scope: Scope,
    ) {
        if !self.pairing_open {
            return step.refuse(waiter, ErrorCode::PairingClosed);
        }
        self.end_due_pairings(step);
        let offered = self.pairings.count(|state| matches!(state, State::Offered { .. }));
        if offered >= self.settings.max_offered_pairings {
            return step.refuse(waiter, ErrorCode::TooManyPairings);
        }
        // What is kept of a refused pairing makes room: else the owner who swept a flood away would still
        // keep honest agents out.
        let refused = self.pairings.count(|state| matches!(state, State::Refused { .. }));
        if offered + refused >= self.settings.max_offered_pairings {
            self.pairings.forget_oldest_refused();
        }
        let Some(number) = self.pairings.free_number(step.rng) else {
            return step.refuse(waiter, ErrorCode::TooManyPairings);
        };
        let pairing_id = PairingId::random(step.rng);
        let offer = PairingOffer {
            pairing_id,
            agent_id,
            agent_name,
            approver_id: self.approver.id().clone(),
            scope_asked: scope,
        };
        let now = step.now.steady;
        let expires_at = now + self.settings.code_life;
        let until = now + self.settings.pairing_grace;
        let state = State::Offered { until };
        let pairing = Pairing { offer, number, expires_at, said: Said::default(), state };
        self.pairings.all.insert(pairing_id, pairing);
        self.schedule(until, Deadline::Pairing(pairing_id));
        let response = InitiateResponse {
            pairing_id,
            number,
            approver_id: self.approver.id().clone(),
            expires_at: Timestamp::new(expires_at),
        };
        step.reply(waiter, Answer::Initiated(response));
    }

    pub(super) fn exchange<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        pairing_id: PairingId,
        message: PakeMessage,
    ) {
        self.end_due_pairings(step);
        let waiting = self.pairings.count(|state| matches!(state, State::Waiting { .. }));
        let Some(pairing) = self.pairings.all.get_mut(&pairing_id) else {
            return step.refuse(waiter, ErrorCode::PairingNotFound);
        };
        match &mut pairing.state {
            State::Offered { .. } if waiting >= self.settings.max_waiting_pairings => {
                step.refuse(waiter, ErrorCode::TooManyPairings);
            }
            State::Offered { .. } => {
                pairing.state = State::Waiting { message, waiters: vec![waiter], grace_until: None };
                let expires_at = pairing.expires_at;
                self.held.insert(waiter, Held::Exchange(pairing_id));
                self.schedule(expires_at, Deadline::Pairing(pairing_id));
                let entry =
                    self.pairing_entry(step.now, AuditEvent::PairingWaiting, Actor::Agent, pairing_id);
                self.record_metered(step, Metered::Pairing, entry);
                if let Some(view) = self.pairing_view(pairing_id) {
                    step.notify(Notice::PairingWaiting { pairing: view });
                }
            }
            State::Waiting { message: first, .. }
            | State::Answered { message: first, .. }
            | State::Verified { message: first, .. }
                if *first != message =>
            {
                step.refuse(waiter, ErrorCode::PairingUsed);
            }
            State::Waiting { waiters, grace_until, .. } => {
                if waiters.len() >= self.settings.max_waiters_per_request {
                    return step.refuse(waiter, ErrorCode::RateLimited);
                }
                waiters.push(waiter);
                *grace_until = None;
                self.held.insert(waiter, Held::Exchange(pairing_id));
            }
            State::Answered { response, .. } | State::Verified { response, .. } => {
                step.reply(waiter, Answer::Exchanged(response.clone()));
            }
            State::Refused { .. } => step.refuse(waiter, ErrorCode::PairingRefused),
        }
    }

    /// A held exchange is over without an answer: the slot stays for the grace time, then it is free.
    pub(super) fn exchange_released<R>(
        &mut self,
        step: &mut Step<'_, R>,
        pairing_id: PairingId,
        waiter: Waiter,
    ) {
        step.reply(waiter, Answer::ExchangePending);
        let Some(pairing) = self.pairings.all.get_mut(&pairing_id) else { return };
        if let State::Waiting { waiters, grace_until, .. } = &mut pairing.state {
            waiters.retain(|other| *other != waiter);
            if waiters.is_empty() {
                let until = step.now.steady + self.settings.pairing_grace;
                *grace_until = Some(until);
                self.schedule(until, Deadline::Pairing(pairing_id));
            }
        }
    }

    pub(super) fn type_code<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        number: Option<PairingNumber>,
        code: &Code,
        scope: Option<Scope>,
        said: Said,
    ) {
        self.end_due_pairings(step);
        let pairing_id = match self.meant(number) {
            Ok(id) => id,
            Err(refusal) => return step.refuse(waiter, refusal),
        };
        let now = step.now.steady;
        let typed_until = now + self.settings.code_life;
        let Some(pairing) = self.pairings.all.get(&pairing_id) else {
            return step.refuse(waiter, ErrorCode::PairingNotFound);
        };
        let scope = scope.unwrap_or_else(|| pairing.offer.scope_asked.clone());
        if !scope.is_within(&pairing.offer.scope_asked) {
            return step.refuse(waiter, ErrorCode::InvalidScope);
        }
        if !self.pairings.remember_typed(code, typed_until, now, step.rng) {
            return step.refuse(waiter, ErrorCode::CodeAlreadyTyped);
        }
        self.schedule(typed_until, Deadline::Typed);
        if let Some(pairing) = self.pairings.all.get_mut(&pairing_id) {
            pairing.said = said;
        }
        self.answer_pairing(step, waiter, pairing_id, code, scope);
    }

    fn answer_pairing<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        owner: Waiter,
        pairing_id: PairingId,
        code: &Code,
        scope: Scope,
    ) {
        let Some(pairing) = self.pairings.all.get_mut(&pairing_id) else { return };
        let State::Waiting { message, waiters, .. } = &mut pairing.state else { return };
        let message = *message;
        let answered = match Answered::answer(&pairing.offer, code, &message, scope, step.rng) {
            Ok(answered) => answered,
            Err(error) => return step.refuse(owner, error.code()),
        };
        let waiters = std::mem::take(waiters);
        let response = ExchangeResponse {
            session_id: answered.session_id,
            agent_id: pairing.offer.agent_id.clone(),
            pake_message: answered.message.encode(),
            confirmation: answered.mac_b.encode(),
            scope: answered.scope.as_str().to_owned(),
        };
        let until = step.now.steady + self.settings.confirm_within;
        self.pairings.by_session.insert(answered.session_id, pairing_id);
        pairing.state = State::Answered { message, answered, response: response.clone(), owner, until };
        for waiter in waiters {
            self.held.remove(&waiter);
            step.reply(waiter, Answer::Exchanged(response.clone()));
        }
        self.schedule(until, Deadline::Pairing(pairing_id));
        let entry = self.pairing_entry(step.now, AuditEvent::PairingAnswered, Actor::Owner, pairing_id);
        step.save(vec![Write::Audit(entry)]);
    }

    /// Which pairing a typed code is for.
    fn meant(&self, number: Option<PairingNumber>) -> Result<PairingId, ErrorCode> {
        let waiting: Vec<(&PairingId, &Pairing)> =
            self.pairings.all.iter().filter(|(_, p)| matches!(p.state, State::Waiting { .. })).collect();
        match (number, waiting.as_slice()) {
            (None, []) => Err(ErrorCode::PairingNotFound),
            (None, [(id, _)]) => Ok(**id),
            (None, _) => Err(ErrorCode::SeveralPairings),
            (Some(number), waiting) => match waiting.iter().find(|(_, p)| p.number == number) {
                Some((id, _)) => Ok(**id),
                None if self.pairings.all.values().any(|p| p.number == number) => {
                    Err(ErrorCode::PairingNotWaiting)
                }
                None => Err(ErrorCode::PairingNotFound),
            },
        }
    }

    pub(super) fn switch_pairing<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        open: bool,
    ) {
        self.pairing_open = open;
        if !open {
            self.refuse_pairings(step, None, "pairing was closed");
        }
        step.notify(Notice::PairingSwitched { open });
        let entry = AuditEntry::new(step.now.wall, AuditEvent::PairingSwitched, Actor::Owner)
            .outcome(if open { "open" } else { "closed" });
        let setting = Write::Setting { key: PAIRING_SETTING.into(), value: self.pairing_setting() };
        self.commit_done(step, vec![(waiter, Answer::Done(1))], vec![setting, Write::Audit(entry)]);
    }

    /// Whether pairing is closed, as it is stored.
    pub(super) fn pairing_setting(&self) -> Option<String> {
        (!self.pairing_open).then(|| CLOSED.to_owned())
    }

    /// The reverse of [`Approval::pairing_setting`].
    pub(super) fn restore_pairing_setting(&mut self, settings: &[(String, String)]) {
        self.pairing_open = !settings.iter().any(|(key, value)| key == PAIRING_SETTING && value == CLOSED);
    }

    pub(super) fn pairing_entry(
        &self,
        now: Now,
        event: AuditEvent,
        actor: Actor,
        id: PairingId,
    ) -> AuditEntry {
        match self.pairings.all.get(&id) {
            Some(pairing) => offer_entry(now, event, actor, &pairing.offer),
            None => AuditEntry::new(now.wall, event, actor),
        }
    }

    /// Pairings that wait for the owner, by number.
    pub fn pairings(&self) -> Vec<PairingView> {
        let mut views: Vec<PairingView> = self
            .pairings
            .all
            .iter()
            .filter(|(_, p)| matches!(p.state, State::Waiting { .. } | State::Answered { .. }))
            .filter_map(|(id, _)| self.pairing_view(*id))
            .collect();
        views.sort_by_key(|view| view.number);
        views
    }

    /// Pairings that are announced, wait for their code or for the agent.
    pub fn pending_pairings(&self, now: Now) -> HashSet<PairingId> {
        let pending = |pairing: &Pairing| match pairing.state {
            State::Offered { until } => now.steady < until,
            State::Waiting { .. } | State::Answered { .. } => now.steady < pairing.expires_at,
            _ => false,
        };
        self.pairings.all.iter().filter(|(_, pairing)| pending(pairing)).map(|(id, _)| *id).collect()
    }

    /// Whether agents may pair now.
    pub fn is_pairing_open(&self) -> bool {
        self.pairing_open
    }

    fn pairing_view(&self, id: PairingId) -> Option<PairingView> {
        let pairing = self.pairings.all.get(&id)?;
        let offer = &pairing.offer;
        let duplicate_claim = self.pairings.all.iter().any(|(other_id, other)| {
            *other_id != id
                && matches!(other.state, State::Waiting { .. } | State::Answered { .. })
                && (other.offer.agent_id == offer.agent_id || other.offer.agent_name == offer.agent_name)
        });
        Some(PairingView {
            pairing_id: id,
            number: pairing.number,
            agent_id: offer.agent_id.clone(),
            agent_name: offer.agent_name.clone(),
            scope: offer.scope_asked.limits().clone(),
            answered: matches!(pairing.state, State::Answered { .. }),
            duplicate_claim,
            replaces: self.by_agent.get(&offer.agent_id).copied(),
            rules: self.rules_for(&offer.agent_id),
            expires_at: pairing.expires_at,
        })
    }
}

pub(super) fn offer_entry(now: Now, event: AuditEvent, actor: Actor, offer: &PairingOffer) -> AuditEntry {
    let mut entry = AuditEntry::new(now.wall, event, actor);
    entry.agent_id = Some(offer.agent_id.clone());
    entry
}
