use durward_protocol::{AgentId, Domain, Field, RequestId, SessionId};
use time::macros::datetime;

use super::*;
use crate::approver::samples::{self, lists, pairing};

fn request(reason: &str) -> RequestView {
    RequestView { reason: reason.into(), ..samples::request(2) }
}

fn state(pairings: Vec<PairingView>, requests: Vec<RequestView>, open: bool) -> State {
    let mut state = State::new(None);
    update(&mut state, lists(pairings, requests, open));
    state
}

/// The question is on the screen before it is answered.
fn answer(state: &mut State, text: &str) -> Vec<Action> {
    view::prompt(state);
    update(state, line(text))
}

fn line(text: &str) -> Event {
    Event::Line(SecretString::new(text.into()))
}

#[test]
fn a_pairing_is_asked_about_before_a_request() {
    let mut state = state(vec![pairing(12)], vec![request("Book the flight")], true);
    insta::assert_snapshot!(view::prompt(&mut state).unwrap());
    assert_eq!(view::prompt(&mut state), None, "asked once");
}

#[test]
fn six_digits_alone_name_the_only_pairing() {
    let mut one = state(vec![pairing(12)], Vec::new(), true);
    let actions = answer(&mut one, "847293");
    assert!(matches!(&actions[..], [Action::EnterCode { number: Some(n), .. }] if n.get() == 12));
    let mut two = state(vec![pairing(12), pairing(13)], Vec::new(), true);
    let actions = answer(&mut two, "847293");
    assert!(
        matches!(&actions[..], [Action::EnterCode { number: None, .. }]),
        "the approver says that it needs a number"
    );
    let actions = answer(&mut two, "13-847293");
    assert!(matches!(&actions[..], [Action::EnterCode { number: Some(n), .. }] if n.get() == 13));
    assert!(matches!(&answer(&mut two, "n")[..], [Action::RefusePairing { .. }]));
    assert!(matches!(&answer(&mut two, "hello")[..], [Action::Show(_)]));
}

#[test]
fn a_request_is_shown_harmlessly() {
    let evil = "Pay \u{1b}[2Jnow\u{202e}drowssap ".to_owned() + &"long words here ".repeat(12);
    let mut state = state(Vec::new(), vec![request(&evil)], true);
    let shown = view::prompt(&mut state).unwrap();
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
    insta::assert_snapshot!(shown);
}

