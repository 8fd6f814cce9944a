//! From encrypted to shown: which key an item uses, and field by field what it holds.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bitwarden_crypto::SymmetricCryptoKey;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::encrypted::{EncAttachment, EncCipher, EncField, EncHistory, EncUri, Members, Text, list};
use super::view::{Attachment, CustomField, Detail, History, Item, ItemText, Login, LoginUri};
use crate::crypto::Keyring;

const HIDDEN: u8 = 1;

/// The key that an item's fields are under.
pub(crate) enum ItemKey<'k> {
    /// Its owner's.
    Owner(&'k SymmetricCryptoKey),
    /// Its own.
    Own(Box<SymmetricCryptoKey>),
    /// The organisation's key is not there: the item is listed, without contents.
    Missing,
}

impl<'k> ItemKey<'k> {
    /// `None` when the item has a key of its own that does not open: then it is left out altogether.
    pub(crate) fn of(item: &EncCipher<'_>, keyring: &'k Keyring) -> Option<Self> {
        let Some(owner) = keyring.owner(item.organization_id.as_deref()) else { return Some(Self::Missing) };
        match &item.key {
            None => Some(Self::Owner(owner)),
            Some(wrapped) => {
                crate::crypto::unwrap_item_key(owner, wrapped).map(|key| Self::Own(Box::new(key)))
            }
        }
    }

    /// A text under this key; `None` when it is absent or does not open.
    pub(crate) fn text(&self, text: Option<&Text<'_>>) -> Option<String> {
        let text = text?;
        match self {
            Self::Owner(key) => crate::crypto::decrypt_with(key, text),
            Self::Own(key) => crate::crypto::decrypt_with(key, text),
            Self::Missing => None,
        }
    }

    fn item_text(&self, text: Option<&Text<'_>>) -> Option<ItemText> {
        self.text(text).map(ItemText::new)
    }

    /// An address of a login. Under an item's own key it counts only with a fitting checksum: otherwise a
    /// server could move an address it has seen elsewhere to another item.
    pub(crate) fn uri(&self, uri: &EncUri<'_>) -> Option<String> {
        self.uri_if(uri, |_| true)
    }

    /// The same for an address that is wanted; the checksum of others is not looked at.
    pub(crate) fn uri_if(&self, uri: &EncUri<'_>, wanted: impl FnOnce(&str) -> bool) -> Option<String> {
        let mut text = Zeroizing::new(self.text(uri.uri.as_ref())?);
        if !wanted(&text) {
            return None;
        }
        if matches!(self, Self::Own(_)) {
            let expected = self.text(uri.uri_checksum.as_ref())?;
            let actual = STANDARD.encode(Sha256::digest(text.as_bytes()));
            if !bool::from(expected.as_bytes().ct_eq(actual.as_bytes())) {
                return None;
            }
        }
        Some(std::mem::take(&mut text))
    }
}

/// Decrypts a whole item. `None` when its own key does not open.
pub(crate) fn open_item(item: &EncCipher<'_>, keyring: &Keyring) -> Option<Item> {
    let key = ItemKey::of(item, keyring)?;
    let missing = matches!(key, ItemKey::Missing);
    Some(Item {
        kind: item.kind,
        name: key.item_text(item.name.as_ref()).unwrap_or_else(|| ItemText::new(String::new())),
        favorite: item.favorite,
        reprompt: item.reprompt,
        id: item.id.to_string(),
        collection_ids: item.collection_ids.iter().map(|t| t.to_string()).collect(),
        organization_id: item.organization_id.as_ref().map(|t| t.to_string()),
        folder_id: item.folder_id.as_ref().map(|t| t.to_string()),
        notes: key.item_text(item.notes.as_ref()),
        key: item.key.as_ref().map(|t| t.to_string()),
        fields: if missing {
            Vec::new()
        } else {
            list(item.fields).iter().map(|f| field(&key, f, item.view_password)).collect()
        },
        login: (item.kind == 1).then(|| login(&key, item)),
        details: details(&key, item),
        password_history: item.view_password.then(|| history(&key, item)),
        creation_date: date(item.creation_date.as_ref()),
        revision_date: date(item.revision_date.as_ref()),
        deleted_date: date(item.deleted_date.as_ref()),
        archived_date: date(item.archived_date.as_ref()),
        attachments: attachments(&key, item),
        organization_use_totp: item.organization_use_totp,
    })
}

