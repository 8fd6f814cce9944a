//! The machine: its state, its one entrance, and the bookkeeping that all parts share.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use durward_protocol::device::DeviceId;
use durward_protocol::{
    AgentId, ApproverKey, ErrorCode, GrantId, MAX_NONCES, PairingId, RequestId, RestKey, SessionId, Timestamp,
};
use rand_core::CryptoRng;
use time::OffsetDateTime;

use super::audit::{Actor, AuditEntry, AuditEvent, ChainHead};
use super::commit::InFlight;
use super::event::{Answer, Effect, Event, Notice, Ticket, Waiter};
use super::fatigue::Fatigue;
use super::grant::Grant;
use super::heads::KnownHeads;
use super::meter::{Metered, Meters};
use super::pairing_table::{PairingTable, Said};
use super::past::Memory;
use super::policy::Policy;
use super::records::Write;
use super::request::{Request, RequestKey};
use super::session::Session;
use super::settings::Settings;
use crate::Now;

/// Deadlines handled by one tick: more wait for the next, so that nobody waits long for the lock.
const DEADLINES_PER_TICK: usize = 1_024;

/// Everything about approvals: pairings, sessions, requests, grants. No I/O; see [`Approval::handle`].
pub struct Approval {
    pub(super) settings: Settings,
    pub(super) approver: ApproverKey,
    pub(super) rest: RestKey,
    pub(super) pairings: PairingTable,
    pub(super) pairing_open: bool,
    pub(super) sessions: HashMap<SessionId, Session>,
    pub(super) by_agent: HashMap<AgentId, SessionId>,
    pub(super) requests: HashMap<RequestKey, Request>,
    pub(super) pending: usize,
    pub(super) grants: HashMap<GrantId, Grant>,
    pub(super) nonces: usize,
    /// Which held call waits where.
    pub(super) held: HashMap<Waiter, Held>,
    /// Answered requests, oldest first, so that old answers can be dropped when they take too much room.
    pub(super) answers: VecDeque<RequestKey>,
    pub(super) answer_bytes: usize,
    pub(super) in_flight: HashMap<Ticket, InFlight>,
    /// By commit under way: writes that must reach the store with a later one if this one fails.
    pub(super) keep: HashMap<Ticket, Vec<Write>>,
    pub(super) head: ChainHead,
    pub(super) meters: Meters,
    pub(super) fatigue: Fatigue,
    pub(super) policy: Policy,
    pub(super) known_heads: KnownHeads,
    pub(super) memory: Memory,
    /// Other devices on which the owner may decide.
    pub(super) approvers: HashSet<DeviceId>,
    agenda: BTreeMap<(OffsetDateTime, u64), Deadline>,
    /// Ends that must reach the store even if a commit fails: they go along with the next one.
    pub(super) backlog: Vec<Write>,
    counter: u64,
    pub(super) sweep_due: bool,
}

/// What a held call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Exchange(PairingId),
    Request(RequestKey),
}

/// Something that ends by itself. Entries are checked when they come up: what moved on is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    Pairing(PairingId),
    Session(SessionId),
    Request(RequestKey),
    Grant(GrantId),
    Typed,
    Meter(Metered),
    Sweep,
    /// What waits is judged again: a denial could not be written down.
    Judge,
    Backlog,
}

/// One event being handled.
pub(super) struct Step<'a, R> {
    pub(super) now: Now,
    pub(super) rng: &'a mut R,
    pub(super) effects: Vec<Effect>,
}

impl<R> Step<'_, R> {
    pub(super) fn reply(&mut self, waiter: Waiter, answer: Answer) {
        self.effects.push(Effect::Reply { waiter, answer });
    }

    pub(super) fn refuse(&mut self, waiter: Waiter, code: ErrorCode) {
        let approver_time = (code == ErrorCode::StaleTimestamp).then(|| Timestamp::new(self.now.wall));
        self.reply(waiter, Answer::Error { code, approver_time, detail: None });
    }

    pub(super) fn notify(&mut self, notice: Notice) {
        self.effects.push(Effect::Notify(notice));
    }

    pub(super) fn save(&mut self, writes: Vec<Write>) {
        if !writes.is_empty() {
            self.effects.push(Effect::Save { writes });
        }
    }
}

