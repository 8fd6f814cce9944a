//! The Python agent, written from the documentation alone, against the real binary.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use durward_testkit::python::venv;
use serde_json::Value;

use crate::home::{Daemon, Finished, Home, PASSWORD, Process, USERNAME, VAULT_PASSWORD, other_code};

fn agent(daemon: &Daemon) -> Process {
    agent_at(&daemon.url())
}

fn agent_at(url: &str) -> Process {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/python-agent");
    let mut command = Command::new(venv(&folder.join("requirements.txt")));
    command
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["agent.py", "--approver", url, "--domain", "example.com", "--reason", "Book it"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Home::start_with(&mut command)
}

fn shown_code(agent: &Process) -> String {
    agent.stdout.wait("the code", |text| {
        let line = text.lines().next().filter(|_| text.contains('\n'))?;
        line.strip_prefix("Type this at the approver: ").map(str::to_owned)
    })
}

fn said(finished: &Finished) -> Value {
    let last = finished.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

#[test]
fn it_pairs_over_a_pipe_and_gets_a_credential() {
    let home = Home::with_vault();
    let daemon = home.serve();
    let mut approver = home.approve();
    approver.stdout.wait_for("Waiting for agents.");
    let agent = agent(&daemon);
    let code = shown_code(&agent);
    approver.stdout.wait_for("Type the code from the agent's screen");
    approver.say(&format!("{code}\n"));
    approver.stdout.wait_for("Release it?");
    approver.say("y\n");
    approver.stdout.wait_for("Vault password:");
    approver.say(&format!("{VAULT_PASSWORD}\n"));
    let finished = agent.finish();
    assert_eq!(finished.code, 0, "{finished:?}");
    let credential = &said(&finished)["credential"];
    assert_eq!(credential["username"], USERNAME);
    assert_eq!(credential["password"], PASSWORD);
    approver.stdout.wait_for("Released: username, password.");
    approver.close_stdin();
    assert_eq!(approver.finish().code, 0);
    assert!(home.json(&["sessions"])["sessions"].as_array().unwrap().is_empty(), "it revoked its session");
    home.audit_holds();
}

#[test]
fn without_an_approver_it_says_so_in_a_line() {
    let finished = agent_at("http://127.0.0.1:9").finish();
    assert_eq!(finished.code, 2, "{finished:?}");
    assert_eq!(said(&finished)["error"]["code"], "cannot_connect");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    assert!(
        finished.stderr.contains("cannot connect to the approver at http://127.0.0.1:9: "),
        "{finished:?}"
    );
}

#[test]
fn a_wrong_code_ends_the_pairing_at_both_ends() {
    let home = Home::with_vault();
    let daemon = home.serve();
    let agent = agent(&daemon);
    let code = shown_code(&agent);
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    let entered = home.enter(&other_code(&code));
    assert_eq!(entered.code, 5, "{entered:?}");
    assert_eq!(entered.json()["error"]["code"], "confirmation_failed");
    let finished = agent.finish();
    assert_eq!(finished.code, 1, "{finished:?}");
    assert_eq!(said(&finished)["error"]["code"], "confirmation_failed");
    let late = home.enter(&code);
    assert_eq!(late.code, 4, "the pairing is dead, the right code comes too late: {late:?}");
    assert!(home.json(&["sessions"])["sessions"].as_array().unwrap().is_empty());
    home.audit_holds();
}

#[test]
fn a_denial_carries_the_owners_words() {
    let home = Home::with_vault();
    let daemon = home.serve();
    let agent = agent(&daemon);
    let code = shown_code(&agent);
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    home.wait_requests(1);
    let denied = home.run(&["requests", "deny", "1", "--reason", "Not on a Sunday"]);
    assert_eq!((denied.code, denied.stdout.starts_with("Denied ")), (0, true), "{denied:?}");
    let finished = agent.finish();
    assert_eq!(finished.code, 1, "{finished:?}");
    assert_eq!(said(&finished)["error"]["code"], "denied");
    assert_eq!(said(&finished)["error"]["message"], "Not on a Sunday");
    assert!(!finished.stdout.contains(PASSWORD));
}
