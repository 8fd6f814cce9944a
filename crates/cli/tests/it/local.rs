//! `--mode local`: the owner answers on the terminal itself.

use durward_broker::approval::{AuditEntry, AuditEvent};
use durward_server::Home;
use durward_store::{Durability, Store};
use durward_vault::Item;

use crate::env::{PASSWORD, TestEnvironment, login};

const QUESTION: &str = "Vault password (Enter denies): ";
const ASK: [&str; 6] = ["request", "example.com", "--reason", "Book the flight", "--mode", "local"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [ASK.as_slice(), more].concat()
}

fn prepared() -> TestEnvironment {
    let env = TestEnvironment::new();
    env.vault(vec![login("Example", "https://example.com", "ann", "hunter2")]);
    env
}

/// The audit log; its chain holds.
fn audit(env: &TestEnvironment) -> Vec<AuditEntry> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open_sqlite(&env.path("durward.db"), Durability::Normal).await.unwrap();
        store.verify_audit().await.unwrap().unwrap();
        let records = store.audit(0, 100).await.unwrap();
        store.close().await;
        records.iter().map(|record| record.entry().unwrap()).collect()
    })
}

fn events(env: &TestEnvironment) -> Vec<AuditEvent> {
    audit(env).iter().map(|entry| entry.event).collect()
}

#[test]
fn a_yes_releases_and_is_in_the_log() {
    let env = prepared();
    let mut terminal = env.terminal(&ASK);
    let shown = terminal.answer(QUESTION, PASSWORD);
    insta::assert_snapshot!("local_question", env.stable(&shown.replace("\r\n", "\n")));
    terminal.answer("Release username, password to default? [y/N] ", "y");
    let (code, rest) = terminal.end();
    assert_eq!((code, rest.as_str()), (0, "username: ann\npassword: hunter2\n"));

    let log = audit(&env);
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].event, AuditEvent::LocalReleased);
    assert_eq!(log[0].domain.as_ref().unwrap().as_str(), "example.com");
    assert_eq!(log[0].fields.len(), 2);
    assert_eq!(log[0].outcome.as_deref(), Some("approved"));
    let text = format!("{log:?}");
    assert!(!text.contains("hunter2") && !text.contains(PASSWORD) && !text.contains("ann"), "{text}");
}