impl Approval {
    /// A machine with nothing in it. What was stored is added by [`Approval::restore`].
    pub fn new(settings: Settings, approver: ApproverKey, rest: RestKey) -> Self {
        Self {
            meters: Meters::new(&settings),
            fatigue: Fatigue::default(),
            policy: Policy::default(),
            known_heads: KnownHeads::default(),
            memory: Memory::default(),
            approvers: HashSet::new(),
            settings,
            approver,
            rest,
            pairings: PairingTable::default(),
            pairing_open: true,
            sessions: HashMap::new(),
            by_agent: HashMap::new(),
            requests: HashMap::new(),
            pending: 0,
            grants: HashMap::new(),
            nonces: 0,
            held: HashMap::new(),
            answers: VecDeque::new(),
            answer_bytes: 0,
            in_flight: HashMap::new(),
            keep: HashMap::new(),
            head: ChainHead::default(),
            agenda: BTreeMap::new(),
            backlog: Vec::new(),
            counter: 0,
            sweep_due: false,
        }
    }

    /// Takes one event and says what to do, in order.
    ///
    /// The caller carries out [`Effect::Commit`]s in the order in which they were handed out and reports
    /// each; it must hand out effects of one event before it handles the next.
    pub fn handle(&mut self, event: Event, now: Now, rng: &mut impl CryptoRng) -> Vec<Effect> {
        let mut step = Step { now, rng, effects: Vec::new() };
        match event {
            Event::Initiate { waiter, agent_id, agent_name, scope } => {
                self.initiate(&mut step, waiter, agent_id, agent_name, scope);
            }
            Event::Exchange { waiter, pairing_id, message } => {
                self.exchange(&mut step, waiter, pairing_id, message);
            }
            Event::Confirm { waiter, session_id, confirmation } => {
                self.confirm(&mut step, waiter, session_id, &confirmation);
            }
            Event::CancelPairing { waiter, pairing_id } => self.cancel_pairing(&mut step, waiter, pairing_id),
            Event::Request { waiter, session_id, payload } => {
                self.request(&mut step, waiter, session_id, &payload);
            }
            Event::CancelRequest { waiter, session_id, payload } => {
                self.cancel_request(&mut step, waiter, session_id, &payload);
            }
            Event::RevokeByAgent { waiter, session_id, payload } => {
                self.revoke_by_agent(&mut step, waiter, session_id, &payload);
            }
            Event::WaitOver { waiter } => self.wait_over(&mut step, waiter),
            Event::TypeCode { waiter, number, code, scope, apply_rules, runs_on } => {
                self.type_code(&mut step, waiter, number, &code, scope, Said { apply_rules, runs_on });
            }
            Event::RefusePairing { waiter, number } => self.refuse_pairing(&mut step, waiter, number),
            Event::SwitchPairing { waiter, open } => self.switch_pairing(&mut step, waiter, open),
            Event::SwitchAgent { waiter, agent_id, pause } => {
                self.switch_agent(&mut step, waiter, agent_id, pause);
            }
            Event::Decide { waiter, session_id, request_id, decision } => {
                self.decide(&mut step, waiter, (session_id, request_id), decision);
            }
            Event::DecideByDevice { waiter, session_id, request_id, name, decision } => {
                self.decide_by_device(&mut step, waiter, (session_id, request_id), name, *decision);
            }
            Event::Approvers { devices } => self.set_approvers(&mut step, devices),
            Event::VaultOpened => self.vault_opened(&mut step),
            Event::RevokeSession { waiter, session_id } => {
                self.revoke_by_owner(&mut step, waiter, session_id);
            }
            Event::EndGrant { waiter, grant_id } => self.end_grant_by_owner(&mut step, waiter, grant_id),
            Event::Committed { ticket, head } => self.committed(&mut step, ticket, head),
            Event::HeadCompared { agent_id, head, same } => {
                self.head_compared(&mut step, agent_id, head, same);
            }
            Event::ForgetHeads { waiter } => self.forget_heads(&mut step, waiter),
            Event::VaultRead { reading, result } => self.vault_read(&mut step, reading, result),
            Event::ApplyRules { waiter, session_id } => self.apply_rules(&mut step, waiter, session_id),
            Event::Record(entry) => step.save(vec![Write::Audit(entry)]),
            Event::SetPolicy(policy) => self.set_policy(&mut step, policy),
            Event::Stopping => self.flush_meters(&mut step),
            Event::Tick => self.tick(&mut step),
        }
        step.effects
    }

