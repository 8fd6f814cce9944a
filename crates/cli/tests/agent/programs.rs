//! `durward credential-helper`, and what a hostile approver can make programs print.

use durward_protocol::ErrorCode;
use durward_testkit::approver::Reply;
use durward_testkit::http::serve;

use crate::bench::Bench;

#[tokio::test]
async fn a_hostile_approver_draws_on_no_terminal() {
    let bench = Bench::new().await;
    let words = "gone\u{1b}[2J\u{9b}2J\u{202e}\u{e0041}";
    let body = serde_json::json!({ "error": "pairing_closed", "message": words }).to_string();
    let served = serve(move |_| Some(Reply { status: 403, body: body.clone().into_bytes() })).await.unwrap();
    let url = served.url();
    let docker = ["credential-helper", "docker", "get", "--approver", &url];
    let json = ["request", "example.com", "--reason", "x", "--json", "--approver", &url];
    for arguments in [docker.as_slice(), &json] {
        let finished = bench.run_with_input(arguments, "registry.example\n").await;
        assert_ne!(finished.code, 0);
        assert!(finished.stdout.contains("gone"), "{finished:?}");
        for c in words.chars().skip(4).filter(|c| !c.is_ascii_graphic()) {
            assert!(!finished.stdout.contains(c), "{c:?} in {finished:?}");
            assert!(!finished.stderr.contains(c), "{c:?} in {finished:?}");
        }
    }
    let told = bench.run(&json).await.json();
    assert_eq!(told["error"]["message"], words, "a program reads the very words");
}

#[tokio::test]
async fn pairing_anew_is_for_a_person() {
    let bench = Bench::paired().await;
    bench.approver().failures = vec![ErrorCode::SessionNotFound];
    let question = "protocol=https\nhost=git.example\n\n";
    let gone = bench.run_with_input(&["credential-helper", "git", "get"], question).await;
    assert_eq!(gone.code, 3, "{gone:?}");
    let hint = "run `durward request git.example --reason \"Pair again\" --pair` once, by hand";
    assert!(gone.stderr.contains(hint), "{}", gone.stderr);
}
