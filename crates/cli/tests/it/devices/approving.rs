//! Two daemons on loopback: what an agent asks at one is decided at the other.

use serde_json::{Value, json};

use super::pairing::{Device, code_of};
use crate::home::{Daemon, Finished, Home, PASSWORD, Process, VAULT_PASSWORD};
use crate::wire::Owner;

/// A laptop with the vault and the approver, and a phone that may approve.
struct Two {
    laptop: Home,
    daemon: Daemon,
    owner: Owner,
    phone: Device,
}

impl Two {
    fn start() -> Self {
        let (laptop, phone) = (Home::with_vault(), Device::start("phone"));
        let daemon = laptop.serve_with(&["--device-name", "laptop"]);
        let showing = laptop.start(&["pair", "--yes", "--json"]);
        let (code, address) = (code_of(&showing), daemon.listen.to_string());
        let joined = phone.home.run(&["pair", "--code", &code, "--address", &address]);
        assert_eq!((joined.code, showing.finish().code), (0, 0), "{joined:?}");
        laptop.json(&["devices", "set-address", "phone", &phone.daemon.listen.to_string()]);
        let marked = laptop.json(&["devices", "approver", "phone", "on"]);
        assert_eq!(marked["approver"], true);
        let owner = Owner::of(&laptop, &daemon);
        Self { laptop, daemon, owner, phone }
    }

