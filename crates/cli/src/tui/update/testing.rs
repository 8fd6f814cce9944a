//! A person's hands, for the tests of this folder.

use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::super::event::{Input, Key};
use super::super::state::State;
use super::update;
use crate::approver::event::{Action, Event};

/// When the tests begin.
pub(super) const START: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

/// A second passes.
pub(super) fn later(state: &mut State) {
    let now = state.now + Duration::SECOND;
    update(state, Event::Clock(now));
}

/// Presses keys, by their names.
pub(super) fn press(state: &mut State, names: &[&str]) -> Vec<Action> {
    let mut actions = Vec::new();
    for name in names {
        let key = Key::named(name).unwrap();
        actions.extend(update(state, Event::Input(Input::Key(key))));
    }
    actions
}

/// Types a text as it stands.
pub(super) fn type_text(state: &mut State, text: &str) -> Vec<Action> {
    text.chars().flat_map(|c| update(state, Event::Input(Input::Key(Key::Char(c))))).collect()
}
