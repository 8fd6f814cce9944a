//! The displayer's desk: one pairing, one guess.

use durward_protocol::device::api::PairState;
use durward_protocol::device::wire::{DeviceExchange, DeviceHello};
use durward_protocol::device::{
    DeviceChannel, DeviceKeys as _, DeviceProof, open_hello, open_verdict, seal_hello,
};
use durward_protocol::{Code, Confirmation, ErrorCode, PakeMessage, Side};
use rand::rngs::StdRng;
use time::Duration;

use super::support::{TestKeys, alone, at, id, seeded, this};
use crate::Now;
use crate::devices::{DISPLAY_SECONDS, Devices, Exchanging, HelloState, Limits, MAX_FAILURES, PairDesk};

fn now(seconds: i64) -> Now {
    Now::at(at(seconds))
}

struct Table {
    desk: PairDesk,
    devices: Devices,
    keys: TestKeys,
    rng: StdRng,
}

impl Table {
    fn new() -> Self {
        let devices = alone(1, Limits::default());
        Self { desk: PairDesk::default(), devices, keys: TestKeys::new(1), rng: seeded(1) }
    }

    fn show(&mut self, seconds: i64) -> Code {
        self.desk.initiate(now(seconds), &mut self.rng).unwrap().0
    }

    /// The enterer's first call.
    fn enter(&mut self, seconds: i64, code: &Code) -> (DeviceProof, DeviceExchange) {
        let opened = self.desk.open(now(seconds), None).unwrap();
        let message = PakeMessage::parse(&opened.pake_message, Side::A).unwrap();
        let proof = DeviceProof::enter(opened.pairing_id, &message, code, &mut self.rng).unwrap();
        let body = DeviceExchange {
            pairing_id: opened.pairing_id,
            pake_message: proof.message.encode(),
            confirmation: proof.mac_b.encode(),
        };
        (proof, body)
    }

    fn guess(&mut self, seconds: i64, body: &DeviceExchange) -> Result<(String, String), ErrorCode> {
        let Exchanging::Guess { count } = self.desk.exchange(now(seconds), body)? else { panic!("a repeat") };
        assert!(!count.is_empty(), "counted before it is looked at");
        let (answer, _) = self.desk.guess(now(seconds), body, &this(1), &self.keys, &mut self.rng)?;
        Ok((answer.confirmation, answer.envelope))
    }

    /// Up to the owner's question.
    fn asked(&mut self, seconds: i64) -> (DeviceChannel, DeviceHello, DeviceExchange) {
        let code = self.show(seconds);
        let (proof, body) = self.enter(seconds, &code);
        let (mac_a, envelope) = self.guess(seconds, &body).unwrap();
        let channel = proof.verify(&Confirmation::parse(&mac_a).unwrap()).unwrap();
        assert_eq!(open_hello(&channel, &envelope).unwrap().device_id, id(1));
        let envelope = seal_hello(&channel, id(2), "two", &TestKeys::new(2), &mut self.rng).unwrap();
        let hello = DeviceHello { pairing_id: body.pairing_id, envelope };
        assert_eq!(self.desk.hello(now(seconds), &hello, &self.devices), Ok(HelloState::Waiting));
        (channel, hello, body)
    }
}

#[test]
fn a_pairing_from_code_to_peer_and_the_same_answers_again() {
    let mut table = Table::new();
    let (channel, hello, exchange) = table.asked(0);
    let view = table.desk.view(now(1));
    assert_eq!((view.state, view.peer.unwrap().device_id), (PairState::Requested, id(2)));
    let again = table.desk.exchange(now(1), &exchange).unwrap();
    assert!(matches!(again, Exchanging::Repeat(_)), "a lost answer is not a lost pairing");
    let (verdict, who, stream) = table.desk.verdict(now(2), true, Some(id(2)), &mut table.rng).unwrap();
    assert_eq!((who.device_id, who.keys, stream), (id(2), TestKeys::new(2).public(), channel.pairing_id()));
    assert_eq!(
        table.desk.hello(now(2), &hello, &table.devices),
        Ok(HelloState::Waiting),
        "not before it is on disk"
    );
    table.desk.decided(now(3), true, verdict);
    for seconds in [3, 4] {
        let Ok(HelloState::Answered(sealed)) = table.desk.hello(now(seconds), &hello, &table.devices) else {
            panic!("answered");
        };
        assert_eq!(open_verdict(&channel, &sealed), Ok(true));
    }
    assert!(matches!(table.desk.exchange(now(4), &exchange), Ok(Exchanging::Repeat(_))));
    let other = DeviceHello { envelope: hello.envelope.replace('A', "B") + "x", ..hello.clone() };
    assert_eq!(table.desk.hello(now(4), &other, &table.devices), Err(ErrorCode::PairingUsed));
    assert_eq!(table.desk.view(now(4)).state, PairState::Accepted);
    assert_eq!(table.desk.view(now(400)).state, PairState::Accepted);
    table.desk.tick(now(400));
    assert_eq!(table.desk.view(now(400)).state, PairState::Idle);
    assert_eq!(table.desk.hello(now(400), &hello, &table.devices), Err(ErrorCode::PairingNotFound));
}

#[test]
fn a_wrong_proof_is_the_one_guess() {
    let mut table = Table::new();
    let code = table.show(0);
    let wrong: Code = if code.expose_digits() == "111111" { "222222" } else { "111111" }.parse().unwrap();
    let (_, bad) = table.enter(1, &wrong);
    let (_, good) = table.enter(1, &code);
    assert_eq!(table.guess(1, &bad).unwrap_err(), ErrorCode::ConfirmationFailed);
    assert_eq!(table.guess(1, &good).unwrap_err(), ErrorCode::PairingNotFound, "the right one is too late");
    assert_eq!(table.desk.view(now(1)).state, PairState::InvalidCode);
    assert!(table.desk.announced().is_none());
}

