//! The sync answer, reduced to what the data file holds.

use serde_json::{Map, Value, json};

use super::answers::{crypto_state, password_unlock};
use super::lenient::{any, camel, flag, get, list, text};
use crate::crypto::OrgKeySource;
use crate::state::{AccountProfile, ById, SyncRecord};
use crate::{Error, Result};

/// Members of an item that go to disk as they come, absent ones as null.
const ITEM: &[&str] = &[
    "id",
    "edit",
    "viewPassword",
    "organizationUseTotp",
    "favorite",
    "type",
    "name",
    "reprompt",
    "organizationId",
    "folderId",
    "permissions",
    "revisionDate",
    "notes",
    "collectionIds",
    "creationDate",
    "deletedDate",
    "archivedDate",
    "key",
];
/// The object of each item type.
const KINDS: &[(u64, &str)] = &[
    (1, "login"),
    (2, "secureNote"),
    (3, "card"),
    (4, "identity"),
    (5, "sshKey"),
    (6, "bankAccount"),
    (7, "driversLicense"),
    (8, "passport"),
];
const COLLECTION: &[&str] = &[
    "readOnly",
    "manage",
    "hidePasswords",
    "type",
    "id",
    "organizationId",
    "name",
    "externalId",
    "defaultUserCollectionEmail",
];

/// Reads the answer of a sync as leniently as the official client does; `host` is named in errors.
pub fn parse(body: &Value, host: &str) -> Result<SyncRecord> {
    let profile = any(body, "profile");
    if text(&profile, "id").is_none() {
        return Err(Error::BadAnswer { host: host.to_owned(), what: "no profile in the vault".to_owned() });
    }
    let decryption = any(body, "userDecryption");
    let unlock = get(&decryption, "masterPasswordUnlock").map(password_unlock).transpose()?;
    let mut record = SyncRecord {
        account: json!({
            "name": any(&profile, "name"),
            "email": any(&profile, "email"),
            "emailVerified": flag(&profile, "emailVerified"),
            "creationDate": any(&profile, "creationDate"),
        }),
        unlock: unlock.filter(|u| !u.master_key_wrapped_user_key.is_empty() && !u.salt.is_empty()),
        wrapped_user_key: text(&profile, "key"),
        crypto_state: crypto_state(get(&profile, "accountKeys"), text(&profile, "privateKey")),
        user_key_id: text(&decryption, "userKeyId"),
        profile: AccountProfile {
            has_premium_personally: flag(&profile, "premium") || flag(&profile, "premiumPersonally"),
            has_premium_from_any_organization: flag(&profile, "premiumFromOrganization"),
        },
        key_connector: flag(&profile, "usesKeyConnector"),
        verify_devices: get(&profile, "verifyDevices").is_none_or(|v| v != &Value::Bool(false)),
        avatar: any(&profile, "avatarColor"),
        ..SyncRecord::default()
    };
    organizations(&profile, &mut record);
    record.folders = by_id(list(body, "folders"), |f| pick(f, &["name", "id", "revisionDate"]));
    record.collections = by_id(list(body, "collections"), |c| pick(c, COLLECTION));
    record.ciphers = by_id(list(body, "ciphers"), item);
    record.sends = by_id(list(body, "sends"), Clone::clone);
    record.policies = by_id(list(body, "policies"), policy);
    record.policies_new = match list(body, "policiesNew") {
        [] => record.policies.clone(),
        new => by_id(new, policy),
    };
    Ok(record)
}

fn organizations(profile: &Value, record: &mut SyncRecord) {
    for organization in list(profile, "organizations") {
        let (Some(id), Some(key)) = (text(organization, "id"), text(organization, "key")) else { continue };
        record.org_keys.insert(id, OrgKeySource::Organization { key });
    }
    for organization in list(profile, "providerOrganizations") {
        let (Some(id), Some(key)) = (text(organization, "id"), text(organization, "key")) else { continue };
        let provider_id = text(organization, "providerId").unwrap_or_default();
        record.org_keys.entry(id).or_insert(OrgKeySource::Provider { key, provider_id });
    }
    for provider in list(profile, "providers") {
        if let (Some(id), Some(key)) = (text(provider, "id"), text(provider, "key")) {
            record.provider_keys.insert(id, key);
        }
    }
    // The newer list has accepted memberships, too, whose policies count already.
    let newer = if get(profile, "organizationsNew").is_some() { "organizationsNew" } else { "organizations" };
    record.organizations = by_id(list(profile, newer), |o| membership(o, false));
    for (id, entry) in by_id(list(profile, "providerOrganizations"), |o| membership(o, true)) {
        match record.organizations.iter_mut().find(|(known, _)| *known == id) {
            Some((_, member)) => member["isProviderUser"] = Value::Bool(true),
            None => record.organizations.push((id, entry)),
        }
    }
    record.providers = by_id(list(profile, "providers"), Clone::clone);
}

/// A policy as it lies on disk.
fn policy(policy: &Value) -> Value {
    pick(policy, &["id", "organizationId", "type", "data", "enabled", "revisionDate"])
}

/// An organisation as it lies on disk: without its key, with two marks about the membership.
fn membership(organization: &Value, by_provider: bool) -> Value {
    let mut entry = organization.clone();
    if let Some(object) = entry.as_object_mut() {
        for name in ["key", "object", "privateKey"] {
            object.remove(name);
        }
        object.insert("isMember".to_owned(), Value::Bool(!by_provider));
        object.insert("isProviderUser".to_owned(), Value::Bool(by_provider));
    }
    entry
}

