//! Standing approvals.

use durward_protocol::{ErrorCode, Field, Verdict};
use time::Duration;

use super::super::{Actor, Answer, AuditEvent, Decision, Event, GrantSpec, Notice, Settings, VaultFailure};
use super::agent::ask;
use super::{Vault, World};

fn grants(world: &World) -> usize {
    world.machine.grants(world.now.steady).len()
}

#[test]
fn a_session_grant_answers_without_asking_as_long_as_the_session() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Session);
    for id in 1..=3 {
        let held = world.ask(&agent, &ask(id, "example.com"));
        assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
        let again = world.ask(&agent, &ask(id, "example.com"));
        assert_eq!(super::payload(&world.answer(held)), super::payload(&world.answer(again)));
    }
    assert_eq!(world.reads, 4, "one read per request");
    assert_eq!(world.machine.grants(world.now.steady)[0].uses, 3);
    let by_grant = world.store.log().into_iter().filter(|e| e.actor == Actor::Grant).count();
    assert_eq!(by_grant, 3);
    assert_eq!(world.store.count(AuditEvent::RequestReceived), 4);
    world.revoke(&agent);
    assert_eq!(grants(&world), 0);
    assert!(world.store.grants.values().all(|g| g.ended.is_some()));
    assert_eq!(world.store.count(AuditEvent::GrantEnded), 1);
}

#[test]
fn a_timed_grant_runs_from_the_approval_and_keeps_the_session() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.pass(Duration::minutes(9));
    let spec = GrantSpec::For { seconds: 3_600 };
    world.decide(&agent, 1, Decision::Approve { grant: Some(spec), item_id: None, fields: None });
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    world.pass(Duration::seconds(3_599));
    let covered = world.ask(&agent, &ask(2, "example.com"));
    assert_eq!(world.verdict(&agent, covered).status, Verdict::Approved, "no envelope for an hour");
    world.jump(Duration::seconds(1));
    let asked = world.ask(&agent, &ask(3, "example.com"));
    assert!(world.waits(asked), "over, even when the tick is late");
    world.pass(Duration::seconds(1));
    assert!(world.notices.iter().any(|n| matches!(n, Notice::GrantEnded { why, .. } if why == "expired")));
}

#[test]
fn an_expired_grant_does_not_keep_a_session() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::For { seconds: 3_600 });
    world.jump(Duration::seconds(3_600));
    assert!(world.machine.session_status(world.now, agent.session).is_err());
}

#[test]
fn a_counted_grant_counts() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Uses { uses: 2 });
    for id in 1..=2 {
        let held = world.ask(&agent, &ask(id, "example.com"));
        assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    }
    assert_eq!(grants(&world), 0);
    let asked = world.ask(&agent, &ask(3, "example.com"));
    assert!(world.waits(asked));
    assert!(world.store.grants.values().all(|g| g.uses == 2 && g.ended.is_some()));
}

#[test]
fn two_requests_cannot_both_take_the_last_use() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Uses { uses: 1 });
    world.vault = Vault::Slow;
    let first = world.ask(&agent, &ask(1, "example.com"));
    let second = world.ask(&agent, &ask(2, "example.com"));
    assert_eq!(world.readings.len(), 1, "the second asks the owner");
    assert_eq!(world.machine.waiting_requests(world.now).iter().filter(|r| !r.deciding).count(), 1);
    world.answer_reading(0, None);
    assert_eq!(world.verdict(&agent, first).status, Verdict::Approved);
    assert!(world.waits(second));
}

#[test]
fn a_use_that_came_to_nothing_is_given_back() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Uses { uses: 1 });
    world.vault = Vault::Slow;
    world.ask(&agent, &ask(1, "example.com"));
    world.cancel(&agent, 1);
    world.vault = Vault::Open;
    world.fail_commits = true;
    let failed = world.ask(&agent, &ask(2, "example.com"));
    assert_eq!(world.code(failed), ErrorCode::StorageFailed);
    world.fail_commits = false;
    let held = world.ask(&agent, &ask(3, "example.com"));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    let asked = world.ask(&agent, &ask(4, "example.com"));
    assert!(world.waits(asked));
}

