//! Protocol section 1: pairing.

use durward_protocol::{
    Confirmation, Domain, ErrorCode, Limits, PairingId, PairingNumber, Scope, SessionId, Verdict,
};
use time::Duration;

use super::super::{Answer, AuditEvent, Event, Notice, Waiter};
use super::agent::ask;
use super::{World, code};

fn scope(domains: &[&str], max_uses: Option<u64>) -> Scope {
    let domains = domains.iter().map(|d| Domain::parse(d).unwrap()).collect();
    Scope::new(&Limits { domains: Some(domains), max_uses, expires_in: None }).unwrap()
}

fn seconds(n: i64) -> Duration {
    Duration::seconds(n)
}

#[test]
fn the_right_code_pairs() {
    let mut world = World::new();
    let agent = world.pair("flight-booking-001");
    let sessions = world.machine.sessions(world.now);
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].session_id, agent.session);
    assert_eq!(sessions[0].fingerprint, agent.keys.fingerprint().words(), "the same words at both ends");
    assert_eq!(
        world.store.events(),
        [AuditEvent::PairingWaiting, AuditEvent::PairingAnswered, AuditEvent::PairingConfirmed]
    );
    assert!(world.notices.iter().any(|n| matches!(n, Notice::Paired { .. })));
    assert!(world.machine.pairings().is_empty());
}

#[test]
fn keys_at_rest_are_sealed_and_no_code_is_stored() {
    let mut world = World::new();
    let displaying = world.display("a", &Scope::none());
    let digits = displaying.code.expose_digits().to_owned();
    let held = world.exchange(&displaying);
    world.type_code(None, &digits.parse().unwrap());
    let response = world.exchanged(held);
    let agent = displaying.verify(&response).unwrap();
    world.confirm(&agent);
    let row = &world.store.sessions[&agent.session];
    let keys = agent.keys.expose_stored();
    assert!(!row.sealed_keys.windows(32).any(|w| w == &keys.expose_bytes()[..32]));
    assert!(!row.sealed_keys.is_empty());
    assert!(!format!("{:?}{:?}", world.store.audit, world.notices).contains(&digits));
}

#[test]
fn an_offer_lives_fifteen_seconds_before_its_exchange() {
    let mut world = World::new();
    let displaying = world.display("a", &Scope::none());
    world.pass(seconds(14));
    let held = world.exchange(&displaying);
    assert!(world.waits(held));
    let late = world.display("b", &Scope::none());
    world.pass(seconds(15));
    let held = world.exchange(&late);
    assert_eq!(world.code(held), ErrorCode::PairingNotFound);
}

#[test]
fn lifetimes_hold_even_when_a_tick_is_late() {
    let mut world = World::new();
    let offered = world.display("a", &Scope::none());
    world.jump(seconds(15));
    let late = world.exchange(&offered);
    assert_eq!(world.code(late), ErrorCode::PairingNotFound, "15 s");

    let waiting = world.display("b", &Scope::none());
    let held = world.exchange(&waiting);
    world.jump(seconds(300));
    let owner = world.type_code(Some(waiting.number), &waiting.code);
    assert_eq!(world.code(owner), ErrorCode::PairingNotFound, "300 s");
    assert_eq!(world.code(held), ErrorCode::PairingNotFound);

    let (agent, owner) = world.pair_up_to_confirm("c", &Scope::none());
    world.jump(seconds(60));
    let confirm = world.confirm(&agent);
    assert_eq!(world.code(confirm), ErrorCode::SessionNotFound, "60 s");
    assert_eq!(world.code(owner), ErrorCode::ConfirmationFailed);
}

#[test]
fn a_code_lives_300_seconds() {
    let mut world = World::new();
    let displaying = world.display("a", &Scope::none());
    let held = world.exchange(&displaying);
    world.pass(seconds(299));
    assert_eq!(world.machine.pairings().len(), 1);
    world.pass(seconds(1));
    assert_eq!(world.code(held), ErrorCode::PairingNotFound);
    assert!(world.machine.pairings().is_empty());
    assert_eq!(world.store.count(AuditEvent::PairingFailed), 1);
    let why = "the code expired".to_owned();
    assert!(world.notices.iter().any(|n| matches!(n, Notice::PairingOver { why: w, .. } if *w == why)));
}

