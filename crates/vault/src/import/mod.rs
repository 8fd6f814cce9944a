//! Items out of other programs' exports: read, look at the report, then apply.
//!
//! A file is read whole or refused; a row that cannot be used is skipped and told with its line. Nothing
//! touches the vault before [`Import::apply`].

mod csv_file;
mod json_file;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use rand_core::CryptoRng;
use serde::Serialize;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::foreign::ImportLine;
use crate::{Error, Item, Items, uri_domain};

/// Largest file that is imported, in bytes.
pub const MAX_IMPORT_BYTES: usize = 32 * 1024 * 1024;

/// Most entries that are imported from one file.
pub const MAX_IMPORT_ENTRIES: usize = 20_000;

/// Which program wrote the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportFormat {
    /// Bitwarden and Vaultwarden, unencrypted JSON.
    Bitwarden,
    /// 1Password, CSV.
    OnePassword,
    /// KeePass or KeePassXC, CSV.
    KeePass,
    /// Any CSV with a header whose names are understood: browsers, LastPass, spreadsheets.
    Csv,
    /// A plain export of a Durward vault, JSON.
    Durward,
}

impl ImportFormat {
    /// The names a person may give, for a help text.
    pub const NAMES: [&'static str; 5] = ["bitwarden", "1password", "keepass", "csv", "durward"];

    /// What `bytes` look like; CSV when nothing else.
    pub fn detect(bytes: &[u8]) -> Self {
        if without_bom(bytes).trim_ascii_start().starts_with(b"{") {
            let head = bytes.get(..bytes.len().min(64)).unwrap_or_default();
            let durward = head.windows(13).any(|window| window == b"durward-vault");
            return if durward { Self::Durward } else { Self::Bitwarden };
        }
        csv_file::detect(without_bom(bytes))
    }
}

impl FromStr for ImportFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "bitwarden" => Self::Bitwarden,
            "1password" => Self::OnePassword,
            "keepass" | "keepassxc" => Self::KeePass,
            "csv" => Self::Csv,
            "durward" => Self::Durward,
            _ => return Err(Error::import(format!("unknown format; use one of {}", Self::NAMES.join(", ")))),
        })
    }
}

/// What to do with an entry for a site and login name that the vault has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// Leave it out.
    #[default]
    Skip,
    /// Add it as one more item.
    Add,
}

/// A file that was read and is not yet in a vault.
#[derive(Debug)]
pub struct Import {
    entries: Vec<(ImportLine, Item)>,
    skipped: Vec<SkippedLine>,
    ignored_columns: Vec<String>,
}

/// What an import would do, or did. No secret is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Entries the vault does not have.
    pub new: Vec<ImportLine>,
    /// Entries for a site and login name that the vault, or an earlier line, has.
    pub duplicates: Vec<DuplicateLine>,
    /// Entries that cannot be used.
    pub skipped: Vec<SkippedLine>,
    /// Columns that were not understood.
    pub ignored_columns: Vec<String>,
}

/// An entry the vault has already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DuplicateLine {
    /// The entry.
    #[serde(flatten)]
    pub entry: ImportLine,
    /// Whether the password is the same too: nothing is lost by skipping it.
    pub same_password: bool,
}

/// An entry that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedLine {
    /// Line of the file, or number of the entry.
    pub line: u64,
    /// Why, and what to do.
    pub reason: String,
}

impl Import {
    /// Reads a file; see [`Import::read`].
    pub fn open(format: Option<ImportFormat>, path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::io("reading", path, source);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        // Room for all of it at once, a pipe may bring any amount: a buffer that grew would leave passwords behind.
        let length = if metadata.is_file() { metadata.len() } else { u64::MAX };
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_IMPORT_BYTES);
        let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
        file.take(MAX_IMPORT_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        Self::read(format.unwrap_or_else(|| ImportFormat::detect(&bytes)), &bytes)
    }

    /// Reads the text of an export.
    ///
    /// [`Error::Import`] when it is no such export, too large, or encrypted.
    pub fn read(format: ImportFormat, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_IMPORT_BYTES {
            return Err(Error::import("the file is larger than 32 MiB: split it"));
        }
        let mut import = Self { entries: Vec::new(), skipped: Vec::new(), ignored_columns: Vec::new() };
        let bytes = without_bom(bytes);
        match format {
            ImportFormat::Bitwarden => json_file::bitwarden(bytes, &mut import)?,
            ImportFormat::Durward => json_file::durward(bytes, &mut import)?,
            ImportFormat::OnePassword | ImportFormat::KeePass | ImportFormat::Csv => {
                csv_file::read(format, bytes, &mut import)?;
            }
        }
        Ok(import)
    }

