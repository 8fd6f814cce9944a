//! Plain prompts: one question at a time, on a terminal that takes no full screen or was told not to,
//! and over a pipe.
//!
//! `update` is the pure step from one state to the next with the actions to take, `view` the pure text of
//! a state. This module does the rest: it reads lines, has the actions carried out and prints.

mod input;
mod state;
mod update;
mod view;

use std::process::ExitCode;

use durward_protocol::SecretString;
use durward_server::control::api;

use super::event::{Action, Event};
use super::{Options, call, spinner, words};
use crate::control::{Control, Events};
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal;

use input::Lines;
use state::State;

/// Shows what waits and asks, until the input ends, the owner quits or the approver stops.
pub(super) async fn run(control: &Control, options: &Options) -> CommandResult {
    // Before this approver counts as connected.
    if let Ok(status) = control.get::<api::Status>("/status").await
        && let Some(missed) = status.away.as_ref().and_then(words::missed)
    {
        terminal::note(&missed);
    }
    let mut events = control.events().await?;
    let mut lines = Lines::start();
    let mut state = State::new(options.keep_unlocked_seconds);
    let mut queue = vec![Event::Resync];
    // Over a pipe the answers may be there before the questions: a line waits for its question.
    let mut early: Option<SecretString> = None;
    let mut ended = false;
    loop {
        for event in std::mem::take(&mut queue) {
            for action in update::update(&mut state, event) {
                if matches!(action, Action::Quit) {
                    return Ok(ExitCode::SUCCESS);
                }
                queue.extend(act(control, &lines, options.completed(action)).await);
            }
        }
        if !queue.is_empty() {
            continue;
        }
        lines.hide(state.wants_secret());
        if let Some(text) = view::prompt(&mut state) {
            lines.forget_typed_ahead();
            if lines.is_terminal() { terminal::ask(&text) } else { terminal::out(text.trim_end()) }
        }
        if let Some(line) = early.take_if(|line| state.takes(line)) {
            queue.push(Event::Line(line));
            continue;
        }
        if ended && early.is_none() {
            queue.push(Event::InputEnded);
            continue;
        }
        match next(&mut events, &mut lines, early.is_none() && !ended).await? {
            Event::Line(line) if !lines.is_terminal() => early = Some(line),
            Event::InputEnded => ended = true,
            event => queue.push(event),
        }
    }
}

async fn next(events: &mut Events, lines: &mut Lines, read_lines: bool) -> Result<Event, CliError> {
    tokio::select! {
        event = events.next() => Ok(call::heard(event)),
        line = lines.next(), if read_lines => Ok(line.map_or(Event::InputEnded, Event::Line)),
        _ = tokio::signal::ctrl_c() => {
            lines.hide(false);
            Err(CliError::new(Exit::Interrupted, "interrupted", "stopped; requests keep waiting"))
        }
    }
}

/// Does one thing, with a spinner where it takes long, and says what came of it.
async fn act(control: &Control, lines: &Lines, action: Action) -> Option<Event> {
    let opens_the_vault = matches!(&action, Action::Decide { password: Some(_), .. });
    let spinner = opens_the_vault.then(|| spinner(lines.is_terminal(), "Opening the vault"));
    let event = match action {
        Action::Show(text) => {
            terminal::out(&text);
            None
        }
        action => call::perform(control, action).await,
    };
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    event
}