fn login(key: &ItemKey<'_>, item: &EncCipher<'_>) -> Login {
    let Some(enc) = &item.login else {
        return Login {
            uris: Vec::new(),
            fido2_credentials: Vec::new(),
            username: None,
            password: None,
            totp: None,
            password_revision_date: None,
            visible: item.view_password,
        };
    };
    let uris =
        enc.uris.iter().filter_map(|u| Some(LoginUri { uri: ItemText::new(key.uri(u)?), rule: u.rule }));
    let passkeys = if matches!(key, ItemKey::Missing) { &[][..] } else { &enc.fido2_credentials };
    Login {
        uris: uris.collect(),
        fido2_credentials: passkeys.iter().map(|raw| passkey(key, raw)).collect(),
        username: key.item_text(enc.username.as_ref()),
        password: key.item_text(enc.password.as_ref()),
        totp: key.item_text(enc.totp.as_ref()),
        password_revision_date: date(enc.password_revision_date.as_ref()),
        visible: item.view_password,
    }
}

/// Passkey members in order; the second says whether an absent one is shown as an empty text.
const PASSKEY: &[(&str, bool)] = &[
    ("credentialId", true),
    ("keyType", true),
    ("keyAlgorithm", true),
    ("keyCurve", true),
    ("keyValue", true),
    ("rpId", true),
    ("userHandle", false),
    ("userName", false),
    ("counter", true),
    ("rpName", false),
    ("userDisplayName", false),
    ("discoverable", true),
];

fn passkey(key: &ItemKey<'_>, raw: &RawValue) -> Vec<(&'static str, Detail)> {
    let members = text_members(raw);
    let mut shown: Vec<_> = PASSKEY
        .iter()
        .filter_map(|(name, always)| {
            let text = member(&members, name).and_then(|t| key.text(Some(t)));
            let text = if *always { Some(text.unwrap_or_default()) } else { text };
            Some((*name, Detail::Text(ItemText::new(text?))))
        })
        .collect();
    if let Some(created) = date(member(&members, "creationDate")) {
        shown.push(("creationDate", Detail::Text(ItemText::new(created))));
    }
    shown
}

/// The members of each type's own object, in the order they are shown.
fn layout<'a>(item: &EncCipher<'a>) -> Option<(&'static str, Option<&'a RawValue>, &'static [&'static str])> {
    Some(match item.kind {
        3 => ("card", item.card, &["cardholderName", "brand", "number", "expMonth", "expYear", "code"]),
        4 => (
            "identity",
            item.identity,
            &[
                "title",
                "firstName",
                "middleName",
                "lastName",
                "address1",
                "address2",
                "address3",
                "city",
                "state",
                "postalCode",
                "country",
                "company",
                "email",
                "phone",
                "ssn",
                "username",
                "passportNumber",
                "licenseNumber",
            ],
        ),
        5 => ("sshKey", item.ssh_key, &["privateKey", "publicKey", "keyFingerprint"]),
        6 => (
            "bankAccount",
            item.bank_account,
            &[
                "bankName",
                "nameOnAccount",
                "accountType",
                "accountNumber",
                "routingNumber",
                "branchNumber",
                "pin",
                "swiftCode",
                "iban",
                "bankContactPhone",
            ],
        ),
        7 => (
            "driversLicense",
            item.drivers_license,
            &[
                "firstName",
                "middleName",
                "lastName",
                "dateOfBirth",
                "licenseNumber",
                "issuingCountry",
                "issuingState",
                "issueDate",
                "expirationDate",
                "issuingAuthority",
                "licenseClass",
            ],
        ),
        8 => (
            "passport",
            item.passport,
            &[
                "surname",
                "givenName",
                "dateOfBirth",
                "sex",
                "birthPlace",
                "nationality",
                "issuingCountry",
                "passportNumber",
                "passportType",
                "nationalIdentificationNumber",
                "issuingAuthority",
                "issueDate",
                "expirationDate",
            ],
        ),
        _ => return None,
    })
}

fn details(key: &ItemKey<'_>, item: &EncCipher<'_>) -> Option<(&'static str, Vec<(&'static str, Detail)>)> {
    if item.kind == 2 {
        return Some(("secureNote", vec![("type", Detail::Number(note_kind(item)))]));
    }
    let (name, raw, members) = layout(item)?;
    let values = raw.map(text_members).unwrap_or_default();
    let shown = members.iter().filter_map(|m| {
        let text = member(&values, m).and_then(|t| key.text(Some(t)));
        // An SSH key always has its three parts.
        let text = if item.kind == 5 { Some(text.unwrap_or_default()) } else { text };
        Some((*m, Detail::Text(ItemText::new(text?))))
    });
    Some((name, shown.collect()))
}

