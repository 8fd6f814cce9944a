//! Pairing: good, wrong, refused, expired, paused, interrupted.

use std::time::Duration;

use durward_client::{Begun, Error, PairingAsk};
use durward_protocol::{Domain, ErrorCode, Scope};
use durward_testkit::middle::{Key, Mischief};

use crate::support::{Bench, begin};

fn scope(json: &str) -> Scope {
    Scope::parse(&durward_protocol::base64url_encode(json.as_bytes())).unwrap()
}

#[tokio::test]
async fn pairs_and_resumes_from_disk() {
    let bench = Bench::honest().await;
    let agent = bench.agent("a");
    assert!(agent.session().is_none());
    let session = bench.pair(&agent).await.unwrap();
    {
        let middle = bench.middle();
        let live = &middle.approver.sessions()[&session.session_id];
        assert_eq!(live.fingerprint, session.fingerprint);
        assert_eq!(&session.approver_id, middle.approver.id());
    }
    let resumed = bench.agent("a");
    assert_eq!(resumed.session(), Some(session));
    assert!(resumed.status().await.unwrap().active);
    assert_eq!(resumed.profile().agent_id, agent.profile().agent_id, "the random id stays");
    assert!(!bench.profile("a").join("unconfirmed.json").exists());
}

#[tokio::test]
async fn the_code_and_the_keys_stay_here() {
    let bench = Bench::honest().await;
    let agent = bench.agent("a");
    let pairing = begin(&agent, PairingAsk::default()).await.unwrap();
    let shown = pairing.number_code().expose_text();
    let code = shown.expose_secret().split_once('-').unwrap().1.to_owned();
    assert!(!format!("{pairing:?}").contains(&code));
    bench.type_shown_code(&pairing, None);
    pairing.wait().await.unwrap();
    let middle = bench.middle();
    let on_wire: Vec<u8> = middle.recorded().flatten().copied().collect();
    let holds = |haystack: &[u8]| haystack.windows(6).any(|window| window == code.as_bytes());
    assert!(!on_wire.is_empty() && !holds(&on_wire));
    for entry in std::fs::read_dir(bench.profile("a")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!holds(&bytes));
    }
}

#[tokio::test]
async fn a_wrong_code_ends_it_and_five_pause_it() {
    let bench = Bench::honest().await;
    let agent = bench.agent("a");
    for _ in 0..5 {
        let pairing = begin(&agent, PairingAsk::default()).await.unwrap();
        let shown = pairing.number_code().expose_text();
        let wrong = if shown.expose_secret().ends_with("111111") { "222222" } else { "111111" };
        bench.middle().approver.type_code(pairing.number_code().number(), wrong, None);
        assert!(matches!(pairing.wait().await, Err(Error::WrongCode)));
    }
    assert!(agent.session().is_none() && bench.middle().approver.sessions().is_empty());
    let calls = bench.middle().approver.calls;
    let paused = agent.begin_pairing(PairingAsk::default()).await;
    assert!(matches!(paused, Err(Error::PairingPaused { .. })), "{paused:?}");
    assert_eq!(bench.middle().approver.calls, calls, "no code was made, nobody was bothered");
    // Another process, an hour later.
    assert!(matches!(
        bench.agent("a").begin_pairing(PairingAsk::default()).await,
        Err(Error::PairingPaused { .. })
    ));
    bench.clock.advance(Duration::from_hours(1));
    bench.pair(&bench.agent("a")).await.unwrap();
}

#[tokio::test]
async fn successes_are_taken_back() {
    let bench = Bench::honest().await;
    let agent = bench.agent("a");
    for _ in 0..7 {
        bench.pair(&agent).await.unwrap();
    }
}

#[tokio::test]
async fn refused_expired_and_restarted() {
    let bench = Bench::honest().await;
    let agent = bench.agent("a");
    let pairing = begin(&agent, PairingAsk::default()).await.unwrap();
    bench.middle().approver.refuse_all();
    assert!(matches!(pairing.wait().await, Err(Error::PairingRefused)));

    let pairing = begin(&agent, PairingAsk::default()).await.unwrap();
    assert!(matches!(pairing.wait().await, Err(Error::CodeExpired)), "nobody types");

    let pairing = begin(&agent, PairingAsk::default()).await.unwrap();
    pairing.canceller().cancel().await;
    assert!(matches!(pairing.wait().await, Err(Error::PairingEnded)));
}

#[tokio::test]
async fn another_approver_is_refused_unless_welcome() {
    let bench = Bench::honest().await;
    let agent = bench.agent("a");
    bench.pair(&agent).await.unwrap();
    bench.middle().approver = durward_testkit::approver::Approver::new(2);
    let refused = agent.begin_pairing(PairingAsk::default()).await;
    assert!(matches!(refused, Err(Error::ApproverChanged { .. })), "{refused:?}");
    drop(refused);
    let welcome = PairingAsk { accept_new_approver: true, ..PairingAsk::default() };
    let session = bench.pair_scoped(&agent, welcome, None).await.unwrap();
    assert_eq!(agent.profile().approver_id, Some(session.approver_id));
}

