//! The service as a caller sees it: every call, every refusal, and a model it must agree with.

use std::convert::Infallible;

use durward_protocol::SecretString;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_core::{TryCryptoRng, TryRng};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::*;

/// Replays bytes; a draw past their end is a bug of the test.
pub(super) struct Scripted(std::collections::VecDeque<u8>);

impl Scripted {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl TryRng for Scripted {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("the suites draw bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("the suites draw bytes")
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        dst.fill_with(|| self.0.pop_front().unwrap());
        Ok(())
    }
}

impl TryCryptoRng for Scripted {}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

pub(super) fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../docs/vectors/spake.json")).unwrap()
}

const SUITES: [&str; 3] = ["p256-sha256", "p256-sha256-raw", "spake2-ed25519"];

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
}

/// Two services that talk to each other; the tests pass keys between them.
struct Service {
    sessions: Sessions,
    rng: StdRng,
    now: OffsetDateTime,
}

impl Service {
    fn new(seed: u64) -> Self {
        Self::with_limit(seed, 8)
    }

    fn with_limit(seed: u64, max_sessions: usize) -> Self {
        let limits = Limits { max_sessions, ..Limits::default() };
        Self { sessions: Sessions::new(limits), rng: StdRng::seed_from_u64(seed), now: at(1_000_000) }
    }

    fn initiate(&mut self, body: &Value) -> Result<InitiateResponse, Error> {
        let request = InitiateRequest::from_json(body.to_string().as_bytes())?;
        self.sessions.initiate(request, self.now, &mut self.rng)
    }

    fn exchange(&mut self, body: &Value) -> Result<ExchangeResponse, Error> {
        self.sessions.exchange(ExchangeRequest::from_json(body.to_string().as_bytes())?, self.now)
    }

    fn open(&mut self, id: &str) -> Result<InitiateResponse, Error> {
        self.initiate(&json!({"session_id": id, "password": "pw", "suite": "spake2-ed25519"}))
    }

    fn offer(&mut self, id: &str, key: &str) -> Result<ExchangeResponse, Error> {
        self.exchange(&json!({"session_id": id, "client_public_key": key}))
    }

    fn confirm(&mut self, id: &str, mac: &str) -> Result<ConfirmResponse, Error> {
        let body = json!({"session_id": id, "client_confirmation": mac}).to_string();
        self.sessions.confirm(ConfirmRequest::from_json(body.as_bytes())?, self.now)
    }

    fn status(&mut self, id: &str) -> Result<Status, Error> {
        self.sessions.status(&id.parse().unwrap(), self.now).map(|answer| answer.status)
    }

    fn cleanup(&mut self, id: &str) -> Result<CleanupResponse, Error> {
        self.sessions.cleanup(&id.parse().unwrap(), self.now)
    }
}

fn password_for(suite: &str) -> String {
    if suite == "p256-sha256-raw" { "2e".repeat(32) } else { "correct horse".to_owned() }
}

/// A session of the same id, suite and password at a peer that plays A.
fn pair(suite: &str, password_a: &str) -> (Service, Service, InitiateResponse, InitiateResponse) {
    let (mut a, mut b) = (Service::new(1), Service::new(2));
    let body = |password: &str, role| json!({"session_id": "s", "password": password, "suite": suite, "role": role, "id_a": "x", "id_b": "y"});
    let key_a = a.initiate(&body(password_a, "a")).unwrap();
    let key_b = b.initiate(&body(&password_for(suite), "b")).unwrap();
    (a, b, key_a, key_b)
}

#[test]
fn two_services_agree_and_confirm_in_every_suite() {
    for suite in SUITES {
        let (mut a, mut b, key_a, key_b) = pair(suite, &password_for(suite));
        let from_a = a.offer("s", &key_b.public_key).unwrap();
        assert!(!from_a.peer_confirmed);
        let from_b = b
            .exchange(&json!({"session_id": "s", "client_public_key": key_a.public_key.to_uppercase(),
                              "client_confirmation": from_a.confirmation}))
            .unwrap();
        assert!(from_b.peer_confirmed);
        assert!(from_a.shared_secret == from_b.shared_secret);
        assert_ne!(from_a.confirmation, from_b.confirmation);
        assert_eq!(a.status("s"), Ok(Status::Completed));
        assert_eq!(b.status("s"), Ok(Status::Completed));
    }
}

