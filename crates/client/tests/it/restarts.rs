//! Approvers that go away, come back, and come back elsewhere, while a request waits.

use std::time::Duration;

use durward_client::{Agent, Ask, Error, Wait};
use durward_testkit::approver::Owner;
use durward_testkit::http::RETRY_AFTER_SECONDS;
use durward_testkit::middle::Mischief;

use crate::support::{Bench, domain};

fn ask() -> Ask {
    Ask::new(domain("example.com"), "Book the flight")
}

/// A pairing, a first answer "pending", then this.
async fn bench(after: Vec<Mischief>) -> (Bench, Agent) {
    let script = std::iter::repeat_n(Mischief::Pass, 4).chain(after).collect();
    let bench = Bench::with(script).await;
    let agent = bench.agent("a");
    bench.pair(&agent).await.unwrap();
    bench.middle().approver.owner = Owner::IsSilent;
    (bench, agent)
}

/// Once it has the request, the owner says yes.
async fn say_yes(bench: &Bench) {
    while bench.middle().approver.prompts.is_empty() {
        tokio::task::yield_now().await;
    }
    bench.middle().approver.owner = Owner::Approves;
}

#[tokio::test]
async fn a_wait_outlives_a_restart_of_the_approver() {
    let (bench, agent) = bench(std::iter::repeat_n(Mischief::DropRequest, 9).collect()).await;
    let request = agent.prepare(ask()).unwrap();
    let started = bench.clock.time();
    let (answer, ()) = tokio::join!(agent.request(&request, Wait::UntilDecided), say_yes(&bench));
    answer.unwrap();
    assert!(bench.clock.time() - started < time::Duration::seconds(30));
    assert_eq!(bench.middle().approver.releases, [request.id]);
    assert!(agent.pending_requests().unwrap().is_empty());
}

#[tokio::test]
async fn it_gives_up_after_half_a_minute_and_keeps_the_request() {
    let (bench, agent) = bench(std::iter::repeat_n(Mischief::DropRequest, 100).collect()).await;
    let request = agent.prepare(ask()).unwrap();
    let started = bench.clock.time();
    let lost = agent.request(&request, Wait::UntilDecided).await;
    assert!(matches!(lost, Err(Error::ConnectionLost { .. })), "{lost:?}");
    let took = bench.clock.time() - started;
    assert!((30..40).contains(&took.whole_seconds()), "{took}");
    assert_eq!(agent.pending_requests().unwrap(), std::slice::from_ref(&request));
}

#[tokio::test]
async fn it_waits_no_longer_than_its_caller() {
    let (bench, agent) = bench(std::iter::repeat_n(Mischief::DropRequest, 100).collect()).await;
    let request = agent.prepare(ask()).unwrap();
    let started = bench.clock.time();
    let lost = agent.request(&request, Wait::AtMost(Duration::from_secs(9))).await;
    assert!(matches!(lost, Err(Error::ConnectionLost { .. })), "{lost:?}");
    assert!(bench.clock.time() - started < time::Duration::seconds(12));
}

#[tokio::test]
async fn an_approver_that_stops_says_when_to_come_back() {
    let (bench, agent) = bench(vec![Mischief::Lie(503, "shutting_down")]).await;
    let request = agent.prepare(ask()).unwrap();
    let started = bench.clock.time();
    let (answer, ()) = tokio::join!(agent.request(&request, Wait::UntilDecided), say_yes(&bench));
    answer.unwrap();
    assert!((bench.clock.time() - started).whole_seconds() >= RETRY_AFTER_SECONDS.cast_signed());
}

#[tokio::test]
async fn what_never_reached_an_approver_is_not_kept() {
    let bench = Bench::honest().await;
    let agent = bench.agent("a");
    bench.pair(&agent).await.unwrap();
    let nowhere = bench.agent_at("a", Some("http://127.0.0.1:9")).unwrap();
    let request = nowhere.prepare(ask()).unwrap();
    let failed = nowhere.request(&request, Wait::UntilDecided).await;
    assert!(matches!(failed, Err(Error::CannotConnect { .. })), "{failed:?}");
    assert!(agent.pending_requests().unwrap().is_empty());

    // One that an earlier run handed in stays.
    bench.middle().approver.owner = Owner::IsSilent;
    let handed = agent.request(&request, Wait::AtMost(Duration::ZERO)).await;
    assert!(matches!(handed, Err(Error::Pending { .. })), "{handed:?}");
    assert!(nowhere.request(&request, Wait::UntilDecided).await.is_err());
    assert_eq!(agent.pending_requests().unwrap().len(), 1);
}

#[tokio::test]
async fn what_may_have_reached_it_is_kept() {
    let script = std::iter::repeat_n(Mischief::Pass, 3).chain(std::iter::repeat_n(Mischief::DropAnswer, 3));
    let bench = Bench::with(script.collect()).await;
    let agent = bench.agent("a");
    bench.pair(&agent).await.unwrap();
    let request = agent.prepare(ask()).unwrap();
    assert!(matches!(agent.request(&request, Wait::UntilDecided).await, Err(Error::ConnectionLost { .. })));
    let kept = bench.agent("a").pending_request(request.id).unwrap();
    agent.request(&kept, Wait::UntilDecided).await.unwrap();
    assert_eq!(bench.middle().approver.releases, [request.id], "released once");
}

#[tokio::test]
async fn the_address_that_answered_last_is_remembered() {
    let bench = Bench::honest().await;
    bench.pair(&bench.agent("a")).await.unwrap();
    let moved = bench.moved().await;
    let agent = bench.agent_at("a", Some(&moved.url())).unwrap();
    assert_eq!(
        bench.agent_at("a", None).unwrap().approver().to_string(),
        bench.agent("a").approver().to_string()
    );
    agent.request(&agent.prepare(ask()).unwrap(), Wait::UntilDecided).await.unwrap();
    assert_eq!(bench.agent_at("a", None).unwrap().approver().to_string(), agent.approver().to_string());

    // One that does not answer, or is another, is not.
    let nowhere = bench.agent_at("a", Some("http://127.0.0.1:9")).unwrap();
    assert!(nowhere.request(&nowhere.prepare(ask()).unwrap(), Wait::UntilDecided).await.is_err());
    assert_eq!(bench.agent_at("a", None).unwrap().approver().to_string(), agent.approver().to_string());
}
