//! Decisions on another device: what counts, what does not, and what waits for the vault.

use durward_protocol::device::{
    AskedRequest, AskedState, DecisionWord, DeviceDecision, DeviceId, DeviceName,
};
use durward_protocol::{ApproverKey, CredentialResponse, ErrorCode, Field, RequestId, SecretBytes, Verdict};
use time::Duration;

use super::super::{Actor, Answer, AuditEvent, Decision, Event, Notice, RunsOn, VaultFailure, Waiter, Write};
use super::agent::{Agent, ask};
use super::harness::choice;
use super::{Vault, World};

const LOCKED: Vault = Vault::Fails(VaultFailure::Locked);

pub(super) fn device(n: u8) -> DeviceId {
    DeviceId::from_bytes([n, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, n]).unwrap()
}

fn name(n: u8) -> DeviceName {
    DeviceName::made_safe(&format!("device {n}"))
}

/// Devices 2 and 3 may decide.
fn world() -> (World, Agent) {
    let mut world = World::new();
    world.handle(Event::Approvers { devices: vec![device(2), device(3)] });
    let agent = world.pair("a");
    (world, agent)
}

/// What device `n` would send about a request that it is asked about. Nobody checks the signature here: peers do.
fn decision(world: &World, n: u8, id: u8, word: DecisionWord) -> DeviceDecision {
    let asked = world.machine.asked(world.now).into_iter().map(|of| of.asked);
    let asked = asked.into_iter().find(|asked| asked.request_id == RequestId::from_bytes([id; 16]));
    about(&asked.unwrap_or_else(|| panic!("nobody is asked about {id}")), n, word)
}

pub(super) fn about(asked: &AskedRequest, n: u8, word: DecisionWord) -> DeviceDecision {
    DeviceDecision {
        approver_id: asked.approver_id.clone(),
        device_id: device(n),
        digest: asked.digest(),
        decision: word,
        fields: if word == DecisionWord::Approve { asked.fields.clone() } else { Vec::new() },
        expires: asked.expires,
        signature: [0; 64],
    }
}

pub(super) fn send(world: &mut World, agent: &Agent, id: u8, decision: &DeviceDecision) -> Waiter {
    let (session_id, request_id) = (agent.session, RequestId::from_bytes([id; 16]));
    let name = name(decision.device_id.as_bytes()[0]);
    let decision = Box::new(decision.clone());
    world.call(|waiter| Event::DecideByDevice { waiter, session_id, request_id, name, decision })
}

fn decide(world: &mut World, agent: &Agent, n: u8, id: u8, word: DecisionWord) -> Waiter {
    let decision = decision(world, n, id, word);
    send(world, agent, id, &decision)
}

fn outcome(world: &World, agent: &Agent, id: u8) -> Option<(AskedState, Option<DeviceName>)> {
    world.machine.asked_outcome(agent.session, RequestId::from_bytes([id; 16]))
}

fn fields(response: &CredentialResponse) -> Vec<Field> {
    response.credential.fields()
}

