//! Nothing a peer sends grows memory, the log or the clockwork without bound.

use durward_protocol::{ErrorCode, Scope, Verdict};
use time::Duration;

use super::super::{Actor, Answer, AuditEvent, Event, GrantSpec, Notice, Settings, VaultFailure};
use super::agent::ask;
use super::{Vault, World};

#[test]
fn a_flood_of_refusals_is_a_few_lines() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.now.wall += Duration::minutes(3); // the clocks differ: the log is on the wall clock
    for _ in 0..1_000 {
        world.send(agent.session, "AQAA".into());
    }
    assert_eq!(world.store.count(AuditEvent::Refused), 60);
    world.pass(Duration::minutes(1));
    for _ in 0..70 {
        world.send(agent.session, "AQAA".into());
    }
    world.handle(Event::Stopping);
    let log = world.store.log();
    assert_eq!(
        log.last().unwrap().detail.as_deref(),
        Some("10 more refusals within a minute"),
        "at a stop too"
    );
    let summary = &log[log.len() - 62];
    assert_eq!(summary.detail.as_deref(), Some("940 more refusals within a minute"));
    assert_eq!(summary.at, world.now.wall);
}

#[test]
fn answers_take_bounded_room_and_the_oldest_go_first() {
    let mut world = World::with(Settings { max_answer_bytes: 2_000, ..Settings::default() });
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Session);
    for id in 1..=20 {
        let held = world.ask(&agent, &ask(id, "example.com"));
        assert_eq!(world.verdict(&agent, held).status, Verdict::Approved, "whoever waits gets it");
        assert!(world.machine.answer_bytes <= 2_000);
    }
    let newest = world.ask(&agent, &ask(20, "example.com"));
    assert_eq!(world.verdict(&agent, newest).status, Verdict::Approved);
    let oldest = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.verdict(&agent, oldest).status, Verdict::Expired);
    world.pass(Duration::minutes(10));
    assert_eq!((world.machine.answer_bytes, world.machine.answers.len()), (0, 0));
}

#[test]
fn remembered_requests_are_bounded() {
    let mut world = World::with(Settings { max_remembered_requests: 5, ..Settings::default() });
    let agent = world.pair("a");
    for id in 1..=3 {
        world.ask(&agent, &ask(id, "example.com"));
        world.approve(&agent, id);
    }
    let full = world.ask(&agent, &ask(6, "example.com"));
    assert_eq!(world.code(full), ErrorCode::RateLimited);
    world.pass(Duration::minutes(20));
    world.cancel(&agent, 9);
    world.pass(Duration::minutes(5));
    let fits = world.ask(&agent, &ask(6, "example.com"));
    assert!(world.waits(fits));
}

/// Whoever asks without end takes half of what is remembered, and not what others need.
#[test]
fn one_agent_cannot_fill_the_memory_of_requests() {
    let mut world = World::with(Settings { max_remembered_requests: 30, ..Settings::default() });
    let (greedy, second, honest) = (world.pair("greedy"), world.pair("second"), world.pair("honest"));
    let fill = |world: &mut World, agent| {
        world.grant(agent, "example.com", GrantSpec::Session);
        (1..=30)
            .filter(|id| {
                let held = world.ask(agent, &ask(*id, "example.com"));
                matches!(world.answer(held), Answer::Answered { .. })
            })
            .count()
    };
    assert_eq!(fill(&mut world, &greedy), 14, "and the one that the grant came with: half");
    assert_eq!(fill(&mut world, &second), 7, "half of the rest");
    for id in 1..=3 {
        let held = world.ask(&honest, &ask(id, "example.com"));
        assert!(world.waits(held), "there is room for who asks little");
    }
    world.restart();
    let more = world.ask(&greedy, &ask(99, "example.com"));
    assert_eq!(world.code(more), ErrorCode::RateLimited, "a restart forgets nobody's share");
    world.pass(Duration::minutes(26));
    let again = world.ask(&greedy, &ask(99, "example.com"));
    assert!(world.waits(again) || matches!(world.answer(again), Answer::Answered { .. }));
}

