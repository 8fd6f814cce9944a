//! `durward request`

use durward_protocol::ErrorCode;
use durward_testkit::approver::Owner;

use crate::bench::Bench;

const ASK: [&str; 4] = ["request", "example.com", "--reason", "Book the flight"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [ASK.as_slice(), more].concat()
}

#[tokio::test]
async fn the_first_time_shows_a_code_and_then_the_credential() {
    let bench = Bench::new().await;
    let first = bench.pair_and(&ASK).await;
    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(first.stdout, "username: username of example.com\npassword: password of example.com\n");
    assert!(first.stderr.contains("Type it at the approver (http://127.0.0.1:"), "{}", first.stderr);
    assert!(first.stderr.contains("Paired. Both ends show: "), "{}", first.stderr);
    let second = bench.run(&ASK).await;
    assert_eq!((second.code, second.stdout.as_str()), (0, first.stdout.as_str()));
    assert!(!second.stderr.contains("Type it"), "{}", second.stderr);
}

#[tokio::test]
async fn one_field_is_its_value_and_json_is_one_object() {
    let bench = Bench::paired().await;
    let one = bench.run(&with(&["--field", "password"])).await;
    assert_eq!(one.stdout, "password of example.com\n");
    let json = bench.run(&with(&["--json", "--field", "totp", "--field", "custom:pin"])).await;
    let expected = serde_json::json!({
        "success": true,
        "credential": {
            "username": null, "password": null, "totp": "totp of example.com", "uri": null, "notes": null,
            "custom": { "pin": "custom:pin of example.com" },
            "credentialId": "", "domain": "example.com",
        },
    });
    assert_eq!(json.json(), expected);
}

#[tokio::test]
async fn exit_codes_are_the_published_ones() {
    let bench = Bench::paired().await;
    for (owner, exit, code) in [
        (Owner::Denies("not now".into()), 6, "denied"),
        (Owner::Denies("policy".into()), 9, "denied_by_rule"),
        (Owner::Denies("agent_paused".into()), 9, "agent_paused"),
        (Owner::HasNothing, 4, "not_found"),
        (Owner::Approves, 0, ""),
    ] {
        bench.approver().owner = owner;
        let finished = bench.run(&with(&["--json"])).await;
        assert_eq!(finished.code, exit, "{finished:?}");
        let json = finished.json();
        assert_eq!(json["success"], exit == 0);
        assert_eq!(json["error"]["code"].as_str().unwrap_or_default(), code);
    }
    for (code, exit) in [
        (ErrorCode::OutOfScope, 9),
        (ErrorCode::AgentPaused, 9),
        (ErrorCode::RateLimited, 10),
        (ErrorCode::SessionNotFound, 3),
        (ErrorCode::VaultLocked, 8),
        (ErrorCode::BadEnvelope, 3),
    ] {
        bench.approver().failures = vec![code];
        let finished = bench.run(&with(&["--json"])).await;
        assert_eq!(finished.code, exit, "{finished:?}");
        assert_eq!(finished.json()["error"]["code"], code.as_str());
    }
    assert_eq!(bench.run(&ASK).await.code, 0, "no plain answer made the agent forget");
}

#[tokio::test]
async fn a_wrong_code_is_exit_5_and_makes_no_other_code() {
    let bench = Bench::new().await;
    let wrong = |code: &str| if code == "111111" { "222222".to_owned() } else { "111111".to_owned() };
    let finished = bench.pair_typing(&ASK, wrong).await;
    assert_eq!(finished.code, 5, "{finished:?}");
    assert_eq!(finished.stderr.matches("Type it at the approver").count(), 1);
    assert_eq!(finished.stderr.matches("the confirmation does not match").count(), 1, "{}", finished.stderr);
}

#[tokio::test]
async fn nobody_there_says_what_to_start() {
    let bench = Bench::new().await;
    let finished = bench.run(&with(&["--approver", "http://127.0.0.1:9"])).await;
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stderr.contains("cannot connect to the approver at http://127.0.0.1:9"), "{finished:?}");
    assert!(finished.stderr.contains("start the approver with `durward up`"), "{finished:?}");
}

#[tokio::test]
async fn wrong_usage_is_64() {
    let bench = Bench::new().await;
    for arguments in [
        vec!["request"],
        vec!["request", "example.com"],
        vec!["request", "a b", "--reason", "x"],
        with(&["--field", "pin"]),
        with(&["--approver", "ftp://x"]),
        with(&["--agent", "../x"]),
        with(&["--scope-uses", "0"]),
        with(&["--expires", "25h"]),
        with(&["--wait", "2 weeks"]),
        with(&["--item", ""]),
        with(&["--no-wait", "--wait", "3"]),
        vec!["request", "example.com", "--reason", " "],
    ] {
        let finished = bench.run(&arguments).await;
        assert_eq!(finished.code, 64, "{arguments:?} {finished:?}");
    }
    assert_eq!(bench.approver().calls, 0);
}

