//! Kill -9 at any point: what was answered is kept, what was released is released once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use durward_protocol::wire::SealedRequest;
use durward_protocol::{RequestId, Verdict};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::home::{Daemon, Home, PASSWORD};
use crate::wire::{Owner, Session, call, post};

#[test]
fn a_waiting_request_outlives_a_kill() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let mut daemon = home.serve();
    let port = daemon.listen;
    let ask = ["request", "example.com", "--reason", "Book it", "--approver", &daemon.url()];
    let handing = agent.start(&[ask.as_slice(), &["--no-wait"]].concat());
    let code = handing.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    assert_eq!(handing.finish().code, 11, "handed in");
    let before = home.wait_requests(1);
    let records = home.audit_holds();
    daemon.process.kill();

    let nobody = agent.run(&ask);
    assert_eq!(nobody.code, 2, "{nobody:?}");
    let stopped = home.run(&["audit", "--json", "verify"]);
    assert_eq!(stopped.json()["records"], records, "read without a server: {stopped:?}");

    let daemon = home.serve();
    let after = home.wait_requests(1);
    for key in ["session_id", "request_id", "domain", "reason", "fields", "agent_id", "fingerprint"] {
        assert_eq!(before[0][key], after[0][key], "nothing of it is lost");
    }
    let moved = daemon.url();
    let waiting = agent.json(&["agent", "requests", "list"]);
    let id = waiting["requests"][0]["id"].as_str().unwrap().to_owned();
    assert_ne!(port, daemon.listen);
    let getting = agent.start(&["agent", "requests", "wait", &id, "--approver", &moved]);
    assert_eq!(home.approve_first().code, 0);
    let got = getting.finish();
    assert_eq!(got.code, 0, "{got:?}");
    assert!(got.stdout.contains(PASSWORD), "{got:?}");
    assert!(home.audit_holds() > records);
}

/// What the test was told, in answers that it received whole.
#[derive(Default)]
struct Ledger {
    /// Sessions whose `confirm` was answered.
    confirmed: BTreeSet<String>,
    /// Sessions somebody began to revoke, and those where that was answered.
    revoking: BTreeSet<String>,
    revoked: BTreeSet<String>,
    /// Requests that were answered "pending".
    pending: BTreeSet<String>,
    /// Requests somebody began to decide or cancel.
    touched: BTreeSet<String>,
    /// Requests an approval was sent for, and those where it was answered.
    approving: BTreeSet<String>,
    approved: BTreeSet<String>,
    denied: BTreeSet<String>,
    /// Requests whose credential the agent holds.
    delivered: BTreeMap<String, (usize, RequestId)>,
    /// Envelopes that made a request: session, envelope.
    made: Vec<SealedRequest>,
}

struct Load {
    ledger: Mutex<Ledger>,
    answers: AtomicUsize,
    over: AtomicBool,
}

/// Kills of one approver. Each is followed by a reading of its whole log, which grows with every round.
const KILLS_OF_ONE: u64 = 50;

/// 50 kills; `DURWARD_TEST_KILLS` for more, which go to one approver after another, `DURWARD_TEST_SEED` for others.
#[test]
fn nothing_answered_is_lost_and_nothing_is_released_twice_whenever_it_is_killed() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (kills, seed) = (number("DURWARD_TEST_KILLS", KILLS_OF_ONE), number("DURWARD_TEST_SEED", 1));
    for approver in 0..kills.div_ceil(KILLS_OF_ONE) {
        let left = kills - approver * KILLS_OF_ONE;
        kill_one(left.min(KILLS_OF_ONE), seed + approver);
    }
}

