//! Bitwarden's unencrypted JSON export, and Durward's own.

use std::path::Path;

use serde::Deserialize;

use super::{Import, MAX_IMPORT_ENTRIES};
use crate::foreign::{Entry, ImportLine};
use crate::{Error, Items};

#[derive(Deserialize)]
struct Export {
    #[serde(default)]
    encrypted: bool,
    /// Absent in an encrypted export that a password protects.
    #[serde(default)]
    items: Option<Vec<Entry>>,
}

pub(super) fn bitwarden(bytes: &[u8], import: &mut Import) -> Result<(), Error> {
    let export: Export = serde_json::from_slice(bytes).map_err(|error| {
        // The JSON reader's message may quote what it read.
        let (line, column) = (error.line(), error.column());
        Error::import(format!("this is not a Bitwarden JSON export, at line {line}, column {column}"))
    })?;
    if export.encrypted {
        return Err(Error::import(
            "this export is encrypted: export again as \".json\", not \".json (Encrypted)\"",
        ));
    }
    let entries =
        export.items.ok_or_else(|| Error::import("this JSON has no \"items\": it is no Bitwarden export"))?;
    bound(entries.len())?;
    for (line, entry) in (1..).zip(entries) {
        let (item, totp) = entry.into_item();
        import.take(line, item, totp);
    }
    Ok(())
}

pub(super) fn durward(bytes: &[u8], import: &mut Import) -> Result<(), Error> {
    let items = Items::from_json(Path::new("the file"), bytes).map_err(|error| match error {
        Error::Damaged { detail, .. } => {
            Error::import(format!("this is not a plain Durward export: {detail}"))
        }
        other => other,
    })?;
    let entries = items.into_entries();
    bound(entries.len())?;
    for (line, item) in (1..).zip(entries) {
        if let Err(error) = item.check() {
            import.skip(line, error.to_string());
            continue;
        }
        let username = item.username.as_ref().map(|name| name.expose_secret().to_owned());
        import.entries.push((ImportLine { line, name: item.name.clone(), username }, item));
    }
    Ok(())
}

fn bound(entries: usize) -> Result<(), Error> {
    if entries > MAX_IMPORT_ENTRIES {
        return Err(Error::import(format!(
            "it has {entries} entries, at most {MAX_IMPORT_ENTRIES} are taken: split it"
        )));
    }
    Ok(())
}
