//! Protocol section 4: how requests come, wait, are joined and end without a credential.

use durward_protocol::{ErrorCode, Field, Limits, Scope, Verdict};
use time::Duration;

use super::super::{Actor, Answer, AuditEvent, Decision, Event, Notice, Settings, VaultFailure};
use super::agent::ask;
use super::harness::{Vault, choice};
use super::{World, payload};

#[test]
fn the_owner_sees_what_is_asked() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    assert!(world.waits(held));
    let waiting = world.machine.waiting_requests(world.now);
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        (waiting[0].domain.as_str(), waiting[0].reason.as_str()),
        ("example.com", "to book the flight")
    );
    assert_eq!(waiting[0].fields, Field::default_set());
    assert!(world.notices.iter().any(|n| matches!(n, Notice::RequestWaiting { .. })));
    assert_eq!(world.reads, 0, "nothing is read before the owner answers");
}

#[test]
fn nobody_sees_a_request_before_it_is_stored() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.hold_commits = true;
    world.ask(&agent, &ask(1, "example.com"));
    assert!(world.machine.waiting_requests(world.now).is_empty());
    let early = world.approve(&agent, 1);
    assert_eq!(world.code(early), ErrorCode::RequestNotPending);
    world.finish_commits(true);
    assert_eq!(world.machine.waiting_requests(world.now).len(), 1);
}

#[test]
fn a_wait_that_is_over_leaves_the_request_and_joining_resumes_it() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.handle(Event::WaitOver { waiter: held });
    assert!(matches!(world.answer(held), Answer::Pending { .. }));
    let joined =
        [world.ask(&agent, &ask(1, "example.com")), world.ask(&agent.twin(), &ask(1, "example.com"))];
    assert_eq!(world.machine.waiting_requests(world.now).len(), 1, "one request, however many wait");
    assert_eq!(world.store.count(AuditEvent::RequestReceived), 1);
    world.approve(&agent, 1);
    assert_eq!(payload(&world.answer(joined[0])), payload(&world.answer(joined[1])));
}

#[test]
fn pending_is_said_only_of_what_is_written_down() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.hold_commits = true;
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.handle(Event::WaitOver { waiter: held });
    assert!(!world.answers.contains_key(&held), "its row is not committed");
    world.finish_commits(true);
    assert!(matches!(world.answer(held), Answer::Pending { .. }));
    world.hold_commits = true;
    let failing = world.ask(&agent, &ask(2, "example.com"));
    world.handle(Event::WaitOver { waiter: failing });
    world.finish_commits(false);
    assert_eq!(world.code(failing), ErrorCode::StorageFailed);
}

#[test]
fn another_content_under_the_same_id_is_a_conflict() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    for other in [
        ask(1, "example.org"),
        ask(1, "example.com").reason("other"),
        ask(1, "example.com").item("x"),
        ask(1, "example.com").fields(&[Field::Password]),
    ] {
        let refused = world.ask(&agent, &other);
        assert_eq!(world.code(refused), ErrorCode::RequestIdConflict);
    }
    world.approve(&agent, 1);
    assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    let late = world.ask(&agent, &ask(1, "example.org"));
    assert_eq!(world.code(late), ErrorCode::RequestIdConflict, "also once answered");
}

#[test]
fn two_agents_may_use_one_id() {
    let mut world = World::new();
    let (a, b) = (world.pair("a"), world.pair("b"));
    let (of_a, of_b) = (world.ask(&a, &ask(1, "example.com")), world.ask(&b, &ask(1, "example.org")));
    world.approve(&b, 1);
    assert!(world.waits(of_a));
    assert_eq!(world.verdict(&b, of_b).credential.domain.unwrap().as_str(), "example.org");
}

#[test]
fn a_denial_carries_the_owners_words_as_often_as_it_is_asked_for() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    let owner = world.deny(&agent, 1, "not today");
    assert!(matches!(world.answer(owner), Answer::Decided { verdict: Verdict::Denied, .. }));
    let check = |world: &World, waiter| {
        let verdict = world.verdict(&agent, waiter);
        assert_eq!((verdict.status, verdict.reason.as_deref()), (Verdict::Denied, Some("not today")));
        assert!(verdict.credential.fields().is_empty());
    };
    check(&world, held);
    let soon = world.ask(&agent, &ask(1, "example.com"));
    check(&world, soon);
    world.pass(Duration::seconds(400));
    let late = world.ask(&agent, &ask(1, "example.com"));
    check(&world, late);
    world.restart();
    let later = world.ask(&agent, &ask(1, "example.com"));
    check(&world, later);
    assert_eq!(world.reads, 0);
    let log = world.store.log();
    let entry = log.iter().find(|e| e.event == AuditEvent::RequestEnded).unwrap();
    assert_eq!((entry.actor, entry.outcome.as_deref()), (Actor::Owner, Some("denied")));
}

