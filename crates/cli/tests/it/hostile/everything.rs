//! Random and bent calls to every endpoint that the committed documents describe, and to some that they do
//! not: a refusal, never a failure, and an honest agent is served afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use durward_protocol::{RequestId, SecretString, Verdict};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use super::line::Line;
use super::schema::{Document, Endpoint, Pool};
use super::{number, report, seed};
use crate::home::{Daemon, Home, PASSWORD, VAULT_PASSWORD};
use crate::wire::{Answer, OpenPairing, Owner, Session, post};

const DOCUMENTS: [&str; 2] = [
    include_str!("../../../../../docs/openapi/agent.json"),
    include_str!("../../../../../docs/openapi/control.json"),
];

/// What any endpoint may say to a call that is none: no document repeats these for each.
const ALWAYS: [u16; 11] = [400, 401, 403, 404, 405, 408, 411, 413, 415, 421, 431];

/// What memory may grow by from the first tenth to the end: password hashing keeps its blocks for a while.
const GROWTH_KB: u64 = 256 * 1024;

/// 4,000 calls; ten times `DURWARD_TEST_CASES` for more, `DURWARD_TEST_SEED` for others.
#[test]
fn random_calls_to_every_endpoint_never_make_it_fail() {
    let (calls, seed) = (10 * number("DURWARD_TEST_CASES", 400), seed());
    let home = Home::with_vault();
    let mut daemon = home.serve_quietly();
    let mut storm = Storm::over(&home, &daemon, seed);
    storm.send(calls / 10);
    let before = daemon.resident_kb();
    storm.send(calls - calls / 10);
    let after = daemon.resident_kb();
    storm.covered(calls);
    assert!(after < before + GROWTH_KB, "seed {seed}: grew from {before} to {after} kB");
    assert!(daemon.process.child.try_wait().unwrap().is_none(), "seed {seed}: the approver is gone");
    assert!(!daemon.process.stderr.text().contains("panicked"), "{}", daemon.process.stderr.text());
    honest_job(&home, &daemon, &mut storm.rng);
    home.audit_holds();
    report(&format!(
        "random calls: seed {seed}, {calls} calls to {} endpoints, statuses {:?}, memory {before} -> {after} kB",
        storm.reached.len(),
        storm.statuses
    ));
}

/// Calls, and what was made of them.
struct Storm {
    lines: [Line; 2],
    documents: [Document; 2],
    token: String,
    pool: Pool,
    rng: StdRng,
    session: Session,
    statuses: BTreeMap<u16, usize>,
    reached: BTreeSet<(usize, String, String)>,
    seed: u64,
}

impl Storm {
    fn over(home: &Home, daemon: &Daemon, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let (owner, address) = (Owner::of(home, daemon), daemon.listen);
        let session = Session::pair(address, &owner, "target", &mut rng).unwrap();
        let waiting = OpenPairing::begin(address, "waiting", &mut rng).unwrap();
        let request = RequestId::random(&mut rng);
        let ask = session.ask(request, "example.com", &mut rng);
        assert_eq!(post(address, "/credential/request", 0, &ask).unwrap().status, 202);
        let token = std::fs::read_to_string(home.path("api.token")).unwrap();
        let known = [
            session.id.to_string(),
            request.to_string(),
            waiting.opened.pairing_id.to_string(),
            waiting.code.expose_digits().to_owned(),
            ask.encrypted_payload.unwrap(),
            VAULT_PASSWORD.to_owned(),
            "target".to_owned(),
            "example.com".to_owned(),
            "username".to_owned(),
            "ada".to_owned(),
            "one two three four five six seven".to_owned(),
        ];
        Self {
            lines: [address, daemon.control].map(Line::to),
            documents: DOCUMENTS.map(Document::parse),
            token: format!("authorization: Bearer {}", token.trim()),
            pool: Pool::of(known.to_vec()),
            rng,
            session,
            statuses: BTreeMap::new(),
            reached: BTreeSet::new(),
            seed,
        }
    }

    fn send(&mut self, calls: u64) {
        for nth in 0..calls {
            if nth % 50 == 0 {
                // Envelopes that open, so that not everything ends at the tag.
                let id = RequestId::random(&mut self.rng);
                let made = if nth % 100 == 0 {
                    self.session.ask(id, "example.com", &mut self.rng)
                } else {
                    self.session.cancel(id, &mut self.rng)
                };
                self.pool.put(made.encrypted_payload.unwrap(), &mut self.rng);
                self.pool.put(self.session.id.to_string(), &mut self.rng);
            }
            // Endpoint after endpoint, so that none is left to luck.
            let both = self.documents[0].endpoints.len() + self.documents[1].endpoints.len();
            let at = usize::try_from(nth).unwrap() % both;
            let plane = usize::from(at >= self.documents[0].endpoints.len());
            self.call(plane, at - plane * self.documents[0].endpoints.len());
        }
    }

    fn call(&mut self, plane: usize, at: usize) {
        let rng = &mut self.rng;
        let document = &self.documents[plane];
        let endpoint = &document.endpoints[at];
        let body = document.body(endpoint, &self.pool, rng);
        let path = path(endpoint, &self.pool, rng);
        let method = if rng.random_bool(0.03) {
            ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"].choose(rng).copied().unwrap()
        } else {
            endpoint.method.as_str()
        };
        // With the token this one call would do what it says.
        let stops = endpoint.path == "/shutdown";
        let headers = headers(plane, &self.token, stops, &self.pool, rng);
        let answer = self.lines[plane].call(method, &path, &headers, &body);
        let shown = || {
            let start = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
            format!("seed {}: {method} {path} {headers:?} {start}: {answer:?}", self.seed)
        };
        *self.statuses.entry(answer.status).or_default() += 1;
        if method == endpoint.method {
            let expected = &endpoint.answers;
            let known = expected.contains_key(&answer.status) || ALWAYS.contains(&answer.status);
            assert!(known, "not documented for this call: {}", shown());
            self.reached.insert((plane, endpoint.method.clone(), endpoint.path.clone()));
        }
        if answer.status >= 500 {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            let codes = endpoint.answers.get(&answer.status).cloned().unwrap_or_default();
            // 502: another device does not answer. 503: it could not be stored, or the approver is stopping.
            let meant = [502, 503].contains(&answer.status) && codes.iter().any(|code| text.contains(code));
            assert!(meant, "{}", shown());
        }
        if answer.status < 300 {
            self.pool.learn(&answer.json(), rng);
        }
    }

