//! Where the master password comes from: argument, file, variable, prompt, in this order.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use durward_bitwarden::Result;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::output::note;
use crate::prompt;

/// Longer first lines are no password.
const LIMIT: u64 = 1 << 16;

/// A password, or what to answer instead.
pub(crate) enum Source {
    /// A password that is not empty.
    Given(SecretString),
    /// No password; `Some` when that has a reason of its own.
    Missing(Option<String>),
}

/// Looks for the password; asks only when it may and nothing else was named.
pub(crate) fn find(context: &Context, arg: Option<&str>) -> Result<Source> {
    let source = named(context, arg);
    if !matches!(source, Source::Missing(None)) || context.no_interaction {
        return Ok(source);
    }
    let typed = prompt::secret("Master password:")?;
    Ok(if typed.expose_secret().is_empty() { Source::Missing(None) } else { Source::Given(typed) })
}

/// Looks at argument, file and variable only.
pub(crate) fn named(context: &Context, arg: Option<&str>) -> Source {
    if let Some(password) = arg.filter(|p| !p.is_empty()) {
        return Source::Given(SecretString::from(password));
    }
    if let Some(path) = context.invocation.value("passwordfile").filter(|p| !p.is_empty()) {
        return match first_line(Path::new(path)) {
            Some(password) if password.is_empty() => Source::Missing(None),
            Some(password) => Source::Given(SecretString::from(password.as_str())),
            None => Source::Missing(Some(format!("Password file not found or not readable: {path}"))),
        };
    }
    if let Some(name) = context.invocation.value("passwordenv").filter(|n| !n.is_empty()) {
        match std::env::var(name).map(Zeroizing::new) {
            Ok(password) if !password.is_empty() => {
                return Source::Given(SecretString::from(password.as_str()));
            }
            _ => note(&format!("Warning: Provided passwordenv {name} is not set")),
        }
    }
    Source::Missing(None)
}

/// The first line without its end; nothing else is cut.
fn first_line(path: &Path) -> Option<Zeroizing<String>> {
    let file = File::open(path).ok()?;
    warn_when_shared(path, &file);
    let mut line = Zeroizing::new(String::new());
    BufReader::new(file.take(LIMIT)).read_line(&mut line).ok()?;
    let kept = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(kept);
    Some(line)
}

#[cfg(unix)]
fn warn_when_shared(path: &Path, file: &File) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata().map_or(0, |m| m.permissions().mode());
    if mode & 0o077 != 0 {
        note(&format!(
            "Warning: {} can be read by others (mode {:03o}). Run: chmod 600 '{}'",
            path.display(),
            mode & 0o777,
            path.display()
        ));
    }
}

#[cfg(not(unix))]
fn warn_when_shared(_: &Path, _: &File) {}