#[test]
fn another_password_agrees_on_nothing() {
    for suite in SUITES {
        let other = if suite == "p256-sha256-raw" { "2f".repeat(32) } else { "wrong horse".to_owned() };
        let (mut a, mut b, key_a, key_b) = pair(suite, &other);
        let from_a = a.offer("s", &key_b.public_key).unwrap();
        let refused = b.exchange(&json!({"session_id": "s", "client_public_key": key_a.public_key,
                                         "client_confirmation": from_a.confirmation}));
        assert_eq!(refused.unwrap_err(), Error::ConfirmationFailed);
        assert_eq!(b.status("s"), Ok(Status::Failed));
        assert_eq!(b.offer("s", &key_a.public_key).unwrap_err(), Error::Completed);

        // Unconfirmed, both complete, and the secrets differ.
        let (mut a, mut b, key_a, key_b) = pair(suite, &other);
        let (from_a, from_b) = (a.offer("s", &key_b.public_key), b.offer("s", &key_a.public_key));
        assert!(from_a.unwrap().shared_secret != from_b.unwrap().shared_secret);
    }
}

#[test]
fn other_identities_or_session_ids_do_not_confirm() {
    for suite in SUITES {
        for (field, value) in [("id_a", "z"), ("id_b", "z"), ("session_id", "t")] {
            // On the raw suite the session id is in the caller's stretch, not in ours.
            if suite == "p256-sha256-raw" && field == "session_id" {
                continue;
            }
            let (_, mut b, _, key_b) = pair(suite, &password_for(suite));
            let mut a = Service::new(3);
            let mut body = json!({"session_id": "s", "password": password_for(suite), "suite": suite, "role": "a",
                                  "id_a": "x", "id_b": "y"});
            body[field] = json!(value);
            let key_a = a.initiate(&body).unwrap();
            let from_a = a.offer(key_a.session_id.as_str(), &key_b.public_key).unwrap();
            let refused = b.exchange(&json!({"session_id": "s", "client_public_key": key_a.public_key,
                                             "client_confirmation": from_a.confirmation}));
            assert_eq!(refused.unwrap_err(), Error::ConfirmationFailed, "{suite} {field}");
        }
    }
}

#[test]
fn either_side_may_go_first() {
    for suite in SUITES {
        let (mut a, mut b, key_a, key_b) = pair(suite, &password_for(suite));
        let from_b = b.offer("s", &key_a.public_key).unwrap();
        let from_a = a.exchange(&json!({"session_id": "s", "client_public_key": key_b.public_key,
                                        "client_confirmation": from_b.confirmation}));
        assert!(from_a.unwrap().peer_confirmed);
    }
}

#[test]
fn a_mirror_gains_nothing() {
    for suite in SUITES {
        let (mut a, _, key_a, _) = pair(suite, &password_for(suite));
        let mirrored = a.exchange(&json!({"session_id": "s", "client_public_key": key_a.public_key,
                                          "client_confirmation": "00".repeat(32)}));
        assert!(matches!(mirrored, Err(Error::BadPublicKey | Error::ConfirmationFailed)));
    }
}

#[test]
fn answers_have_the_fields_of_the_interface() {
    let mut b = Service::new(4);
    let started = b.initiate(&json!({"session_id": "test123", "password": "mypassword"})).unwrap();
    let started = serde_json::to_value(&started).unwrap();
    assert_eq!(started["public_key"].as_str().unwrap().len(), 130);
    assert_eq!(started["public_key"].as_str().unwrap().get(..2), Some("04"));
    let mut rest = started.clone();
    rest.as_object_mut().unwrap().remove("public_key");
    assert_eq!(
        rest,
        json!({"session_id": "test123", "status": "initiated", "suite": "p256-sha256", "role": "b",
               "id_a": "", "id_b": "", "expires_in": 300,
               "parameters": {"group": "P-256", "hash": "SHA-256", "kdf": "HKDF-SHA256", "mac": "HMAC-SHA256",
                              "stretch": {"function": "PBKDF2-HMAC-SHA256", "salt": "durward/1 spaketest123",
                                          "iterations": 100_000, "output_bytes": 40}}})
    );
    let done = b.offer("test123", vectors()["p256"][0]["public_key_a"].as_str().unwrap()).unwrap();
    let shown = format!("{done:?}");
    let done = serde_json::to_value(&done).unwrap();
    let keys: Vec<_> = done.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["confirmation", "peer_confirmed", "session_id", "shared_secret", "status"]);
    assert_eq!((done["status"].as_str(), done["peer_confirmed"].as_bool()), (Some("completed"), Some(false)));
    assert_eq!(done["shared_secret"].as_str().unwrap().len(), 64);
    assert!(!shown.contains(done["shared_secret"].as_str().unwrap()) && shown.contains("[redacted]"));

    b.open("other").unwrap();
    assert_eq!(
        serde_json::to_value(b.sessions.list(b.now)).unwrap(),
        json!({"active_sessions": 2, "sessions": [{"session_id": "test123", "status": "completed"},
                                                  {"session_id": "other", "status": "initiated"}]})
    );
    let id = "other".parse().unwrap();
    assert_eq!(
        serde_json::to_value(b.sessions.status(&id, b.now).unwrap()).unwrap(),
        json!({"session_id": "other", "status": "initiated"})
    );
    assert_eq!(
        serde_json::to_value(b.cleanup("other").unwrap()).unwrap(),
        json!({"session_id": "other", "message": "Session cleaned up successfully"})
    );
    assert_eq!(
        serde_json::to_value(Health::HEALTHY).unwrap(),
        json!({"status": "healthy", "service": "spake"})
    );
}

