//! What must not work, and what must go on working meanwhile.

use serde_json::json;
use time::Duration;

use super::memory::*;
use crate::accounts::*;

fn guess(world: &mut World, address: &str, user: &str, phrase: &str) -> Result<Issued, Refusal> {
    let challenge = world.challenge(&mac());
    let mut body = body(&challenge, &mac(), phrase);
    body["user"] = json!(user);
    world.exchange(&World::caller(address, None), &body)
}

fn error<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> ApiError {
    outcome.unwrap_err().error
}

#[test]
fn a_challenge_is_good_once_for_its_device_and_in_time() {
    let mut world = World::new();
    let caller = World::caller(HOME, None);
    let challenge = world.challenge(&mac());
    world.exchange(&caller, &body(&challenge, &mac(), PHRASE)).unwrap();
    assert_eq!(error(world.exchange(&caller, &body(&challenge, &mac(), PHRASE))), ApiError::InvalidChallenge);

    let challenge = world.challenge(&mac());
    let other = json!({ "type": "terminal", "name": "MacBook Terminal", "fingerprint": "elsewhere" });
    assert_eq!(error(world.exchange(&caller, &body(&challenge, &other, PHRASE))), ApiError::InvalidChallenge);
    // The attempt of another device leaves the challenge to its owner.
    assert!(world.exchange(&caller, &body(&challenge, &mac(), PHRASE)).is_ok());

    let challenge = world.challenge(&mac());
    world.wait(Duration::minutes(5));
    assert_eq!(error(world.exchange(&caller, &body(&challenge, &mac(), PHRASE))), ApiError::InvalidChallenge);
    assert_eq!(world.own.values().map(|row| row.failures).sum::<u32>(), 0, "none of it counts as a guess");
}

#[test]
fn two_exchanges_racing_for_one_challenge_one_wins() {
    let mut world = World::new();
    let challenge = world.challenge(&mac());
    let request =
        |c: &str| -> ExchangeRequest { parse_body(body(c, &mac(), PHRASE).to_string().as_bytes()).unwrap() };
    let sole = world.sole();
    let caller = World::caller(HOME, None);
    let parse = |world: &World| {
        Exchange::parse(request(&challenge), sole.as_ref(), &caller, &world.subjects).unwrap()
    };
    let (first, second) = (parse(&world), parse(&world));
    let facts = world.attempt_facts(first.challenge(), first.user(), first.ladder_key());
    // Both decided on the same facts; the guard of the write lets one through.
    let (a, b) = (first.admit(&facts, world.now), second.admit(&facts, world.now));
    assert!(world.commit(a).is_some_and(|outcome| outcome.is_ok()));
    assert!(world.commit(b).is_none());
}

#[test]
fn unknown_names_answer_exactly_like_known_ones() {
    let mut world = World::new();
    world.add("eve", "five words are quite enough");
    for step in 0..12 {
        let known = guess(&mut world, HOME, "alan", "wrong").unwrap_err();
        let unknown = guess(&mut world, HOME, "nobody", "wrong").unwrap_err();
        assert_eq!(known, unknown, "step {step}");
        if let Some(seconds) = known.retry_after {
            world.wait(Duration::seconds(seconds.into()));
        }
    }
    assert!(world.audit.iter().all(|line| line.user.as_ref().is_none_or(|user| user.as_str() != "nobody")));
}

#[test]
fn the_right_phrase_waits_while_locked_and_clears_afterwards() {
    let mut world = World::new();
    for remaining in [2, 1, 0] {
        assert_eq!(guess(&mut world, HOME, "alan", "wrong").unwrap_err().attempts_remaining, Some(remaining));
    }
    let locked = guess(&mut world, HOME, "alan", PHRASE).unwrap_err();
    assert_eq!((locked.status(), locked.error, locked.retry_after), (429, ApiError::LockedOut, Some(900)));
    assert!(guess(&mut world, AFAR, "alan", PHRASE).is_ok(), "another address is not locked");
    world.wait(Duration::minutes(15));
    assert!(guess(&mut world, HOME, "alan", PHRASE).is_ok());
    assert_eq!(guess(&mut world, HOME, "alan", "wrong").unwrap_err().attempts_remaining, Some(2));
}

#[test]
fn a_crash_between_count_and_check_buys_no_guess() {
    let mut world = World::new();
    for _ in 0..3 {
        let challenge = world.challenge(&mac());
        let admitted = world.exchange_admit(&World::caller(HOME, None), &body(&challenge, &mac(), "wrong"));
        drop(admitted.unwrap()); // the process died here
    }
    assert_eq!(error(guess(&mut world, HOME, "alan", PHRASE)), ApiError::LockedOut);
}

