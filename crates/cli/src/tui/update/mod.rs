//! From one state to the next: pure, so that a recorded list of events replays.

mod answer;
mod devices;
mod dialogs;
mod keys;

use durward_broker::approval::{Notice, PausedWhy, Suggestion};
use durward_protocol::Verdict;
use time::Duration;

use super::event::{Input, Key};
use super::state::{Dialog, State, Waiting};
use crate::approver::event::{Action, Event, key_of};
use crate::approver::known::Known;
use crate::approver::words;
use crate::terminal::harmless;

/// At most one ring in so long, however many agents ask.
const BETWEEN_RINGS: Duration = Duration::seconds(2);

/// How long what was said stays when a new question comes. With nothing new it stays until a key.
const SAID_FOR: Duration = Duration::seconds(2);

/// Takes one event; returns what to do, in order.
pub(super) fn update(state: &mut State, event: Event) -> Vec<Action> {
    let actions = step(state, event);
    state.note_shown();
    actions
}

fn step(state: &mut State, event: Event) -> Vec<Action> {
    match event {
        Event::Clock(now) => {
            state.now = now;
            Vec::new()
        }
        Event::Input(Input::Paste(text)) => {
            state.message = None;
            dialogs::paste(state, &text);
            Vec::new()
        }
        Event::Input(Input::Key(key)) => key_touched(state, key),
        Event::InputEnded => {
            state.farewell = Some("The terminal is gone; requests keep waiting.");
            vec![Action::Quit]
        }
        Event::Gone => {
            state.farewell = Some("The approver has stopped.");
            vec![Action::Quit]
        }
        Event::Notice(notice) => noticed(state, &notice),
        Event::Resync => read_anew(state),
        Event::Lists(known) => lists(state, *known),
        Event::NoLists(message) => {
            state.refreshing = false;
            say(state, format!("The lists could not be read: {}", harmless(&message)));
            Vec::new()
        }
        Event::Audit(records) => {
            state.audit.reading = false;
            let behind = state.audit.take(records);
            if behind || std::mem::take(&mut state.audit.stale) { read_audit(state) } else { Vec::new() }
        }
        Event::NoAudit(message) => {
            state.audit.reading = false;
            say(state, format!("The log could not be read: {}", harmless(&message)));
            Vec::new()
        }
        Event::Away(away) => {
            state.away = words::missed(&away);
            Vec::new()
        }
        Event::Suggestions(list) => {
            offered(state, list);
            Vec::new()
        }
        Event::Paired(session) => {
            state.checking = None;
            state.dialog = Some(Dialog::Paired(session));
            read_anew(state)
        }
        Event::Decided { request, decided } => {
            answer::over(state, request);
            say(state, words::decided(&decided));
            let mut actions = read_anew(state);
            actions.extend((decided.verdict == Verdict::Approved).then_some(Action::Suggest));
            actions
        }
        Event::NeedPassword { request, decision, wrong } => {
            answer::need_password(state, request, decision, wrong)
        }
        Event::Choose { request, decision, choices, password } => {
            answer::choose(state, request, decision, choices, password)
        }
        Event::Undecided { request, message } => {
            answer::over(state, request);
            say(state, format!("Not done: {}", harmless(&message)));
            read_anew(state)
        }
        Event::Unlocked { wrong } => {
            dialogs::unlocked(state, wrong);
            read_anew(state)
        }
        Event::Device(event) => devices::happened(state, event),
        Event::Done(said) => {
            say(state, said);
            read_anew(state)
        }
        Event::Failed(message) => {
            state.checking = None;
            if state.dialog.as_ref().is_some_and(Dialog::busy) {
                state.dialog = None;
            }
            say(state, format!("Not done: {}", harmless(&message)));
            read_anew(state)
        }
        // The next picture has the new size; the rest is of the plain prompts only.
        Event::Input(Input::Resized) | Event::Line(_) | Event::Sessions(_) | Event::Grants(_) => Vec::new(),
    }
}

fn key_touched(state: &mut State, key: Key) -> Vec<Action> {
    state.message = None;
    state.away = None;
    state.wants_offer = false;
    match key {
        Key::Ctrl('c') => {
            state.interrupted = true;
            vec![Action::Quit]
        }
        Key::Ctrl('z') => vec![Action::Suspend],
        _ if state.dialog.is_some() => dialogs::key(state, key),
        _ => keys::key(state, key),
    }
}

pub(super) fn say(state: &mut State, text: impl Into<String>) {
    state.message = Some(text.into());
    state.said_at = state.now;
}

/// Rules that would spare questions: said once, and open on a key as long as they are offered.
fn offered(state: &mut State, list: Vec<Suggestion>) {
    if std::mem::take(&mut state.wants_offer) {
        match list.first() {
            Some(_) if state.dialog.is_some() => {}
            Some(suggestion) => {
                state.offered.insert(suggestion.id.clone());
                state.dialog = Some(Dialog::Rule(Box::new(suggestion.clone())));
            }
            None => say(state, "No rule is offered. One is after the same approval several times in a row."),
        }
        return;
    }
    for suggestion in list {
        if state.offered.insert(suggestion.id.clone()) {
            say(state, format!("{} O offers a rule.", words::in_a_row(&suggestion)));
        }
    }
}

