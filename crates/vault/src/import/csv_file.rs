//! CSV exports: which column means what is read from the header, never from its place.

use csv::{ByteRecord, ReaderBuilder};
use durward_protocol::SecretString;

use super::{Import, ImportFormat, MAX_IMPORT_ENTRIES};
use crate::foreign::{filled, push_field};
use crate::{CustomField, Error, Item};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Name,
    Uri,
    Username,
    Password,
    Totp,
    Notes,
    /// `name: value` a line, as Bitwarden's CSV and ours have it.
    Fields,
}

/// Headers in lower case, without blanks, dashes and underscores.
const HEADERS: &[(&str, Column)] = &[
    ("name", Column::Name),
    ("title", Column::Name),
    ("account", Column::Name),
    ("entry", Column::Name),
    ("url", Column::Uri),
    ("urls", Column::Uri),
    ("uri", Column::Uri),
    ("uris", Column::Uri),
    ("loginuri", Column::Uri),
    ("website", Column::Uri),
    ("websiteaddress", Column::Uri),
    ("site", Column::Uri),
    ("host", Column::Uri),
    ("hostname", Column::Uri),
    ("domain", Column::Uri),
    ("username", Column::Username),
    ("user", Column::Username),
    ("login", Column::Username),
    ("loginname", Column::Username),
    ("loginusername", Column::Username),
    ("email", Column::Username),
    ("userid", Column::Username),
    ("password", Column::Password),
    ("pass", Column::Password),
    ("loginpassword", Column::Password),
    ("totp", Column::Totp),
    ("otp", Column::Totp),
    ("otpauth", Column::Totp),
    ("otpurl", Column::Totp),
    ("logintotp", Column::Totp),
    ("onetimepassword", Column::Totp),
    ("notes", Column::Notes),
    ("note", Column::Notes),
    ("comments", Column::Notes),
    ("comment", Column::Notes),
    ("extra", Column::Notes),
    ("fields", Column::Fields),
];

/// The program whose header this is; plain CSV when it is none of the known ones.
pub(super) fn detect(bytes: &[u8]) -> ImportFormat {
    let Ok(header) = header_of(bytes) else { return ImportFormat::Csv };
    let has = |name: &str| header.iter().any(|column| column == name);
    if has("otpauth") && has("archived") {
        ImportFormat::OnePassword
    } else if (has("group") && has("title")) || is_keepass_1(&header) {
        ImportFormat::KeePass
    } else {
        ImportFormat::Csv
    }
}

pub(super) fn read(format: ImportFormat, bytes: &[u8], import: &mut Import) -> Result<(), Error> {
    let header = header_of(bytes)?;
    let columns: Vec<Option<Column>> = header.iter().map(|name| meaning(name)).collect();
    check_header(format, &header, &columns)?;
    let unknown = header.iter().zip(&columns).filter(|(name, column)| column.is_none() && !name.is_empty());
    import.ignored_columns = unknown.map(|(name, _)| name.clone()).collect();

    let mut reader = builder(bytes, is_keepass_1(&header)).from_reader(bytes);
    let mut record = ByteRecord::new();
    let mut lines = Lines { bytes, seen: 0, line: 1 };
    for count in 0.. {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => return Err(Error::import("it cannot be read as CSV")),
        }
        let line = lines.of(record.position().map_or(0, csv::Position::byte));
        if count >= MAX_IMPORT_ENTRIES {
            let text = format!("it has more than {MAX_IMPORT_ENTRIES} rows: split it");
            return Err(Error::import(text));
        }
        if record.len() != columns.len() {
            let text = format!(
                "it has {} columns, the header has {}: check its quotes",
                record.len(),
                columns.len()
            );
            import.skip(line, text);
            continue;
        }
        match row(&columns, &record) {
            Ok((item, totp)) => import.take(line, item, totp),
            Err(reason) => import.skip(line, reason),
        }
    }
    Ok(())
}

/// Counts lines as an editor does. The CSV reader's own count is one short after a CRLF.
struct Lines<'a> {
    bytes: &'a [u8],
    seen: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the row whose record begins at `offset`, or at the line ends that the reader skips there.
    /// Offsets must not go back.
    fn of(&mut self, offset: u64) -> u64 {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let skipped = rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let start = offset.saturating_add(skipped);
        let passed = self.bytes.get(self.seen..start).unwrap_or_default();
        self.line += passed.split(|&b| b == b'\n').skip(1).count() as u64;
        self.seen = start;
        self.line
    }
}

