//! Logins in which the phrase stays with the client, through the flows.

use serde_json::json;
use time::Duration;

use super::memory::*;
use crate::accounts::opaque::tests::TestClient;
use crate::accounts::*;

struct Started {
    reply: OpaqueStartReply,
    client: TestClient,
}

fn start(world: &mut World, setup: &OpaqueSetup, user: &str, phrase: &str) -> Result<Started, Refusal> {
    let challenge = world.challenge(&mac());
    let (client, first) = TestClient::start(phrase, &mut world.rng);
    let text = json!({ "challenge": challenge, "user": user, "start_login_request": first, "device": mac() });
    let request: OpaqueStartRequest = parse_body(text.to_string().as_bytes())?;
    let opening =
        OpaqueStart::parse(request, world.sole().as_ref(), &World::caller(HOME, None), &world.subjects)?;
    let facts = world.attempt_facts(opening.challenge(), opening.user(), opening.ladder_key());
    let decision = opening.admit(&facts, world.now);
    let admitted = world.commit(decision).unwrap()?;
    let decision = admitted.respond(setup, &world.policy, world.now, &mut world.rng).unwrap();
    let reply = world.commit(decision).unwrap();
    Ok(Started { reply, client })
}

fn finish(world: &mut World, login_id: &str, message: &str) -> Result<Issued, Refusal> {
    let request =
        OpaqueFinishRequest { login_id: login_id.to_owned(), finish_login_request: message.to_owned() };
    let finish = OpaqueFinish::parse(&request)?;
    let taken = world.logins.remove(finish.login_id().as_str());
    let checked = finish.check(taken, &world.subjects, world.now);
    world.issue(checked)
}

fn enrolled() -> (World, OpaqueSetup) {
    let mut world = World::new();
    let setup = OpaqueSetup::generate(&mut world.rng);
    let challenge = world.challenge(&mac());
    let issued = world.exchange(&World::caller(HOME, None), &body(&challenge, &mac(), PHRASE)).unwrap();
    let enrolment = issued.enrol.expect("a first plain login enrols");
    let write = enrolment.run(&setup, &mut world.arena, &mut world.rng).unwrap();
    let mut decision = Decision::only(());
    decision.writes.push(write);
    world.commit(decision).unwrap();
    (world, setup)
}

#[test]
fn a_good_login_gives_a_key_and_gives_the_count_back() {
    let (mut world, setup) = enrolled();
    let Started { reply, client } = start(&mut world, &setup, "alan", PHRASE).unwrap();
    assert_eq!((reply.user.as_str(), reply.expires_in), ("alan", 60));
    assert_eq!(world.own.values().map(|row| row.failures).sum::<u32>(), 1, "counted at the start");
    let last = client.finish(&reply.login_response, &mut world.rng).unwrap();
    let issued = finish(&mut world, &reply.login_id, &last).unwrap();
    assert!(world.works(issued.reply.api_key.expose_key()));
    assert_eq!(world.own.values().map(|row| row.failures).sum::<u32>(), 0);
    assert!(issued.enrol.is_none());
    let again = finish(&mut world, &reply.login_id, &last).unwrap_err();
    assert_eq!(again.error, ApiError::InvalidChallenge, "one finish a start");
}

#[test]
fn starts_alone_lock_like_wrong_phrases_and_share_the_counter() {
    let (mut world, setup) = enrolled();
    for _ in 0..2 {
        start(&mut world, &setup, "alan", "wrong").unwrap();
    }
    let challenge = world.challenge(&mac());
    let refusal = world.exchange(&World::caller(HOME, None), &body(&challenge, &mac(), "wrong")).unwrap_err();
    assert_eq!(refusal.attempts_remaining, Some(0));
    assert_eq!(start(&mut world, &setup, "alan", PHRASE).err().map(|r| r.error), Some(ApiError::LockedOut));
}

#[test]
fn a_wrong_or_late_finish_issues_nothing() {
    let (mut world, setup) = enrolled();
    let first = start(&mut world, &setup, "alan", PHRASE).unwrap();
    let second = start(&mut world, &setup, "alan", PHRASE).unwrap();
    let last = first.client.finish(&first.reply.login_response, &mut world.rng).unwrap();
    let refusal = finish(&mut world, &second.reply.login_id, &last).unwrap_err();
    assert_eq!((refusal.error, refusal.attempts_remaining), (ApiError::InvalidPassphrase, Some(1)));
    world.wait(Duration::MINUTE);
    let late = finish(&mut world, &first.reply.login_id, &last).unwrap_err();
    assert_eq!(late.error, ApiError::InvalidChallenge);
}

#[test]
fn unknown_names_start_like_known_ones() {
    let (mut world, setup) = enrolled();
    let known = start(&mut world, &setup, "alan", "wrong").unwrap().reply;
    let unknown = start(&mut world, &setup, "nobody", "wrong").unwrap().reply;
    assert_eq!(known.login_response.len(), unknown.login_response.len());
    assert_eq!((known.attempts_remaining, unknown.attempts_remaining), (2, 2));
    let garbage = "A".repeat(86);
    let known = finish(&mut world, &known.login_id, &garbage).unwrap_err();
    let unknown = finish(&mut world, &unknown.login_id, &garbage).unwrap_err();
    assert_eq!(known, unknown);
}

#[test]
fn a_changed_phrase_ends_logins_under_way_and_the_enrolment() {
    let (mut world, setup) = enrolled();
    let Started { reply, client } = start(&mut world, &setup, "alan", PHRASE).unwrap();
    let change =
        json!({ "current_passphrase": PHRASE, "new_passphrase": "The forest remembers every footstep." });
    world.change(&World::caller(AFAR, Some("alan")), &change).unwrap();
    let last = client.finish(&reply.login_response, &mut world.rng).unwrap();
    assert_eq!(finish(&mut world, &reply.login_id, &last).unwrap_err().error, ApiError::InvalidPassphrase);
    assert!(world.users.values().all(|user| user.opaque.is_none()));
}