/// Reads lists and log anew; while a reading is under way, one more follows it.
fn read_anew(state: &mut State) -> Vec<Action> {
    let mut actions = read_audit(state);
    if state.refreshing {
        state.stale = true;
    } else {
        state.refreshing = true;
        actions.push(Action::Refresh);
    }
    actions
}

fn read_audit(state: &mut State) -> Vec<Action> {
    if state.audit.reading {
        state.audit.stale = true;
        return Vec::new();
    }
    state.audit.reading = true;
    vec![Action::ReadAudit { after: state.audit.newest() }]
}

fn noticed(state: &mut State, notice: &Notice) -> Vec<Action> {
    match notice {
        Notice::AgentSwitched { agent_id, paused: Some(paused) } if paused.why == PausedWhy::Denied => {
            say(
                state,
                format!("{agent_id} was denied three times in a row and is paused (Sessions, P resumes it)."),
            );
        }
        // What the owner did here says so by itself.
        Notice::GrantCreated { .. } | Notice::VaultSwitched { .. } => {}
        notice => {
            if let Some(text) = words::notice(notice) {
                say(state, text);
            }
        }
    }
    read_anew(state)
}

fn lists(state: &mut State, known: Known) -> Vec<Action> {
    let before = std::mem::replace(&mut state.known, known);
    let first = !std::mem::replace(&mut state.loaded, true);
    state.refreshing = false;
    let requests = &state.known.requests;
    state.deciding.retain(|key| requests.iter().any(|request| key_of(request) == *key));
    state.sessions_at = state.sessions_at.min(state.session_rows().len().saturating_sub(1));
    state.grants_at = state.grants_at.min(state.known.grants.len().saturating_sub(1));
    state.note_devices();
    let mut actions = Vec::new();
    if !first {
        actions.extend(announce(state, &before));
    }
    actions.extend(devices::announce(state, &before));
    take_back_what_is_over(state);
    reselect(state);
    if std::mem::take(&mut state.stale) {
        actions.extend(read_anew(state));
    }
    actions
}

/// Says what is new, and rings for it.
fn announce(state: &mut State, before: &Known) -> Option<Action> {
    let new = state.queue().into_iter().rev().find(|waiting| match waiting {
        Waiting::Pairing(new) => !before.pairings.iter().any(|old| old.pairing_id == new.pairing_id),
        Waiting::Request(new) => !before.requests.iter().any(|old| key_of(old) == key_of(new)),
    })?;
    let text = match new {
        Waiting::Pairing(pairing) => format!("{} wants to pair.", harmless(pairing.agent_name.as_str())),
        Waiting::Request(request) => {
            format!("{} asks for {}.", harmless(request.agent_name.as_str()), request.domain)
        }
    };
    // What was said long ago is not about this one.
    if state.now - state.said_at > SAID_FOR {
        state.message = None;
    }
    if state.queue().len() > 1 && state.message.is_none() {
        say(state, text);
    }
    ring(state)
}

/// Rings, where the owner wants it and it has not just rung.
fn ring(state: &mut State) -> Option<Action> {
    let quiet = state.rang_at.is_some_and(|rang| state.now - rang < BETWEEN_RINGS);
    if !state.options.bell || quiet {
        return None;
    }
    state.rang_at = Some(state.now);
    Some(Action::Bell)
}

/// A box about something that is over says so, and takes the keys that were meant for it.
fn take_back_what_is_over(state: &mut State) {
    let Some(dialog) = &state.dialog else { return };
    if dialog.busy() {
        return; // the answer will tell
    }
    let gone = match dialog {
        Dialog::Scope { pairing, .. } => {
            !state.known.waiting_pairings().any(|p| p.pairing_id == pairing.pairing_id)
        }
        dialog => dialog.request().is_some_and(|request| {
            !state.known.requests.iter().any(|waiting| key_of(waiting) == key_of(request))
        }),
    };
    if gone {
        state.dialog = Some(Dialog::Over(
            "What you were answering is over: it expired, or was given up or decided elsewhere.".into(),
        ));
    }
}

/// Keeps the selected question where it is; when it is over, the next takes its place.
fn reselect(state: &mut State) {
    let queue = state.queue();
    let subject = state.draft.subject();
    if let Some(place) = queue.iter().position(|waiting| Some(waiting.subject()) == subject) {
        state.place = place;
        return;
    }
    if state.draft.begun() && state.checking.is_none() && state.dialog.is_none() {
        state.dialog = Some(Dialog::Over("This pairing is over: it expired, or was given up.".into()));
    }
    state.select(state.place);
    state.on_list &= state.queue().len() > 1;
}

/// Selects anew after something left the queue here.
pub(super) fn moved_on(state: &mut State) {
    reselect(state);
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