#[test]
fn a_dropped_exchange_has_fifteen_seconds_of_grace() {
    let mut world = World::new();
    let displaying = world.display("a", &Scope::none());
    let first = world.exchange(&displaying);
    world.handle(Event::WaitOver { waiter: first });
    assert!(matches!(world.answer(first), Answer::ExchangePending));
    world.pass(seconds(14));
    let again = world.exchange(&displaying);
    world.pass(seconds(30));
    assert!(world.waits(again), "held again: no grace runs");
    world.handle(Event::WaitOver { waiter: again });
    world.pass(seconds(15));
    assert!(world.machine.pairings().is_empty());
}

#[test]
fn a_code_typed_during_the_grace_time_reaches_the_agent() {
    let mut world = World::new();
    let displaying = world.display("a", &Scope::none());
    let first = world.exchange(&displaying);
    world.handle(Event::WaitOver { waiter: first });
    world.type_code(None, &displaying.code);
    let again = world.exchange(&displaying);
    assert!(displaying.verify(&world.exchanged(again)).is_ok());
}

#[test]
fn the_same_exchange_gets_the_same_answer_and_another_is_refused() {
    let mut world = World::new();
    let displaying = world.display("a", &Scope::none());
    let other = world.display("b", &Scope::none());
    let held = [world.exchange(&displaying), world.exchange(&displaying)];
    let pairing_id = displaying.id;
    let bent = world.call(|waiter| Event::Exchange { waiter, pairing_id, message: other.message });
    assert_eq!(world.code(bent), ErrorCode::PairingUsed);
    world.type_code(None, &displaying.code);
    let bent = world.call(|waiter| Event::Exchange { waiter, pairing_id, message: other.message });
    assert_eq!(world.code(bent), ErrorCode::PairingUsed);
    let late = world.exchange(&displaying);
    let first = world.exchanged(held[0]);
    assert_eq!(world.exchanged(held[1]), first);
    assert_eq!(world.exchanged(late), first);
    let agent = displaying.verify(&first).unwrap();
    let confirm = world.confirm(&agent);
    world.confirmed(confirm);
}

#[test]
fn the_same_exchange_gets_the_same_answer_while_the_session_is_being_stored() {
    let mut world = World::new();
    let displaying = world.display("a", &Scope::none());
    let (pairing_id, message) = (displaying.id, displaying.message);
    let held = world.exchange(&displaying);
    world.type_code(None, &displaying.code);
    let response = world.exchanged(held);
    let agent = displaying.verify(&response).unwrap();
    world.hold_commits = true;
    let confirm = world.confirm(&agent);
    let again = world.call(|waiter| Event::Exchange { waiter, pairing_id, message });
    assert_eq!(world.exchanged(again), response);
    world.finish_commits(true);
    world.confirmed(confirm);
}

#[test]
fn the_same_confirm_gets_the_same_answer_also_after_a_restart() {
    let mut world = World::new();
    let agent = world.pair("a");
    let again = world.confirm(&agent);
    let first = world.confirmed(again);
    world.restart();
    let again = world.confirm(&agent);
    assert_eq!(world.confirmed(again), first);
    let session_id = agent.session;
    let confirmation = Confirmation::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    let other = world.call(|waiter| Event::Confirm { waiter, session_id, confirmation });
    assert_eq!(world.code(other), ErrorCode::SessionNotFound);
    assert_eq!(world.machine.session_count(world.now), 1);
}

#[test]
fn a_wrong_code_ends_the_pairing_at_both_ends() {
    let mut world = World::new();
    let displaying = world.display("a", &Scope::none());
    let held = world.exchange(&displaying);
    let owner = world.type_code(None, &displaying.wrong_code());
    let response = world.exchanged(held);
    let (pairing_id, right) = (displaying.id, displaying.code.duplicate());
    assert!(displaying.verify(&response).is_err());
    let cancelled = world.call(|waiter| Event::CancelPairing { waiter, pairing_id });
    assert!(matches!(world.answer(cancelled), Answer::PairingCancelled));
    assert_eq!(world.code(owner), ErrorCode::ConfirmationFailed);
    let second_guess = world.type_code(None, &right);
    assert_eq!(world.code(second_guess), ErrorCode::PairingNotFound, "one guess");
    assert_eq!(world.machine.session_count(world.now), 0);
    assert_eq!(world.store.count(AuditEvent::PairingFailed), 1);
}

#[test]
fn a_wrong_proof_is_the_one_guess() {
    let mut world = World::new();
    let (agent, owner) = world.pair_up_to_confirm("a", &Scope::none());
    let session_id = agent.session;
    let confirmation = Confirmation::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    let guess = world.call(|waiter| Event::Confirm { waiter, session_id, confirmation });
    assert_eq!(world.code(guess), ErrorCode::ConfirmationFailed);
    assert_eq!(world.code(owner), ErrorCode::ConfirmationFailed);
    let right = world.confirm(&agent);
    assert_eq!(world.code(right), ErrorCode::SessionNotFound, "the keys are gone");
}