#[test]
fn a_no_is_6_and_prints_nothing() {
    let env = prepared();
    let mut terminal = env.terminal(&with(&["--json"]));
    terminal.answer(QUESTION, PASSWORD);
    terminal.answer("[y/N] ", "n");
    let (code, rest) = terminal.end();
    assert_eq!(code, 6);
    assert!(rest.contains(r#"{"error":{"code":"denied""#) && !rest.contains("hunter2"), "{rest}");
    assert_eq!(events(&env), [AuditEvent::LocalDenied]);
}

#[test]
fn anything_but_yes_is_no() {
    for answer in ["", "yy", "Yes please", "\u{1b}[A"] {
        let env = prepared();
        let mut terminal = env.terminal(&ASK);
        terminal.answer(QUESTION, PASSWORD);
        terminal.answer("[y/N] ", answer);
        assert_eq!(terminal.end().0, 6, "{answer:?}");
    }
}

#[test]
fn no_password_is_a_no() {
    let env = prepared();
    let mut terminal = env.terminal(&ASK);
    terminal.answer(QUESTION, "");
    assert_eq!(terminal.end().0, 6);
    assert_eq!(events(&env), [AuditEvent::LocalDenied]);
}

#[test]
fn walking_away_is_a_no_and_in_the_log() {
    for (key, code) in [('d', 12), ('c', 130)] {
        let env = prepared();
        let mut terminal = env.terminal(&ASK);
        terminal.wait_for(QUESTION);
        terminal.control(key);
        assert_eq!(terminal.end().0, code, "Ctrl-{key}");
        assert_eq!(audit(&env)[0].outcome.as_deref(), Some("cancelled"));
    }
}

#[test]
fn three_wrong_passwords_are_8() {
    let env = prepared();
    let mut terminal = env.terminal(&ASK);
    terminal.answer(QUESTION, "wrong");
    terminal.answer(QUESTION, "also wrong");
    terminal.answer(QUESTION, "wrong again");
    let (code, rest) = terminal.end();
    assert_eq!(code, 8, "{rest}");
    assert_eq!(events(&env), [AuditEvent::VaultPasswordWrong; 3]);
}

#[test]
fn the_right_one_after_a_wrong_one() {
    let env = prepared();
    let mut terminal = env.terminal(&with(&["--field", "password"]));
    terminal.answer(QUESTION, "wrong");
    terminal.wait_for("Wrong password.");
    terminal.answer(QUESTION, PASSWORD);
    terminal.answer("Release password to default? [y/N] ", "Y");
    assert_eq!(terminal.end(), (0, "hunter2\n".to_owned()));
    assert_eq!(events(&env), [AuditEvent::VaultPasswordWrong, AuditEvent::LocalReleased]);
}

#[test]
fn the_owner_chooses_among_several_items() {
    let env = TestEnvironment::new();
    env.vault(vec![
        login("Private", "https://example.com", "ann", "one"),
        login("Work", "https://example.com", "ann@work", "two"),
        login("Other", "https://other.test", "eve", "three"),
    ]);
    let mut terminal = env.terminal(&with(&["--field", "password"]));
    terminal.answer(QUESTION, PASSWORD);
    let shown = terminal.answer("Which one? [1-2, N denies] ", "7");
    assert!(shown.contains("2 items are for example.com:"), "{shown}");
    assert!(shown.contains("1  Private (ann)") && shown.contains("2  Work (ann@work)"), "{shown}");
    assert!(!shown.contains("Other"), "{shown}");
    terminal.answer("Which one? [1-2, N denies] ", "2");
    terminal.answer("[y/N] ", "y");
    assert_eq!(terminal.end(), (0, "two\n".to_owned()));

    let mut terminal = env.terminal(&ASK);
    terminal.answer(QUESTION, PASSWORD);
    terminal.answer("Which one? [1-2, N denies] ", "n");
    assert_eq!(terminal.end().0, 6);
}

#[test]
fn nothing_for_the_domain_is_4() {
    let env = TestEnvironment::new();
    env.vault(vec![login("Other", "https://other.test", "eve", "three")]);
    let mut terminal = env.terminal(&ASK);
    terminal.answer(QUESTION, PASSWORD);
    let (code, rest) = terminal.end();
    assert_eq!(code, 4, "{rest}");
    assert!(rest.contains("the vault has nothing for example.com"), "{rest}");
    assert_eq!(audit(&env)[0].outcome.as_deref(), Some("not_found"));
}

#[test]
fn fields_the_item_lacks_are_named_before_the_yes() {
    let env = TestEnvironment::new();
    let mut item = Item::new("example.com");
    item.password = Some(crate::env::secret("hunter2"));
    env.vault(vec![item]);
    let mut terminal = env.terminal(&with(&["--field", "password", "--field", "totp", "--json"]));
    terminal.answer(QUESTION, PASSWORD);
    let shown = terminal.answer("Release password to default? [y/N] ", "y");
    assert!(shown.contains("it has no totp"), "{shown}");
    let (code, rest) = terminal.end();
    let json: serde_json::Value = serde_json::from_str(rest.trim()).unwrap();
    assert_eq!((code, &json["credential"]["password"]), (0, &"hunter2".into()));
    assert_eq!(json["credential"]["totp"], serde_json::Value::Null);
}

#[test]
fn stdin_cannot_approve() {
    let env = prepared();
    let line = r#"yes y | "$DURWARD" request example.com --reason x --mode local > released.txt"#;
    let mut terminal = env.shell(line);
    terminal.answer(QUESTION, PASSWORD);
    terminal.answer("[y/N] ", "n");
    assert_eq!(terminal.end().0, 6);
    assert_eq!(std::fs::read_to_string(env.path("released.txt")).unwrap(), "");
}

#[test]
fn without_a_terminal_it_fails_and_says_why() {
    let env = prepared();
    let finished = env.run_with(&with(&["--json"]), "correct horse\ny\n");
    assert_eq!(finished.json()["error"]["code"], "no_terminal");
    assert_eq!(env.run(&with(&["--agent", "a b"])).code, 64);
    insta::assert_snapshot!("local_no_terminal", env.run(&ASK).screen(&env));
    assert!(!env.path("durward.db").exists(), "nothing was asked, nothing is in the log");
}

#[test]
fn what_cannot_be_written_down_is_not_released() {
    let env = prepared();
    let home = Home::open(env.home()).unwrap();
    let _lock = home.lock().unwrap();
    let mut terminal = env.terminal(&ASK);
    terminal.answer(QUESTION, PASSWORD);
    terminal.answer("[y/N] ", "y");
    let (code, rest) = terminal.end();
    assert_eq!(code, 1, "{rest}");
    assert!(rest.contains("the audit log cannot be written, so nothing is released"), "{rest}");
    assert!(!rest.contains("hunter2"), "{rest}");
}

#[test]
fn a_running_approver_writes_the_log() {
    let env = prepared();
    let mut approver = env
        .command(&["serve", "--listen", "127.0.0.1:0", "--no-control-port"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while env.run(&["status"]).code != 0 {
        assert!(approver.try_wait().unwrap().is_none(), "the approver ended");
    }
    let mut terminal = env.terminal(&ASK);
    terminal.answer(QUESTION, PASSWORD);
    terminal.answer("[y/N] ", "y");
    assert_eq!(terminal.end().0, 0);
    assert_eq!(env.run(&["down"]).code, 0);
    assert!(approver.wait().unwrap().success());
    assert!(events(&env).contains(&AuditEvent::LocalReleased), "{:?}", events(&env));
}

#[test]
fn what_an_agent_says_cannot_draw_on_the_terminal() {
    let env = prepared();
    let mut terminal = env.terminal(&[
        "request",
        "example.com",
        "--mode",
        "local",
        "--reason",
        "fine\u{1b}[2J\u{202e}\nfields  none",
    ]);
    let shown = terminal.answer(QUESTION, "");
    assert!(shown.contains("reason  fine\\u{1b}[2J\\u{202e} fields  none"), "{shown:?}");
    terminal.end();
}

#[test]
fn the_mode_comes_from_flag_then_environment_then_file() {
    let mut env = prepared();
    let ask = ["request", "example.com", "--reason", "x", "--approver", "http://127.0.0.1:9"];
    let remote = |env: &TestEnvironment, more: &[&str]| env.run(&[ask.as_slice(), more].concat()).code == 2;
    assert!(remote(&env, &[]), "remote is the default");
    env.file("config.toml", "mode = \"local\"\n");
    assert!(!remote(&env, &[]));
    env.set("DURWARD_MODE", "remote");
    assert!(remote(&env, &[]));
    assert!(!remote(&env, &["--mode", "local"]));
    env.set("DURWARD_MODE", "elsewhere");
    assert_eq!(env.run(&ask).code, 64);
    let env = prepared();
    env.file("config.toml", "mode = \"elsewhere\"\n");
    assert_eq!(env.run(&ask).code, 64);
}

#[test]
fn run_has_a_local_mode_too() {
    let env = prepared();
    let mut terminal = env.terminal(&[
        "run",
        "--mode",
        "local",
        "--domain",
        "example.com",
        "--env",
        "PW=password",
        "--no-mask",
        "--",
        "sh",
        "-c",
        "echo got $PW; exit 7",
    ]);
    let shown = terminal.answer(QUESTION, PASSWORD);
    assert!(shown.contains("reason  run sh"), "{shown}");
    terminal.answer("[y/N] ", "y");
    assert_eq!(terminal.end(), (7, "got hunter2\n".to_owned()));
}

#[test]
fn nothing_to_release_is_4_and_no_question() {
    let env = prepared();
    let mut terminal = env.terminal(&with(&["--field", "totp"]));
    terminal.answer(QUESTION, PASSWORD);
    let (code, rest) = terminal.end();
    assert_eq!(code, 4, "{rest}");
    assert!(rest.contains("Example (ann) has no totp") && !rest.contains("Release"), "{rest}");
    assert_eq!(events(&env), [AuditEvent::LocalDenied]);
}

#[test]
fn what_is_about_an_approver_is_refused() {
    let mut env = prepared();
    for option in [
        ["--no-wait"].as_slice(),
        &["--wait", "3"],
        &["--expires", "15m"],
        &["--pair"],
        &["--scope-domain", "example.com"],
        &["--approver", "http://127.0.0.1:9"],
    ] {
        let finished = env.run(&with(option));
        assert_eq!(finished.code, 64);
        let said = format!("{} is about an approver", option[0]);
        assert!(finished.stderr.contains(&said), "{}", finished.stderr);
    }
    env.set("DURWARD_APPROVER", "http://127.0.0.1:9");
    let finished = env.run(&ASK);
    assert!(finished.stderr.contains("local mode asks the owner on the terminal"), "{}", finished.stderr);
}

#[test]
fn the_name_and_the_item_count() {
    let env = TestEnvironment::new();
    env.vault(vec![
        login("Private", "https://example.com", "ann", "one"),
        login("Work", "https://example.com", "ann@work", "two"),
    ]);
    let listed = env.run_with(&["vault", "list", "--json", "--password-stdin"], PASSWORD).json();
    let work = listed["items"].as_array().unwrap().iter().find(|item| item["name"] == "Work").unwrap();
    let id = work["id"].as_str().unwrap();
    let mut terminal = env.terminal(&with(&["--name", "Flight Bot", "--item", id, "--field", "password"]));
    let shown = terminal.answer(QUESTION, PASSWORD);
    assert!(shown.contains("agent   Flight Bot (default)"), "{shown}");
    terminal.answer("Release password to Flight Bot (default)? [y/N] ", "y");
    assert_eq!(terminal.end(), (0, "two\n".to_owned()));
    let mut terminal = env.terminal(&with(&["--item", "nonsense"]));
    terminal.answer(QUESTION, PASSWORD);
    assert_eq!(terminal.end().0, 4);
}