    fn covered(&self, calls: u64) {
        let all: usize = self.documents.iter().map(|document| document.endpoints.len()).sum();
        assert!(
            self.reached.len() == all || calls < 1_000,
            "only {} of {all} were called",
            self.reached.len()
        );
        let good: usize = self.statuses.range(200..300).map(|(_, n)| n).sum();
        assert!(good as u64 > calls / 20, "seed {}: hardly anything was understood", self.seed);
    }
}

fn path(endpoint: &Endpoint, pool: &Pool, rng: &mut StdRng) -> String {
    let parts = endpoint
        .path
        .split('/')
        .map(|part| if part.starts_with('{') { escaped(&pool.any(rng), rng) } else { part.to_owned() });
    let mut path = parts.collect::<Vec<_>>().join("/");
    if rng.random_bool(0.02) {
        path.push_str(["/", "/..", "//", "%00", "%2e%2e", ";x"].choose(rng).copied().unwrap());
    }
    let mut query = Vec::new();
    for name in &endpoint.query {
        if rng.random_bool(0.7) {
            let value = if rng.random_bool(0.5) {
                rng.random_range(-2..2_000).to_string()
            } else {
                escaped(&pool.any(rng), rng)
            };
            query.push(format!("{name}={value}"));
        }
    }
    if rng.random_bool(0.05) {
        query.push(escaped(&pool.any(rng), rng));
    }
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

/// As the path of a URL takes it; now and then with an escape that means nothing.
fn escaped(text: &str, rng: &mut StdRng) -> String {
    let bytes = text.bytes().take(500);
    let mut escaped: String = bytes
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02x}"),
        })
        .collect();
    if rng.random_bool(0.05) {
        escaped.push_str(["%", "%zz", "%ff", "%c0%af"].choose(rng).copied().unwrap());
    }
    escaped
}

fn headers(plane: usize, token: &str, stops: bool, pool: &Pool, rng: &mut StdRng) -> Vec<String> {
    let header = |name: &str, value: &str| {
        let value: String = value.chars().filter(|c| (' '..='~').contains(c)).take(2_000).collect();
        format!("{name}: {value}")
    };
    let mut headers = Vec::new();
    match rng.random_range(0..100) {
        0..95 => headers.push("content-type: application/json".to_owned()),
        95..97 => headers.push("content-type: text/plain".to_owned()),
        97..98 => headers.push(header("content-type", &pool.any(rng))),
        _ => {}
    }
    match rng.random_range(0..100) {
        _ if plane == 1 && stops => {}
        0..90 if plane == 1 => headers.push(token.to_owned()),
        0..50 | 90..95 => headers.push(header("authorization", &format!("Bearer {}", pool.any(rng)))),
        95..98 => headers.push(header("x-durward-token", &pool.any(rng))),
        _ => {}
    }
    match rng.random_range(0..100) {
        0..97 => headers.push("prefer: wait=0".to_owned()),
        97..98 => headers.push("prefer: wait=1, wait=0".to_owned()),
        _ => headers.push(header("prefer", &format!("wait=0; {}", pool.any(rng)))),
    }
    if rng.random_bool(0.02) {
        headers.push(header("origin", ["null", "https://evil.example"].choose(rng).copied().unwrap()));
    }
    if rng.random_bool(0.03) {
        headers.push(header("x-forwarded-for", &pool.any(rng)));
    }
    headers
}

/// A pairing, a request, a yes and a credential.
fn honest_job(home: &Home, daemon: &Daemon, rng: &mut StdRng) {
    let owner = Owner::of(home, daemon);
    assert_eq!(owner.post("/pairings/open", &json!({})).unwrap().status, 200, "the storm may have closed it");
    let session = pair_when_there_is_room(daemon.listen, &owner, rng);
    owner.unlock();
    let id = RequestId::random(rng);
    let asked = post(daemon.listen, "/credential/request", 0, &session.ask(id, "db.internal", rng)).unwrap();
    assert_eq!(asked.status, 202, "{asked:?}");
    let yes = json!({ "verdict": "approve" });
    let decided: Answer = owner.decide(&session.id.to_string(), &id.to_string(), &yes).unwrap();
    assert_eq!(decided.status, 200, "{decided:?}");
    let answer = post(daemon.listen, "/credential/request", 5, &session.ask(id, "db.internal", rng)).unwrap();
    let response = session.opened(&answer).unwrap();
    assert_eq!(response.status, Verdict::Approved);
    assert_eq!(response.credential.password.as_ref().map(SecretString::expose_secret), Some(PASSWORD));
}

/// Pairings that the storm announced live fifteen seconds.
fn pair_when_there_is_room(address: SocketAddr, owner: &Owner, rng: &mut StdRng) -> Session {
    for _ in 0..100_000 {
        if let Some(session) = Session::pair(address, owner, "honest", rng) {
            return session;
        }
        std::thread::yield_now();
    }
    panic!("nobody can pair any more");
}