fn note_kind(item: &EncCipher<'_>) -> u64 {
    #[derive(serde::Deserialize)]
    struct Note {
        #[serde(rename = "type", default)]
        kind: u64,
    }
    item.secure_note.and_then(|raw| serde_json::from_str::<Note>(raw.get()).ok()).map_or(0, |n| n.kind)
}

/// The text by which a search may also find an item, decrypted on demand.
pub(crate) fn subtitle(key: &ItemKey<'_>, item: &EncCipher<'_>) -> Option<String> {
    if item.kind == 1 {
        let login = item.login.as_ref()?;
        let passkey = || {
            let members = text_members(login.fido2_credentials.first()?);
            key.text(member(&members, "userName"))
        };
        return key.text(login.username.as_ref()).or_else(passkey);
    }
    let (_, raw, _) = layout(item)?;
    let members = raw.map(text_members).unwrap_or_default();
    let get = |name: &str| key.text(member(&members, name)).filter(|t| !t.is_empty());
    let join = |parts: [Option<String>; 2], with: &str| {
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(with))
    };
    match item.kind {
        3 => join([get("brand"), get("number").and_then(|n| card_tail(&n))], ", "),
        4 => join([get("firstName"), get("lastName")], " "),
        5 => get("keyFingerprint"),
        6 => get("bankName"),
        7 => join([join([get("firstName"), get("lastName")], " "), get("issuingState")], ", "),
        8 => join([join([get("givenName"), get("surname")], " "), get("issuingCountry")], ", "),
        _ => None,
    }
}

/// `*1234`; American Express numbers show five digits.
fn card_tail(number: &str) -> Option<String> {
    let digits: Vec<char> = number.chars().collect();
    let amex = digits.len() >= 5 && (number.starts_with("34") || number.starts_with("37"));
    let tail = digits.len().checked_sub(if amex { 5 } else { 4 })?;
    Some(format!("*{}", digits.get(tail..)?.iter().collect::<String>()))
}

fn field(key: &ItemKey<'_>, enc: &EncField<'_>, visible: bool) -> CustomField {
    CustomField {
        kind: enc.kind,
        name: key.item_text(enc.name.as_ref()),
        value: key.item_text(enc.value.as_ref()),
        linked_id: enc.linked_id,
        masked: enc.kind == HIDDEN && !visible,
    }
}

fn history(key: &ItemKey<'_>, item: &EncCipher<'_>) -> Vec<History> {
    let entries: Vec<EncHistory<'_>> = list(item.password_history);
    entries
        .iter()
        .filter_map(|h| {
            Some(History {
                last_used_date: date(h.last_used_date.as_ref()),
                password: key.item_text(h.password.as_ref())?,
            })
        })
        .collect()
}

fn attachments(key: &ItemKey<'_>, item: &EncCipher<'_>) -> Vec<Attachment> {
    let owned = |t: Option<&Text<'_>>| t.map(|t| t.to_string());
    let attachments: Vec<EncAttachment<'_>> = list(item.attachments);
    attachments
        .iter()
        .map(|a| Attachment {
            id: owned(a.id.as_ref()),
            file_name: key.item_text(a.file_name.as_ref()),
            size: a.size.clone(),
            size_name: owned(a.size_name.as_ref()),
            url: owned(a.url.as_ref()),
        })
        .collect()
}

/// The members of an object that are texts; others are passed over.
fn text_members(raw: &RawValue) -> Vec<(Text<'_>, Text<'_>)> {
    let members: Members<Text<'_>, &RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    members.0.into_iter().filter_map(|(k, v)| Some((k, serde_json::from_str(v.get()).ok()?))).collect()
}

fn member<'m, 'a>(members: &'m [(Text<'a>, Text<'a>)], name: &str) -> Option<&'m Text<'a>> {
    members.iter().find(|(k, _)| &**k == name).map(|(_, v)| v)
}

/// A server's date cut to milliseconds, as it is shown. Something that is no date is not shown.
fn date(text: Option<&Text<'_>>) -> Option<String> {
    let parsed = OffsetDateTime::parse(text?, &Rfc3339).ok()?;
    Some(crate::clock::iso_millis(parsed))
}
