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
    // A hangup has the server read the policy, and nothing else.
    up.process_mut().signal(nix::sys::signal::Signal::SIGHUP).unwrap();
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

/// A shell line on a terminal that echoes, as a person's does; `$DURWARD` is the program.
fn in_a_shell(home: &Home, line: &str) -> PtySession {
    use std::process::{Command, Stdio};
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("stty echo; {line}")])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap());
    command.env("DURWARD", env!("CARGO_BIN_EXE_durward")).env("DURWARD_HOME", home.folder());
    command.env("TERM", "xterm").stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    spawn_command(command, Some(PATIENCE_MS)).unwrap()
}

/// What comes after it: the modes of the terminal, and what a shell behind it would read.
const AFTER: &str = r#"echo "code $?"; stty -a; echo modes; IFS= read -r line; echo "shell read <$line>""#;

fn given_back(shell: &mut PtySession, code: &str, typed: &str) {
    let shown = shell.exp_string(code).unwrap();
    assert!(!shown.contains(typed), "typed ahead, and shown: {shown:?}");
    let modes = shell.exp_string("modes").unwrap();
    assert!(modes.contains(" echo ") && !modes.contains("-icanon"), "{modes:?}");
    shell.send_line("later").unwrap();
    let rest = shell.exp_eof().unwrap();
    assert!(rest.contains("shell read <later>") && !rest.contains(typed), "{rest:?}");
}

#[test]
fn what_is_typed_ahead_of_a_password_is_neither_shown_nor_left_for_the_shell() {
    use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
    let home = Home::with_vault();
    let daemon = home.serve();
    let mut shell = in_a_shell(&home, &format!(r#""$DURWARD" unlock; {AFTER}"#));
    shell.exp_string("Vault password: ").unwrap();
    daemon.process.signal(SIGSTOP);
    shell.send_line(VAULT_PASSWORD).unwrap();
    shell.exp_string("Opening the vault").unwrap();
    shell.send_line("typed-ahead").unwrap();
    daemon.process.signal(SIGCONT);
    given_back(&mut shell, "code 0", "typed-ahead");
}

#[test]
fn a_signal_while_the_vault_is_opened_gives_the_terminal_back() {
    use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
    let home = Home::with_vault();
    let daemon = home.serve();
    let mut shell = in_a_shell(&home, &format!(r#"trap : INT; "$DURWARD" unlock; {AFTER}"#));
    shell.exp_string("Vault password: ").unwrap();
    daemon.process.signal(SIGSTOP);
    shell.send_line(VAULT_PASSWORD).unwrap();
    shell.exp_string("Opening the vault").unwrap();
    shell.send_line("typed-ahead").unwrap();
    shell.send_control('c').unwrap();
    given_back(&mut shell, "code 130", "typed-ahead");
    daemon.process.signal(SIGCONT);
}

#[test]
fn a_signal_at_the_password_of_the_plain_prompts_gives_the_terminal_back() {
    use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    let ask = ["request", "example.com", "--reason", "Book it", "--approver", &daemon.url()];
    let asking = agent.start(&ask);
    let code = asking.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    home.wait_requests(1);
    let ends = [(SIGQUIT, "code 131"), (SIGHUP, "code 129"), (SIGINT, "code 130"), (SIGTERM, "code 130")];
    for (signal, code) in ends {
        // The program keeps the number of the shell that it takes the place of.
        let line =
            format!(r#"sh -c 'echo "$$" > "$DURWARD_HOME/pid"; exec "$DURWARD" approve --plain'; {AFTER}"#);
        let mut shell = in_a_shell(&home, &line);
        shell.exp_string("Release it?").unwrap();
        shell.send_line("y").unwrap();
        shell.exp_string("Vault password: ").unwrap();
        let pid = std::fs::read_to_string(home.path("pid")).unwrap().trim().parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
        given_back(&mut shell, code, VAULT_PASSWORD);
    }
    assert_eq!(home.run(&["requests", "deny", "1"]).code, 0, "it waits still");
    assert_eq!(asking.finish().code, 6);
}

#[test]
fn what_pairing_asks_is_no_result() {
    let home = Home::with_vault();
    let _daemon = home.serve();
    let mut shell =
        in_a_shell(&home, r#""$DURWARD" pairing enter --json > "$DURWARD_HOME/out"; echo "code $?""#);
    shell.exp_string("Code from the agent's screen: ").unwrap();
    shell.send_control('d').unwrap();
    shell.exp_string("code 12").unwrap();
    let out = std::fs::read_to_string(home.path("out")).unwrap();
    let out: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["error"]["code"], "cancelled");
}

#[test]
fn unlock_may_be_tried_three_times() {
    let home = Home::with_vault();
    let _daemon = home.serve();
    let mut unlock = on_a_terminal(&home, &["unlock", "--for", "5m"]);
    for wrong in ["one", "two"] {
        unlock.exp_string("Vault password: ").unwrap();
        unlock.send_line(wrong).unwrap();
        unlock.exp_string("Wrong vault password.").unwrap();
    }
    unlock.exp_string("Vault password: ").unwrap();
    unlock.send_line(VAULT_PASSWORD).unwrap();
    assert!(unlock.exp_eof().unwrap().contains("open until"));
    home.run(&["lock"]);
    let mut unlock = on_a_terminal(&home, &["unlock"]);
    for _ in 0..3 {
        unlock.exp_string("Vault password: ").unwrap();
        unlock.send_line("wrong").unwrap();
    }
    let rest = unlock.exp_eof().unwrap();
    assert!(rest.contains("error:") && !rest.contains("Vault password: "), "{rest:?}");
}

#[test]
fn over_a_pipe_an_answer_that_came_before_its_question_is_none() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    let ask = ["request", "example.com", "--reason", "Book it", "--approver", &daemon.url()];
    let asking = agent.start(&ask);
    let code = asking.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    home.wait_requests(1);
    assert_eq!(home.run_with(&["unlock", "--password-stdin"], VAULT_PASSWORD).code, 0);
    // It waits already when the yes comes.
    home.put("answers", "y\n");
    let answers = std::fs::File::open(home.path("answers")).unwrap();
    let early = Home::start_with(home.command(&["approve"]).stdin(answers)).finish();
    assert_eq!(early.code, 0, "{early:?}");
    assert!(early.stdout.contains("Release it?") && !early.stdout.contains("Released"), "{early:?}");
    assert!(early.stderr.contains("A line that came before its question was not taken."), "{early:?}");
    // It comes when the yes is there already: nobody was asked when it was said.
    assert_eq!(home.run(&["requests", "deny", "1"]).code, 0);
    assert_eq!(asking.finish().code, 6);
    let mut approver = home.approve();
    approver.say("y\ny\n");
    approver.stdout.wait_for("Waiting for agents.");
    let asking = agent.start(&ask);
    approver.stdout.wait_for("Release it?");
    approver.say("n\n");
    assert_eq!(asking.finish().code, 6);
    approver.close_stdin();
    assert!(!approver.finish().stdout.contains("Released"));
    // And a program that answers what it sees goes on as before.
    let mut approver = home.approve();
    let asking = agent.start(&ask);
    approver.stdout.wait_for("Release it?");
    approver.say("y\n");
    approver.stdout.wait_for("Released: ");
    assert_eq!(asking.finish().code, 0);
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
