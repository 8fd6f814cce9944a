//! Everything in a vault, in a file that another program reads.

use std::path::Path;

use durward_protocol::SecretString;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::file;
use crate::{BuiltinVault, Error, Item, Items};

/// A plain, unencrypted form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlainFormat {
    /// Everything; `import` reads it back whole.
    Json,
    /// `name,uris,username,password,totp,notes,fields`: several addresses and fields a line each. Times, ids and
    /// which field is hidden are lost.
    Csv,
}

impl Items {
    /// Every item with its secrets, unencrypted.
    pub fn to_plain(&self, format: PlainFormat) -> Result<Zeroizing<Vec<u8>>, Error> {
        match format {
            PlainFormat::Json => self.to_json(),
            PlainFormat::Csv => to_csv(self),
        }
    }

    /// Writes every item **unencrypted** to the new file `path`, 0600. A file that is there is left alone.
    pub fn export_plain(&self, path: &Path, format: PlainFormat) -> Result<(), Error> {
        file::stage(path, &self.to_plain(format)?)?.publish_new()
    }

    /// Writes every item to the new file `path`, encrypted with `password`: a vault of its own, which `age -d`
    /// opens too. A file that is there is left alone.
    pub fn export_encrypted(
        &self,
        vault: &BuiltinVault,
        path: &Path,
        password: &SecretString,
    ) -> Result<(), Error> {
        file::stage(path, &vault.seal(self, password)?)?.publish_new()
    }
}

fn to_csv(items: &Items) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |error: csv::Error| Error::Encrypt(error.to_string());
    // Every character may need a second one as an escape; the buffer must not grow.
    let size = items.to_json()?.len();
    let mut bytes = Zeroizing::new(Vec::with_capacity(size * 2 + 64));
    let mut writer = csv::Writer::from_writer(&mut *bytes);
    writer
        .write_record(["name", "uris", "username", "password", "totp", "notes", "fields"])
        .map_err(failed)?;
    for item in items.iter() {
        write_row(&mut writer, item).map_err(failed)?;
    }
    writer.flush().map_err(|error| Error::Encrypt(error.to_string()))?;
    drop(writer);
    Ok(bytes)
}

fn write_row(writer: &mut csv::Writer<&mut Vec<u8>>, item: &Item) -> Result<(), csv::Error> {
    let text = |secret: &Option<SecretString>| -> Zeroizing<String> {
        Zeroizing::new(secret.as_ref().map(|secret| secret.expose_secret().to_owned()).unwrap_or_default())
    };
    let mut fields = Zeroizing::new(String::new());
    for field in &item.fields {
        fields.push_str(&field.name);
        fields.push_str(": ");
        fields.push_str(&field.value.expose_secret().replace(['\n', '\r'], " "));
        fields.push('\n');
    }
    writer.write_record([
        item.name.as_str(),
        item.uris.join("\n").as_str(),
        text(&item.username).as_str(),
        text(&item.password).as_str(),
        item.totp.as_ref().map(crate::TotpSecret::expose_seed).unwrap_or_default(),
        text(&item.notes).as_str(),
        fields.trim_end(),
    ])
}