#[test]
fn a_yes_releases_and_a_no_denies() {
    let (mut world, agent) = world();
    let held = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(outcome(&world, &agent, 1), None);
    let decided = decide(&mut world, &agent, 2, 1, DecisionWord::Approve);
    assert!(
        matches!(world.answer(decided), Answer::Decided { verdict: Verdict::Approved, fields, .. } if fields.len() == 2)
    );
    let verdict = world.verdict(&agent, held);
    assert_eq!((verdict.status, fields(&verdict)), (Verdict::Approved, Field::default_set()));
    assert_eq!(outcome(&world, &agent, 1), Some((AskedState::Approved, Some(name(2)))));
    let held = world.ask(&agent, &ask(2, "example.com"));
    let decided = decide(&mut world, &agent, 3, 2, DecisionWord::Deny);
    assert!(matches!(world.answer(decided), Answer::Decided { verdict: Verdict::Denied, .. }));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Denied);
    assert_eq!(outcome(&world, &agent, 2), Some((AskedState::Denied, Some(name(3)))));
    assert!(world.machine.grants(world.now.steady).is_empty());
    let log = world.store.log();
    let decisions: Vec<_> =
        log.iter().filter(|entry| entry.event == AuditEvent::DeviceDecision).cloned().collect();
    let said: Vec<_> = decisions.iter().map(|entry| entry.outcome.as_deref().unwrap()).collect();
    assert_eq!(said, ["approve", "deny"]);
    assert!(decisions[0].detail.as_deref().unwrap().contains("device 2"));
    assert_eq!(decisions[0].domain.as_ref().unwrap().as_str(), "example.com");
    let released = log.iter().find(|entry| entry.event == AuditEvent::CredentialReleased).unwrap();
    assert_eq!(released.actor, Actor::Owner);
    assert!(released.detail.as_deref().unwrap().contains("approved on device 2"));
}

#[test]
fn fewer_fields_are_all_that_leaves() {
    let (mut world, agent) = world();
    let held = world.ask(&agent, &ask(1, "example.com"));
    let mut fewer = decision(&world, 2, 1, DecisionWord::Approve);
    fewer.fields = vec![Field::Username];
    send(&mut world, &agent, 1, &fewer);
    assert_eq!(fields(&world.verdict(&agent, held)), [Field::Username]);
}

#[test]
fn what_does_not_count_changes_nothing_and_is_written_down() {
    let (mut world, agent) = world();
    let held = world.ask(&agent, &ask(1, "example.com"));
    let good = decision(&world, 2, 1, DecisionWord::Approve);
    let other = world.ask(&agent, &ask(2, "example.org"));
    let about_other = decision(&world, 2, 2, DecisionWord::Approve);
    type Change<'a> = &'a dyn Fn(&mut DeviceDecision);
    let stranger = ApproverKey::from_seed(&SecretBytes::new([9; 32])).id().clone();
    let now = world.now.wall;
    let cases: [(&str, ErrorCode, Change<'_>); 8] = [
        ("a device that may not decide", ErrorCode::DeviceNotFound, &|d| d.device_id = device(4)),
        ("for another approver", ErrorCode::BadSignature, &|d| d.approver_id = stranger.clone()),
        ("a digest of nothing", ErrorCode::RequestIdConflict, &|d| d.digest[3] ^= 1),
        ("the digest of another request", ErrorCode::RequestIdConflict, &|d| d.digest = about_other.digest),
        ("too old", ErrorCode::StaleTimestamp, &|d| d.expires = super::agent::stamp(now)),
        ("more fields than asked", ErrorCode::InvalidRequest, &|d| d.fields.push(Field::Totp)),
        ("other fields than asked", ErrorCode::InvalidRequest, &|d| d.fields = vec![Field::Notes]),
        ("no fields", ErrorCode::InvalidRequest, &|d| d.fields.clear()),
    ];
    for (n, (why, code, change)) in cases.into_iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        let refused = send(&mut world, &agent, 1, &bad);
        assert_eq!(world.code(refused), code, "{why}");
        assert_eq!(world.store.count(AuditEvent::Refused), n + 1, "{why}");
    }
    let unknown = send(&mut world, &agent, 7, &good);
    assert_eq!(world.code(unknown), ErrorCode::RequestNotFound);
    assert_eq!(world.reads, 0, "the vault was not even asked");
    assert!(world.waits(held) && world.waits(other));
    let counts = send(&mut world, &agent, 1, &good);
    assert!(matches!(world.answer(counts), Answer::Decided { .. }));
}

