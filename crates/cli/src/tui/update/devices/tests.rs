use durward_protocol::Timestamp;
use durward_protocol::device::PairTag;
use durward_protocol::device::api::{DeviceView, Devices, PairInitiated, PairPending, ThisDevice};

use super::super::testing::{START, later, press, type_text};
use super::super::update;
use super::*;
use crate::approver::event::Event;
use crate::tui::state::Settings;

const TAG: &str = "amber-otter";

fn id(n: u64) -> DeviceId {
    format!("0192a3b4-c5d6-7e8f-9a0b-{n:012x}").parse().unwrap()
}

fn name(text: &str) -> DeviceName {
    DeviceName::parse(text).unwrap()
}

fn devices() -> Devices {
    let key = "5a".repeat(32);
    Devices {
        this: ThisDevice {
            device_id: id(1),
            name: name("laptop"),
            public_key: key.clone(),
            signing_key: key.clone(),
            fingerprint: "5a5a5a5a...5a5a5a5a".into(),
        },
        devices: vec![DeviceView {
            device_id: id(2),
            name: name("desktop"),
            public_key: key.clone(),
            signing_key: key,
            fingerprint: "5a5a5a5a...5a5a5a5a".into(),
            paired_at: Timestamp::new(START),
            address: None,
            found_at: None,
            last_seen: None,
            outbox: 0,
            reason: None,
            introduced_by: None,
            approver: false,
        }],
        introduced: Vec::new(),
    }
}

fn asks() -> PeerShown {
    PeerShown {
        device_id: id(3),
        device_name: name("phone"),
        public_key: "6b".repeat(32),
        signing_key: "6b".repeat(32),
        fingerprint: "6b6b6b6b...6b6b6b6b".into(),
        replaces: None,
    }
}

fn pairing(state: PairState) -> PairPending {
    PairPending {
        pending: state == PairState::Requested,
        state,
        tag: (state != PairState::Idle).then(|| PairTag::parse(TAG).unwrap()),
        expires_in_seconds: 300,
        request: matches!(state, PairState::Requested | PairState::Accepted).then(asks),
    }
}

fn lists(state: PairState) -> Event {
    let known = Known { devices: Some(devices()), device_pairing: Some(pairing(state)), ..Known::default() };
    Event::Lists(Box::new(known))
}

/// The page, on the screen for a second.
fn page(pairing: PairState) -> State {
    let mut state = State::new(Settings { bell: true, ..Settings::default() }, START);
    update(&mut state, lists(PairState::Idle));
    press(&mut state, &["d"]);
    update(&mut state, lists(pairing));
    later(&mut state);
    state
}

fn code() -> Event {
    Event::Device(DeviceEvent::Code(Box::new(PairInitiated {
        code: SecretString::new("847293".into()),
        expires_in_seconds: 300,
        tag: PairTag::parse(TAG).unwrap(),
        addresses: Vec::new(),
    })))
}

#[test]
fn a_device_that_has_just_asked_is_not_accepted_by_a_key_meant_for_something_else() {
    let mut state = page(PairState::Exchanged);
    update(&mut state, lists(PairState::Requested));
    for key in ["y", "n"] {
        assert!(press(&mut state, &[key]).is_empty(), "{key}");
        assert!(state.message.as_deref().is_some_and(|said| said.contains("just come up")));
    }
    later(&mut state);
    let actions = press(&mut state, &["y"]);
    let [Action::Device(DeviceAction::Answer { device_id, accept: true })] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(*device_id, id(3));
    assert!(press(&mut state, &["y"]).is_empty(), "it is answered once");
}

#[test]
fn what_came_up_behind_a_box_or_on_another_page_was_not_seen() {
    for (away, back) in [("?", "esc"), ("w", "d")] {
        let mut state = page(PairState::Idle);
        press(&mut state, &[away]);
        update(&mut state, lists(PairState::Requested));
        later(&mut state);
        assert!(press(&mut state, &[back, "y"]).is_empty(), "{away}");
        later(&mut state);
        assert_eq!(press(&mut state, &["n"]).len(), 1, "{away}");
    }
}

#[test]
fn a_device_that_asks_is_said_and_rung_for_once() {
    let mut state = page(PairState::Waiting);
    press(&mut state, &["w"]);
    let rings = |actions: &[Action]| actions.iter().filter(|action| matches!(action, Action::Bell)).count();
    assert_eq!(rings(&update(&mut state, lists(PairState::Requested))), 1);
    assert_eq!(state.message.as_deref(), Some("phone asks to be paired. D shows it."));
    later(&mut state);
    later(&mut state);
    later(&mut state);
    assert_eq!(rings(&update(&mut state, lists(PairState::Requested))), 0);
}

