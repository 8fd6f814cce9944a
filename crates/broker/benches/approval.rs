//! One request under a standing grant, through the machine: open the envelope, decide, commit, seal.
//!
//! The store and the vault answer at once, so what is measured is the machine and its cryptography; the
//! agent's own sealing is not. Measured in an empty machine and in one that has answered 100,000 before.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "criterion's macros; a bench may panic")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use durward_broker::Now;
use durward_broker::approval::{
    Answer, Approval, ChainHead, Decision, Effect, Event, GrantSpec, Settings, Waiter,
};
use durward_protocol::{
    AgentId, AgentName, ApproverKey, Code, Confirmation, Credential, CredentialRequest, Displayer, Domain,
    Field, Header, PairingOffer, PakeMessage, RequestId, RestKey, Scope, SecretBytes, SecretString,
    SessionId, SessionKeys, Side, seal,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use time::Duration;
use time::macros::datetime;

struct Bench {
    machine: Approval,
    now: Now,
    rng: StdRng,
    agent_rng: StdRng,
    head: ChainHead,
    waiter: u64,
    session: Option<(SessionId, SessionKeys)>,
}

impl Bench {
    fn new() -> Self {
        let approver = ApproverKey::from_seed(&SecretBytes::new([1; 32]));
        let rest = RestKey::from_bytes(SecretBytes::new([2; 32]));
        let mut bench = Self {
            machine: Approval::new(Settings::default(), approver, rest),
            now: Now::at(datetime!(2026-11-22 10:00:00 UTC)),
            rng: StdRng::seed_from_u64(1),
            agent_rng: StdRng::seed_from_u64(2),
            head: ChainHead::default(),
            waiter: 0,
            session: None,
        };
        bench.pair();
        let payload = bench.request();
        let id = bench.send(payload);
        assert!(id.is_none(), "the first request asks the owner");
        let (session_id, _) = bench.session.as_ref().unwrap();
        let (session_id, request_id) = (*session_id, bench.machine.waiting_requests(bench.now)[0].request_id);
        let grant = Some(GrantSpec::Session);
        let decision = Decision::Approve { grant, item_id: None, fields: None };
        bench.run(|waiter| Event::Decide { waiter, session_id, request_id, decision });
        bench
    }

    fn run(&mut self, event: impl FnOnce(Waiter) -> Event) -> Vec<Answer> {
        self.waiter += 1;
        let event = event(Waiter(self.waiter));
        let mut answers = Vec::new();
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.machine.handle(event, self.now, &mut self.rng) {
                match effect {
                    Effect::Commit { ticket, .. } => {
                        self.head.n += 1;
                        events.push(Event::Committed { ticket, head: Some(self.head) });
                    }
                    Effect::ReadVault { reading, .. } => {
                        let mut credential = Credential { item_id: "item".into(), ..Credential::default() };
                        credential.set(&Field::Username, SecretString::new("alice".into()));
                        credential.set(&Field::Password, SecretString::new("correct horse".into()));
                        events.push(Event::VaultRead { reading, result: Ok(credential) });
                    }
                    Effect::Reply { answer, .. } => answers.push(answer),
                    Effect::Save { .. } | Effect::Notify(_) | Effect::CompareHead { .. } => {}
                }
            }
        }
        answers
    }

    fn pair(&mut self) {
        let (agent_id, agent_name) = (AgentId::parse("a").unwrap(), AgentName::parse("a").unwrap());
        let offer = (agent_id.clone(), agent_name.clone());
        let answers =
            self.run(|waiter| Event::Initiate { waiter, agent_id, agent_name, scope: Scope::none() });
        let [Answer::Initiated(initiated)] = answers.as_slice() else { panic!() };
        let pairing_id = initiated.pairing_id;
        let offer = PairingOffer {
            pairing_id,
            agent_id: offer.0,
            agent_name: offer.1,
            approver_id: initiated.approver_id.clone(),
            scope_asked: Scope::none(),
        };
        let code = Code::random(&mut self.agent_rng);
        let displayer = Displayer::start(offer, &code, &mut self.agent_rng);
        let message = *displayer.message();
        self.run(|waiter| Event::Exchange { waiter, pairing_id, message });
        let answers = self.run(|waiter| Event::TypeCode {
            waiter,
            number: None,
            code,
            scope: None,
            apply_rules: false,
            runs_on: None,
        });
        let [Answer::Exchanged(response)] = answers.as_slice() else { panic!() };
        let message = PakeMessage::parse(&response.pake_message, Side::B).unwrap();
        let mac_b = Confirmation::parse(&response.confirmation).unwrap();
        let verified = displayer.verify(response.session_id, Scope::none(), &message, &mac_b).unwrap();
        let (session_id, confirmation) = (verified.session_id, verified.mac_a);
        self.run(|waiter| Event::Confirm { waiter, session_id, confirmation });
        self.session = Some((session_id, verified.keys));
    }

    /// What the agent sends: a new request each time, five milliseconds after the one before.
    fn request(&mut self) -> String {
        self.now.wall += Duration::milliseconds(5);
        self.now.steady += Duration::milliseconds(5);
        let (session_id, keys) = self.session.as_ref().unwrap();
        let request = CredentialRequest {
            id: RequestId::random(&mut self.agent_rng),
            domain: Domain::parse("example.com").unwrap(),
            reason: "to book the flight".into(),
            fields: Field::default_set(),
            item_id: None,
            expires_in: None,
            heads: None,
        };
        let header = Header::new(self.now.wall, &mut self.agent_rng);
        let plaintext = request.to_plaintext(header).unwrap();
        seal(keys, Side::A, session_id, &plaintext, &mut self.agent_rng).unwrap()
    }

    /// The whole way of one request, with the timer's work that has come due.
    fn send(&mut self, payload: String) -> Option<Answer> {
        if self.machine.next_deadline().is_some_and(|due| due <= self.now.steady) {
            self.run(|_| Event::Tick);
        }
        let session_id = self.session.as_ref().map(|(id, _)| *id).unwrap();
        self.run(|waiter| Event::Request { waiter, session_id, payload }).pop()
    }

    fn answered(&mut self, payload: String) {
        let answer = self.send(payload);
        assert!(matches!(answer, Some(Answer::Answered { .. })), "{answer:?}");
    }
}

fn approval(c: &mut Criterion) {
    let mut group = c.benchmark_group("approval");
    for before in [0_u32, 100_000] {
        let mut bench = Bench::new();
        for _ in 0..before {
            let payload = bench.request();
            bench.answered(payload);
        }
        let bench = std::cell::RefCell::new(bench);
        group.bench_function(format!("request under a grant, after {before}"), |b| {
            b.iter_batched(
                || bench.borrow_mut().request(),
                |payload| bench.borrow_mut().answered(payload),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, approval);
criterion_main!(benches);
