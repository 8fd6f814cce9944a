//! Random interleavings of agents, owner, vault, clock, failing store, bad network and crashes.

mod decide;
mod op;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use durward_protocol::{
    AgentId, Confirmation, Domain, GrantId, Limits, RequestId, Scope, SessionId, Verdict,
};
use proptest::prelude::*;
use time::Duration;

use op::{Op, op};

use super::super::request::{Request, RequestState, Stage};
use super::super::{Answer, AuditEvent, Event, Policy, Settings, StoredRequestState, VaultFailure, Waiter};
use super::agent::{Agent, Displaying, ask};
use super::by_device;
use super::harness::{Vault, World, choice};

type Key = (SessionId, RequestId);

/// The world, what its people remember, and what may be so.
struct Play {
    world: World,
    displaying: Vec<(Displaying, Option<Waiter>)>,
    agents: Vec<Agent>,
    sent: Vec<(SessionId, String)>,
    checked: HashSet<Waiter>,
    /// Requests the owner approved.
    approved: HashSet<Key>,
    /// Requests the owner approved on another device that may decide, as far as it still may.
    approved_there: HashSet<Key>,
    /// Sessions and domains the owner gave grants for.
    granted: HashSet<(SessionId, Domain)>,
    /// Whether the policy ever released the second domain without a question.
    allowed: bool,
    /// Sessions whose revocation was asked for.
    revoked: HashSet<SessionId>,
    /// The bytes that carried a credential.
    delivered: HashMap<Key, Arc<str>>,
    /// How often a session began its request ids anew.
    rounds: HashMap<(SessionId, u8), u8>,
    /// Requests that were ever asked.
    asked: HashSet<Key>,
}

const AGENTS: [&str; 2] = ["a", "b"];
const DOMAINS: [&str; 2] = ["example.com", "example.org"];

impl Play {
    fn new() -> Self {
        let settings = Settings {
            max_pending_per_session: 3,
            max_waiters_per_request: 3,
            max_answer_bytes: 2_500,
            max_waiting_pairings: 3,
            max_offered_pairings: 4,
            max_sessions: 2,
            max_grants_per_session: 2,
            max_refusals_per_minute: 5,
            ..Settings::default()
        };
        let mut world = World::with(settings);
        world.vault = Vault::Slow;
        let mut play = Self {
            world,
            displaying: Vec::new(),
            agents: Vec::new(),
            sent: Vec::new(),
            checked: HashSet::new(),
            approved: HashSet::new(),
            approved_there: HashSet::new(),
            granted: HashSet::new(),
            allowed: false,
            revoked: HashSet::new(),
            delivered: HashMap::new(),
            rounds: HashMap::new(),
            asked: HashSet::new(),
        };
        let limits = Limits { max_uses: Some(3), ..Limits::default() };
        play.agents.push(play.world.pair("a"));
        play.agents.push(play.world.pair_with("b", &Scope::new(&limits).unwrap()));
        play
    }

    fn act(&mut self, op: &Op) {
        match *op {
            Op::Pass(seconds) => self.world.pass(Duration::seconds(seconds.into())),
            Op::Jump(seconds) => self.world.jump(Duration::seconds(seconds.into())),
            Op::Commit(ok, true) => self.world.finish_commit(ok),
            Op::Commit(ok, false) => self.world.finish_commit_quietly(ok),
            Op::Report(at) => {
                let count = self.world.reports.len().max(1);
                self.world.report(usize::from(at) % count);
            }
            Op::HoldCommits(hold) => {
                self.world.hold_commits = hold;
                self.world.finish_commits_unless_held();
            }
            Op::Restart => {
                self.world.restart();
                self.displaying.clear();
                // No credential that was sealed by the process that died is given by another. (Requests of
                // a paused agent may have been denied anew already.)
                let released = |r: &Request| {
                    matches!(r.state, RequestState::Answered { verdict: Verdict::Approved, .. })
                };
                assert!(!self.world.machine.requests.values().any(released));
            }
            Op::Read(at, how) => self.read(at, how),
            Op::HangUp(at) => {
                if let Some(waiter) = pick(&self.world.asked, at).copied() {
                    self.world.handle(Event::WaitOver { waiter });
                }
            }
            Op::Display(..)
            | Op::Exchange(..)
            | Op::TypeCode(..)
            | Op::Confirm(..)
            | Op::ConfirmAgain(..)
            | Op::CancelPairing(..)
            | Op::RefusePairing
            | Op::SwitchPairing(..) => self.pair(op),
            _ => self.request(op),
        }
    }