#[test]
fn what_is_malformed_is_no_guess() {
    let mut table = Table::new();
    let code = table.show(0);
    let (_, good) = table.enter(0, &code);
    for (message, mac) in
        [("", ""), (good.pake_message.as_str(), "x"), (&good.pake_message[1..], good.confirmation.as_str())]
    {
        let bad = DeviceExchange { pake_message: message.into(), confirmation: mac.into(), ..good.clone() };
        assert!(table.desk.exchange(now(0), &bad).is_err());
    }
    assert_eq!(table.desk.view(now(0)).state, PairState::Waiting);
    table.guess(0, &good).unwrap();
    let (_, other) = table.enter(0, &code);
    assert_eq!(table.desk.exchange(now(0), &other).unwrap_err(), ErrorCode::PairingUsed);
}

#[test]
fn five_failures_in_an_hour_stop_the_displayer_also_after_a_restart() {
    let mut table = Table::new();
    let mut count = String::new();
    for n in 0..MAX_FAILURES {
        let code = table.show(i64::try_from(n).unwrap());
        let wrong: Code = if code.expose_digits() == "111111" { "222222" } else { "111111" }.parse().unwrap();
        let (_, bad) = table.enter(0, &wrong);
        match table.desk.exchange(now(10), &bad).unwrap() {
            Exchanging::Guess { count: value } => count = value,
            other @ Exchanging::Repeat(_) => panic!("{other:?}"),
        }
        // A crash here has the guess on disk.
        table.desk.guess(now(10), &bad, &this(1), &table.keys, &mut table.rng).unwrap_err();
    }
    assert_eq!(table.desk.initiate(now(20), &mut table.rng).unwrap_err(), ErrorCode::PairingPaused);
    let mut restarted = PairDesk::restore(Some(&count));
    assert_eq!(restarted.initiate(now(3_600), &mut table.rng).unwrap_err(), ErrorCode::PairingPaused);
    assert!(restarted.initiate(now(3_611), &mut table.rng).is_ok());
    assert!(PairDesk::restore(Some("nonsense 1 x")).initiate(now(0), &mut table.rng).is_ok());
}

#[test]
fn good_guesses_do_not_count() {
    let mut table = Table::new();
    for n in 0..10 {
        table.asked(n * 10);
        table.desk.cancel(now(n * 10));
    }
    assert!(table.desk.initiate(now(101), &mut table.rng).is_ok());
}

#[test]
fn times_end_every_stage() {
    let mut table = Table::new();
    table.show(0);
    assert_eq!(table.desk.initiate(now(1), &mut table.rng).unwrap_err(), ErrorCode::PairingBusy);
    assert_eq!(table.desk.deadline(), Some(at(DISPLAY_SECONDS)));
    assert!(table.desk.open(now(DISPLAY_SECONDS - 1), None).is_ok());
    assert_eq!(table.desk.open(now(DISPLAY_SECONDS), None).unwrap_err(), ErrorCode::PairingNotFound);
    assert_eq!(table.desk.view(now(DISPLAY_SECONDS)).state, PairState::Expired);
    let (_, hello, _) = table.asked(400);
    // The wall clock jumps an hour: lifetimes are measured on the steady one.
    let jumped = Now { wall: at(400) + Duration::hours(1), steady: at(401) };
    assert_eq!(table.desk.hello(jumped, &hello, &table.devices), Ok(HelloState::Waiting));
    table.desk.tick(now(400 + DISPLAY_SECONDS));
    assert_eq!(
        table.desk.view(now(400 + DISPLAY_SECONDS)).state,
        PairState::Expired,
        "the owner never answered"
    );
    let verdict = table.desk.verdict(now(800), true, None, &mut table.rng).unwrap_err();
    assert_eq!(verdict, ErrorCode::PairingNotFound);
}

#[test]
fn another_device_than_the_one_shown_is_not_accepted() {
    let mut table = Table::new();
    table.asked(0);
    let other = table.desk.verdict(now(1), true, Some(id(3)), &mut table.rng).unwrap_err();
    assert_eq!(other, ErrorCode::PairingNotWaiting);
}

#[test]
fn a_hello_with_our_own_keys_ends_it() {
    let mut table = Table::new();
    let code = table.show(0);
    let (proof, body) = table.enter(0, &code);
    let (mac_a, _) = table.guess(0, &body).unwrap();
    let channel = proof.verify(&Confirmation::parse(&mac_a).unwrap()).unwrap();
    let envelope = seal_hello(&channel, id(2), "two", &TestKeys::new(1), &mut table.rng).unwrap();
    let bent = DeviceHello { pairing_id: body.pairing_id, envelope: "AAAA".into() };
    assert_eq!(table.desk.hello(now(0), &bent, &table.devices), Err(ErrorCode::UnsupportedVersion));
    assert_eq!(table.desk.view(now(0)).state, PairState::Exchanged, "what does not open changes nothing");
    let hello = DeviceHello { pairing_id: body.pairing_id, envelope };
    assert_eq!(table.desk.hello(now(0), &hello, &table.devices), Err(ErrorCode::DeviceKnown));
    assert_eq!(table.desk.view(now(0)).state, PairState::Rejected);
}
