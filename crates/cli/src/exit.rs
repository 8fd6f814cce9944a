//! Exit codes: a published contract, listed in `docs/cli.md`.

use std::fmt;
use std::process::ExitCode;

use crate::suggest;
use crate::terminal;

/// Why a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Something else.
    Other = 1,
    /// The approver or daemon cannot be reached.
    CannotConnect = 2,
    /// Pairing or session failed.
    SessionFailed = 3,
    /// Nothing found.
    NotFound = 4,
    /// Fingerprint or confirmation mismatch.
    Mismatch = 5,
    /// The owner said no.
    Denied = 6,
    /// Timed out or expired.
    TimedOut = 7,
    /// The vault is locked, or its password was wrong.
    VaultLocked = 8,
    /// Refused by policy or scope.
    Refused = 9,
    /// Rate limited.
    RateLimited = 10,
    /// Still pending (`--no-wait`).
    Pending = 11,
    /// Cancelled.
    Cancelled = 12,
    /// Wrong usage.
    Usage = 64,
    /// `run`: the command is there and cannot be run, as shells say it.
    CannotRun = 126,
    /// `run`: there is no such command.
    NoCommand = 127,
    /// Interrupted.
    Interrupted = 130,
}

impl Exit {
    /// 0.
    pub(crate) fn success() -> ExitCode {
        ExitCode::SUCCESS
    }
}

/// An error with an exit code, a stable code for `--json`, and a hint what to do.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) exit: Exit,
    /// Stable, snake_case.
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// What stands beside the code with `--json`: how long to wait, which request still waits.
    pub(crate) facts: Vec<(&'static str, serde_json::Value)>,
    /// Lines that show where in a file the mistake is.
    pub(crate) picture: Option<Box<str>>,
    /// Whether the command was asked for JSON: then the error goes to stdout as one object too.
    pub(crate) json: bool,
}

impl CliError {
    /// An error without a hint.
    pub(crate) fn new(exit: Exit, code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { exit, code, message, hint: None, facts: Vec::new(), picture: None, json: false }
    }

    /// A mistake in a file: what the TOML reader says in one line, and the lines it points at as lines.
    pub(crate) fn in_file(code: &str, text: &str) -> Self {
        let drawn =
            |line: &&str| line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').starts_with('|');
        let (picture, said): (Vec<&str>, Vec<&str>) = text.lines().partition(drawn);
        let error = Self::new(Exit::Usage, code, said.join(": "));
        if picture.is_empty() { error } else { error.picture(picture.join("\n")) }
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what a program may want to know.
    #[must_use]
    pub(crate) fn fact(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.facts.push((name, value.into()));
        self
    }

    /// Adds the place in a file, as lines that stay lines.
    #[must_use]
    pub(crate) fn picture(mut self, lines: impl Into<String>) -> Self {
        self.picture = Some(lines.into().into_boxed_str());
        self
    }

    /// Marks the command as one that answers in JSON.
    #[must_use]
    pub(crate) fn json(mut self, json: bool) -> Self {
        self.json = json;
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(other) => Self::new(Exit::Other, "error", format!("{other:#}")),
        }
    }
}

/// What a command returns: 0, the code of a child (`run`), or an error.
pub(crate) type CommandResult = Result<ExitCode, CliError>;

/// Prints the error, if any, and gives the process its exit code.
pub(crate) fn report(result: CommandResult) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            if error.json {
                print_json(&error.code, &error.message, &error.facts);
            }
            if error.exit == Exit::Pending {
                // What was asked for, with `--no-wait`: a status.
                terminal::note(&terminal::harmless(&error.message));
                error.hint.as_deref().into_iter().for_each(terminal::hint);
            } else {
                terminal::error(&error.message, error.picture.as_deref(), error.hint.as_deref());
            }
            ExitCode::from(error.exit as u8)
        }
    }
}

fn print_json(code: &str, message: &str, facts: &[(&'static str, serde_json::Value)]) {
    let mut told = serde_json::json!({ "code": code, "message": message });
    for (name, value) in facts {
        told[*name] = value.clone();
    }
    terminal::json(&serde_json::json!({ "success": false, "error": told }));
}

/// Help and version are no errors; everything else clap says is wrong usage, 64.
pub(crate) fn usage(mut error: clap::Error) -> ExitCode {
    let wrong = error.use_stderr();
    let instead = suggest::instead(&error);
    if instead.is_some() {
        // clap's guess goes by letters (`init`: `inject`?), ours by meaning.
        error.remove(clap::error::ContextKind::SuggestedSubcommand);
    }
    if wrong && asks_for_json(std::env::args_os()) {
        print_json("usage", &first_paragraph(&error.render().to_string()), &[]);
    }
    if error.print().is_err() {
        return ExitCode::from(Exit::Other as u8);
    }
    if let Some(hint) = suggest::hint(instead, &error) {
        terminal::note("");
        terminal::hint(&hint);
    }
    if wrong { ExitCode::from(Exit::Usage as u8) } else { ExitCode::SUCCESS }
}

/// Whether `--json` stands there, and not behind the `--` of `run`.
fn asks_for_json(arguments: impl Iterator<Item = std::ffi::OsString>) -> bool {
    arguments.take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

/// What clap says is wrong, on one line.
fn first_paragraph(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.trim_start_matches("error: ").split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_asked_for_before_the_command_of_run() {
        let asks = |line: &str| asks_for_json(line.split(' ').map(Into::into));
        assert!(asks("durward request --json"));
        assert!(!asks("durward run -- npm ls --json"));
        assert_eq!(
            first_paragraph("error: the following is missing:\n  <DOMAIN>\n\nUsage: durward"),
            "the following is missing: <DOMAIN>"
        );
    }

    #[test]
    fn the_picture_of_a_mistake_stays_lines() {
        let text = "a.toml: TOML parse error at line 12, column 1\n   |\n12 | lisen = 1\n   | ^^^^^\nunknown field `lisen`";
        let error = CliError::in_file("bad_config", text);
        assert_eq!(error.message, "a.toml: TOML parse error at line 12, column 1: unknown field `lisen`");
        assert_eq!(error.picture.as_deref(), Some("   |\n12 | lisen = 1\n   | ^^^^^"));
        assert_eq!(CliError::in_file("bad_config", "rule 2: no").picture, None);
    }
}
