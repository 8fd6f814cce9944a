//! An envelope takes effect once, in its session, direction and place, and now.

use durward_protocol::{ErrorCode, Side, seal};
use time::Duration;

use super::super::{Answer, AuditEvent, Event};
use super::World;
use super::agent::{Agent, ask, stamp};

/// Sends what must be refused, and checks that it left no trace but the refusal.
fn refused(world: &mut World, agent: &Agent, payload: String, expected: ErrorCode) {
    let look = |world: &World| {
        let status = world.machine.session_status(world.now, agent.session).unwrap();
        let nonces = (world.machine.nonces, world.store.nonces.len());
        (status.last_access, nonces, world.machine.requests.len(), world.store.requests.len())
    };
    let before = look(world);
    let refusals = world.store.count(AuditEvent::Refused);
    let waiter = world.send(agent.session, payload);
    assert_eq!(world.code(waiter), expected);
    assert_eq!(look(world), before);
    assert_eq!(world.store.count(AuditEvent::Refused), refusals + 1);
}

#[test]
fn bent_envelopes() {
    let mut world = World::new();
    let (agent, other) = (world.pair("a"), world.pair("b"));
    world.jump(Duration::seconds(10));
    let now = world.now.wall;
    let good = agent.request(&ask(1, "example.com"), now, &mut world.rng);
    let mut flipped = good.clone().into_bytes();
    flipped[60] = if flipped[60] == b'A' { b'B' } else { b'A' };
    refused(&mut world, &agent, String::from_utf8(flipped).unwrap(), ErrorCode::BadEnvelope);
    refused(&mut world, &agent, good[..good.len() - 4].to_owned(), ErrorCode::BadEnvelope);
    refused(&mut world, &agent, String::new(), ErrorCode::BadEnvelope);
    refused(&mut world, &agent, "A".repeat(100_000), ErrorCode::BadEnvelope);
    refused(&mut world, &agent, format!("Ag{}", &good[2..]), ErrorCode::UnsupportedVersion);
    let cross = other.request(&ask(1, "example.com"), now, &mut world.rng);
    refused(&mut world, &agent, cross, ErrorCode::BadEnvelope);
    let plaintext =
        ask(1, "example.com").request.to_plaintext(ask(1, "x.example").header(now, &mut world.rng));
    let reflected = seal(&agent.keys, Side::B, &agent.session, &plaintext.unwrap(), &mut world.rng).unwrap();
    refused(&mut world, &agent, reflected, ErrorCode::BadEnvelope);
    let held = world.send(agent.session, good);
    assert!(world.waits(held), "the good one was not spent by its copies");
}

