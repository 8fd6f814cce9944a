//! Items as they are shown, in the member order of the official command line.

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use zeroize::Zeroizing;

/// A decrypted text. Wiped on drop, redacted in `Debug`.
///
/// It serialises, because printing items is what the reading commands are for; nothing else may serialise it.
#[derive(Clone, PartialEq, Eq)]
pub struct ItemText(Zeroizing<String>);

impl ItemText {
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ItemText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for ItemText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// One decrypted item.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Item {
    /// 1 login, 2 note, 3 card, 4 identity, 5 SSH key, 6 bank account, 7 driver's licence, 8 passport.
    pub kind: u8,
    /// Empty when it could not be decrypted.
    pub name: ItemText,
    /// Marked by the owner.
    pub favorite: bool,
    /// 1 when the owner wants the master password asked again.
    pub reprompt: u8,
    /// The item's id.
    pub id: String,
    /// Collections it is in.
    pub collection_ids: Vec<String>,
    /// The organisation it belongs to.
    pub organization_id: Option<String>,
    /// The folder it is in.
    pub folder_id: Option<String>,
    /// Free text.
    pub notes: Option<ItemText>,
    /// The item's own key, still wrapped.
    pub key: Option<String>,
    /// Custom fields.
    pub fields: Vec<CustomField>,
    /// Present for logins.
    pub login: Option<Login>,
    /// The type's own object for everything but logins: its name and its members in order.
    pub details: Option<(&'static str, Vec<(&'static str, Detail)>)>,
    /// Earlier passwords; `None` when the account may not see passwords.
    pub password_history: Option<Vec<History>>,
    /// RFC 3339, milliseconds.
    pub creation_date: Option<String>,
    /// RFC 3339, milliseconds.
    pub revision_date: Option<String>,
    /// In the trash since.
    pub deleted_date: Option<String>,
    /// In the archive since.
    pub archived_date: Option<String>,
    /// Attached files.
    pub attachments: Vec<Attachment>,
    /// Whether the organisation pays for TOTP codes.
    pub organization_use_totp: bool,
}

impl Item {
    /// The login's TOTP setting, if it has one.
    pub fn totp(&self) -> Option<&ItemText> {
        self.login.as_ref()?.totp.as_ref()
    }

    /// The first custom field of this name.
    pub fn custom(&self, name: &str) -> Option<&ItemText> {
        let named = |f: &&CustomField| f.name.as_ref().is_some_and(|n| n.expose() == name);
        self.fields.iter().find(named)?.value.as_ref()
    }

    fn kind_object(&self) -> Option<&'static str> {
        self.details.as_ref().map(|(name, _)| *name)
    }
}

/// One member of a type's own object.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Detail {
    /// A decrypted text.
    Text(ItemText),
    /// A plain number.
    Number(u64),
}

/// What only logins have.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Login {
    /// Where it is used.
    pub uris: Vec<LoginUri>,
    /// Passkeys, their fields decrypted, in the official order.
    pub fido2_credentials: Vec<Vec<(&'static str, Detail)>>,
    /// User name.
    pub username: Option<ItemText>,
    /// Password.
    pub password: Option<ItemText>,
    /// TOTP setting: an `otpauth://` or `steam://` address or a bare secret.
    pub totp: Option<ItemText>,
    /// When the password last changed, RFC 3339.
    pub password_revision_date: Option<String>,
    /// False when the account may use but not see the password: then password and TOTP are printed as null.
    pub visible: bool,
}

/// One address of a login.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LoginUri {
    /// The address, as the owner wrote it.
    pub uri: ItemText,
    /// How it is to be compared; `None` is the account's default.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub rule: Option<u8>,
}

/// A custom field of an item.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CustomField {
    /// 0 text, 1 hidden, 2 boolean, 3 linked.
    pub kind: u8,
    /// Its name.
    pub name: Option<ItemText>,
    /// Its value.
    pub value: Option<ItemText>,
    /// What a linked field points at.
    pub linked_id: Option<u32>,
    /// True when the value must be printed as null.
    pub masked: bool,
}

