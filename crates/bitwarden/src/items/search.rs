//! The search behind `get TERM` and `list --search`.

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::encrypted::EncCipher;
use super::open::{ItemKey, subtitle};
use super::uri::hostname;

/// Shortest term that is also compared with the beginning of ids.
const ID_TERM: usize = 8;

/// A search split into its terms; an item fits when every term occurs somewhere in it.
pub(crate) struct Search(Vec<String>);

impl Search {
    pub(crate) fn new(query: &str) -> Self {
        Self(fold(query.trim()).split_whitespace().map(str::to_owned).collect())
    }

    /// Whether the item fits. Decrypts only as much as it needs, the name first.
    pub(crate) fn fits(&self, item: &EncCipher<'_>, key: &ItemKey<'_>) -> bool {
        let mut rest: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let id = item.id.to_lowercase();
        rest.retain(|term| term.chars().count() < ID_TERM || !id.starts_with(term));
        strike(&mut rest, key.text(item.name.as_ref()))
            || strike(&mut rest, subtitle(key, item))
            || self.strike_hosts(&mut rest, item, key)
            || strike(&mut rest, key.text(item.notes.as_ref()))
    }

    #[expect(clippy::unused_self, reason = "a step of the search")]
    fn strike_hosts(&self, rest: &mut Vec<&str>, item: &EncCipher<'_>, key: &ItemKey<'_>) -> bool {
        const REGEX: u8 = 4;
        let uris = item.login.iter().flat_map(|l| &l.uris).filter(|u| u.rule != Some(REGEX));
        for uri in uris {
            if strike(rest, key.uri(uri).map(Zeroizing::new).and_then(|u| hostname(&u))) {
                return true;
            }
        }
        rest.is_empty()
    }
}

/// Drops the terms that occur in the text; true when none is left.
fn strike(rest: &mut Vec<&str>, text: Option<String>) -> bool {
    if let Some(text) = text.map(Zeroizing::new)
        && !rest.is_empty()
    {
        let text = Zeroizing::new(fold(&text));
        rest.retain(|term| !text.contains(term));
    }
    rest.is_empty()
}

/// Lower case, without accents: canonical decomposition, then without the marks U+0300 to U+036F.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.to_lowercase().nfd().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).collect()
}