#[test]
fn the_tenth_failure_alerts_once() {
    let mut world = World::new();
    let mut failures = 0;
    while failures < 12 {
        match guess(&mut world, HOME, "alan", "wrong").unwrap_err() {
            Refusal { retry_after: Some(seconds), .. } => world.wait(Duration::seconds(seconds.into())),
            _ => failures += 1,
        }
    }
    let alerts: Vec<_> = world.alerts.iter().map(|alert| (alert.kind, alert.user.as_str())).collect();
    assert_eq!(alerts, [(LadderAlert::Persistent, "alan")]);
    assert_eq!(world.audit.iter().filter(|line| line.event == AccountEvent::AlertPersistent).count(), 1);
}

#[test]
fn the_owner_gets_in_while_the_world_guesses() {
    let mut world = World::new();
    guess(&mut world, HOME, "alan", PHRASE).unwrap();
    let mut stopped = 0;
    for n in 0..60 {
        let outcome = guess(&mut world, &format!("203.0.113.{n}"), "alan", "wrong");
        stopped += usize::from(error(outcome) == ApiError::LockedOut);
    }
    assert_eq!(stopped, 30, "thirty were checked");
    assert_eq!(world.alerts.iter().filter(|alert| alert.kind == LadderAlert::Distributed).count(), 1);
    assert!(guess(&mut world, HOME, "alan", PHRASE).is_ok(), "from where the owner was before");
    let challenge = world.challenge(&mac());
    let mut with_key = body(&challenge, &mac(), PHRASE);
    with_key["user"] = json!("alan");
    assert!(world.exchange(&World::caller(AFAR, Some("alan")), &with_key).is_ok(), "with a live key");
    let challenge = world.challenge(&mac());
    with_key["challenge"] = json!(challenge);
    assert_eq!(
        error(world.exchange(&World::caller("198.51.100.1", Some("eve")), &with_key)),
        ApiError::LockedOut,
        "somebody else's key is none"
    );
}

#[test]
fn unlock_always_works() {
    let mut world = World::new();
    for _ in 0..3 {
        guess(&mut world, HOME, "alan", "wrong").unwrap_err();
    }
    let decision = unlock_account(&"alan".parse().unwrap(), &world.subjects);
    world.commit(decision).unwrap();
    assert!(guess(&mut world, HOME, "alan", PHRASE).is_ok());
}

#[test]
fn knocks_are_limited_per_address() {
    let mut world = World::new();
    let knock = json!({ "device": mac() });
    for _ in 0..10 {
        world.knock(HOME, &knock).unwrap();
    }
    let refusal = world.knock(HOME, &knock).unwrap_err();
    assert_eq!((refusal.error, refusal.retry_after), (ApiError::RateLimited, Some(60)));
    assert!(world.knock(AFAR, &knock).is_ok());
}

/// Seven thousand addresses knock as often as they may, again and again.
#[test]
fn whoever_fills_the_table_of_challenges_loses_his_own() {
    let mut world = World::new();
    world.policy.max_open_challenges = 3_000;
    guess(&mut world, HOME, "alan", PHRASE).unwrap();
    let knock = json!({ "device": mac() });
    let attacker = |n: u32| std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string();
    let before = world.knock(AFAR, &knock).unwrap().challenge;
    for n in 0..7_000 {
        world.wait(Duration::milliseconds(10));
        world.knock(&attacker(n), &knock).unwrap();
        assert!(world.challenges.len() <= 3_000, "the table is bounded");
    }
    let known = world.knock(HOME, &knock).unwrap().challenge;
    let neighbour = world.knock("192.0.2.77", &knock).unwrap().challenge;
    let fresh = world.knock("2001:db8:7::1", &knock).unwrap().challenge;
    for n in 7_000..14_000 {
        world.wait(Duration::milliseconds(10));
        world.knock(&attacker(n), &knock).unwrap();
    }
    for (challenge, address) in [(before, AFAR), (known, HOME), (neighbour, HOME), (fresh, "2001:db8:7::1")] {
        let caller = World::caller(address, None);
        assert!(world.exchange(&caller, &body(&challenge, &mac(), PHRASE)).is_ok(), "{address}");
    }
}

