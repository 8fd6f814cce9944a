//! Guessing codes, over real HTTP: one guess a code, whatever an attacker does around it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};

use durward_protocol::{ApproverKey, PakeMessage, Side};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::home::{Daemon, Home, Process};
use crate::wire::{Answer, OpenPairing, Owner, post};

struct Bench {
    home: Home,
    daemon: Daemon,
    owner: Owner,
    rng: StdRng,
}

impl Bench {
    fn new() -> Self {
        let home = Home::with_vault();
        let daemon = home.serve();
        let owner = Owner::of(&home, &daemon);
        Self { home, daemon, owner, rng: StdRng::seed_from_u64(6) }
    }

    fn begin(&mut self, name: &str) -> OpenPairing {
        OpenPairing::begin(self.daemon.listen, name, &mut self.rng).unwrap()
    }

    fn enter(&self, pairing: &OpenPairing, code: &str) -> std::thread::JoinHandle<Option<Answer>> {
        let (owner, body) = (self.owner.clone(), json!({ "number": pairing.opened.number, "code": code }));
        std::thread::spawn(move || owner.post("/pairings/enter", &body))
    }

    fn sessions(&self) -> usize {
        self.owner.get("/sessions").unwrap()["sessions"].as_array().unwrap().len()
    }
}

fn wrong(pairing: &OpenPairing) -> &'static str {
    if pairing.code.expose_digits() == "111111" { "222222" } else { "111111" }
}

/// Many hands on one pairing: one message is taken, and of many proofs none but the right one.
#[test]
fn parallel_attempts_are_one_attempt() {
    let mut bench = Bench::new();
    let pairing = bench.begin("agent-1");
    let address = bench.daemon.listen;
    let id = pairing.opened.pairing_id;
    let others: Vec<_> = (0..8)
        .map(|i| {
            let message = other_message(i);
            let body = json!({ "pairing_id": id, "pake_message": message });
            std::thread::spawn(move || post(address, "/pairing/exchange", 0, &body).unwrap())
        })
        .collect();
    for other in others {
        assert_eq!(other.join().unwrap().error(), "pairing_used");
    }
    // The owner types; before the agent can, eight guessers send proofs.
    let entering = bench.enter(&pairing, pairing.code.expose_digits());
    let exchanged = pairing.exchange(address, 10).unwrap();
    let session = exchanged.json()["session_id"].as_str().unwrap().to_owned();
    let proofs: Vec<_> = (0..8)
        .map(|_| {
            let mut proof = [0; 32];
            bench.rng.fill_bytes(&mut proof);
            let body =
                json!({ "session_id": session, "confirmation": durward_protocol::base64url_encode(&proof) });
            std::thread::spawn(move || post(address, "/pairing/confirm", 0, &body).unwrap())
        })
        .collect();
    let errors: Vec<String> = proofs.into_iter().map(|proof| proof.join().unwrap().error()).collect();
    assert_eq!(errors.iter().filter(|error| *error == "confirmation_failed").count(), 1, "{errors:?}");
    assert!(pairing.finish(address).is_none(), "one wrong proof ended it, the right one comes too late");
    assert_eq!(entering.join().unwrap().unwrap().error(), "confirmation_failed");
    assert_eq!(bench.sessions(), 0);
    bench.home.audit_holds();
}

/// A point of another exchange.
fn other_message(seed: u64) -> String {
    let code = durward_protocol::Code::random(&mut StdRng::seed_from_u64(seed));
    let (_, message) =
        durward_protocol::Pake::start(Side::A, &code, "x", "y", &mut StdRng::seed_from_u64(seed + 100));
    let parsed: Result<PakeMessage, _> = PakeMessage::parse(&message.encode(), Side::A);
    parsed.unwrap().encode()
}

/// The owner means one agent; the attacker's pairing must not get the same code as a second guess.
#[test]
fn a_typed_code_is_tried_on_one_pairing() {
    let mut bench = Bench::new();
    let (honest, attacker) = (bench.begin("agent-1"), bench.begin("agent-1"));
    let code = honest.code.expose_digits().to_owned();
    let list = bench.owner.get("/pairings").unwrap();
    assert!(list["pairings"].as_array().unwrap().iter().all(|pairing| pairing["duplicate_claim"] == true));
    // Six digits alone are not taken while two wait.
    let alone = bench.owner.post("/pairings/enter", &json!({ "code": code })).unwrap();
    assert_eq!(alone.error(), "several_pairings");
    // Typed for the wrong one, it is spent there, and not taken for the right one any more.
    let entering = bench.enter(&attacker, &code);
    assert!(attacker.finish(bench.daemon.listen).is_none());
    let again = bench.enter(&honest, &code).join().unwrap().unwrap();
    assert_eq!((again.status, again.error().as_str()), (409, "code_already_typed"));
    drop(entering); // held until the attacker's pairing runs out of time
    assert_eq!(bench.sessions(), 0);
}