    fn read(&mut self, at: u8, how: u8) {
        let count = self.world.readings.len();
        if count == 0 {
            return;
        }
        let failure = match how {
            0 => Some(VaultFailure::Locked),
            1 => Some(VaultFailure::NotFound),
            2 => Some(VaultFailure::Several(vec![choice("one"), choice("two")])),
            3 => Some(VaultFailure::Unavailable("disk".into())),
            _ => None,
        };
        self.world.answer_reading(usize::from(at) % count, failure);
    }

    fn pair(&mut self, op: &Op) {
        let world = &mut self.world;
        match *op {
            Op::Display(agent) => {
                let name = AGENTS[usize::from(agent) % AGENTS.len()];
                if let Answer::Initiated(response) = world.initiate(name, &Scope::none()) {
                    let displaying = Displaying::new(&response, name, Scope::none(), &mut world.rng);
                    self.displaying.push((displaying, None));
                }
            }
            Op::Exchange(at) => {
                let count = self.displaying.len().max(1);
                if let Some((displaying, held)) = self.displaying.get_mut(usize::from(at) % count) {
                    *held = Some(world.exchange(displaying));
                }
            }
            Op::TypeCode(at, named, right) => {
                if let Some((displaying, _)) = pick(&self.displaying, at) {
                    let code = if right { displaying.code.duplicate() } else { displaying.wrong_code() };
                    world.type_code(named.then_some(displaying.number), &code);
                }
            }
            Op::Confirm(at, good) => {
                if self.displaying.is_empty() {
                    return;
                }
                let (displaying, held) = self.displaying.remove(usize::from(at) % self.displaying.len());
                let answer = held.and_then(|waiter| world.answers.get(&waiter));
                let Some(Answer::Exchanged(response)) = answer.cloned() else {
                    return self.displaying.push((displaying, held));
                };
                let pairing_id = displaying.id;
                match displaying.verify(&response) {
                    Ok(agent) if good => {
                        world.confirm(&agent);
                        self.agents.push(agent);
                    }
                    Ok(agent) => {
                        let session_id = agent.session;
                        let confirmation = Confirmation::parse(&"A".repeat(43)).unwrap();
                        world.call(|waiter| Event::Confirm { waiter, session_id, confirmation });
                    }
                    Err(_) => {
                        world.call(|waiter| Event::CancelPairing { waiter, pairing_id });
                    }
                }
            }
            Op::ConfirmAgain(at) => {
                if let Some(agent) = pick(&self.agents, at) {
                    world.confirm(agent);
                }
            }
            Op::CancelPairing(at) => {
                if let Some(pairing_id) = pick(&self.displaying, at).map(|(d, _)| d.id) {
                    world.call(|waiter| Event::CancelPairing { waiter, pairing_id });
                }
            }
            Op::RefusePairing => {
                world.call(|waiter| Event::RefusePairing { waiter, number: None });
            }
            Op::SwitchPairing(open) => {
                world.call(|waiter| Event::SwitchPairing { waiter, open });
            }
            _ => {}
        }
    }

    /// The id that an agent uses now. A request is forgotten 15 minutes after its expiry, and the same id
    /// then names another; so that the model can tell them apart, the agent takes a fresh one.
    fn request_id(&mut self, session: SessionId, id: u8) -> u8 {
        let round = self.rounds.entry((session, id)).or_default();
        let name = |round: u8| id + 5 * round;
        let key = (session, RequestId::from_bytes([name(*round); 16]));
        let known =
            self.world.machine.requests.contains_key(&key) || self.world.store.requests.contains_key(&key);
        if self.asked.contains(&key) && !known && *round < 50 {
            *round += 1;
        }
        name(*round)
    }