#[tokio::test]
async fn scopes_may_be_narrowed_and_never_widened() {
    let bench = Bench::honest().await;
    let agent = bench.agent("a");
    let asked = scope(r#"{"domains":["example.com"],"max_uses":3}"#);
    let narrower = scope(r#"{"domains":["login.example.com"],"max_uses":1}"#);
    let ask = || PairingAsk { scope: asked.clone(), ..PairingAsk::default() };
    let session = bench.pair_scoped(&agent, ask(), Some(narrower.clone())).await.unwrap();
    assert_eq!(session.scope, narrower);
    assert!(!session.scope.covers(&Domain::parse("example.com").unwrap()));
    let wider = scope(r#"{"domains":["com"]}"#);
    let refused = bench.pair_scoped(&agent, ask(), Some(wider)).await;
    assert!(matches!(refused, Err(Error::ScopeWidened)), "{refused:?}");
    assert_eq!(agent.session(), Some(session), "the session before it stays");
}

#[tokio::test]
async fn a_lost_confirm_answer_loses_no_pairing() {
    // initiate, exchange pass; three confirms arrive and their answers do not.
    let lost = vec![
        Mischief::Pass,
        Mischief::Pass,
        Mischief::DropAnswer,
        Mischief::DropAnswer,
        Mischief::DropAnswer,
    ];
    let bench = Bench::with(lost).await;
    let agent = bench.agent("a");
    let failed = bench.pair(&agent).await;
    assert!(failed.as_ref().is_err_and(Error::is_transient), "{failed:?}");
    assert!(agent.session().is_none());
    let later = bench.agent("a");
    let begun = later.begin_pairing(PairingAsk::default()).await.unwrap();
    assert!(matches!(begun, Begun::AlreadyPaired));
    let session = later.session().unwrap();
    assert!(bench.middle().approver.sessions().contains_key(&session.session_id));
}

#[tokio::test]
async fn a_second_process_waits_and_joins() {
    let bench = Bench::honest().await;
    let (first, second) = (bench.agent("a"), bench.agent("a"));
    let pairing = begin(&first, PairingAsk::default()).await.unwrap();
    bench.type_shown_code(&pairing, None);
    let (paired, joined) = tokio::join!(pairing.wait(), second.begin_pairing(PairingAsk::default()));
    assert!(matches!(joined, Ok(Begun::AlreadyPaired)), "{joined:?}");
    assert_eq!(second.session(), Some(paired.unwrap()));
}

#[tokio::test]
async fn stored_keys_are_bound_to_their_row() {
    let bench = Bench::honest().await;
    let (one, two) = (bench.agent("a"), bench.agent("b"));
    bench.pair(&one).await.unwrap();
    bench.pair(&two).await.unwrap();
    let read = |profile: &str| {
        let path = bench.profile(profile).join("session.json");
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (path, json)
    };
    let (path, mut mixed) = read("a");
    mixed["sealed_keys"] = read("b").1["sealed_keys"].clone();
    let mut file = std::fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, mixed.to_string().as_bytes()).unwrap();
    assert!(matches!(bench.try_agent("a"), Err(Error::RestKeyLost)));
    std::fs::remove_file(bench.folder.path().join("keys/rest.key")).unwrap();
    assert!(matches!(bench.try_agent("b"), Err(Error::RestKeyLost)));
}

#[tokio::test]
async fn a_swapped_approver_or_name_fails_the_proof() {
    let other = durward_testkit::approver::Approver::new(9).id().to_string();
    for script in [
        vec![Mischief::ReplaceInAnswer(Key::ApproverId, other)],
        vec![Mischief::Replace(Key::AgentName, "Payroll".into())],
    ] {
        let bench = Bench::with(script).await;
        let failed = bench.pair(&bench.agent("a")).await;
        assert!(matches!(failed, Err(Error::WrongCode)), "{failed:?}");
        assert!(bench.middle().approver.sessions().is_empty());
    }
}

#[tokio::test]
async fn only_transient_failures_are_tried_again() {
    let bench = Bench::honest().await;
    let agent = bench.agent("a");
    bench.middle().approver.failures = vec![ErrorCode::ShuttingDown, ErrorCode::StorageFailed];
    bench.pair(&agent).await.unwrap();
    for (code, tries) in
        [(ErrorCode::ShuttingDown, 3), (ErrorCode::PairingClosed, 1), (ErrorCode::TooManyPairings, 1)]
    {
        let before = bench.middle().approver.calls;
        bench.middle().approver.failures = vec![code; 5];
        let refused = agent.begin_pairing(PairingAsk::default()).await;
        let is_it = matches!(&refused, Err(Error::Refused { code: Some(got), .. }) if *got == code);
        assert!(is_it, "{refused:?}");
        assert_eq!(bench.middle().approver.calls - before, tries, "{code}");
        bench.middle().approver.failures.clear();
    }
}

#[tokio::test]
async fn nobody_there() {
    let bench = Bench::honest().await;
    let mut config = durward_client::Config::new(bench.profile("x"), bench.profile("keys"));
    config.approver = Some("http://127.0.0.1:9".parse().unwrap());
    let agent = durward_client::Agent::open(config).unwrap();
    let failed = agent.begin_pairing(PairingAsk::default()).await;
    assert!(matches!(failed, Err(Error::CannotConnect { .. })), "{failed:?}");
}

fn is_send<T: Send>(_: &T) {}

#[tokio::test]
async fn futures_can_move_between_threads() {
    let bench = Bench::honest().await;
    let agent = bench.agent("a");
    is_send(&agent.begin_pairing(PairingAsk::default()));
    is_send(&agent.revoke());
    is_send(&begin(&agent, PairingAsk::default()).await.unwrap().wait());
}
