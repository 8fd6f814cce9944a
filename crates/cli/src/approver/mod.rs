//! The approver: what waits for the owner, and the owner's answers.
//!
//! `event` names what can happen and what can be done, `known` is what the control plane said last, `call`
//! carries actions out (`devices` those about devices), `words` are the texts. Two fronts share them: `plain` asks one question at a time,
//! also over a pipe; `crate::tui` is the full screen.

pub(crate) mod call;
pub(crate) mod devices;
pub(crate) mod event;
pub(crate) mod known;
mod plain;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod words;

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use self::event::{Action, OnDevice};
use crate::control::Control;
use crate::exit::CommandResult;
use crate::terminal;
use crate::tui;

pub(crate) use words::{accepted, answered, away, fields, paired, request, scope, span, waiting};

/// How the approver is run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Keep the vault open for so many seconds after an approval.
    pub(crate) keep_unlocked_seconds: Option<u64>,
    /// Questions and answers line by line, also on a terminal.
    pub(crate) plain: bool,
    /// Draw with ASCII only, whatever the locale says.
    pub(crate) ascii: bool,
    /// Whether a new question rings the terminal's bell.
    pub(crate) bell: bool,
    /// Whether leaving stops the server too.
    pub(crate) owns_server: bool,
    /// What the full screen says first.
    pub(crate) first_said: Option<String>,
    /// On which device agents run whose codes are typed here, unless the owner says otherwise with the code.
    pub(crate) runs_on: Option<OnDevice>,
}

impl Options {
    /// What the owner said at the start, for a code that came without more.
    pub(crate) fn completed(&self, mut action: Action) -> Action {
        if let Action::EnterCode { runs_on, .. } = &mut action
            && runs_on.is_none()
        {
            runs_on.clone_from(&self.runs_on);
        }
        action
    }
}

impl Options {
    /// Whether it takes the whole terminal.
    pub(crate) fn full_screen(&self) -> bool {
        !self.plain && terminal::takes_full_screen()
    }
}

/// Shows what waits and asks, until the input ends, the owner quits or the approver stops.
pub(crate) async fn run(control: &Control, options: &Options) -> CommandResult {
    if options.full_screen() {
        return Box::pin(tui::run(control, options)).await;
    }
    plain::run(control, options).await
}

/// A spinner with elapsed time on stderr; none without a terminal.
pub(crate) fn spinner(terminal: bool, what: &str) -> ProgressBar {
    if !terminal {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} … {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
