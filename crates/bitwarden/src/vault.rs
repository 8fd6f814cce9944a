//! An unlocked vault: what `list` and `get` read. No network.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::crypto::{Keyring, SessionKey, UserKey, decrypt_with};
use crate::items::{
    Collection, EncCollection, EncFolder, Folder, Item, ItemFilter, Members, Organization, Text, Wanted,
    find_item, is_guid, list_for, list_items, search_names, sort_by_name,
};
use crate::policy::Restrictions;
use crate::state::{Account, Document};
use crate::{Error, Result};

const EMPTY: &str = "{}";

/// The contents of an account with the keys to read them. Keys are wiped on drop.
#[derive(Debug)]
pub struct Vault<'d> {
    account: Account<'d>,
    keyring: Keyring,
    restrictions: Restrictions,
}

impl<'d> Vault<'d> {
    /// Opens the logged-in account's vault with a session key.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`]; [`Error::Locked`] when the key opens nothing; [`Error::ForeignKey`].
    pub fn with_session(document: &'d Document, session: &SessionKey) -> Result<Self> {
        let account = document.account()?.ok_or(Error::NotLoggedIn)?;
        let keyring = account.session_keyring(session)?.ok_or(Error::Locked)?;
        Self::with_keyring(account, keyring)
    }

    /// Opens an account's vault with its user key.
    ///
    /// # Errors
    /// [`Error::Locked`] when the key does not belong to this account.
    pub fn with_user_key(account: Account<'d>, user: UserKey) -> Result<Self> {
        let keyring = account.keyring(user)?;
        if !keyring.user_key_fits() {
            return Err(Error::Locked);
        }
        Self::with_keyring(account, keyring)
    }

    fn with_keyring(account: Account<'d>, keyring: Keyring) -> Result<Self> {
        Ok(Self { account, keyring, restrictions: Restrictions::of(account)? })
    }