/// An earlier password.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// RFC 3339, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_date: Option<String>,
    /// The password.
    pub password: ItemText,
}

/// An attached file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<ItemText>,
    /// Bytes, as the server writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<serde_json::Value>,
    /// The size for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_name: Option<String>,
    /// Where it lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its name.
    pub name: String,
    /// Its id; empty for the entry "No Folder".
    pub id: String,
}

impl Serialize for Folder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("object", "folder")?;
        map.serialize_entry("id", &self.id)?;
        map.end()
    }
}

/// A collection of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Its id.
    pub id: String,
    /// The organisation.
    pub organization_id: Option<String>,
    /// Its name.
    pub name: String,
    /// The id another system knows it by.
    pub external_id: Option<String>,
}

impl Serialize for Collection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("object", "collection")?;
        map.serialize_entry("id", &self.id)?;
        entry(&mut map, "organizationId", self.organization_id.as_ref())?;
        map.serialize_entry("name", &self.name)?;
        entry(&mut map, "externalId", self.external_id.as_ref())?;
        map.end()
    }
}

/// An organisation the account belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// 2 is confirmed.
    pub status: i64,
    /// The account's role.
    pub kind: i64,
    /// Whether it is active.
    pub enabled: bool,
}

impl Serialize for Organization {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("object", "organization")?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("status", &self.status)?;
        map.serialize_entry("type", &self.kind)?;
        map.serialize_entry("enabled", &self.enabled)?;
        map.end()
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.kind)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("favorite", &self.favorite)?;
        map.serialize_entry("reprompt", &self.reprompt)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("collectionIds", &self.collection_ids)?;
        map.serialize_entry("object", "item")?;
        entry(&mut map, "organizationId", self.organization_id.as_ref())?;
        entry(&mut map, "folderId", self.folder_id.as_ref())?;
        entry(&mut map, "notes", self.notes.as_ref())?;
        entry(&mut map, "key", self.key.as_ref())?;
        map.serialize_entry("fields", &self.fields)?;
        entry(&mut map, "login", self.login.as_ref())?;
        if let (Some(name), Some((_, members))) = (self.kind_object(), &self.details) {
            map.serialize_entry(name, &Ordered(members))?;
        }
        entry(&mut map, "passwordHistory", self.password_history.as_ref())?;
        entry(&mut map, "creationDate", self.creation_date.as_ref())?;
        entry(&mut map, "revisionDate", self.revision_date.as_ref())?;
        entry(&mut map, "deletedDate", self.deleted_date.as_ref())?;
        entry(&mut map, "archivedDate", self.archived_date.as_ref())?;
        map.serialize_entry("attachments", &self.attachments)?;
        map.end()
    }
}

impl Serialize for Login {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("uris", &self.uris)?;
        let passkeys: Vec<_> = self.fido2_credentials.iter().map(|c| Ordered(c)).collect();
        map.serialize_entry("fido2Credentials", &passkeys)?;
        entry(&mut map, "username", self.username.as_ref())?;
        if self.visible {
            entry(&mut map, "password", self.password.as_ref())?;
            entry(&mut map, "totp", self.totp.as_ref())?;
        } else {
            map.serialize_entry("password", &())?;
            map.serialize_entry("totp", &())?;
        }
        map.serialize_entry("passwordRevisionDate", &self.password_revision_date)?;
        map.end()
    }
}

impl Serialize for CustomField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.kind)?;
        entry(&mut map, "name", self.name.as_ref())?;
        if self.masked {
            map.serialize_entry("value", &())?;
        } else {
            entry(&mut map, "value", self.value.as_ref())?;
        }
        entry(&mut map, "linkedId", self.linked_id.as_ref())?;
        map.end()
    }
}

/// Members of an object whose order is fixed elsewhere.
struct Ordered<'a>(&'a [(&'static str, Detail)]);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(k, v)| (*k, v)))
    }
}

fn entry<M: serde::ser::SerializeMap, T: Serialize>(
    map: &mut M,
    key: &str,
    value: Option<&T>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(key, value),
        None => Ok(()),
    }
}
