//! Questions to a person, each with a twin for scripts.
//!
//! Without a terminal and without the twin a question fails at once and names the twin. A secret is typed
//! hidden, or comes from stdin, a file or an environment variable; never from the command line, where every
//! program on the machine can read it.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use durward_protocol::SecretString;
use indicatif::{ProgressBar, ProgressStyle};
use zeroize::Zeroizing;

use crate::exit::{CliError, Exit};
use crate::terminal;

/// Longest secret that is read from stdin, a file or a variable, in bytes: the longest text of an item.
const MAX_SECRET_BYTES: u64 = 256 * 1024;

/// How often a person may try a password.
pub(crate) const ATTEMPTS: usize = 3;

/// Where a script gives a password instead of typing it.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = false)]
pub(crate) struct PasswordArgs {
    /// Read the password from stdin: its first line.
    #[arg(id = "password_stdin", long = "password-stdin")]
    pub(crate) stdin: bool,
    /// Read the password from a file.
    #[arg(id = "password_file", long = "password-file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Read the password from an environment variable.
    #[arg(id = "password_env", long = "password-env", value_name = "VAR")]
    pub(crate) env: Option<String>,
}

impl PasswordArgs {
    /// Whether the owner said where a password is.
    pub(crate) fn is_given(&self) -> bool {
        self.stdin || self.file.is_some() || self.env.is_some()
    }
}

/// The same for a second, new password; from stdin it is the line after the first password.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = false)]
pub(crate) struct NewPasswordArgs {
    /// Read the new password from stdin: the line after the other password, if that comes from there too.
    #[arg(id = "new_password_stdin", long = "new-password-stdin")]
    stdin: bool,
    /// Read the new password from a file.
    #[arg(id = "new_password_file", long = "new-password-file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read the new password from an environment variable.
    #[arg(id = "new_password_env", long = "new-password-env", value_name = "VAR")]
    env: Option<String>,
}

impl PasswordArgs {
    /// The script's password, if there is one.
    pub(crate) fn given(&self) -> Result<Option<SecretString>, CliError> {
        given(self.stdin, self.file.as_deref(), self.env.as_deref())
    }
}

impl NewPasswordArgs {
    /// Whether a script gives one.
    pub(crate) fn is_given(&self) -> bool {
        self.stdin || self.file.is_some() || self.env.is_some()
    }

    /// The script's new password, if there is one.
    pub(crate) fn given(&self) -> Result<Option<SecretString>, CliError> {
        given(self.stdin, self.file.as_deref(), self.env.as_deref())
    }
}

/// A password: the script's, else typed hidden.
pub(crate) fn password(question: &str, twin: &PasswordArgs) -> Result<SecretString, CliError> {
    match twin.given()? {
        Some(password) => Ok(password),
        None => typed_password(question),
    }
}

/// A password typed hidden; fails at once when nobody can type.
pub(crate) fn typed_password(question: &str) -> Result<SecretString, CliError> {
    need_terminal("a password", "--password-stdin, --password-file FILE or --password-env VAR")?;
    hidden(question)
}

/// A new password: the script's, else typed hidden, twice.
pub(crate) fn new_password(
    question: &str,
    given: Option<SecretString>,
    twins: &str,
) -> Result<SecretString, CliError> {
    if let Some(password) = given {
        return not_empty(password);
    }
    need_terminal("a new password", twins)?;
    for _ in 0..ATTEMPTS {
        let first = not_empty(hidden(question)?)?;
        if first == hidden("The same again: ")? {
            return Ok(first);
        }
        terminal::note("The two are not the same.");
    }
    Err(CliError::new(Exit::Usage, "passwords_differ", "the two passwords were never the same"))
}

/// A yes-or-no question; no is the default. `yes` is the answer of a script's `--yes`.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<bool, CliError> {
    if yes {
        return Ok(true);
    }
    need_terminal("a confirmation", "--yes")?;
    let answer = line(&format!("{question} [y/N] "))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// A line, shown while it is typed. Only after [`terminal::interactive`].
pub(crate) fn line(question: &str) -> Result<String, CliError> {
    let mut stderr = anstream::stderr();
    let _ = write!(stderr, "{question}");
    let _ = stderr.flush();
    let mut text = String::new();
    match std::io::stdin().lock().take(MAX_SECRET_BYTES).read_line(&mut text) {
        Ok(0) => Err(cancelled()),
        Ok(_) => Ok(without_line_end(&text).to_owned()),
        Err(error) => Err(unreadable("the terminal", &error)),
    }
}