/// Neighbours share; a success and a live key have a share of their own.
#[test]
fn shares_of_the_table_go_by_network() {
    let mut world = World::new();
    guess(&mut world, HOME, "alan", PHRASE).unwrap();
    let knock = json!({ "device": mac() });
    let mut origin = |address: &str| {
        let challenge = world.knock(address, &knock).unwrap().challenge;
        world.challenges[&challenge].origin.clone()
    };
    assert_eq!(origin("203.0.113.9"), "network 203.0.113.0/24");
    assert_eq!(origin("127.9.9.9"), "network 127.0.0.0/8");
    assert_eq!(origin("2001:db8:1:2::3"), "network 2001:db8:1::/48");
    assert_eq!(origin(HOME), format!("address {HOME}"));
    let request: KnockRequest = parse_body(knock.to_string().as_bytes()).unwrap();
    let caller = World::caller(AFAR, Some("alan"));
    let decision = super::super::knock(
        request,
        &caller,
        KnockFacts::default(),
        &world.policy,
        world.now,
        &mut world.rng,
    );
    let with_key = world.commit(decision).unwrap().unwrap().challenge;
    assert_eq!(world.challenges[&with_key].origin, "user alan");
}

/// Calls that prove nothing fill neither table nor log.
#[test]
fn refusals_without_proof_are_counted_and_not_all_written_down() {
    let mut world = World::new();
    let caller = World::caller(HOME, None);
    let before = world.audit.len();
    let invented = |n: u32| format!("nonce_{n:A>42}A");
    for n in 0..5_000 {
        let mut exchange = body(&invented(n), &mac(), PHRASE);
        exchange["user"] = json!("alan");
        assert_eq!(error(world.exchange(&caller, &exchange)), ApiError::InvalidChallenge);
        let recover = json!({
            "challenge": invented(n), "user": "alan", "recovery_code": "x", "new_passphrase": PHRASE,
        });
        assert_eq!(error(world.recover(&caller, &recover)), ApiError::InvalidChallenge);
    }
    let counted = world.meter.end().expect("what was left out is told");
    assert_eq!(counted.to_entry(world.now).outcome.as_deref(), Some("summary"));
    assert!(world.audit.len() - before < 200, "{}", world.audit.len() - before);
    assert_eq!(counted.event, AccountEvent::MoreRefused { count: 10_000 - 60 });
}

/// A guess at an account that exists is always on record: the ladder bounds how many there are.
#[test]
fn no_flood_hides_a_counted_guess() {
    let mut world = World::new();
    for n in 0..200 {
        let challenge = format!("nonce_{n:A>42}A");
        let outcome = world.exchange(&World::caller(AFAR, None), &body(&challenge, &mac(), PHRASE));
        assert_eq!(error(outcome), ApiError::InvalidChallenge);
    }
    guess(&mut world, HOME, "alan", "wrong").unwrap_err();
    let last = world.audit.last().unwrap();
    assert_eq!((last.refused, last.user.is_some()), (Some(ApiError::InvalidPassphrase), true));
}

#[test]
fn the_account_may_be_left_out_only_where_there_is_one() {
    let mut world = World::new();
    world.add("eve", "five words are quite enough");
    let challenge = world.challenge(&mac());
    let outcome = world.exchange(&World::caller(HOME, None), &body(&challenge, &mac(), PHRASE));
    assert_eq!(error(outcome), ApiError::UserRequired);
}

#[test]
fn the_same_fingerprint_gets_a_new_key_and_loses_the_old_one() {
    let mut world = World::new();
    let first = guess(&mut world, HOME, "alan", PHRASE).unwrap().reply;
    let second = guess(&mut world, HOME, "alan", PHRASE).unwrap().reply;
    assert_eq!(second.device_id.as_str(), "dev_terminal_osx-Mac.lan_20260119-2");
    assert!(!world.works(first.api_key.expose_key()));
    assert!(world.works(second.api_key.expose_key()));
}

#[test]
fn a_fourth_device_can_be_enrolled() {
    let mut world = World::new();
    for _ in 0..5 {
        guess(&mut world, HOME, "alan", PHRASE).unwrap();
    }
}

#[test]
fn a_phrase_changed_meanwhile_issues_no_key() {
    let mut world = World::new();
    let challenge = world.challenge(&mac());
    let admitted =
        world.exchange_admit(&World::caller(HOME, None), &body(&challenge, &mac(), PHRASE)).unwrap();
    let checked = admitted.verify(&world.policy, &mut world.arena, &mut world.rng).unwrap();
    let new = CanonicalPhrase::new_strong(&secret("The forest remembers every footstep.")).unwrap();
    let hash = PhraseHash::create(&new, world.policy.hash_cost, &mut world.arena, &mut world.rng).unwrap();
    let decision = set_phrase(&"alan".parse().unwrap(), hash, None, true, world.now);
    world.commit(decision).unwrap();
    assert_eq!(error(world.issue(checked)), ApiError::InvalidPassphrase);
    assert!(world.keys.is_empty());
}