#[test]
fn an_answer_that_is_not_confirmed_in_60_seconds_is_over() {
    let mut world = World::new();
    let (agent, owner) = world.pair_up_to_confirm("a", &Scope::none());
    world.pass(seconds(59));
    assert!(world.waits(owner));
    world.pass(seconds(1));
    assert_eq!(world.code(owner), ErrorCode::ConfirmationFailed);
    let why = "not confirmed: the code was wrong or somebody else tried";
    assert!(world.notices.iter().any(|n| matches!(n, Notice::PairingOver { why: w, .. } if w == why)));
    let late = world.confirm(&agent);
    assert_eq!(world.code(late), ErrorCode::SessionNotFound);
}

#[test]
fn a_code_is_tried_on_one_pairing_once() {
    let mut world = World::new();
    let first = world.display("a", &Scope::none());
    let second = world.display("b", &Scope::none());
    world.exchange(&first);
    world.exchange(&second);
    world.type_code(Some(first.number), &second.code);
    let again = world.type_code(Some(second.number), &second.code);
    assert_eq!(world.code(again), ErrorCode::CodeAlreadyTyped);
    world.pass(seconds(299));
    let third = world.display("c", &Scope::none());
    world.exchange(&third);
    let still = world.type_code(Some(third.number), &second.code);
    assert_eq!(world.code(still), ErrorCode::CodeAlreadyTyped);
    world.pass(seconds(1));
    let forgotten = world.type_code(Some(third.number), &second.code);
    assert!(world.waits(forgotten), "after 300 s the code is as good as any other");
}

#[test]
fn six_digits_alone_only_while_one_waits() {
    let mut world = World::new();
    let nobody = world.type_code(None, &"123456".parse().unwrap());
    assert_eq!(world.code(nobody), ErrorCode::PairingNotFound);
    let first = world.display("a", &Scope::none());
    let second = world.display("b", &Scope::none());
    world.exchange(&first);
    let offered = world.type_code(Some(second.number), &second.code);
    assert_eq!(world.code(offered), ErrorCode::PairingNotWaiting);
    world.exchange(&second);
    let several = world.type_code(None, &second.code);
    assert_eq!(world.code(several), ErrorCode::SeveralPairings);
    let named = world.type_code(Some(second.number), &second.code);
    assert!(world.waits(named), "being refused did not spend the code");
    let free = (1..=99).map(|n| PairingNumber::try_from(n).unwrap());
    let free = free.into_iter().find(|n| *n != first.number && *n != second.number).unwrap();
    let unknown = world.type_code(Some(free), &first.code);
    assert_eq!(world.code(unknown), ErrorCode::PairingNotFound);
}

#[test]
fn numbers_are_unique_and_the_table_is_bounded() {
    let mut world = World::new();
    let mut all: Vec<_> = (0..64).map(|_| world.display("a", &Scope::none())).collect();
    let full = world.initiate("a", &Scope::none());
    assert_eq!(code(&full), ErrorCode::TooManyPairings);
    let held: Vec<Waiter> = all
        .iter()
        .take(17)
        .map(|d| (d.id, d.message))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(pairing_id, message)| world.call(|waiter| Event::Exchange { waiter, pairing_id, message }))
        .collect();
    assert!(held[..16].iter().all(|w| world.waits(*w)), "16 slots");
    assert_eq!(world.code(held[16]), ErrorCode::TooManyPairings);
    all.extend((0..16).map(|_| world.display("a", &Scope::none())));
    let mut numbers: Vec<_> = all.iter().map(|d| d.number).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), all.len());
    assert!(world.machine.pairings().iter().all(|p| p.duplicate_claim), "one name, many claims: marked");
    world.handle(Event::WaitOver { waiter: held[0] });
    world.pass(seconds(15));
    assert_eq!(world.machine.pairings().len(), 15, "a slot that nobody holds is free again");
    world.display("b", &Scope::none());
}