#[test]
fn a_restart_gives_no_second_guess() {
    let mut bench = Bench::new();
    let pairing = bench.begin("agent-1");
    let code = pairing.code.expose_digits().to_owned();
    let entering = bench.enter(&pairing, wrong(&pairing));
    assert_eq!(pairing.exchange(bench.daemon.listen, 10).unwrap().status, 200, "answered to a wrong code");
    bench.daemon.process.kill();
    assert!(entering.join().unwrap().is_none());
    let mut daemon = bench.home.serve();
    bench.owner = Owner::of(&bench.home, &daemon);
    // Pairings live in memory: the agent's is gone, there is nothing to type a code for.
    assert_eq!(pairing.exchange(daemon.listen, 0).unwrap().error(), "pairing_not_found");
    let again = bench.owner.post("/pairings/enter", &json!({ "code": code })).unwrap();
    assert_eq!(again.status, 404, "{again:?}");
    assert_eq!(bench.sessions(), 0);
    daemon.process.kill();
    bench.home.audit_holds();
}

/// The agent counts on disk: killing it between attempts buys no sixth code within the hour.
#[test]
fn five_failures_stop_the_displayer_whatever_is_restarted() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    let ask = ["request", "example.com", "--reason", "Book it", "--approver", &daemon.url(), "--json"];
    for attempt in 0..5 {
        let mut asking = agent.start(&ask);
        let code = asking.code();
        home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
        let entering = home.enter(&crate::home::other_code(&code));
        assert_eq!(entering.code, 5, "{entering:?}");
        if attempt % 2 == 0 {
            asking.kill(); // perhaps before, perhaps after it said so: the count is on disk
        } else {
            assert_eq!(asking.finish().code, 5);
        }
    }
    let paused = agent.run(&ask);
    assert_eq!((paused.code, paused.json()["error"]["code"].as_str()), (10, Some("pairing_paused")));
    assert!(!paused.stderr.contains('│'), "no code was made: {}", paused.stderr);
}

/// A local process opens pairings without end: the table is bounded, the honest agent pairs all the same.
#[test]
fn flooding_takes_no_slot_for_long_and_the_owner_can_sweep() {
    let mut bench = Bench::new();
    let address = bench.daemon.listen;
    let initiate = |i: usize| {
        let body = json!({ "agent_id": format!("flood-{i}"), "agent_name": "Flight Booking Agent" });
        post(address, "/pairing/initiate", 0, &body).unwrap()
    };
    let answers: Vec<Answer> = (0..200).map(initiate).collect();
    let taken = answers.iter().filter(|answer| answer.status == 200).count();
    assert!((1..=64).contains(&taken), "{taken}");
    let refused: BTreeSet<String> = answers.iter().filter(|a| a.status != 200).map(Answer::error).collect();
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), ["too_many_pairings"]);
    let told = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert!(told.head.to_lowercase().contains("retry-after:"), "{}", told.head);
    let list = bench.owner.get("/pairings").unwrap();
    assert!(list["pairings"].as_array().unwrap().is_empty(), "none of them reached the owner's eye");

    // Those that do hold their exchange fill sixteen slots and no more.
    let mut shown = 0;
    for answer in answers.iter().filter(|answer| answer.status == 200) {
        let body = json!({ "pairing_id": answer.json()["pairing_id"], "pake_message": other_message(1) });
        let held = post(address, "/pairing/exchange", 0, &body).unwrap();
        match held.status {
            202 => shown += 1,
            _ => assert_eq!(held.error(), "too_many_pairings"),
        }
    }
    assert_eq!(shown, 16);
    let numbers: BTreeSet<u64> = bench.owner.get("/pairings").unwrap()["pairings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pairing| pairing["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers.len(), 16, "each has its own number");
    let swept = bench.home.run(&["pairing", "refuse", "--all", "--json"]);
    assert!(swept.json()["done"].as_u64().unwrap() >= 16, "{swept:?}");

    let honest = bench.begin("honest");
    let entering = bench.enter(&honest, honest.code.expose_digits());
    assert!(honest.finish(address).is_some());
    assert_eq!(entering.join().unwrap().unwrap().status, 200);
    assert_eq!(bench.sessions(), 1);
}

