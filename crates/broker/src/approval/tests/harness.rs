//! The world around the machine.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use durward_protocol::wire::{ConfirmResponse, ExchangeResponse};
use durward_protocol::{
    AgentId, AgentName, ApproverKey, Code, Credential, CredentialResponse, ErrorCode, Field, PairingNumber,
    RequestId, RestKey, Scope, SecretBytes, SecretString, SessionId,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::super::{
    Answer, Approval, Decision, Effect, Event, GrantSpec, ItemChoice, Notice, RunsOn, Settings, Ticket,
    VaultFailure, Waiter, Write,
};
use super::agent::{Agent, Ask, Displaying, ask};
use super::store::Store;
use crate::Now;

pub(super) const START: OffsetDateTime = datetime!(2026-11-22 10:00:00 UTC);

/// What the vault says when it is asked.
#[derive(Clone)]
pub(super) enum Vault {
    Open,
    /// Says nothing until [`World::answer_reading`].
    Slow,
    Fails(VaultFailure),
}

pub(super) struct Reading {
    pub(super) ticket: Ticket,
    pub(super) domain: String,
    pub(super) item_id: Option<String>,
    pub(super) fields: Vec<Field>,
}

pub(super) struct World {
    pub(super) machine: Approval,
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) now: Now,
    pub(super) rng: StdRng,
    pub(super) vault: Vault,
    /// Commits wait for [`World::finish_commit`].
    pub(super) hold_commits: bool,
    pub(super) fail_commits: bool,
    /// In the order in which they were handed out; what nobody waits for has no ticket.
    pub(super) commits: VecDeque<(Option<Ticket>, Vec<Write>)>,
    /// Commits that are on disk, or failed, and were not reported yet.
    pub(super) reports: Vec<Event>,
    pub(super) readings: VecDeque<Reading>,
    /// How often the vault was read.
    pub(super) reads: usize,
    pub(super) answers: HashMap<Waiter, Answer>,
    pub(super) asked: Vec<Waiter>,
    pub(super) notices: Vec<Notice>,
    /// What the owner says with the next code.
    pub(super) runs_on: Option<RunsOn>,
    waiters: u64,
}

