//! The items of a vault and the document they are written as.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use durward_protocol::Domain;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::seal;
use crate::item::Extra;
use crate::matching::{Asked, group_of};
use crate::{Candidate, Error, Item, ItemSummary};

/// Version of the document this program writes.
pub(crate) const VERSION: u32 = 1;

const FORMAT: &str = "durward-vault";

/// Everything in a vault. The document is
/// `{"format":"durward-vault","version":1,"items":[…]}`; keys that this version does not know are kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct Items {
    format: String,
    version: u32,
    #[serde(rename = "items")]
    entries: Vec<Item>,
    #[serde(flatten)]
    extra: Extra,
}

impl Default for Items {
    fn default() -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, entries: Vec::new(), extra: Extra::default() }
    }
}

impl Items {
    /// All items, in the order they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Item> {
        self.entries.iter()
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What a list shows, by name, without secrets.
    pub fn summaries(&self) -> Vec<ItemSummary> {
        let mut list: Vec<ItemSummary> = self.entries.iter().map(Item::summary).collect();
        list.sort_by_cached_key(|item| (item.name.to_lowercase(), item.id.clone()));
        list
    }

    /// The item with exactly this id.
    pub fn get(&self, id: &str) -> Result<&Item, Error> {
        self.entries.iter().find(|item| item.id == id).ok_or_else(|| Error::item_not_found(id))
    }

    /// The one item a person means by `wanted`: an id, else a name (any case), else a domain.
    ///
    /// [`Error::Ambiguous`] when several answer, with their ids.
    pub fn resolve(&self, wanted: &str) -> Result<&Item, Error> {
        if let Ok(item) = self.get(wanted) {
            return Ok(item);
        }
        let name = wanted.to_lowercase();
        let mut ids: Vec<&str> = self
            .entries
            .iter()
            .filter(|item| item.name.to_lowercase() == name)
            .map(|item| item.id.as_str())
            .collect();
        let found;
        if ids.is_empty() {
            found = Domain::from_input(wanted).map(|domain| self.find(&domain)).unwrap_or_default();
            let best = found.first().map(|candidate| candidate.match_kind);
            let best = found.iter().filter(|candidate| Some(candidate.match_kind) == best);
            ids = best.map(|candidate| candidate.item_id.as_str()).collect();
        }
        match ids.as_slice() {
            [] => Err(Error::item_not_found(wanted)),
            [id] => self.get(id),
            several => Err(Error::Ambiguous {
                wanted: wanted.to_owned(),
                ids: several.iter().map(|&id| id.to_owned()).collect(),
            }),
        }
    }

    /// The items for `domain`, best match first, then the one changed last.
    pub fn find(&self, domain: &Domain) -> Vec<Candidate> {
        best_first(self.entries.iter(), domain)
    }

    /// As [`Items::find`], but only items that `index`, made of these items, gives are looked at.
    pub(super) fn find_indexed(&self, index: &Index, domain: &Domain) -> Vec<Candidate> {
        let places = index.0.get(group_of(domain)).map(Vec::as_slice).unwrap_or_default();
        best_first(places.iter().filter_map(|&place| self.entries.get(place)), domain)
    }

