//! Requests: verdicts, waiting, joining, cancelling, revoking, restarts.

use std::time::Duration;

use durward_client::{Agent, Ask, Error, Wait};
use durward_protocol::{ErrorCode, Field};
use durward_testkit::approver::{Owner, value_of};
use durward_testkit::middle::Mischief;

use crate::support::{Bench, domain};

fn ask() -> Ask {
    Ask::new(domain("example.com"), "Book the flight")
}

async fn paired(bench: &Bench) -> Agent {
    let agent = bench.agent("a");
    bench.pair(&agent).await.unwrap();
    agent
}

#[tokio::test]
async fn a_credential_arrives_and_shows_itself_to_nobody() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    let fields = vec![Field::Password, Field::Custom("pin".into())];
    let request = agent.prepare(ask().fields(fields)).unwrap();
    let approval = agent.request(&request, Wait::UntilDecided).await.unwrap();
    let password = approval.credential.get(&Field::Password).unwrap();
    assert_eq!(password.expose_secret(), value_of("example.com", &Field::Password));
    assert!(approval.credential.username.is_none());
    assert!(!format!("{approval:?}").contains("password of"));
    assert!(agent.pending_requests().unwrap().is_empty());
    let middle = bench.middle();
    let seen: Vec<u8> = middle.recorded().flatten().copied().collect();
    assert!(!String::from_utf8_lossy(&seen).contains("password of"));
    assert!(!String::from_utf8_lossy(&seen).contains("Book the flight"));
}

#[tokio::test]
async fn every_verdict_is_its_own_error() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    let ask_with = async |owner: Owner| {
        bench.middle().approver.owner = owner;
        agent.request(&agent.prepare(ask()).unwrap(), Wait::UntilDecided).await
    };
    let denied = ask_with(Owner::Denies("not now".into())).await;
    assert!(
        matches!(&denied, Err(Error::Denied { reason: Some(reason) }) if reason == "not now"),
        "{denied:?}"
    );
    assert_eq!(denied.unwrap_err().to_string(), "the owner denied the request: not now");
    for (reason, code) in [("policy", "denied_by_rule"), ("agent_paused", "agent_paused"), ("no", "denied")] {
        let denied = ask_with(Owner::Denies(reason.into())).await.unwrap_err();
        assert_eq!(denied.code(), code);
        assert_eq!(denied.to_string().contains("the owner denied"), code == "denied", "{denied}");
    }
    assert!(matches!(ask_with(Owner::HasNothing).await, Err(Error::NotFound { .. })));
    assert!(agent.session().is_some());
    assert!(matches!(ask_with(Owner::Denies("session_revoked".into())).await, Err(Error::SessionRevoked)));
    assert!(agent.session().is_none(), "said under the session's own key: certain");
    assert!(bench.agent("a").session().is_none());
}

#[tokio::test]
async fn a_request_outlives_its_process() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    bench.middle().approver.owner = Owner::IsSilent;
    let request = agent.prepare(ask()).unwrap();
    let pending = agent.request(&request, Wait::AtMost(Duration::ZERO)).await;
    assert!(matches!(pending, Err(Error::Pending { id }) if id == request.id), "{pending:?}");

    let later = bench.agent("a");
    assert_eq!(later.pending_requests().unwrap(), std::slice::from_ref(&request));
    let again = later.pending_request(request.id).unwrap();
    let still = later.request(&again, Wait::AtMost(Duration::from_secs(90))).await;
    assert!(matches!(still, Err(Error::Pending { .. })), "{still:?}");
    bench.middle().approver.owner = Owner::Approves;
    later.request(&again, Wait::UntilDecided).await.unwrap();
    assert_eq!(bench.middle().approver.prompts.len(), 1, "the owner was asked once");
    assert!(later.pending_requests().unwrap().is_empty());
    assert!(matches!(later.pending_request(request.id), Err(Error::UnknownRequest)));
}

#[tokio::test]
async fn lost_answers_are_asked_for_again_and_released_once() {
    let bench = Bench::with(vec![
        Mischief::Pass,
        Mischief::Pass,
        Mischief::Pass,
        Mischief::DropAnswer,
        Mischief::DropRequest,
    ])
    .await;
    let agent = paired(&bench).await;
    let request = agent.prepare(ask()).unwrap();
    agent.request(&request, Wait::UntilDecided).await.unwrap();
    assert_eq!(bench.middle().approver.releases, [request.id]);
}

