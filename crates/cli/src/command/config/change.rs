//! `durward config set` and `unset`.

use std::path::Path;

use serde_json::{Value, json};

use super::edit;
use crate::command::owner::{OutputArgs, print};
use crate::config::FileConfig;
use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;
use crate::terminal::harmless;

/// Words in the names of what has no place in a file of settings.
const SECRET: [&str; 8] =
    ["password", "passphrase", "secret", "token", "database", "api_key", "pairing_code", "vault_key"];

/// Sets a key.
pub(super) fn set(output: OutputArgs, paths: &Paths, key: &str, typed: &str) -> CommandResult {
    known(key)?;
    refuse_secret(typed)?;
    let path = paths.config_file();
    let before = read(&path)?;
    let after = with(&path, &before, key, typed)?;
    let changed = after != before;
    if changed {
        write(&path, &after)?;
    }
    let value = edit::get(&after, key).unwrap_or(typed).to_owned();
    let result = json!({ "key": key, "value": parsed(&value), "path": path, "changed": changed });
    print(output, &result, |_| {
        let value = harmless(&value);
        if !changed {
            return format!("{key} is {value} in {} already.", path.display());
        }
        format!("{key} = {value}, written to {}.{}", path.display(), when(key))
    })
}

/// Takes a key out: its default holds again.
pub(super) fn unset(output: OutputArgs, paths: &Paths, key: &str) -> CommandResult {
    let path = paths.config_file();
    let before = read(&path)?;
    let after = edit::unset(&before, key);
    if after.is_none() {
        known(key)?; // one that is in the file may go, whatever it is
    }
    if let Some(after) = &after {
        check(after).map_err(|message| bad(&path, &message))?;
        write(&path, after)?;
    }
    let changed = after.is_some();
    let result = json!({ "key": key, "path": path, "changed": changed });
    print(output, &result, |_| {
        if changed {
            format!("{key} is out of {}: its default holds.{}", path.display(), when(key))
        } else {
            format!("{key} is not in {}: its default holds already.", path.display())
        }
    })
}

/// The file with the key set to what was typed: as TOML where that fits the key, else as text.
fn with(path: &Path, before: &str, key: &str, typed: &str) -> Result<String, CliError> {
    let literal = typed.trim().parse::<toml_edit::Value>().ok();
    let mut problem = None;
    for value in literal.into_iter().chain([toml_edit::Value::from(typed)]) {
        let Some(after) = edit::set(before, key, &value) else {
            return Err(bad(path, &format!("{key} cannot be set: it or its table is something else there")));
        };
        match check(&after) {
            Ok(()) => return Ok(after),
            // The first says more: `400000000000` is a number that is too large rather than a text.
            Err(message) => problem = problem.or(Some(message)),
        }
    }
    let message = format!("{key} cannot be {}: {}", harmless(typed), problem.unwrap_or_default());
    let error = CliError::new(Exit::Usage, "bad_config", message);
    Err(error.hint(
        "nothing was written; a list is written '[\"a\", \"b\"]', and docs/operations.md lists the keys",
    ))
}

/// Read as the approver reads it.
fn check(text: &str) -> Result<(), String> {
    let config = FileConfig::parse_briefly(text)?;
    crate::settings::check(&config).map_err(|error| error.message)
}

fn read(path: &Path) -> Result<String, CliError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(bad(path, &error.to_string())),
    };
    match text.parse::<toml_edit::DocumentMut>() {
        Ok(_) => Ok(text),
        Err(error) => {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Err(bad(path, &format!("line {line}: {}", error.message().replace('\n', " "))))
        }
    }
}

/// Whole or not at all, where the file really lies, with the permissions it had.
fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |error: std::io::Error| {
        CliError::new(Exit::Other, "not_written", format!("cannot write {}: {error}", path.display()))
    };
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(folder) = path.parent() {
        durward_files::create_private_dir(folder).map_err(failed)?;
    }
    let permissions = std::fs::metadata(path).map(|metadata| metadata.permissions()).ok();
    durward_files::write_private(path, text.as_bytes()).map_err(failed)?;
    match permissions {
        Some(permissions) => std::fs::set_permissions(path, permissions).map_err(failed),
        None => Ok(()),
    }
}

fn bad(path: &Path, message: &str) -> CliError {
    CliError::new(Exit::Usage, "bad_config", format!("{}: {message}", path.display()))
        .hint("nothing was written; docs/operations.md lists the keys")
}

/// When a change counts.
fn when(key: &str) -> &'static str {
    match key {
        "mode" => "",
        _ => " An approver that runs reads it at its next start.",
    }
}