    fn unlock(&self) {
        let body = json!({ "password": VAULT_PASSWORD, "seconds": 600 });
        let answer = self.owner.post("/vault/unlock", &body).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn ask(&self, agent: &Home, reason: &str) -> Process {
        let url = self.daemon.url();
        agent.start(&["request", "example.com", "--reason", reason, "--approver", &url, "--json"])
    }

    /// Asks for the first time: the owner types the agent's code.
    fn pair_and_ask(&self, agent: &Home, reason: &str, more: &[&str]) -> Process {
        let asking = self.ask(agent, reason);
        let entering = [&["pairing", "enter", "--code-stdin", "--json"], more].concat();
        let entered = self.laptop.run_with(&entering, &format!("{}\n", asking.code()));
        assert_eq!(entered.code, 0, "{entered:?}");
        asking
    }

    /// The phone's list, once this reason is on it.
    fn seen_on_phone(&self, reason: &str) -> Value {
        self.phone.wait(&["requests", "--device"], |list| {
            let mut requests = list["requests"].as_array()?.iter();
            requests.find(|request| request["reason"] == reason).cloned()
        })
    }

    fn phone_is_asked_nothing_more(&self) {
        self.phone
            .wait(&["requests", "--device"], |list| list["requests"].as_array()?.is_empty().then_some(()));
    }

    fn answer(&self, word: &str) -> Finished {
        self.phone.home.run(&["requests", word, "1", "--device", "--json"])
    }

    fn log(&self) -> String {
        self.laptop.run(&["audit", "tail", "--json"]).stdout
    }
}

#[test]
fn what_is_asked_here_is_approved_or_denied_there() {
    let two = Two::start();
    let agent = Home::empty();
    two.unlock();
    let asking = two.pair_and_ask(&agent, "To book the first flight", &[]);
    let seen = two.seen_on_phone("To book the first flight");
    assert_eq!(
        (&seen["device"], &seen["domain"], &seen["fields"]),
        (&json!("laptop"), &json!("example.com"), &json!(["username", "password"]))
    );
    let shown = two.phone.ok(&["requests", "show", "1", "--device"]);
    assert!(shown.contains("laptop") && shown.contains("To book the first flight"), "{shown}");
    let listed = two.phone.ok(&["requests"]);
    assert!(listed.contains("1 on other devices"), "{listed}");

    let approved = two.answer("approve");
    assert_eq!((approved.code, &approved.json()["state"]), (0, &json!("approved")), "{approved:?}");
    let got = asking.finish();
    assert_eq!((got.code, got.stdout.contains(PASSWORD)), (0, true), "{got:?}");
    two.phone_is_asked_nothing_more();

    let asking = two.ask(&agent, "To book the second flight");
    two.seen_on_phone("To book the second flight");
    let denied = two.answer("deny");
    assert_eq!((denied.code, &denied.json()["state"]), (0, &json!("denied")), "{denied:?}");
    let got = asking.finish();
    assert_eq!((got.code, got.stdout.contains(PASSWORD)), (6, false), "{got:?}");
    two.phone_is_asked_nothing_more();

    let (here, there) = (two.log(), two.phone.ok(&["audit", "tail", "--json"]));
    for log in [&here, &there] {
        assert!(log.contains("device_decision") && !log.contains(PASSWORD), "{log}");
    }
    assert!(here.contains("approver_on") && here.contains("approved on phone"), "{here}");
    assert!(two.laptop.audit_holds() > 0 && two.phone.home.audit_holds() > 0);
    let none = two.answer("approve");
    assert_eq!(
        (none.code, none.json()["error"]["code"].as_str()),
        (4, Some("request_not_found")),
        "{none:?}"
    );
}

#[test]
fn with_a_locked_vault_an_approval_waits_for_the_unlock() {
    let two = Two::start();
    let agent = Home::empty();
    let asking = two.pair_and_ask(&agent, "While the vault is locked", &[]);
    two.seen_on_phone("While the vault is locked");
    let approved = two.answer("approve");
    assert_eq!((approved.code, &approved.json()["state"]), (0, &json!("vault_locked")), "{approved:?}");
    let waiting = two.laptop.json(&["requests"]);
    assert_eq!(waiting["requests"][0]["approved_by"], "phone");
    let shown = two.laptop.run(&["requests"]).stdout;
    assert!(shown.contains("approved by phone, vault locked"), "{shown}");
    two.unlock();
    let got = asking.finish();
    assert_eq!((got.code, got.stdout.contains(PASSWORD)), (0, true), "{got:?}");
    two.phone_is_asked_nothing_more();
}

#[test]
fn the_first_answer_wins_and_the_other_device_is_told() {
    let two = Two::start();
    let agent = Home::empty();
    let asking = two.pair_and_ask(&agent, "Both answer", &[]);
    two.seen_on_phone("Both answer");
    let denied = two.laptop.run(&["requests", "deny", "1", "--json"]);
    assert_eq!(denied.code, 0, "{denied:?}");
    assert_eq!(asking.finish().code, 6);
    two.phone_is_asked_nothing_more();
}

#[test]
fn the_device_an_agent_runs_on_is_not_asked_about_it() {
    let two = Two::start();
    let (there, here) = (Home::empty(), Home::empty());
    let _waits = two.pair_and_ask(&there, "From an agent on the phone", &["--runs-on", "phone"]);
    two.laptop.wait_requests(1);
    let sessions = two.laptop.json(&["sessions"]);
    assert_eq!(sessions["sessions"][0]["runs_on"]["name"], "phone");
    // What was asked later, by an agent here, is there: so the first one was left out.
    let _waits_too = two.pair_and_ask(&here, "From an agent here", &[]);
    two.seen_on_phone("From an agent here");
    let list = two.phone.home.json(&["requests", "--device"]);
    assert_eq!(list["requests"].as_array().unwrap().len(), 1, "{list}");
    let unknown = ["pairing", "enter", "--code-stdin", "--runs-on", "nowhere", "--json"];
    let refused = two.laptop.run_with(&unknown, "12-847293\n");
    assert_eq!(
        (refused.code, refused.json()["error"]["code"].as_str()),
        (4, Some("device_not_found")),
        "{refused:?}"
    );
}

#[test]
fn a_removed_device_decides_nothing() {
    let two = Two::start();
    let agent = Home::empty();
    two.unlock();
    let asking = two.pair_and_ask(&agent, "After the phone was lost", &[]);
    two.seen_on_phone("After the phone was lost");
    let removed = two.laptop.run(&["devices", "remove", "phone", "--yes"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    let decided = two.answer("approve");
    assert_eq!(decided.code, 0, "{decided:?}");
    let decided = decided.json();
    assert!(decided.get("state").is_none(), "it counts nowhere: {decided}");
    two.phone.wait(&["devices"], |all| all["devices"][0]["reason"].as_str().map(str::to_owned));
    let waiting = two.laptop.json(&["requests"]);
    assert_eq!(waiting["requests"].as_array().unwrap().len(), 1, "it still waits: {waiting}");
    assert!(!two.log().contains("credential_released"));
    let denied = two.laptop.run(&["requests", "deny", "1", "--json"]);
    assert_eq!((denied.code, asking.finish().code), (0, 6));
}

#[test]
fn what_is_for_the_other_device_is_refused_here() {
    let home = Home::empty();
    for more in
        [&["--session"][..], &["--uses", "3"], &["--for", "5m"], &["--item", "x"], &["--password-stdin"]]
    {
        let refused = home.run(&[&["requests", "approve", "1", "--device", "--json"], more].concat());
        assert_eq!(
            (refused.code, refused.json()["error"]["code"].as_str()),
            (64, Some("usage")),
            "{refused:?}"
        );
    }
    let refused = home.run(&["requests", "deny", "1", "--reason", "no", "--device"]);
    assert_eq!(refused.code, 64, "{refused:?}");
    let alone = home.run(&["pairing", "enter", "--code-stdin", "--let-device-answer"]);
    assert_eq!(alone.code, 64, "{alone:?}");
}
