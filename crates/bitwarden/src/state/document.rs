//! `data.json` as an ordered list of keys whose values stay untouched text until somebody asks for them. So
//! unknown keys survive byte for byte, and reading a vault of thousands parses only what is needed.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::layout::{self, Place};
use crate::items::{Members, Text};
use crate::{Error, Result};

/// Written into new files; the layout is the same from [`OLDEST_VERSION`] on.
const NEW_VERSION: u64 = 85;
const OLDEST_VERSION: u64 = 82;
const VERSION: &str = "stateVersion";

/// The whole data file in memory.
#[derive(Default)]
pub struct Document {
    text: String,
    entries: Vec<(String, Value)>,
    changed: bool,
}

/// A value as text.
enum Value {
    /// A part of the file as it was read.
    Read(Place),
    /// Set since then.
    Set(String),
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens are among the values.
        write!(f, "Document({} keys)", self.entries.len())
    }
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
    pub fn parse(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let found = layout::read(&text).ok_or_else(|| Error::BadState("data.json".to_owned()))?;
        let entries = found.into_iter().map(|(key, place)| (key, Value::Read(place))).collect();
        let mut document = Self { text, entries, changed: false };
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
        serde_json::from_str(raw).map(Some).map_err(|_| Error::BadState(key.to_owned()))
    }

    /// The value as text, unless absent or `null`.
    pub fn raw(&self, key: &str) -> Option<&str> {
        let value = self.entry(key).map(|v| self.shown(v))?;
        (value != "null").then_some(value)
    }

    /// The members of a map as text, by name, unless absent or no map.
    pub(crate) fn members(&self, key: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
        if let Some(Value::Read(Place::Items(_, members))) = self.entry(key) {
            let part = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
            return Some(members.iter().map(|m| (Cow::Borrowed(part(&m.id)), part(&m.value))).collect());
        }
        let members: Members<Text<'_>, &RawValue> = serde_json::from_str(self.raw(key)?).ok()?;
        Some(members.0.into_iter().map(|(id, raw)| (id.0, raw.get())).collect())
    }

    fn entry(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    fn shown<'d>(&'d self, value: &'d Value) -> &'d str {
        match value {
            Value::Read(place) => self.text.get(place.range()).unwrap_or_default(),
            Value::Set(text) => text,
        }
    }

    /// Sets a key, in place or at the end.
    ///
    /// # Errors
    /// [`Error::BadState`] when the value cannot be written as JSON.
    pub fn set(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<()> {
        let text = pretty(value).ok_or_else(|| Error::BadState(key.to_owned()))?;
        let value = Value::Set(text);
        self.changed = true;
        match self.entries.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = value,
            None => self.entries.push((key.to_owned(), value)),
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
        let size: usize = self.entries.iter().map(|(k, v)| k.len() + self.shown(v).len() + 8).sum();
        let mut text = String::with_capacity(size + 4);
        text.push('{');
        for (i, (key, value)) in self.entries.iter().enumerate() {
            text.push_str(if i == 0 { "\n  " } else { ",\n  " });
            // A string always serialises.
            text.push_str(&serde_json::to_string(key).unwrap_or_default());
            text.push_str(": ");
            text.push_str(self.shown(value));
        }
        text.push_str(if self.entries.is_empty() { "}" } else { "\n}" });
        text
    }
}

/// Two-space JSON, indented once more because it stands inside the file's object. Newlines inside strings are
/// escaped, so every raw newline is layout.
fn pretty(value: &(impl Serialize + ?Sized)) -> Option<String> {
    let text = serde_json::to_string_pretty(value).ok()?;
    Some(if text.contains('\n') { text.replace('\n', "\n  ") } else { text })
}