#[tokio::test]
async fn a_request_handed_in_is_waited_for_later() {
    let bench = Bench::paired().await;
    bench.approver().owner = Owner::IsSilent;
    let handed = bench.run(&with(&["--no-wait", "--json"])).await;
    assert_eq!((handed.code, handed.json()["error"]["code"].as_str()), (11, Some("pending")));
    let listed = bench.run(&["agent", "requests", "list", "--json"]).await;
    let id = listed.json()["requests"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(handed.json()["error"]["request_id"].as_str(), Some(id.as_str()));
    assert!(!handed.stderr.contains("error"), "it is what was asked for: {}", handed.stderr);
    assert!(handed.stderr.contains(&format!("durward agent requests wait {id}")), "{}", handed.stderr);

    let later = bench.run(&["agent", "requests", "wait", &id, "--wait", "0s", "--json"]).await;
    assert_eq!((later.code, later.json()["error"]["request_id"].as_str()), (11, Some(id.as_str())));
    bench.approver().owner = Owner::Approves;
    let waited = bench.run(&["agent", "requests", "wait", &id]).await;
    assert_eq!(waited.stdout, "username: username of example.com\npassword: password of example.com\n");
    assert_eq!(bench.run(&["agent", "requests", "wait", &id]).await.code, 4, "it is over");
    assert_eq!(bench.approver().prompts.len(), 2, "one of them was the first pairing's");
}

#[tokio::test]
async fn a_request_can_be_taken_back() {
    let bench = Bench::paired().await;
    bench.approver().owner = Owner::IsSilent;
    bench.run(&with(&["--no-wait"])).await;
    let listed = bench.run(&["agent", "requests", "list", "--json"]).await;
    let id = listed.json()["requests"][0]["id"].as_str().unwrap().to_owned();
    let cancelled = bench.run(&["agent", "requests", "cancel", &id, "--json"]).await;
    assert_eq!(cancelled.json(), serde_json::json!({ "success": true, "cancelled": true }));
    let listed = bench.run(&["agent", "requests", "list"]).await;
    assert_eq!((listed.stdout.as_str(), listed.stderr.as_str()), ("", "Nothing is waiting.\n"));
}

#[tokio::test]
async fn what_is_asked_for_reaches_the_request() {
    let bench = Bench::paired().await;
    bench.approver().owner = Owner::IsSilent;
    let long = "why ".repeat(500);
    let ask =
        ["request", "example.com", "--reason", &long, "--no-wait", "--expires", "15m", "--item", "work"];
    assert_eq!(bench.run(&ask).await.code, 11);
    let listed = bench.run(&["agent", "requests", "list", "--json"]).await.json();
    let request = &listed["requests"][0];
    assert_eq!((&request["expires_in"], &request["item_id"]), (&900.into(), &"work".into()), "{listed}");
    assert_eq!(request["state"], "open");
    let line = bench.run(&["agent", "requests", "list"]).await.stdout;
    assert_eq!(line.lines().count(), 1);
    assert!(line.chars().count() < 160 && line.contains("\topen\texample.com\twhy why"), "{line}");
    let two = ["run", "--env-file", "env", "--item", "work", "--", "true"];
    std::io::Write::write_all(
        &mut std::fs::File::create(bench.path("env")).unwrap(),
        b"A=durward://a.example/password\nB=durward://b.example/password\n",
    )
    .unwrap();
    assert_eq!(bench.run(&two).await.code, 64, "whose item is it?");
}

#[tokio::test]
async fn an_id_may_begin_with_a_dash() {
    let bench = Bench::paired().await;
    for id in ["-AAAAAAAAAAAAAAAAAAAAA", "--AAAAAAAAAAAAAAAAAAAA", "-hAAAAAAAAAAAAAAAAAAAA"] {
        for command in [["agent", "requests", "wait"].as_slice(), &["receipt", "show"]] {
            let finished = bench.run(&[command, &[id]].concat()).await;
            assert_eq!(finished.code, 4, "{id} {finished:?}");
        }
        let cancelled = bench.run(&["agent", "requests", "cancel", id]).await;
        assert_eq!(cancelled.stderr, "It was not waiting any more.\n", "{id}");
    }
}

#[tokio::test]
async fn wrong_usage_is_json_too() {
    let bench = Bench::new().await;
    for arguments in [vec!["request", "--json"], vec!["agent", "requests", "--json", "nonsense"]] {
        let finished = bench.run(&arguments).await;
        assert_eq!((finished.code, &finished.json()["error"]["code"]), (64, &"usage".into()), "{finished:?}");
        let message = finished.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(!message.contains('\n') && !message.starts_with("error"), "{message}");
    }
    let help = bench.run(&["request", "--json", "--help"]).await;
    assert!(help.code == 0 && help.stdout.contains("Usage:"), "help is no error");
}
