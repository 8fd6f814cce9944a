//! The search behind `get TERM` and `list --search`.

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::encrypted::{EncCipher, Text};
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
        strike_text(&mut rest, item.name.as_ref(), key)
            || strike_subtitle(&mut rest, item, key)
            || strike_hosts(&mut rest, item, key)
            || strike_text(&mut rest, item.notes.as_ref(), key)
    }
}

fn strike_text(rest: &mut Vec<&str>, text: Option<&Text<'_>>, key: &ItemKey<'_>) -> bool {
    if text.is_none_or(|text| too_short(text, rest)) { rest.is_empty() } else { strike(rest, key.text(text)) }
}

fn strike_subtitle(rest: &mut Vec<&str>, item: &EncCipher<'_>, key: &ItemKey<'_>) -> bool {
    // A login without passkeys has its user name for a subtitle, and nothing else.
    match item.login.as_ref().filter(|login| item.kind == 1 && login.fido2_credentials.is_empty()) {
        Some(login) => strike_text(rest, login.username.as_ref(), key),
        None => strike(rest, subtitle(key, item)),
    }
}

fn strike_hosts(rest: &mut Vec<&str>, item: &EncCipher<'_>, key: &ItemKey<'_>) -> bool {
    const REGEX: u8 = 4;
    let uris = item.login.iter().flat_map(|l| &l.uris).filter(|u| u.rule != Some(REGEX));
    for uri in uris {
        let mut host = None;
        let holds_one = |text: &str| {
            host = hostname(text);
            host.as_ref().is_some_and(|host| rest.iter().any(|term| host.contains(term)))
        };
        if key.uri_if(uri, holds_one).map(Zeroizing::new).is_some() && strike(rest, host) {
            return true;
        }
    }
    rest.is_empty()
}

/// Whether none of the terms can occur in an encrypted text, because it is shorter than all of them: then it stays
/// sealed. Every ASCII character of a folded text had a byte of its own in the text.
fn too_short(text: &str, terms: &[&str]) -> bool {
    let longest = longest_plaintext(text);
    longest.is_some_and(|longest| terms.iter().all(|term| term.is_ascii() && term.len() > longest))
}

/// The most bytes that a text of the usual type can hold: padding takes one of its ciphertext's at least.
fn longest_plaintext(text: &str) -> Option<usize> {
    let ciphertext = text.strip_prefix("2.")?.split('|').nth(1)?;
    Some((ciphertext.trim_end_matches('=').len() * 3 / 4).saturating_sub(1))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::UserKey;

    #[test]
    fn no_character_folds_into_more_ascii_than_it_has_bytes() {
        for c in '\0'..=char::MAX {
            let ascii = fold(&c.to_string()).chars().filter(char::is_ascii).count();
            assert!(ascii <= c.len_utf8(), "{c:?}");
        }
    }

    #[test]
    fn a_text_is_left_sealed_only_when_it_cannot_hold_a_term() {
        let key = UserKey::generate();
        for plain in ["", "a", "fifteen letters", "sixteen letters!", "Z\u{fc}rich \u{130}stanbul \u{212a}"] {
            let sealed = key.encrypt(plain).unwrap();
            let longest = longest_plaintext(&sealed).unwrap();
            assert!((plain.len()..plain.len() + 16).contains(&longest), "{plain}: {longest}");
            for at in 0..plain.chars().count() {
                let term: String = fold(&plain.chars().skip(at).collect::<String>());
                assert!(!too_short(&sealed, &[&term, &"x".repeat(99)]), "{plain}: {term}");
            }
            assert!(too_short(&sealed, &[&"x".repeat(longest + 1)]));
            assert!(!too_short(&sealed, &[&"\u{fc}".repeat(99)]), "only ASCII terms are judged by length");
        }
        assert!(!too_short("7.anything", &["x"]) && !too_short("odd", &["x"]));
    }
}