#[test]
fn a_request_covered_by_a_grant_and_given_up_is_on_record() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Session);
    world.vault = Vault::Slow;
    let before = world.store.nonces.len();
    world.ask(&agent, &ask(1, "example.com"));
    world.cancel(&agent, 1);
    assert_eq!(world.store.count(AuditEvent::RequestReceived), 2);
    assert_eq!(world.store.nonces.len(), before + 2, "the request's nonce and the cancel's");
    world.ask(&agent, &ask(2, "example.com"));
    world.revoke(&agent);
    assert_eq!(world.store.count(AuditEvent::RequestReceived), 3);
    assert_eq!(world.store.count(AuditEvent::RequestEnded), 2);
}

#[test]
fn a_grant_covers_one_domain_these_fields_that_item_and_that_session() {
    let mut world = World::new();
    let (agent, other) = (world.pair("a"), world.pair("b"));
    world.grant(&agent, "example.com", GrantSpec::Session);
    let cases = [
        ask(1, "example.org"),
        ask(2, "login.example.com"),
        ask(3, "example.com").fields(&[Field::Username, Field::Totp]),
        ask(4, "example.com").item("another"),
    ];
    for case in &cases {
        let held = world.ask(&agent, case);
        assert!(world.waits(held));
    }
    let elsewhere = world.ask(&other, &ask(1, "example.com"));
    assert!(world.waits(elsewhere));
    let fewer = world.ask(&agent, &ask(5, "example.com").fields(&[Field::Username]));
    assert_eq!(world.verdict(&agent, fewer).credential.fields(), [Field::Username]);
    let named = world.ask(&agent, &ask(6, "example.com").item("item-example.com"));
    assert_eq!(world.verdict(&agent, named).status, Verdict::Approved);
}

#[test]
fn a_grant_reads_the_item_it_was_given_for() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.ask(&agent, &ask(1, "example.com"));
    let grant = Some(GrantSpec::Session);
    world.decide(&agent, 1, Decision::Approve { grant, item_id: Some("work".into()), fields: None });
    world.vault = Vault::Slow;
    let held = world.ask(&agent, &ask(2, "example.com").fields(&[Field::Password]));
    assert_eq!(world.readings[0].fields, [Field::Password], "no more is read than is asked for");
    world.answer_reading(0, None);
    assert_eq!(world.verdict(&agent, held).credential.item_id, "work");
}

#[test]
fn a_narrowed_approval_gives_a_narrowed_grant() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.ask(&agent, &ask(1, "example.com"));
    let fields = Some(vec![Field::Username, Field::Username]);
    world.decide(&agent, 1, Decision::Approve { grant: Some(GrantSpec::Session), item_id: None, fields });
    assert_eq!(world.machine.grants(world.now.steady)[0].fields, [Field::Username]);
    let held = world.ask(&agent, &ask(2, "example.com"));
    assert!(world.waits(held), "the password was not approved");
}

#[test]
fn with_a_locked_vault_a_grant_asks_for_the_password() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Uses { uses: 1 });
    world.vault = Vault::Fails(VaultFailure::Locked);
    let held = world.ask(&agent, &ask(1, "example.com"));
    let waiting = world.machine.waiting_requests(world.now);
    assert!(world.waits(held) && waiting.len() == 1 && waiting[0].granted);
    assert_eq!(world.store.count(AuditEvent::RequestReceived), 2);
    world.vault = Vault::Open;
    world.approve(&agent, 1);
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    assert_eq!(
        world.machine.grants(world.now.steady)[0].uses_left,
        Some(1),
        "the owner said so, not the grant"
    );
}

#[test]
fn a_grant_that_needs_the_owner_and_cannot_be_stored_takes_the_request_back() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Session);
    world.vault = Vault::Fails(VaultFailure::Locked);
    world.fail_commits = true;
    let held = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.code(held), ErrorCode::StorageFailed);
    assert!(world.machine.waiting_requests(world.now).is_empty());
}

