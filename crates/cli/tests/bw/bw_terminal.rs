//! On a terminal: hidden prompts, colours, line ends, confirmation.

use durward_testkit::bitwarden::Flavour;
use rexpect::session::{PtySession, spawn_command};

use crate::bw_harness::{Desk, EMAIL, PASSWORD, Program};

fn start(desk: &Desk, args: &[&str]) -> PtySession {
    start_with(desk, args, &[])
}

fn start_with(desk: &Desk, args: &[&str], env: &[(&str, &str)]) -> PtySession {
    let mut command = desk.command(Program::Ours);
    command
        .args(args)
        .env_remove("BW_NOINTERACTION")
        .env("TERM", "xterm")
        .envs(env.iter().copied())
        .stdin(std::process::Stdio::inherit());
    spawn_command(command, Some(30_000)).unwrap()
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let (desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let mut session = start(&desk, &["unlock"]);
    session.exp_string("? Master password: [input is hidden] ").unwrap();
    session.send_line(PASSWORD).unwrap();
    let before = session.exp_string("\u{1b}[92mYour vault is now unlocked!\u{1b}[39m").unwrap();
    assert!(!before.contains(PASSWORD), "{before}");
    let rest = session.exp_eof().unwrap();
    assert!(rest.trim_end_matches('\r').ends_with('\n'), "a terminal gets its line end: {rest:?}");
}

/// While a key is derived a line says so, with the time so far, and is gone afterwards.
#[test]
fn a_long_derivation_is_shown() {
    let mut spec = durward_testkit::bitwarden::AccountSpec::quick(EMAIL, PASSWORD);
    spec.kdf = durward_bitwarden::crypto::Kdf::new(0, 600_000, None, None).unwrap();
    let account = durward_testkit::bitwarden::Account::new(spec);
    let desk = Desk::with(Flavour::Vaultwarden, vec![account]);
    desk.login();
    for (variable, before, after) in [
        ("IN_COLOUR", "Deriving the key \u{1b}[2m(", "s)\u{1b}[22m"),
        ("NO_COLOR", "Deriving the key (", "s)"),
    ] {
        let mut session = start_with(&desk, &["unlock"], &[(variable, "1")]);
        session.exp_string("? Master password: ").unwrap();
        session.send_line(PASSWORD).unwrap();
        session.exp_string(before).unwrap();
        session.exp_string(after).unwrap();
        session.exp_string("Your vault is now unlocked!").unwrap();
        session.exp_eof().unwrap();
    }
    let mut session = start_with(&desk, &["unlock", "--quiet", "--passwordenv", "PW"], &[("PW", PASSWORD)]);
    assert_eq!(session.exp_eof().unwrap(), "", "quiet is quiet on a terminal, too");
}

#[test]
fn a_locked_vault_is_opened_for_one_command() {
    let (desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let mut session = start(&desk, &["get", "username", "plain"]);
    session.exp_string("? Master password: ").unwrap();
    session.send_line(PASSWORD).unwrap();
    session.exp_string("alice").unwrap();
    session.exp_eof().unwrap();
    let mut session = start(&desk, &["get", "username", "plain"]);
    session.exp_string("? Master password: ").unwrap();
    session.send_line("wrong").unwrap();
    session.exp_string("\u{1b}[91mInvalid master password.\u{1b}[39m").unwrap();
}

#[test]
fn an_api_secret_is_not_shown_and_encode_waits_for_nobody() {
    let desk = Desk::new(Flavour::Official);
    let (id, secret) = desk.server.world().accounts[0].api_key.clone();
    let mut session = start(&desk, &["login", "--apikey"]);
    session.exp_string("? client_id: ").unwrap();
    session.send_line(&id).unwrap();
    session.exp_string("? client_secret: [input is hidden] ").unwrap();
    session.send_line(&secret).unwrap();
    let before = session.exp_string("You are logged in!").unwrap();
    assert!(!before.contains(&secret), "{before}");
    session.exp_eof().unwrap();
    let mut session = start(&desk, &["encode"]);
    session.exp_string("No stdin was piped in.").unwrap();
    session.exp_eof().unwrap();
}

#[test]
fn logout_asks_first() {
    let (desk, _) = Desk::logged_in(Flavour::Vaultwarden);
    let mut session = start(&desk, &["logout"]);
    session.exp_string("Log out test.user@example.com? (y/N)").unwrap();
    session.send_line("n").unwrap();
    session.exp_string("Logout cancelled.").unwrap();
    session.exp_eof().unwrap();
    assert_eq!(desk.run(&["login", "--check"]).code, 0);
    for switch in ["--force", "--nointeraction"] {
        let mut session = start(&desk, &["logout", switch]);
        let said = session.exp_eof().unwrap();
        assert!(said.contains("You have logged out.") && !said.contains("(y/N)"), "{switch}: {said}");
        desk.login();
    }
}

#[test]
fn a_wrong_code_may_be_typed_again_three_times_in_all() {
    let mut account = crate::bw_harness::account();
    account.two_factor = vec![(0, "123456".to_owned())];
    let desk = Desk::with(Flavour::Official, vec![account]);
    let mut session = start(&desk, &["login", EMAIL, PASSWORD]);
    for code in ["1", "2"] {
        session.exp_string("? Two-step login code: ").unwrap();
        session.send_line(code).unwrap();
        session.exp_string("Two-step token is invalid. Try again.").unwrap();
    }
    session.exp_string("? Two-step login code: ").unwrap();
    session.send_line("123456").unwrap();
    session.exp_string("You are logged in!").unwrap();
    session.exp_eof().unwrap();
    assert_eq!(desk.run(&["logout"]).code, 0);
    let mut session = start(&desk, &["login", EMAIL, PASSWORD]);
    for _ in 0..3 {
        session.exp_string("? Two-step login code: ").unwrap();
        session.send_line("9").unwrap();
    }
    session.exp_string("\u{1b}[91mTwo-step token is invalid. Try again.").unwrap();
    session.exp_eof().unwrap();
}
