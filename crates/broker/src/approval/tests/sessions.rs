//! How sessions live and end.

use durward_protocol::{ErrorCode, SessionId, Verdict};
use time::Duration;

use super::super::{Actor, Answer, AuditEvent, Event, Notice};
use super::agent::ask;
use super::{Vault, World};

fn live(world: &World) -> usize {
    world.machine.session_count(world.now)
}

#[test]
fn a_session_idles_out_after_30_minutes() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.pass(Duration::minutes(29));
    let first = world.machine.session_status(world.now, agent.session).unwrap();
    assert_eq!(first.expires_at.get(), super::harness::START + Duration::minutes(30));
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.deny(&agent, 1, "no");
    assert_eq!(world.verdict(&agent, held).status, Verdict::Denied);
    world.pass(Duration::minutes(29));
    assert_eq!(live(&world), 1, "an envelope that opened moved the end");
    world.jump(Duration::minutes(1));
    assert_eq!(live(&world), 0, "even when the tick is late");
    let late = world.ask(&agent, &ask(2, "example.com"));
    assert_eq!(world.code(late), ErrorCode::SessionNotFound);
    world.pass(Duration::ZERO);
    let row = &world.store.sessions[&agent.session];
    assert_eq!(row.ended.as_ref().unwrap().why, "idle");
    assert!(row.sealed_keys.is_empty());
}

#[test]
fn asking_for_the_status_and_nonsense_keep_nothing_alive() {
    let mut world = World::new();
    let agent = world.pair("a");
    let payload = agent.request(&ask(1, "example.com"), world.now.wall, &mut world.rng);
    for _ in 0..6 {
        world.pass(Duration::minutes(5));
        let _ = world.machine.session_status(world.now, agent.session);
        world.send(agent.session, "AQAA".into());
        let stale = payload.clone();
        let cancel = agent.session;
        world.call(|waiter| Event::CancelRequest { waiter, session_id: cancel, payload: stale });
    }
    assert_eq!(live(&world), 0);
}

#[test]
fn a_last_use_is_stored_also_when_nothing_is_released() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.pass(Duration::minutes(20));
    world.ask(&agent, &ask(1, "example.com"));
    world.cancel(&agent, 1);
    world.pass(Duration::minutes(20));
    world.restart();
    assert_eq!(live(&world), 1, "used 20 minutes ago");
    world.cancel(&agent, 9);
    world.pass(Duration::minutes(20));
    world.restart();
    assert_eq!(live(&world), 1);
}

#[test]
fn the_absolute_end_comes_whatever_is_waiting() {
    let mut world = World::new();
    let agent = world.pair("a");
    for _ in 0..47 {
        world.pass(Duration::minutes(30) - Duration::seconds(1));
        world.cancel(&agent, 9);
    }
    let held = world.ask(&agent, &ask(1, "example.com").expires_in(86_400));
    world.pass(Duration::minutes(30));
    assert!(world.waits(held));
    world.pass(Duration::minutes(1));
    let response = world.verdict(&agent, held);
    assert_eq!((response.status, response.reason.as_deref()), (Verdict::Denied, Some("session_ended")));
    assert_eq!(live(&world), 0);
    assert_eq!(world.store.sessions[&agent.session].ended.as_ref().unwrap().why, "expired");
}

#[test]
fn a_revocation_holds_before_it_is_answered() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.hold_commits = true;
    let revoke = world.revoke(&agent);
    assert!(world.waits(revoke), "the answer waits for the disk");
    let response = world.verdict(&agent, held);
    assert_eq!((response.status, response.reason.as_deref()), (Verdict::Denied, Some("session_revoked")));
    assert!(!world.machine.sessions.contains_key(&agent.session), "keys wiped");
    let late = world.ask(&agent, &ask(2, "example.com"));
    assert_eq!(world.code(late), ErrorCode::SessionNotFound);
    world.finish_commits(true);
    let session = agent.session;
    assert!(
        matches!(world.answer(revoke), Answer::Revoked { session_id, payload: None } if session_id == session)
    );
    assert!(world.store.sessions[&agent.session].sealed_keys.is_empty());
    let ended = world.store.log().into_iter().find(|e| e.event == AuditEvent::SessionEnded).unwrap();
    assert_eq!((ended.actor, ended.outcome.as_deref()), (Actor::Owner, Some("revoked_by_owner")));
    assert!(world.notices.iter().any(|n| matches!(n, Notice::SessionEnded { .. })));
}

#[test]
fn a_revocation_that_cannot_be_stored_holds_and_is_stored_later() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.fail_commits = true;
    let revoke = world.revoke(&agent);
    assert_eq!(world.code(revoke), ErrorCode::StorageFailed);
    assert_eq!(live(&world), 0);
    world.pass(Duration::seconds(5));
    world.fail_commits = false;
    world.pass(Duration::seconds(2));
    world.restart();
    assert_eq!(live(&world), 0, "not back after a restart");
    assert_eq!(world.store.count(AuditEvent::SessionEnded), 1);
}