/// A line typed on the process's terminal without showing it.
pub(crate) fn hidden(question: &str) -> Result<SecretString, CliError> {
    // The library raises SIGINT for Ctrl-C before it gives the terminal its echo back: held off until then.
    let held = Interrupts::hold();
    match rpassword::prompt_password(question) {
        Ok(text) => {
            held.release();
            Ok(SecretString::new(text))
        }
        Err(error) => Err(match error.kind() {
            std::io::ErrorKind::Interrupted => CliError::new(Exit::Interrupted, "interrupted", "interrupted"),
            std::io::ErrorKind::UnexpectedEof => cancelled(),
            _ => unreadable("the terminal", &error),
        }),
    }
}

/// Fails at once when nobody can be asked, and names what a script says instead.
pub(crate) fn need_terminal(what: &str, twins: &str) -> Result<(), CliError> {
    if terminal::interactive() {
        return Ok(());
    }
    let text = format!("{what} is needed and there is no terminal to ask on");
    Err(CliError::new(Exit::Usage, "no_terminal", text).hint(format!("give it with {twins}")))
}

/// One line of stdin; several calls take several lines.
pub(crate) fn stdin_line(what: &str) -> Result<SecretString, CliError> {
    let mut text = Zeroizing::new(String::new());
    match std::io::stdin().lock().take(MAX_SECRET_BYTES).read_line(&mut text) {
        Ok(0) => {
            let text = format!("stdin ended before {what}");
            Err(CliError::new(Exit::Usage, "stdin_ended", text))
        }
        Ok(_) => Ok(SecretString::new(without_line_end(&text).to_owned())),
        Err(error) => Err(unreadable("stdin", &error)),
    }
}

/// The content of a file; only the line end at its end is cut.
pub(crate) fn secret_file(path: &Path) -> Result<SecretString, CliError> {
    let failed = |error: &std::io::Error| unreadable(&path.display().to_string(), error);
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    if read as u64 > MAX_SECRET_BYTES {
        let text = format!("{} is too long for a secret (256 KiB)", path.display());
        return Err(CliError::new(Exit::Usage, "secret_too_long", text));
    }
    Ok(SecretString::new(without_line_end(&text).to_owned()))
}

/// The value of an environment variable.
pub(crate) fn secret_env(name: &str) -> Result<SecretString, CliError> {
    std::env::var(name).map(SecretString::new).map_err(|_| {
        let text = format!("the environment variable {name} is not set, or is no text");
        CliError::new(Exit::Usage, "no_such_variable", text)
    })
}

/// Does slow work; on a terminal with a spinner and the time that passed.
pub(crate) fn spinning<T>(what: &str, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} … {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    let done = work();
    bar.finish_and_clear();
    done
}

fn given(stdin: bool, file: Option<&Path>, variable: Option<&str>) -> Result<Option<SecretString>, CliError> {
    match (stdin, file, variable) {
        (true, ..) => stdin_line("the password").map(Some),
        (_, Some(path), _) => secret_file(path).map(Some),
        (_, _, Some(name)) => secret_env(name).map(Some),
        _ => Ok(None),
    }
}

fn not_empty(password: SecretString) -> Result<SecretString, CliError> {
    if password.is_empty() {
        return Err(CliError::new(Exit::Usage, "empty_password", "the new password is empty: choose one"));
    }
    Ok(password)
}

/// Ctrl-D, or an input that ended.
pub(crate) fn cancelled() -> CliError {
    CliError::new(Exit::Cancelled, "cancelled", "cancelled: nothing was answered")
}

fn unreadable(what: &str, error: &std::io::Error) -> CliError {
    CliError::new(Exit::Usage, "unreadable", format!("cannot read {what}: {error}"))
}

/// Cuts the line end and nothing else: a password may end in blanks.
fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// SIGINT held off in this thread.
struct Interrupts {
    #[cfg(unix)]
    was_held: bool,
}

impl Interrupts {
    #[cfg(unix)]
    fn hold() -> Self {
        use nix::sys::signal::{SigSet, Signal};
        let was_held = SigSet::thread_get_mask().is_ok_and(|mask| mask.contains(Signal::SIGINT));
        let _ = interrupt_only().thread_block();
        Self { was_held }
    }

    #[cfg(not(unix))]
    fn hold() -> Self {
        Self {}
    }

    fn release(self) {
        #[cfg(unix)]
        if !self.was_held {
            let _ = interrupt_only().thread_unblock();
        }
    }
}

#[cfg(unix)]
fn interrupt_only() -> nix::sys::signal::SigSet {
    let mut set = nix::sys::signal::SigSet::empty();
    set.add(nix::sys::signal::Signal::SIGINT);
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_end_is_cut() {
        for (text, kept) in [(" a b \n", " a b "), ("a\r\n", "a"), ("a\n\n", "a\n"), ("", ""), ("\t", "\t")] {
            assert_eq!(without_line_end(text), kept);
        }
    }
}