    fn request(&mut self, op: &Op) {
        let fresh = match *op {
            Op::Ask(at, id, ..) | Op::CancelRequest(at, id) => {
                let session = pick(&self.agents, at).map(|agent| agent.session);
                session.map_or(id, |session| self.request_id(session, id))
            }
            _ => 0,
        };
        let world = &mut self.world;
        match *op {
            Op::Ask(at, _, domain, life) => {
                let Some(agent) = pick(&self.agents, at) else { return };
                let domain = DOMAINS[usize::from(domain) % DOMAINS.len()];
                self.asked.insert((agent.session, RequestId::from_bytes([fresh; 16])));
                let what = ask(fresh, domain).expires_in(life.into());
                let payload = agent.request(&what, world.now.wall, &mut world.rng);
                self.sent.push((agent.session, payload.clone()));
                world.send(agent.session, payload);
            }
            Op::Repeat(at, endpoint) => {
                let Some((session_id, payload)) = pick(&self.sent, at).cloned() else { return };
                world.call(|waiter| match endpoint {
                    0 => Event::CancelRequest { waiter, session_id, payload },
                    1 => Event::RevokeByAgent { waiter, session_id, payload },
                    _ => Event::Request { waiter, session_id, payload },
                });
            }
            Op::Bend(at) => {
                let Some((session_id, payload)) = pick(&self.sent, at).cloned() else { return };
                let mut bytes = payload.into_bytes();
                bytes[50] = if bytes[50] == b'A' { b'B' } else { b'A' };
                let waiter = world.send(session_id, String::from_utf8(bytes).unwrap());
                assert!(matches!(world.answer(waiter), Answer::Error { .. }));
            }
            Op::CancelRequest(at, _) => {
                let Some(agent) = pick(&self.agents, at) else { return };
                let payload =
                    agent.cancel(RequestId::from_bytes([fresh; 16]), world.now.wall, &mut world.rng);
                self.sent.push((agent.session, payload.clone()));
                let session_id = agent.session;
                world.call(|waiter| Event::CancelRequest { waiter, session_id, payload });
            }
            Op::RevokeByAgent(at) => {
                let Some(agent) = pick(&self.agents, at) else { return };
                let payload = agent.revoke(world.now.wall, &mut world.rng);
                let session_id = agent.session;
                self.revoked.insert(session_id);
                self.sent.push((session_id, payload.clone()));
                world.call(|waiter| Event::RevokeByAgent { waiter, session_id, payload });
            }
            Op::Revoke(at) => {
                let Some(agent) = pick(&self.agents, at) else { return };
                if world.machine.sessions.contains_key(&agent.session) {
                    self.revoked.insert(agent.session);
                }
                world.revoke(agent);
            }
            Op::SwitchAgent(at, pause) => {
                let agent_id = AgentId::parse(AGENTS[usize::from(at)]).unwrap();
                world.call(|waiter| Event::SwitchAgent { waiter, agent_id, pause });
            }
            Op::SetPolicy(which) => {
                let verdict = ["ask", "allow", "deny"][usize::from(which)];
                self.allowed |= verdict == "allow";
                let rule =
                    format!("{{\"rule\":[{{\"domain\":\"{}\",\"verdict\":\"{verdict}\"}}]}}", DOMAINS[1]);
                let policy = Policy::new(serde_json::from_str(&rule).unwrap(), &rule, |_| None).unwrap();
                world.handle(Event::SetPolicy(policy));
            }
            Op::EndGrant(at) => {
                let mut ids: Vec<GrantId> = world.machine.grants.keys().copied().collect();
                ids.sort();
                if let Some(grant_id) = pick(&ids, at).copied() {
                    world.call(|waiter| Event::EndGrant { waiter, grant_id });
                }
            }
            Op::Decide(at, id, how) => self.decide(at, id, how),
            Op::DecideByDevice(at, id, yes) => self.decide_there(at, id, yes),
            Op::Mark(marked) => {
                let devices = if marked { vec![by_device::device(2)] } else { Vec::new() };
                world.handle(Event::Approvers { devices });
                if !marked {
                    // What is being written down at this moment leaves; nothing else does.
                    let machine = &world.machine;
                    self.approved_there.retain(|key| {
                        machine.requests.get(key).is_some_and(|request| {
                            request.open().is_none_or(|open| matches!(open.stage, Stage::Releasing(_)))
                        })
                    });
                }
            }
            Op::VaultOpened => world.handle(Event::VaultOpened),
            _ => {}
        }
    }

    /// What must hold at any moment.
    fn check(&mut self) {
        let fresh: Vec<(Waiter, Answer)> = self
            .world
            .answers
            .iter()
            .filter(|(waiter, _)| !self.checked.contains(waiter))
            .map(|(waiter, answer)| (*waiter, answer.clone()))
            .collect();
        for (waiter, answer) in fresh {
            self.checked.insert(waiter);
            if let Answer::Answered { payload } = answer {
                self.check_verdict(&payload);
            }
            // Revoked means revoked when the answer is there.
            if let Some(Answer::Revoked { session_id, .. }) = self.world.answers.get(&waiter) {
                assert!(!self.world.machine.sessions.contains_key(session_id));
                assert!(self.world.store.sessions[session_id].sealed_keys.is_empty());
            }
        }
        for session_id in &self.revoked {
            let alive = self.world.machine.sessions.contains_key(session_id);
            let stored = self.world.store.sessions.get(session_id).is_some_and(|s| s.ended.is_some());
            assert!(!alive || !stored, "an ended session lives");
        }
        self.check_store();
    }

