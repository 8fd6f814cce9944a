//! `data.json` as an ordered list of keys whose values stay untouched text until somebody asks for them. So
//! unknown keys survive byte for byte, and reading a vault of thousands parses only what is needed.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::items::Members;
use crate::{Error, Result};

/// Written into new files; the layout is the same from [`OLDEST_VERSION`] on.
const NEW_VERSION: u64 = 85;
const OLDEST_VERSION: u64 = 82;
const VERSION: &str = "stateVersion";

/// The whole data file in memory.
#[derive(Debug, Default)]
pub struct Document {
    entries: Vec<(String, Box<RawValue>)>,
    changed: bool,
}

impl Document {
    /// An empty one, with the current layout's number.
    pub fn new() -> Self {
        let mut document = Self::default();
        let _ = document.set(VERSION, &NEW_VERSION);
        document
    }

    /// Parses a file's text.
    ///
    /// # Errors
    /// [`Error::BadState`] when it is no JSON object.
    pub fn parse(text: &str) -> Result<Self> {
        let members: Members<String, Box<RawValue>> =
            serde_json::from_str(text).map_err(|_| Error::BadState("data.json".to_owned()))?;
        let mut document = Self { entries: members.0, changed: false };
        if document.raw(VERSION).is_none() {
            document.set(VERSION, &NEW_VERSION)?;
        }
        Ok(document)
    }

    /// Refuses a layout older than this program knows.
    pub(crate) fn check_version(&self) -> Result<()> {
        match self.get::<u64>(VERSION)? {
            Some(version) if version < OLDEST_VERSION => Err(Error::StateTooOld(version)),
            _ => Ok(()),
        }
    }

    /// The value of a key. `null` reads like an absent key.
    ///
    /// # Errors
    /// [`Error::BadState`] when it has another shape.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| Error::BadState(key.to_owned()))
    }

    /// The value as text, unless absent or `null`.
    pub fn raw(&self, key: &str) -> Option<&RawValue> {
        let value = self.entries.iter().find(|(k, _)| k == key).map(|(_, v)| &**v)?;
        (value.get() != "null").then_some(value)
    }

    /// Sets a key, in place or at the end.
    ///
    /// # Errors
    /// [`Error::BadState`] when the value cannot be written as JSON.
    pub fn set(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<()> {
        let raw = pretty(value).ok_or_else(|| Error::BadState(key.to_owned()))?;
        self.changed = true;
        match self.entries.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = raw,
            None => self.entries.push((key.to_owned(), raw)),
        }
        Ok(())
    }

    /// Removes a key; true when it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(k, _)| k != key);
        let removed = self.entries.len() != before;
        self.changed |= removed;
        removed
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(k, _)| k.as_str())
    }

    /// Whether anything was set or removed since it was parsed.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// The file's text: two spaces, no final newline.
    pub fn render(&self) -> String {
        let size: usize = self.entries.iter().map(|(k, v)| k.len() + v.get().len() + 8).sum();
        let mut text = String::with_capacity(size + 4);
        text.push('{');
        for (i, (key, value)) in self.entries.iter().enumerate() {
            text.push_str(if i == 0 { "\n  " } else { ",\n  " });
            // A string always serialises.
            text.push_str(&serde_json::to_string(key).unwrap_or_default());
            text.push_str(": ");
            text.push_str(value.get());
        }
        text.push_str(if self.entries.is_empty() { "}" } else { "\n}" });
        text
    }
}

/// Two-space JSON, indented once more because it stands inside the file's object. Newlines inside strings are
/// escaped, so every raw newline is layout.
fn pretty(value: &(impl Serialize + ?Sized)) -> Option<Box<RawValue>> {
    let text = serde_json::to_string_pretty(value).ok()?;
    RawValue::from_string(if text.contains('\n') { text.replace('\n', "\n  ") } else { text }).ok()
}