    /// When [`Event::Tick`] is next of use, on the steady clock; `None`: nothing waits for time.
    pub fn next_deadline(&self) -> Option<OffsetDateTime> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    /// The newest audit record that was committed.
    pub fn head(&self) -> ChainHead {
        self.head
    }

    pub(super) fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn schedule(&mut self, at: OffsetDateTime, deadline: Deadline) {
        let n = self.count();
        self.agenda.insert((at, n), deadline);
    }

    fn tick<R: CryptoRng>(&mut self, step: &mut Step<'_, R>) {
        for _ in 0..DEADLINES_PER_TICK {
            let Some(entry) = self.agenda.first_entry() else { return };
            if entry.key().0 > step.now.steady {
                return;
            }
            match entry.remove() {
                Deadline::Pairing(id) => self.pairing_due(step, id),
                Deadline::Session(id) => self.session_due(step, id),
                Deadline::Request(key) => self.request_due(step, key),
                Deadline::Grant(id) => self.grant_due(step, id),
                Deadline::Typed => self.pairings.forget_typed(step.now.steady),
                Deadline::Meter(kind) => self.flush_meter(step, kind),
                Deadline::Sweep => self.sweep(step),
                Deadline::Judge => self.judge_waiting(step),
                Deadline::Backlog if self.backlog.is_empty() => {} // another commit took it along
                Deadline::Backlog => self.commit_done(step, Vec::new(), Vec::new()),
            }
        }
    }

    fn sweep<R>(&mut self, step: &mut Step<'_, R>) {
        self.sweep_due = false;
        let now = step.now.steady;
        step.save(vec![Write::Sweep {
            requests_before: now - self.settings.request_memory,
            nonces_before: now,
            ended_before: now - time::Duration::days(7),
        }]);
        for session in self.sessions.values_mut() {
            self.nonces -= session.replay.forget(now.unix_timestamp(), usize::MAX);
        }
        if self.nonces > 0 || !self.requests.is_empty() {
            self.request_sweep(now);
        }
    }

    /// Makes sure that a sweep comes. Only activity asks for one: an idle approver sleeps.
    pub(super) fn request_sweep(&mut self, now: OffsetDateTime) {
        if !self.sweep_due {
            self.sweep_due = true;
            self.schedule(now + time::Duration::minutes(5), Deadline::Sweep);
        }
    }

    fn wait_over<R: CryptoRng>(&mut self, step: &mut Step<'_, R>, waiter: Waiter) {
        match self.held.remove(&waiter) {
            Some(Held::Exchange(pairing_id)) => self.exchange_released(step, pairing_id, waiter),
            Some(Held::Request(key)) => self.request_released(step, key, waiter),
            None => {}
        }
    }

    /// Whether one more nonce may be remembered.
    pub(super) fn nonces_full(&self) -> bool {
        self.nonces >= MAX_NONCES
    }

    /// Writes a refusal to the audit log, or counts it when there are too many.
    pub(super) fn record_refusal<R>(&mut self, step: &mut Step<'_, R>, mut entry: AuditEntry) {
        entry.event = AuditEvent::Refused;
        self.record_metered(step, Metered::Refusal, entry);
    }

    /// An audit entry about a session.
    pub(super) fn session_entry(
        &self,
        now: Now,
        event: AuditEvent,
        actor: Actor,
        id: SessionId,
    ) -> AuditEntry {
        let mut entry = AuditEntry::new(now.wall, event, actor);
        entry.session_id = Some(id);
        entry.agent_id = self.sessions.get(&id).map(|session| session.record.agent_id.clone());
        entry
    }

    /// An audit entry about a request.
    pub(super) fn request_entry(
        &self,
        now: Now,
        event: AuditEvent,
        actor: Actor,
        key: RequestKey,
    ) -> AuditEntry {
        let mut entry = self.session_entry(now, event, actor, key.0);
        entry.request_id = Some(key.1);
        if let Some(details) = self.requests.get(&key).and_then(Request::details) {
            entry.domain = Some(details.domain.clone());
            entry.fields.clone_from(&details.fields);
        }
        entry
    }

    /// The requests of one session, in no order.
    pub(super) fn requests_of(&self, session_id: SessionId) -> Vec<RequestId> {
        self.sessions.get(&session_id).map(|s| s.open_requests.iter().copied().collect()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Approval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Approval")
            .field("sessions", &self.sessions.len())
            .field("requests", &self.requests.len())
            .field("grants", &self.grants.len())
            .finish_non_exhaustive()
    }
}