/// Turns one row into an item and its TOTP text.
fn row(
    columns: &[Option<Column>],
    record: &ByteRecord,
) -> Result<(Item, Option<SecretString>), &'static str> {
    let mut item = Item::new("");
    let mut totp = None;
    for (column, cell) in columns.iter().zip(record) {
        let text =
            std::str::from_utf8(cell).map_err(|_| "it is not UTF-8: export again with that encoding")?;
        let Some(column) = column else { continue };
        let secret = || filled(Some(SecretString::new(text.to_owned())));
        match column {
            Column::Name => text.trim().clone_into(&mut item.name),
            Column::Uri => item.uris.extend(addresses(text)),
            // The first column that has something wins: "username" before "email".
            Column::Username => item.username = item.username.take().or_else(secret),
            Column::Password => item.password = item.password.take().or_else(secret),
            Column::Totp => totp = totp.take().or_else(secret),
            Column::Notes => item.notes = item.notes.take().or_else(secret),
            Column::Fields => fields(text, &mut item),
        }
    }
    Ok((item, totp))
}

/// Several addresses stand a line each, or, as Bitwarden writes them, with commas.
fn addresses(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(['\n', '\r']).flat_map(|line| {
        let many = line.split(',').skip(1).any(|part| part.contains("://"));
        if many { line.split(',').collect() } else { vec![line] }
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

fn fields(text: &str, item: &mut Item) {
    for line in text.lines() {
        if let Some((name, value)) = line.split_once(": ") {
            let value = SecretString::new(value.to_owned());
            push_field(item, CustomField { name: name.to_owned(), value, hidden: true });
        }
    }
}

fn header_of(bytes: &[u8]) -> Result<Vec<String>, Error> {
    let no_header = || Error::import("the file has no header line: its first line must name the columns");
    let mut reader = builder(bytes, false).has_headers(false).from_reader(bytes);
    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(|_| no_header())? {
        return Err(no_header());
    }
    let name = |cell: &[u8]| {
        let text = String::from_utf8_lossy(cell);
        text.chars()
            .filter(|c| !c.is_whitespace() && !"-_".contains(*c))
            .flat_map(char::to_lowercase)
            .collect()
    };
    Ok(record.iter().map(name).collect())
}

fn check_header(format: ImportFormat, header: &[String], columns: &[Option<Column>]) -> Result<(), Error> {
    let has = |column| columns.contains(&Some(column));
    if !has(Column::Password) && !has(Column::Totp) && !has(Column::Notes) {
        return Err(Error::import(
            "the header names no password column: call the columns name, url, username, password, totp, notes",
        ));
    }
    let named = |name: &str| header.iter().any(|column| column == name);
    let (fits, program) = match format {
        ImportFormat::OnePassword => (named("title") && (has(Column::Uri) || named("otpauth")), "1Password"),
        ImportFormat::KeePass => ((named("group") && named("title")) || is_keepass_1(header), "KeePass"),
        _ => (true, "CSV"),
    };
    if fits {
        return Ok(());
    }
    Err(Error::import(format!("the header is not that of a {program} export: import it as plain csv")))
}

fn meaning(name: &str) -> Option<Column> {
    HEADERS.iter().find(|(known, _)| *known == name).map(|(_, column)| *column)
}

/// KeePass 1.x, and KeePass 2's export in that form, escape quotes with a backslash.
fn is_keepass_1(header: &[String]) -> bool {
    ["account", "loginname", "website"].iter().all(|name| header.iter().any(|column| column == name))
}

fn builder(bytes: &[u8], backslash: bool) -> ReaderBuilder {
    let mut builder = ReaderBuilder::new();
    builder.flexible(true).delimiter(delimiter(bytes));
    if backslash {
        builder.escape(Some(b'\\')).double_quote(false);
    }
    builder
}

/// Spreadsheets in half of Europe write semicolons.
fn delimiter(bytes: &[u8]) -> u8 {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| line.split(|&b| b == wanted).count();
    [b';', b'\t'].into_iter().find(|&other| count(other) > count(b',')).unwrap_or(b',')
}