#[test]
fn an_end_that_travels_with_a_commit_that_fails_is_not_lost() {
    let mut world = World::new();
    let (agent, other) = (world.pair("a"), world.pair("b"));
    world.fail_commits = true;
    world.revoke(&agent);
    let failed = world.ask(&other, &ask(1, "example.com"));
    assert_eq!(world.code(failed), ErrorCode::StorageFailed);
    world.fail_commits = false;
    world.pass(Duration::seconds(2));
    world.restart();
    let ids: Vec<SessionId> = world.machine.sessions(world.now).iter().map(|s| s.session_id).collect();
    assert_eq!(ids, [other.session]);
}

#[test]
fn a_switch_that_was_repeated_is_not_undone_by_one_that_failed() {
    let mut world = World::new();
    world.hold_commits = true;
    world.call(|waiter| Event::SwitchPairing { waiter, open: false });
    world.call(|waiter| Event::SwitchPairing { waiter, open: true });
    world.finish_commit(false);
    world.finish_commit(true);
    world.hold_commits = false;
    world.pass(Duration::seconds(2));
    world.restart();
    assert!(world.machine.is_pairing_open());
}

#[test]
fn all_sessions_at_once() {
    let mut world = World::new();
    world.pair("a");
    world.pair("b");
    let all = world.call(|waiter| Event::RevokeSession { waiter, session_id: None });
    assert!(matches!(world.answer(all), Answer::Done(2)));
    assert_eq!(live(&world), 0);
    let none = world
        .call(|waiter| Event::RevokeSession { waiter, session_id: Some(SessionId::from_bytes([1; 16])) });
    assert_eq!(world.code(none), ErrorCode::SessionNotFound);
}

#[test]
fn an_agent_ends_its_own_session() {
    let mut world = World::new();
    let (agent, other) = (world.pair("a"), world.pair("b"));
    let payload = agent.revoke(world.now.wall, &mut world.rng);
    let wrong = payload.clone();
    let session_id = other.session;
    let refused = world.call(|waiter| Event::RevokeByAgent { waiter, session_id, payload: wrong });
    assert_eq!(world.code(refused), ErrorCode::BadEnvelope);
    let session_id = agent.session;
    let revoke = world.call(|waiter| Event::RevokeByAgent { waiter, session_id, payload });
    let Answer::Revoked { payload: Some(sealed), .. } = world.answer(revoke) else { panic!() };
    assert!(durward_protocol::open(&agent.keys, durward_protocol::Side::B, &agent.session, &sealed).is_ok());
    assert_eq!(live(&world), 1);
    let ended = world.store.log().into_iter().find(|e| e.event == AuditEvent::SessionEnded).unwrap();
    assert_eq!(ended.actor, Actor::Agent);
}

#[test]
fn a_session_that_ends_during_a_reading_ends_the_owners_call() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.vault = Vault::Slow;
    let held = world.ask(&agent, &ask(1, "example.com").expires_in(86_400));
    let owner = world.approve(&agent, 1);
    world.pass(Duration::hours(24));
    assert_eq!(world.code(owner), ErrorCode::SessionNotFound);
    assert_eq!(world.verdict(&agent, held).status, Verdict::Denied);
    world.answer_reading(0, None);
    assert_eq!(world.store.count(AuditEvent::CredentialReleased), 0);
}

#[test]
fn an_answer_that_came_after_the_idle_end_can_still_be_fetched() {
    let mut world = World::new();
    let agent = world.pair("a");
    let long = ask(1, "example.com").expires_in(7_200);
    let held = world.ask(&agent, &long);
    world.handle(Event::WaitOver { waiter: held });
    world.pass(Duration::hours(1));
    let status = world.machine.session_status(world.now, agent.session).unwrap();
    assert_eq!(status.expires_at.get(), super::harness::START + Duration::hours(24), "no end that is past");
    world.approve(&agent, 1);
    world.pass(Duration::seconds(299));
    let fetched = world.ask(&agent, &long);
    assert_eq!(world.verdict(&agent, fetched).status, Verdict::Approved);
    world.ask(&agent, &ask(2, "example.com"));
    world.deny(&agent, 2, "no");
    world.pass(Duration::minutes(30));
    assert_eq!(live(&world), 0);
}

#[test]
fn an_answer_that_nobody_fetches_keeps_the_session_for_300_seconds_only() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com").expires_in(7_200));
    world.handle(Event::WaitOver { waiter: held });
    world.pass(Duration::hours(1));
    world.approve(&agent, 1);
    world.jump(Duration::seconds(300));
    assert_eq!(live(&world), 0);
}