    /// The account.
    pub fn account(&self) -> Account<'d> {
        self.account
    }

    /// The items that pass the filter, in list order. The archive is for paying accounts: for others that switch
    /// counts for nothing.
    pub fn items(&self, filter: &ItemFilter) -> Vec<Item> {
        let archived = filter.archived && self.has_premium().unwrap_or(false);
        let filter = ItemFilter { archived, ..filter.clone() };
        list_items(&self.account.ciphers(), &self.keyring, &self.restrictions, &filter)
    }

    fn has_premium(&self) -> Result<bool> {
        let profile = self.account.profile()?;
        Ok(profile.has_premium_personally || profile.has_premium_from_any_organization)
    }

    /// The logins one of whose addresses fits one of these, by that address's own rule, in list order.
    pub fn logins_for(&self, urls: &[&str]) -> Vec<Item> {
        let filter = ItemFilter::default();
        list_for(&self.account.ciphers(), &self.keyring, &self.restrictions, &filter, urls)
    }

    /// The one item that a term, or an id, means.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`], [`Error::RestrictedType`].
    pub fn item(&self, term: &str, wanted: Wanted) -> Result<Item> {
        find_item(&self.account.ciphers(), &self.keyring, &self.restrictions, term, wanted)
    }

    /// The code of an item's TOTP setting for a moment, in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::NotFound`] without a setting; [`Error::BadTotp`]; [`Error::PremiumRequired`].
    pub fn totp(&self, item: &Item, at: u64) -> Result<crate::items::ItemText> {
        let setting = item.totp().ok_or(Error::NotFound)?;
        let code = crate::totp::code(setting.expose(), at).ok_or(Error::BadTotp)?;
        let by_organization = item.organization_id.is_some() && item.organization_use_totp;
        if !by_organization && !self.has_premium()? {
            return Err(Error::PremiumRequired);
        }
        Ok(crate::items::ItemText::new(code))
    }

    /// Folders in list order, the entry for items without one last.
    pub fn folders(&self, search: Option<&str>) -> Vec<Folder> {
        let mut folders: Vec<Folder> = entries(self.account.folders())
            .into_iter()
            .filter_map(|raw| {
                let enc: EncFolder<'_> = serde_json::from_str(raw.get()).ok()?;
                let name = decrypt_with(self.keyring.user().sdk(), enc.name.as_ref()?)?;
                Some(Folder { name, id: enc.id.to_string() })
            })
            .collect();
        sort_by_name(&mut folders, |f| &f.name);
        folders.push(Folder { name: "No Folder".to_owned(), id: String::new() });
        search_names(folders, search, |f| &f.name)
    }

    /// The one folder that a name, or an id, means.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`].
    pub fn folder(&self, term: &str) -> Result<Folder> {
        one(self.folders(None), term, |f| &f.id, |f| &f.name)
    }

    /// Collections in list order.
    pub fn collections(&self, organization: Option<&str>, search: Option<&str>) -> Vec<Collection> {
        let mut collections: Vec<Collection> = entries(self.account.collections())
            .into_iter()
            .filter_map(|raw| self.open_collection(raw))
            .filter(|c| organization.is_none_or(|o| c.organization_id.as_deref() == Some(o)))
            .collect();
        sort_by_name(&mut collections, |c| &c.name);
        search_names(collections, search, |c| &c.name)
    }

    fn open_collection(&self, raw: &RawValue) -> Option<Collection> {
        let enc: EncCollection<'_> = serde_json::from_str(raw.get()).ok()?;
        let key = self.keyring.owner(enc.organization_id.as_deref())?;
        Some(Collection {
            id: enc.id.to_string(),
            name: decrypt_with(key, enc.name.as_ref()?)?,
            organization_id: enc.organization_id.map(|t| t.to_string()),
            external_id: enc.external_id.map(|t| t.to_string()),
        })
    }

    /// The one collection that a name, or an id, means.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`].
    pub fn collection(&self, term: &str) -> Result<Collection> {
        one(self.collections(None, None), term, |c| &c.id, |c| &c.name)
    }

    /// The organisations the account is a member of, by name.
    pub fn organizations(&self, search: Option<&str>) -> Vec<Organization> {
        let mut all: Vec<Organization> = entries(self.account.organizations())
            .into_iter()
            .filter_map(|raw| {
                let value: Value = serde_json::from_str(raw.get()).ok()?;
                if value["isMember"] == Value::Bool(false) {
                    return None;
                }
                Some(Organization {
                    id: value["id"].as_str()?.to_owned(),
                    name: value["name"].as_str().unwrap_or_default().to_owned(),
                    status: value["status"].as_i64().unwrap_or(0),
                    kind: value["type"].as_i64().unwrap_or(0),
                    enabled: value["enabled"].as_bool().unwrap_or(false),
                })
            })
            .collect();
        sort_by_name(&mut all, |o| &o.name);
        search_names(all, search, |o| &o.name)
    }

    /// The one organisation that a name, or an id, means.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`].
    pub fn organization(&self, term: &str) -> Result<Organization> {
        one(self.organizations(None), term, |o| &o.id, |o| &o.name)
    }
}

fn entries(map: Option<&str>) -> Vec<&RawValue> {
    let members: Members<Text<'_>, &RawValue> =
        serde_json::from_str(map.unwrap_or(EMPTY)).unwrap_or_default();
    members.0.into_iter().map(|(_, v)| v).collect()
}

fn one<T>(all: Vec<T>, term: &str, id: impl Fn(&T) -> &str, name: impl Fn(&T) -> &str) -> Result<T> {
    let term = term.to_lowercase();
    let mut hits = if is_guid(&term) {
        all.into_iter().filter(|e| id(e) == term).collect()
    } else if term.trim().is_empty() {
        Vec::new()
    } else {
        search_names(all, Some(&term), name)
    };
    if hits.len() > 1 {
        return Err(Error::Ambiguous(hits.iter().map(|e| id(e).to_owned()).collect()));
    }
    hits.pop().ok_or(Error::NotFound)
}
