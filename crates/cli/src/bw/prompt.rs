//! Questions on the terminal, written to standard error.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use durward_bitwarden::{Error, Result};
use secrecy::SecretString;

use crate::quiet;

/// As shells say it of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Asks for a line. Without a terminal the line is read from standard input as it comes.
pub(crate) fn line(question: &str) -> Result<String> {
    quiet::in_sight(|| {
        ask(question, "");
        read_line()
    })
}

/// Asks for a secret; what is typed is not shown, until a question in sight or the end.
pub(crate) fn secret(question: &str) -> Result<SecretString> {
    if std::io::stdin().is_terminal() {
        ask(question, "[input is hidden] ");
        return match quiet::read(rpassword::read_password) {
            Ok(typed) => Ok(SecretString::from(typed)),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                quiet::end();
                std::process::exit(INTERRUPTED)
            }
            Err(error) => Err(failed(&error)),
        };
    }
    ask(question, "");
    read_line().map(SecretString::from)
}

/// Asks yes or no; anything but yes is no.
pub(crate) fn confirm(question: &str) -> Result<bool> {
    let answer = line(&format!("{question} (y/N)"))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Asks for one of several; `None` for the last entry, Cancel.
pub(crate) fn choose(question: &str, choices: &[&str]) -> Result<Option<usize>> {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "? {question}");
    for (i, choice) in choices.iter().enumerate() {
        let _ = writeln!(stderr, "  {}) {choice}", i + 1);
    }
    let _ = writeln!(stderr, "  {}) Cancel", choices.len() + 1);
    drop(stderr);
    loop {
        let answer = line(&format!("Answer (1-{}):", choices.len() + 1))?;
        match answer.trim().parse::<usize>() {
            Ok(n) if (1..=choices.len()).contains(&n) => return Ok(Some(n - 1)),
            Ok(n) if n == choices.len() + 1 => return Ok(None),
            _ if answer.is_empty() && !std::io::stdin().is_terminal() => return Ok(None),
            _ => {}
        }
    }
}

fn ask(question: &str, hint: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "? {question} {hint}");
    let _ = stderr.flush();
}

fn read_line() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|e| failed(&e))?;
    if !std::io::stdin().is_terminal() {
        let _ = writeln!(std::io::stderr().lock());
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

fn failed(error: &std::io::Error) -> Error {
    Error::Configuration(format!("Nothing could be read from the terminal: {error}"))
}