#[test]
fn a_decision_is_good_once_and_the_first_one_wins() {
    let (mut world, agent) = world();
    world.vault = Vault::Slow;
    let held = world.ask(&agent, &ask(1, "example.com"));
    let (yes, no) =
        (decision(&world, 2, 1, DecisionWord::Approve), decision(&world, 3, 1, DecisionWord::Deny));
    let first = send(&mut world, &agent, 1, &yes);
    let second = send(&mut world, &agent, 1, &no);
    let again = send(&mut world, &agent, 1, &yes);
    let here = world.deny(&agent, 1, "no");
    for late in [second, again, here] {
        assert_eq!(world.code(late), ErrorCode::RequestNotPending);
    }
    world.answer_reading(0, None);
    assert!(matches!(world.answer(first), Answer::Decided { verdict: Verdict::Approved, .. }));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    let replayed = send(&mut world, &agent, 1, &yes);
    assert_eq!(world.code(replayed), ErrorCode::RequestNotPending);
    assert_eq!((world.reads, outcome(&world, &agent, 1).unwrap().1), (1, Some(name(2))));
    // The other way round: the owner here was first.
    world.vault = Vault::Open;
    world.ask(&agent, &ask(2, "example.com"));
    let yes = decision(&world, 2, 2, DecisionWord::Approve);
    world.deny(&agent, 2, "no");
    let late = send(&mut world, &agent, 2, &yes);
    assert_eq!(world.code(late), ErrorCode::RequestNotPending);
    assert_eq!(outcome(&world, &agent, 2), Some((AskedState::Denied, None)));
}

#[test]
fn a_decision_that_outlives_its_request_releases_nothing() {
    let (mut world, agent) = world();
    let held = world.ask(&agent, &ask(1, "example.com").expires_in(60));
    let mut late = decision(&world, 2, 1, DecisionWord::Approve);
    late.expires = super::agent::stamp(world.now.wall + Duration::hours(1));
    world.jump(Duration::seconds(60)); // and no tick has come
    let refused = send(&mut world, &agent, 1, &late);
    assert_eq!(world.code(refused), ErrorCode::RequestNotPending);
    world.pass(Duration::seconds(1));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Expired);
}

#[test]
fn with_a_locked_vault_an_approval_waits_for_the_next_unlock() {
    let (mut world, agent) = world();
    world.vault = LOCKED;
    world.ask(&agent, &ask(1, "example.com"));
    let mut fewer = decision(&world, 2, 1, DecisionWord::Approve);
    fewer.fields = vec![Field::Password];
    let locked = send(&mut world, &agent, 1, &fewer);
    assert_eq!(world.code(locked), ErrorCode::VaultLocked);
    let waiting = world.machine.waiting_requests(world.now);
    assert_eq!(waiting[0].approved_by, Some(name(2)));
    assert!(
        world
            .notices
            .iter()
            .any(|n| matches!(n, Notice::RequestWaiting { request } if request.approved_by == Some(name(2))))
    );
    let late = decide(&mut world, &agent, 3, 1, DecisionWord::Deny);
    assert_eq!(world.code(late), ErrorCode::RequestNotPending, "it was answered");
    world.restart();
    world.handle(Event::Approvers { devices: vec![device(2)] });
    assert_eq!(world.machine.waiting_requests(world.now)[0].approved_by, Some(name(2)), "on disk");
    let held_again = world.ask(&agent, &ask(1, "example.com"));
    world.vault = Vault::Open;
    assert!(world.waits(held_again), "nothing leaves before the unlock is told");
    world.handle(Event::VaultOpened);
    assert_eq!(fields(&world.verdict(&agent, held_again)), [Field::Password]);
    assert!(!world.store.settings.keys().any(|key| key.starts_with("device_approval/")));
    let reads = world.reads;
    world.handle(Event::VaultOpened);
    assert_eq!(world.reads, reads, "once");
}

