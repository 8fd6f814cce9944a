//! From one state to the next: pure, so that a recorded list of events replays.

use durward_broker::approval::{Decision, GrantSpec, Notice, PairingView, RequestView};
use durward_protocol::{SecretString, TypedCode, Verdict};

use super::state::{Asked, Mode, State, accepted_rule, agent_switch};
use super::view;
use crate::approver::event::{Action, Event, key_of};
use crate::approver::words;
use crate::terminal::harmless;

const CHANGED: &str = "The question had changed meanwhile; nothing was done. Here it is again:";

/// Takes one event; returns what to do, in order.
pub(super) fn update(state: &mut State, event: Event) -> Vec<Action> {
    match event {
        Event::Line(line) => typed(state, &line),
        Event::InputEnded => vec![Action::Quit],
        Event::Notice(notice) => noticed(state, &notice),
        Event::Resync => vec![Action::Refresh],
        Event::Gone => vec![Action::Show("The approver has stopped.".into()), Action::Quit],
        Event::Lists(known) => {
            state.known = *known;
            leave_what_is_gone(state)
        }
        Event::Sessions(sessions) => {
            let shown = view::sessions(&sessions);
            if !sessions.is_empty() {
                state.mode = Mode::Sessions(sessions);
            }
            state.asked = None;
            vec![Action::Show(shown)]
        }
        Event::Grants(grants) => {
            let shown = view::grants(&grants);
            if !grants.is_empty() {
                state.mode = Mode::Grants(grants);
            }
            state.asked = None;
            vec![Action::Show(shown)]
        }
        Event::Paired(session) => back(state, vec![Action::Show(words::paired(&session))]),
        Event::Decided { decided, .. } => {
            let mut actions = vec![Action::Show(words::decided(&decided))];
            actions.extend((decided.verdict == Verdict::Approved).then_some(Action::Suggest));
            back(state, actions)
        }
        Event::Suggestions(list) => {
            let new = list.iter().filter(|suggestion| state.offered.insert(suggestion.id.clone()));
            let shown: Vec<Action> = new.map(|suggestion| Action::Show(view::offer(suggestion))).collect();
            if !shown.is_empty() {
                state.asked = None;
            }
            shown
        }
        Event::NeedPassword { decision, wrong, .. } => need_password(state, decision, wrong),
        Event::Choose { decision, choices, password, .. } => {
            let Mode::Deciding { request } = std::mem::take(&mut state.mode) else {
                return back(state, Vec::new());
            };
            let shown = view::choices(&choices);
            state.mode = Mode::Item { request, decision, choices, password };
            state.asked = None;
            vec![Action::Show(shown)]
        }
        Event::Done(said) => back(state, vec![Action::Show(said)]),
        Event::NoLists(message) => {
            vec![Action::Show(format!("The lists could not be read: {}", harmless(&message)))]
        }
        Event::Failed(message) | Event::Undecided { message, .. } => {
            back(state, vec![Action::Show(format!("Not done: {}", harmless(&message)))])
        }
        // Of the full screen only.
        Event::Input(_)
        | Event::Clock(_)
        | Event::Audit(_)
        | Event::NoAudit(_)
        | Event::Away(_)
        | Event::Device(_)
        | Event::Unlocked { .. } => Vec::new(),
    }
}

/// Back to the queue, after these.
fn back(state: &mut State, mut actions: Vec<Action>) -> Vec<Action> {
    state.mode = Mode::Queue;
    state.asked = None;
    actions.push(Action::Refresh);
    actions
}

fn need_password(state: &mut State, decision: Decision, wrong: bool) -> Vec<Action> {
    let Mode::Deciding { request } = std::mem::take(&mut state.mode) else { return back(state, Vec::new()) };
    state.mode = Mode::Password { request, decision };
    state.asked = None;
    if wrong {
        vec![Action::Show("Wrong vault password. The request keeps waiting.".into())]
    } else {
        Vec::new()
    }
}

/// A question about something that is over is taken back.
fn leave_what_is_gone(state: &mut State) -> Vec<Action> {
    let asked_about = match &state.mode {
        Mode::Password { request, .. } | Mode::Item { request, .. } => Some(key_of(request)),
        _ => None,
    };
    let gone = asked_about.is_some_and(|key| !state.known.requests.iter().any(|r| key_of(r) == key));
    if gone {
        state.mode = Mode::Queue;
        state.asked = None;
        return vec![Action::Show("This request is over.".into())];
    }
    Vec::new()
}

