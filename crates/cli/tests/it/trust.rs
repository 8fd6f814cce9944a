//! Receipts, heads, rules and absences, as a person meets them.

use std::fmt::Write as _;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::home::{Daemon, Home, PASSWORD, VAULT_PASSWORD};

const ASK: [&str; 4] = ["request", "example.com", "--reason", "Book the flight"];

/// Asks at this approver; the owner says yes, or a rule does.
fn ask(home: &Home, agent: &Home, daemon: &Daemon, approve: bool) {
    let url = daemon.url();
    let asking = agent.start(&[ASK.as_slice(), &["--approver", &url]].concat());
    if approve {
        home.wait_requests(1);
        let approved = home.approve_first();
        assert_eq!(approved.code, 0, "{approved:?}");
    }
    let got = asking.finish();
    assert_eq!((got.code, got.stdout.contains(PASSWORD)), (0, true), "{got:?}");
}

fn pair(home: &Home, agent: &Home, daemon: &Daemon) {
    let url = daemon.url();
    let asking = agent.start(&[ASK.as_slice(), &["--approver", &url]].concat());
    let code = asking.code();
    home.wait_json(&["pairing"], |list| list["pairings"].get(0).cloned());
    assert_eq!(home.enter(&code).code, 0);
    home.wait_requests(1);
    assert_eq!(home.approve_first().code, 0);
    assert_eq!(asking.finish().code, 0);
}

fn copy_database(home: &Home, from: &str, to: &str) {
    for end in ["", "-wal", "-shm"] {
        let (from, to) = (home.path(&format!("{from}{end}")), home.path(&format!("{to}{end}")));
        let _ = std::fs::remove_file(&to);
        if from.exists() {
            std::fs::copy(from, to).unwrap();
        }
    }
}

fn write(home: &Home, name: &str, text: &str) -> String {
    let path = home.path(name);
    std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
    path.display().to_string()
}

#[test]
fn receipts_are_kept_and_checked_and_a_log_that_was_put_back_shows() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    assert_eq!(agent.run(&["receipt", "list"]).stdout, "");
    pair(&home, &agent, &daemon);
    let listed = agent.run(&["receipt", "list"]).stdout;
    assert!(listed.contains("example.com  approved  by owner  password,username"), "{listed}");
    let raw = agent.run(&["receipt", "show", "1", "--raw"]).stdout;
    let file = write(&agent, "receipt.txt", &raw);
    let good = home.run(&["receipt", "verify", &file, "--reason", "Book the flight"]);
    assert_eq!(good.code, 0, "anywhere: {good:?}");
    assert!(good.stdout.contains("Verdict   approved, by owner\nDomain    example.com\n"), "{good:?}");
    let status = home.json(&["status"]);
    let approver = status["approver_id"].as_str().unwrap();
    let verify = |more: &[&str]| home.run(&[&["receipt", "verify", &file, "--json"], more].concat());
    assert_eq!(verify(&["--signed-by", approver]).code, 0);
    let code = |finished: &crate::home::Finished| (finished.code, finished.json()["error"]["code"].clone());
    let another = verify(&["--signed-by", "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"]);
    assert_eq!(code(&another), (5, Value::from("receipt_of_another")));
    assert_eq!(code(&verify(&["--reason", "Another"])), (5, Value::from("another_reason")));
    let bent = write(&agent, "bent.txt", &raw.replacen('A', "B", 1));
    assert_eq!(code(&home.run(&["receipt", "verify", &bent, "--json"])), (5, Value::from("bad_receipt")));
    assert_eq!(home.run(&["receipt", "verify", "/nowhere"]).code, 4);
    assert_eq!(agent.run(&["receipt", "show", "9"]).code, 4);
    assert_eq!(agent.run(&["receipt", "verify"]).stdout, "1 receipts; signatures and chain hold.\n");
    let shown = agent.run(&["receipt", "show", "1", "--json"]);
    let whole = write(&agent, "receipt.json", &shown.stdout);
    assert_eq!(home.run(&["receipt", "verify", &whole]).code, 0, "with the reason that is in it");

    // A backup is put back: the agent has seen more.
    assert_eq!(home.run(&["audit", "verify"]).code, 0);
    home.run(&["down"]);
    daemon.process.finish();
    copy_database(&home, "durward.db", "backup.db");
    let daemon = home.serve();
    ask(&home, &agent, &daemon, true);
    home.run(&["down"]);
    daemon.process.finish();
    copy_database(&home, "backup.db", "durward.db");
    let daemon = home.serve();
    ask(&home, &agent, &daemon, true);
    let verified = home.run(&["audit", "verify"]);
    assert_eq!(verified.code, 1, "{verified:?}");
    assert!(verified.stdout.contains(" has seen: "), "{verified:?}");
    let log = home.run(&["audit", "tail", "-n", "200"]).stdout;
    assert!(log.contains("heads_differ") && log.contains("lost with power"), "{log}");
    let checked = agent.run(&["receipt", "verify"]);
    assert!([0, 1].contains(&checked.code), "{checked:?}"); // what came within five seconds may have overtaken
    assert_eq!(home.run(&["audit", "acknowledge"]).code, 0);
    assert_eq!(home.run(&["audit", "verify"]).code, 0);
    home.run(&["down"]);
    daemon.process.finish();
    let stopped = home.run(&["audit", "verify", "--json"]).json();
    assert_eq!(stopped["ok"], true, "{stopped}");
}

