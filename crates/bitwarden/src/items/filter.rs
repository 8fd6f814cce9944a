//! Lists and single items: filters, ambiguity, what is wanted of an item.

use std::borrow::Cow;

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::encrypted::{EncCipher, Text};
use super::open::{ItemKey, open_item};
use super::search::Search;
use super::uri::UriMatch;
use super::view::Item;
use crate::crypto::Keyring;
use crate::policy::Restrictions;
use crate::{Error, Result};

/// Items as they lie on disk, by id.
pub(crate) type Sealed<'a> = &'a [(Cow<'a, str>, &'a str)];

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
    /// Whether the item has it. Opens that one text and no other.
    fn is_in(self, item: &EncCipher<'_>, key: &ItemKey<'_>) -> bool {
        let filled = |text: Option<&Text<'_>>| {
            key.text(text).map(Zeroizing::new).is_some_and(|text| !text.trim().is_empty())
        };
        let login = item.login.as_ref().filter(|_| item.kind == 1);
        match self {
            Self::Item => true,
            Self::Username => filled(login.and_then(|l| l.username.as_ref())),
            Self::Password => filled(login.and_then(|l| l.password.as_ref())),
            Self::Totp => filled(login.and_then(|l| l.totp.as_ref())),
            Self::Notes => filled(item.notes.as_ref()),
            Self::Uri => {
                let first = login.and_then(|l| l.uris.iter().find_map(|uri| key.uri(uri)));
                first.map(Zeroizing::new).is_some_and(|uri| !uri.is_empty())
            }
        }
    }
}

/// The items that pass the filter, in list order.
pub(crate) fn list_items(
    ciphers: Sealed<'_>,
    keyring: &Keyring,
    restrictions: &Restrictions,
    filter: &ItemFilter,
) -> Vec<Item> {
    let url = filter.url.as_deref().filter(|u| !u.trim().is_empty());
    list_for(ciphers, keyring, restrictions, filter, url.as_slice())
}

/// The same, for logins that fit any of several addresses; with none, the address does not matter.
pub(crate) fn list_for(
    ciphers: Sealed<'_>,
    keyring: &Keyring,
    restrictions: &Restrictions,
    filter: &ItemFilter,
    urls: &[&str],
) -> Vec<Item> {
    let search = filter.search.as_deref().filter(|s| !s.trim().is_empty()).map(Search::new);
    let mut items = collect(ciphers, |_, item| {
        // A URL never finds what was thrown away, whatever else is asked.
        if !urls.is_empty() && (item.deleted_date.is_some() || item.archived_date.is_some()) {
            return None;
        }
        let state =
            filter.trash == item.deleted_date.is_some() && filter.archived == item.archived_date.is_some();
        if !state || !in_any(item, filter) || is_restricted(item, restrictions) {
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

/// The one item a term means. By its id no other is so much as parsed; by a search, of the others only what is
/// searched is opened.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Ambiguous`]; [`Error::RestrictedType`] when all that is found must not be seen.
pub(crate) fn find_item(
    all: Sealed<'_>,
    keyring: &Keyring,
    restrictions: &Restrictions,
    term: &str,
    wanted: Wanted,
) -> Result<Item> {
    let term = term.to_lowercase();
    if is_guid(&term) {
        let at = all.iter().position(|(id, _)| *id == *term).ok_or(Error::NotFound)?;
        let mut found = collect(all.get(at..=at).unwrap_or_default(), |_, item| {
            let key = ItemKey::of(item, keyring)?;
            if is_restricted(item, restrictions) {
                return Some(Err(Error::RestrictedType));
            }
            wanted.is_in(item, &key).then(|| open_item(item, keyring)).flatten().map(Ok)
        });
        return found.pop().unwrap_or(Err(Error::NotFound));
    }
    if term.trim().is_empty() {
        return Err(Error::NotFound);
    }
    let search = Search::new(&term);
    let fitting = collect(all, |at, item| {
        if item.deleted_date.is_some() || item.archived_date.is_some() {
            return None;
        }
        let key = ItemKey::of(item, keyring)?;
        search.fits(item, &key).then(|| match is_restricted(item, restrictions) {
            true => Fit::Restricted,
            false if wanted.is_in(item, &key) => Fit::Hit(Hit::new(at, item, &key)),
            false => Fit::Unwanted,
        })
    });
    if !fitting.is_empty() && fitting.iter().all(|fit| matches!(fit, Fit::Restricted)) {
        return Err(Error::RestrictedType);
    }
    let mut hits: Vec<Hit> = fitting
        .into_iter()
        .filter_map(|fit| if let Fit::Hit(hit) = fit { Some(hit) } else { None })
        .collect();
    if hits.len() > 1 {
        super::order::sort_by_place(&mut hits, |hit| (&hit.name, hit.username.as_ref().map(|u| u.as_str())));
        return Err(Error::Ambiguous(hits.into_iter().map(|hit| hit.id).collect()));
    }
    let at = hits.pop().ok_or(Error::NotFound)?.at;
    let hit = all.get(at..=at).unwrap_or_default();
    collect(hit, |_, item| open_item(item, keyring)).pop().ok_or(Error::NotFound)
}

fn is_restricted(item: &EncCipher<'_>, restrictions: &Restrictions) -> bool {
    restrictions.forbid(item.kind, item.organization_id.as_deref())
}

/// An item that a search finds.
enum Fit {
    /// Its type must not be seen.
    Restricted,
    /// It has not what is wanted.
    Unwanted,
    Hit(Hit),
}

/// What a list of several hits shows of each, and orders them by.
struct Hit {
    at: usize,
    id: String,
    name: Zeroizing<String>,
    username: Option<Zeroizing<String>>,
}

impl Hit {
    fn new(at: usize, item: &EncCipher<'_>, key: &ItemKey<'_>) -> Self {
        let text = |text: Option<&Text<'_>>| Zeroizing::new(key.text(text).unwrap_or_default());
        let username = item.login.as_ref().and_then(|l| l.username.as_ref());
        Self {
            at,
            id: item.id.to_string(),
            name: text(item.name.as_ref()),
            username: (item.kind == 1).then(|| text(username)),
        }
    }
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
fn collect<T: Send>(sealed: Sealed<'_>, f: impl Fn(usize, &EncCipher<'_>) -> Option<T> + Sync) -> Vec<T> {
    let one = |(at, (_, text)): (usize, &(Cow<'_, str>, &str))| {
        f(at, &serde_json::from_str::<EncCipher<'_>>(text).ok()?)
    };
    if sealed.len() < PARALLEL_FROM {
        sealed.iter().enumerate().filter_map(one).collect()
    } else {
        let found = sealed.par_iter().enumerate().filter_map(one).collect();
        crate::crypto::wipe_worker_stacks();
        found
    }
}

fn fits_url(item: &EncCipher<'_>, key: &ItemKey<'_>, target: &str) -> bool {
    item.login.iter().flat_map(|l| &l.uris).any(|enc| {
        let rule = UriMatch::from_rule(enc.rule);
        let fits = |saved: &str| rule.matches(saved, target);
        rule != UriMatch::Never && key.uri_if(enc, fits).map(Zeroizing::new).is_some()
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
