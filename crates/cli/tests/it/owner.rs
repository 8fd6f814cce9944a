//! The owner's commands, one after the other, as a person types them.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use durward_protocol::SecretString;
use durward_vault::{BuiltinVault, Item};
use insta::assert_snapshot;

use crate::home::{Finished, Home, PASSWORD, VAULT_PASSWORD};
use crate::terminal::on_a_terminal;

/// Ids, times, words, ports and paths, which differ from run to run.
fn settings(home: &Home) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(&home.folder().display().to_string(), "[home]");
    settings.add_filter(r"(sess|pair|grant)_[A-Za-z0-9_-]{22}", "[$1]");
    settings.add_filter(r"agent-[a-z2-7]{8}", "[agent]");
    settings.add_filter(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "[time]");
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?Z", "[time]");
    settings.add_filter(r"until \d\d:\d\dZ", "until [time]");
    settings.add_filter(r"127\.0\.0\.1:\d+", "[address]");
    settings.add_filter(r"pid \d+", "pid [pid]");
    settings.add_filter(r#""pid":\d+"#, r#""pid":[pid]"#);
    settings.add_filter(r#""fingerprint":"[a-z -]+""#, r#""fingerprint":"[words]""#);
    settings.add_filter(r"(Key      |show: )[a-z -]+", "$1[words]");
    settings.add_filter(r"(\[time\] +\d+ +)[a-z-]+( [a-z-]+){4}", "$1[words]");
    settings.add_filter(r#""request_id":"[^"]+""#, r#""request_id":"[request]""#);
    settings.add_filter(r#"\\"request_id\\":\\"[^"]+""#, r#"\"request_id\":\"[request]\""#);
    settings.add_filter(r#""hash":"[0-9a-f]{64}""#, r#""hash":"[hash]""#);
    settings.add_filter(r"  \d\d:\d\dZ", "  [time]");
    settings.add_filter(r"\b\d+ (s|min)( ago| left|  )", "[n] [unit]$2");
    settings.add_filter(r"\d+ records", "[n] records");
    settings.add_filter(r#"records":\d+"#, r#"records":[n]"#);
    settings.add_filter(r#""item_id":"[^"]+""#, r#""item_id":"[item]""#);
    settings.add_filter(r"item [A-Za-z0-9_-]{20,}", "item [item]");
    settings.add_filter(r#""approver_id":"[^"]+""#, r#""approver_id":"[approver]""#);
    settings.add_filter(r"approver  [A-Za-z0-9_-]{43}", "approver  [approver]");
    settings.add_filter(r#""number":\d+"#, r#""number":[number]"#);
    settings.add_filter(r"(?m)^ \d{1,2}( +\[agent\])", " [n]$1");
    settings.add_filter(r" {2,}", "  ");
    settings.add_filter(r"[0-9a-f]{8}\.\.\.[0-9a-f]{8}", "[key]");
    settings.add_filter(r#""(device_id|public_key|signing_key)":"[^"]+""#, r#""$1":"[$1]""#);
    settings.add_filter(r"0\.\d+\.\d+", "[version]");
    settings
}

#[test]
fn a_day_at_the_approver() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let bound = settings(&home).bind_to_scope();
    let daemon = home.serve_with(&["--device-name", "laptop"]);
    let mut shown = String::new();
    let mut show = |arguments: &[&str], finished: Finished| {
        let _ = writeln!(shown, "$ durward {}\n{}", arguments.join(" "), finished.shown());
    };
    let mut run = |arguments: &[&str]| {
        let finished = home.run(arguments);
        show(arguments, finished);
        let json = [arguments, &["--json"]].concat();
        let finished = home.run(&json);
        show(&json, finished);
    };
    for empty in [["status"], ["pairing"], ["sessions"], ["requests"], ["grants"]] {
        run(&empty);
    }
    run(&["pairing", "close"]);
    let url = daemon.url();
    let ask = ["request", "example.com", "--reason", "Book the flight", "--approver", &url];
    let closed = agent.run(&ask);
    assert_eq!(closed.code, 9, "{closed:?}");
    run(&["pairing", "open"]);

    let refused = agent.start(&ask);
    let number = refused.code().split_once('-').unwrap().0.to_owned();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    run(&["pairing", "list"]);
    assert_eq!(home.run(&["pairing", "refuse", &number]).stdout, "Refused 1.\n");
    assert_eq!(refused.finish().code, 3);

    let asking = agent.start(&ask);
    let code = asking.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    let entered = home.run_with(&["pairing", "enter", "--code-stdin"], &format!("{code}\n"));
    assert_eq!(entered.code, 0, "{entered:?}");
    home.wait_requests(1);
    run(&["sessions", "list"]);
    run(&["requests", "list"]);
    run(&["requests", "show", "1"]);
    run(&["requests", "approve", "1"]); // no terminal, no password
    let wrong = home.run_with(&["requests", "approve", "1", "--password-stdin"], "wrong\n");
    assert_eq!(wrong.code, 8, "{wrong:?}");
    let approve = ["requests", "approve", "1", "--uses", "3", "--password-stdin"];
    let approved = home.run_with(&approve, &format!("{VAULT_PASSWORD}\n"));
    assert_eq!(approved.code, 0, "{approved:?}");
    assert!(approved.stdout.ends_with(" for example.com: username, password.\n"), "{approved:?}");
    let got = asking.finish();
    assert_eq!(got.code, 0, "{got:?}");
    run(&["grants", "list"]);
    let unlocked = home.run_with(&["unlock", "--for", "5m", "--password-stdin"], VAULT_PASSWORD);
    assert_eq!(unlocked.code, 0, "{unlocked:?}");
    let granted = agent.run(&ask);
    assert_eq!((granted.code, granted.stdout.contains(PASSWORD)), (0, true), "under the grant: {granted:?}");
    run(&["lock"]);
    run(&["grants", "end", "1"]);
    run(&["status"]);
    run(&["audit", "tail"]);
    run(&["audit", "verify"]);
    run(&["sessions", "revoke", "1"]);
    let revoked = agent.run(&ask);
    assert_eq!(revoked.code, 3, "{revoked:?}");
    run(&["down"]);
    assert_eq!(daemon.process.finish().code, 0);
    assert_snapshot!(shown);
    drop(bound);
}

/// Each of them says what happened, what to do, and exits with the published code.
/// Which items match is known once the vault was asked; then `show` lists them and `--item` takes their number.
#[test]
fn several_items_match() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let vault = BuiltinVault::at(home.path("vault.age")).with_work_factor_for_tests(1);
    let work = |items: &mut durward_vault::Items| {
        let mut item = Item::new("Work");
        item.uris.push("example.com".to_owned());
        item.username = Some(SecretString::new("ada@work".to_owned()));
        item.password = Some(SecretString::new("wI3!rT6#yU8$oP1^".to_owned()));
        items.add(item, &mut rand::rng(), time::OffsetDateTime::UNIX_EPOCH).map(drop)
    };
    while let Err(error) = vault.edit(&SecretString::new(VAULT_PASSWORD.to_owned()), work) {
        assert!(matches!(error, durward_vault::Error::Busy { .. }), "{error}");
        std::thread::yield_now();
    }
    let daemon = home.serve();
    let ask = ["request", "example.com", "--reason", "Book it", "--approver", &daemon.url()];
    let asking = agent.start(&ask);
    let code = asking.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    home.wait_requests(1);
    let approve = |more: &[&str]| {
        let arguments = [&["requests", "approve", "1", "--password-stdin"], more].concat();
        home.run_with(&arguments, &format!("{VAULT_PASSWORD}\n"))
    };
    let before = home.run(&["requests", "show", "1"]);
    assert!(!before.stdout.contains("Items"), "the vault was not asked yet: {before:?}");
    let several = approve(&[]);
    assert_eq!(several.code, 64, "{several:?}");
    let shown = home.run(&["requests", "show", "1"]);
    for said in
        ["Asked    ", " left\n", "Items    1  ", "  Work (ada@work)  ", "  example.com (ada.lovelace@"]
    {
        assert!(shown.stdout.contains(said), "{said}: {shown:?}");
    }
    assert!(several.stderr.contains("--item 1  ") && several.stderr.contains("--item 2  "), "{several:?}");
    let none = approve(&["--item", "3"]);
    assert_eq!(none.code, 4, "{none:?}");
    let number = if shown.stdout.lines().any(|line| line.contains("1  Work")) { "1" } else { "2" };
    let approved = approve(&["--item", number]);
    assert_eq!(approved.code, 0, "{approved:?}");
    let got = asking.finish();
    assert!(got.code == 0 && got.stdout.contains("ada@work"), "{got:?}");
}

/// A number is a place in a list that changes: the answer says which request it was, and an exit code whether anything left.
#[test]
fn an_answer_names_its_request_and_tells_a_release_from_none() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve_quietly();
    let url = daemon.url();
    let ask = |domain: &str, field: &str| {
        agent.start(&["request", domain, "--reason", "x", "--field", field, "--approver", &url])
    };
    let first = ask("example.com", "totp");
    let code = first.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    let waiting = home.wait_requests(1);
    let agent_id = waiting[0]["agent_id"].as_str().unwrap().to_owned();
    assert_eq!(home.run_with(&["unlock", "--password-stdin"], VAULT_PASSWORD).code, 0);

    let other = home.run(&["requests", "approve", "1", "--field", "password"]);
    assert_eq!(other.code, 64, "{other:?}");
    assert!(other.stderr.contains(&format!("{agent_id} does not ask for password")), "{other:?}");
    assert!(other.stderr.contains("it asks for totp"), "{other:?}");

    let id = waiting[0]["request_id"].as_str().unwrap();
    let none = home.run(&["requests", "approve", id]);
    assert_eq!((none.code, none.stdout.as_str()), (4, ""), "{none:?}");
    let said = format!("Released nothing to {agent_id} for example.com: the item has no totp");
    assert!(none.stderr.contains(&said), "{none:?}");
    first.finish();

    let second = ask("nowhere.example", "password");
    home.wait_requests(1);
    let nothing = home.run(&["requests", "approve", "1", "--json"]);
    assert_eq!(nothing.code, 4, "{nothing:?}");
    assert_eq!(nothing.json()["error"]["code"], "not_found", "{nothing:?}");
    assert!(nothing.stderr.contains("Nothing in the vault matches nowhere.example"), "{nothing:?}");
    second.finish();

    let third = ask("db.internal", "password");
    home.wait_requests(1);
    let denied = home.json(&["requests", "deny", "1"]);
    for (key, value) in [("verdict", "denied"), ("domain", "db.internal"), ("agent_id", agent_id.as_str())] {
        assert_eq!(denied[key], value, "{denied}");
    }
    assert_eq!(denied["success"], true);
    third.finish();
    let gone = home.run(&["requests", "deny", "1"]);
    assert_eq!(gone.code, 4, "{gone:?}");
    let revoked = home.run(&["sessions", "revoke", "1"]);
    assert!(revoked.stdout.contains(&agent_id), "{revoked:?}");
    assert_eq!(home.run(&["sessions", "revoke", "--all"]).stdout, "There was no session to revoke.\n");
}

/// On a terminal what has the number now is shown, and a no releases nothing.
#[test]
fn a_number_typed_on_a_terminal_is_shown_and_asked_about() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve_quietly();
    let asking = agent.start(&["request", "example.com", "--reason", "Book it", "--approver", &daemon.url()]);
    let code = asking.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    home.wait_requests(1);
    assert_eq!(home.run_with(&["unlock", "--password-stdin"], VAULT_PASSWORD).code, 0);
    for (answer, end) in [("n", "nothing was released"), ("y", "Released to ")] {
        let mut approve = on_a_terminal(&home, &["requests", "approve", "1"]);
        let shown = approve.exp_string("Release it? [y/N]").unwrap();
        assert!(shown.contains("example.com") && shown.contains("Book it"), "{shown}");
        approve.send_line(answer).unwrap();
        approve.exp_string(end).unwrap();
        approve.exp_eof().unwrap();
    }
    assert_eq!(asking.finish().code, 0);
}

/// A process that was suspended answers nothing: that is said, and how it goes on.
#[test]
fn a_suspended_approver_is_said_to_be_silent() {
    let home = Home::with_vault();
    let daemon = home.serve_quietly();
    daemon.process.signal(nix::sys::signal::Signal::SIGSTOP);
    let status = home.run(&["status", "--json"]);
    daemon.process.signal(nix::sys::signal::Signal::SIGCONT);
    assert_eq!((status.code, &status.json()["error"]["code"]), (2, &"not_answering".into()), "{status:?}");
    let pid = daemon.process.child.id();
    for said in [format!("pid {pid}, does not answer: is it suspended?"), format!("kill -CONT {pid}")] {
        assert!(status.stderr.contains(&said), "{said}: {status:?}");
    }
    assert_eq!(home.run(&["status"]).code, 0);
}

/// The place of a mistake is shown as the lines it is.
#[test]
fn a_mistake_in_a_file_is_shown_where_it_is() {
    let home = Home::with_vault();
    let _daemon = home.serve_quietly();
    home.put("policy.toml", "[[rule]]\nverdikt = \"allow\"\n");
    home.put("config.toml", "[server]\nlisen = 1\n");
    for (arguments, key) in [
        (vec!["policy", "reload"], "verdikt"),
        (vec!["policy", "check"], "verdikt"),
        (vec!["config", "check"], "lisen"),
    ] {
        let wrong = home.run(&arguments);
        assert_eq!(wrong.code, 64, "{wrong:?}");
        assert!(wrong.stderr.contains(&format!("unknown field `{key}`")), "{wrong:?}");
        assert!(wrong.stderr.contains(&format!("\n2 | {key} = ")), "its own line: {wrong:?}");
        assert!(!wrong.stderr.contains("does not have the fields"), "{wrong:?}");
    }
}

#[test]
fn without_an_approver_each_command_says_what_to_start() {
    let home = Home::empty();
    for arguments in [
        vec!["status"],
        vec!["approve"],
        vec!["down"],
        vec!["pairing"],
        vec!["pairing", "close"],
        vec!["sessions"],
        vec!["sessions", "revoke", "--all"],
        vec!["requests"],
        vec!["requests", "approve", "1"],
        vec!["grants"],
        vec!["grants", "end", "1"],
        vec!["unlock", "--password-stdin"],
        vec!["lock"],
    ] {
        let finished = home.run(&arguments);
        assert_eq!((finished.code, finished.stdout.as_str()), (2, ""), "{arguments:?} {finished:?}");
        assert!(finished.stderr.contains("no approver is running here"), "{finished:?}");
        assert!(finished.stderr.contains("start the approver with `durward up`"), "{finished:?}");
        if arguments != ["approve"] {
            let finished = home.run(&[arguments.as_slice(), &["--json"]].concat());
            assert_eq!(finished.json()["error"]["code"], "not_running", "{arguments:?}");
        }
    }
    let log = home.run(&["audit"]);
    assert!([0, 4].contains(&log.code), "{log:?}");
}

#[test]
fn mistakes() {
    let home = Home::with_vault();
    let bound = settings(&home).bind_to_scope();
    let _daemon = home.serve();
    let mut shown = String::new();
    for (arguments, input) in [
        (vec!["pairing", "enter"], ""),
        (vec!["pairing", "enter", "--code-stdin"], "123456\n"),
        (vec!["pairing", "enter", "--code-stdin"], "12-12345\n"),
        (vec!["pairing", "enter", "--code-stdin"], ""),
        (vec!["pairing", "enter", "123456"], ""),
        (vec!["pairing", "refuse"], ""),
        (vec!["pairing", "refuse", "7"], ""),
        (vec!["pairing", "refuse", "0"], ""),
        (vec!["sessions", "revoke"], ""),
        (vec!["sessions", "revoke", "1"], ""),
        (vec!["sessions", "revoke", "1", "--all"], ""),
        (vec!["requests", "approve", "1"], ""),
        (vec!["requests", "deny", "\u{1b}[2J"], ""),
        (vec!["requests", "approve"], ""),
        (vec!["requests", "approve", "1", "--for", "soon"], ""),
        (vec!["grants", "end", "1"], ""),
        (vec!["unlock"], ""),
        (vec!["unlock", "--password-stdin"], "wrong\n"),
        (vec!["unlock", "--for", "2d", "--password-stdin"], "wrong\n"),
        (vec!["audit", "tail", "-n", "0"], ""),
        (vec!["nonsense"], ""),
        (vec![], ""),
    ] {
        let finished = home.run_with(&arguments, input);
        assert_ne!(finished.code, 0, "{arguments:?}");
        let lines: Vec<&str> = finished.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        let _ = writeln!(
            shown,
            "$ durward {}\nexit {}: {}\n",
            arguments.join(" ").escape_debug(),
            finished.code,
            lines[..lines.len().min(2)].join(" / "),
        );
    }
    assert_snapshot!(shown);
    drop(bound);
}

#[test]
fn completions_for_each_shell() {
    let home = Home::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.run(&["completions", shell]);
        assert_eq!(script.code, 0, "{script:?}");
        for word in ["durward", "approve", "pairing", "audit"] {
            assert!(script.stdout.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(home.run(&["completions", "tcsh"]).code, 64);
}

#[test]
fn a_second_server_on_a_folder_is_refused_and_names_the_first() {
    let home = Home::with_vault();
    let daemon = home.serve();
    let second = home.run(&["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains(&format!("pid {}", daemon.process.child.id())), "{second:?}");
    assert!(second.stderr.contains("durward down"), "{second:?}");
    assert_eq!(home.json(&["status"])["pid"], daemon.process.child.id(), "the first goes on");
}

#[test]
fn a_taken_port_names_its_flag() {
    let (home, other) = (Home::with_vault(), Home::with_vault());
    let daemon = home.serve();
    let (agents, control) = (daemon.listen.to_string(), daemon.control.to_string());
    let listen = other.run(&["serve", "--listen", &agents, "--control", "127.0.0.1:0"]);
    assert_eq!(listen.code, 2, "as of spake serve");
    let port = daemon.listen.port().to_string();
    let typed = other.run(&["serve", "--port", &port, "--control", "127.0.0.1:0"]);
    assert!(typed.stderr.contains("choose another port with --port"), "{typed:?}");
    assert!(listen.stderr.contains(&format!("{agents} is taken")), "{listen:?}");
    assert!(listen.stderr.contains("--listen"), "{listen:?}");
    let control_taken = other.run(&["serve", "--listen", "127.0.0.1:0", "--control", &control]);
    assert!(control_taken.stderr.contains("--control"), "{control_taken:?}");
    let everywhere = other.run(&["serve", "--listen", "127.0.0.1:0", "--control", "0.0.0.0:0"]);
    assert!(everywhere.stderr.contains("not a loopback address"), "{everywhere:?}");
    other.serve();
}

#[test]
fn a_folder_that_cannot_be_written_is_said() {
    let home = Home::empty();
    let file = home.path("file");
    drop(std::fs::File::create(&file).unwrap());
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
    let not_a_folder = Home::start_with(home.command(&arguments).env("DURWARD_HOME", &file)).finish();
    assert_eq!(not_a_folder.code, 1, "{not_a_folder:?}");
    assert!(not_a_folder.stderr.contains(&file.display().to_string()), "{not_a_folder:?}");

    let sealed = home.path("sealed");
    std::fs::DirBuilder::new().create(&sealed).unwrap();
    std::fs::set_permissions(&sealed, std::fs::Permissions::from_mode(0o500)).unwrap();
    // Root writes everywhere; /proc takes files from nobody.
    let folder = if nix::unistd::geteuid().is_root() { "/proc/durward".into() } else { sealed.join("x") };
    let refused = Home::start_with(home.command(&arguments).env("DURWARD_HOME", &folder)).finish();
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains(&folder.display().to_string()), "{refused:?}");
}

#[test]
fn what_it_writes_is_private() {
    let home = Home::with_vault();
    let _daemon = home.serve();
    for (name, mode) in [
        ("durward.db", 0o600),
        ("durward.db-wal", 0o600),
        ("keys/rest.key", 0o600),
        ("keys", 0o700),
        ("api.token", 0o600),
        ("pair.token", 0o600),
        ("run", 0o700),
        ("run/control.sock", 0o600),
        ("durward.lock", 0o600),
    ] {
        let metadata = std::fs::metadata(home.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn a_damaged_key_or_database_is_said_and_kept() {
    let home = Home::with_vault();
    let mut daemon = home.serve();
    daemon.process.kill();
    let overwrite = |name: &str, bytes: &[u8]| {
        let mut file = std::fs::OpenOptions::new().write(true).truncate(true).open(home.path(name)).unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
    };
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
    let key = std::fs::read(home.path("keys/rest.key")).unwrap();
    overwrite("keys/rest.key", b"nonsense");
    let refused = home.run(&arguments);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("rest.key does not hold a key"), "{refused:?}");
    overwrite("keys/rest.key", &key);
    let _ = std::fs::remove_file(home.path("durward.db-wal"));
    overwrite("durward.db", &[b'x'; 8192]);
    let refused = home.run(&arguments);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("durward.db: the database is damaged"), "{refused:?}");
    assert_eq!(std::fs::read(home.path("durward.db")).unwrap(), [b'x'; 8192], "nothing was overwritten");
}
