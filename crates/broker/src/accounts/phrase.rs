//! The canonical phrase: what is hashed, however the phrase was typed or spoken.
//!
//! `I remember what I have learned from you.` and `i remember what i have learned from you` are one phrase. Both
//! ends of OPAQUE must agree on the bytes, so the rule is fixed and numbered by [`PHRASE_VERSION`]:
//!
//! 1. Unicode NFKC, full case folding, NFKC again.
//! 2. Characters of the general categories P (punctuation) and C (control, format, unassigned) are removed, except
//!    that control characters which are white space count as blanks.
//! 3. Runs of white space become one blank; none at either end.
//! 4. Case folding and NFKC once more, because removing a mark may bring two composable characters together.
//!
//! Symbols (category S, such as `+` or `€`) stay.

use caseless::Caseless as _;
use durward_protocol::{SecretString, word_list};
use rand_core::CryptoRng;
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};
use zeroize::Zeroizing;

use super::error::ApiError;

/// Number of the rule in this module's head, stored beside every hash. A later rule gets a later number.
pub(crate) const PHRASE_VERSION: u8 = 1;
/// A new phrase has at least this many words …
pub(crate) const MIN_WORDS: usize = 5;
/// … or at least this many characters.
pub(crate) const MIN_CHARS: usize = 24;
/// Words in a suggested phrase: 6 of 7,776 are 77 bits.
pub(crate) const SUGGESTED_WORDS: usize = 6;

/// A passphrase in canonical form; wiped on drop.
#[derive(Debug, PartialEq, Eq)]
pub struct CanonicalPhrase(SecretString);

impl CanonicalPhrase {
    /// Brings `typed` into canonical form. An empty result is possible and matches nobody's phrase.
    pub fn new(typed: &SecretString) -> Self {
        let folded = fold(typed.expose_secret());
        let plain = Zeroizing::new(strip(&folded));
        let again = fold(&plain);
        // The last fold can only bring back what step 2 removes if Unicode itself did; stripping is idempotent.
        Self(SecretString::new(strip(&again)))
    }

    /// The same, for a new phrase: refuses one with fewer than five words and fewer than 24 characters.
    pub fn new_strong(typed: &SecretString) -> Result<Self, ApiError> {
        let phrase = Self::new(typed);
        let text = phrase.expose_phrase();
        if text.split(' ').filter(|word| !word.is_empty()).count() >= MIN_WORDS
            || text.chars().count() >= MIN_CHARS
        {
            Ok(phrase)
        } else {
            Err(ApiError::WeakPassphrase)
        }
    }

    /// The canonical text, input of Argon2id and of OPAQUE. Do not log or store it.
    pub fn expose_phrase(&self) -> &str {
        self.0.expose_secret()
    }

    /// A second copy, wiped on its own.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }
}

/// Suggests a phrase: six words of the EFF list, uniformly drawn.
pub fn suggest_phrase(rng: &mut impl CryptoRng) -> SecretString {
    let words = word_list();
    let mut text = String::new();
    for i in 0..SUGGESTED_WORDS {
        if i > 0 {
            text.push(' ');
        }
        text.push_str(words.get(uniform_below(words.len(), rng)).copied().unwrap_or_default());
    }
    SecretString::new(text)
}

fn fold(text: &str) -> Zeroizing<String> {
    let composed = Zeroizing::new(text.nfkc().collect::<String>());
    Zeroizing::new(composed.chars().default_case_fold().nfkc().collect())
}

fn strip(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() {
            if !plain.is_empty() && !plain.ends_with(' ') {
                plain.push(' ');
            }
        } else if !matches!(
            c.general_category_group(),
            GeneralCategoryGroup::Punctuation | GeneralCategoryGroup::Other
        ) {
            plain.push(c);
        }
    }
    if plain.ends_with(' ') {
        plain.pop();
    }
    plain
}

fn uniform_below(bound: usize, rng: &mut impl CryptoRng) -> usize {
    let bound = u32::try_from(bound).unwrap_or(u32::MAX).max(1);
    let limit = u32::MAX - u32::MAX % bound;
    loop {
        let drawn = rng.next_u32();
        if drawn < limit {
            return usize::try_from(drawn % bound).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    use super::*;

    fn canonical(text: &str) -> String {
        CanonicalPhrase::new(&text.to_owned().into()).expose_phrase().to_owned()
    }

    #[test]
    fn spoken_and_typed_are_one_phrase() {
        let spoken = "i remember what i have learned from you";
        for typed in [
            "I remember what I have learned from you.",
            "  I  remember,\twhat I have\u{a0}learned from YOU!\n",
            "Ｉ remember what I have learned from you…",
            "\u{feff}I remember \u{201c}what\u{201d} I have learned from you",
        ] {
            assert_eq!(canonical(typed), spoken);
        }
        assert_eq!(canonical("Straße"), canonical("STRASSE"));
        assert_eq!(canonical("ΟΔΟΣ"), canonical("οδος"));
        assert_eq!(canonical("cafe\u{301}"), canonical("CAFÉ"));
        assert_eq!(canonical("don\u{2019}t"), canonical("dont"));
        assert_ne!(canonical("one+one"), canonical("oneone"));
    }

    #[test]
    fn new_phrases_need_five_words_or_24_characters() {
        let strong = |text: &str| CanonicalPhrase::new_strong(&text.to_owned().into()).is_ok();
        assert!(strong("The forest remembers every footstep."));
        assert!(strong("a b c d e"));
        assert!(strong("abcdefghijklmnopqrstuvwx"));
        assert!(!strong("abcdefghijklmnopqrstuvw"));
        assert!(!strong("one two three four"));
        assert!(!strong("one two three . - ! ?"), "punctuation is no word");
        assert!(!strong(&" ".repeat(100)));
    }

    #[test]
    fn suggestions_are_strong_and_differ() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let (a, b) = (suggest_phrase(&mut rng), suggest_phrase(&mut rng));
        assert_ne!(a, b);
        let phrase = CanonicalPhrase::new_strong(&a).unwrap();
        assert_eq!(phrase.expose_phrase().split(' ').count(), SUGGESTED_WORDS);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn canonical_is_idempotent(text in any::<String>()) {
            let once = canonical(&text);
            prop_assert_eq!(canonical(&once), once);
        }

        #[test]
        fn canonical_ignores_case(text in "[a-zA-Zäöüß .,;:!?'-]{0,60}") {
            prop_assert_eq!(canonical(&text.to_uppercase()), canonical(&text.to_lowercase()));
        }

        #[test]
        fn marks_between_punctuation_stay_stable(text in "[a-z\u{300}-\u{345}!\u{200d}\u{ad} ]{0,20}") {
            let once = canonical(&text);
            prop_assert_eq!(canonical(&once), once);
        }
    }
}