#[test]
fn three_approvals_suggest_a_rule_and_replay_says_what_rules_would_change() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    pair(&home, &agent, &daemon);
    assert_eq!(home.run(&["policy", "suggestions", "accept", "1"]).code, 4);
    for _ in 0..2 {
        ask(&home, &agent, &daemon, true);
    }
    let listed = home.run(&["policy", "suggestions"]).stdout;
    assert!(listed.contains("example.com only  username, password  approved 3 times"), "{listed}");

    // Before: what would rules have done?
    let draft = "[[rule]]\ndomain = \"example.com\"\nfields = [\"totp\"]\nverdict = \"deny\"\n\n\
        [[rule]]\ndomain = \"example.com\"\nverdict = \"allow\"\n";
    let draft = write(&home, "draft.toml", draft);
    let replayed = home.json(&["policy", "replay", "--since", "1d", &draft]);
    assert_eq!(
        (&replayed["requests"], &replayed["changed"]),
        (&Value::from(3), &Value::from(3)),
        "{replayed}"
    );
    assert_eq!(replayed["list"][0]["was"], "approved by the owner");
    assert_eq!(replayed["list"][0]["now"], "released by a rule");
    let nothing = home.run(&["policy", "replay", "--since", "30d"]).stdout;
    assert_eq!(nothing, "3 requests, 0 would go another way.\n");

    let policy =
        write(&home, "policy.toml", "# Mine.\n[[rule]]\ndomain = \"bank.example\"\nverdict = \"deny\"\n");
    let accepted = home.run(&["policy", "suggestions", "accept", "1", "--days", "2"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert!(accepted.stdout.contains("It counts from now on."), "{accepted:?}");
    let written = std::fs::read_to_string(&policy).unwrap();
    assert!(written.starts_with("# Mine.\n[[rule]]\ndomain = \"bank.example\""), "{written}");
    assert!(written.contains("after 3 approvals.\n[[rule]]\nagent = \"agent-"), "{written}");
    assert_eq!(home.run(&["policy", "check"]).code, 0);
    let unlocked = home.run_with(&["unlock", "--for", "5m", "--password-stdin"], VAULT_PASSWORD);
    assert_eq!(unlocked.code, 0, "{unlocked:?}");
    ask(&home, &agent, &daemon, false);
    let listed = agent.run(&["receipt", "list"]).stdout;
    assert!(listed.contains("approved  by policy"), "{listed}");
    assert!(home.run(&["policy", "suggestions"]).stdout.starts_with("Nothing is suggested"));

    // A rule that comes while something waits takes effect at once, by a signal too.
    home.run(&["lock"]);
    let url = daemon.url();
    let waiting = agent.start(&["request", "db.internal", "--reason", "Nightly", "--approver", &url]);
    home.wait_requests(1);
    write(
        &home,
        "policy.toml",
        &format!("[[rule]]\ndomain = \"db.internal\"\nverdict = \"deny\"\n\n{written}"),
    );
    daemon.process.signal(Signal::SIGHUP);
    assert_eq!(waiting.finish().code, 9, "refused by a rule");
    write(&home, "policy.toml", "[[rule]]\nverdict = \"dney\"\n");
    daemon.process.signal(Signal::SIGHUP);
    daemon.process.stderr.wait_for("the policy has a mistake");
    assert!(home.run(&["policy", "show"]).stdout.contains("deny  domain db.internal"));
}

#[test]
fn policy_test_says_which_rule_decides_and_why() {
    let home = Home::empty();
    let rules = "zone = \"Europe/Berlin\"\n\n[[rule]]\nagent = \"ci-*\"\ndomain = \"git.example\"\n\
        fields = [\"username\", \"password\"]\ndays = [\"mon-fri\"]\nhours = [\"08:00-18:00\"]\nverdict = \"allow\"\n";
    let wrong = write(&home, "wrong.toml", rules);
    let checked = home.run(&["policy", "check", &wrong]);
    assert_eq!((checked.code, checked.stderr.contains("line 8")), (64, true), "{checked:?}");
    let rules = rules.replace("[\"08:00-18:00\"]", "\"08:00-18:00\"\nper_hour = 3")
        + "\n[[rule]]\ndomain = \"git.example\"\nverdict = \"deny\"\n";
    let file = write(&home, "rules.toml", &rules);
    let test = |more: &[&str]| {
        let asked = ["policy", "test", &file, "--agent", "ci-7", "--domain", "git.example"];
        home.run(&[asked.as_slice(), more].concat())
    };
    let mut shown = String::new();
    for more in [
        vec!["--at", "2026-11-23T16:59:00Z"],
        vec!["--at", "2026-11-23T17:00:00Z", "--all"],
        vec!["--at", "2026-07-24T15:59:00Z", "--released", "3"],
        vec!["--at", "2026-11-23T12:00:00Z", "--without-yes"],
        vec!["--at", "2026-11-23T12:00:00Z", "--field", "totp", "--json"],
        vec!["--at", "noon"],
    ] {
        let finished = test(&more);
        writeln!(shown, "$ policy test … {}\n{}", more.join(" "), finished.shown()).unwrap();
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn who_comes_back_hears_what_happened() {
    let (home, agent) = (Home::with_vault(), Home::empty());
    let daemon = home.serve();
    pair(&home, &agent, &daemon);
    assert!(home.json(&["status"])["away"].is_null(), "nobody was here yet");
    let mut approver = home.approve();
    approver.stdout.wait_for("Waiting for agents");
    assert!(home.json(&["status"])["away"].is_null(), "here now");
    approver.close_stdin();
    approver.finish();
    home.wait_json(&["status"], |status| status.get("away").filter(|away| away.is_object()).cloned());
    let url = daemon.url();
    let ask = [ASK.as_slice(), &["--approver", &url]].concat();
    let waiting = agent.start(&ask);
    home.wait_requests(1);
    assert_eq!(home.json(&["status"])["away"]["waiting"], 1);
    let status = home.run(&["status"]).stdout;
    assert!(status.contains("away      1 waiting since "), "{status}");
    let shown = home.run(&["requests", "show", "1"]).stdout;
    assert!(shown.contains("Book the flight"), "{shown}");
    let mut approver = home.approve();
    approver.stderr.wait_for("While you were away: 1 waiting since ");
    approver.stdout.wait_for("Release it?");
    approver.say("n\n");
    assert_eq!(waiting.finish().code, 6);
    approver.close_stdin();
    approver.finish();
    // A request waits over a restart of the approver, and one command from any terminal decides it.
    let patient = agent.start(&[ask.as_slice(), &["--no-wait"]].concat()).finish();
    assert_eq!(patient.code, 11, "{patient:?}");
    home.run(&["down"]);
    daemon.process.finish();
    let daemon = home.serve();
    home.wait_requests(1);
    let only = ["requests", "approve", "1", "--fields", "password", "--password-stdin"];
    let approved = home.run_with(&only, &format!("{VAULT_PASSWORD}\n"));
    assert_eq!(
        (approved.code, approved.stdout.ends_with(" for example.com: password.\n")),
        (0, true),
        "{approved:?}"
    );
    drop(daemon);
}
