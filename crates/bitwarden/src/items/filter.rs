//! Lists and single items: filters, ambiguity, what is wanted of an item.

use rayon::prelude::*;
use serde_json::value::RawValue;

use super::encrypted::{EncCipher, Members, Text};
use super::open::{ItemKey, open_item};
use super::search::Search;
use super::uri::UriMatch;
use super::view::Item;
use crate::crypto::Keyring;
use crate::{Error, Result};

/// Below this many items a second thread costs more than it brings.
const PARALLEL_FROM: usize = 64;

/// The options of `list items`. The three ids are alternatives; the rest narrows down.
#[derive(Clone, Debug, Default)]
pub struct ItemFilter {
    /// Terms that must all occur.
    pub search: Option<String>,
    /// Only logins whose addresses fit this one.
    pub url: Option<String>,
    /// A folder's id, `null` or `notnull`.
    pub folder: Option<String>,
    /// A collection's id, `null` or `notnull`.
    pub collection: Option<String>,
    /// An organisation's id, `null` or `notnull`.
    pub organization: Option<String>,
    /// Only what is in the trash.
    pub trash: bool,
    /// Only what is in the archive.
    pub archived: bool,
}

/// What a caller wants of the one item it looks for; several hits are narrowed to those that have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The item itself.
    Item,
    /// A user name that is not blank.
    Username,
    /// A password that is not blank.
    Password,
    /// A first address.
    Uri,
    /// A TOTP setting.
    Totp,
    /// Notes.
    Notes,
}

impl Wanted {
    fn has(self, item: &Item) -> bool {
        let filled = |text: Option<&super::ItemText>| text.is_some_and(|t| !t.is_blank());
        let login = item.login.as_ref();
        match self {
            Self::Item => true,
            Self::Username => filled(login.and_then(|l| l.username.as_ref())),
            Self::Password => filled(login.and_then(|l| l.password.as_ref())),
            Self::Totp => filled(item.totp()),
            Self::Notes => filled(item.notes.as_ref()),
            Self::Uri => login.and_then(|l| l.uris.first()).is_some_and(|u| !u.uri.expose().is_empty()),
        }
    }
}

/// The items that pass the filter, in list order.
pub(crate) fn list_items(ciphers: &RawValue, keyring: &Keyring, filter: &ItemFilter) -> Vec<Item> {
    let url = filter.url.as_deref().filter(|u| !u.trim().is_empty());
    list_for(ciphers, keyring, filter, url.as_slice())
}

/// The same, for logins that fit any of several addresses; with none, the address does not matter.
pub(crate) fn list_for(
    ciphers: &RawValue,
    keyring: &Keyring,
    filter: &ItemFilter,
    urls: &[&str],
) -> Vec<Item> {
    let search = filter.search.as_deref().filter(|s| !s.trim().is_empty()).map(Search::new);
    let mut items = collect(ciphers, |item| {
        // A URL never finds what was thrown away, whatever else is asked.
        if !urls.is_empty() && (item.deleted_date.is_some() || item.archived_date.is_some()) {
            return None;
        }
        let state =
            filter.trash == item.deleted_date.is_some() && filter.archived == item.archived_date.is_some();
        if !state || !in_any(item, filter) {
            return None;
        }
        let key = ItemKey::of(item, keyring)?;
        if !urls.is_empty() && !urls.iter().any(|url| fits_url(item, &key, url)) {
            return None;
        }
        if search.as_ref().is_some_and(|s| !s.fits(item, &key)) {
            return None;
        }
        open_item(item, keyring)
    });
    super::order::sort(&mut items);
    items
}

/// The one item a term means.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Ambiguous`].
pub(crate) fn find_items(ciphers: &RawValue, keyring: &Keyring, term: &str, wanted: Wanted) -> Result<Item> {
    let term = term.to_lowercase();
    let mut hits = if is_guid(&term) {
        collect(ciphers, |item| (*item.id == *term).then(|| open_item(item, keyring)).flatten())
    } else if term.trim().is_empty() {
        Vec::new()
    } else {
        let search = Search::new(&term);
        collect(ciphers, |item| {
            if item.deleted_date.is_some() || item.archived_date.is_some() {
                return None;
            }
            let key = ItemKey::of(item, keyring)?;
            search.fits(item, &key).then(|| open_item(item, keyring)).flatten()
        })
    };
    hits.retain(|item| wanted.has(item));
    if hits.len() > 1 {
        super::order::sort(&mut hits);
        return Err(Error::Ambiguous(hits.into_iter().map(|item| item.id).collect()));
    }
    hits.pop().ok_or(Error::NotFound)
}

/// The entries whose name contains the search, without regard to case.
pub(crate) fn search_names<T>(entries: Vec<T>, search: Option<&str>, name: impl Fn(&T) -> &str) -> Vec<T> {
    match search.filter(|s| !s.trim().is_empty()) {
        None => entries,
        Some(search) => {
            let search = search.to_lowercase();
            entries.into_iter().filter(|e| name(e).to_lowercase().contains(&search)).collect()
        }
    }
}

/// 8-4-4-4-12 hexadecimal digits.
pub(crate) fn is_guid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == 5
        && parts
            .iter()
            .zip([8, 4, 4, 4, 12])
            .all(|(p, n)| p.len() == n && p.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Runs over the items in the order of the data file; an entry that is no item is passed over.
fn collect(ciphers: &RawValue, f: impl Fn(&EncCipher<'_>) -> Option<Item> + Sync) -> Vec<Item> {
    let members: Members<Text<'_>, &RawValue> = serde_json::from_str(ciphers.get()).unwrap_or_default();
    let one = |(_, raw): &(Text<'_>, &RawValue)| f(&serde_json::from_str::<EncCipher<'_>>(raw.get()).ok()?);
    if members.0.len() < PARALLEL_FROM {
        members.0.iter().filter_map(one).collect()
    } else {
        let items = members.0.par_iter().filter_map(one).collect();
        crate::crypto::wipe_worker_stacks();
        items
    }
}

fn fits_url(item: &EncCipher<'_>, key: &ItemKey<'_>, target: &str) -> bool {
    item.login.iter().flat_map(|l| &l.uris).any(|enc| {
        let rule = UriMatch::from_rule(enc.rule);
        rule != UriMatch::Never && key.uri(enc).is_some_and(|saved| rule.matches(&saved, target))
    })
}

fn in_any(item: &EncCipher<'_>, filter: &ItemFilter) -> bool {
    if filter.folder.is_none() && filter.collection.is_none() && filter.organization.is_none() {
        return true;
    }
    let one = |wanted: Option<&str>, has: Option<&str>| match wanted {
        None => false,
        Some("null") => has.is_none(),
        Some("notnull") => has.is_some(),
        Some(id) => has == Some(id),
    };
    let collections = match filter.collection.as_deref() {
        None => false,
        Some("null") => item.collection_ids.is_empty(),
        Some("notnull") => !item.collection_ids.is_empty(),
        Some(id) => item.collection_ids.iter().any(|c| **c == *id),
    };
    collections
        || one(filter.folder.as_deref(), item.folder_id.as_deref())
        || one(filter.organization.as_deref(), item.organization_id.as_deref())
}