#[test]
fn a_covered_request_expires_too() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Session);
    world.vault = Vault::Fails(VaultFailure::Locked);
    let held = world.ask(&agent, &ask(1, "example.com").expires_in(30));
    world.pass(Duration::seconds(31));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Expired);
}

#[test]
fn a_vault_that_never_answers_does_not_hold_a_covered_request_forever() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Session);
    world.vault = Vault::Slow;
    let held = world.ask(&agent, &ask(1, "example.com").expires_in(30));
    world.pass(Duration::seconds(89));
    assert!(world.waits(held), "it was covered in time: the vault may be slow");
    world.pass(Duration::seconds(1));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Expired);
    world.answer_reading(0, None);
    assert_eq!(world.store.count(AuditEvent::CredentialReleased), 1, "the grant's first, and no more");
    assert_eq!(world.machine.sessions[&agent.session].reserved, 0);
}

#[test]
fn the_owner_ends_a_grant_at_once() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Session);
    let grant_id = world.machine.grants(world.now.steady)[0].grant_id;
    world.vault = Vault::Slow;
    let reading = world.ask(&agent, &ask(1, "example.com"));
    let end = world.call(|waiter| Event::EndGrant { waiter, grant_id });
    assert!(matches!(world.answer(end), Answer::Done(1)));
    world.answer_reading(0, None);
    assert!(world.waits(reading), "what was being read under it asks the owner");
    let next = world.ask(&agent, &ask(2, "example.com"));
    assert!(world.waits(next));
    let again = world.call(|waiter| Event::EndGrant { waiter, grant_id });
    assert_eq!(world.code(again), ErrorCode::GrantNotFound);
    let ended = world.store.log().into_iter().find(|e| e.event == AuditEvent::GrantEnded).unwrap();
    assert_eq!(ended.actor, Actor::Owner);
}

#[test]
fn grants_survive_a_restart_with_their_counts() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Uses { uses: 2 });
    world.ask(&agent, &ask(1, "example.com"));
    world.restart();
    assert_eq!(world.machine.grants(world.now.steady)[0].uses_left, Some(1));
    let held = world.ask(&agent, &ask(2, "example.com"));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    world.restart();
    assert_eq!(grants(&world), 0);
}

#[test]
fn senseless_grants_are_refused_and_too_many_too() {
    let mut world = World::with(Settings { max_grants_per_session: 1, ..Settings::default() });
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    for spec in [
        GrantSpec::For { seconds: 0 },
        GrantSpec::For { seconds: 86_401 },
        GrantSpec::Uses { uses: 0 },
        GrantSpec::Uses { uses: 1_001 },
    ] {
        let refused =
            world.decide(&agent, 1, Decision::Approve { grant: Some(spec), item_id: None, fields: None });
        assert_eq!(world.code(refused), ErrorCode::InvalidRequest);
    }
    world.grant(&agent, "example.org", GrantSpec::Session);
    let grant = Some(GrantSpec::Session);
    let full = world.decide(&agent, 1, Decision::Approve { grant, item_id: None, fields: None });
    assert_eq!(world.code(full), ErrorCode::RateLimited, "not an approval without the grant");
    assert!(world.waits(held));
}

#[test]
fn a_grant_stored_after_its_session_was_revoked_is_ended_in_the_store() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.ask(&agent, &ask(1, "example.com"));
    world.hold_commits = true;
    let grant = Some(GrantSpec::Session);
    world.decide(&agent, 1, Decision::Approve { grant, item_id: None, fields: None });
    world.revoke(&agent);
    world.finish_commits(true);
    assert_eq!(world.store.grants.len(), 1);
    assert!(world.store.grants.values().all(|g| g.ended.is_some()));
    assert_eq!(
        (world.store.count(AuditEvent::GrantCreated), world.store.count(AuditEvent::GrantEnded)),
        (1, 1)
    );
}
