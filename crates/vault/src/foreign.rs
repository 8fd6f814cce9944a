//! Entries as other programs write them in JSON: Durward's plain form, and Bitwarden's (`login`, or `data`
//! in `rbw`), which nests the same names.

use std::fmt;

use durward_protocol::SecretString;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::item::MAX_PARTS;
use crate::{CustomField, Item};

/// One entry. Keys it does not know are skipped.
#[derive(Deserialize)]
pub(crate) struct Entry {
    #[serde(default)]
    pub(crate) id: Option<String>,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    username: Option<SecretString>,
    #[serde(default)]
    password: Option<SecretString>,
    #[serde(default)]
    totp: Option<SecretString>,
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    uris: Option<Vec<Address>>,
    #[serde(default)]
    notes: Option<SecretString>,
    #[serde(default)]
    fields: Option<Values>,
    #[serde(default, alias = "data")]
    login: Option<Login>,
    #[serde(default)]
    card: Option<Values>,
    #[serde(default)]
    identity: Option<Values>,
    #[serde(default, rename = "sshKey")]
    ssh_key: Option<Values>,
}

#[derive(Default, Deserialize)]
struct Login {
    #[serde(default)]
    username: Option<SecretString>,
    #[serde(default)]
    password: Option<SecretString>,
    #[serde(default)]
    totp: Option<SecretString>,
    #[serde(default)]
    uris: Option<Vec<Address>>,
}

impl Entry {
    /// The item, and its TOTP text apart: a seed for some programs, a ready code for others.
    pub(crate) fn into_item(self) -> (Item, Option<SecretString>) {
        let login = self.login.unwrap_or_default();
        let mut item = Item::new(self.name.unwrap_or_default());
        item.username = filled(self.username.or(login.username));
        item.password = filled(self.password.or(login.password));
        item.notes = filled(self.notes);
        item.uris.extend(self.uri.filter(|uri| !uri.trim().is_empty()));
        for address in self.uris.into_iter().chain(login.uris).flatten() {
            push_address(&mut item, address);
        }
        for values in [self.fields, self.card, self.identity, self.ssh_key].into_iter().flatten() {
            for field in values.0 {
                push_field(&mut item, field);
            }
        }
        (item, filled(self.totp.or(login.totp)))
    }
}

/// An address that must not be matched as a host is kept as a custom field: a pattern, or one whose owner
/// said "never".
fn push_address(item: &mut Item, address: Address) {
    if address.uri.trim().is_empty() || item.uris.contains(&address.uri) || item.uris.len() > MAX_PARTS {
        return;
    }
    if address.matchable {
        item.uris.push(address.uri);
    } else {
        let value = SecretString::new(address.uri);
        push_field(item, CustomField { name: "address".to_owned(), value, hidden: false });
    }
}

/// Adds a custom field under a name that can be asked for: cut, cleaned, numbered when it is taken.
pub(crate) fn push_field(item: &mut Item, mut field: CustomField) {
    if item.fields.len() > MAX_PARTS {
        return; // too many already: the check of the item says so
    }
    let clean: String = field.name.chars().filter(|c| !c.is_control()).collect();
    let mut base = clean.trim();
    if base.is_empty() {
        base = "field";
    }
    let base = base.get(..base.floor_char_boundary(56)).unwrap_or(base).to_owned();
    field.name.clone_from(&base);
    let mut number = 1;
    while item.fields.iter().any(|other| other.name == field.name) {
        number += 1;
        field.name = format!("{base} {number}");
    }
    item.fields.push(field);
}

/// An empty text is no value.
pub(crate) fn filled(secret: Option<SecretString>) -> Option<SecretString> {
    secret.filter(|text| !text.is_empty())
}

/// `"https://…"` or `{"uri":"https://…","match":0}`.
struct Address {
    uri: String,
    matchable: bool,
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
                Ok(Address { uri: text.to_owned(), matchable: true })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Address, A::Error> {
                let (mut uri, mut rule) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "uri" => uri = map.next_value::<Option<String>>()?,
                        "match" | "match_type" => rule = map.next_value::<Option<Scalar>>()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                let rule = rule.as_ref().map(|rule| rule.0.expose_secret().to_ascii_lowercase());
                // Bitwarden: 4 regular expression, 5 never. `rbw` writes words.
                let matchable = !matches!(rule.as_deref(), Some("4" | "5" | "regularexpression" | "never"));
                Ok(Address { uri: uri.unwrap_or_default(), matchable })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// `{"name":"value", …}` or `[{"name":…,"value":…,"type":1}, …]`; values that are null are left out.
struct Values(Vec<CustomField>);

#[derive(Deserialize)]
struct NamedValue {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    value: Option<Scalar>,
    /// Bitwarden: 0 text, 1 hidden, 2 yes or no, 3 linked. `rbw` writes words.
    #[serde(default, rename = "type")]
    kind: Option<Scalar>,
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("named values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
                let mut list = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if let Some(Scalar(value)) = map.next_value::<Option<Scalar>>()? {
                        list.push(CustomField { name, value, hidden: true });
                    }
                }
                Ok(Values(list))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Values, A::Error> {
                let mut list = Vec::new();
                while let Some(NamedValue { name, value, kind }) = sequence.next_element()? {
                    if let Some(Scalar(value)) = value {
                        let kind = kind.as_ref().map(|kind| kind.0.expose_secret());
                        let hidden = matches!(kind, Some("1" | "hidden"));
                        list.push(CustomField { name: name.unwrap_or_default(), value, hidden });
                    }
                }
                Ok(Values(list))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A text, a number or a truth value, as text.
struct Scalar(SecretString);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsText;
        impl Visitor<'_> for AsText {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(SecretString::new(text.to_owned())))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                self.visit_str(if value { "true" } else { "false" })
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(SecretString::new(value.to_string())))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(SecretString::new(value.to_string())))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(SecretString::new(value.to_string())))
            }
        }
        deserializer.deserialize_any(AsText)
    }
}

/// One row or entry of another program's export, as a report names it: no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportLine {
    /// Line of the file (CSV, the header is line 1), or number of the entry (JSON, from 1).
    pub line: u64,
    /// The entry's name.
    pub name: String,
    /// The login name.
    pub username: Option<String>,
}