fn kill_one(kills: u64, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let home = Home::with_vault();
    let mut daemon = home.serve();
    let mut owner = Owner::of(&home, &daemon);
    let sessions: Vec<Arc<Session>> = (0..3)
        .map(|i| Arc::new(Session::pair(daemon.listen, &owner, &format!("load-{i}"), &mut rng).unwrap()))
        .collect();
    let mut ledger = Ledger::default();
    ledger.confirmed.extend(sessions.iter().map(|session| session.id.to_string()));
    let mut audit = Audit::default();
    for round in 0..kills {
        ledger = under_load(&daemon, &owner, &sessions, ledger, &mut rng);
        daemon.process.kill();
        daemon = home.serve();
        owner = Owner::of(&home, &daemon);
        audit.read(&owner);
        check(
            &daemon,
            &owner,
            &sessions,
            &mut ledger,
            &audit,
            &mut rng,
            &format!("seed {seed} round {round}"),
        );
    }
    assert!(audit.pairings > 3 && audit.revocations > 0, "pairings and revocations took part");
    assert!(!ledger.approved.is_empty() && !ledger.denied.is_empty() && !ledger.delivered.is_empty());
    assert!(audit.by_grant > 0, "grants took part");
}

/// Runs everything at once until so many answers were received; the calls under way are cut by the kill.
fn under_load(
    daemon: &Daemon,
    owner: &Owner,
    sessions: &[Arc<Session>],
    ledger: Ledger,
    rng: &mut StdRng,
) -> Ledger {
    owner.unlock();
    for i in 0..sessions.len() {
        let _ = owner.post("/agents/resume", &json!({ "agent_id": format!("load-{i}") }));
    }
    let load = Arc::new(Load {
        ledger: Mutex::new(ledger),
        answers: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    });
    let address = daemon.listen;
    let mut threads = Vec::new();
    for (i, session) in sessions.iter().enumerate() {
        let (load, session, mut rng) = (Arc::clone(&load), Arc::clone(session), fork(rng));
        threads.push(std::thread::spawn(move || {
            while !load.is_over() && ask(&load, address, &session, i, &mut rng).is_some() {}
        }));
    }
    let (deciding, deciding_owner, mut deciding_rng) = (Arc::clone(&load), owner.clone(), fork(rng));
    threads.push(std::thread::spawn(move || {
        while !deciding.is_over() && decide(&deciding, &deciding_owner, &mut deciding_rng).is_some() {}
    }));
    let (pairing, pairing_owner, mut pairing_rng) = (Arc::clone(&load), owner.clone(), fork(rng));
    threads.push(std::thread::spawn(move || {
        while !pairing.is_over() && pair(&pairing, address, &pairing_owner, &mut pairing_rng).is_some() {}
    }));
    let enough = rng.random_range(1..120);
    while load.answers.load(Ordering::SeqCst) < enough {
        std::thread::yield_now();
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.process.child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    load.over.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().unwrap();
    }
    Arc::into_inner(load).unwrap().ledger.into_inner().unwrap()
}

fn fork(rng: &mut StdRng) -> StdRng {
    StdRng::seed_from_u64(rng.random())
}

impl Load {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn note(&self, change: impl FnOnce(&mut Ledger)) {
        change(&mut self.ledger.lock().unwrap());
    }

    fn answered(&self) {
        self.answers.fetch_add(1, Ordering::SeqCst);
    }
}

/// One new request, perhaps asked for twice, perhaps taken back. `None` when the server is gone.
fn ask(
    load: &Load,
    address: std::net::SocketAddr,
    session: &Session,
    number: usize,
    rng: &mut StdRng,
) -> Option<()> {
    let id = RequestId::random(rng);
    let domain = if rng.random_bool(0.5) { "example.com" } else { "db.internal" };
    let made = session.ask(id, domain, rng);
    let wait = u64::from(rng.random_bool(0.1));
    let answer = post(address, "/credential/request", wait, &made)?;
    load.answered();
    if answer.status == 429 || answer.error() == "agent_paused" {
        return Some(()); // as many wait as may, or just denied too often
    }
    load.note(|ledger| ledger.made.push(made));
    if answer.status == 202 {
        load.note(|ledger| {
            ledger.pending.insert(id.to_string());
        });
    }
    if let Some(response) = session.opened(&answer) {
        note_verdict(load, number, id, response.status);
    }
    if rng.random_bool(0.2) {
        load.note(|ledger| {
            ledger.touched.insert(id.to_string());
        });
        post(address, "/credential/cancel", 0, &session.cancel(id, rng))?;
        load.answered();
    }
    if rng.random_bool(0.3) {
        let again = post(address, "/credential/request", 0, &session.ask(id, domain, rng))?;
        load.answered();
        if let Some(response) = session.opened(&again) {
            note_verdict(load, number, id, response.status);
        }
    }
    Some(())
}

