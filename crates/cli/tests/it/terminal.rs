//! The plain prompts on a terminal: what is typed there, what is echoed and what is not.

use rexpect::session::{PtySession, spawn_command};

use crate::home::{Home, PASSWORD, VAULT_PASSWORD};

const PATIENCE_MS: u64 = 30_000;

pub(crate) fn on_a_terminal(home: &Home, arguments: &[&str]) -> PtySession {
    use std::process::{Command, Stdio};
    let mut command: Command = home.command(arguments);
    command.env("TERM", "xterm").stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    spawn_command(command, Some(PATIENCE_MS)).unwrap()
}

const UP: [&str; 6] = ["up", "--plain", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];

#[test]
fn up_serves_and_prompts_and_never_echoes_the_vault_password() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let mut up = on_a_terminal(&home, &UP);
    up.exp_string("The approver listens on http://").unwrap();
    let address = up.exp_string(". Ctrl-C stops it.").unwrap();
    let url = format!("http://{}", address.trim());
    up.exp_string("Waiting for agents.").unwrap();
    let ask = ["request", "example.com", "--reason", "Book it\u{1b}[2J", "--approver", &url];
    let asking = agent.start(&ask);
    let code = asking.code();
    up.exp_string("Type the code from the agent's screen").unwrap();
    up.send_line(&code).unwrap();
    let shown = up.exp_string("Release it?").unwrap();
    assert!(shown.contains("Paired with") && shown.contains("example.com"), "{shown:?}");
    assert!(!shown.contains('\u{1b}') && shown.contains("Book it\\u{1b}[2J"), "{shown:?}");
    up.send_line("y").unwrap();
    up.exp_string("Vault password: ").unwrap();
    up.send_line("a wrong one").unwrap();
    let shown = up.exp_string("Vault password: ").unwrap();
    assert!(shown.contains("Wrong vault password. The request keeps waiting."), "{shown:?}");
    assert!(!shown.contains("a wrong one"), "the echo is off: {shown:?}");
    up.send_line(VAULT_PASSWORD).unwrap();
    let shown = up.exp_string("Released: username, password.").unwrap();
    assert!(!shown.contains(VAULT_PASSWORD), "the echo is off: {shown:?}");
    let got = asking.finish();
    assert_eq!((got.code, got.stdout.contains(PASSWORD)), (0, true), "{got:?}");

    // A second terminal attaches, lists, revokes by number.
    let mut second = on_a_terminal(&home, &UP);
    second.exp_string("An approver runs already; attached to it.").unwrap();
    second.exp_string("Waiting for agents.").unwrap();
    second.send_line("s").unwrap();
    second.exp_string("Revoke which?").unwrap();
    second.send_line("1").unwrap();
    second.exp_string("Session revoked: its key is wiped").unwrap();
    second.send_line("q").unwrap();
    second.exp_eof().unwrap();
    assert_eq!(agent.run(&ask).code, 3, "revoked");

    up.send_control('c').unwrap();
    up.exp_eof().unwrap();
    let gone = home.run(&["status"]);
    assert_eq!(gone.code, 2, "its server stopped with it: {gone:?}");
    home.audit_holds();
}

#[test]
fn passwords_and_codes_are_asked_for_on_a_terminal() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    let mut unlock = on_a_terminal(&home, &["unlock", "--for", "5m"]);
    unlock.exp_string("Vault password: ").unwrap();
    unlock.send_line(VAULT_PASSWORD).unwrap();
    let rest = unlock.exp_eof().unwrap();
    assert!(rest.contains("open until") && !rest.contains(VAULT_PASSWORD), "{rest:?}");

    let url = daemon.url();
    let ask = ["request", "example.com", "--reason", "Book it", "--approver", &url];
    let mut asking = on_a_terminal(&agent, &ask);
    let shown = asking.exp_string("It works once, within five minutes.").unwrap();
    let code = shown
        .lines()
        .map(|line| line.trim_matches(|c: char| !c.is_ascii_digit()))
        .find(|line| line.contains('-') && line.parse::<durward_protocol::TypedCode>().is_ok())
        .unwrap()
        .to_owned();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    let mut enter = on_a_terminal(&home, &["pairing", "enter"]);
    enter.exp_string("Code from the agent's screen: ").unwrap();
    enter.send_line(&code).unwrap();
    enter.exp_string("Both screens must show: ").unwrap();
    home.wait_requests(1);
    let approved = home.run(&["requests", "approve", "1"]).stdout;
    assert!(approved.ends_with(" for example.com: username, password.\n"), "{approved}");
    asking.exp_string(PASSWORD).unwrap();
}

#[test]
fn hanging_up_reads_the_policy() {
    let home = Home::with_vault();
    let mut up = Home::start_with(home.command(&UP).stdin(std::process::Stdio::piped()));
    up.stdout.wait_for("Waiting for agents");
    home.put("policy.toml", "[[rule]]\ndomain = \"evil.example\"\nverdict = \"deny\"\n");
    up.signal(nix::sys::signal::Signal::SIGHUP);
    let shown = || home.run(&["policy", "show"]).stdout.contains("evil.example");
    assert!((0..500).any(|_| shown()), "it was never read");
    up.close_stdin();
    assert_eq!(up.finish().code, 0);
}
