//! When the store fails: nothing released, nothing lost.

use durward_protocol::{ErrorCode, Limits, Scope, Verdict};
use time::Duration;

use super::super::{Actor, Answer, AuditEntry, AuditEvent, Event, GrantSpec, Notice};
use super::World;
use super::agent::ask;

#[test]
fn a_request_that_cannot_be_stored_never_came() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.fail_commits = true;
    let held = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.code(held), ErrorCode::StorageFailed);
    assert!(world.notices.contains(&Notice::StorageFailed));
    assert!(world.machine.waiting_requests(world.now).is_empty());
    assert_eq!(world.machine.pending, 0);
    world.fail_commits = false;
    let again = world.ask(&agent, &ask(1, "example.com"));
    assert!(world.waits(again));
}

#[test]
fn a_release_that_cannot_be_stored_is_not_made() {
    let mut world = World::new();
    let limits = Limits { max_uses: Some(1), ..Limits::default() };
    let agent = world.pair_with("a", &Scope::new(&limits).unwrap());
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.fail_commits = true;
    let owner = world.approve(&agent, 1);
    assert_eq!(world.code(owner), ErrorCode::StorageFailed);
    assert!(world.waits(held));
    assert_eq!(world.store.count(AuditEvent::CredentialReleased), 0, "no claim in the log");
    world.fail_commits = false;
    let owner = world.approve(&agent, 1);
    assert!(matches!(world.answer(owner), Answer::Decided { .. }), "the use was given back");
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    assert_eq!(world.reads, 2, "the first credential was dropped");
}

#[test]
fn a_use_given_back_is_given_back_on_disk_too() {
    let mut world = World::new();
    let limits = Limits { max_uses: Some(2), ..Limits::default() };
    let agent = world.pair_with("a", &Scope::new(&limits).unwrap());
    world.ask(&agent, &ask(1, "example.com"));
    world.ask(&agent, &ask(2, "example.com"));
    world.hold_commits = true;
    world.approve(&agent, 1);
    world.approve(&agent, 2);
    world.finish_commit(false);
    world.finish_commit(true);
    world.finish_commits(true);
    world.hold_commits = false;
    assert_eq!(world.store.sessions[&agent.session].uses, 1, "one was released");
    world.restart();
    let held = world.ask(&agent, &ask(3, "example.com"));
    assert!(world.waits(held));
}

#[test]
fn a_denial_that_cannot_be_stored_can_be_given_again() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.fail_commits = true;
    let (owner, cancel) = (world.deny(&agent, 1, "no"), world.cancel(&agent, 1));
    assert_eq!((world.code(owner), world.code(cancel)), (ErrorCode::StorageFailed, ErrorCode::StorageFailed));
    assert!(world.waits(held));
    world.fail_commits = false;
    world.deny(&agent, 1, "no");
    assert_eq!(world.verdict(&agent, held).status, Verdict::Denied);
}

#[test]
fn an_expiry_that_cannot_be_stored_is_tried_again() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.fail_commits = true;
    world.pass(Duration::minutes(10) + Duration::seconds(3));
    assert!(world.waits(held));
    world.fail_commits = false;
    world.pass(Duration::seconds(2));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Expired);
}

#[test]
fn a_grant_whose_end_cannot_be_stored_stays_dead() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Session);
    let grant_id = world.machine.grants(world.now.steady)[0].grant_id;
    world.fail_commits = true;
    let end = world.call(|waiter| Event::EndGrant { waiter, grant_id });
    assert_eq!(world.code(end), ErrorCode::StorageFailed);
    world.fail_commits = false;
    world.pass(Duration::seconds(2));
    world.restart();
    assert!(world.machine.grants(world.now.steady).is_empty());
    assert_eq!(world.store.count(AuditEvent::GrantEnded), 1);
}

#[test]
fn a_failed_release_leaves_no_grant() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.ask(&agent, &ask(1, "example.com"));
    world.fail_commits = true;
    let grant = Some(GrantSpec::Session);
    world.decide(&agent, 1, super::super::Decision::Approve { grant, item_id: None, fields: None });
    world.fail_commits = false;
    assert!(world.machine.grants(world.now.steady).is_empty());
}

#[test]
fn the_head_follows_the_log() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.ask(&agent, &ask(1, "example.com"));
    world.approve(&agent, 1);
    assert_eq!(world.machine.head(), world.store.head);
    world.fail_commits = true;
    world.ask(&agent, &ask(2, "example.com"));
    assert_eq!(world.machine.head(), world.store.head, "a batch that failed leaves no gap");
    world.store.log();
}

#[test]
fn other_parts_can_write_into_the_log() {
    let mut world = World::new();
    let entry = AuditEntry::new(world.now.wall, AuditEvent::VaultPasswordWrong, Actor::Owner);
    world.handle(Event::Record(entry));
    assert_eq!(world.store.events(), [AuditEvent::VaultPasswordWrong]);
}

#[test]
fn everything_that_matters_is_on_record() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.ask(&agent, &ask(1, "example.com"));
    world.approve(&agent, 1);
    world.ask(&agent, &ask(2, "example.org"));
    world.deny(&agent, 2, "no");
    world.send(agent.session, "AQAA".into());
    world.revoke(&agent);
    let log = world.store.log();
    let told: Vec<_> = log.iter().map(|e| (e.event, e.actor, e.outcome.as_deref().unwrap_or(""))).collect();
    assert_eq!(
        told,
        [
            (AuditEvent::PairingWaiting, Actor::Agent, ""),
            (AuditEvent::PairingAnswered, Actor::Owner, ""),
            (AuditEvent::PairingConfirmed, Actor::Agent, ""),
            (AuditEvent::RequestReceived, Actor::Agent, ""),
            (AuditEvent::CredentialReleased, Actor::Owner, ""),
            (AuditEvent::RequestReceived, Actor::Agent, ""),
            (AuditEvent::RequestEnded, Actor::Owner, "denied"),
            (AuditEvent::Refused, Actor::Agent, "bad_envelope"),
            (AuditEvent::SessionEnded, Actor::Owner, "revoked_by_owner"),
        ]
    );
    assert!(log.iter().all(|e| e.agent_id.as_ref().is_some_and(|id| id.as_str() == "a")));
    assert!(log[3..].iter().all(|e| e.session_id == Some(agent.session)));
    let text: String = world.store.audit.iter().map(|r| r.body.clone()).collect();
    assert!(!text.contains("by read"), "no value of a credential is in the log");
}