#[test]
fn a_long_reason_is_cut_at_a_character() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.deny(&agent, 1, &"ß".repeat(1_000));
    assert_eq!(world.verdict(&agent, held).reason, Some("ß".repeat(256)));
    let held = world.ask(&agent, &ask(2, "example.com"));
    world.deny(&agent, 2, "  ");
    assert_eq!(world.verdict(&agent, held).reason, None);
}

#[test]
fn requests_expire_after_ten_minutes_or_as_asked() {
    let mut world = World::new();
    let agent = world.pair("a");
    let plain = world.ask(&agent, &ask(1, "example.com"));
    let short = world.ask(&agent, &ask(2, "example.com").expires_in(30));
    let long = world.ask(&agent, &ask(3, "example.com").expires_in(3_600));
    world.pass(Duration::seconds(30));
    assert_eq!(world.verdict(&agent, short).status, Verdict::Expired);
    world.pass(Duration::seconds(569));
    assert!(world.waits(plain));
    world.pass(Duration::seconds(1));
    assert_eq!(world.verdict(&agent, plain).status, Verdict::Expired);
    world.pass(Duration::seconds(2_999));
    assert!(world.waits(long), "and it keeps its session from idling out");
    world.pass(Duration::seconds(1));
    assert_eq!(world.verdict(&agent, long).status, Verdict::Expired);
}

#[test]
fn the_owner_cannot_decide_what_is_over() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.ask(&agent, &ask(1, "example.com").expires_in(30));
    world.jump(Duration::seconds(30));
    let late = world.approve(&agent, 1);
    assert_eq!(world.code(late), ErrorCode::RequestNotFound, "even when the tick is late");
    let unknown = world.approve(&agent, 9);
    assert_eq!(world.code(unknown), ErrorCode::RequestNotFound);
    world.ask(&agent, &ask(2, "example.com"));
    world.deny(&agent, 2, "no");
    let twice = world.approve(&agent, 2);
    assert_eq!(world.code(twice), ErrorCode::RequestNotPending);
    assert_eq!(world.reads, 0);
}

#[test]
fn an_agent_gives_up() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    let cancel = world.cancel(&agent, 1);
    assert!(matches!(world.answer(cancel), Answer::RequestCancelled { cancelled: true, .. }));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Cancelled);
    for id in [1, 9] {
        let again = world.cancel(&agent, id);
        assert!(matches!(world.answer(again), Answer::RequestCancelled { cancelled: false, .. }));
    }
    assert!(world.machine.waiting_requests(world.now).is_empty());
    let late = world.approve(&agent, 1);
    assert_eq!(world.code(late), ErrorCode::RequestNotPending);
}

#[test]
fn giving_up_at_once_ends_a_request_that_is_still_being_stored() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.hold_commits = true;
    let held = world.ask(&agent, &ask(1, "example.com"));
    let cancel = world.cancel(&agent, 1);
    world.finish_commits(true);
    assert!(matches!(world.answer(cancel), Answer::RequestCancelled { cancelled: true, .. }));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Cancelled);
    assert!(world.machine.waiting_requests(world.now).is_empty(), "the owner is not asked");
}

#[test]
fn giving_up_while_the_vault_is_read_answers_the_owner_too() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.vault = Vault::Slow;
    let held = world.ask(&agent, &ask(1, "example.com"));
    let owner = world.approve(&agent, 1);
    let cancel = world.cancel(&agent, 1);
    assert!(matches!(world.answer(cancel), Answer::RequestCancelled { cancelled: true, .. }));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Cancelled);
    assert!(matches!(world.answer(owner), Answer::Decided { verdict: Verdict::Cancelled, .. }));
    world.answer_reading(0, None);
    let again = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.verdict(&agent, again).status, Verdict::Cancelled, "the credential was dropped");
    assert_eq!(world.store.count(AuditEvent::CredentialReleased), 0);
}

#[test]
fn nothing_found_is_said() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.vault = Vault::Fails(VaultFailure::NotFound);
    let held = world.ask(&agent, &ask(1, "example.com"));
    let owner = world.approve(&agent, 1);
    assert!(matches!(world.answer(owner), Answer::Decided { verdict: Verdict::NotFound, .. }));
    assert_eq!(world.verdict(&agent, held).status, Verdict::NotFound);
    assert_eq!(world.store.count(AuditEvent::RequestEnded), 1);
}

#[test]
fn several_items_are_the_owners_choice() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.vault = Vault::Fails(VaultFailure::Several(vec![choice("one"), choice("two")]));
    let held = world.ask(&agent, &ask(1, "example.com"));
    let owner = world.approve(&agent, 1);
    assert!(matches!(world.answer(owner), Answer::Choose(items) if items.len() == 2));
    assert_eq!(world.machine.waiting_requests(world.now)[0].choices.len(), 2);
    assert!(world.waits(held));
    world.vault = Vault::Open;
    let item_id = Some("two".to_owned());
    world.decide(&agent, 1, Decision::Approve { grant: None, item_id, fields: None });
    assert_eq!(world.verdict(&agent, held).credential.item_id, "two");
}

