//! Answers: codes, approvals, and what comes back of them.

use durward_broker::approval::{Decision, ItemChoice, PairingView, RequestView};
use durward_protocol::{SecretString, TypedCode};

use super::super::state::{Confirm, Dialog, Draft, State, Text};
use super::{moved_on, say};
use crate::approver::event::{Action, RequestKey, key_of};

/// Whether the question came onto the screen only just now; then the key is not taken, and it says so.
pub(super) fn too_fast(state: &mut State) -> bool {
    let too_fast = !state.settled();
    if too_fast {
        say_too_fast(state);
    }
    too_fast
}

pub(super) fn say_too_fast(state: &mut State) {
    say(state, "This question has just come up. Read it, and press the key again.");
}

/// Tries the code that was typed.
pub(super) fn enter_code(state: &mut State, pairing: &PairingView) -> Vec<Action> {
    let Draft::Pairing(draft) = &mut state.draft else { return Vec::new() };
    if draft.code.is_empty() {
        return Vec::new();
    }
    let typed = match draft.code.expose().parse::<TypedCode>() {
        Ok(typed) => typed,
        Err(error) => {
            say(state, format!("That is no code: {error}."));
            return Vec::new();
        }
    };
    // A number says which pairing is meant; what was chosen for this one is not for another.
    let number = typed.number.unwrap_or(pairing.number);
    if number != pairing.number && (draft.rules || draft.scope.is_some()) {
        say(state, format!("That code is for pairing {number}; select that one first."));
        return Vec::new();
    }
    let code = SecretString::new(typed.code.expose_digits().to_owned());
    let scope = draft.scope.as_ref().map(|(_, scope)| scope.clone());
    let apply_rules = draft.rules;
    draft.code.clear();
    state.checking = Some(pairing.agent_id.to_string());
    vec![Action::EnterCode { number: Some(number), code, scope, apply_rules, runs_on: None }]
}

/// The owner says yes to what is on the screen.
pub(super) fn approve(state: &mut State, request: RequestView) -> Vec<Action> {
    let Draft::Request(draft) = &state.draft else { return Vec::new() };
    let fields = draft.fields();
    if fields.is_empty() {
        say(state, "No field is ticked. Tick one with Space, or deny with N.");
        return Vec::new();
    }
    let fields = Some(fields).filter(|_| !draft.is_whole());
    let decision = Decision::Approve { grant: draft.grant, item_id: draft.item.clone(), fields };
    if state.known.vault_locked() {
        let request = Box::new(request);
        let input = Text::secret();
        state.dialog = Some(Dialog::Password { request, decision, input, wrong: false, busy: false });
        return Vec::new();
    }
    if draft.grant.is_some() {
        // What follows without asking is read once more, as the password's box would have shown it.
        let (request, since) = (Box::new(request), state.now);
        state.dialog = Some(Dialog::Confirm(Confirm::Standing { request, decision, since }));
        return Vec::new();
    }
    decide(state, key_of(&request), decision, None)
}

/// Sends a decision. Without a box over it the question leaves the screen at once.
pub(super) fn decide(
    state: &mut State,
    request: RequestKey,
    decision: Decision,
    password: Option<SecretString>,
) -> Vec<Action> {
    let keep_unlocked_seconds = state.options.keep_unlocked_seconds.filter(|_| password.is_some());
    state.deciding.push(request);
    moved_on(state);
    vec![Action::Decide { request, decision, password, keep_unlocked_seconds }]
}

/// A decision has had its answer.
pub(super) fn over(state: &mut State, request: RequestKey) {
    state.deciding.retain(|key| *key != request);
    let about = state.dialog.as_ref().filter(|dialog| dialog.busy()).and_then(Dialog::request);
    if about.is_some_and(|about| key_of(about) == request) {
        state.dialog = None;
    }
}

/// The vault was locked after all, or the password was wrong.
pub(super) fn need_password(
    state: &mut State,
    key: RequestKey,
    decision: Decision,
    wrong: bool,
) -> Vec<Action> {
    over(state, key);
    let waits = state.known.requests.iter().find(|request| key_of(request) == key).cloned();
    match waits {
        Some(request) if state.dialog.is_none() => {
            let (request, input) = (Box::new(request), Text::secret());
            state.dialog = Some(Dialog::Password { request, decision, input, wrong, busy: false });
        }
        Some(_) => say(state, "The vault is locked: nothing was released. The request keeps waiting."),
        None => say(state, "The request is over: nothing was released."),
    }
    super::reselect(state);
    Vec::new()
}

/// Several items match.
pub(super) fn choose(
    state: &mut State,
    key: RequestKey,
    decision: Decision,
    choices: Vec<ItemChoice>,
    password: Option<SecretString>,
) -> Vec<Action> {
    over(state, key);
    let waits = state.known.requests.iter().find(|request| key_of(request) == key).cloned();
    match waits {
        Some(request) if state.dialog.is_none() => {
            let request = Box::new(request);
            state.dialog =
                Some(Dialog::Items { request, decision, choices, password, cursor: 0, busy: false });
        }
        Some(_) => say(state, "Several items match: press Y again and choose one."),
        None => say(state, "The request is over: nothing was released."),
    }
    super::reselect(state);
    super::read_anew(state)
}
