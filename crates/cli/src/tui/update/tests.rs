use durward_broker::approval::{Decision, PairingView, RequestView, Suggestion};
use durward_protocol::{AgentId, Domain, Field, RequestId, SecretString, SessionId};
use durward_server::control::api::Decided;

use super::testing::{START, later, press, type_text};
use super::*;
use crate::approver::samples::{self, lists, pairing};
use crate::tui::state::{Confirm, Draft, Settings, Tab};

fn request(n: u8) -> RequestView {
    let fields = vec![Field::Username, Field::Password, Field::Totp];
    RequestView { fields, ..samples::request(n) }
}

/// With these lists on the screen for a second.
fn state(pairings: Vec<PairingView>, requests: Vec<RequestView>, open: bool) -> State {
    let options = Settings { bell: true, ..Settings::default() };
    let mut state = State::new(options, START);
    update(&mut state, lists(pairings, requests, open));
    later(&mut state);
    state
}

fn decision(actions: &[Action]) -> &Decision {
    let [Action::Decide { decision, .. }] = actions else { panic!("{actions:?}") };
    decision
}

#[test]
fn yes_releases_the_ticked_fields_and_no_others() {
    let mut state = state(Vec::new(), vec![request(1)], true);
    press(&mut state, &["down", "down", "space", "2"]);
    assert!(press(&mut state, &["y"]).is_empty(), "what follows without asking is read once more");
    later(&mut state);
    let actions = press(&mut state, &["y"]);
    let Decision::Approve { grant, fields, .. } = decision(&actions) else { panic!("{actions:?}") };
    assert_eq!(fields.as_deref(), Some(&[Field::Username, Field::Password][..]));
    assert_eq!(*grant, Some(durward_broker::approval::GrantSpec::For { seconds: 900 }));
    assert!(state.selected().is_none(), "it has left the screen");
}

#[test]
fn without_a_ticked_field_nothing_is_released() {
    let mut state = state(Vec::new(), vec![request(1)], true);
    press(&mut state, &["space", "down", "space", "down", "space"]);
    assert!(press(&mut state, &["y"]).is_empty());
    assert!(state.message.as_deref().is_some_and(|said| said.contains("No field is ticked")));
}

#[test]
fn a_second_yes_does_not_answer_the_question_that_follows() {
    let mut state = state(Vec::new(), vec![request(1), request(2)], true);
    let actions = press(&mut state, &["y"]);
    assert!(
        matches!(&actions[..], [Action::Decide { request, .. }] if request.1 == RequestId::from_bytes([1; 16]))
    );
    for key in ["y", "n", "r"] {
        assert!(press(&mut state, &[key]).is_empty(), "{key}");
        assert!(state.dialog.is_none(), "{key}");
    }
    later(&mut state);
    let actions = press(&mut state, &["y"]);
    assert!(
        matches!(&actions[..], [Action::Decide { request, .. }] if request.1 == RequestId::from_bytes([2; 16]))
    );
}

#[test]
fn what_changed_behind_a_box_or_on_another_page_was_not_seen() {
    for (away, back) in [("?", "esc"), ("s", "w")] {
        let mut state = state(Vec::new(), vec![request(1)], true);
        press(&mut state, &[away]);
        update(&mut state, lists(Vec::new(), vec![request(2)], true));
        later(&mut state);
        assert!(press(&mut state, &[back, "y"]).is_empty(), "{away}");
        later(&mut state);
        assert!(matches!(&press(&mut state, &["y"])[..], [Action::Decide { .. }]), "{away}");
    }
}

#[test]
fn a_yes_is_for_the_request_that_was_shown() {
    let mut state = state(Vec::new(), vec![request(1)], true);
    update(&mut state, lists(Vec::new(), vec![request(2)], true));
    assert!(press(&mut state, &["y"]).is_empty(), "another one took its place just now");
}

#[test]
fn a_pairing_that_comes_does_not_push_a_request_away() {
    let mut state = state(Vec::new(), vec![request(1)], true);
    let actions = update(&mut state, lists(vec![pairing(12)], vec![request(1)], true));
    assert!(matches!(&actions[..], [Action::Bell]));
    assert!(matches!(state.selected(), Some(Waiting::Request(_))));
    assert_eq!(state.place, 1);
    press(&mut state, &["left", "up"]);
    assert!(matches!(state.selected(), Some(Waiting::Pairing(_))));
}

