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

use durward_server::control::api;
use tokio::signal::unix::SignalKind;

use super::event::{Action, Event};
use super::{Options, call, spinner, words};
use crate::control::{Control, Events};
use crate::exit::{CliError, CommandResult, Exit};
use crate::interrupt::Interrupt;
use crate::{quiet, terminal};

use input::Lines;
use state::{Asked, State};

/// Shows what waits and asks, until the input ends, the owner quits or the approver stops.
pub(super) async fn run(control: &Control, options: &Options) -> CommandResult {
    // Before this approver counts as connected.
    if let Ok(status) = control.get::<api::Status>("/status").await
        && let Some(missed) = status.away.as_ref().and_then(words::missed)
    {
        terminal::note(&missed);
    }
    let mut events = control.events().await?;
    let mut interrupt = Interrupt::listen();
    leave_signals(options);
    let mut lines = Lines::start()?;
    let mut state = State::new(options.keep_unlocked_seconds);
    let mut queue = vec![Event::Resync];
    // The question on the screen, as long as no line was taken for it.
    let mut open: Option<Asked> = None;
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
            // A line that was there before its question does not answer it. The same question once more leaves what
            // came after it the first time.
            if open != state.asked {
                let forgotten = lines.forget_early(|line| state.keeps(line))?;
                if forgotten > 0 && !lines.is_terminal() {
                    terminal::note("A line that came before its question was not taken.");
                }
                open.clone_from(&state.asked);
            }
            if lines.is_terminal() { terminal::ask(&text) } else { terminal::out(text.trim_end()) }
        }
        let event = next(&mut events, &mut lines, &mut interrupt).await?;
        if matches!(event, Event::Line(_)) {
            open = None;
        }
        queue.push(event);
    }
}

/// What is listened for here, and by a server in this process: a hangup has it read the policy.
fn leave_signals(options: &Options) {
    quiet::leave(SignalKind::interrupt());
    quiet::leave(SignalKind::terminate());
    if options.owns_server {
        quiet::leave(SignalKind::hangup());
    }
}

async fn next(events: &mut Events, lines: &mut Lines, interrupt: &mut Interrupt) -> Result<Event, CliError> {
    tokio::select! {
        event = events.next() => Ok(call::heard(event)),
        line = lines.next() => Ok(line.map_or(Event::InputEnded, Event::Line)),
        () = interrupt.typed() => {
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