#[test]
fn bad_requests_are_named_and_never_quoted() {
    let mut b = Service::new(5);
    let long = "x".repeat(1025);
    for (body, error) in [
        (json!([]), Error::InvalidInitiate),
        (json!({"session_id": "s"}), Error::InvalidInitiate),
        (json!({"session_id": "s", "password": 847_293}), Error::InvalidInitiate),
        (json!({"session_id": "s", "password": "p", "rôle": "a"}), Error::InvalidInitiate),
        (json!({"session_id": "", "password": "p"}), Error::InvalidSessionId),
        (json!({"session_id": "s", "password": ""}), Error::InvalidPassword),
        (json!({"session_id": "s", "password": long}), Error::InvalidPassword),
        (json!({"session_id": "s", "password": "p", "suite": "p256"}), Error::UnknownSuite),
        (json!({"session_id": "s", "password": "p", "suite": "p256-sha256-raw"}), Error::InvalidPassword),
        (json!({"session_id": "s", "password": "p", "role": "A"}), Error::UnknownRole),
        (json!({"session_id": "s", "password": "p", "id_a": "x".repeat(257)}), Error::InvalidIdentity),
        (json!({"session_id": "s", "password": "p", "id_b": "x".repeat(257)}), Error::InvalidIdentity),
    ] {
        assert_eq!(b.initiate(&body).unwrap_err(), error, "{body}");
        assert!(!error.message().contains("847293"));
    }
    for body in [json!(null), json!({"session_id": "s"}), json!({"session_id": "s", "client_public_key": 4})]
    {
        assert_eq!(b.exchange(&body).unwrap_err(), Error::InvalidExchange, "{body}");
    }
    assert_eq!(b.offer("a b", "00").unwrap_err(), Error::InvalidSessionId);
    assert_eq!(b.sessions.list(b.now).active_sessions, 0);
    let request = InitiateRequest::from_json(br#"{"session_id":"s","password":"hunter2"}"#).unwrap();
    assert!(!format!("{request:?}").contains("hunter2"));
    assert!(!format!("{:?}", Start::try_from(request).unwrap()).contains("hunter2"));
}

#[test]
fn a_bad_key_spends_the_session() {
    let good = vectors()["p256"][0]["public_key_a"].as_str().unwrap().to_owned();
    let off_curve = format!("{}2d", good.get(..128).unwrap());
    let not_reduced = format!("04{}{}", "ff".repeat(32), good.get(66..).unwrap());
    let compressed = "02886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f";
    let hybrid = format!("06{}", good.get(2..).unwrap());
    let keys = [
        "",
        "00",
        "zz",
        compressed,
        &hybrid,
        &off_curve,
        &not_reduced,
        &format!("04{}", "00".repeat(64)),
        &"00".repeat(65),
        &format!("{good}00"),
        good.get(..129).unwrap(),
        &format!("é{}", good.get(2..).unwrap()),
    ];
    for suite in ["p256-sha256-raw", "spake2-ed25519"] {
        for key in keys {
            let mut b = Service::new(6);
            b.initiate(&json!({"session_id": "s", "password": password_for(suite), "suite": suite})).unwrap();
            assert_eq!(b.offer("s", key).unwrap_err(), Error::BadPublicKey, "{suite} {key}");
            assert_eq!(b.status("s"), Ok(Status::Failed));
            assert_eq!(b.offer("s", &good).unwrap_err(), Error::Completed);
        }
    }
}

#[test]
fn a_shared_identity_is_refused() {
    // pA = w*M makes K the identity: the peer has guessed w and contributed nothing.
    let mut b = Service::new(7);
    let w = "1".to_owned();
    let w = format!("{w:0>64}");
    b.initiate(&json!({"session_id": "s", "password": w, "suite": "p256-sha256-raw"})).unwrap();
    let m = "04886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f\
             5ff355163e43ce224e0b0e65ff02ac8e5c7be09419c785e0ca547d55a12e2d20";
    assert_eq!(b.offer("s", m).unwrap_err(), Error::BadPublicKey);
    // The same point under another w is an ordinary key: what was refused is the identity, not the encoding.
    b.initiate(&json!({"session_id": "t", "password": "2e".repeat(32), "suite": "p256-sha256-raw"})).unwrap();
    assert!(b.offer("t", m).is_ok());
}

#[test]
fn a_malformed_confirmation_releases_nothing() {
    for suite in SUITES {
        for mac in ["", "00", "zz", &"00".repeat(31), &"00".repeat(32), &"00".repeat(33)] {
            let (mut a, _, _, key_b) = pair(suite, &password_for(suite));
            let body =
                json!({"session_id": "s", "client_public_key": key_b.public_key, "client_confirmation": mac});
            assert_eq!(a.exchange(&body).unwrap_err(), Error::ConfirmationFailed, "{suite} {mac}");
            assert_eq!(a.status("s"), Ok(Status::Failed));
        }
    }
}

#[test]
fn who_exchanges_first_can_confirm_later() {
    for suite in SUITES {
        let (mut a, mut b, key_a, key_b) = pair(suite, &password_for(suite));
        assert_eq!(a.confirm("s", &"00".repeat(32)).unwrap_err(), Error::NotExchanged);
        let from_a = a.offer("s", &key_b.public_key).unwrap();
        let from_b = b
            .exchange(&json!({"session_id": "s", "client_public_key": key_a.public_key,
                              "client_confirmation": from_a.confirmation}))
            .unwrap();
        assert_eq!(
            serde_json::to_value(a.confirm("s", &from_b.confirmation).unwrap()).unwrap(),
            json!({"session_id": "s", "status": "completed", "peer_confirmed": true})
        );
        assert_eq!(a.confirm("s", &from_b.confirmation).unwrap_err(), Error::Completed);
        assert_eq!(b.confirm("s", &from_a.confirmation).unwrap_err(), Error::Completed, "it had one");
        assert_eq!(a.status("s"), Ok(Status::Completed));
        assert_eq!(a.confirm("t", &from_b.confirmation).unwrap_err(), Error::NotFound);
    }
}

#[test]
fn a_late_confirmation_is_one_guess() {
    for suite in SUITES {
        for mac in ["", "zz", &"00".repeat(31), &"00".repeat(32), &"00".repeat(33)] {
            let (mut a, mut b, key_a, key_b) = pair(suite, &password_for(suite));
            let from_a = a.offer("s", &key_b.public_key).unwrap();
            assert_eq!(a.confirm("s", mac).unwrap_err(), Error::ConfirmationLate, "{suite} {mac}");
            assert_eq!(a.status("s"), Ok(Status::Failed));
            let from_b = b.offer("s", &key_a.public_key).unwrap();
            assert_eq!(a.confirm("s", &from_b.confirmation).unwrap_err(), Error::Completed);
            assert_eq!(
                b.confirm("s", &from_b.confirmation).unwrap_err(),
                Error::ConfirmationLate,
                "reflected"
            );
            assert!(from_a.shared_secret == from_b.shared_secret);
        }
    }
}

#[test]
fn an_id_is_taken_until_it_is_cleaned_up_or_expires() {
    let mut b = Service::new(8);
    b.open("s").unwrap();
    assert_eq!(b.open("s").unwrap_err(), Error::Exists);
    assert_eq!(b.offer("s", "00").unwrap_err(), Error::BadPublicKey);
    assert_eq!(b.open("s").unwrap_err(), Error::Exists, "ended sessions keep their id");
    b.cleanup("s").unwrap();
    assert_eq!(b.cleanup("s").unwrap_err(), Error::NotFound);
    b.open("s").unwrap();
    b.now += Duration::seconds(299);
    assert_eq!(b.status("s"), Ok(Status::Initiated));
    b.now += Duration::seconds(1);
    assert_eq!(b.status("s"), Err(Error::NotFound));
    assert_eq!(b.offer("s", "00").unwrap_err(), Error::NotFound);
    b.open("s").unwrap();
}

#[test]
fn what_expires_is_dropped_without_being_asked_for() {
    let mut b = Service::new(9);
    for id in ["p", "q"] {
        b.open(id).unwrap();
        b.now += Duration::seconds(10);
    }
    assert_eq!(b.sessions.next_expiry(), Some(at(1_000_300)));
    assert_eq!(b.sessions.purge(at(1_000_299)), 0);
    assert_eq!(b.sessions.purge(at(1_000_300)), 1);
    assert_eq!(b.sessions.next_expiry(), Some(at(1_000_310)));
    assert_eq!(b.sessions.purge(at(1_000_400)), 1);
    assert_eq!((b.sessions.next_expiry(), b.sessions.purge(at(1_000_400))), (None, 0));
}

#[test]
fn a_full_table_drops_the_ended_and_keeps_the_open() {
    let mut b = Service::with_limit(10, 3);
    for id in ["p", "q", "r"] {
        b.open(id).unwrap();
    }
    b.now += Duration::seconds(100);
    let full = b.open("s").unwrap_err();
    assert_eq!((full, full.http_status()), (Error::Full { retry_after: 201 }, 429));
    let _ = b.offer("r", "00");
    let _ = b.offer("q", "00");
    b.open("s").unwrap();
    assert_eq!(b.status("q"), Err(Error::NotFound), "the oldest ended one made room");
    assert_eq!(b.status("p"), Ok(Status::Initiated));
    assert_eq!(b.status("r"), Ok(Status::Failed));
    b.open("t").unwrap();
    assert!(matches!(b.open("u"), Err(Error::Full { .. })));
    assert!(matches!(Service::with_limit(11, 0).open("s"), Err(Error::Full { .. })));
}

#[test]
fn a_cleanup_in_mid_exchange_releases_nothing() {
    for reopened in [false, true] {
        let (mut a, _, _, key_b) = pair("spake2-ed25519", "correct horse");
        let request = || ExchangeRequest {
            session_id: "s".to_owned(),
            client_public_key: key_b.public_key.clone(),
            client_confirmation: None,
        };
        let attempt = a.sessions.take(request(), a.now).unwrap();
        assert_eq!(a.status("s"), Ok(Status::Initiated));
        assert_eq!(a.sessions.take(request(), a.now).err(), Some(Error::Completed), "one at a time, once");
        a.cleanup("s").unwrap();
        if reopened {
            a.open("s").unwrap();
        }
        assert_eq!(a.sessions.settle(attempt.run(), a.now).unwrap_err(), Error::NotFound);
        let after = if reopened { Ok(Status::Initiated) } else { Err(Error::NotFound) };
        assert_eq!(a.status("s"), after, "the new session is untouched");
    }
}

#[test]
fn an_attempt_that_is_never_settled_leaves_the_session_spent() {
    let (mut a, _, _, key_b) = pair("spake2-ed25519", "correct horse");
    let request = ExchangeRequest {
        session_id: "s".to_owned(),
        client_public_key: key_b.public_key.clone(),
        client_confirmation: None,
    };
    drop(a.sessions.take(request, a.now).unwrap());
    assert_eq!(a.offer("s", &key_b.public_key).unwrap_err(), Error::Completed);
    a.now += Duration::seconds(300);
    assert_eq!(a.status("s"), Err(Error::NotFound));
}

#[test]
fn only_the_stretched_suite_is_slow() {
    for (suite, slow) in SUITES.into_iter().zip([true, false, false]) {
        let request = InitiateRequest {
            session_id: "s".to_owned(),
            password: SecretString::new(password_for(suite)),
            suite: Some(suite.to_owned()),
            role: None,
            id_a: String::new(),
            id_b: String::new(),
        };
        assert_eq!(Start::try_from(request).unwrap().is_slow(), slow);
    }
}

/// What the model does to a session.
#[derive(Clone, Debug)]
enum Step {
    Open(u8),
    Good(u8),
    Bad(u8),
    Unconfirmed(u8),
    Cleanup(u8),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0_u8..5;
    prop_oneof![
        4 => id.clone().prop_map(Step::Open),
        2 => id.clone().prop_map(Step::Good),
        1 => id.clone().prop_map(Step::Bad),
        1 => id.clone().prop_map(Step::Unconfirmed),
        1 => id.prop_map(Step::Cleanup),
        2 => (1_i64..200).prop_map(Step::Wait),
    ]
}

/// The table as a plain list, oldest first: id, status, expiry.
struct Model {
    limit: usize,
    rows: Vec<(u8, Status, OffsetDateTime)>,
}

impl Model {
    fn open(&mut self, id: u8, now: OffsetDateTime) -> Result<(), &'static str> {
        if self.rows.iter().any(|row| row.0 == id) {
            return Err("session_exists");
        }
        if self.rows.len() >= self.limit {
            let ended = self.rows.iter().position(|row| row.1 != Status::Initiated);
            self.rows.remove(ended.ok_or("too_many_sessions")?);
        }
        self.rows.push((id, Status::Initiated, now + Duration::seconds(300)));
        Ok(())
    }

    fn exchange(&mut self, id: u8, outcome: Result<(), &'static str>) -> Result<(), &'static str> {
        let row = self.rows.iter_mut().find(|row| row.0 == id).ok_or("session_not_found")?;
        if row.1 != Status::Initiated {
            return Err("session_completed");
        }
        row.1 = if outcome.is_ok() { Status::Completed } else { Status::Failed };
        outcome
    }

    fn cleanup(&mut self, id: u8) -> Result<(), &'static str> {
        let position = self.rows.iter().position(|row| row.0 == id).ok_or("session_not_found")?;
        self.rows.remove(position);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_table_agrees_with_a_plain_list(steps in prop::collection::vec(step(), 1..60), limit in 1_usize..5) {
        let key = vectors()["ed25519"][0]["public_key_a"].as_str().unwrap().to_owned();
        let mut b = Service::with_limit(12, limit);
        let mut model = Model { limit, rows: Vec::new() };
        for step in steps {
            let name = |id: u8| format!("s{id}");
            let (got, want) = match step {
                Step::Open(id) => (b.open(&name(id)).map(drop), model.open(id, b.now)),
                Step::Good(id) => (b.offer(&name(id), &key).map(drop), model.exchange(id, Ok(()))),
                Step::Bad(id) => {
                    (b.offer(&name(id), "41").map(drop), model.exchange(id, Err("bad_public_key")))
                }
                Step::Unconfirmed(id) => {
                    let body = json!({"session_id": name(id), "client_public_key": key,
                                      "client_confirmation": "00".repeat(32)});
                    (b.exchange(&body).map(drop), model.exchange(id, Err("confirmation_failed")))
                }
                Step::Cleanup(id) => (b.cleanup(&name(id)).map(drop), model.cleanup(id)),
                Step::Wait(seconds) => {
                    b.now += Duration::seconds(seconds);
                    model.rows.retain(|row| row.2 > b.now);
                    (Ok(()), Ok(()))
                }
            };
            prop_assert_eq!(got.map_err(Error::code), want);
            let list = b.sessions.list(b.now);
            let rows: Vec<_> =
                model.rows.iter().map(|row| (name(row.0), row.1)).collect();
            let listed: Vec<_> =
                list.sessions.iter().map(|row| (row.session_id.to_string(), row.status)).collect();
            prop_assert_eq!(listed, rows);
            prop_assert!(list.active_sessions <= limit);
        }
    }

    #[test]
    fn no_key_and_no_confirmation_panics(
        key in prop_oneof!["[0-9a-fA-F]{0,140}", ".{0,140}", "04[0-9a-f]{128}", "41[0-9a-f]{64}"],
        mac in prop::option::of(prop_oneof!["[0-9a-f]{64}", ".{0,70}"]),
        ed25519: bool,
    ) {
        let suite = if ed25519 { "spake2-ed25519" } else { "p256-sha256-raw" };
        let mut b = Service::new(13);
        b.initiate(&json!({"session_id": "s", "password": password_for(suite), "suite": suite})).unwrap();
        let mut body = json!({"session_id": "s", "client_public_key": key});
        if let Some(mac) = &mac {
            body["client_confirmation"] = json!(mac);
        }
        match b.exchange(&body) {
            Ok(answer) => prop_assert!(mac.is_none() && !answer.peer_confirmed),
            Err(error) => prop_assert!(matches!(error, Error::BadPublicKey | Error::ConfirmationFailed)),
        }
        prop_assert!(b.status("s") != Ok(Status::Initiated));
    }

    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(InitiateRequest::from_json(&body).err(), Some(Error::InvalidInitiate));
        prop_assert_eq!(ExchangeRequest::from_json(&body).err(), Some(Error::InvalidExchange));
        prop_assert_eq!(ConfirmRequest::from_json(&body).err(), Some(Error::InvalidConfirm));
    }
}