#[test]
fn the_bell_rings_once_for_many() {
    let mut state = state(Vec::new(), Vec::new(), true);
    assert!(matches!(&update(&mut state, lists(Vec::new(), vec![request(1)], true))[..], [Action::Bell]));
    assert!(update(&mut state, lists(Vec::new(), vec![request(1), request(2)], true)).is_empty());
    later(&mut state);
    later(&mut state);
    let three = vec![request(1), request(2), request(3)];
    assert!(matches!(&update(&mut state, lists(Vec::new(), three.clone(), true))[..], [Action::Bell]));
    state.options.bell = false;
    state.rang_at = None;
    assert!(update(&mut state, lists(Vec::new(), [three, vec![request(4)]].concat(), true)).is_empty());
}

#[test]
fn a_locked_vault_asks_for_its_password_and_a_wrong_one_asks_again() {
    let mut state = state(Vec::new(), vec![request(1)], false);
    assert!(press(&mut state, &["y"]).is_empty());
    assert!(type_text(&mut state, "ynr q hunter2").is_empty(), "letters of a password are no commands");
    assert!(!format!("{state:?}").contains("hunter2"));
    let actions = press(&mut state, &["enter"]);
    let [Action::Decide { request: key, decision, password: Some(password), .. }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(password.expose_secret(), "ynr q hunter2");
    assert!(!format!("{actions:?}").contains("hunter2"));
    assert!(press(&mut state, &["enter", "esc", "y"]).is_empty(), "it is on its way");
    let wrong = Event::NeedPassword { request: *key, decision: decision.clone(), wrong: true };
    update(&mut state, wrong);
    assert!(
        matches!(&state.dialog, Some(Dialog::Password { wrong: true, busy: false, input, .. }) if input.is_empty())
    );
    press(&mut state, &["esc"]);
    assert!(
        state.dialog.is_none() && matches!(state.selected(), Some(Waiting::Request(_))),
        "it keeps waiting"
    );
}

#[test]
fn a_box_about_something_that_is_over_keeps_the_keys() {
    let mut state = state(Vec::new(), vec![request(1), request(2)], false);
    press(&mut state, &["y", "h", "u"]);
    update(&mut state, lists(Vec::new(), vec![request(2)], true));
    assert!(matches!(state.dialog, Some(Dialog::Over(_))));
    later(&mut state);
    assert!(type_text(&mut state, "nter2y").is_empty(), "the rest of the password goes nowhere");
    assert!(matches!(state.dialog, Some(Dialog::Over(_))));
    press(&mut state, &["enter"]);
    assert!(state.dialog.is_none());
    assert!(press(&mut state, &["y"]).is_empty() && state.dialog.is_none(), "and what was below is new");
}

#[test]
fn a_code_is_typed_for_the_pairing_on_the_screen() {
    let mut state = state(vec![pairing(12), pairing(13)], Vec::new(), true);
    press(&mut state, &["e"]);
    type_text(&mut state, "example.com");
    press(&mut state, &["enter"]);
    type_text(&mut state, "13-847293");
    assert!(press(&mut state, &["enter"]).is_empty(), "the narrower scope is not for that one");
    press(&mut state, &["left", "down", "up"]);
    type_text(&mut state, "13-847293");
    let actions = press(&mut state, &["enter"]);
    assert!(
        matches!(&actions[..], [Action::EnterCode { number: Some(n), .. }] if n.get() == 13),
        "its number names it"
    );
    type_text(&mut state, "847293");
    let actions = press(&mut state, &["enter"]);
    let [Action::EnterCode { number: Some(number), code, scope: None, apply_rules: false, runs_on: None }] =
        &actions[..]
    else {
        panic!("{actions:?}")
    };
    assert_eq!((number.get(), code.expose_secret()), (12, "847293"));
    assert!(!format!("{state:?}{actions:?}").contains("847293"));
}

#[test]
fn a_scope_can_only_be_narrowed() {
    let mut asked = pairing(12);
    asked.scope.max_uses = Some(5);
    let mut state = state(vec![asked], Vec::new(), true);
    press(&mut state, &["e"]);
    type_text(&mut state, "example.com");
    press(&mut state, &["tab", "backspace"]);
    type_text(&mut state, "9");
    press(&mut state, &["enter"]);
    assert!(matches!(&state.dialog, Some(Dialog::Scope { problem: Some(_), .. })), "9 is more than 5");
    press(&mut state, &["backspace", "3", "enter"]);
    assert!(state.dialog.is_none(), "{:?}", state.dialog);
    type_text(&mut state, "847293");
    let actions = press(&mut state, &["enter"]);
    let [Action::EnterCode { scope: Some(scope), .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(scope.limits().max_uses, Some(3));
    assert_eq!(scope.limits().domains.as_ref().map(Vec::len), Some(1));
}

#[test]
fn what_is_pasted_goes_into_a_field_or_nowhere() {
    let paste = |state: &mut State, text: &str| {
        update(state, Event::Input(Input::Paste(SecretString::new(text.into()))))
    };
    let mut state = state(Vec::new(), vec![request(1)], true);
    assert!(paste(&mut state, "y\nr\nq").is_empty());
    assert!(state.dialog.is_none());
    press(&mut state, &["n"]);
    paste(&mut state, "not now\nreally");
    let actions = press(&mut state, &["enter"]);
    assert_eq!(*decision(&actions), Decision::Deny { reason: Some("not now".into()) });
}

#[test]
fn revoking_pausing_and_quitting_ask_first() {
    let mut state = state(Vec::new(), vec![request(1)], true);
    assert!(press(&mut state, &["r", "x"]).is_empty());
    assert!(press(&mut state, &["n"]).is_empty() && state.dialog.is_none());
    assert!(matches!(&press(&mut state, &["r", "y"])[..], [Action::Revoke { .. }]));
    assert!(press(&mut state, &["p", "enter"]).is_empty() && state.dialog.is_none(), "Enter is no");
    assert!(matches!(&press(&mut state, &["p", "y"])[..], [Action::SwitchAgent { pause: true, .. }]));
    assert!(
        matches!(&press(&mut state, &["q"])[..], [Action::Quit]),
        "the server goes on without the screen"
    );
    state.options.owns_server = true;
    assert!(press(&mut state, &["q", "enter"]).is_empty() && state.dialog.is_none());
    assert!(press(&mut state, &["q"]).is_empty());
    assert!(matches!(&press(&mut state, &["y"])[..], [Action::Quit]));
    assert!(matches!(&press(&mut state, &["ctrl-c"])[..], [Action::Quit]));
}

#[test]
fn readings_do_not_pile_up() {
    let mut state = state(Vec::new(), Vec::new(), true);
    let first = update(&mut state, Event::Resync);
    assert!(matches!(&first[..], [Action::ReadAudit { after: None }, Action::Refresh]));
    for _ in 0..50 {
        assert!(update(&mut state, Event::Resync).is_empty(), "one reading is under way");
    }
    let next = update(&mut state, lists(Vec::new(), Vec::new(), true));
    assert!(matches!(&next[..], [Action::Refresh]), "and one follows: {next:?}");
    assert!(update(&mut state, lists(Vec::new(), Vec::new(), true)).is_empty());
}

#[test]
fn several_items_and_a_choice() {
    let mut state = state(Vec::new(), vec![request(1)], true);
    let actions = press(&mut state, &["y"]);
    let decision = decision(&actions).clone();
    let choice = |id: &str| durward_broker::approval::ItemChoice {
        item_id: id.into(),
        name: id.into(),
        username: None,
    };
    let choices = vec![choice("a"), choice("b")];
    update(&mut state, Event::Choose { request: key_of(&request(1)), decision, choices, password: None });
    let actions = press(&mut state, &["down", "enter"]);
    let [Action::Decide { decision: Decision::Approve { item_id, .. }, .. }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(item_id.as_deref(), Some("b"));
    let decided = Decided { verdict: Verdict::Approved, fields: vec![Field::Password], reason: None };
    update(&mut state, Event::Decided { request: key_of(&request(1)), decided });
    assert!(state.dialog.is_none());
    assert_eq!(state.message.as_deref(), Some("Released: password."));
}

#[test]
fn a_draft_belongs_to_one_question() {
    let mut state = state(Vec::new(), vec![request(1), request(2)], true);
    press(&mut state, &["space", "3", "left", "down", "up"]);
    let Draft::Request(draft) = &state.draft else { panic!("a request is selected") };
    assert!(draft.is_whole() && draft.grant.is_none(), "what was ticked for one is not kept for another");
}

#[test]
fn a_rule_is_offered_once_and_written_on_a_yes_to_it_alone() {
    let suggestion = || Suggestion {
        id: "0123456789abcdef".into(),
        agent_id: AgentId::parse("flight-booking-001").unwrap(),
        domain: Domain::parse("example.com").unwrap(),
        fields: Field::default_set(),
        approvals: 3,
        session_id: SessionId::from_bytes([1; 16]),
        rules: Vec::new(),
    };
    let mut state = state(Vec::new(), vec![request(1)], true);
    let decided = Decided { verdict: Verdict::Approved, fields: Vec::new(), reason: None };
    let actions = update(&mut state, Event::Decided { request: key_of(&request(9)), decided });
    assert!(actions.iter().any(|action| matches!(action, Action::Suggest)));
    update(&mut state, Event::Suggestions(vec![suggestion()]));
    assert!(state.message.as_deref().is_some_and(|said| said.contains("3 times in a row")));
    assert!(state.dialog.is_none(), "it does not push itself over a question");
    let mut other = suggestion();
    other.id = "fedcba9876543210".into();
    update(&mut state, Event::Suggestions(vec![suggestion(), other]));
    assert_eq!(state.offered.len(), 2, "once each");
    assert!(matches!(&press(&mut state, &["o"])[..], [Action::Suggest]), "read anew");
    assert!(update(&mut state, Event::Suggestions(vec![suggestion()])).is_empty());
    assert!(press(&mut state, &["enter", "space"]).is_empty(), "only a yes is a yes");
    let actions = press(&mut state, &["y"]);
    assert!(
        matches!(&actions[..], [Action::AcceptSuggestion { id }] if id == "0123456789abcdef"),
        "{actions:?}"
    );
    for key in ["esc", "n"] {
        press(&mut state, &["o"]);
        update(&mut state, Event::Suggestions(vec![suggestion()]));
        assert!(press(&mut state, &[key]).is_empty() && state.dialog.is_none(), "{key}");
    }
    press(&mut state, &["o"]);
    update(&mut state, Event::Suggestions(Vec::new()));
    assert!(state.message.as_deref().is_some_and(|said| said.contains("No rule is offered")));
}

#[test]
fn a_rule_that_was_offered_before_the_screen_began_is_shown_on_a_key() {
    let suggestion = Suggestion {
        id: "0123456789abcdef".into(),
        agent_id: AgentId::parse("flight-booking-001").unwrap(),
        domain: Domain::parse("example.com").unwrap(),
        fields: Field::default_set(),
        approvals: 3,
        session_id: SessionId::from_bytes([1; 16]),
        rules: Vec::new(),
    };
    let mut state = state(Vec::new(), Vec::new(), true);
    press(&mut state, &["o"]);
    update(&mut state, Event::Suggestions(vec![suggestion]));
    assert!(matches!(&state.dialog, Some(Dialog::Rule(_))), "{:?}", state.message);
}

#[test]
fn digits_of_a_code_set_no_time_for_a_request() {
    let mut state = state(Vec::new(), vec![request(1)], true);
    update(&mut state, lists(vec![pairing(12)], vec![request(1)], true));
    later(&mut state);
    assert!(type_text(&mut state, "724716").is_empty());
    assert!(press(&mut state, &["enter"]).is_empty() && state.dialog.is_none(), "{:?}", state.dialog);
    let Draft::Request(draft) = &state.draft else { panic!("the request keeps the keys") };
    assert!(draft.grant.is_none(), "{:?}", draft.grant);
    type_text(&mut state, "3");
    assert!(
        state.message.as_deref().is_some_and(|said| said.contains("A pairing waits: press Left, then Up"))
    );
    press(&mut state, &["left"]);
    type_text(&mut state, "3");
    assert!(state.message.as_deref().is_some_and(|said| said.contains("A pairing waits: press Up")));
    let actions = press(&mut state, &["y"]);
    let Decision::Approve { grant: None, .. } = decision(&actions) else { panic!("{actions:?}") };
}

#[test]
fn what_goes_out_without_asking_is_confirmed_and_names_it_all() {
    for keys in [&["2"][..], &["3"], &["4", "7", "enter"], &["5", "2", "h", "enter"]] {
        let mut state = state(Vec::new(), vec![request(1)], true);
        press(&mut state, keys);
        assert!(press(&mut state, &["y", "y", "y"]).is_empty(), "{keys:?}: a key held down is one yes");
        assert!(state.message.as_deref().is_some_and(|said| said.contains("just come up")));
        assert!(matches!(&state.dialog, Some(Dialog::Confirm(Confirm::Standing { .. }))), "{keys:?}");
        later(&mut state);
        assert!(press(&mut state, &["enter"]).is_empty() && state.dialog.is_none(), "Enter is no");
        press(&mut state, &["y"]);
        later(&mut state);
        let actions = press(&mut state, &["y"]);
        let Decision::Approve { grant: Some(_), .. } = decision(&actions) else { panic!("{actions:?}") };
    }
}

#[test]
fn a_standing_yes_is_taken_back_when_its_request_is_over() {
    let mut state = state(Vec::new(), vec![request(1), request(2)], true);
    press(&mut state, &["3", "y"]);
    update(&mut state, lists(Vec::new(), vec![request(2)], true));
    later(&mut state);
    assert!(matches!(state.dialog, Some(Dialog::Over(_))));
    assert!(press(&mut state, &["y"]).is_empty());
}

#[test]
fn letters_in_a_code_lead_nowhere() {
    let mut state = state(vec![pairing(12)], Vec::new(), true);
    assert!(type_text(&mut state, "abcdfghijklmopqrstuvwxyz111111ABCDFGHIJKLMOPQRSTUVWXYZ").is_empty());
    assert_eq!((state.tab, state.dialog.is_none()), (Tab::Waiting, true));
    let actions = press(&mut state, &["enter"]);
    assert!(
        matches!(&actions[..], [Action::EnterCode { code, .. }] if code.expose_secret() == "111111"),
        "{actions:?}"
    );
    let mut state = self::state(vec![pairing(12)], Vec::new(), true);
    press(&mut state, &["e"]);
    assert!(matches!(state.dialog, Some(Dialog::Scope { .. })), "what acts asks");
    press(&mut state, &["esc", "n"]);
    assert!(matches!(state.dialog, Some(Dialog::Confirm(Confirm::Refuse { .. }))));
}

#[test]
fn pairing_is_closed_and_opened_on_a_yes() {
    let mut state = state(Vec::new(), Vec::new(), true);
    for open in [false, true] {
        state.known.pairing_open = Some(!open);
        assert!(press(&mut state, &["c", "enter", "c", "n", "c"]).is_empty());
        let actions = press(&mut state, &["y"]);
        assert!(matches!(&actions[..], [Action::SwitchPairing { open: to }] if *to == open), "{actions:?}");
    }
}

#[test]
fn what_was_said_long_ago_is_not_said_under_a_new_question() {
    let mut state = state(Vec::new(), vec![request(1)], true);
    say(&mut state, "It gave up its request for example.com.");
    update(&mut state, lists(Vec::new(), vec![request(1), request(2)], true));
    assert!(state.message.as_deref().is_some_and(|said| said.contains("gave up")), "only just said");
    for _ in 0..3 {
        later(&mut state);
    }
    update(&mut state, lists(Vec::new(), vec![request(1), request(2), request(3)], true));
    assert_eq!(state.message.as_deref(), Some("Flight Booking Agent asks for example.com."));
    for _ in 0..3 {
        later(&mut state);
    }
    update(&mut state, lists(Vec::new(), vec![request(4)], true));
    assert_eq!(state.message, None);
}

#[test]
fn nothing_released_is_said_as_that() {
    for (reason, said) in [
        (Some("the item has no totp"), "Released nothing: the item has no totp."),
        (None, "Nothing in the vault matches; the agent was told so."),
    ] {
        let mut state = state(Vec::new(), vec![request(1)], true);
        press(&mut state, &["y"]);
        let reason = reason.map(str::to_owned);
        let decided = Decided { verdict: Verdict::NotFound, fields: Vec::new(), reason };
        update(&mut state, Event::Decided { request: key_of(&request(1)), decided });
        assert_eq!(state.message.as_deref(), Some(said));
    }
}
