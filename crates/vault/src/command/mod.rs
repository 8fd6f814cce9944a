//! Any program that prints credentials as JSON, as a vault.
//!
//! The program runs without a shell. It learns the domain in `DURWARD_DOMAIN`, and in each argument that is
//! exactly `{domain}`. It prints one object or a list of objects
//! `{"id","name","username","password","totp","uri","notes","fields":{…}}`, all optional, or what `bw` and `rbw`
//! print. Nothing, `null` or `[]` means that it has no credential. `totp` is a code of six to eight digits or a
//! seed; a seed becomes a code before it leaves here.

mod preset;
mod run;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use durward_protocol::{Credential, Domain, Field, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::foreign::Entry;
use crate::matching::Asked;
use crate::{Candidate, Error, Item, MatchKind, OpenVault, TotpSecret, Vault, VaultInfo};
pub use run::MAX_OUTPUT_BYTES;

/// The argument that is replaced by the domain.
const DOMAIN_ARGUMENT: &str = "{domain}";

/// Most credentials that one answer may hold.
const MAX_ANSWERS: usize = 5_000;

/// How to ask a program for credentials. Holds no secret: what a program needs it takes from its own store,
/// its environment, or the vault password on its standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConfig {
    /// The program: a path, or a name looked up in `PATH`.
    pub program: String,
    /// Its arguments; one that is exactly `{domain}` becomes the domain.
    #[serde(default)]
    pub args: Vec<String>,
    /// Whether the vault password is asked for and written to the program's standard input, with a line end.
    #[serde(default)]
    pub password_stdin: bool,
    /// After how many seconds the program, and what it started, is killed: 1 to 600.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// A text on its error output that means "no such credential" although the program failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_text: Option<String>,
}

impl CommandConfig {
    /// `program` with `args`, no password, 30 seconds.
    pub fn new(program: impl Into<String>, args: Vec<String>) -> Self {
        Self {
            program: program.into(),
            args,
            password_stdin: false,
            timeout_seconds: default_timeout(),
            absent_text: None,
        }
    }

    /// What is known to work with a program: `bw` (the official one, unlocked by `BW_SESSION`) or `rbw`.
    pub fn preset(name: &str) -> Option<Self> {
        preset::find(name)
    }

    /// The names that [`CommandConfig::preset`] knows.
    pub fn preset_names() -> impl Iterator<Item = &'static str> {
        preset::names()
    }

    /// Refuses what cannot work. [`Error::InvalidCommand`] says which rule it breaks.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |reason| Err(Error::InvalidCommand { reason });
        if self.program.is_empty() {
            return invalid("no program is named: give it after `--`");
        }
        if self.args.iter().any(|arg| arg.contains(DOMAIN_ARGUMENT) && arg != DOMAIN_ARGUMENT) {
            return invalid(
                "{domain} must be an argument of its own; a script can use $DURWARD_DOMAIN instead",
            );
        }
        if self.program.contains('\0') || self.args.iter().any(|arg| arg.contains('\0')) {
            return invalid("an argument contains a zero byte");
        }
        if !(1..=600).contains(&self.timeout_seconds) {
            return invalid("the time limit must be 1 to 600 seconds");
        }
        Ok(())
    }
}

/// A vault behind a program.
#[derive(Clone, Debug)]
pub struct CommandVault {
    name: String,
    config: CommandConfig,
}

impl CommandVault {
    /// Takes a configuration that [`CommandConfig::check`] accepts.
    pub fn new(name: impl Into<String>, config: CommandConfig) -> Result<Self, Error> {
        config.check()?;
        Ok(Self { name: name.into(), config })
    }
}

impl Vault for CommandVault {
    fn describe(&self) -> VaultInfo {
        let program = Path::new(&self.config.program);
        VaultInfo {
            provider: "command",
            name: self.name.clone(),
            location: self.config.program.clone(),
            // A bare name is looked up in PATH when it runs; the environment is not read here.
            exists: program.components().count() == 1 || program.is_file(),
            needs_password: self.config.password_stdin,
        }
    }

    fn unlock(&self, password: &SecretString) -> Result<Box<dyn OpenVault>, Error> {
        let password = self.config.password_stdin.then(|| password.duplicate());
        Ok(Box::new(OpenCommand { config: self.config.clone(), password }))
    }
}

/// A program that may be asked. Each question runs it anew, so what is released is what it says at that
/// moment, and nothing it printed is kept.
struct OpenCommand {
    config: CommandConfig,
    password: Option<SecretString>,
}