/// A server that says the same to everything, and is not the approver.
fn fake(answers: impl Fn(&str) -> (u16, Value) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream: TcpStream = stream;
            let Some(path) = crate::wire::read_request(&mut stream) else { continue };
            let (status, body) = answers(&path);
            let body = body.to_string();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

/// Whatever somebody says in the approver's place: the agent keeps its keys, makes no code, hands out
/// nothing, and works again as soon as the real one is back.
#[test]
fn forged_plain_answers_change_nothing() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    let url = daemon.url();
    let ask = |url: &str| {
        let arguments = ["request", "example.com", "--reason", "Book it", "--json", "--approver", url];
        agent.start(&arguments)
    };
    let asking: Process = ask(&url);
    let code = asking.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    assert_eq!(home.approve_first().code, 0);
    let good = asking.finish();
    assert_eq!(good.code, 0, "{good:?}");
    let before = std::fs::read(agent.path("agents/default/session.json")).unwrap();

    let forged: Vec<(u16, Value)> = vec![
        (404, json!({ "error": "session_not_found", "message": "gone; pair again" })),
        (403, json!({ "error": "confirmation_failed", "message": "x" })),
        (401, json!({ "error": "unauthorized", "message": "x" })),
        (200, json!({ "status": "answered", "encrypted_payload": "AQAA" })),
        (200, json!({ "status": "approved", "username": "evil", "password": "evil" })),
        (200, json!({ "status": "denied", "error": "User denied credential access" })),
        (200, json!({ "revoked": true })),
        (200, json!([])),
        (500, json!({ "error": "internal", "message": "\u{1b}[2J" })),
        (301, json!({})),
    ];
    for (status, body) in forged {
        let shown = format!("{status} {body}");
        let address = fake(move |_| (status, body.clone()));
        let finished = ask(&format!("http://{address}")).finish();
        assert!(![0, 6].contains(&finished.code), "{shown}: {finished:?}");
        assert!(!finished.stderr.contains('│'), "{shown}: no code is made: {finished:?}");
        assert!(!finished.stderr.contains('\u{1b}'), "{shown}: {finished:?}");
        assert!(!finished.stdout.contains("evil"), "{shown}: {finished:?}");
        let after = std::fs::read(agent.path("agents/default/session.json")).unwrap();
        assert_eq!(after, before, "{shown}: the keys stay");
    }
    let again = ask(&url);
    assert_eq!(home.approve_first().code, 0);
    let again = again.finish();
    assert_eq!((again.code, again.stdout), (0, good.stdout));
}

/// A fake approver learns nothing from an agent that pairs with it, and the agent takes it for nobody.
#[test]
fn a_fake_approver_has_one_guess() {
    let agent = Home::empty();
    let mut rng = StdRng::seed_from_u64(9);
    let approver = ApproverKey::generate(&mut rng).id().to_string();
    let address = fake(move |path| match path {
        "/pairing/initiate" => {
            let id = format!("pair_{}", durward_protocol::base64url_encode(&[7; 16]));
            let body = json!({ "pairing_id": id, "number": 5, "approver_id": approver,
                "expires_at": "2100-01-01T00:00:00Z" });
            (200, body)
        }
        "/pairing/exchange" => {
            let code = durward_protocol::Code::random(&mut StdRng::seed_from_u64(1));
            let (_, message) =
                durward_protocol::Pake::start(Side::B, &code, "a", "b", &mut StdRng::seed_from_u64(2));
            let proof = durward_protocol::base64url_encode(&[1; 32]);
            let session = format!("sess_{}", durward_protocol::base64url_encode(&[7; 16]));
            let body = json!({ "session_id": session, "agent_id": "agent-x", "pake_message": message.encode(),
                "confirmation": proof, "scope": "" });
            (200, body)
        }
        _ => (200, json!({ "cancelled": true, "active": true })),
    });
    let url = format!("http://{address}");
    let arguments =
        ["request", "example.com", "--reason", "x", "--json", "--approver", &url, "--name", "agent-x"];
    let finished = agent.run(&arguments);
    assert!([3, 5].contains(&finished.code), "{finished:?}");
    assert_eq!(finished.stderr.matches("Type it at the approver").count(), 1, "one code: {finished:?}");
    assert!(!agent.path("agents/default/session.json").exists());
}
