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
    /// Numbers beside the code, for `--json`.
    pub(crate) facts: Vec<(&'static str, u64)>,
    /// Whether the command was asked for JSON: then the error goes to stdout as one object too.
    pub(crate) json: bool,
}

impl CliError {
    /// An error without a hint.
    pub(crate) fn new(exit: Exit, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit, code: code.into(), message: message.into(), hint: None, facts: Vec::new(), json: false }
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a number for programs.
    #[must_use]
    pub(crate) fn fact(mut self, name: &'static str, value: u64) -> Self {
        self.facts.push((name, value));
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
                let mut body = serde_json::json!({
                    "success": false,
                    "error": { "code": error.code, "message": error.message },
                });
                for (name, value) in error.facts {
                    body["error"][name] = value.into();
                }
                terminal::out(&body.to_string());
            }
            terminal::error(&error.message, error.hint.as_deref());
            ExitCode::from(error.exit as u8)
        }
    }
}

/// Help and version are no errors; everything else clap says is wrong usage, 64.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let wrong = error.use_stderr();
    if error.print().is_err() {
        return ExitCode::from(Exit::Other as u8);
    }
    if let Some(command) = suggest::instead(error) {
        let cyan = anstyle::Style::new().fg_color(Some(anstyle::AnsiColor::Cyan.into()));
        terminal::note(&format!("\n{cyan} hint:{cyan:#} did you mean `{command}`?"));
    }
    if wrong { ExitCode::from(Exit::Usage as u8) } else { ExitCode::SUCCESS }
}
