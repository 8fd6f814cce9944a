//! Delivery is one sealing: one vault read, the same bytes for everybody, fields narrowed.

use durward_protocol::{ErrorCode, Field, Verdict};
use time::Duration;

use super::super::{Actor, Answer, AuditEvent, Decision, Event, GrantSpec, StoredRequestState};
use super::agent::ask;
use super::{Vault, World, payload};

#[test]
fn one_reading_one_sealing_for_everybody() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = [world.ask(&agent, &ask(1, "example.com")), world.ask(&agent, &ask(1, "example.com"))];
    let owner = world.approve(&agent, 1);
    let late = world.ask(&agent, &ask(1, "example.com"));
    let bytes = payload(&world.answer(held[0]));
    assert_eq!(payload(&world.answer(held[1])), bytes);
    assert_eq!(payload(&world.answer(late)), bytes);
    assert_eq!(world.reads, 1);
    let response = agent.open(&bytes);
    assert_eq!(response.status, Verdict::Approved);
    assert_eq!(response.credential.fields(), Field::default_set(), "the vault gave more than was asked for");
    assert_eq!(response.credential.domain.unwrap().as_str(), "example.com");
    assert_eq!(response.credential.item_id, "item-example.com");
    let fields = Field::default_set();
    assert!(
        matches!(world.answer(owner), Answer::Decided { verdict: Verdict::Approved, fields: f, .. } if f == fields)
    );
    let log = world.store.log();
    let entry = log.iter().find(|e| e.event == AuditEvent::CredentialReleased).unwrap();
    assert_eq!((entry.actor, entry.agent_id.as_ref().unwrap().as_str()), (Actor::Owner, "a"));
    assert_eq!((entry.domain.as_ref().unwrap().as_str(), &entry.fields), ("example.com", &fields));
    assert_eq!(world.store.sessions[&agent.session].uses, 1);
}

#[test]
fn the_bytes_are_kept_for_300_seconds_then_expired() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.approve(&agent, 1);
    let bytes = payload(&world.answer(held));
    world.pass(Duration::seconds(299));
    let late = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(payload(&world.answer(late)), bytes);
    world.jump(Duration::seconds(1));
    let unticked = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.verdict(&agent, unticked).status, Verdict::Expired, "even when the tick is late");
    world.pass(Duration::seconds(60));
    let over = world.ask(&agent, &ask(1, "example.com"));
    let response = world.verdict(&agent, over);
    assert_eq!(response.status, Verdict::Expired);
    assert!(response.credential.fields().is_empty());
    assert_eq!(world.reads, 1);
    assert_eq!(world.machine.answer_bytes, 0);
}

#[test]
fn after_a_restart_a_released_request_is_expired() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.ask(&agent, &ask(1, "example.com"));
    world.approve(&agent, 1);
    world.restart();
    let over = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.verdict(&agent, over).status, Verdict::Expired);
    assert_eq!(world.reads, 1);
    assert_eq!(world.store.count(AuditEvent::CredentialReleased), 1);
}

#[test]
fn a_finished_request_is_remembered_until_fifteen_minutes_after_its_expiry() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.ask(&agent, &ask(1, "example.com"));
    world.approve(&agent, 1);
    world.pass(Duration::minutes(20));
    world.ask(&agent, &ask(2, "example.com").expires_in(60));
    world.pass(Duration::minutes(5) - Duration::seconds(1));
    let over = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.verdict(&agent, over).status, Verdict::Expired);
    world.pass(Duration::seconds(1));
    let anew = world.ask(&agent, &ask(1, "example.com"));
    assert!(world.waits(anew), "forgotten: a new request");
    world.pass(Duration::minutes(10));
    let key = (agent.session, ask(2, "example.com").request.id);
    assert!(world.store.requests.contains_key(&key));
    world.pass(Duration::minutes(40));
    assert!(!world.store.requests.contains_key(&key), "swept from the store");
}

#[test]
fn the_owner_may_release_less_but_not_more() {
    let mut world = World::new();
    let agent = world.pair("a");
    let all = [Field::Username, Field::Password, Field::Custom("pin".into())];
    let held = world.ask(&agent, &ask(1, "example.com").fields(&all));
    for more in [vec![Field::Totp], vec![]] {
        let refused =
            world.decide(&agent, 1, Decision::Approve { grant: None, item_id: None, fields: Some(more) });
        assert_eq!(world.code(refused), ErrorCode::InvalidRequest);
    }
    let fields = Some(vec![Field::Custom("pin".into())]);
    world.decide(&agent, 1, Decision::Approve { grant: None, item_id: None, fields });
    assert_eq!(world.verdict(&agent, held).credential.fields(), [Field::Custom("pin".into())]);
}

