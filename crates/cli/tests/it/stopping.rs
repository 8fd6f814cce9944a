//! Stopping: nobody is held any longer, and the next approver can start at once.

use durward_protocol::RequestId;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::home::{Home, PASSWORD};
use crate::wire::{OpenPairing, Owner, Session, post};

#[test]
fn a_stop_answers_who_is_held_and_the_next_approver_starts_at_once() {
    let home = Home::with_vault();
    let daemon = home.serve_quietly();
    let (owner, mut rng) = (Owner::of(&home, &daemon), StdRng::seed_from_u64(1));
    let session = Session::pair(daemon.listen, &owner, "agent", &mut rng).unwrap();
    let pairing = OpenPairing::begin(daemon.listen, "other", &mut rng).unwrap();
    let (id, address) = (RequestId::random(&mut rng), daemon.listen);
    let ask = session.ask(id, "example.com", &mut rng);
    let held = std::thread::spawn(move || post(address, "/credential/request", 300, &ask));
    home.wait_requests(1);
    // Typed, and waiting for the agent's proof: this call of the owner's is held as well.
    let typed = serde_json::json!({ "number": pairing.opened.number, "code": pairing.code.expose_digits() });
    let entering = std::thread::spawn(move || owner.post("/pairings/enter", &typed));
    while pairing.exchange(address, 0).unwrap().status != 200 {
        std::thread::yield_now();
    }

    let down = home.run(&["down"]);
    assert_eq!((down.code, down.stdout.as_str()), (0, "The approver has stopped.\n"), "{down:?}");
    let next = home.serve_quietly();
    let answer = held.join().unwrap().expect("an answer, not a broken connection");
    assert_eq!((answer.status, answer.json()["status"].as_str()), (202, Some("pending")), "{answer:?}");
    assert_eq!(answer.json()["request_id"], id.to_string());
    let entered = entering.join().unwrap().expect("an answer, not a broken connection");
    assert_eq!((entered.status, entered.error().as_str()), (503, "shutting_down"), "{entered:?}");
    assert_eq!(daemon.process.finish().code, 0);

    // What was promised is kept: the same question joins the request that waited.
    home.wait_requests(1);
    let owner = Owner::of(&home, &next);
    owner.unlock();
    let yes = serde_json::json!({ "verdict": "approve" });
    assert_eq!(owner.decide(&session.id.to_string(), &id.to_string(), &yes).unwrap().status, 200);
    let again = session.ask(id, "example.com", &mut rng);
    let got = session.opened(&post(next.listen, "/credential/request", 20, &again).unwrap()).unwrap();
    assert_eq!(got.credential.password.unwrap().expose_secret(), PASSWORD);
}

/// An agent's command that waits goes on after a restart.
#[test]
fn a_waiting_agent_outlives_a_restart() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve_quietly();
    let listen = daemon.listen.to_string();
    let ask = ["request", "example.com", "--reason", "Book it", "--approver", &daemon.url()];
    let asking = agent.start(&ask);
    let code = asking.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    home.wait_requests(1);
    assert_eq!(home.run(&["down"]).code, 0);
    let process = home.start(&["serve", "--listen", &listen, "--control", "127.0.0.1:0"]);
    let _next = Home::served(process);
    assert_eq!(home.approve_first().code, 0);
    let got = asking.finish();
    assert_eq!(got.code, 0, "{got:?}");
    assert!(got.stdout.contains(PASSWORD), "{got:?}");
}

#[test]
fn what_does_not_run_is_not_stopped_and_leaves_no_folder() {
    let home = Home::empty();
    let never = home.path("never");
    let mut down = home.command(&["down", "--json"]);
    let down = Home::start_with(down.env("DURWARD_HOME", &never)).finish();
    assert_eq!(down.code, 2, "{down:?}");
    assert_eq!(down.json()["success"], false, "{down:?}");
    assert!(!never.exists());
}
