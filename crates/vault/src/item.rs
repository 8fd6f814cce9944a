//! One entry of a vault, as it lies in the vault file.

use durward_protocol::{Credential, Domain, Field, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::serde::rfc3339;
use zeroize::Zeroize;

use crate::matching::Asked;
use crate::{Error, MatchKind, TotpSecret, uri_domain};

/// Longest text in an item: a password, a note, an address.
pub(crate) const MAX_TEXT_BYTES: usize = 256 * 1024;

/// Most addresses, and most custom fields, of one item.
pub(crate) const MAX_PARTS: usize = 256;

/// One entry of a vault. Everything in it is wiped on drop, the name and the addresses too.
///
/// Make one with [`Item::new`], fill its fields, hand it to [`crate::Items::add`], which gives it an id.
#[derive(Debug, Serialize, Deserialize)]
pub struct Item {
    /// Random, never reused; empty until the item is in a vault.
    #[serde(default)]
    pub id: String,
    /// What the owner calls it.
    #[serde(default)]
    pub name: String,
    /// The addresses it is for; the first is the one shown.
    #[serde(default)]
    pub uris: Vec<String>,
    /// The login name.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub username: Option<SecretString>,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub password: Option<SecretString>,
    /// The seed of one-time codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp: Option<TotpSecret>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub notes: Option<SecretString>,
    /// Fields the owner named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<CustomField>,
    /// When it was added.
    #[serde(default = "epoch", with = "rfc3339")]
    pub created: OffsetDateTime,
    /// When it was last changed.
    #[serde(default = "epoch", with = "rfc3339")]
    pub updated: OffsetDateTime,
    /// What a later version wrote and this one does not know; kept as it is.
    #[serde(flatten)]
    pub(crate) extra: Extra,
}

/// A field the owner named.
#[derive(Debug, Serialize, Deserialize)]
pub struct CustomField {
    /// Its name, as in `custom:NAME`.
    pub name: String,
    /// Its value.
    #[serde(serialize_with = "exposed_one")]
    pub value: SecretString,
    /// Whether a screen hides the value until asked.
    #[serde(default)]
    pub hidden: bool,
}

/// An item as a list shows it: no secret but the login name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemSummary {
    /// The item's id.
    pub id: String,
    /// The item's name.
    pub name: String,
    /// The login name.
    pub username: Option<String>,
    /// The addresses.
    pub uris: Vec<String>,
    /// The fields an agent could ask for.
    pub fields: Vec<Field>,
    /// When it was last changed.
    #[serde(with = "rfc3339")]
    pub updated: OffsetDateTime,
}

impl Item {
    /// An item with a name and nothing else.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            id: String::new(),
            name: name.into(),
            uris: Vec::new(),
            username: None,
            password: None,
            totp: None,
            notes: None,
            fields: Vec::new(),
            created: epoch(),
            updated: epoch(),
            extra: Extra::default(),
        }
    }

    /// What a list shows of it.
    pub fn summary(&self) -> ItemSummary {
        ItemSummary {
            id: self.id.clone(),
            name: self.name.clone(),
            username: self.username.as_ref().map(|name| name.expose_secret().to_owned()),
            uris: self.uris.clone(),
            fields: self.available_fields(),
            updated: self.updated,
        }
    }

    /// The fields that have a value, in a fixed order.
    pub fn available_fields(&self) -> Vec<Field> {
        let plain = [
            (Field::Username, self.username.is_some()),
            (Field::Password, self.password.is_some()),
            (Field::Totp, self.totp.is_some()),
            (Field::Uri, !self.uris.is_empty()),
            (Field::Notes, self.notes.is_some()),
        ];
        let custom = self.fields.iter().map(|field| Field::Custom(field.name.clone()));
        plain.into_iter().filter_map(|(field, present)| present.then_some(field)).chain(custom).collect()
    }

    /// Of this item, those of `fields` that exist; see [`crate::OpenVault::read`].
    pub fn credential(
        &self,
        fields: &[Field],
        domain: &Domain,
        now: OffsetDateTime,
    ) -> Result<Credential, Error> {
        let mut credential =
            Credential { item_id: self.id.clone(), domain: Some(domain.clone()), ..Credential::default() };
        for field in fields {
            if let Some(value) = self.field(field, domain, now)? {
                credential.set(field, value);
            }
        }
        Ok(credential)
    }

    /// How this item answers a request, by its best address. An item without addresses goes by its name,
    /// when that is a host name.
    pub(crate) fn matches(&self, asked: &Asked<'_>) -> Option<MatchKind> {
        self.hosts().filter_map(|host| asked.matches(&host)).min()
    }

    /// The hosts it is for.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = Domain> {
        let by_name = self.uris.is_empty().then(|| Domain::parse(&self.name.to_lowercase()).ok()).flatten();
        by_name.into_iter().chain(self.uris.iter().filter_map(|uri| uri_domain(uri)))
    }

    /// Refuses what could not be asked for or would not be read back.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid = |reason: &str| Error::InvalidItem { reason: reason.to_owned() };
        if self.name.trim().is_empty() {
            return Err(invalid("it has no name"));
        }
        if self.name.chars().any(char::is_control) {
            return Err(invalid("its name contains control characters"));
        }
        if self.uris.len() > MAX_PARTS || self.fields.len() > MAX_PARTS {
            return Err(invalid("it has more than 256 addresses or custom fields"));
        }
        let secrets = [&self.username, &self.password, &self.notes].into_iter().flatten();
        let lengths = secrets
            .chain(self.fields.iter().map(|field| &field.value))
            .map(|secret| secret.expose_secret().len())
            .chain(self.uris.iter().map(String::len))
            .chain([self.name.len()]);
        if lengths.max().is_some_and(|longest| longest > MAX_TEXT_BYTES) {
            return Err(invalid("one of its texts is longer than 256 KiB"));
        }
        for (index, field) in self.fields.iter().enumerate() {
            if format!("custom:{}", field.name).parse::<Field>().is_err() {
                return Err(invalid(
                    "a custom field's name is empty, longer than 64 bytes or contains control characters",
                ));
            }
            if self.fields.iter().take(index).any(|earlier| earlier.name == field.name) {
                return Err(invalid("two custom fields have the same name"));
            }
        }
        if let Some(totp) = &self.totp {
            TotpSecret::parse(totp.expose_seed())?;
        }
        Ok(())
    }

    fn field(
        &self,
        field: &Field,
        domain: &Domain,
        now: OffsetDateTime,
    ) -> Result<Option<SecretString>, Error> {
        let copy = |secret: &Option<SecretString>| secret.as_ref().map(SecretString::duplicate);
        Ok(match field {
            Field::Username => copy(&self.username),
            Field::Password => copy(&self.password),
            Field::Totp => self.totp.as_ref().map(|totp| totp.code(now)).transpose()?,
            Field::Uri => self.best_uri(domain).map(|uri| SecretString::new(uri.to_owned())),
            Field::Notes => copy(&self.notes),
            Field::Custom(name) => {
                self.fields.iter().find(|field| field.name == *name).map(|field| field.value.duplicate())
            }
        })
    }

    fn best_uri(&self, domain: &Domain) -> Option<&str> {
        let asked = Asked::new(domain);
        let matching = self.uris.iter().filter_map(|uri| Some((asked.matches(&uri_domain(uri)?)?, uri)));
        matching
            .min_by_key(|(kind, _)| *kind)
            .map(|(_, uri)| uri)
            .or_else(|| self.uris.first())
            .map(String::as_str)
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.name.zeroize();
        self.uris.zeroize();
    }
}