#[test]
fn outdated_hashes_are_upgraded_at_the_next_good_login_only() {
    let mut world = World::new();
    let alan: UserId = "alan".parse().unwrap();
    world.policy.hash_cost = HashCost::new(64, 1, 1).unwrap();
    let before = world.users[&alan].passphrase_hash.clone();
    guess(&mut world, HOME, "alan", "wrong").unwrap_err();
    assert_eq!(world.users[&alan].passphrase_hash, before);
    guess(&mut world, HOME, "alan", PHRASE).unwrap();
    assert!(!world.users[&alan].passphrase_hash.needs_upgrade(world.policy.hash_cost));
    assert!(guess(&mut world, HOME, "alan", PHRASE).is_ok());
}

#[test]
fn two_logins_that_upgrade_at_once_both_get_a_key() {
    let mut world = World::new();
    world.policy.hash_cost = HashCost::new(64, 1, 1).unwrap();
    let caller = World::caller(HOME, None);
    let mut checked = Vec::new();
    for _ in 0..2 {
        let challenge = world.challenge(&mac());
        let admitted = world.exchange_admit(&caller, &body(&challenge, &mac(), PHRASE)).unwrap();
        checked.push(admitted.verify(&world.policy, &mut world.arena, &mut world.rng).unwrap());
    }
    for one in checked {
        assert!(world.issue(one).is_ok());
    }
}

#[test]
fn a_second_change_within_the_hour_waits_and_wrong_phrases_count() {
    let mut world = World::new();
    let caller = World::caller(HOME, Some("alan"));
    let new = "The forest remembers every footstep.";
    let wrong = json!({ "current_passphrase": "wrong", "new_passphrase": new });
    assert_eq!(world.change(&caller, &wrong).unwrap_err().attempts_remaining, Some(2));
    let weak = json!({ "current_passphrase": PHRASE, "new_passphrase": "too short" });
    assert_eq!(error(world.change(&caller, &weak)), ApiError::WeakPassphrase);
    let good = json!({ "current_passphrase": PHRASE, "new_passphrase": new });
    world.change(&caller, &good).unwrap();
    let back = json!({ "current_passphrase": new, "new_passphrase": PHRASE });
    let refusal = world.change(&caller, &back).unwrap_err();
    assert_eq!((refusal.error, refusal.retry_after), (ApiError::RateLimited, Some(3_600)));
    world.wait(Duration::HOUR);
    world.change(&caller, &back).unwrap();
}

#[test]
fn a_recovery_code_sets_a_phrase_once() {
    let mut world = World::new();
    let codes = new_recovery_codes(&"alan".parse().unwrap(), world.now, &mut world.rng);
    let codes = world.commit(codes).unwrap();
    for _ in 0..3 {
        guess(&mut world, HOME, "alan", "forgotten").unwrap_err();
    }
    let caller = World::caller(HOME, None);
    let new = "The forest remembers every footstep.";
    let request = |world: &mut World, code: &str| {
        let challenge = world.challenge(&mac());
        json!({ "challenge": challenge, "user": "alan", "recovery_code": code, "new_passphrase": new })
    };
    let wrong = request(&mut world, "0000-0000-0000-0000");
    let refusal = world.recover(&caller, &wrong).unwrap_err();
    assert_eq!((refusal.status(), refusal.attempts_remaining), (401, Some(2)), "a ladder of its own");
    let good = request(&mut world, codes[0].expose_code());
    let reply = world.recover(&caller, &good).unwrap();
    assert_eq!(reply.recovery_codes_remaining, 9);
    assert!(guess(&mut world, HOME, "alan", new).is_ok(), "and this address is no longer locked");
    let again = request(&mut world, codes[0].expose_code());
    assert!(world.recover(&caller, &again).is_err(), "spent");
    let fresh = new_recovery_codes(&"alan".parse().unwrap(), world.now, &mut world.rng);
    world.commit(fresh).unwrap();
    let void = request(&mut world, codes[1].expose_code());
    assert!(world.recover(&caller, &void).is_err(), "new codes void the old");
}