#[test]
fn a_locked_vault_asks_for_its_password_and_a_wrong_one_asks_again() {
    let mut state = state(Vec::new(), vec![request("Book the flight")], false);
    assert!(answer(&mut state, "y 15m").is_empty());
    assert!(state.wants_secret());
    let actions = answer(&mut state, "wrong");
    let [Action::Decide { decision, password: Some(_), .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(
        *decision,
        Decision::Approve { grant: Some(GrantSpec::For { seconds: 900 }), item_id: None, fields: None }
    );
    let decision = decision.clone();
    assert!(!format!("{actions:?}").contains("wrong"), "a password is never shown");
    update(&mut state, Event::NeedPassword { request: key_of(&request("")), decision, wrong: true });
    assert!(state.wants_secret());
    answer(&mut state, "");
    assert!(!state.wants_secret(), "an empty line goes back to the question");
}

#[test]
fn words_after_a_verdict() {
    let decide = |text: &str| {
        let mut state = state(Vec::new(), vec![request("Book the flight")], true);
        match answer(&mut state, text).into_iter().next() {
            Some(Action::Decide { decision, .. }) => format!("{decision:?}"),
            other => format!("{other:?}"),
        }
    };
    for text in ["y", "y session", "y 3x", "y 2h", "y 25h", "y 0x", "y maybe", "n", "n not now", "r", "x"] {
        insta::assert_snapshot!(format!("verdict {text}").replace(' ', "_"), decide(text));
    }
}

#[test]
fn several_items_and_a_choice() {
    let mut state = state(Vec::new(), vec![request("Book the flight")], true);
    let actions = answer(&mut state, "y");
    let Some(Action::Decide { decision, .. }) = actions.into_iter().next() else { panic!("decides") };
    let choice = |id: &str, name: &str| durward_broker::approval::ItemChoice {
        item_id: id.into(),
        name: name.into(),
        username: Some("ada".into()),
    };
    let choices = vec![choice("a", "Work"), choice("b", "Home")];
    let shown = update(
        &mut state,
        Event::Choose { request: key_of(&request("")), decision, choices, password: None },
    );
    insta::assert_debug_snapshot!(shown);
    assert!(matches!(&answer(&mut state, "3")[..], [Action::Show(_)]));
    let actions = answer(&mut state, "2");
    let [Action::Decide { decision: Decision::Approve { item_id, .. }, .. }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(item_id.as_deref(), Some("b"));
}

#[test]
fn a_question_about_a_request_that_is_over_is_taken_back() {
    let mut state = state(Vec::new(), vec![request("Book the flight")], false);
    answer(&mut state, "y");
    assert!(state.wants_secret());
    let actions = update(&mut state, lists(Vec::new(), Vec::new(), false));
    assert!(matches!(&actions[..], [Action::Show(_)]));
    assert!(!state.wants_secret());
}

#[test]
fn quitting_and_the_end_of_input() {
    let mut state = state(Vec::new(), Vec::new(), true);
    assert!(matches!(&answer(&mut state, "q")[..], [Action::Quit]));
    assert!(matches!(&update(&mut state, Event::InputEnded)[..], [Action::Quit]));
    assert!(matches!(&update(&mut state, Event::Gone)[..], [Action::Show(_), Action::Quit]));
}

#[test]
fn a_command_needs_no_question_and_everything_else_does() {
    let keeps = |state: &State, text: &str| state.keeps(&SecretString::new(text.into()));
    let mut asked = state(Vec::new(), vec![request("Book the flight")], false);
    for text in ["y", "n", "r", "y session", "12-847293", "", "hunter2"] {
        assert!(!keeps(&asked, text), "{text}");
    }
    for text in ["s", "lock", "q", "pause flight-booking-001"] {
        assert!(keeps(&asked, text), "{text}");
    }
    answer(&mut asked, "y");
    assert!(asked.wants_secret() && !keeps(&asked, "s"), "no command is a password");
}

#[test]
fn a_yes_is_for_the_request_that_was_shown() {
    let mut state = state(Vec::new(), vec![request("Book the flight")], true);
    view::prompt(&mut state);
    let mut other = request("Empty the account");
    other.request_id = RequestId::from_bytes([9; 16]);
    update(&mut state, lists(Vec::new(), vec![other.clone()], true));
    let actions = update(&mut state, line("y"));
    assert!(matches!(&actions[..], [Action::Show(_)]), "{actions:?}");
    let actions = answer(&mut state, "y");
    assert!(matches!(&actions[..], [Action::Decide { request, .. }] if request.1 == other.request_id));
}

#[test]
fn look_alikes_are_counted_and_asked_again_when_they_double() {
    let mut many = request("Book the flight");
    many.alike = 1;
    let mut state = state(Vec::new(), vec![many.clone()], true);
    insta::assert_snapshot!(view::prompt(&mut state).unwrap());
    many.alike = 2;
    update(&mut state, lists(Vec::new(), vec![many.clone()], true));
    assert_eq!(view::prompt(&mut state), None, "a flood of requests is no flood of lines");
    many.alike = 3;
    update(&mut state, lists(Vec::new(), vec![many], true));
    assert!(view::prompt(&mut state).unwrap().contains("3 more like this"));
}

#[test]
fn agents_are_paused_and_resumed_by_name() {
    let mut state = state(Vec::new(), vec![request("Book the flight")], true);
    let actions = update(&mut state, line("pause flight-booking-001"));
    assert!(
        matches!(&actions[..], [Action::SwitchAgent { agent_id, pause: true }] if agent_id.as_str() == "flight-booking-001")
    );
    let actions = update(&mut state, line("resume flight-booking-001"));
    assert!(matches!(&actions[..], [Action::SwitchAgent { pause: false, .. }]));
    assert!(matches!(&update(&mut state, line("resume ../x"))[..], [Action::Show(_)]));
    let paused = durward_broker::approval::Paused {
        since: durward_protocol::Timestamp::new(datetime!(2026-11-22 10:00 UTC)),
        why: durward_broker::approval::PausedWhy::Denied,
    };
    let agent_id = AgentId::parse("flight-booking-001").unwrap();
    let notice = Notice::AgentSwitched { agent_id, paused: Some(paused) };
    let said = update(&mut state, Event::Notice(Box::new(notice)));
    assert!(
        matches!(&said[..], [Action::Show(text), Action::Refresh] if text.contains("resume flight-booking-001"))
    );
}

#[test]
fn rules_that_name_an_agent_are_shown_and_count_on_a_word() {
    let mut named = pairing(12);
    named.rules = vec!["2  allow  agent flight-*  domain example.com".into()];
    let mut state = state(vec![named], Vec::new(), true);
    insta::assert_snapshot!(view::prompt(&mut state).unwrap());
    let actions = answer(&mut state, "12-847293 rules");
    assert!(matches!(&actions[..], [Action::EnterCode { apply_rules: true, .. }]));
    let actions = answer(&mut state, "12-847293");
    assert!(matches!(&actions[..], [Action::EnterCode { apply_rules: false, .. }]));
    assert!(matches!(&answer(&mut state, "12-847293rules")[..], [Action::Show(_)]));
}

#[test]
fn a_code_says_on_which_device_the_agent_runs() {
    let mut state = state(vec![pairing(12)], Vec::new(), true);
    view::prompt(&mut state);
    let on = |device: &str, may_answer| Some(OnDevice { device: device.into(), may_answer });
    for (typed, rules, expected) in [
        ("12-847293", false, None),
        ("12-847293 on tablet", false, on("tablet", false)),
        ("12-847293 on my tablet may answer", false, on("my tablet", true)),
        ("12-847293 rules on tablet", true, on("tablet", false)),
    ] {
        let actions = answer(&mut state, typed);
        let [Action::EnterCode { apply_rules, runs_on, .. }] = &actions[..] else {
            panic!("{typed}: {actions:?}")
        };
        assert_eq!((*apply_rules, runs_on), (rules, &expected), "{typed}");
    }
    assert!(matches!(&answer(&mut state, "12-847293 on ")[..], [Action::Show(_)]));
    assert!(matches!(&answer(&mut state, "on tablet")[..], [Action::Show(_)]));
}

#[test]
fn a_suggested_rule_is_offered_once_and_taken_by_its_id_alone() {
    let suggestion = durward_server::control::api::Suggestion {
        id: "0123456789abcdef".into(),
        agent_id: AgentId::parse("flight-booking-001").unwrap(),
        domain: Domain::parse("example.com").unwrap(),
        fields: Field::default_set(),
        approvals: 3,
        session_id: SessionId::from_bytes([1; 16]),
        rules: Vec::new(),
    };
    let mut state = state(Vec::new(), vec![request("Book the flight")], true);
    let decided = durward_server::control::api::Decided {
        verdict: Verdict::Approved,
        fields: Field::default_set(),
        reason: None,
    };
    let actions = update(&mut state, Event::Decided { request: key_of(&request("")), decided });
    assert!(actions.iter().any(|action| matches!(action, Action::Suggest)));
    let offered = update(&mut state, Event::Suggestions(vec![suggestion.clone()]));
    let [Action::Show(text)] = &offered[..] else { panic!("{offered:?}") };
    insta::assert_snapshot!(text);
    assert!(update(&mut state, Event::Suggestions(vec![suggestion])).is_empty(), "once");
    let yes = answer(&mut state, "y");
    assert!(matches!(&yes[..], [Action::Decide { .. }]), "a yes is for the request: {yes:?}");
    update(&mut state, Event::Failed("not now".into()));
    let taken = answer(&mut state, "rule 0123456789abcdef");
    assert!(matches!(&taken[..], [Action::AcceptSuggestion { id }] if id == "0123456789abcdef"), "{taken:?}");
    for odd in ["rule", "rule 1", "rule ../../x", "rule 0123456789abcdefg"] {
        let taken = answer(&mut state, odd);
        assert!(!taken.iter().any(|action| matches!(action, Action::AcceptSuggestion { .. })), "{odd}");
    }
}