#[test]
fn an_approval_that_waits_is_void_once_its_device_may_not_decide() {
    let (mut world, agent) = world();
    world.vault = LOCKED;
    let held = world.ask(&agent, &ask(1, "example.com"));
    decide(&mut world, &agent, 2, 1, DecisionWord::Approve);
    world.handle(Event::Approvers { devices: vec![device(3)] });
    assert_eq!(world.machine.waiting_requests(world.now)[0].approved_by, None);
    assert!(!world.store.settings.keys().any(|key| key.starts_with("device_approval/")));
    world.vault = Vault::Open;
    world.handle(Event::Approvers { devices: vec![device(2), device(3)] });
    world.handle(Event::VaultOpened);
    assert!(world.waits(held), "paired anew does not bring it back");
    let reads = world.reads;
    world.approve(&agent, 1);
    assert_eq!((world.verdict(&agent, held).status, world.reads), (Verdict::Approved, reads + 1));
}

#[test]
fn an_approval_that_waits_too_long_is_void() {
    let (mut world, agent) = world();
    world.vault = LOCKED;
    let held = world.ask(&agent, &ask(1, "example.com"));
    let mut short = decision(&world, 2, 1, DecisionWord::Approve);
    short.expires = super::agent::stamp(world.now.wall + Duration::seconds(10));
    send(&mut world, &agent, 1, &short);
    world.pass(Duration::seconds(10));
    world.vault = Vault::Open;
    world.handle(Event::VaultOpened);
    assert!(world.waits(held));
    assert_eq!(world.machine.waiting_requests(world.now)[0].approved_by, None);
}

#[test]
fn a_device_removed_while_the_vault_is_read_releases_nothing() {
    let (mut world, agent) = world();
    world.vault = Vault::Slow;
    let held = world.ask(&agent, &ask(1, "example.com"));
    let decided = decide(&mut world, &agent, 2, 1, DecisionWord::Approve);
    world.handle(Event::Approvers { devices: vec![device(3)] });
    assert_eq!(world.code(decided), ErrorCode::DeviceNotFound);
    world.answer_reading(0, None);
    assert!(world.waits(held));
    assert_eq!(world.store.count(AuditEvent::CredentialReleased), 0);
    world.vault = Vault::Open;
    world.approve(&agent, 1);
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
}

#[test]
fn the_owner_here_may_still_decide_what_waits_for_the_vault() {
    let (mut world, agent) = world();
    world.vault = LOCKED;
    let (one, two) = (world.ask(&agent, &ask(1, "example.com")), world.ask(&agent, &ask(2, "example.org")));
    decide(&mut world, &agent, 2, 1, DecisionWord::Approve);
    decide(&mut world, &agent, 2, 2, DecisionWord::Approve);
    world.deny(&agent, 1, "changed my mind");
    assert_eq!(world.verdict(&agent, one).status, Verdict::Denied);
    assert_eq!(outcome(&world, &agent, 1), Some((AskedState::Denied, None)));
    let locked = world.approve(&agent, 2);
    assert_eq!(world.code(locked), ErrorCode::VaultLocked);
    assert_eq!(world.machine.waiting_requests(world.now)[0].approved_by, Some(name(2)), "still");
    world.vault = Vault::Open;
    world.handle(Event::VaultOpened);
    assert_eq!(world.verdict(&agent, two).status, Verdict::Approved);
}

#[test]
fn several_items_have_to_be_chosen_here() {
    let (mut world, agent) = world();
    world.vault = Vault::Fails(VaultFailure::Several(vec![choice("one"), choice("two")]));
    let held = world.ask(&agent, &ask(1, "example.com"));
    let choose = decide(&mut world, &agent, 2, 1, DecisionWord::Approve);
    assert!(matches!(world.answer(choose), Answer::Choose(choices) if choices.len() == 2));
    let waiting = world.machine.waiting_requests(world.now);
    assert_eq!((waiting[0].choices.len(), waiting[0].approved_by.as_ref()), (2, None));
    world.vault = Vault::Open;
    let item_id = Some("one".to_owned());
    world.decide(&agent, 1, Decision::Approve { grant: None, item_id, fields: None });
    assert_eq!(world.verdict(&agent, held).credential.item_id, "one");
}