impl OpenVault for OpenCommand {
    fn is_current(&self) -> bool {
        true
    }

    fn find(&self, domain: &Domain) -> Result<Vec<Candidate>, Error> {
        let mut found: Vec<Candidate> = self.ask(domain)?.iter().map(Answer::candidate).collect();
        found.sort_by_key(|candidate| candidate.match_kind);
        Ok(found)
    }

    fn read(
        &self,
        item_id: &str,
        fields: &[Field],
        domain: &Domain,
        now: OffsetDateTime,
    ) -> Result<Credential, Error> {
        let answers = self.ask(domain)?;
        let wanted = answers.into_iter().find(|answer| answer.item.id == item_id);
        wanted.ok_or_else(|| Error::item_not_found(item_id))?.credential(fields, domain, now)
    }
}

impl OpenCommand {
    fn ask(&self, domain: &Domain) -> Result<Vec<Answer>, Error> {
        let substitute = |arg: &String| if arg == DOMAIN_ARGUMENT { domain.to_string() } else { arg.clone() };
        let invocation = run::Invocation {
            program: &self.config.program,
            args: self.config.args.iter().map(substitute).collect(),
            domain: domain.as_str(),
            stdin: self.password.as_ref(),
            timeout: Duration::from_secs(self.config.timeout_seconds),
            absent_text: self.config.absent_text.as_deref(),
        };
        match run::run(&invocation)? {
            None => Ok(Vec::new()),
            Some(output) => answers(&self.config.program, &output, domain),
        }
    }
}

/// One credential the program printed.
struct Answer {
    item: Item,
    totp: Option<SecretString>,
    match_kind: MatchKind,
}

impl Answer {
    fn candidate(&self) -> Candidate {
        Candidate {
            item_id: self.item.id.clone(),
            name: self.item.name.clone(),
            username: self.item.username.as_ref().map(|name| name.expose_secret().to_owned()),
            match_kind: self.match_kind,
        }
    }

