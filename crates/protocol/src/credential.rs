//! What an agent asks for and receives: field names and the credential itself.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Domain, Error, SecretString};

/// Longest name of a custom field, in bytes.
pub const MAX_CUSTOM_NAME_BYTES: usize = 64;

/// Most fields one request may name.
pub const MAX_FIELDS: usize = 16;

/// One part of an item that an agent may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(extend("pattern" = "^(username|password|totp|uri|notes|custom:.+)$")))]
#[serde(try_from = "String", into = "String")]
pub enum Field {
    /// The login name.
    Username,
    /// The password.
    Password,
    /// A one-time code computed at release (RFC 6238), never its seed.
    Totp,
    /// The address the item is for.
    Uri,
    /// Free text.
    Notes,
    /// A field the owner named.
    Custom(String),
}

impl Field {
    /// What a request without `fields` means.
    pub fn default_set() -> Vec<Self> {
        vec![Self::Username, Self::Password]
    }
}

impl FromStr for Field {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "username" => Self::Username,
            "password" => Self::Password,
            "totp" => Self::Totp,
            "uri" => Self::Uri,
            "notes" => Self::Notes,
            _ => {
                let name = text.strip_prefix("custom:").ok_or(Error::InvalidField)?;
                let fits = !name.is_empty() && name.len() <= MAX_CUSTOM_NAME_BYTES;
                if !fits || name.chars().any(char::is_control) {
                    return Err(Error::InvalidField);
                }
                Self::Custom(name.to_owned())
            }
        })
    }
}

impl TryFrom<String> for Field {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Field> for String {
    fn from(field: Field) -> Self {
        field.to_string()
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Username => f.write_str("username"),
            Self::Password => f.write_str("password"),
            Self::Totp => f.write_str("totp"),
            Self::Uri => f.write_str("uri"),
            Self::Notes => f.write_str("notes"),
            Self::Custom(name) => write!(f, "custom:{name}"),
        }
    }
}

/// What an agent receives of an item: only the fields that were asked for and approved.
///
/// Every value wipes itself; `Debug` names the fields that are present and shows none of them.
#[derive(Default)]
pub struct Credential {
    /// The provider's id of the item.
    pub item_id: String,
    /// The domain the credential was released for.
    pub domain: Option<Domain>,
    /// The login name.
    pub username: Option<SecretString>,
    /// The password.
    pub password: Option<SecretString>,
    /// A one-time code, valid for at most its period.
    pub totp: Option<SecretString>,
    /// The address the item is for.
    pub uri: Option<SecretString>,
    /// Free text.
    pub notes: Option<SecretString>,
    /// Fields the owner named.
    pub custom: BTreeMap<String, SecretString>,
}

impl Credential {
    /// The value of one field, when it was released.
    pub fn get(&self, field: &Field) -> Option<&SecretString> {
        match field {
            Field::Username => self.username.as_ref(),
            Field::Password => self.password.as_ref(),
            Field::Totp => self.totp.as_ref(),
            Field::Uri => self.uri.as_ref(),
            Field::Notes => self.notes.as_ref(),
            Field::Custom(name) => self.custom.get(name),
        }
    }

    /// Sets one field, replacing (and wiping) what was there.
    pub fn set(&mut self, field: &Field, value: SecretString) {
        match field {
            Field::Username => self.username = Some(value),
            Field::Password => self.password = Some(value),
            Field::Totp => self.totp = Some(value),
            Field::Uri => self.uri = Some(value),
            Field::Notes => self.notes = Some(value),
            Field::Custom(name) => {
                self.custom.insert(name.clone(), value);
            }
        }
    }

    /// The fields that have a value, in a fixed order.
    pub fn fields(&self) -> Vec<Field> {
        let plain = [Field::Username, Field::Password, Field::Totp, Field::Uri, Field::Notes];
        let custom = self.custom.keys().cloned().map(Field::Custom);
        plain.into_iter().filter(|field| self.get(field).is_some()).chain(custom).collect()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<String> = self.fields().iter().map(ToString::to_string).collect();
        f.debug_struct("Credential")
            .field("item_id", &self.item_id)
            .field("domain", &self.domain)
            .field("fields", &fields)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_round_trip() {
        for name in ["username", "password", "totp", "uri", "notes", "custom:API key"] {
            assert_eq!(name.parse::<Field>().map(|f| f.to_string()).as_deref(), Ok(name));
        }
        for bad in ["", "Password", "custom:", "custom:a\nb", &format!("custom:{}", "x".repeat(65))] {
            assert!(bad.parse::<Field>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_names_fields_and_shows_no_value() {
        let mut credential = Credential { item_id: "1".into(), ..Credential::default() };
        credential.set(&Field::Password, SecretString::new("hunter2".into()));
        credential.set(&Field::Custom("pin".into()), SecretString::new("4711".into()));
        let shown = format!("{credential:?}");
        assert!(shown.contains("password") && shown.contains("custom:pin"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("4711"), "{shown}");
    }
}
