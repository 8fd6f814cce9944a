//! Items as they lie on disk: borrowed from the data file's text, so that a vault of thousands costs no copies.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A text borrowed where the JSON has no escapes, owned where it has.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(..)")
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for TextVisitor<'a> {
            type Value = Text<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

/// A JSON object's members in the order of the document.
#[derive(Debug)]
pub(crate) struct Members<K, V>(pub(crate) Vec<(K, V)>);

impl<K, V> Default for Members<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Members<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for MembersVisitor<K, V> {
            type Value = Members<K, V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor(PhantomData))
    }
}

/// `null` reads like an absent value.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

fn or_true<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(d)?.unwrap_or(true))
}

fn yes() -> bool {
    true
}

/// A list that only the one item that is opened is asked for.
pub(crate) fn list<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Vec<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// One encrypted item.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EncCipher<'a> {
    #[serde(borrow)]
    pub(crate) id: Text<'a>,
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    #[serde(default, borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) notes: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) organization_id: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) folder_id: Option<Text<'a>>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(crate) collection_ids: Vec<Text<'a>>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) favorite: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) reprompt: u8,
    #[serde(default, borrow)]
    pub(crate) key: Option<Text<'a>>,
    #[serde(default = "yes", deserialize_with = "or_true")]
    pub(crate) view_password: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) organization_use_totp: bool,
    #[serde(default, borrow)]
    pub(crate) revision_date: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) creation_date: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) deleted_date: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) archived_date: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) fields: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) password_history: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) attachments: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) login: Option<EncLogin<'a>>,
    #[serde(default, borrow)]
    pub(crate) secure_note: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) card: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) identity: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) ssh_key: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) bank_account: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) drivers_license: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) passport: Option<&'a RawValue>,
}

/// The part of an item that only logins have.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EncLogin<'a> {
    #[serde(default, borrow)]
    pub(crate) username: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) password: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) totp: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) password_revision_date: Option<Text<'a>>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(crate) uris: Vec<EncUri<'a>>,
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(crate) fido2_credentials: Vec<&'a RawValue>,
}

/// One URI of a login.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EncUri<'a> {
    #[serde(default, borrow)]
    pub(crate) uri: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) uri_checksum: Option<Text<'a>>,
    #[serde(default, rename = "match")]
    pub(crate) rule: Option<u8>,
}

/// A custom field.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EncField<'a> {
    #[serde(rename = "type", default)]
    pub(crate) kind: u8,
    #[serde(default, borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) value: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) linked_id: Option<u32>,
}

/// An earlier password.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EncHistory<'a> {
    #[serde(default, borrow)]
    pub(crate) password: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) last_used_date: Option<Text<'a>>,
}

/// An attached file's description.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EncAttachment<'a> {
    #[serde(default, borrow)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) file_name: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) size: Option<serde_json::Value>,
    #[serde(default, borrow)]
    pub(crate) size_name: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) url: Option<Text<'a>>,
}

/// A folder.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct EncFolder<'a> {
    #[serde(borrow)]
    pub(crate) id: Text<'a>,
    #[serde(default, borrow)]
    pub(crate) name: Option<Text<'a>>,
}

/// A collection of an organisation.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EncCollection<'a> {
    #[serde(borrow)]
    pub(crate) id: Text<'a>,
    #[serde(default, borrow)]
    pub(crate) organization_id: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) external_id: Option<Text<'a>>,
}
