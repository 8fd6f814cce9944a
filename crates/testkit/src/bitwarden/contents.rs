//! Vault contents, encrypted as a client would have uploaded them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use durward_bitwarden::crypto::{UserKey, share_key};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::cose;

const DATE: &str = "2026-11-21T23:10:22.117321Z";

/// What one item shall hold; everything else is left out.
#[derive(Clone, Debug, Default)]
pub struct ItemSpec {
    /// Name.
    pub name: String,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// TOTP setting.
    pub totp: Option<String>,
    /// Addresses with their rules.
    pub uris: Vec<(String, Option<u8>)>,
    /// Notes.
    pub notes: Option<String>,
    /// Custom fields: kind, name, value.
    pub fields: Vec<(u8, String, String)>,
    /// Whether the item has a key of its own.
    pub own_key: bool,
    /// Whether it belongs to the organisation.
    pub shared: bool,
    /// Whether it is in the folder.
    pub in_folder: bool,
    /// Whether it is in the trash.
    pub deleted: bool,
    /// Whether the account may not see the password.
    pub hidden: bool,
    /// Earlier passwords.
    pub history: Vec<String>,
    /// Whether the checksum of the last address is another's.
    pub bent_checksum: bool,
}

impl ItemSpec {
    /// A login with the usual three.
    pub fn login(name: &str, username: &str, password: &str, uri: &str) -> Self {
        Self {
            name: name.to_owned(),
            username: Some(username.to_owned()),
            password: Some(password.to_owned()),
            uris: vec![(uri.to_owned(), None)],
            ..Self::default()
        }
    }
}

/// An account's encrypted vault.
#[derive(Clone, Debug)]
pub struct Contents {
    user: UserKey,
    org: UserKey,
    pub(super) org_id: String,
    pub(super) org_key: String,
    folder_id: String,
    collection_id: String,
    /// `folders` of a sync.
    pub folders: Vec<Value>,
    /// `collections` of a sync.
    pub collections: Vec<Value>,
    /// `ciphers` of a sync.
    pub ciphers: Vec<Value>,
    next: u64,
}

#[allow(clippy::expect_used, reason = "encryption of test data does not fail")]
impl Contents {
    /// An empty vault with one folder, one organisation and one collection.
    pub fn new(user: UserKey, public_der: &[u8]) -> Self {
        let org = UserKey::generate();
        let org_id = "27e478ff-393e-4d96-ac01-4bd163aed5d7".to_owned();
        let folder_id = "1326e1fb-b296-4077-9118-3eaf02776dc0".to_owned();
        let collection_id = "5b6f8e4a-25e1-417d-853d-690e0ef4bc8e".to_owned();
        let folder = user.encrypt("Work").expect("encrypts");
        let collection = org.encrypt("Shared").expect("encrypts");
        Self {
            org_key: share_key(&org, public_der).expect("shares"),
            folders: vec![json!({"id": folder_id, "name": folder, "revisionDate": DATE, "object": "folder"})],
            collections: vec![json!({
                "id": collection_id, "organizationId": org_id, "name": collection, "externalId": null,
                "readOnly": false, "manage": true, "hidePasswords": false, "type": 0, "object": "collectionDetails",
            })],
            user,
            org,
            org_id,
            folder_id,
            collection_id,
            ciphers: Vec::new(),
            next: 0,
        }
    }

    /// Adds a login; returns its id.
    pub fn add(&mut self, item: &ItemSpec) -> String {
        let owner = if item.shared { &self.org } else { &self.user };
        let own = UserKey::generate();
        let key = if item.own_key { &own } else { owner };
        let sealed = |text: &str| Value::String(key.encrypt(text).expect("encrypts"));
        let optional = |text: &Option<String>| text.as_deref().map_or(Value::Null, sealed);
        let last = item.uris.len();
        let uris: Vec<Value> = item
            .uris
            .iter()
            .enumerate()
            .map(|(i, (uri, rule))| {
                let summed = if item.bent_checksum && i + 1 == last {
                    "https://elsewhere.example"
                } else {
                    uri.as_str()
                };
                let checksum = STANDARD.encode(Sha256::digest(summed.as_bytes()));
                json!({"uri": sealed(uri), "uriChecksum": sealed(&checksum), "match": rule})
            })
            .collect();
        let wrapped = item.own_key.then(|| cose::wrap_item_key(owner, &own));
        let login = json!({
            "username": optional(&item.username),
            "password": optional(&item.password),
            "totp": optional(&item.totp),
            "passwordRevisionDate": null,
            "autofillOnPageLoad": null,
            "uri": uris.first().map_or(Value::Null, |u| u["uri"].clone()),
            "uris": uris,
            "fido2Credentials": null,
        });
        let fields: Vec<Value> = item
            .fields
            .iter()
            .map(|(kind, name, value)| {
                json!({"type": kind, "name": sealed(name), "value": sealed(value), "linkedId": null})
            })
            .collect();
        let history: Vec<Value> =
            item.history.iter().map(|p| json!({"password": sealed(p), "lastUsedDate": DATE})).collect();
        let body = json!({
            "name": sealed(&item.name), "notes": optional(&item.notes), "key": wrapped, "login": login,
            "fields": fields, "passwordHistory": history, "viewPassword": !item.hidden, "type": 1,
            "organizationId": item.shared.then(|| self.org_id.clone()),
            "folderId": item.in_folder.then(|| self.folder_id.clone()),
            "collectionIds": if item.shared { vec![self.collection_id.clone()] } else { Vec::new() },
            "deletedDate": item.deleted.then_some(DATE),
        });
        self.push(body)
    }

    /// Adds an item of another type: its number, its object's name and the object's texts.
    pub fn add_other(&mut self, kind: u8, object: &str, name: &str, texts: &[(&str, &str)]) -> String {
        let sealed = |text: &str| Value::String(self.user.encrypt(text).expect("encrypts"));
        let mut members: serde_json::Map<String, Value> =
            texts.iter().map(|(k, v)| ((*k).to_owned(), sealed(v))).collect();
        if kind == 2 {
            members.insert("type".to_owned(), json!(0));
        }
        let notes = if kind == 2 { sealed("a note's text") } else { Value::Null };
        let body = json!({
            "name": sealed(name), "notes": notes, "key": null, "type": kind, object: members,
            "fields": null, "passwordHistory": null, "viewPassword": true,
            "organizationId": null, "folderId": null, "collectionIds": [], "deletedDate": null,
        });
        self.push(body)
    }

    fn push(&mut self, mut body: Value) -> String {
        self.next += 1;
        let id = format!("00000000-0000-4000-8000-{:012x}", self.next);
        let common = json!({
            "id": id, "favorite": false, "reprompt": 0, "edit": true, "organizationUseTotp": true,
            "revisionDate": DATE, "creationDate": DATE, "archivedDate": null, "attachments": null,
            "permissions": {"delete": true, "restore": true}, "object": "cipherDetails",
        });
        if let (Some(body), Value::Object(common)) = (body.as_object_mut(), common) {
            // Servers send every type's object.
            for kind in ["login", "secureNote", "card", "identity", "sshKey"] {
                body.entry(kind).or_insert(Value::Null);
            }
            body.extend(common);
        }
        self.ciphers.push(body);
        id
    }
}