fn note_verdict(load: &Load, number: usize, id: RequestId, verdict: Verdict) {
    if verdict == Verdict::Approved {
        load.note(|ledger| {
            ledger.delivered.insert(id.to_string(), (number, id));
        });
    }
}

/// The owner decides what waits, one way or the other.
fn decide(load: &Load, owner: &Owner, rng: &mut StdRng) -> Option<()> {
    let list = owner.get("/requests")?;
    for request in list["requests"].as_array()? {
        let (session, id) = (request["session_id"].as_str()?, request["request_id"].as_str()?.to_owned());
        let approve = rng.random_bool(0.6);
        let verdict = match (approve, rng.random_bool(0.2)) {
            (true, true) => json!({ "verdict": "approve", "grant": { "kind": "uses", "uses": 2 } }),
            (true, false) => json!({ "verdict": "approve" }),
            (false, _) => json!({ "verdict": "deny", "reason": "no" }),
        };
        load.note(|ledger| {
            ledger.touched.insert(id.clone());
            if approve {
                ledger.approving.insert(id.clone());
            }
        });
        let answer = owner.decide(session, &id, &verdict)?;
        load.answered();
        match (answer.status, answer.json()["verdict"].as_str()) {
            (200, Some("approved")) => load.note(|ledger| {
                ledger.approved.insert(id);
            }),
            (200, Some("denied")) => {
                load.note(|ledger| {
                    ledger.denied.insert(id);
                });
                // Three in a row would pause the agent for the rest of the run.
                owner.post("/agents/resume", &json!({ "agent_id": request["agent_id"] }))?;
            }
            (404 | 409, _) => {} // taken back, or decided under a grant, meanwhile
            other => panic!("{other:?} {answer:?}"),
        }
    }
    Some(())
}

/// Pairs a new agent, and revokes it again every second time.
fn pair(load: &Load, address: std::net::SocketAddr, owner: &Owner, rng: &mut StdRng) -> Option<()> {
    let name = format!("passing-{:016x}", rng.random::<u64>());
    let session = Session::pair(address, owner, &name, rng)?;
    let id = session.id.to_string();
    load.answered();
    load.note(|ledger| {
        ledger.confirmed.insert(id.clone());
    });
    if rng.random_bool(0.7) {
        load.note(|ledger| {
            ledger.revoking.insert(id.clone());
        });
        let answer = owner.post("/session/revoke", &json!({ "session_id": id }))?;
        assert_eq!(answer.status, 200, "{answer:?}");
        load.answered();
        load.note(|ledger| {
            ledger.revoked.insert(id);
        });
    }
    Some(())
}

/// What the log says, read on from round to round.
#[derive(Default)]
struct Audit {
    last: u64,
    released: BTreeMap<String, usize>,
    by_grant: usize,
    grant_uses: usize,
    pairings: usize,
    revocations: usize,
    seen: BTreeSet<(String, String)>,
}

impl Audit {
    fn read(&mut self, owner: &Owner) {
        loop {
            let page = owner.get(&format!("/audit?after={}&limit=1000", self.last)).unwrap();
            let records = page["records"].as_array().unwrap();
            if records.is_empty() {
                return;
            }
            for record in records {
                self.last += 1;
                assert_eq!(record["n"], self.last);
                self.take(&serde_json::from_str(record["body"].as_str().unwrap()).unwrap());
            }
        }
    }

    fn take(&mut self, entry: &Value) {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        match entry["event"].as_str().unwrap() {
            "credential_released" => {
                *self.released.entry(text("request_id")).or_default() += 1;
                self.by_grant += usize::from(entry["actor"] == "grant");
            }
            "grant_created" => self.grant_uses += 2,
            "pairing_confirmed" => self.pairings += 1,
            "session_ended" => self.revocations += 1,
            _ => {}
        }
        self.seen.insert((text("event"), text("request_id")));
        self.seen.insert((text("event"), text("session_id")));
    }

    fn has(&self, event: &str, id: &str) -> bool {
        self.seen.contains(&(event.to_owned(), id.to_owned()))
    }
}

