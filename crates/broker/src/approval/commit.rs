//! Commits: what each was for, and what must not be lost when one fails.

use durward_protocol::{ErrorCode, PairingId};
use rand_core::CryptoRng;
use time::OffsetDateTime;

use super::audit::ChainHead;
use super::event::{Answer, Effect, Notice, Ticket, Waiter};
use super::fatigue::{DENIED_SETTING, PAUSED_SETTING};
use super::machine::{Approval, Deadline, Step};
use super::pairing::PAIRING_SETTING;
use super::records::{GrantRecord, Write};
use super::request::RequestKey;

/// What a commit or a vault reading was for.
#[derive(Debug)]
pub(super) enum InFlight {
    /// A pairing whose MAC_A was good.
    Confirm(PairingId),
    /// A request that is being recorded before the owner sees it.
    Create(RequestKey),
    /// A vault reading.
    Read(RequestKey),
    /// The release of a credential, and the grant that was given with it.
    Release(RequestKey, Option<GrantRecord>),
    /// A verdict without a credential.
    End(RequestKey),
    /// Nothing but answers that wait for the disk.
    Answer(Vec<(Waiter, Answer)>),
}

impl Approval {
    /// Asks for a commit. The backlog goes first, and is kept should this commit fail.
    pub(super) fn commit<R>(&mut self, step: &mut Step<'_, R>, purpose: InFlight, writes: Vec<Write>) {
        let ticket = self.ticket(purpose);
        let mut all = std::mem::take(&mut self.backlog);
        if !all.is_empty() {
            self.keep.insert(ticket, all.clone());
        }
        all.extend(writes);
        step.effects.push(Effect::Commit { ticket, writes: all });
    }

    /// Commits what already took effect here. Should it fail, it goes with the next commit.
    pub(super) fn commit_done<R>(
        &mut self,
        step: &mut Step<'_, R>,
        replies: Vec<(Waiter, Answer)>,
        writes: Vec<Write>,
    ) {
        self.backlog.extend(writes);
        self.commit(step, InFlight::Answer(replies), Vec::new());
    }

    /// A commit failed: what has taken effect is tried again in a second.
    fn keep_for_later(&mut self, now: OffsetDateTime, mut writes: Vec<Write>) {
        for write in &mut writes {
            // The owner may have switched again since: what holds now is what shall be stored.
            if let Write::Setting { key, value } = write {
                if key == PAIRING_SETTING {
                    *value = self.pairing_setting();
                } else if let Some(agent_id) = key.strip_prefix(PAUSED_SETTING) {
                    *value = self.paused_setting(agent_id);
                } else if let Some(agent_id) = key.strip_prefix(DENIED_SETTING) {
                    *value = self.denials_setting(agent_id);
                }
            }
        }
        self.backlog.extend(writes);
        self.schedule(now + time::Duration::seconds(1), Deadline::Backlog);
    }

    pub(super) fn ticket(&mut self, purpose: InFlight) -> Ticket {
        let ticket = Ticket(self.count());
        self.in_flight.insert(ticket, purpose);
        ticket
    }

    pub(super) fn committed<R: CryptoRng>(
        &mut self,
        step: &mut Step<'_, R>,
        ticket: Ticket,
        head: Option<ChainHead>,
    ) {
        let Some(purpose) = self.in_flight.remove(&ticket) else { return };
        if let Some(head) = head.filter(|head| head.n > self.head.n) {
            self.head = head;
            self.known_heads.remember(head);
        }
        let ok = head.is_some();
        let keep = self.keep.remove(&ticket).unwrap_or_default();
        if !ok {
            step.notify(Notice::StorageFailed);
            if !keep.is_empty() {
                self.keep_for_later(step.now.steady, keep);
            }
        }
        match purpose {
            InFlight::Confirm(pairing_id) => self.pairing_committed(step, pairing_id, ok),
            InFlight::Create(key) => self.request_created(step, key, ok),
            InFlight::Release(key, grant) => self.release_committed(step, key, grant, ok),
            InFlight::End(key) => self.end_committed(step, key, ok),
            InFlight::Answer(replies) => {
                for (waiter, answer) in replies {
                    step.reply(waiter, if ok { answer } else { Answer::error(ErrorCode::StorageFailed) });
                }
            }
            InFlight::Read(_) => {}
        }
    }
}