    /// What [`Import::apply`] would do to a vault with these items.
    pub fn report(&self, items: &Items) -> ImportReport {
        let mut seen = Seen::of(items);
        let mut report = ImportReport {
            skipped: self.skipped.clone(),
            ignored_columns: self.ignored_columns.clone(),
            ..ImportReport::default()
        };
        for (line, item) in &self.entries {
            match seen.duplicate(item) {
                Some(same_password) => {
                    report.duplicates.push(DuplicateLine { entry: line.clone(), same_password });
                }
                None => report.new.push(line.clone()),
            }
            seen.insert(item);
        }
        report
    }

    /// Adds the entries to `items`, and says what it did. The ids are new.
    pub fn apply(
        self,
        items: &mut Items,
        duplicates: Duplicates,
        rng: &mut impl CryptoRng,
        now: OffsetDateTime,
    ) -> Result<ImportReport, Error> {
        let report = self.report(items);
        let skip: Vec<u64> = match duplicates {
            Duplicates::Skip => report.duplicates.iter().map(|duplicate| duplicate.entry.line).collect(),
            Duplicates::Add => Vec::new(),
        };
        for (line, item) in self.entries {
            // Both lists are in the order of the file.
            if skip.binary_search(&line.line).is_err() {
                items.add(item, rng, now)?;
            }
        }
        Ok(report)
    }

    /// Takes an entry in, or says why not. `totp` that cannot be used costs the entry its codes only.
    fn take(&mut self, line: u64, mut item: Item, totp: Option<durward_protocol::SecretString>) {
        if let Some(totp) = totp {
            match crate::TotpSecret::parse(totp.expose_secret()) {
                Ok(totp) => item.totp = Some(totp),
                Err(error) => {
                    self.skip(
                        line,
                        format!("its one-time password was left out, the rest is taken: {error}"),
                    );
                }
            }
        }
        if item.name.trim().is_empty() {
            item.name =
                item.uris.iter().find_map(|uri| uri_domain(uri)).map_or_else(String::new, String::from);
        }
        item.name = item.name.chars().filter(|c| !c.is_control()).collect();
        if item.name.trim().is_empty() {
            return self.skip(line, "it has neither a name nor an address");
        }
        if item.available_fields().iter().all(|field| *field == durward_protocol::Field::Uri) {
            return self.skip(line, "it has no username, password, code, notes or other value");
        }
        if let Err(error) = item.check() {
            return self.skip(line, error.to_string());
        }
        let username = item.username.as_ref().map(|name| name.expose_secret().to_owned());
        self.entries.push((ImportLine { line, name: item.name.clone(), username }, item));
    }

    fn skip(&mut self, line: u64, reason: impl Into<String>) {
        self.skipped.push(SkippedLine { line, reason: reason.into() });
    }
}

/// Items by site and login name, with their passwords.
struct Seen<'a>(HashMap<(String, &'a str), Vec<Option<&'a str>>>);

impl<'a> Seen<'a> {
    fn of(items: &'a Items) -> Self {
        let mut seen = Self(HashMap::new());
        items.iter().for_each(|item| seen.insert(item));
        seen
    }

    fn insert(&mut self, item: &'a Item) {
        let (username, password) = (text(item.username.as_ref()), item.password.as_ref());
        for site in sites(item) {
            let passwords = self.0.entry((site, username.unwrap_or_default())).or_default();
            passwords.push(text(password));
        }
    }

    /// Whether an equal one was seen, and if so whether its password is the same.
    fn duplicate(&self, item: &Item) -> Option<bool> {
        let (username, password) =
            (text(item.username.as_ref()).unwrap_or_default(), text(item.password.as_ref()));
        let mut found = None;
        for site in sites(item) {
            if let Some(passwords) = self.0.get(&(site, username)) {
                let same = passwords.contains(&password);
                found = Some(found.unwrap_or(false) || same);
            }
        }
        found
    }
}

/// The hosts an item is for; its name when it has none.
fn sites(item: &Item) -> Vec<String> {
    let mut hosts: Vec<String> =
        item.uris.iter().filter_map(|uri| uri_domain(uri)).map(String::from).collect();
    if hosts.is_empty() {
        hosts.push(item.name.trim().to_lowercase());
    }
    hosts.sort();
    hosts.dedup();
    hosts
}

fn text(secret: Option<&durward_protocol::SecretString>) -> Option<&str> {
    secret.map(durward_protocol::SecretString::expose_secret)
}

fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
