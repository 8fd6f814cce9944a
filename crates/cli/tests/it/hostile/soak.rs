//! Many requests one after the other: memory follows what is remembered, not what has been.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use durward_protocol::wire::SealedRequest;
use durward_protocol::{RequestId, SecretString, Verdict};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::line::Line;
use super::{number, report, seed};
use crate::home::{Daemon, Home, PASSWORD};
use crate::wire::{Answer, Owner, Session, post};

const AGENTS: u64 = 4;

/// A request is remembered until its expiry, here a minute, and 15 minutes more.
const REMEMBERED_SECONDS: u64 = 16 * 60;

/// What one remembered request may take: its name, its digest, its nonce and its place in three tables, and
/// for five minutes its answer.
const BYTES_PER_REMEMBERED: u64 = 4_096;

/// What memory may grow by besides, from the first tenth to the end.
const SLACK_KB: u64 = 24 * 1024;

/// 3,000 calls; `DURWARD_TEST_SOAK` for more.
#[test]
fn memory_follows_what_is_remembered_and_not_what_has_been() {
    let (calls, seed) = (number("DURWARD_TEST_SOAK", 3_000), seed());
    let home = Home::with_vault();
    std::io::Write::write_all(
        &mut std::fs::File::create(home.path("config.toml")).unwrap(),
        b"[session]\nrequest_minutes = 1\n",
    )
    .unwrap();
    let mut daemon = home.serve_quietly();
    let owner = Owner::of(&home, &daemon);
    let body = json!({ "password": crate::home::VAULT_PASSWORD, "seconds": 86_400 });
    assert_eq!(owner.post("/vault/unlock", &body).unwrap().status, 200);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut agents: Vec<Soaker> = (0..AGENTS)
        .map(|nth| Soaker::begin(&home, &daemon, &owner, nth, StdRng::seed_from_u64(rng.random())))
        .collect();
    let made = AtomicUsize::new(0);
    let mut samples = Vec::new();
    for part in 1..=10 {
        let from = Instant::now();
        std::thread::scope(|scope| {
            for agent in &mut agents {
                let made = &made;
                scope.spawn(move || agent.soak(calls / AGENTS / 10, made));
            }
        });
        let took = from.elapsed();
        samples.push((part, daemon.resident_kb(), made.load(Ordering::SeqCst) as u64, took));
    }
    let (first, last) = (samples[0], samples[samples.len() - 1]);
    let seconds: u64 = samples.iter().map(|sample| sample.3.as_secs() + 1).sum();
    // All of them, or as many as were made in the time that one is remembered for.
    let remembered = last.2 * REMEMBERED_SECONDS.min(seconds) / seconds;
    let allowed = SLACK_KB + remembered * BYTES_PER_REMEMBERED / 1024;
    let each = u128::from(calls / 10).max(1);
    let cost = |sample: (u32, u64, u64, std::time::Duration)| sample.3.as_micros() / each;
    report(&format!(
        "soak: seed {seed}, {calls} calls, {} credentials, memory {:?} kB, {} us a call in the first tenth and {} in the last",
        last.2,
        samples.iter().map(|sample| sample.1).collect::<Vec<_>>(),
        cost(first),
        cost(last),
    ));
    assert!(last.1 < first.1 + allowed, "seed {seed}: grew by more than {allowed} kB: {samples:?}");
    assert!(daemon.process.child.try_wait().unwrap().is_none(), "the approver is gone");
    assert!(!daemon.process.stderr.text().contains("panicked"), "{}", daemon.process.stderr.text());
    assert_eq!(owner.get("/audit/verify").unwrap()["ok"], true);
}

/// An agent under a grant, and what it says.
struct Soaker {
    plane: Line,
    control: Line,
    token: String,
    session: Session,
    rng: StdRng,
    last: Option<(RequestId, SealedRequest, String)>,
}

impl Soaker {
    fn begin(home: &Home, daemon: &Daemon, owner: &Owner, nth: u64, mut rng: StdRng) -> Self {
        let address: SocketAddr = daemon.listen;
        let session = Session::pair(address, owner, &format!("soak-{nth}"), &mut rng).unwrap();
        let id = RequestId::random(&mut rng);
        let asked = post(address, "/credential/request", 0, &session.ask(id, "example.com", &mut rng));
        assert_eq!(asked.unwrap().status, 202);
        let yes = json!({ "verdict": "approve", "grant": { "kind": "session" } });
        let decided = owner.decide(&session.id.to_string(), &id.to_string(), &yes).unwrap();
        assert_eq!(decided.status, 200, "{decided:?}");
        let token = std::fs::read_to_string(home.path("api.token")).unwrap();
        Self {
            plane: Line::to(address),
            control: Line::to(daemon.control),
            token: format!("authorization: Bearer {}", token.trim()),
            session,
            rng,
            last: None,
        }
    }

    fn soak(&mut self, calls: u64, made: &AtomicUsize) {
        for nth in 0..calls {
            match nth % 10 {
                0..6 => {
                    self.credential();
                    made.fetch_add(1, Ordering::SeqCst);
                }
                6 => self.joins(),
                7 => self.is_refused(),
                8 => {
                    let path = format!("/session/status?session_id={}", self.session.id);
                    assert_eq!(self.plane.call("GET", &path, &[], b"").status, 200);
                }
                _ => {
                    let path = ["/status", "/sessions", "/grants", "/requests", "/audit?limit=5"]
                        [self.rng.random_range(0..5)];
                    let answer = self.control.call("GET", path, std::slice::from_ref(&self.token), b"");
                    assert_eq!(answer.status, 200, "{path}: {answer:?}");
                }
            }
        }
    }

    fn send(&mut self, body: &impl Serialize) -> Answer {
        let headers = ["content-type: application/json".to_owned(), "prefer: wait=20".to_owned()];
        let body = serde_json::to_vec(body).unwrap();
        self.plane.call("POST", "/credential/request", &headers, &body)
    }

    /// The grant answers at once.
    fn credential(&mut self) {
        let id = RequestId::random(&mut self.rng);
        let ask = self.session.ask(id, "example.com", &mut self.rng);
        let answer = self.send(&ask);
        let response = self.session.opened(&answer).unwrap_or_else(|| panic!("{answer:?}"));
        assert_eq!(response.status, Verdict::Approved);
        assert_eq!(response.in_reply_to, id);
        assert_eq!(response.credential.password.as_ref().map(SecretString::expose_secret), Some(PASSWORD));
        self.last = Some((id, ask, payload(&answer)));
    }

    /// The same question in a new envelope: the same bytes again.
    fn joins(&mut self) {
        let Some((id, _, sealed)) = self.last.take() else { return };
        let ask = self.session.ask(id, "example.com", &mut self.rng);
        assert_eq!(payload(&self.send(&ask)), sealed);
        self.last = Some((id, ask, sealed));
    }

    /// The same envelope again.
    fn is_refused(&mut self) {
        let Some((_, ask, _)) = self.last.take() else { return };
        let answer = self.send(&ask);
        // A question under a new id that only joined was not remembered as an act, and joins again.
        assert!(answer.status == 409 || answer.status == 200, "{answer:?}");
    }
}

fn payload(answer: &Answer) -> String {
    let answer: Value = answer.json();
    answer["encrypted_payload"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}