fn noticed(state: &mut State, notice: &Notice) -> Vec<Action> {
    let mut actions = Vec::new();
    if let Some(text) = words::notice(notice) {
        actions.push(Action::Show(text));
        state.asked = None;
    }
    actions.push(Action::Refresh);
    actions
}

fn typed(state: &mut State, line: &SecretString) -> Vec<Action> {
    let asked = state.asked.take();
    match &state.mode {
        Mode::Password { .. } => return password_typed(state, line),
        Mode::Item { .. } => return item_typed(state, line.expose_secret().trim()),
        Mode::Sessions(_) => return session_typed(state, line.expose_secret().trim()),
        Mode::Grants(_) => return grant_typed(state, line.expose_secret().trim()),
        Mode::Deciding { .. } | Mode::Queue => {}
    }
    let text = line.expose_secret().trim();
    if let Some(actions) = anywhere(text) {
        return actions;
    }
    let pairing = state.known.waiting_pairings().next().cloned();
    if let Some(pairing) = pairing {
        return match &asked {
            Some(Asked::Pairing(shown, _)) if *shown == pairing.pairing_id.to_string() => {
                code_typed(&pairing, state, line)
            }
            _ => vec![Action::Show(CHANGED.into())],
        };
    }
    let request = state.known.waiting_requests().next().cloned();
    match request {
        // A yes is for what was on the screen when it was typed, not for what took its place since.
        Some(request) => match &asked {
            Some(Asked::Request(shown, _)) if *shown == request.request_id.to_string() => {
                verdict_typed(state, request, text)
            }
            _ => vec![Action::Show(CHANGED.into())],
        },
        None if text.is_empty() => Vec::new(),
        None if text.parse::<TypedCode>().is_ok() => {
            vec![Action::Show("No agent waits for a code now.".into())]
        }
        None => vec![Action::Show(view::HELP.into())],
    }
}

/// Words that work at every question of the queue.
fn anywhere(text: &str) -> Option<Vec<Action>> {
    if let Some((agent_id, pause)) = agent_switch(text) {
        return Some(vec![Action::SwitchAgent { agent_id, pause }]);
    }
    if let Some(id) = accepted_rule(text) {
        return Some(vec![Action::AcceptSuggestion { id: id.to_owned() }]);
    }
    match text {
        "?" | "h" | "help" => Some(vec![Action::Show(view::HELP.into())]),
        "s" | "sessions" => Some(vec![Action::ListSessions]),
        "g" | "grants" => Some(vec![Action::ListGrants]),
        "l" | "lock" => Some(vec![Action::Lock]),
        "q" | "quit" => Some(vec![Action::Quit]),
        _ => None,
    }
}

fn code_typed(pairing: &PairingView, state: &State, line: &SecretString) -> Vec<Action> {
    let text = line.expose_secret().trim();
    match text {
        "" => Vec::new(),
        "n" | "N" | "no" => vec![Action::RefusePairing { number: pairing.number }],
        _ => match without_rules(text).0.parse::<TypedCode>() {
            Ok(typed) => {
                let apply_rules = without_rules(text).1;
                // Six digits alone are for the pairing on the screen only while it is the one that waits.
                let alone = state.known.waiting_pairings().count() == 1;
                let number = typed.number.or(alone.then_some(pairing.number));
                let code = SecretString::new(typed.code.expose_digits().to_owned());
                vec![Action::EnterCode { number, code, scope: None, apply_rules }]
            }
            Err(error) => vec![Action::Show(format!("That is no code: {error}."))],
        },
    }
}

/// `12-847293 rules`: the code, and whether rules that name the agent shall count.
fn without_rules(text: &str) -> (&str, bool) {
    match text.strip_suffix("rules") {
        Some(code) if code.ends_with(char::is_whitespace) => (code.trim_end(), true),
        _ => (text, false),
    }
}

