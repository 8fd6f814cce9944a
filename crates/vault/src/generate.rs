//! New passwords and phrases, each as likely as any other that the rules allow.

use durward_protocol::{SecretString, word_list};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::Error;

/// Longest password and most words that are generated.
const MAX_LENGTH: usize = 1024;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const SYMBOLS: &str = "!#$%&()*+,-./:;<=>?@[]^_{|}~";
/// Characters that are easily taken for another one.
const AMBIGUOUS: &str = "0O1lI|5S2Z8B";

/// What a generated password is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordRules {
    /// Number of characters, 1 to 1024 and at least one for each class.
    pub length: usize,
    /// `a` to `z`.
    pub lower: bool,
    /// `A` to `Z`.
    pub upper: bool,
    /// `0` to `9`.
    pub digits: bool,
    /// ASCII punctuation, without quotes, backslash and blank, which trip up shells and forms.
    pub symbols: bool,
    /// Leaves out what is easily misread: `0O 1lI| 5S 2Z 8B`.
    pub no_ambiguous: bool,
}

impl Default for PasswordRules {
    /// Twenty characters of every class: 129 bits.
    fn default() -> Self {
        Self { length: 20, lower: true, upper: true, digits: true, symbols: true, no_ambiguous: false }
    }
}

/// What a generated phrase is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhraseRules {
    /// Number of words of the EFF large list, 1 to 1024; 12.9 bits each.
    pub words: usize,
    /// What stands between two words.
    pub separator: String,
    /// Whether each word begins with a capital.
    pub capitalize: bool,
}

impl Default for PhraseRules {
    /// Six words with dashes: 77 bits.
    fn default() -> Self {
        Self { words: 6, separator: "-".to_owned(), capitalize: false }
    }
}

/// A password with at least one character of each class that is asked for.
///
/// [`Error::Rules`] when the rules allow no password.
pub fn generate_password(rules: &PasswordRules, rng: &mut impl CryptoRng) -> Result<SecretString, Error> {
    let classes = classes_of(rules);
    if classes.is_empty() {
        return Err(Error::Rules { reason: "choose at least one kind of character" });
    }
    if rules.length < classes.len() || rules.length > MAX_LENGTH {
        return Err(Error::Rules {
            reason: "the length must be 1 to 1024, and one for each kind of character",
        });
    }
    let alphabet: Vec<char> = classes.iter().flatten().copied().collect();
    // Drawing again until every class is there keeps all allowed passwords equally likely; forcing one of
    // each into place would not. The chance of a miss is never above 97 %, so the bound is out of reach
    // unless the generator is broken.
    for _ in 0..10_000 {
        let mut text = Zeroizing::new(String::with_capacity(rules.length));
        for _ in 0..rules.length {
            text.extend(alphabet.get(below(alphabet.len(), rng)));
        }
        if classes.iter().all(|class| text.chars().any(|c| class.contains(&c))) {
            return Ok(SecretString::new(std::mem::take(&mut *text)));
        }
    }
    Err(Error::Rules { reason: "the random generator does not work" })
}

/// A phrase of words that are easy to read aloud and to type.
///
/// [`Error::Rules`] when the number of words is out of range.
pub fn generate_phrase(rules: &PhraseRules, rng: &mut impl CryptoRng) -> Result<SecretString, Error> {
    if rules.words == 0 || rules.words > MAX_LENGTH {
        return Err(Error::Rules { reason: "the number of words must be 1 to 1024" });
    }
    let list = word_list();
    // Room for the longest words: growing would leave a copy behind.
    let mut phrase = String::with_capacity(rules.words * (16 + rules.separator.len()));
    for index in 0..rules.words {
        if index > 0 {
            phrase.push_str(&rules.separator);
        }
        let mut letters = list.get(below(list.len(), rng)).copied().unwrap_or_default().chars();
        match letters.next() {
            Some(first) if rules.capitalize => phrase.push(first.to_ascii_uppercase()),
            first => phrase.extend(first),
        }
        phrase.push_str(letters.as_str());
    }
    Ok(SecretString::new(phrase))
}