    fn credential(
        &self,
        fields: &[Field],
        domain: &Domain,
        now: OffsetDateTime,
    ) -> Result<Credential, Error> {
        let mut credential = self.item.credential(fields, domain, now)?;
        if let Some(totp) = self.totp.as_ref().filter(|_| fields.contains(&Field::Totp)) {
            let text = totp.expose_secret();
            let is_code = (6..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            let code = if is_code { totp.duplicate() } else { TotpSecret::parse(text)?.code(now)? };
            credential.set(&Field::Totp, code);
        }
        Ok(credential)
    }
}

/// Reads what the program printed. Entries with addresses, none of which is for `domain`, are left out: a
/// program's own search is often looser than a password may be.
fn answers(program: &str, output: &[u8], domain: &Domain) -> Result<Vec<Answer>, Error> {
    let text = output.trim_ascii();
    if text.is_empty() || text == b"null" {
        return Ok(Vec::new());
    }
    let parsed: Result<Vec<Entry>, _> = if text.starts_with(b"[") {
        serde_json::from_slice(text)
    } else {
        serde_json::from_slice(text).map(|entry| vec![entry])
    };
    // The JSON reader's message may quote what it read: only the place is told.
    let entries = parsed.map_err(|error| Error::Command {
        program: program.to_owned(),
        detail: format!(
            "its output is not the JSON that is expected, at line {}, column {}",
            error.line(),
            error.column()
        ),
    })?;
    if entries.len() > MAX_ANSWERS {
        let detail =
            format!("it printed more than {MAX_ANSWERS} credentials: narrow its search with {{domain}}");
        return Err(Error::Command { program: program.to_owned(), detail });
    }
    let asked = Asked::new(domain);
    let mut ids = Ids::default();
    let answers = entries.into_iter().filter_map(|mut entry| {
        let id = entry.id.take();
        let (mut item, totp) = entry.into_item();
        let match_kind = if item.uris.is_empty() { Some(MatchKind::Provider) } else { item.matches(&asked) };
        item.id = ids.distinct(&id.unwrap_or_else(|| label(&item)));
        if item.name.is_empty() {
            domain.as_str().clone_into(&mut item.name);
        }
        Some(Answer { item, totp, match_kind: match_kind? })
    });
    Ok(answers.collect())
}

/// An id for an entry without one that stays the same when the program lists others before it.
fn label(item: &Item) -> String {
    let username = item.username.as_ref().map(|name| name.expose_secret().to_owned());
    username.unwrap_or_else(|| if item.name.is_empty() { "credential".to_owned() } else { item.name.clone() })
}

/// Ids that were given, and how often each label was asked for.
#[derive(Default)]
struct Ids {
    taken: HashSet<String>,
    asked: HashMap<String, usize>,
}

impl Ids {
    /// `label`, or `label#2` and so on when it is taken.
    fn distinct(&mut self, label: &str) -> String {
        let number = self.asked.entry(label.to_owned()).or_default();
        loop {
            *number += 1;
            let id = if *number == 1 { label.to_owned() } else { format!("{label}#{number}") };
            if self.taken.insert(id.clone()) {
                return id;
            }
        }
    }
}

fn default_timeout() -> u64 {
    30
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(output: &str, domain: &str) -> Result<Vec<Answer>, Error> {
        answers("prog", output.as_bytes(), &Domain::parse(domain).unwrap())
    }

    #[test]
    fn forms() {
        assert!(read("", "a.test").unwrap().is_empty());
        assert!(read(" null\n", "a.test").unwrap().is_empty());
        assert!(read("[]", "a.test").unwrap().is_empty());
        let one = read(r#"{"username":"u","password":"p","totp":"123456","fields":{"pin":4711}}"#, "a.test")
            .unwrap();
        let fields = [Field::Password, Field::Totp, Field::Custom("pin".into())];
        let now = OffsetDateTime::from_unix_timestamp(59).unwrap();
        let credential = one[0].credential(&fields, &Domain::parse("a.test").unwrap(), now).unwrap();
        let value = |field| credential.get(&field).map(SecretString::expose_secret);
        assert_eq!(value(Field::Totp), Some("123456"));
        assert_eq!(value(Field::Custom("pin".into())), Some("4711"));
        assert_eq!(value(Field::Username), None);
        assert_eq!(one[0].match_kind, MatchKind::Provider);
    }

    #[test]
    fn a_seed_becomes_a_code_and_never_leaves() {
        let seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let list = read(&format!(r#"{{"totp":"{seed}"}}"#), "a.test").unwrap();
        let now = OffsetDateTime::from_unix_timestamp(59).unwrap();
        let credential = list[0].credential(&[Field::Totp], &Domain::parse("a.test").unwrap(), now).unwrap();
        assert_eq!(credential.totp.as_ref().map(SecretString::expose_secret), Some("287082"));
    }

    #[test]
    fn loose_searches_are_narrowed_and_ids_are_distinct() {
        let list = read(
            r#"[{"username":"u","uri":"https://badexample.com"},
                {"id":"7","name":"n","login":{"username":"v","uris":[{"match":null,"uri":"https://www.example.com"}]}},
                {"name":"x","data":{"username":"u","password":"p","totp":null,"uris":null}},
                {"username":"u"}]"#,
            "example.com",
        )
        .unwrap();
        let ids: Vec<&str> = list.iter().map(|answer| answer.item.id.as_str()).collect();
        assert_eq!(ids, ["7", "u#2", "u#3"]);
    }

    #[test]
    fn a_flood_is_refused() {
        let many = format!("[{}{{}}]", "{},".repeat(MAX_ANSWERS));
        assert!(read(&many, "a.test").err().unwrap().to_string().contains("narrow"));
        assert_eq!(read(&many.replacen("{},", "", 1), "a.test").unwrap().len(), MAX_ANSWERS);
    }

    #[test]
    fn errors_do_not_quote_the_output() {
        let error = read(r#"{"password": hunter2}"#, "a.test").err().unwrap().to_string();
        assert!(error.contains("line 1") && !error.contains("hunter2"), "{error}");
        let error = read(r#"{"password": 5, "uris": "hunter2"}"#, "a.test").err().unwrap().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let with = |args: &[&str]| CommandConfig::new("x", args.iter().map(|&arg| arg.to_owned()).collect());
        assert!(with(&["get", "{domain}"]).check().is_ok());
        assert!(with(&["https://{domain}"]).check().is_err());
        assert!(CommandConfig::new("", vec![]).check().is_err());
        assert!(CommandConfig { timeout_seconds: 0, ..with(&[]) }.check().is_err());
        for name in CommandConfig::preset_names() {
            assert!(CommandConfig::preset(name).unwrap().check().is_ok());
        }
    }

    proptest! {
        #[test]
        fn any_output_is_answered(output in "\\PC{0,200}", json in "[\\[\\]{}:,\"a-z0-9 ]{0,80}") {
            let _ = read(&output, "example.com");
            let _ = read(&json, "example.com");
        }
    }
}