fn item(cipher: &Value) -> Value {
    let mut entry = match pick(cipher, ITEM) {
        Value::Object(object) => object,
        other => return other,
    };
    if let Some(permissions) = get(cipher, "permissions") {
        // The official client keeps both the answer and what it read from it.
        let (delete, restore) = (flag(permissions, "delete"), flag(permissions, "restore"));
        entry.insert(
            "permissions".to_owned(),
            json!({"response": {"delete": delete, "restore": restore}, "delete": delete, "restore": restore}),
        );
    }
    let kind = entry.get("type").and_then(Value::as_u64);
    let object = KINDS.iter().find(|(k, _)| Some(*k) == kind).map(|(_, name)| *name);
    for name in object.into_iter().chain(["attachments"]) {
        if let Some(value) = get(cipher, name) {
            entry.insert(name.to_owned(), value.clone());
        }
    }
    for name in ["fields", "passwordHistory", "collectionIds"] {
        entry.insert(name.to_owned(), Value::Array(list(cipher, name).to_vec()));
    }
    Value::Object(entry)
}

fn pick(value: &Value, names: &[&str]) -> Value {
    Value::Object(names.iter().map(|n| ((*n).to_owned(), any(value, n))).collect::<Map<_, _>>())
}

/// Objects by id in the server's order, member names in the file's case. Those without an id are dropped.
fn by_id(objects: &[Value], reduce: impl Fn(&Value) -> Value) -> ById {
    objects
        .iter()
        .filter_map(|o| {
            let o = camel(o.clone());
            Some((text(&o, "id")?, reduce(&o)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            prop::bool::ANY.prop_map(Value::from),
            prop::num::i64::ANY.prop_map(Value::from),
            "[A-Za-z0-9.|=+/]{0,12}".prop_map(Value::from),
        ];
        let name = prop_oneof![
            prop::sample::select(vec![
                "id",
                "Id",
                "key",
                "login",
                "uris",
                "type",
                "name",
                "fields",
                "organizations",
                "profile",
                "masterPasswordUnlock",
                "kdf",
                "kdfType",
                "iterations",
                "permissions",
                "accountKeys",
            ])
            .prop_map(str::to_owned),
            "[a-z]{1,4}",
        ];
        leaf.prop_recursive(4, 48, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(name.clone(), inner, 0..6)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    fn ids(objects: &ById) -> Vec<&str> {
        objects.iter().map(|(id, _)| id.as_str()).collect()
    }

    #[test]
    fn newer_lists_have_accepted_memberships_and_their_policies_too() {
        let organization = |id: &str| json!({"id": id, "name": id, "status": 2, "type": 2});
        let policy = |id: &str| json!({"Id": id, "OrganizationId": "o", "Type": 15, "Data": null, "Enabled": true, "Object": "policy"});
        let mut body = json!({
            "profile": {
                "id": "u", "organizations": [organization("o")], "organizationsNew": [organization("o"), organization("n")],
                "providerOrganizations": [organization("o"), organization("p")],
            },
            "policies": [policy("old")], "policiesNew": [policy("new"), policy("old")],
        });
        let record = parse(&body, "h").unwrap();
        assert_eq!(ids(&record.organizations), ["o", "n", "p"]);
        let marks: Vec<_> =
            record.organizations.iter().map(|(_, o)| (&o["isMember"], &o["isProviderUser"])).collect();
        let (yes, no) = (&json!(true), &json!(false));
        assert_eq!(marks, [(yes, yes), (yes, no), (no, yes)]);
        assert_eq!((ids(&record.policies), ids(&record.policies_new)), (vec!["old"], vec!["new", "old"]));
        assert_eq!(
            record.policies[0].1,
            json!({"id": "old", "organizationId": "o", "type": 15, "data": null, "enabled": true, "revisionDate": null})
        );
        // Servers that do not send the newer lists, or send them empty.
        body["policiesNew"] = json!([]);
        body["profile"]["organizationsNew"] = Value::Null;
        let record = parse(&body, "h").unwrap();
        assert_eq!((ids(&record.organizations), ids(&record.policies_new)), (vec!["o", "p"], vec!["old"]));
    }

    proptest! {
        /// Whatever a server sends for a vault, reading it, storing it and listing it must not panic.
        #[test]
        fn any_vault_is_read_or_refused(profile in any_json(), ciphers in prop::collection::vec(any_json(), 0..4), folders in any_json(), decryption in any_json()) {
            let mut profile = profile;
            if let Some(object) = profile.as_object_mut() {
                object.insert("id".to_owned(), Value::from("u"));
            }
            let body = json!({"profile": profile, "ciphers": ciphers, "folders": folders, "userDecryption": decryption, "collections": folders});
            if let Ok(record) = parse(&body, "h") {
                let mut document = crate::state::Document::new();
                let now = time::OffsetDateTime::UNIX_EPOCH;
                document.store_sync("u", &record, now).unwrap();
                let text = document.render();
                let again = crate::state::Document::parse(&text).unwrap();
                let sealed = again.members("user_u_ciphers_ciphers").unwrap();
                let keyring = crate::crypto::Keyring::new(crate::crypto::UserKey::generate(), None, std::collections::HashMap::default(), std::collections::HashMap::default());
                crate::items::list_items(&sealed, &keyring, &crate::policy::Restrictions::default(), &crate::items::ItemFilter::default());
            }
        }

        /// Bytes that are no JSON, and JSON cut anywhere, are refused.
        #[test]
        fn any_text_is_no_document(text in "\\PC{0,80}") {
            let _ = crate::state::Document::parse(&text);
        }
    }
}