#[test]
fn an_item_the_agent_names_is_the_one_read() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com").item("work"));
    world.approve(&agent, 1);
    assert_eq!(world.verdict(&agent, held).credential.item_id, "work");
}

#[test]
fn one_decision_at_a_time() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.vault = Vault::Slow;
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.approve(&agent, 1);
    assert!(world.machine.waiting_requests(world.now)[0].deciding);
    for waiter in [world.approve(&agent, 1), world.deny(&agent, 1, "no")] {
        assert_eq!(world.code(waiter), ErrorCode::RequestNotPending);
    }
    world.answer_reading(0, None);
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    assert_eq!(world.reads, 1);
}

#[test]
fn nothing_leaves_before_the_release_is_on_disk() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.hold_commits = true;
    let owner = world.approve(&agent, 1);
    assert!(world.waits(held) && world.waits(owner));
    let key = (agent.session, ask(1, "example.com").request.id);
    let cancel = world.cancel(&agent, 1);
    world.finish_commits(true);
    assert!(matches!(world.answer(cancel), Answer::RequestCancelled { cancelled: false, .. }), "too late");
    assert!(matches!(world.store.requests[&key].state, StoredRequestState::Released { .. }));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
}

#[test]
fn revoked_while_the_release_is_written_nothing_is_handed_over() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.hold_commits = true;
    let owner = world.approve(&agent, 1);
    let revoke = world.revoke(&agent);
    let response = world.verdict(&agent, held);
    assert_eq!((response.status, response.reason.as_deref()), (Verdict::Denied, Some("session_revoked")));
    assert_eq!(world.code(owner), ErrorCode::SessionNotFound);
    assert!(world.waits(revoke));
    world.finish_commits(true);
    assert!(matches!(world.answer(revoke), Answer::Revoked { .. }));
    let log = world.store.events();
    assert!(log.contains(&AuditEvent::DeliveryWithheld), "{log:?}");
}

#[test]
fn revoked_while_the_vault_is_read_nothing_is_handed_over() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.vault = Vault::Slow;
    let held = world.ask(&agent, &ask(1, "example.com"));
    let owner = world.approve(&agent, 1);
    world.revoke(&agent);
    assert_eq!(world.code(owner), ErrorCode::SessionNotFound);
    assert_eq!(world.verdict(&agent, held).status, Verdict::Denied);
    world.answer_reading(0, None);
    assert_eq!(world.store.count(AuditEvent::CredentialReleased), 0);
}

#[test]
fn an_item_too_large_for_an_envelope_is_the_owners_problem() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.vault = Vault::Slow;
    let held = world.ask(&agent, &ask(1, "example.com"));
    let owner = world.approve(&agent, 1);
    let reading = world.readings.pop_front().unwrap();
    let large = durward_protocol::SecretString::new("x".repeat(40_000));
    let credential = durward_protocol::Credential { password: Some(large), ..Default::default() };
    world.handle(Event::VaultRead { reading: reading.ticket, result: Ok(credential) });
    assert_eq!(world.code(owner), ErrorCode::VaultUnavailable);
    assert!(world.waits(held));
    assert_eq!(world.store.sessions[&agent.session].uses, 0);
}

#[test]
fn an_approval_of_what_the_item_lacks_releases_nothing_and_counts_as_nothing() {
    let mut world = World::new();
    let agent = world.pair("a");
    let lacking = [Field::Custom("puk".into())];
    let held = world.ask(&agent, &ask(1, "example.com").fields(&lacking));
    let grant = Some(GrantSpec::Session);
    let owner = world.decide(&agent, 1, Decision::Approve { grant, item_id: None, fields: None });
    let response = world.verdict(&agent, held);
    assert_eq!(response.status, Verdict::NotFound);
    assert_eq!(response.reason.as_deref(), Some("the item has no custom:puk"));
    assert!(response.credential.fields().is_empty());
    let Answer::Decided { verdict: Verdict::NotFound, reason, .. } = world.answer(owner) else { panic!() };
    assert_eq!(reason, response.reason, "the owner hears the same");
    assert_eq!(world.store.count(AuditEvent::CredentialReleased), 0);
    assert_eq!(world.store.sessions[&agent.session].uses, 0);
    assert!(world.store.grants.is_empty(), "no grant comes of it");
    let log = world.store.log();
    let ended = log.iter().rfind(|entry| entry.event == AuditEvent::RequestEnded).unwrap();
    assert_eq!(ended.outcome.as_deref(), Some("not_found"));
    // Some of it is enough.
    let both = world.ask(&agent, &ask(2, "example.com").fields(&[Field::Password, lacking[0].clone()]));
    world.approve(&agent, 2);
    assert_eq!(world.verdict(&agent, both).credential.fields(), [Field::Password]);
}
