//! What a person sees while an agent waits: the number-code, who is waited for and for how long.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use durward_client::{Agent, NumberCode};
use indicatif::{ProgressBar, ProgressStyle};
use zeroize::Zeroizing;

use super::connect::interrupted;
use crate::exit::CliError;
use crate::interrupt::Interrupt;
use crate::terminal;

/// The number-code in a box, on stderr. Without a terminal too: whoever starts an agent without one
/// reads its stderr, and the code is dead after one try or five minutes.
pub(crate) fn number_code(agent: &Agent, code: &NumberCode) {
    let shown = code.expose_text();
    let inner = Zeroizing::new(format!("     {}     ", shown.expose_secret()));
    let line = "─".repeat(inner.chars().count());
    terminal::note("");
    terminal::note(&format!("  ┌{line}┐"));
    terminal::note(&format!("  │{}│", *inner));
    terminal::note(&format!("  └{line}┘"));
    terminal::note("");
    let name = terminal::harmless(agent.profile().agent_name.as_str());
    terminal::sentence(&format!("Type it at the approver ({}), where {name} is waiting.", agent.approver()));
    terminal::sentence("It works once, within five minutes. Give it to nobody else.");
}

/// "waiting … 12s" on a terminal, one line elsewhere; then how it ended and after how long.
pub(crate) struct Status {
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Status {
    pub(crate) fn start(what: &str) -> Self {
        let started = Instant::now();
        if !std::io::stderr().is_terminal() {
            terminal::note(&format!("{what} …"));
            return Self { bar: None, started };
        }
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{msg} … {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar: Some(bar), started }
    }

    /// Takes the line off the screen.
    pub(crate) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    /// The same, and says what came of it: "approved after 3 s".
    pub(crate) fn end_with(self, outcome: &str) {
        let seconds = self.started.elapsed().as_secs();
        self.end();
        terminal::note(&format!("{outcome} after {seconds} s"));
    }
}

/// Asks a yes-or-no question on the terminal; no is the default. Ctrl-C ends the command.
pub(crate) async fn confirm(question: &str) -> Result<bool, CliError> {
    let mut interrupt = Interrupt::listen();
    let _ = write!(anstream::stderr(), "{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    tokio::select! {
        answer = answer => Ok(matches!(answer, Ok(Ok(line)) if matches!(line.trim(), "y" | "Y" | "yes"))),
        () = interrupt.typed() => {
            terminal::note("");
            Err(interrupted())
        }
    }
}

/// A line on stdout that another program reads: its bytes as they are for a pipe, harmless on a terminal.
pub(crate) fn raw_value(text: &str) {
    if std::io::stdout().is_terminal() {
        terminal::out(&terminal::harmless(text));
        return;
    }
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.write_all(b"\n"))
        .and_then(|()| stdout.flush());
}