    /// Which items can answer for which group of domains, so that a search need not read every address.
    pub(super) fn index(&self) -> Index {
        let mut index: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, item) in self.entries.iter().enumerate() {
            for host in item.hosts() {
                let places = index.entry(group_of(&host).to_owned()).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        Index(index)
    }

    /// Adds `item` under a new random id, which is returned.
    ///
    /// [`Error::InvalidItem`] or [`Error::InvalidTotp`] when it could not be used as it is.
    pub fn add(
        &mut self,
        mut item: Item,
        rng: &mut impl CryptoRng,
        now: OffsetDateTime,
    ) -> Result<String, Error> {
        item.check()?;
        item.id = new_id(rng);
        item.created = now;
        item.updated = now;
        let id = item.id.clone();
        self.entries.push(item);
        Ok(id)
    }

    /// Lets `change` work on the item `id`. An item that would not be valid afterwards is an error: hand it on,
    /// and [`crate::BuiltinVault::edit`] writes nothing.
    pub fn update<T>(
        &mut self,
        id: &str,
        now: OffsetDateTime,
        change: impl FnOnce(&mut Item) -> T,
    ) -> Result<T, Error> {
        let item =
            self.entries.iter_mut().find(|item| item.id == id).ok_or_else(|| Error::item_not_found(id))?;
        let outcome = change(item);
        id.clone_into(&mut item.id);
        item.updated = now;
        item.check()?;
        Ok(outcome)
    }

    /// Takes the item `id` out.
    pub fn remove(&mut self, id: &str) -> Result<Item, Error> {
        let index =
            self.entries.iter().position(|item| item.id == id).ok_or_else(|| Error::item_not_found(id))?;
        Ok(self.entries.remove(index))
    }

    pub(crate) fn into_entries(self) -> Vec<Item> {
        self.entries
    }

    /// Writes the document into a buffer of exactly its size: one that grew would leave copies behind.
    pub(crate) fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let failed = |error: serde_json::Error| Error::Encrypt(error.to_string());
        let mut counter = Counter(0);
        serde_json::to_writer(&mut counter, self).map_err(failed)?;
        if !seal::fits(counter.0) {
            return Err(Error::TooLarge { size: counter.0 as u64 });
        }
        let mut json = Zeroizing::new(Vec::with_capacity(counter.0));
        serde_json::to_writer(&mut *json, self).map_err(failed)?;
        Ok(json)
    }

    pub(crate) fn from_json(path: &Path, json: &[u8]) -> Result<Self, Error> {
        // The JSON reader's messages quote values: only the place may be told.
        let failed = |error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            Error::damaged(
                path,
                format!("the decrypted document is not valid at line {line}, column {column}"),
            )
        };
        let head: Head = serde_json::from_slice(json).map_err(failed)?;
        if head.format != FORMAT {
            return Err(Error::damaged(path, "it decrypts, but what is in it is not a durward vault"));
        }
        if head.version > u64::from(VERSION) {
            return Err(Error::TooNew { path: path.to_owned(), version: head.version });
        }
        serde_json::from_slice(json).map_err(failed)
    }
}

/// Places of items by [`group_of`] their hosts.
#[derive(Debug)]
pub(super) struct Index(HashMap<String, Vec<usize>>);

fn best_first<'a>(items: impl Iterator<Item = &'a Item>, domain: &Domain) -> Vec<Candidate> {
    let asked = Asked::new(domain);
    let mut found: Vec<_> = items.filter_map(|item| Some((item.matches(&asked)?, item))).collect();
    found.sort_by(|(left_kind, left), (right_kind, right)| {
        left_kind.cmp(right_kind).then(right.updated.cmp(&left.updated)).then(left.name.cmp(&right.name))
    });
    let candidate = |(match_kind, item): (_, &Item)| Candidate {
        item_id: item.id.clone(),
        name: item.name.clone(),
        username: item.username.as_ref().map(|name| name.expose_secret().to_owned()),
        match_kind,
    };
    found.into_iter().map(candidate).collect()
}

