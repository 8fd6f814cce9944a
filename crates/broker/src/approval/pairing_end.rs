//! How pairings end without a session: given up, refused, too late, or confirmed wrongly.

use durward_protocol::{ErrorCode, PairingId, PairingNumber, PairingOffer};
use rand_core::CryptoRng;

use super::audit::{Actor, AuditEvent};
use super::event::{Answer, Notice, Waiter};
use super::machine::{Approval, Deadline, Step};
use super::meter::Metered;
use super::pairing::offer_entry;
use super::pairing_table::{Pairing, Said, State};
use super::records::Write;

const NOT_CONFIRMED: &str = "not confirmed: the code was wrong or somebody else tried";

impl Approval {
    pub(super) fn cancel_pairing<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        pairing_id: PairingId,
    ) {
        let cancellable =
            self.pairings.all.get(&pairing_id).is_some_and(|p| !matches!(p.state, State::Verified { .. }));
        if cancellable && let Some(pairing) = self.pairings.remove(pairing_id) {
            self.pairing_over(
                step,
                pairing,
                Actor::Agent,
                ErrorCode::PairingNotFound,
                "given up by the agent",
            );
        }
        step.reply(waiter, Answer::PairingCancelled);
    }

    pub(super) fn refuse_pairing<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        waiter: Waiter,
        number: Option<PairingNumber>,
    ) {
        let refused = self.refuse_pairings(step, number, "refused by the owner");
        if number.is_some() && refused == 0 {
            return step.refuse(waiter, ErrorCode::PairingNotFound);
        }
        step.reply(waiter, Answer::Done(refused));
    }

    /// Ends what waits for a code, all of it or one; how many.
    pub(super) fn refuse_pairings<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        number: Option<PairingNumber>,
        why: &str,
    ) -> usize {
        let ids: Vec<PairingId> = self
            .pairings
            .all
            .iter()
            .filter(|(_, p)| matches!(p.state, State::Offered { .. } | State::Waiting { .. }))
            .filter(|(_, p)| number.is_none_or(|number| p.number == number))
            .map(|(id, _)| *id)
            .collect();
        let until = step.now.steady + self.settings.pairing_grace;
        for id in &ids {
            let Some(pairing) = self.pairings.remove(*id) else { continue };
            let tombstone = Pairing {
                offer: pairing.offer.clone(),
                number: pairing.number,
                expires_at: until,
                said: Said::default(),
                state: State::Refused { until },
            };
            self.pairing_over(step, pairing, Actor::Owner, ErrorCode::PairingRefused, why);
            self.pairings.all.insert(*id, tombstone);
            self.schedule(until, Deadline::Pairing(*id));
        }
        ids.len()
    }

    /// Ends what is over by now, whatever the agenda has come to: a late tick must not lengthen the life
    /// of a code.
    pub(super) fn end_due_pairings<R: CryptoRng>(&mut self, step: &mut Step<'_, R>) {
        let ids: Vec<PairingId> = self.pairings.all.keys().copied().collect();
        for id in ids {
            self.pairing_due(step, id);
        }
    }

    /// A pairing's deadline came up: does one of its times really lie behind?
    pub(super) fn pairing_due<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, pairing_id: PairingId) {
        let Some(pairing) = self.pairings.all.get(&pairing_id) else { return };
        let now = step.now.steady;
        let over = match &pairing.state {
            State::Offered { until } | State::Answered { until, .. } | State::Refused { until } => {
                *until <= now
            }
            State::Verified { until, committing, .. } => *until <= now && !committing,
            State::Waiting { grace_until, .. } => {
                pairing.expires_at <= now || grace_until.is_some_and(|until| until <= now)
            }
        };
        if !over {
            return;
        }
        let Some(pairing) = self.pairings.remove(pairing_id) else { return };
        let why = if pairing.expires_at <= now { "the code expired" } else { "the agent went away" };
        self.pairing_over(step, pairing, Actor::System, ErrorCode::PairingNotFound, why);
    }

    /// Tells everybody who still waits for a pairing that was removed.
    fn pairing_over<R>(
        &mut self,
        step: &mut Step<'_, R>,
        pairing: Pairing,
        actor: Actor,
        code: ErrorCode,
        why: &str,
    ) {
        match pairing.state {
            State::Offered { .. } | State::Refused { .. } => {}
            State::Waiting { waiters, .. } => {
                for waiter in waiters {
                    self.held.remove(&waiter);
                    step.refuse(waiter, code);
                }
                let entry =
                    offer_entry(step.now, AuditEvent::PairingFailed, actor, &pairing.offer).detail(why);
                // The owner's act is always on record, in a flood most of all.
                if actor == Actor::Owner {
                    step.save(vec![Write::Audit(entry)]);
                } else {
                    self.record_metered(step, Metered::Pairing, entry);
                }
                let agent_id = pairing.offer.agent_id;
                step.notify(Notice::PairingOver { number: pairing.number, agent_id, why: why.into() });
            }
            State::Answered { owner, .. } | State::Verified { owner, .. } => {
                pairing_failed(step, &pairing.offer, pairing.number, owner, actor);
            }
        }
    }
}

/// A typed code did not lead to a session.
pub(super) fn pairing_failed<R>(
    step: &mut Step<'_, R>,
    offer: &PairingOffer,
    number: PairingNumber,
    owner: Waiter,
    actor: Actor,
) {
    let entry = offer_entry(step.now, AuditEvent::PairingFailed, actor, offer).detail(NOT_CONFIRMED);
    step.save(vec![Write::Audit(entry)]);
    let agent_id = offer.agent_id.clone();
    step.notify(Notice::PairingOver { number, agent_id, why: NOT_CONFIRMED.into() });
    step.refuse(owner, ErrorCode::ConfirmationFailed);
}
