//! The policy file: read at the start, and again when it has changed.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use durward_broker::approval::{Policy, PolicyFile, Zone};
use time::UtcOffset;

use durward_files::write_private;

/// Longest policy file, in bytes.
const MAX_POLICY_BYTES: u64 = 1024 * 1024;

/// Reads a policy file; one that is not there is a policy without rules. The error names file and line.
pub fn read_policy(path: &Path) -> Result<Policy, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > MAX_POLICY_BYTES => return Err(failed(&"larger than 1 MiB")),
        _ => {}
    }
    match std::fs::read_to_string(path) {
        Ok(text) => parse_policy(&text).map_err(|error| failed(&error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Policy::default()),
        Err(error) => Err(failed(&error)),
    }
}

fn parse_policy(text: &str) -> Result<Policy, String> {
    let file: PolicyFile = toml::from_str(text).map_err(|error| error.to_string())?;
    Policy::new(file, text, named_zone)
}

/// A zone of the system's database, by its name.
fn named_zone(name: &str) -> Option<Zone> {
    let zone = jiff::tz::TimeZone::get(name).ok()?;
    Some(Zone::new(name, move |at| {
        let moment = jiff::Timestamp::from_second(at.unix_timestamp()).unwrap_or_default();
        UtcOffset::from_whole_seconds(zone.to_offset(moment).seconds()).unwrap_or(UtcOffset::UTC)
    }))
}

/// Looks whether the file has changed since it was read.
#[derive(Debug, Default)]
pub(crate) struct PolicyWatch {
    path: Option<PathBuf>,
    seen: Mutex<Seen>,
}

/// Length and time of change; nothing without a file.
type Stamp = Option<(u64, Option<SystemTime>)>;

#[derive(Debug, Default)]
struct Seen {
    stamp: Stamp,
    problem: Option<String>,
}

impl PolicyWatch {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, seen: Mutex::default() }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What is wrong with the file as it is; then the rules read before stay in force.
    pub(crate) fn problem(&self) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).problem.clone()
    }

    /// Adds a rule at the end of the file, whole or not at all. Nothing is written over a mistake.
    pub(crate) fn append(&self, rule: &str) -> Result<PathBuf, String> {
        let path = self.path.as_deref().ok_or("this approver has no policy file")?;
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()); // a link stays a link
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let _one_at_a_time = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        read_policy(&path)?;
        let mut text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(&error)),
        };
        if !text.is_empty() {
            text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
        }
        text.push_str(rule);
        parse_policy(&text).map_err(|error| failed(&error))?;
        write_private(&path, text.as_bytes()).map_err(|error| failed(&error))?;
        Ok(path)
    }

    /// The policy, if the file has changed, or in any case with `force`.
    pub(crate) fn read(&self, force: bool) -> Option<Result<Policy, String>> {
        let path = self.path.as_deref()?;
        let stamp = std::fs::metadata(path).ok().map(|meta| (meta.len(), meta.modified().ok()));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !force && seen.stamp == stamp {
            return None;
        }
        let read = read_policy(path);
        seen.stamp = stamp;
        seen.problem = read.as_ref().err().cloned();
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_names_the_line_and_a_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        let watch = PolicyWatch::new(Some(path.clone()));
        assert!(watch.read(false).is_none(), "no file, nothing new");
        assert_eq!(watch.read(true).unwrap().unwrap(), Policy::default());
        write_private(&path, b"[[rule]]\ndomain = \"example.com\"\nverdict = \"allow\"\n").unwrap();
        assert_eq!(watch.read(false).unwrap().unwrap().rules(), ["allow  domain example.com"]);
        assert!(watch.read(false).is_none());
        write_private(&path, b"[[rule]]\ndomain = \"example.com\"\nverdict = \"alow\"\n").unwrap();
        let error = watch.read(false).unwrap().unwrap_err();
        assert!(error.contains("line 3") && error.contains("alow"), "{error}");
        assert_eq!(watch.problem(), Some(error));
        let before = std::fs::read_to_string(&path).unwrap();
        assert!(watch.append("[[rule]]\nverdict = \"ask\"\n").is_err(), "not over a mistake");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    }

    #[test]
    fn a_rule_is_added_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        let watch = PolicyWatch::new(Some(path.clone()));
        watch.append("[[rule]]\nverdict = \"ask\"\n").unwrap();
        watch.append("# More.\n[[rule]]\nverdict = \"deny\"\n").unwrap();
        assert!(watch.append("[[rule]]\nverdict = \"perhaps\"\n").is_err());
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "[[rule]]\nverdict = \"ask\"\n\n# More.\n[[rule]]\nverdict = \"deny\"\n");
        assert_eq!(read_policy(&path).unwrap().rules(), ["ask  any domain", "deny  any domain"]);
    }

    #[test]
    fn zones_by_name_know_summer_time() {
        use time::macros::datetime;
        let zone = named_zone("Europe/Berlin").unwrap();
        assert_eq!(zone.local(datetime!(2026-01-15 12:00:00 UTC)).hour(), 13);
        assert_eq!(zone.local(datetime!(2026-07-15 12:00:00 UTC)).hour(), 14);
        assert!(named_zone("Mars/Olympus").is_none());
    }
}