#[test]
fn the_device_an_agent_runs_on_does_not_decide_for_it() {
    let mut world = World::new();
    world.handle(Event::Approvers { devices: vec![device(2), device(3)] });
    let on = |may_answer| Some(RunsOn { device_id: device(2), name: name(2), may_answer });
    world.runs_on = on(false);
    let agent = world.pair("a");
    world.runs_on = on(true);
    let trusted = world.pair("b");
    world.ask(&agent, &ask(1, "example.com"));
    world.ask(&trusted, &ask(2, "example.com"));
    let except: Vec<_> = world.machine.asked(world.now).into_iter().map(|of| of.except).collect();
    assert_eq!(except, [Some(device(2)), None]);
    let own = decide(&mut world, &agent, 2, 1, DecisionWord::Approve);
    assert_eq!(world.code(own), ErrorCode::OutOfScope);
    let own_no = decide(&mut world, &agent, 2, 1, DecisionWord::Deny);
    assert_eq!(world.code(own_no), ErrorCode::OutOfScope);
    world.restart();
    world.handle(Event::Approvers { devices: vec![device(2), device(3)] });
    let still = decide(&mut world, &agent, 2, 1, DecisionWord::Approve);
    assert_eq!(world.code(still), ErrorCode::OutOfScope, "also after a restart");
    let allowed = decide(&mut world, &trusted, 2, 2, DecisionWord::Approve);
    assert!(matches!(world.answer(allowed), Answer::Decided { .. }));
    let held_again = world.ask(&agent, &ask(1, "example.com"));
    decide(&mut world, &agent, 3, 1, DecisionWord::Approve);
    assert_eq!(world.verdict(&agent, held_again).status, Verdict::Approved);
    let view = world.machine.sessions(world.now).into_iter().find(|s| s.session_id == agent.session).unwrap();
    assert_eq!(view.runs_on.map(|on| on.device_id), Some(device(2)));
    world.revoke(&agent);
    assert_eq!(world.store.settings.keys().filter(|key| key.starts_with("session_device/")).count(), 1);
}

#[test]
fn a_denial_on_a_device_ends_one_request_and_no_look_alike() {
    let (mut world, agent) = world();
    let (one, two) = (
        world.ask(&agent, &ask(1, "example.com")),
        world.ask(&agent, &ask(2, "example.com").reason("another")),
    );
    assert_eq!(world.machine.asked(world.now).len(), 1, "look-alikes are one question");
    decide(&mut world, &agent, 2, 1, DecisionWord::Deny);
    assert_eq!(world.verdict(&agent, one).status, Verdict::Denied);
    assert!(world.waits(two));
    assert_eq!(world.machine.asked(world.now).len(), 1, "the next one");
}

#[test]
fn a_release_that_cannot_be_stored_is_not_made_for_a_device_either() {
    let (mut world, agent) = world();
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.fail_commits = true;
    let failed = decide(&mut world, &agent, 2, 1, DecisionWord::Approve);
    assert_eq!(world.code(failed), ErrorCode::StorageFailed);
    assert!(world.waits(held));
    world.fail_commits = false;
    let good = decide(&mut world, &agent, 2, 1, DecisionWord::Approve);
    assert!(matches!(world.answer(good), Answer::Decided { .. }));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
}

#[test]
fn what_is_left_in_the_store_of_what_is_over_goes_at_the_next_start() {
    let (mut world, _agent) = world();
    let left = [("device_approval/x/y", "{}"), ("session_device/x", "{}")];
    let setting = |(key, value): (&str, &str)| Write::Setting { key: key.into(), value: Some(value.into()) };
    world.store.apply(left.into_iter().map(setting).collect());
    world.restart();
    assert!(!world.store.settings.keys().any(|key| key.contains("device_")));
}