#[test]
fn a_vault_that_cannot_be_read_leaves_the_request_waiting() {
    for (failure, expected) in [
        (VaultFailure::Locked, ErrorCode::VaultLocked),
        (VaultFailure::Missing, ErrorCode::VaultNotFound),
        (VaultFailure::Unavailable("disk".into()), ErrorCode::VaultUnavailable),
    ] {
        let mut world = World::new();
        let agent = world.pair("a");
        world.vault = Vault::Fails(failure);
        let held = world.ask(&agent, &ask(1, "example.com"));
        let owner = world.approve(&agent, 1);
        assert_eq!(world.code(owner), expected);
        assert!(world.waits(held));
        world.vault = Vault::Open;
        world.approve(&agent, 1);
        assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    }
}

#[test]
fn a_reading_that_was_given_up_does_not_answer_for_a_later_one() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.vault = Vault::Slow;
    let held = world.ask(&agent, &ask(1, "example.com"));
    let first = Decision::Approve { grant: None, item_id: Some("first".into()), fields: None };
    world.decide(&agent, 1, first);
    world.fail_commits = true;
    world.cancel(&agent, 1); // the end cannot be stored: the request waits again
    world.fail_commits = false;
    let fields = Some(vec![Field::Username]);
    let owner =
        world.decide(&agent, 1, Decision::Approve { grant: None, item_id: Some("second".into()), fields });
    world.answer_reading(0, None);
    assert!(world.waits(held) && world.waits(owner), "that was the first reading");
    world.answer_reading(0, None);
    let credential = world.verdict(&agent, held).credential;
    assert_eq!((credential.item_id.as_str(), credential.fields()), ("second", vec![Field::Username]));
}

#[test]
fn scope_limits_domains_and_uses() {
    let mut world = World::new();
    let limits = Limits { max_uses: Some(2), ..Limits::default() };
    let agent = world.pair_with("a", &Scope::new(&limits).unwrap());
    for id in [1, 2] {
        let held = world.ask(&agent, &ask(id, "example.com"));
        world.approve(&agent, id);
        assert_eq!(world.verdict(&agent, held).status, Verdict::Approved);
    }
    let spent = world.ask(&agent, &ask(3, "example.com"));
    assert_eq!(world.code(spent), ErrorCode::OutOfScope);
    world.restart();
    let spent = world.ask(&agent, &ask(3, "example.com"));
    assert_eq!(world.code(spent), ErrorCode::OutOfScope);
}

#[test]
fn two_waiting_requests_cannot_both_take_the_last_use() {
    let mut world = World::new();
    let limits = Limits { max_uses: Some(1), ..Limits::default() };
    let agent = world.pair_with("a", &Scope::new(&limits).unwrap());
    let (first, second) =
        (world.ask(&agent, &ask(1, "example.com")), world.ask(&agent, &ask(2, "example.com")));
    world.vault = Vault::Slow;
    world.approve(&agent, 1);
    let too_many = world.approve(&agent, 2);
    assert_eq!(world.code(too_many), ErrorCode::OutOfScope);
    world.answer_reading(0, None);
    assert_eq!(world.verdict(&agent, first).status, Verdict::Approved);
    assert!(world.waits(second));
}

#[test]
fn a_scope_may_end_the_session_sooner() {
    let mut world = World::new();
    let limits = Limits { expires_in: Some(60), ..Limits::default() };
    let agent = world.pair_with("a", &Scope::new(&limits).unwrap());
    world.pass(Duration::seconds(59));
    let held = world.ask(&agent, &ask(1, "example.com"));
    world.pass(Duration::seconds(1));
    assert_eq!(world.verdict(&agent, held).status, Verdict::Denied);
    let over = world.ask(&agent, &ask(2, "example.com"));
    assert_eq!(world.code(over), ErrorCode::SessionNotFound);
}

#[test]
fn a_full_table_of_requests_is_refused_and_frees_itself() {
    let settings = Settings {
        max_pending_per_session: 2,
        max_pending: 3,
        max_waiters_per_request: 2,
        ..Settings::default()
    };
    let mut world = World::with(settings);
    let (a, b) = (world.pair("a"), world.pair("b"));
    world.ask(&a, &ask(1, "example.com"));
    world.ask(&a, &ask(2, "example.com"));
    let full = world.ask(&a, &ask(3, "example.com"));
    assert_eq!(world.code(full), ErrorCode::RateLimited);
    world.ask(&b, &ask(1, "example.com"));
    let full = world.ask(&b, &ask(2, "example.com"));
    assert_eq!(world.code(full), ErrorCode::RateLimited, "in all");
    world.ask(&b, &ask(1, "example.com"));
    let crowd = world.ask(&b, &ask(1, "example.com"));
    assert_eq!(world.code(crowd), ErrorCode::RateLimited);
    world.deny(&a, 1, "no");
    let fits = world.ask(&b, &ask(2, "example.com"));
    assert!(world.waits(fits));
}