/// Keys of a file that this version does not know. They survive an edit, and are wiped like the rest.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Extra(Map<String, Value>);

impl Drop for Extra {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} unknown keys]", self.0.len())
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[expect(clippy::ref_option, reason = "the signature serde calls")]
pub(crate) fn exposed<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(SecretString::expose_secret).serialize(serializer)
}

pub(crate) fn exposed_one<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn epoch() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Item {
        let mut item = Item::new("Example");
        item.uris = vec!["https://other.test".into(), "https://www.example.com/login".into()];
        item.username = Some(SecretString::new("ann".into()));
        item.password = Some(SecretString::new("hunter2".into()));
        item.totp = Some(TotpSecret::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap());
        item.fields =
            vec![CustomField { name: "pin".into(), value: SecretString::new("4711".into()), hidden: true }];
        item
    }

    #[test]
    fn only_what_was_asked_for_and_exists_is_released() {
        let domain = Domain::parse("example.com").unwrap();
        let fields = [Field::Password, Field::Notes, Field::Totp, Field::Uri, Field::Custom("pin".into())];
        let credential =
            full().credential(&fields, &domain, OffsetDateTime::from_unix_timestamp(59).unwrap()).unwrap();
        let value = |field| credential.get(&field).map(SecretString::expose_secret);
        assert_eq!(value(Field::Username), None);
        assert_eq!(value(Field::Notes), None);
        assert_eq!(value(Field::Password), Some("hunter2"));
        assert_eq!(value(Field::Totp), Some("287082"));
        assert_eq!(value(Field::Uri), Some("https://www.example.com/login"));
        assert_eq!(value(Field::Custom("pin".into())), Some("4711"));
    }

    #[test]
    fn debug_and_summary_show_no_secret() {
        let item = full();
        let shown = format!("{item:?} {:?}", item.summary());
        for secret in ["hunter2", "4711", "GEZDG"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert_eq!(item.summary().fields.len(), 5);
    }

    #[test]
    fn an_item_without_addresses_goes_by_its_name() {
        let domain = Domain::parse("login.example.com").unwrap();
        let kind = |name: &str| Item::new(name).matches(&Asked::new(&domain));
        assert_eq!(kind("Example.com"), Some(MatchKind::ParentDomain));
        assert_eq!(kind("ann@example.com"), None);
        assert_eq!(kind("Example"), None);
    }

    #[test]
    fn what_could_not_be_asked_for_is_refused() {
        let broken: [fn(&mut Item); 5] = [
            |item| item.name = " ".into(),
            |item| item.name = "a\u{1b}[2J".into(),
            |item| item.fields[0].name = String::new(),
            |item| {
                item.fields.push(CustomField {
                    name: "pin".into(),
                    value: String::new().into(),
                    hidden: false,
                });
            },
            |item| item.notes = Some(SecretString::new("x".repeat(MAX_TEXT_BYTES + 1))),
        ];
        for (index, breaks) in broken.into_iter().enumerate() {
            let mut item = full();
            assert!(item.check().is_ok());
            breaks(&mut item);
            assert!(item.check().is_err(), "case {index}");
        }
    }
}