fn check(
    daemon: &Daemon,
    owner: &Owner,
    sessions: &[Arc<Session>],
    ledger: &mut Ledger,
    audit: &Audit,
    rng: &mut StdRng,
    at: &str,
) {
    // 8: the chain verifies, and says everything that was answered.
    let verdict = owner.get("/audit/verify").unwrap();
    assert_eq!(verdict["ok"], true, "{at}: {verdict}");
    for id in &ledger.confirmed {
        assert!(audit.has("pairing_confirmed", id), "{at}: pairing of {id} has no record");
    }
    for id in &ledger.revoked {
        assert!(audit.has("session_ended", id), "{at}: end of {id} has no record");
    }
    for id in &ledger.pending {
        assert!(audit.has("request_received", id), "{at}: request {id} has no record");
    }
    for id in &ledger.denied {
        assert!(audit.has("request_ended", id), "{at}: denial of {id} has no record");
    }

    // 4: released once, and only what was approved or under a grant; what the agent holds was written down.
    for (id, times) in &audit.released {
        assert_eq!(*times, 1, "{at}: {id} was released {times} times");
        assert!(!ledger.denied.contains(id), "{at}: {id} was denied and released");
    }
    for id in ledger.approved.iter().chain(ledger.delivered.keys()) {
        assert!(audit.released.contains_key(id), "{at}: {id} was handed over without a record");
    }
    let unasked = audit.released.keys().filter(|id| !ledger.approving.contains(*id)).count();
    assert!(unasked <= audit.by_grant, "{at}: {unasked} without an approval, {} by grant", audit.by_grant);
    assert!(audit.by_grant <= audit.grant_uses, "{at}: grants were used {} times", audit.by_grant);

    // 7 and 10: revoked sessions are gone, the others live, waiting requests wait.
    let live: BTreeSet<String> = list(owner, "/sessions", "sessions", "session_id");
    for id in ledger.confirmed.difference(&ledger.revoking) {
        assert!(live.contains(id), "{at}: session {id} was lost");
    }
    for id in &ledger.revoked {
        assert!(!live.contains(id), "{at}: session {id} lives though it was revoked");
        let status = call(daemon.listen, "GET", &format!("/session/status?session_id={id}"), &[], b"");
        assert_eq!(status.unwrap().status, 404);
    }
    let waiting = list(owner, "/requests?all=true", "requests", "request_id");
    for id in ledger.pending.difference(&ledger.touched) {
        let released = audit.released.contains_key(id);
        // A denial ends those that look alike too, and the log says so.
        let ended = audit.has("request_ended", id);
        assert!(waiting.contains(id) || released || ended, "{at}: request {id} was lost");
        assert!(!(waiting.contains(id) && released), "{at}: {id} waits though it was released");
    }

    // 5: what made a request makes none again.
    for made in ledger.made.iter().rev().take(5) {
        let again = post(daemon.listen, "/credential/request", 0, made).unwrap();
        assert_eq!((again.status, again.error().as_str()), (409, "replayed"), "{at}: {again:?}");
    }
    // 4 and 10: what was delivered before the kill is not sealed a second time.
    for (number, id) in ledger.delivered.values().rev().take(3) {
        let session = &sessions[*number];
        for domain in ["example.com", "db.internal"] {
            let answer =
                post(daemon.listen, "/credential/request", 0, &session.ask(*id, domain, rng)).unwrap();
            let verdict = session.opened(&answer).map(|response| response.status);
            let good = verdict == Some(Verdict::Expired) || answer.error() == "request_id_conflict";
            assert!(good, "{at}: {answer:?} {verdict:?}");
        }
    }
    ledger.made.clear();
    ledger.revoked.clear();
    let gone: Vec<String> = ledger.revoking.iter().cloned().collect();
    for id in gone {
        ledger.confirmed.remove(&id);
    }
}

fn list(owner: &Owner, path: &str, key: &str, id: &str) -> BTreeSet<String> {
    let list = owner.get(path).unwrap();
    list[key].as_array().unwrap().iter().map(|entry| entry[id].as_str().unwrap().to_owned()).collect()
}