fn parsed(value: &str) -> Value {
    let wrapped = toml::from_str::<Value>(&format!("value = {value}"));
    wrapped.ok().and_then(|mut wrapped| wrapped.get_mut("value").map(Value::take)).unwrap_or_default()
}

/// Whether there is such a key; if not, which one is near, and what is no setting at all.
fn known(key: &str) -> Result<(), CliError> {
    let keys = keys();
    if keys.iter().any(|known| known == key) {
        return Ok(());
    }
    if SECRET.iter().any(|word| key.to_ascii_lowercase().contains(word)) {
        let text = format!("{} is no setting: config.toml holds no secrets", harmless(key));
        return Err(CliError::new(Exit::Usage, "secret_refused", text).hint(
            "a database's URL comes from DURWARD_DATABASE_URL, passwords from a prompt or the --password-… options",
        ));
    }
    let text = format!("there is no setting {}", harmless(key));
    let hint = match near(&keys, key) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`durward config show` lists them".into(),
    };
    Err(CliError::new(Exit::Usage, "unknown_key", text).hint(hint))
}

/// A URL with a password in it would stand in a file that backups and dotfile repositories hold.
fn refuse_secret(typed: &str) -> Result<(), CliError> {
    let with_password = typed.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', '"', '\'', ' ']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    });
    if !with_password {
        return Ok(());
    }
    let text = "the value holds a URL with a password, and config.toml holds no secrets";
    Err(CliError::new(Exit::Usage, "secret_refused", text)
        .hint("let the program read it from a file or a variable of its own"))
}

/// Every key of the file.
pub(super) fn keys() -> Vec<String> {
    fn add(keys: &mut Vec<String>, before: &str, value: &Value) {
        match value {
            Value::Object(table) => {
                table.iter().for_each(|(name, value)| add(keys, &format!("{before}{name}."), value));
            }
            _ => keys.push(before.trim_end_matches('.').to_owned()),
        }
    }
    let mut keys = Vec::new();
    add(&mut keys, "", &serde_json::to_value(FileConfig::default()).unwrap_or_default());
    keys
}

fn near<'a>(keys: &'a [String], key: &str) -> Option<&'a String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let (key, name) =
        (key.to_ascii_lowercase().replace('-', "_"), last(&key.to_ascii_lowercase().replace('-', "_")));
    let whole = keys.iter().map(|known| (distance(known, &key), known));
    // `listen` is as near to `server.listen` as it gets.
    let alone =
        keys.iter().map(|known| (distance(&last(known), &name).min(swapped(&last(known), &name)), known));
    let nearest = whole.chain(alone).min_by_key(|(distance, _)| *distance)?;
    (nearest.0 <= (name.len() / 3).max(1)).then_some(nearest.1)
}

/// 1 for the same letters in another order, as fingers do it.
fn swapped(a: &str, b: &str) -> usize {
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    if sorted(a) == sorted(b) { 1 } else { usize::MAX }
}

/// How many letters have to be changed, added or left out.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        for (y, pair) in b.iter().zip(row.windows(2)) {
            let (change, add) = (pair[0] + usize::from(x != *y), pair[1] + 1);
            next.push(change.min(add).min(next.last().map_or(0, |left| left + 1)));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_keys() {
        let keys = keys();
        for (typed, meant) in [
            ("server.lisen", "server.listen"),
            ("listen", "server.listen"),
            ("idle_minute", "session.idle_minutes"),
            ("session.idle-minutes", "session.idle_minutes"),
            ("mod", "mode"),
            ("moed", "mode"),
            ("MODE", "mode"),
            ("limits.max_conections", "limits.max_connections"),
        ] {
            assert_eq!(near(&keys, typed).map(String::as_str), Some(meant), "{typed}");
        }
        assert_eq!(near(&keys, "colour.scheme"), None);
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("a", "a")), (3, 3, 0));
    }

    #[test]
    fn secrets_are_told_from_addresses() {
        for secret in ["postgres://me:hush@host/db", "[\"curl\", \"https://a:b@host/x\"]"] {
            assert_eq!(refuse_secret(secret).unwrap_err().code, "secret_refused", "{secret}");
        }
        for fine in ["https://host:443/a@b:c", "127.0.0.1:5050", "https://me@host"] {
            assert!(refuse_secret(fine).is_ok(), "{fine}");
        }
        assert_eq!(known("server.database_url").unwrap_err().code, "secret_refused");
        assert!(keys().iter().all(|key| known(key).is_ok()));
    }
}