#[test]
fn wrong_type_and_wrong_content() {
    let mut world = World::new();
    let agent = world.pair("a");
    let revoke = agent.revoke(world.now.wall, &mut world.rng);
    refused(&mut world, &agent, revoke.clone(), ErrorCode::WrongType);
    let nonsense = agent.seal(b"{}", &mut world.rng);
    refused(&mut world, &agent, nonsense, ErrorCode::WrongType);
    let half = agent.seal(br#"{"type":"credential.request"}"#, &mut world.rng);
    refused(&mut world, &agent, half, ErrorCode::InvalidRequest);
    let session_id = agent.session;
    let cancel = world.call(|waiter| Event::CancelRequest { waiter, session_id, payload: revoke.clone() });
    assert_eq!(world.code(cancel), ErrorCode::WrongType);
    let good = world.call(|waiter| Event::RevokeByAgent { waiter, session_id, payload: revoke });
    assert!(matches!(world.answer(good), Answer::Revoked { .. }));
}

#[test]
fn stale_envelopes_say_what_time_it_is_here() {
    let mut world = World::new();
    let agent = world.pair("a");
    world.jump(Duration::hours(1));
    world.now.steady = super::harness::START; // only the wall clock moved: the session does not idle
    let now = world.now.wall;
    for off in [-301, 301] {
        let stale = ask(1, "example.com").at(now + Duration::seconds(off));
        let payload = agent.request(&stale, now, &mut world.rng);
        refused(&mut world, &agent, payload, ErrorCode::StaleTimestamp);
    }
    let stale = ask(1, "example.com").at(now - Duration::hours(1));
    let waiter = world.ask(&agent, &stale);
    let Answer::Error { approver_time, .. } = world.answer(waiter) else { panic!() };
    assert_eq!(approver_time, Some(stamp(now)));
    for (id, off) in [(2, -300), (3, 300)] {
        let held = world.ask(&agent, &ask(id, "example.com").at(now + Duration::seconds(off)));
        assert!(world.waits(held));
    }
}

#[test]
fn replayed_envelopes_also_after_a_restart() {
    let mut world = World::new();
    let agent = world.pair("a");
    let payload = agent.request(&ask(1, "example.com"), world.now.wall, &mut world.rng);
    world.send(agent.session, payload.clone());
    refused(&mut world, &agent, payload.clone(), ErrorCode::Replayed);
    world.restart();
    refused(&mut world, &agent, payload.clone(), ErrorCode::Replayed);
    let cancel = agent.cancel(ask(9, "x.example").request.id, world.now.wall, &mut world.rng);
    let session_id = agent.session;
    for expected in [None, Some(ErrorCode::Replayed)] {
        let payload = cancel.clone();
        let waiter = world.call(|waiter| Event::CancelRequest { waiter, session_id, payload });
        assert_eq!(
            matches!(world.answer(waiter), Answer::Error { code, .. } if Some(code) == expected),
            expected.is_some()
        );
        world.restart();
    }
    let same_nonce = ask(2, "example.com").nonce(5);
    world.ask(&agent, &same_nonce);
    let again = world.ask(&agent, &ask(3, "example.com").nonce(5));
    assert_eq!(world.code(again), ErrorCode::Replayed, "another envelope, the same nonce");
}

#[test]
fn a_timestamp_ahead_is_remembered_as_long_as_it_is_fresh() {
    let mut world = World::new();
    let agent = world.pair("a");
    let ahead = ask(1, "example.com").at(world.now.wall + Duration::seconds(290));
    let payload = agent.request(&ahead, world.now.wall, &mut world.rng);
    world.send(agent.session, payload.clone());
    world.pass(Duration::seconds(589));
    world.cancel(&agent, 9); // makes the window forget what it may
    refused(&mut world, &agent, payload.clone(), ErrorCode::Replayed);
    world.restart();
    refused(&mut world, &agent, payload.clone(), ErrorCode::Replayed);
    world.pass(Duration::seconds(2));
    refused(&mut world, &agent, payload, ErrorCode::StaleTimestamp);
}

#[test]
fn out_of_scope_and_conflicts_are_no_use() {
    let mut world = World::new();
    let domains = Some(vec![durward_protocol::Domain::parse("example.com").unwrap()]);
    let limits = durward_protocol::Limits { domains, max_uses: Some(1), expires_in: None };
    let agent = world.pair_with("a", &durward_protocol::Scope::new(&limits).unwrap());
    world.jump(Duration::seconds(10));
    for domain in ["example.org", "com", "badexample.com"] {
        let payload = agent.request(&ask(1, domain), world.now.wall, &mut world.rng);
        refused(&mut world, &agent, payload, ErrorCode::OutOfScope);
    }
    let held = world.ask(&agent, &ask(1, "login.example.com"));
    assert!(world.waits(held), "a subdomain is covered");
    world.jump(Duration::seconds(10));
    let payload = agent.request(&ask(1, "example.com"), world.now.wall, &mut world.rng);
    refused(&mut world, &agent, payload, ErrorCode::RequestIdConflict);
}

#[test]
fn a_stranger_is_answered_and_not_written_down() {
    let mut world = World::new();
    let agent = world.pair("a");
    let payload = agent.request(&ask(1, "example.com"), world.now.wall, &mut world.rng);
    let waiter = world.send(durward_protocol::SessionId::from_bytes([3; 16]), payload);
    assert_eq!(world.code(waiter), ErrorCode::SessionNotFound);
    assert_eq!(world.store.count(AuditEvent::Refused), 0);
}