fn verdict_typed(state: &mut State, request: RequestView, text: &str) -> Vec<Action> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let decision = match word {
        "y" | "Y" | "yes" => match parse_grant(rest) {
            Ok(grant) => Decision::Approve { grant, item_id: None, fields: None },
            Err(message) => return vec![Action::Show(message)],
        },
        "n" | "N" | "no" => Decision::Deny { reason: Some(rest.to_owned()).filter(|r| !r.is_empty()) },
        "r" | "R" | "revoke" => return vec![Action::Revoke { session_id: request.session_id }],
        "" => return Vec::new(),
        _ => return vec![Action::Show(view::HELP.into())],
    };
    decide(state, Box::new(request), decision, None)
}

/// `y`, `y 15m`, `y 2h`, `y session`, `y 3x`
fn parse_grant(text: &str) -> Result<Option<GrantSpec>, String> {
    let number = |suffix: &str| text.strip_suffix(suffix).and_then(|n| n.trim().parse::<u64>().ok());
    let spec = match text {
        "" | "once" => return Ok(None),
        "session" => Some(GrantSpec::Session),
        _ => number("m")
            .and_then(|n| n.checked_mul(60))
            .or_else(|| number("h").and_then(|n| n.checked_mul(3_600)))
            .map(|seconds| GrantSpec::For { seconds })
            .or_else(|| number("x").map(|uses| GrantSpec::Uses { uses })),
    };
    spec.filter(|spec| spec.is_valid()).map(Some).ok_or_else(|| {
        "After y: nothing, 15m or 2h (at most 24h), session, or 3x (at most 1000x).".to_owned()
    })
}

fn decide(
    state: &mut State,
    request: Box<RequestView>,
    decision: Decision,
    password: Option<SecretString>,
) -> Vec<Action> {
    let locked = state.known.vault_locked();
    if matches!(decision, Decision::Approve { .. }) && locked && password.is_none() {
        state.mode = Mode::Password { request, decision };
        return Vec::new();
    }
    let keep_unlocked_seconds = state.keep_unlocked_seconds.filter(|_| password.is_some());
    let key = key_of(&request);
    state.mode = Mode::Deciding { request };
    vec![Action::Decide { request: key, decision, password, keep_unlocked_seconds }]
}

fn password_typed(state: &mut State, line: &SecretString) -> Vec<Action> {
    let Mode::Password { request, decision } = std::mem::take(&mut state.mode) else { return Vec::new() };
    if line.is_empty() {
        return vec![Action::Show("No password: the request keeps waiting.".into())];
    }
    decide(state, request, decision, Some(line.duplicate()))
}

fn item_typed(state: &mut State, text: &str) -> Vec<Action> {
    let Mode::Item { request, decision, choices, password } = std::mem::take(&mut state.mode) else {
        return Vec::new();
    };
    let picked = text.parse::<usize>().ok().and_then(|n| choices.get(n.checked_sub(1)?)).cloned();
    match (picked, decision) {
        (Some(choice), Decision::Approve { grant, fields, .. }) => {
            let decision = Decision::Approve { grant, item_id: Some(choice.item_id), fields };
            decide(state, request, decision, password)
        }
        (_, decision) if text.is_empty() => {
            drop(decision);
            vec![Action::Show("Nothing chosen: the request keeps waiting.".into())]
        }
        (_, decision) => {
            let shown = format!("Type a number from 1 to {}, or nothing to go back.", choices.len());
            state.mode = Mode::Item { request, decision, choices, password };
            vec![Action::Show(shown)]
        }
    }
}

fn session_typed(state: &mut State, text: &str) -> Vec<Action> {
    let Mode::Sessions(sessions) = std::mem::take(&mut state.mode) else { return Vec::new() };
    let number = text.trim_start_matches(['r', 'R']).trim();
    match number.parse::<usize>().ok().and_then(|n| sessions.get(n.checked_sub(1)?)) {
        Some(session) => vec![Action::Revoke { session_id: session.session_id }],
        None if text.is_empty() => Vec::new(),
        None => vec![Action::Show("No such session; nothing was revoked.".into())],
    }
}

fn grant_typed(state: &mut State, text: &str) -> Vec<Action> {
    let Mode::Grants(grants) = std::mem::take(&mut state.mode) else { return Vec::new() };
    match text.parse::<usize>().ok().and_then(|n| grants.get(n.checked_sub(1)?)) {
        Some(grant) => vec![Action::EndGrant { grant_id: grant.grant_id }],
        None if text.is_empty() => Vec::new(),
        None => vec![Action::Show("No such grant; nothing was ended.".into())],
    }
}

#[cfg(test)]
mod tests;