fn machine(settings: &Settings) -> Approval {
    let approver = ApproverKey::from_seed(&SecretBytes::new([1; 32]));
    Approval::new(settings.clone(), approver, RestKey::from_bytes(SecretBytes::new([2; 32])))
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self {
            machine: machine(&settings),
            settings,
            store: Store::default(),
            now: Now::at(START),
            rng: StdRng::seed_from_u64(7),
            vault: Vault::Open,
            hold_commits: false,
            fail_commits: false,
            commits: VecDeque::new(),
            reports: Vec::new(),
            readings: VecDeque::new(),
            reads: 0,
            answers: HashMap::new(),
            asked: Vec::new(),
            notices: Vec::new(),
            runs_on: None,
            waiters: 0,
        }
    }

    /// A process dies and another starts: what was neither stored nor sent is gone.
    pub(super) fn restart(&mut self) {
        self.commits.clear();
        self.reports.clear();
        self.readings.clear();
        self.asked.clear();
        self.machine = machine(&self.settings);
        let effects = self.machine.restore(self.store.snapshot(), self.store.head, self.now, &mut self.rng);
        self.carry_out(effects);
    }

    pub(super) fn handle(&mut self, event: Event) {
        let effects = self.machine.handle(event, self.now, &mut self.rng);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut compared = Vec::new();
        for effect in effects {
            match effect {
                Effect::Commit { ticket, writes } => self.commits.push_back((Some(ticket), writes)),
                Effect::Save { writes } => self.commits.push_back((None, writes)),
                Effect::Reply { waiter, answer } => {
                    let before = self.answers.insert(waiter, answer);
                    assert!(before.is_none(), "{waiter:?} was answered twice");
                }
                Effect::ReadVault { reading, domain, item_id, fields, .. } => {
                    let domain = domain.as_str().to_owned();
                    self.readings.push_back(Reading { ticket: reading, domain, item_id, fields });
                }
                Effect::Notify(notice) => self.notices.push(notice),
                Effect::CompareHead { agent_id, head } => {
                    let same = self.store.audit.iter().any(|r| (r.n, r.hash) == (head.n, head.hash));
                    compared.push(Event::HeadCompared { agent_id, head, same });
                }
            }
        }
        for event in compared {
            self.handle(event);
        }
        while !self.hold_commits && !self.commits.is_empty() {
            self.finish_commit(!self.fail_commits);
        }
        while !self.readings.is_empty() {
            match self.vault.clone() {
                Vault::Slow => return,
                Vault::Open => self.answer_reading(0, None),
                Vault::Fails(failure) => self.answer_reading(0, Some(failure)),
            }
        }
    }

    /// The oldest commit under way goes through, or fails.
    pub(super) fn finish_commit(&mut self, ok: bool) {
        if let Some(report) = self.settle_commit(ok) {
            self.handle(report);
        }
    }

    /// The same, and the report comes later, perhaps after those of later commits.
    pub(super) fn finish_commit_quietly(&mut self, ok: bool) {
        let report = self.settle_commit(ok);
        self.reports.extend(report);
    }

    pub(super) fn report(&mut self, at: usize) {
        if at < self.reports.len() {
            let report = self.reports.remove(at);
            self.handle(report);
        }
    }

    fn settle_commit(&mut self, ok: bool) -> Option<Event> {
        while let Some((ticket, writes)) = self.commits.pop_front() {
            if ok {
                self.store.apply(writes);
            }
            if let Some(ticket) = ticket {
                return Some(Event::Committed { ticket, head: ok.then_some(self.store.head) });
            }
        }
        None
    }

    pub(super) fn finish_commits_unless_held(&mut self) {
        self.carry_out(Vec::new());
    }

    pub(super) fn finish_commits(&mut self, ok: bool) {
        while !self.commits.is_empty() {
            self.finish_commit(ok);
        }
    }

    /// A reading ends. The vault returns more than it was asked for: the machine must not pass that on.
    pub(super) fn answer_reading(&mut self, at: usize, failure: Option<VaultFailure>) {
        let Some(reading) = self.readings.remove(at) else { return };
        self.reads += 1;
        let result = match failure {
            Some(failure) => Err(failure),
            None => Ok(self.credential(&reading)),
        };
        self.handle(Event::VaultRead { reading: reading.ticket, result });
    }

    fn credential(&self, reading: &Reading) -> Credential {
        let mut credential = Credential {
            item_id: reading.item_id.clone().unwrap_or_else(|| format!("item-{}", reading.domain)),
            ..Credential::default()
        };
        let all = [Field::Username, Field::Password, Field::Totp, Field::Uri, Field::Notes];
        for field in all.iter().chain([&Field::Custom("pin".into())]) {
            let value = format!("{field} of {} by read {}", credential.item_id, self.reads);
            credential.set(field, SecretString::new(value));
        }
        credential
    }

    pub(super) fn waiter(&mut self) -> Waiter {
        self.waiters += 1;
        self.asked.push(Waiter(self.waiters));
        Waiter(self.waiters)
    }

    /// Sends an event that somebody waits for.
    pub(super) fn call(&mut self, event: impl FnOnce(Waiter) -> Event) -> Waiter {
        let waiter = self.waiter();
        self.handle(event(waiter));
        waiter
    }

    /// The answer of a call; panics while it is held.
    pub(super) fn answer(&self, waiter: Waiter) -> Answer {
        self.answers.get(&waiter).cloned().unwrap_or_else(|| panic!("{waiter:?} still waits"))
    }

    pub(super) fn waits(&self, waiter: Waiter) -> bool {
        !self.answers.contains_key(&waiter)
    }

    pub(super) fn code(&self, waiter: Waiter) -> ErrorCode {
        code(&self.answer(waiter))
    }

    /// Time passes, with a tick whenever one is due.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.steady + time;
        while let Some(due) = self.machine.next_deadline().filter(|due| *due <= end) {
            let step = (due - self.now.steady).max(Duration::ZERO);
            self.jump(step);
            self.handle(Event::Tick);
            let next = self.machine.next_deadline();
            assert!(next.is_none_or(|next| next > self.now.steady), "a tick left something that is due");
        }
        self.jump(end - self.now.steady);
    }

    /// Time passes and nobody ticks.
    pub(super) fn jump(&mut self, time: Duration) {
        self.now.wall += time;
        self.now.steady += time;
    }

    // Pairing, step by step.

    pub(super) fn initiate(&mut self, agent: &str, scope: &Scope) -> Answer {
        let (agent_id, agent_name) = (AgentId::parse(agent).unwrap(), AgentName::parse(agent).unwrap());
        let scope = scope.clone();
        let waiter = self.call(|waiter| Event::Initiate { waiter, agent_id, agent_name, scope });
        self.answer(waiter)
    }

    pub(super) fn display(&mut self, agent: &str, scope: &Scope) -> Displaying {
        match self.initiate(agent, scope) {
            Answer::Initiated(response) => Displaying::new(&response, agent, scope.clone(), &mut self.rng),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn exchange(&mut self, displaying: &Displaying) -> Waiter {
        let (pairing_id, message) = (displaying.id, displaying.message);
        self.call(|waiter| Event::Exchange { waiter, pairing_id, message })
    }

    pub(super) fn type_code(&mut self, number: Option<PairingNumber>, code: &Code) -> Waiter {
        let (code, scope, runs_on) = (code.duplicate(), None, self.runs_on.take());
        self.call(|waiter| Event::TypeCode { waiter, number, code, scope, apply_rules: false, runs_on })
    }

    pub(super) fn exchanged(&self, waiter: Waiter) -> ExchangeResponse {
        match self.answer(waiter) {
            Answer::Exchanged(response) => response,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn confirm(&mut self, agent: &Agent) -> Waiter {
        let (session_id, confirmation) = (agent.session, agent.mac_a);
        self.call(|waiter| Event::Confirm { waiter, session_id, confirmation })
    }

    pub(super) fn confirmed(&self, waiter: Waiter) -> ConfirmResponse {
        match self.answer(waiter) {
            Answer::Confirmed(response) => response,
            other => panic!("{other:?}"),
        }
    }

    /// Up to the proof of the approver: the agent is about to confirm. Also who typed the code.
    pub(super) fn pair_up_to_confirm(&mut self, agent: &str, scope: &Scope) -> (Agent, Waiter) {
        let displaying = self.display(agent, scope);
        let held = self.exchange(&displaying);
        let owner = self.type_code(Some(displaying.number), &displaying.code.duplicate());
        let response = self.exchanged(held);
        (displaying.verify(&response).unwrap(), owner)
    }

    pub(super) fn pair_with(&mut self, agent: &str, scope: &Scope) -> Agent {
        let (agent, owner) = self.pair_up_to_confirm(agent, scope);
        let waiter = self.confirm(&agent);
        self.confirmed(waiter);
        assert!(matches!(self.answer(owner), Answer::Paired(_)));
        agent
    }

    pub(super) fn pair(&mut self, agent: &str) -> Agent {
        self.pair_with(agent, &Scope::none())
    }

    // Requests.

    pub(super) fn send(&mut self, session_id: SessionId, payload: String) -> Waiter {
        self.call(|waiter| Event::Request { waiter, session_id, payload })
    }

    pub(super) fn ask(&mut self, agent: &Agent, ask: &Ask) -> Waiter {
        let payload = agent.request(ask, self.now.wall, &mut self.rng);
        self.send(agent.session, payload)
    }

    pub(super) fn cancel(&mut self, agent: &Agent, id: u8) -> Waiter {
        let payload = agent.cancel(RequestId::from_bytes([id; 16]), self.now.wall, &mut self.rng);
        let session_id = agent.session;
        self.call(|waiter| Event::CancelRequest { waiter, session_id, payload })
    }

    pub(super) fn decide(&mut self, agent: &Agent, id: u8, decision: Decision) -> Waiter {
        let (session_id, request_id) = (agent.session, RequestId::from_bytes([id; 16]));
        self.call(|waiter| Event::Decide { waiter, session_id, request_id, decision })
    }

    pub(super) fn approve(&mut self, agent: &Agent, id: u8) -> Waiter {
        self.decide(agent, id, Decision::Approve { grant: None, item_id: None, fields: None })
    }

    pub(super) fn deny(&mut self, agent: &Agent, id: u8, reason: &str) -> Waiter {
        self.decide(agent, id, Decision::Deny { reason: Some(reason.into()) })
    }

    /// Asks under id 200, is approved with this grant, and so leaves a standing one.
    pub(super) fn grant(&mut self, agent: &Agent, domain: &str, spec: GrantSpec) {
        let held = self.ask(agent, &ask(200, domain));
        self.decide(agent, 200, Decision::Approve { grant: Some(spec), item_id: None, fields: None });
        assert!(matches!(self.answer(held), Answer::Answered { .. }));
    }

    /// The verdict that a call got.
    pub(super) fn verdict(&self, agent: &Agent, waiter: Waiter) -> CredentialResponse {
        agent.open(&payload(&self.answer(waiter)))
    }

    pub(super) fn revoke(&mut self, agent: &Agent) -> Waiter {
        let session_id = Some(agent.session);
        self.call(|waiter| Event::RevokeSession { waiter, session_id })
    }
}

pub(super) fn code(answer: &Answer) -> ErrorCode {
    match answer {
        Answer::Error { code, .. } => *code,
        other => panic!("not refused: {other:?}"),
    }
}

pub(super) fn payload(answer: &Answer) -> Arc<str> {
    match answer {
        Answer::Answered { payload } => Arc::clone(payload),
        other => panic!("no verdict: {other:?}"),
    }
}

pub(super) fn choice(item: &str) -> ItemChoice {
    ItemChoice { item_id: item.into(), name: item.into(), username: None }
}