#[test]
fn a_code_stays_until_it_is_used_up() {
    let mut state = page(PairState::Idle);
    assert!(matches!(press(&mut state, &["p"])[..], [Action::Device(DeviceAction::MakeCode)]));
    update(&mut state, code());
    // Lists from before the code was made come after it.
    update(&mut state, lists(PairState::Idle));
    update(&mut state, lists(PairState::Waiting));
    assert!(state.device_code().is_some());
    assert!(press(&mut state, &["p"]).is_empty(), "one at a time");
    for over in [PairState::Exchanged, PairState::InvalidCode, PairState::Cancelled, PairState::Expired] {
        let mut state = page(PairState::Waiting);
        update(&mut state, code());
        update(&mut state, lists(over));
        assert!(state.devices.code.is_none(), "{over:?}");
    }
    let past = state.now + Duration::seconds(301);
    update(&mut state, Event::Clock(past));
    update(&mut state, lists(PairState::Idle));
    assert!(state.devices.code.is_none(), "its time is over");
}

#[test]
fn a_pairing_is_given_up_and_its_end_is_said() {
    let mut state = page(PairState::Waiting);
    assert!(matches!(press(&mut state, &["n"])[..], [Action::Device(DeviceAction::Cancel)]));
    for (over, said) in [
        (PairState::Accepted, "Paired with phone."),
        (PairState::Rejected, "Pairing was rejected"),
        (PairState::InvalidCode, "A wrong code was typed"),
        (PairState::Expired, "time is over"),
    ] {
        let mut state = page(PairState::Requested);
        update(&mut state, lists(over));
        assert!(state.message.as_deref().is_some_and(|text| text.contains(said)), "{:?}", state.message);
    }
}

#[test]
fn renaming_and_removing_ask_first() {
    let mut state = page(PairState::Idle);
    assert!(press(&mut state, &["r"]).is_empty(), "this device is not removed");
    assert!(state.dialog.is_none());
    press(&mut state, &["down", "r"]);
    assert!(press(&mut state, &["n"]).is_empty());
    press(&mut state, &["r"]);
    let actions = press(&mut state, &["y"]);
    let [Action::Device(DeviceAction::Remove { device_id, .. })] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(*device_id, id(2));
    press(&mut state, &["e"]);
    assert!(press(&mut state, &["enter"]).is_empty(), "the same name again");
    press(&mut state, &["e", "ctrl-u", "enter"]);
    assert!(state.dialog.is_some(), "no name is none");
    type_text(&mut state, "tower");
    let actions = press(&mut state, &["enter"]);
    let [Action::Device(DeviceAction::Rename { name, .. })] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(name.as_str(), "tower");
}

#[test]
fn joining_takes_a_devices_code_and_no_agents() {
    let mut state = page(PairState::Idle);
    press(&mut state, &["j"]);
    for (typed, said) in [("12-847293", "an agent's code"), ("84729", "six digits"), ("", "six digits")] {
        type_text(&mut state, typed);
        assert!(press(&mut state, &["enter"]).is_empty(), "{typed}");
        let Some(Dialog::Join { problem: Some(problem), .. }) = &state.dialog else {
            panic!("{:?}", state.dialog)
        };
        assert!(problem.contains(said), "{problem}");
        press(&mut state, &["ctrl-u"]);
    }
    type_text(&mut state, "847293");
    press(&mut state, &["tab"]);
    type_text(&mut state, " 10.0.0.7:5000 ");
    let actions = press(&mut state, &["enter"]);
    let [Action::Device(DeviceAction::Join { code, address })] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((code.expose_secret(), address.as_deref()), ("847293", Some("10.0.0.7:5000")));
    assert!(press(&mut state, &["p"]).is_empty() && press(&mut state, &["j"]).is_empty(), "one at a time");
    update(&mut state, Event::Device(DeviceEvent::NotJoined("no device was found\u{1b}[2J".into())));
    assert!(state.message.as_deref().is_some_and(|said| said.contains("no device was found\\u{1b}[2J")));
    assert_eq!(press(&mut state, &["p"]).len(), 1);
}

#[test]
fn without_devices_nothing_is_paired() {
    let mut state = page(PairState::Idle);
    update(&mut state, Event::Lists(Box::default()));
    assert!(press(&mut state, &["p", "j", "y", "n", "e", "r", "down"]).is_empty());
    assert!(state.dialog.is_none());
}
