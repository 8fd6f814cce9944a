//! `durward agent sessions|status|forget`

use durward_protocol::{Domain, Limits, Scope};

use crate::bench::Bench;

const ASK: [&str; 4] = ["request", "example.com", "--reason", "Book the flight"];

#[tokio::test]
async fn profiles_have_their_own_sessions() {
    let bench = Bench::paired().await;
    let empty = bench.run(&["agent", "status", "--agent", "ci", "--json"]).await;
    assert_eq!((empty.code, empty.json()["error"]["code"].as_str()), (3, Some("not_paired")));
    let arguments = [ASK.as_slice(), &["--agent", "ci", "--scope-domain", "example.com"]].concat();
    assert_eq!(bench.pair_and(&arguments).await.code, 0);
    let listed = bench.run(&["agent", "sessions", "--json"]).await.json();
    let profiles: Vec<&str> =
        listed["sessions"].as_array().unwrap().iter().filter_map(|s| s["profile"].as_str()).collect();
    assert_eq!(profiles, ["ci", "default"]);
    assert_ne!(listed["sessions"][0]["agent_id"], listed["sessions"][1]["agent_id"]);
    assert_eq!(listed["sessions"][0]["agent_name"], "ci");
    let refused = bench.run(&["request", "other.example", "--reason", "x", "--agent", "ci"]).await;
    assert_eq!(refused.code, 9, "{refused:?}");
}

#[tokio::test]
async fn forgetting_ends_the_session_at_both_ends() {
    let bench = Bench::paired().await;
    assert_eq!(bench.run(&["agent", "status"]).await.code, 0);
    assert_eq!(bench.run(&["agent", "forget"]).await.code, 0);
    assert!(bench.approver().sessions().is_empty());
    assert_eq!(bench.run(&["agent", "status"]).await.code, 3);
    let nothing = bench.run(&["agent", "forget"]).await;
    assert_eq!(nothing.code, 0, "nothing to forget is no error");
    assert!(nothing.stderr.contains("nothing to forget"), "{}", nothing.stderr);
    assert_eq!(bench.run(&["agent", "forget", "--json"]).await.json()["forgotten"], false);
}

#[tokio::test]
async fn a_lost_rest_key_says_so_and_can_be_forgotten() {
    let bench = Bench::paired().await;
    std::fs::remove_file(bench.path("agents/.keys/rest.key")).unwrap();
    let lost = bench.run(&ASK).await;
    assert_eq!(lost.code, 3, "{lost:?}");
    assert!(lost.stderr.contains("durward agent forget --local"), "{}", lost.stderr);
    assert_eq!(bench.run(&["agent", "forget", "--local"]).await.code, 0);
    assert_eq!(bench.pair_and(&ASK).await.code, 0);
}

#[tokio::test]
async fn another_approver_is_exit_5() {
    let bench = Bench::paired().await;
    *bench.approver() = durward_testkit::approver::Approver::new(4);
    let gone = bench.run(&ASK).await;
    assert_eq!(gone.code, 3, "{gone:?}");
    assert!(gone.stderr.contains("--pair"), "{}", gone.stderr);
    let again = [ASK.as_slice(), &["--pair"]].concat();
    let stranger = bench.run(&again).await;
    assert_eq!(stranger.code, 5, "{stranger:?}");
    let welcome = [again.as_slice(), &["--new-approver"]].concat();
    assert_eq!(bench.pair_and(&welcome).await.code, 0);
}

#[tokio::test]
async fn the_scope_is_told() {
    let bench = Bench::new().await;
    let domains = Some(vec![Domain::parse("example.com").unwrap()]);
    let granted = Scope::new(&Limits { domains, max_uses: Some(3), expires_in: None }).unwrap();
    let child = bench.command(&ASK).spawn().unwrap();
    let paired = bench.pair_child(child, str::to_owned, Some(granted)).await;
    let narrowed = "The owner narrowed the session: example.com; at most 3 releases\n";
    assert!(paired.stderr.contains(narrowed), "{}", paired.stderr);
    let status = bench.run(&["agent", "status"]).await;
    assert!(status.stdout.contains("scope: example.com; at most 3 releases\n"), "{}", status.stdout);
    let status = bench.run(&["agent", "status", "--json"]).await.json();
    assert_eq!(status["session"]["scope"]["max_uses"], 3);

    // A scope that the session does not keep to, on a profile that is paired.
    let wider = bench.run(&[ASK.as_slice(), &["--scope-uses", "1"]].concat()).await;
    assert!(wider.stderr.contains("This profile is paired already, for: example.com"), "{}", wider.stderr);
    let same = bench.run(&[ASK.as_slice(), &["--scope-domain", "example.com"]].concat()).await;
    assert!(!same.stderr.contains("paired already"), "{}", same.stderr);
}
