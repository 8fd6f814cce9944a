//! A thousand agents at one approver.

use std::net::TcpStream;

use durward_client::{Clock as _, SystemClock};
use durward_protocol::Verdict;
use durward_testkit::wire::{Wire, WireAgent};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::home::{Home, PASSWORD, VAULT_PASSWORD};

const AGENTS: usize = 1_000;

/// Each with a session of its own and a connection that is held; the owner decides one after the other, and each gets
/// its own answer.
#[test]
fn a_thousand_wait_at_once_and_none_is_lost() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let home = Home::with_vault();
    let daemon = home.serve_quietly(); // with the limit it found
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(soft.max(16_384)), hard).unwrap();
    let mut rng = rand::rng();
    let mut owner = Wire::control(&home.path("run/control.sock")).unwrap();

    let mut pairing = Wire::agent_plane(daemon.listen).unwrap();
    let agents: Vec<WireAgent> = (0..AGENTS)
        .map(|n| WireAgent::pair(&mut pairing, &mut owner, &format!("agent-{n}"), &mut rng).unwrap())
        .collect();
    let now = SystemClock.now();
    let held: Vec<Wire<TcpStream>> = agents
        .iter()
        .map(|agent| {
            let mut wire = Wire::agent_plane(daemon.listen).unwrap();
            let (_, body) = agent.request("example.com", now, &mut rng).unwrap();
            wire.send("POST", "/credential/request", "prefer: wait=300\r\n", &body).unwrap();
            wire
        })
        .collect();

    let waiting = loop {
        let list: Value = owner.get("/requests?all=true").unwrap();
        let waiting = list["requests"].as_array().unwrap().clone();
        if waiting.len() == AGENTS {
            break waiting;
        }
    };
    let unlock = json!({ "password": VAULT_PASSWORD, "seconds": 3_600 });
    let _: Value = owner.post("/vault/unlock", &unlock).unwrap().good().unwrap();
    for request in &waiting {
        let decision = json!({
            "session_id": request["session_id"],
            "request_id": request["request_id"],
            "verdict": "approve",
        });
        let decided: Value = owner.post("/requests/decide", &decision).unwrap().good().unwrap();
        assert_eq!(decided["verdict"], "approved");
    }
    for (agent, mut wire) in agents.iter().zip(held) {
        let verdict = agent.verdict(&wire.receive().unwrap()).unwrap();
        assert_eq!(verdict.status, Verdict::Approved);
        assert_eq!(verdict.credential.password.unwrap().expose_secret(), PASSWORD);
    }
    let left: Value = owner.get("/requests?all=true").unwrap();
    assert_eq!(left["requests"].as_array().map(Vec::len), Some(0));
    // Answered, paired, asked and released for each; that so many wait for a code at once is a summary.
    assert!(home.audit_holds() >= 4 * AGENTS as u64);
}