#[tokio::test]
async fn cancelling() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    bench.middle().approver.owner = Owner::IsSilent;
    let request = agent.prepare(ask()).unwrap();
    let _ = agent.request(&request, Wait::AtMost(Duration::ZERO)).await;
    assert!(agent.cancel(request.id).await.unwrap());
    assert!(agent.pending_requests().unwrap().is_empty());
    let after = agent.request(&request, Wait::UntilDecided).await;
    assert!(matches!(after, Err(Error::Cancelled)), "{after:?}");
    assert!(!agent.cancel(request.id).await.unwrap(), "nothing waits any more");
}

#[tokio::test]
async fn revoking_ends_it_at_both_ends() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    agent.revoke().await.unwrap();
    assert!(agent.session().is_none() && bench.agent("a").session().is_none());
    assert!(bench.middle().approver.sessions().is_empty());
    assert!(matches!(agent.revoke().await, Err(Error::NotPaired)));
    assert!(matches!(agent.prepare(ask()), Err(Error::NotPaired)));
}

#[tokio::test]
async fn a_plain_answer_makes_nobody_forget() {
    let lies = ["session_not_found", "pairing_not_found", "unauthorized", "no_such_code"];
    for code in lies {
        let bench = Bench::with(vec![
            Mischief::Pass,
            Mischief::Pass,
            Mischief::Pass,
            Mischief::Lie(404, code),
            Mischief::Lie(404, code),
        ])
        .await;
        let agent = paired(&bench).await;
        let refused = agent.request(&agent.prepare(ask()).unwrap(), Wait::UntilDecided).await;
        assert!(matches!(&refused, Err(Error::Refused { name, .. }) if name == code), "{refused:?}");
        assert!(agent.status().await.is_err());
        assert!(agent.session().is_some() && bench.agent("a").session().is_some());
        agent.request(&agent.prepare(ask()).unwrap(), Wait::UntilDecided).await.unwrap();
    }
}

#[tokio::test]
async fn another_process_paired_anew() {
    let bench = Bench::honest().await;
    let (one, two) = (paired(&bench).await, bench.agent("a"));
    let old = one.session().unwrap().session_id;
    let pairing = crate::support::begin(&two, durward_client::PairingAsk::default()).await.unwrap();
    bench.type_shown_code(&pairing, None);
    pairing.wait().await.unwrap();
    bench.middle().approver.drop_session(&old);
    one.request(&one.prepare(ask()).unwrap(), Wait::UntilDecided).await.unwrap();
    assert_eq!(one.session(), two.session());
}

#[tokio::test]
async fn no_id_looks_like_an_option() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    for _ in 0..1_000 {
        assert!(!agent.prepare(ask()).unwrap().id.to_string().starts_with('-'));
    }
}

#[tokio::test]
async fn old_requests_end_with_their_session() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    bench.middle().approver.owner = Owner::IsSilent;
    let request = agent.prepare(ask()).unwrap();
    let _ = agent.request(&request, Wait::AtMost(Duration::ZERO)).await;
    bench.pair(&agent).await.unwrap();
    let stale = agent.request(&request, Wait::UntilDecided).await;
    assert!(matches!(stale, Err(Error::StaleRequest)), "{stale:?}");
    assert!(agent.pending_requests().unwrap().is_empty());
}

#[tokio::test]
async fn refusals_carry_their_code() {
    let bench = Bench::honest().await;
    let agent = paired(&bench).await;
    bench.clock.advance(Duration::from_mins(10));
    bench.middle().approver.failures = vec![ErrorCode::OutOfScope];
    let refused = agent.request(&agent.prepare(ask()).unwrap(), Wait::UntilDecided).await;
    let Err(Error::Refused { status: 403, code: Some(ErrorCode::OutOfScope), .. }) = refused else {
        panic!("{refused:?}")
    };
}

#[tokio::test]
async fn answers_that_are_none() {
    for (status, body) in [
        (200, b"<html>router login</html>".to_vec()),
        (200, vec![b'x'; 100_000]),
        (418, b"teapot".to_vec()),
        (200, b"[]".to_vec()),
    ] {
        let served = durward_testkit::http::serve(move |_| {
            Some(durward_testkit::approver::Reply { status, body: body.clone() })
        })
        .await
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut config = durward_client::Config::new(folder.path(), folder.path());
        config.approver = Some(served.url().parse().unwrap());
        let agent = Agent::open(config).unwrap();
        let failed = agent.begin_pairing(durward_client::PairingAsk::default()).await.err();
        assert!(
            matches!(failed, Some(Error::BadAnswer { .. } | Error::Refused { status: 418, code: None, .. })),
            "{failed:?}"
        );
    }
}
