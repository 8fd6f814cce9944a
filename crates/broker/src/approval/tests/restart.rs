//! A restart finds a consistent store.

use durward_protocol::{ErrorCode, Verdict};
use time::Duration;

use super::super::{AuditEvent, GrantSpec};
use super::World;
use super::agent::ask;

#[test]
fn sessions_and_waiting_requests_come_back() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.ask(&agent, &ask(1, "example.com"));
    world.restart();
    assert_eq!(world.machine.waiting_requests(world.now).len(), 1);
    let joined = world.ask(&agent, &ask(1, "example.com"));
    world.approve(&agent, 1);
    assert_eq!(world.verdict(&agent, joined).status, Verdict::Approved);
    assert_eq!(world.store.count(AuditEvent::Started), 1);
    assert_eq!(world.store.count(AuditEvent::RequestReceived), 1);
}

#[test]
fn what_ended_meanwhile_is_ended() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Session);
    world.ask(&agent, &ask(1, "other.example"));
    world.jump(Duration::hours(25));
    world.restart();
    world.pass(Duration::ZERO);
    assert_eq!(world.machine.session_count(world.now), 0);
    assert_eq!(world.store.sessions[&agent.session].ended.as_ref().unwrap().why, "expired");
    assert!(world.store.grants.values().all(|g| g.ended.is_some()), "its grants too");
    let snapshot = world.store.snapshot();
    let pending = |r: &super::super::RequestRecord| r.state == super::super::StoredRequestState::Pending;
    assert!(!snapshot.requests.iter().any(pending), "and its requests");
    assert_eq!(world.store.count(AuditEvent::GrantEnded), 1);
    assert_eq!(world.store.count(AuditEvent::RequestEnded), 1);
}

#[test]
fn a_waiting_request_keeps_its_session_over_a_restart() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.ask(&agent, &ask(1, "example.com").expires_in(7_200));
    world.jump(Duration::hours(1));
    world.restart();
    world.pass(Duration::seconds(1));
    assert_eq!(world.machine.session_count(world.now), 1);
    let joined = world.ask(&agent, &ask(1, "example.com").expires_in(7_200));
    assert!(world.waits(joined));
}

#[test]
fn a_request_that_expired_meanwhile_says_so() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.ask(&agent, &ask(1, "example.com"));
    world.jump(Duration::minutes(15));
    world.restart();
    world.pass(Duration::ZERO);
    let joined = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.verdict(&agent, joined).status, Verdict::Expired);
}

#[test]
fn times_in_the_future_end_the_session() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.jump(-Duration::hours(1));
    world.restart();
    assert_eq!(world.machine.session_count(world.now), 0);
    assert_eq!(world.store.sessions[&agent.session].ended.as_ref().unwrap().why, "clock_went_back");
    let refused = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.code(refused), ErrorCode::SessionNotFound);
}

#[test]
fn rows_cannot_change_places() {
    let mut world = World::new();
    let (a, b) = (world.pair("a"), world.pair("b"));
    let stolen = world.store.sessions[&a.session].sealed_keys.clone();
    world.store.sessions.get_mut(&b.session).unwrap().sealed_keys = stolen;
    world.restart();
    assert_eq!(world.machine.session_count(world.now), 1);
    assert_eq!(world.store.sessions[&b.session].ended.as_ref().unwrap().why, "keys_lost");
}

#[test]
fn a_crash_during_a_release_leaves_no_double_delivery() {
    for committed in [false, true] {
        let mut world = World::new();
        let agent = world.pair("a");
        world.ask(&agent, &ask(1, "example.com"));
        world.hold_commits = true;
        world.approve(&agent, 1);
        if committed {
            let (_, writes) = world.commits.pop_front().unwrap();
            world.store.apply(writes); // on disk, and the process dies before it hears of it
        }
        world.hold_commits = false;
        world.restart();
        let joined = world.ask(&agent, &ask(1, "example.com"));
        if committed {
            assert_eq!(world.verdict(&agent, joined).status, Verdict::Expired);
        } else {
            world.approve(&agent, 1);
            assert_eq!(world.verdict(&agent, joined).status, Verdict::Approved);
        }
        assert_eq!(world.store.count(AuditEvent::CredentialReleased), 1);
    }
}