fn classes_of(rules: &PasswordRules) -> Vec<Vec<char>> {
    let keep = |c: &char| !(rules.no_ambiguous && AMBIGUOUS.contains(*c));
    [(rules.lower, LOWER), (rules.upper, UPPER), (rules.digits, DIGITS), (rules.symbols, SYMBOLS)]
        .into_iter()
        .filter(|(wanted, _)| *wanted)
        .map(|(_, class)| class.chars().filter(keep).collect())
        .collect()
}

/// A number in `0..bound`, all equally likely: draws beyond the last whole multiple of `bound` are thrown
/// away, because their remainder would favour small numbers.
fn below(bound: usize, rng: &mut impl CryptoRng) -> usize {
    let bound = bound as u64;
    let limit = u64::MAX - u64::MAX % bound;
    loop {
        let draw = rng.next_u64();
        if draw < limit {
            return usize::try_from(draw % bound).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn rules(length: usize, bits: u8) -> PasswordRules {
        PasswordRules {
            length,
            lower: bits & 1 != 0,
            upper: bits & 2 != 0,
            digits: bits & 4 != 0,
            symbols: bits & 8 != 0,
            no_ambiguous: bits & 16 != 0,
        }
    }

    proptest! {
        #[test]
        fn passwords_follow_their_rules(length in 0_usize..70, bits in 0_u8..32, seed: u64) {
            let rules = rules(length, bits);
            let classes = (bits & 15).count_ones() as usize;
            let made = generate_password(&rules, &mut StdRng::seed_from_u64(seed));
            prop_assert_eq!(made.is_ok(), classes > 0 && length >= classes);
            let Ok(made) = made else { return Ok(()) };
            let text = made.expose_secret();
            prop_assert_eq!(text.chars().count(), length);
            for (wanted, class) in [(rules.lower, LOWER), (rules.upper, UPPER), (rules.digits, DIGITS), (rules.symbols, SYMBOLS)] {
                prop_assert_eq!(text.chars().any(|c| class.contains(c)), wanted);
            }
            prop_assert!(!rules.no_ambiguous || !text.chars().any(|c| AMBIGUOUS.contains(c)));
        }

        #[test]
        fn numbers_stay_below_their_bound(bound in 1_usize..10_000, seed: u64) {
            prop_assert!(below(bound, &mut StdRng::seed_from_u64(seed)) < bound);
        }
    }

    #[test]
    fn every_character_is_equally_likely() {
        // Chi-square over 100,000 draws of ten digits, 9 degrees of freedom: 27.9 is the 0.1 % point, and the seed is fixed.
        let rules = PasswordRules {
            length: 1000,
            lower: false,
            upper: false,
            symbols: false,
            ..PasswordRules::default()
        };
        let mut rng = StdRng::seed_from_u64(1);
        let mut counts = [0_u32; 10];
        for _ in 0..100 {
            for digit in generate_password(&rules, &mut rng).unwrap().expose_secret().bytes() {
                counts[usize::from(digit - b'0')] += 1;
            }
        }
        let chi: f64 = counts.iter().map(|&n| (f64::from(n) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 27.9, "{chi} {counts:?}");
    }

    #[test]
    fn phrases() {
        let mut rng = StdRng::seed_from_u64(1);
        let rules = PhraseRules { words: 5, separator: " ".into(), capitalize: true };
        let phrase = generate_phrase(&rules, &mut rng).unwrap();
        let words: Vec<&str> = phrase.expose_secret().split(' ').collect();
        assert_eq!(words.len(), 5);
        for word in words {
            assert!(word.starts_with(|c: char| c.is_ascii_uppercase()));
            assert!(word_list().contains(&word.to_lowercase().as_str()), "{word}");
        }
        assert!(generate_phrase(&PhraseRules { words: 0, ..PhraseRules::default() }, &mut rng).is_err());
        let longest = word_list().iter().map(|word| word.len()).max();
        assert!(longest.is_some_and(|length| length <= 16), "the phrase buffer would grow");
    }

    #[test]
    fn a_broken_generator_ends() {
        struct Stuck;
        impl rand_core::TryRng for Stuck {
            type Error = std::convert::Infallible;
            fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
                Ok(0)
            }
            fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
                Ok(0)
            }
            fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
                bytes.fill(0);
                Ok(())
            }
        }
        impl rand_core::TryCryptoRng for Stuck {}
        assert!(generate_password(&PasswordRules::default(), &mut Stuck).is_err());
    }
}