#[test]
fn an_idle_approver_sleeps() {
    let mut world = World::new();
    assert_eq!(world.machine.next_deadline(), None);
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::For { seconds: 60 });
    world.ask(&agent, &ask(1, "other.example"));
    world.pass(Duration::hours(30));
    assert_eq!(world.machine.next_deadline(), None, "nothing waits for time any more");
    let machine = &world.machine;
    assert_eq!((machine.nonces, machine.pending, machine.requests.len()), (0, 0, 0));
    assert!(machine.held.is_empty() && machine.in_flight.is_empty() && machine.grants.is_empty());
    assert!(world.store.nonces.is_empty());
}

#[test]
fn a_nonce_that_is_refused_for_want_of_room_moves_nothing() {
    let mut world = World::new();
    let agent = world.pair("a");
    let session = world.machine.sessions.get_mut(&agent.session).unwrap();
    let expires = (world.now.steady + Duration::hours(1)).unix_timestamp();
    for n in 0..durward_protocol::MAX_NONCES_PER_SESSION {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(n as u64).to_le_bytes());
        let nonce = durward_protocol::Nonce::from_bytes(bytes);
        session.replay.remember(nonce, expires, 0).unwrap();
    }
    world.jump(Duration::minutes(10));
    let full = world.ask(&agent, &ask(1, "example.com"));
    assert_eq!(world.code(full), ErrorCode::RateLimited);
    let status = world.machine.session_status(world.now, agent.session).unwrap();
    assert_eq!(status.last_access.get(), super::harness::START);
}

#[test]
fn a_flood_of_pairings_that_was_swept_away_makes_room() {
    let mut world = World::with(Settings { max_offered_pairings: 4, ..Settings::default() });
    for _ in 0..4 {
        world.display("flood", &Scope::none());
    }
    let waiter = world.waiter();
    world.handle(Event::RefusePairing { waiter, number: None });
    for i in 0..4 {
        world.display(&format!("honest-{i}"), &Scope::none());
    }
    let more = world.initiate("one-more", &Scope::none());
    assert!(matches!(more, Answer::Error { code: ErrorCode::TooManyPairings, .. }), "{more:?}");
}

/// Whoever reaches the agent plane can offer pairings and give them up: no code and no session is needed.
#[test]
fn a_flood_of_pairings_without_a_code_is_a_few_lines() {
    let mut world = World::new();
    for _ in 0..500 {
        let flood = world.display("flood", &Scope::none());
        world.exchange(&flood);
        let pairing_id = flood.id;
        world.call(|waiter| Event::CancelPairing { waiter, pairing_id });
    }
    let records = |world: &World| {
        world.store.count(AuditEvent::PairingWaiting) + world.store.count(AuditEvent::PairingFailed)
    };
    assert_eq!(records(&world), 60);
    // What the owner does is never only counted.
    let flood = world.display("flood", &Scope::none());
    world.exchange(&flood);
    let waiter = world.waiter();
    world.handle(Event::RefusePairing { waiter, number: None });
    let refused = world.store.log().pop().unwrap();
    assert_eq!((refused.event, refused.actor), (AuditEvent::PairingFailed, Actor::Owner));
    world.pass(Duration::minutes(1));
    let summary = world.store.log().pop().unwrap();
    assert_eq!(
        summary.detail.as_deref(),
        Some("941 more records of pairings without a code within a minute")
    );
    let honest = world.pair("honest");
    assert_eq!(world.store.count(AuditEvent::PairingConfirmed), 1, "{:?}", honest.session);
}