#[test]
fn a_rotated_key_has_its_grace_and_no_more() {
    let mut world = World::new();
    let old = guess(&mut world, HOME, "alan", PHRASE).unwrap().reply.api_key;
    let rotate_with = |world: &mut World, key: &DeviceKey| {
        let record = world.find(key.expose_key()).unwrap().clone();
        let address = World::caller(HOME, None).address;
        let decision = rotate(
            &record,
            key.hash(),
            RotateRequest::default(),
            address,
            &world.policy,
            world.now,
            &mut world.rng,
        );
        world.commit(decision).unwrap().unwrap()
    };
    let first = rotate_with(&mut world, &old);
    assert_eq!(first.device_id.as_str(), "dev_terminal_osx-Mac.lan_20260119");
    assert!(world.works(old.expose_key()) && world.works(first.api_key.expose_key()));
    world.wait(Duration::minutes(4));
    // The answer got lost: the old key rotates again, the key nobody has dies, the grace does not grow.
    let second = rotate_with(&mut world, &old);
    assert!(!world.works(first.api_key.expose_key()));
    assert_eq!(second.old_key_valid_until, first.old_key_valid_until);
    world.wait(Duration::MINUTE);
    assert!(!world.works(old.expose_key()));
    assert!(world.works(second.api_key.expose_key()));
}

#[test]
fn keys_expire_and_imported_ones_always_do() {
    let mut world = World::new();
    world.policy.key_lifetime = Some(Duration::days(30));
    let key = guess(&mut world, HOME, "alan", PHRASE).unwrap().reply.api_key;
    let import = ImportedKey {
        user: "alan".parse().unwrap(),
        name: "shared dev key".parse().unwrap(),
        key: secret("an-old-shared-development-key"),
        expires_at: world.now + Duration::days(7),
    };
    let decision = import_key(&import, &[], world.now).unwrap();
    let id = world.commit(decision).unwrap();
    assert_eq!(id.as_str(), "dev_other_shared-dev-key_20260119");
    let legacy = world.by_id(id.as_str()).unwrap();
    assert!(legacy.legacy && legacy.api_key_prefix == "imported");
    assert!(world.works("an-old-shared-development-key"));
    world.wait(Duration::days(7));
    assert!(!world.works("an-old-shared-development-key"));
    assert!(world.works(key.expose_key()));
    world.wait(Duration::days(23));
    assert!(!world.works(key.expose_key()));
}

#[test]
fn nobody_touches_anothers_devices() {
    let mut world = World::new();
    let key = guess(&mut world, HOME, "alan", PHRASE).unwrap().reply;
    let eve: UserId = "eve".parse().unwrap();
    let record = world.by_id(key.device_id.as_str());
    assert_eq!(error(revoke(&eve, record, None, world.now).outcome), ApiError::UnknownDevice);
    let name = RenameRequest { name: "mine".parse().unwrap() };
    let address = World::caller(AFAR, None).address;
    assert_eq!(
        error(rename(&eve, record, name.clone(), address, world.now).outcome),
        ApiError::UnknownDevice
    );
    let decision = rename(&"alan".parse().unwrap(), record, name, address, world.now);
    assert_eq!(world.commit(decision).unwrap().unwrap().name.as_str(), "mine");
    assert_eq!(world.keys[0].device.name.as_str(), "mine");
}

#[test]
fn no_debug_output_carries_a_secret() {
    let mut world = World::new();
    let challenge = world.challenge(&mac());
    let request: ExchangeRequest =
        parse_body(body(&challenge, &mac(), PHRASE).to_string().as_bytes()).unwrap();
    let mut seen = vec![format!("{request:?}")];
    let exchange =
        Exchange::parse(request, world.sole().as_ref(), &World::caller(HOME, None), &world.subjects);
    seen.push(format!("{exchange:?}"));
    let issued = guess(&mut world, HOME, "alan", PHRASE).unwrap();
    seen.push(format!("{issued:?} {:?} {:?} {:?}", world.users, world.keys, world.audit));
    let seen = seen.concat();
    assert!(!seen.to_lowercase().contains("i remember"));
    assert!(!seen.contains(issued.reply.api_key.expose_key()));
    assert!(!seen.contains("argon2id"));
}

#[test]
fn broken_bodies_are_refused_without_quoting_them() {
    for text in
        ["", "{", "[]", "{\"challenge\":1}", "{\"challenge\":\"x\",\"passphrase\":\"hunter2\",\"device\":{}}"]
    {
        let error = parse_body::<ExchangeRequest>(text.as_bytes()).unwrap_err();
        assert_eq!(error.row(), (400, "invalid_request"));
        assert!(!error.to_string().contains("hunter2"));
    }
}
