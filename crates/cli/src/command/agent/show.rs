//! What a person sees while an agent waits: the number-code, who is waited for and for how long.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use durward_client::{Agent, NumberCode};
use indicatif::{ProgressBar, ProgressStyle};
use zeroize::Zeroizing;

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
    terminal::note(&format!("Type it at the approver ({}), where {name} is waiting.", agent.approver()));
    terminal::note("It works once, within five minutes. Give it to nobody else.");
}

/// "waiting … 12s" on a terminal, one line elsewhere.
pub(crate) struct Status(Option<ProgressBar>);

impl Status {
    pub(crate) fn start(what: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            terminal::note(&format!("{what} …"));
            return Self(None);
        }
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{msg} … {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Self(Some(bar))
    }

    /// Takes the line off the screen.
    pub(crate) fn end(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Asks a yes-or-no question on the terminal; no is the default.
pub(crate) async fn confirm(question: &str) -> bool {
    let _ = write!(anstream::stderr(), "{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    matches!(answer.await, Ok(Ok(line)) if matches!(line.trim(), "y" | "Y" | "yes"))
}

/// A secret on stdout: its bytes as they are for a pipe, harmless on a terminal.
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