#[test]
fn the_owner_refuses_one_or_all() {
    let mut world = World::new();
    let pairings = [world.display("a", &Scope::none()), world.display("b", &Scope::none())];
    let held = [world.exchange(&pairings[0]), world.exchange(&pairings[1])];
    let number = Some(pairings[0].number);
    let one = world.call(|waiter| Event::RefusePairing { waiter, number });
    assert!(matches!(world.answer(one), Answer::Done(1)));
    assert_eq!(world.code(held[0]), ErrorCode::PairingRefused);
    assert!(world.waits(held[1]));
    let again = world.exchange(&pairings[0]);
    assert_eq!(world.code(again), ErrorCode::PairingRefused, "an agent between two calls learns it too");
    let unknown = world.call(|waiter| Event::RefusePairing { waiter, number });
    assert_eq!(world.code(unknown), ErrorCode::PairingNotFound);
    let all = world.call(|waiter| Event::RefusePairing { waiter, number: None });
    assert!(matches!(world.answer(all), Answer::Done(1)));
    assert_eq!(world.code(held[1]), ErrorCode::PairingRefused);
    let log = world.store.log();
    let refused: Vec<_> = log.iter().filter(|e| e.event == AuditEvent::PairingFailed).collect();
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|e| e.actor == super::super::Actor::Owner), "the log says who refused");
}

/// Who closes pairing means those, too, that wait already.
#[test]
fn closing_pairing_refuses_who_waits() {
    let mut world = World::new();
    let waiting = world.display("a", &Scope::none());
    let held = world.exchange(&waiting);
    let offered = world.display("b", &Scope::none());
    world.call(|waiter| Event::SwitchPairing { waiter, open: false });
    assert_eq!(world.code(held), ErrorCode::PairingRefused);
    for displaying in [&waiting, &offered] {
        let again = world.exchange(displaying);
        assert_eq!(world.code(again), ErrorCode::PairingRefused);
    }
    let typed = world.type_code(Some(waiting.number), &waiting.code);
    assert_eq!(world.code(typed), ErrorCode::PairingNotWaiting);
    assert!(world.machine.pairings().is_empty());
    let log = world.store.log();
    let failed = log.iter().find(|entry| entry.event == AuditEvent::PairingFailed).unwrap();
    assert_eq!(failed.detail.as_deref(), Some("pairing was closed"));
    assert_eq!(failed.actor, super::super::Actor::Owner);
}

#[test]
fn pairing_closed_stays_closed_over_a_restart() {
    let mut world = World::new();
    let closed = world.call(|waiter| Event::SwitchPairing { waiter, open: false });
    assert!(matches!(world.answer(closed), Answer::Done(1)));
    assert_eq!(code(&world.initiate("a", &Scope::none())), ErrorCode::PairingClosed);
    world.restart();
    assert_eq!(code(&world.initiate("a", &Scope::none())), ErrorCode::PairingClosed);
    world.call(|waiter| Event::SwitchPairing { waiter, open: true });
    world.restart();
    world.pair("a");
    assert_eq!(world.store.count(AuditEvent::PairingSwitched), 2);
}

#[test]
fn pending_pairings_live_in_memory_only() {
    let mut world = World::new();
    let displaying = world.display("a", &Scope::none());
    world.exchange(&displaying);
    world.restart();
    let again = world.exchange(&displaying);
    assert_eq!(world.code(again), ErrorCode::PairingNotFound);
}

#[test]
fn a_good_proof_replaces_the_agents_session_and_nothing_sooner_does() {
    let mut world = World::new();
    let old = world.pair("a");
    world.grant(&old, "example.com", super::super::GrantSpec::Session);
    let waiting = world.ask(&old, &ask(1, "other.example"));
    let displaying = world.display("a", &Scope::none());
    let held = world.exchange(&displaying);
    assert_eq!(world.machine.pairings()[0].replaces, Some(old.session), "the prompt says so");
    world.type_code(None, &displaying.code);
    let new = displaying.verify(&world.exchanged(held)).unwrap();
    assert_eq!(world.machine.session_count(world.now), 1);
    assert!(world.waits(waiting), "not before the proof");
    let confirm = world.confirm(&new);
    world.confirmed(confirm);
    let verdict = world.verdict(&old, waiting);
    assert_eq!(verdict.status, Verdict::Denied);
    assert!(world.machine.grants(world.now.steady).is_empty());
    let sessions = world.machine.sessions(world.now);
    assert_eq!(sessions.iter().map(|s| s.session_id).collect::<Vec<_>>(), [new.session]);
    let refused = world.ask(&old, &ask(2, "example.com"));
    assert_eq!(world.code(refused), ErrorCode::SessionNotFound);
    assert!(world.store.sessions[&old.session].sealed_keys.is_empty());
    assert_eq!(world.store.count(AuditEvent::SessionEnded), 1);
    world.restart();
    assert_eq!(world.machine.session_count(world.now), 1);
}

