//! Arriving, and every way not to.

use durward_flight_agent::site::SKYWARD;
use rexpect::session::PtySession;

use crate::stage::{PASSWORD, Stage, VAULT_PASSWORD};

/// The owner types the code that the agent shows.
fn pair(up: &mut PtySession, code: &str) {
    up.exp_string("Type the code from the agent's screen").unwrap();
    up.send_line(code).unwrap();
    up.exp_string("Paired with Flight Booking Agent").unwrap();
}

/// The owner says yes and gives the vault password.
fn approve(up: &mut PtySession) {
    up.exp_string("Release it?").unwrap();
    up.send_line("y").unwrap();
    up.exp_string("Vault password: ").unwrap();
    up.send_line(VAULT_PASSWORD).unwrap();
    up.exp_string("Released: username, password, totp.").unwrap();
}

#[test]
fn it_signs_in_and_searches_and_the_password_stays_where_it_was_typed() {
    let stage = Stage::new();
    let (mut up, approver) = stage.up("127.0.0.1:0");
    let mut agent = stage.agent(&approver);
    pair(&mut up, &agent.code());
    let asked = up.exp_string("Reason").unwrap();
    assert!(asked.contains("skyward.localhost"), "{asked}");
    approve(&mut up);
    let landed = agent.land();
    assert_eq!(landed.exit, 0, "{landed:?}");
    assert_eq!(landed.json["account"], "Welcome, ada.lovelace");
    assert_eq!(landed.json["flights"][0], "SK 101 JFK to LHR, 2026-12-24 08:15, $412", "{landed:?}");
    let seen = stage.airline.seen();
    for request in
        ["POST /login", "POST /code", "GET /account", "GET /flights?from=JFK&to=LHR&date=2026-12-24"]
    {
        assert!(seen.iter().any(|seen| seen == request), "{request}: {seen:?}");
    }
    let page = std::fs::read_to_string(stage.path("record/1-signed-in.html")).unwrap();
    assert!(page.contains("Welcome, ada.lovelace") && page.contains("/account"), "{page}");
    assert!(stage.path("record/2-results.html").exists());
    stage.assert_clean();

    // The session is still there: a denial, and a revocation before the answer. No code is asked for.
    let mut agent = stage.agent(&approver);
    agent.wait_for("Asking the owner");
    up.exp_string("Release it?").unwrap();
    up.send_line("n not today").unwrap();
    let landed = agent.land();
    assert_eq!(landed.exit, 6, "{landed:?}");
    let sentence = "The owner said no (not today). Nothing was typed into the airline's page.";
    assert_eq!(landed.json["error"]["message"], sentence);

    let mut agent = stage.agent(&approver);
    agent.wait_for("Asking the owner");
    up.exp_string("Release it?").unwrap();
    up.send_line("r").unwrap();
    let landed = agent.land();
    assert_eq!(landed.exit, 3, "{landed:?}");
    assert!(landed.said.contains("The owner revoked this agent's session. It stopped at once"), "{landed:?}");
    let posts = stage.airline.seen().iter().filter(|seen| *seen == "POST /login").count();
    assert_eq!(posts, 1, "nothing more was typed");
    stage.assert_clean();
}

#[test]
fn revoked_in_mid_flight_it_stops_before_the_next_step() {
    let stage = Stage::new();
    let (mut up, approver) = stage.up("127.0.0.1:0");
    stage.airline.hold("/account");
    let mut agent = stage.agent(&approver);
    pair(&mut up, &agent.code());
    approve(&mut up);
    stage.wait_seen("GET /account");
    stage.pipe(&["sessions", "revoke", "--all"], "");
    stage.airline.let_go();
    let landed = agent.land();
    assert_eq!(landed.exit, 3, "{landed:?}");
    assert!(landed.said.contains("Signed in: Welcome"), "{landed:?}");
    let sentence = landed.json["error"]["message"].as_str().unwrap();
    assert!(sentence.starts_with("The owner revoked this agent's session."), "{landed:?}");
    assert!(!stage.airline.seen().iter().any(|seen| seen.contains("/flights")), "it searched nothing");
    stage.assert_clean();
}