    /// Invariant 4: a credential only after a decision or a grant, once, the same bytes each time.
    fn check_verdict(&mut self, payload: &Arc<str>) {
        let opened = self.agents.iter().find_map(|agent| agent.try_open(payload).map(|r| (agent.session, r)));
        let (session, response) = opened.expect("an answer that its agent cannot open");
        if response.status != Verdict::Approved {
            assert!(response.credential.fields().is_empty());
            return;
        }
        let key = (session, response.in_reply_to);
        let domain = response.credential.domain.clone().unwrap();
        assert!(
            self.approved.contains(&key)
                || self.approved_there.contains(&key)
                || self.allowed && domain.as_str() == DOMAINS[1]
                || self.granted.contains(&(session, domain)),
            "released without a decision, a grant or a rule"
        );
        let first = self.delivered.entry(key).or_insert_with(|| Arc::clone(payload));
        assert_eq!(first, payload, "sealed twice");
        // A session that ended since made it ended; a commit that took many minutes was swept at once.
        let row = self.world.store.requests.get(&key);
        assert!(row.is_none_or(|r| r.state != StoredRequestState::Pending), "released and not on record");
    }

    /// Invariants 8 and 10: the log verifies and has each release, once; rows agree with each other.
    fn check_store(&self) {
        let store = &self.world.store;
        let mut released: HashMap<Key, usize> = HashMap::new();
        for entry in store.log().into_iter().filter(|e| e.event == AuditEvent::CredentialReleased) {
            *released.entry((entry.session_id.unwrap(), entry.request_id.unwrap())).or_default() += 1;
        }
        assert!(released.values().all(|n| *n == 1), "released twice");
        assert!(self.delivered.keys().all(|key| released.contains_key(key)), "delivered without a record");
        for session in store.sessions.values() {
            let uses = released.keys().filter(|key| key.0 == session.id).count() as u64;
            assert!(session.uses >= uses, "a use was lost");
        }
        for grant in store.grants.values() {
            assert!(grant.max_uses.is_none_or(|max| grant.uses <= max));
        }
        let machine = &self.world.machine;
        let open = machine.requests.values().filter(|r| r.open().is_some()).count();
        assert_eq!(machine.pending, open);
        let nonces: usize = machine.sessions.values().map(|s| s.replay.len()).sum();
        assert_eq!(machine.nonces, nonces);
        for (id, session) in &machine.sessions {
            let mine = machine.requests.iter().filter(|(key, _)| key.0 == *id);
            let reading = mine
                .filter(|(_, r)| r.open().is_some_and(|o| matches!(o.stage, Stage::Reading { .. })))
                .count() as u64;
            assert_eq!(session.reserved, reading, "reserved uses");
        }
        for waiter in machine.held.keys() {
            assert!(self.world.waits(*waiter), "answered and still held");
        }
    }

    /// Everybody hangs up, everything under way ends, a day passes: nothing is left.
    fn finish(&mut self) {
        self.world.hold_commits = false;
        while !self.world.reports.is_empty() {
            self.world.report(0);
        }
        self.world.finish_commits_unless_held();
        while !self.world.readings.is_empty() {
            self.world.answer_reading(0, None);
        }
        self.world.pass(Duration::seconds(400));
        for waiter in self.world.asked.clone() {
            self.world.handle(Event::WaitOver { waiter });
        }
        self.check();
        let world = &mut self.world;
        let forgotten: Vec<&Waiter> = world.asked.iter().filter(|w| world.waits(**w)).collect();
        assert!(forgotten.is_empty(), "never answered: {forgotten:?}");
        world.pass(Duration::hours(50));
        self.check();
        let machine = &self.world.machine;
        assert_eq!((machine.pending, machine.nonces, machine.answer_bytes), (0, 0, 0));
        assert!(machine.held.is_empty() && machine.in_flight.is_empty() && machine.answers.is_empty());
        assert!(machine.sessions.is_empty() && machine.grants.is_empty() && machine.requests.is_empty());
        assert!(machine.pairings().is_empty());
        assert_eq!(machine.next_deadline(), None);
        let store = &self.world.store;
        let paused: Vec<String> =
            machine.paused_agents().iter().map(|p| format!("paused_agent/{}", p.agent_id)).collect();
        let stored = store.settings.keys().filter(|key| key.starts_with("paused_agent/"));
        assert!(stored.eq(&paused), "paused here and not there: {paused:?} {:?}", store.settings);
        assert!(store.sessions.values().all(|s| s.ended.is_some() && s.sealed_keys.is_empty()));
        assert!(store.grants.values().all(|g| g.ended.is_some()));
        assert!(store.requests.values().all(|r| r.state != StoredRequestState::Pending));
    }
}

fn pick<T>(list: &[T], at: u8) -> Option<&T> {
    list.get(usize::from(at).checked_rem(list.len())?)
}

proptest! {
    #[test]
    fn the_invariants_hold_whatever_happens(ops in prop::collection::vec(op(), 1..120)) {
        let mut play = Play::new();
        for op in ops {
            play.act(&op);
            play.check();
        }
        play.finish();
    }
}