/// What every version of the document has.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A random UUID (RFC 9562 section 5.4).
fn new_id(rng: &mut impl CryptoRng) -> String {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use durward_protocol::SecretString;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::MatchKind;

    fn parse(json: &str) -> Result<Items, Error> {
        Items::from_json(Path::new("vault.age"), json.as_bytes())
    }

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    fn with(entries: &[(&str, &str)]) -> Items {
        let (mut items, mut rng) = (Items::default(), StdRng::seed_from_u64(1));
        for (seconds, (name, uri)) in (1..).zip(entries) {
            let mut item = Item::new(*name);
            item.uris = vec![(*uri).to_owned()];
            item.password = Some(SecretString::new("hunter2".to_owned()));
            items.add(item, &mut rng, at(seconds)).unwrap();
        }
        items
    }

    #[test]
    fn a_later_version_is_told_apart_from_damage() {
        let later = r#"{"format":"durward-vault","version":2,"items":{"other":"shape"}}"#;
        assert!(matches!(parse(later), Err(Error::TooNew { version: 2, .. })));
        for damaged in [
            "",
            "{}",
            "[]",
            r#"{"format":"x","version":1,"items":[]}"#,
            r#"{"format":"durward-vault","version":1}"#,
        ] {
            assert!(matches!(parse(damaged), Err(Error::Damaged { .. })), "{damaged}");
        }
    }

    #[test]
    fn errors_do_not_quote_the_vault() {
        let json = r#"{"format":"durward-vault","version":1,"items":["hunter2"]}"#;
        let error = parse(json).unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn unknown_keys_come_back_and_the_buffer_never_grows() {
        let json = r#"{"format":"durward-vault","version":1,"items":[{"id":"1","name":"n","uris":[],"created":"1970-01-01T00:00:00Z","updated":"1970-01-01T00:00:00Z","shared":{"with":["bob"]}}],"theme":"dark"}"#;
        let written = parse(json).unwrap().to_json().unwrap();
        assert_eq!(std::str::from_utf8(&written).unwrap(), json);
        assert_eq!(written.capacity(), written.len());
    }

    #[test]
    fn ids_are_random_uuids() {
        let items = with(&[("a", "a.test"), ("b", "b.test")]);
        let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        assert_ne!(ids[0], ids[1]);
        for id in ids {
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert!(id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]), "{id}");
        }
    }

    #[test]
    fn the_best_match_comes_first_then_the_latest() {
        let items = with(&[
            ("sibling", "mail.example.com"),
            ("parent", "https://example.com"),
            ("exact, old", "login.example.com"),
            ("exact, new", "https://login.example.com/x"),
            ("stranger", "badexample.com"),
        ]);
        let found = items.find(&Domain::parse("login.example.com").unwrap());
        let names: Vec<&str> = found.iter().map(|candidate| candidate.name.as_str()).collect();
        assert_eq!(names, ["exact, new", "exact, old", "parent", "sibling"]);
        assert_eq!(found[2].match_kind, MatchKind::ParentDomain);
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_search_finds(
            uris in prop::collection::vec("(https://)?([a-c]\\.){0,2}(a|b)(\\.com|\\.github\\.io|\\.internal)?(/x)?", 0..12),
            asked in "([a-c]\\.){0,2}(a|b)(\\.com|\\.github\\.io|\\.internal)?",
        ) {
            let entries: Vec<(&str, &str)> = uris.iter().map(|uri| ("n", uri.as_str())).collect();
            let mut items = with(&entries);
            items.add(Item::new("a.b.com"), &mut StdRng::seed_from_u64(2), at(1)).unwrap();
            let asked = Domain::parse(&asked).unwrap();
            prop_assert_eq!(items.find_indexed(&items.index(), &asked), items.find(&asked));
        }
    }

    #[test]
    fn people_name_items_in_several_ways() {
        let items = with(&[("Mail", "mail.test"), ("Shop", "a.shop.test"), ("shop", "b.shop.test")]);
        let name = |wanted: &str| items.resolve(wanted).map(|item| item.name.clone());
        let id = items.iter().next().unwrap().id.clone();
        assert_eq!(name(&id).unwrap(), "Mail");
        assert_eq!(name("mAIL").unwrap(), "Mail");
        assert_eq!(name("https://mail.test/login").unwrap(), "Mail");
        assert_eq!(name("a.shop.test").unwrap(), "Shop");
        assert!(matches!(name("Shop"), Err(Error::Ambiguous { ids, .. }) if ids.len() == 2));
        assert!(matches!(name("shop.test"), Err(Error::Ambiguous { .. })));
        assert!(matches!(name("nothing"), Err(Error::ItemNotFound { .. })));
    }

    #[test]
    fn a_change_that_breaks_an_item_is_an_error_and_keeps_its_id() {
        let mut items = with(&[("a", "a.test")]);
        let id = items.iter().next().unwrap().id.clone();
        items.update(&id, at(9), |item| item.id = "other".to_owned()).unwrap();
        assert!(items.get(&id).is_ok());
        assert!(matches!(items.update(&id, at(9), |item| item.name.clear()), Err(Error::InvalidItem { .. })));
    }
}