#[test]
fn an_agent_that_tells_tales_of_the_log_does_not_fill_it() {
    let mut world = World::new();
    let agent = world.pair("a");
    let held = world.ask(&agent, &ask(1, "example.com"));
    for n in 1..=100 {
        // Twice the same number, with two hashes.
        for hash in [1, 2] {
            world.ask(&agent, &ask(1, "example.com").heads((n, hash), None));
        }
    }
    assert!(world.waits(held));
    assert_eq!(world.store.count(AuditEvent::HeadsDiffer), 11, "the first, and ten a minute");
    let told = world.notices.iter().filter(|notice| matches!(notice, Notice::HeadsDiffer { .. })).count();
    assert_eq!(told, 11, "nor the owner's screen");
    // Another agent's first word is told all the same.
    let honest = world.pair("honest");
    world.ask(&honest, &ask(1, "example.com").heads((1, 1), None));
    world.ask(&honest, &ask(1, "example.com").heads((1, 2), None));
    let last = world.notices.iter().rfind(|notice| matches!(notice, Notice::HeadsDiffer { .. })).unwrap();
    assert!(
        matches!(last, Notice::HeadsDiffer { agent_id, .. } if agent_id.as_str() == "honest"),
        "{last:?}"
    );
    world.pass(Duration::minutes(1));
    let log = world.store.log();
    let summary = log.iter().rfind(|entry| entry.event == AuditEvent::HeadsDiffer).unwrap();
    assert_eq!(summary.outcome.as_deref(), Some("summary"), "{summary:?}");
}

#[test]
fn who_asks_the_owner_again_and_again_is_slowed_down() {
    let mut world = World::with(Settings { max_asks_in_a_row: 5, ..Settings::default() });
    let agent = world.pair("a");
    for id in 1..=5 {
        let held = world.ask(&agent, &ask(id, "example.com"));
        assert!(world.waits(held));
        world.cancel(&agent, id);
    }
    let sixth = world.ask(&agent, &ask(6, "example.com"));
    assert_eq!(world.code(sixth), ErrorCode::RateLimited);
    world.pass(Duration::seconds(1));
    world.grant(&agent, "example.com", GrantSpec::Session);
    for id in 7..=40 {
        let granted = world.ask(&agent, &ask(id, "example.com"));
        assert_eq!(world.verdict(&agent, granted).status, Verdict::Approved, "a grant asks nobody");
    }
    let other = world.ask(&agent, &ask(41, "other.example"));
    assert_eq!(world.code(other), ErrorCode::RateLimited);
    world.pass(Duration::minutes(1));
    let other = world.ask(&agent, &ask(41, "other.example"));
    assert!(world.waits(other), "it may ask again after a while");
}

#[test]
fn what_is_over_keeps_no_reason_on_disk() {
    let mut world = World::new();
    let agent = world.pair("a");
    let long = "x".repeat(4_000);
    for id in 1..=3 {
        world.ask(&agent, &ask(id, "example.com").reason(&long));
    }
    world.cancel(&agent, 1);
    world.approve(&agent, 2);
    let kept: Vec<usize> = world.store.requests.values().map(|row| row.reason.len()).collect();
    assert_eq!(kept, [0, 0, 4_000]);
    world.restart();
    let again = world.ask(&agent, &ask(1, "example.com").reason(&long));
    assert_eq!(world.verdict(&agent, again).status, Verdict::Cancelled, "it is known by its digest");
}

/// A grant spares the owner only while the vault is open.
#[test]
fn a_grant_is_no_way_to_ask_without_end() {
    let mut world = World::with(Settings { max_asks_in_a_row: 5, ..Settings::default() });
    let agent = world.pair("a");
    world.grant(&agent, "example.com", GrantSpec::Session);
    world.pass(Duration::minutes(1));
    world.vault = Vault::Fails(VaultFailure::Locked);
    for id in 1..=5 {
        let held = world.ask(&agent, &ask(id, "example.com"));
        assert!(world.waits(held), "the owner is asked for the vault's password");
        world.cancel(&agent, id);
    }
    let sixth = world.ask(&agent, &ask(6, "example.com"));
    assert_eq!(world.code(sixth), ErrorCode::RateLimited);
    world.pass(Duration::seconds(1));
    let later = world.ask(&agent, &ask(7, "example.com"));
    assert!(world.waits(later));
}