#[test]
fn the_approver_is_restarted_while_the_request_waits() {
    let stage = Stage::new();
    let (mut up, approver) = stage.up("127.0.0.1:0");
    let mut agent = stage.agent(&approver);
    pair(&mut up, &agent.code());
    up.exp_string("Release it?").unwrap();
    up.process_mut().kill(rexpect::process::Signal::SIGKILL).unwrap();
    drop(up);
    agent.wait_for("The approver does not answer. It may be starting again");
    let (mut up, _) = stage.up(&approver);
    approve(&mut up);
    let landed = agent.land();
    assert_eq!(landed.exit, 0, "{landed:?}");
    assert_eq!(landed.said.matches("Asking the owner").count(), 1);
    stage.assert_clean();
}

#[test]
fn interrupted_it_takes_its_request_back_and_closes_the_browser() {
    let stage = Stage::new();
    let (mut up, approver) = stage.up("127.0.0.1:0");
    let mut agent = stage.agent(&approver);
    pair(&mut up, &agent.code());
    up.exp_string("Release it?").unwrap();
    agent.interrupt();
    let landed = agent.land();
    assert_eq!(landed.exit, 130, "{landed:?}");
    let waiting: serde_json::Value = serde_json::from_str(&stage.pipe(&["requests", "--json"], "")).unwrap();
    assert_eq!(waiting["requests"].as_array().unwrap().len(), 0, "{waiting}");
    stage.assert_clean();
}

#[test]
fn a_wrong_password_in_the_vault_is_said_and_not_tried_again() {
    let stage = Stage::with_password("an old password");
    let (mut up, approver) = stage.up("127.0.0.1:0");
    let mut agent = stage.agent(&approver);
    pair(&mut up, &agent.code());
    approve(&mut up);
    let landed = agent.land();
    assert_eq!(landed.exit, 1, "{landed:?}");
    assert!(
        landed.said.contains("Skyward Air refused the user name, the password or the code."),
        "{landed:?}"
    );
    assert_eq!(stage.airline.seen().iter().filter(|seen| *seen == "POST /login").count(), 1);
}

#[test]
fn a_password_goes_into_no_field_that_shows_it() {
    let stage = Stage::new();
    let (mut up, approver) = stage.up("127.0.0.1:0");
    let selectors = stage.path("wrong.toml");
    let wrong = SKYWARD.replace("password = \"#password\"", "password = \"#username\"");
    std::io::Write::write_all(&mut std::fs::File::create(&selectors).unwrap(), wrong.as_bytes()).unwrap();
    let mut agent = stage.agent_with(&approver, &["--selectors", selectors.to_str().unwrap()]);
    pair(&mut up, &agent.code());
    approve(&mut up);
    let landed = agent.land();
    assert_eq!(landed.exit, 1, "{landed:?}");
    assert!(landed.said.contains("#username is not a password field"), "{landed:?}");
    assert!(!stage.airline.seen().iter().any(|seen| seen.starts_with("POST")), "nothing was sent");
    let landed = stage.agent_with(&approver, &["--selectors", "no such file"]).land();
    assert_eq!(landed.exit, 64, "{landed:?}");
}

#[test]
fn without_an_approver_it_says_so_and_starts_no_browser() {
    let stage = Stage::new();
    let landed = stage.agent("http://127.0.0.1:9").land();
    assert_eq!(landed.exit, 2, "{landed:?}");
    assert!(landed.said.contains("Start it with `durward up`."), "{landed:?}");
    assert!(stage.airline.seen().is_empty());
}

#[test]
fn local_mode_asks_on_the_terminal() {
    let stage = Stage::new();
    let mut agent = stage.local_agent();
    agent.exp_string("Vault password (Enter denies): ").unwrap();
    agent.send_line(VAULT_PASSWORD).unwrap();
    agent.exp_string("[y/N] ").unwrap();
    agent.send_line("y").unwrap();
    let rest = agent.exp_eof().unwrap();
    assert!(rest.contains("SK 101 JFK to LHR") && !rest.contains(PASSWORD), "{rest}");
    stage.assert_clean();

    let mut agent = stage.local_agent();
    agent.exp_string("Vault password (Enter denies): ").unwrap();
    agent.send_line("").unwrap();
    let rest = agent.exp_eof().unwrap();
    assert!(rest.contains("Nothing was typed into the airline's page."), "{rest}");
}