#[test]
fn a_crash_between_pairing_and_replacing_leaves_one_session_and_its_record() {
    let mut world = World::new();
    let old = world.pair("a");
    world.jump(seconds(1));
    let (new, _) = world.pair_up_to_confirm("a", &Scope::none());
    world.hold_commits = true;
    world.confirm(&new);
    world.finish_commit(true); // the new session is stored; what follows is lost in the crash
    world.hold_commits = false;
    world.restart();
    let sessions = world.machine.sessions(world.now);
    assert_eq!(sessions.iter().map(|s| s.session_id).collect::<Vec<_>>(), [new.session]);
    assert!(world.store.sessions[&old.session].ended.is_some());
    assert_eq!(world.store.count(AuditEvent::SessionEnded), 1, "the end of the old one is on record");
}

#[test]
fn the_owner_may_narrow_the_scope_and_never_widen_it() {
    let mut world = World::new();
    let asked = scope(&["example.com", "example.org"], Some(5));
    let displaying = world.display("a", &asked);
    let held = world.exchange(&displaying);
    let (code, number) = (displaying.code.duplicate(), Some(displaying.number));
    let (wider, narrow) = (scope(&["com"], Some(5)), scope(&["login.example.com"], Some(2)));
    let mut typed = |scope: &Scope| {
        let (code, scope) = (code.duplicate(), Some(scope.clone()));
        world.call(|waiter| Event::TypeCode {
            waiter,
            number,
            code,
            scope,
            apply_rules: false,
            runs_on: None,
        })
    };
    let refused = typed(&wider);
    typed(&narrow);
    assert_eq!(world.code(refused), ErrorCode::InvalidScope);
    let agent = displaying.verify(&world.exchanged(held)).unwrap();
    assert_eq!(agent.scope, narrow);
    let confirm = world.confirm(&agent);
    world.confirmed(confirm);
    let outside = world.ask(&agent, &ask(1, "example.org"));
    assert_eq!(world.code(outside), ErrorCode::OutOfScope);
    let inside = world.ask(&agent, &ask(1, "login.example.com"));
    assert!(world.waits(inside));
}

#[test]
fn a_store_that_fails_keeps_the_pairing_for_the_same_confirm() {
    let mut world = World::new();
    let (agent, owner) = world.pair_up_to_confirm("a", &Scope::none());
    world.fail_commits = true;
    let failed = world.confirm(&agent);
    assert_eq!(world.code(failed), ErrorCode::StorageFailed);
    assert_eq!(world.machine.session_count(world.now), 0);
    world.fail_commits = false;
    let again = world.confirm(&agent);
    world.confirmed(again);
    assert!(matches!(world.answer(owner), Answer::Paired(_)));
}

#[test]
fn a_confirm_whose_commit_fails_late_does_not_stay_forever() {
    let mut world = World::new();
    let (agent, owner) = world.pair_up_to_confirm("a", &Scope::none());
    world.hold_commits = true;
    let waiting = world.confirm(&agent);
    world.pass(seconds(120));
    world.finish_commits(false);
    assert_eq!(world.code(waiting), ErrorCode::StorageFailed);
    world.hold_commits = false;
    world.pass(seconds(60));
    assert_eq!(world.code(owner), ErrorCode::ConfirmationFailed, "the owner is told");
}

#[test]
fn an_agent_may_replace_its_session_when_all_are_taken() {
    let settings = super::super::Settings { max_sessions: 1, ..Default::default() };
    let mut world = World::with(settings);
    world.pair("a");
    world.pair("a");
    let (other, _) = world.pair_up_to_confirm("b", &Scope::none());
    let full = world.confirm(&other);
    assert_eq!(world.code(full), ErrorCode::RateLimited);
}

#[test]
fn strangers_learn_nothing() {
    let mut world = World::new();
    let pairing_id = PairingId::from_bytes([9; 16]);
    let displaying = world.display("a", &Scope::none());
    let message = displaying.message;
    let exchange = world.call(|waiter| Event::Exchange { waiter, pairing_id, message });
    assert_eq!(world.code(exchange), ErrorCode::PairingNotFound);
    let session_id = SessionId::from_bytes([9; 16]);
    let confirmation = Confirmation::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    let confirm = world.call(|waiter| Event::Confirm { waiter, session_id, confirmation });
    assert_eq!(world.code(confirm), ErrorCode::SessionNotFound);
}
