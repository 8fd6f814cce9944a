//! Passwords and passphrases by the official rules.

use bitwarden_crypto::EFF_LONG_WORD_LIST;
use zeroize::Zeroizing;

use crate::{Error, Result};

const SHORTEST: usize = 5;
/// Longer ones serve nobody and only fill memory.
const LONGEST: usize = 1 << 20;
const FEWEST_WORDS: usize = 3;
const SPECIAL: &str = "!@#$%^&*";

/// What a password consists of.
#[derive(Clone, Copy, Debug)]
pub struct PasswordRules {
    /// A to Z, at least one.
    pub uppercase: bool,
    /// a to z, at least one.
    pub lowercase: bool,
    /// 0 to 9, at least `min_number`.
    pub number: bool,
    /// `!@#$%^&*`, at least `min_special`.
    pub special: bool,
    /// Characters, at least 5.
    pub length: usize,
    /// Fewest digits.
    pub min_number: usize,
    /// Fewest special characters.
    pub min_special: usize,
    /// Leaves out I, O, l, 0 and 1.
    pub avoid_ambiguous: bool,
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self {
            uppercase: true,
            lowercase: true,
            number: true,
            special: false,
            length: 14,
            min_number: 1,
            min_special: 0,
            avoid_ambiguous: false,
        }
    }
}

/// What a passphrase consists of.
#[derive(Clone, Debug)]
pub struct PassphraseRules {
    /// Words, at least 3.
    pub words: usize,
    /// Between the words.
    pub separator: String,
    /// First letters in upper case.
    pub capitalize: bool,
    /// One digit behind one word.
    pub include_number: bool,
}

impl Default for PassphraseRules {
    fn default() -> Self {
        Self { words: 6, separator: "-".to_owned(), capitalize: false, include_number: false }
    }
}

/// A password. Minimums win over the length.
///
/// # Errors
/// [`Error::Configuration`] when the operating system gives no random numbers.
pub fn password(rules: &PasswordRules) -> Result<Zeroizing<String>> {
    let without = |set: &str, odd: &str| -> Vec<char> {
        set.chars().filter(|c| !rules.avoid_ambiguous || !odd.contains(*c)).collect()
    };
    let classes = [
        (rules.uppercase, 1, without("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "IO")),
        (rules.lowercase, 1, without("abcdefghijklmnopqrstuvwxyz", "l")),
        (rules.number, rules.min_number, without("0123456789", "01")),
        (rules.special, rules.min_special, without(SPECIAL, "")),
    ];
    let length = rules.length.clamp(SHORTEST, LONGEST);
    let mut characters: Zeroizing<Vec<char>> = Zeroizing::new(Vec::with_capacity(length));
    let mut union = Vec::new();
    for (enabled, least, set) in &classes {
        if *enabled {
            for _ in 0..(*least).min(LONGEST) {
                characters.push(pick(set)?);
            }
            union.extend_from_slice(set);
        }
    }
    if union.is_empty() {
        return password(&PasswordRules { uppercase: true, lowercase: true, number: true, ..*rules });
    }
    while characters.len() < length {
        characters.push(pick(&union)?);
    }
    shuffle(&mut characters)?;
    Ok(Zeroizing::new(characters.iter().collect()))
}

/// A passphrase of words from the EFF's long list.
///
/// # Errors
/// [`Error::Configuration`] when the operating system gives no random numbers.
pub fn passphrase(rules: &PassphraseRules) -> Result<Zeroizing<String>> {
    let count = rules.words.clamp(FEWEST_WORDS, LONGEST / 16);
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let word = *EFF_LONG_WORD_LIST.get(below(EFF_LONG_WORD_LIST.len())?).unwrap_or(&"");
        words.push(Zeroizing::new(if rules.capitalize { capitalized(word) } else { word.to_owned() }));
    }
    if rules.include_number {
        let (at, digit) = (below(count)?, below(10)?);
        if let Some(word) = words.get_mut(at) {
            word.push_str(&digit.to_string());
        }
    }
    let words: Vec<&str> = words.iter().map(|w| w.as_str()).collect();
    Ok(Zeroizing::new(words.join(&rules.separator)))
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().collect::<String>() + chars.as_str())
}

fn pick(set: &[char]) -> Result<char> {
    let at = below(set.len())?;
    set.get(at).copied().ok_or_else(|| Error::Configuration("empty character set".to_owned()))
}

/// Fisher and Yates, from the end.
fn shuffle(characters: &mut [char]) -> Result<()> {
    for i in (1..characters.len()).rev() {
        characters.swap(i, below(i + 1)?);
    }
    Ok(())
}

/// Uniform below `n` by rejection: values of the incomplete last stretch are drawn again.
fn below(n: usize) -> Result<usize> {
    let n = u32::try_from(n)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| Error::Configuration("empty set".to_owned()))?;
    let bound = u32::MAX - u32::MAX % n;
    loop {
        let value = getrandom::u32().map_err(|e| {
            Error::Configuration(format!("The operating system gives no random numbers: {e}"))
        })?;
        if value < bound {
            return Ok((value % n) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_come_from_the_list_and_options_show() {
        let rules =
            PassphraseRules { words: 4, separator: "_".into(), capitalize: true, include_number: true };
        let phrase = passphrase(&rules).unwrap();
        let words: Vec<&str> = phrase.split('_').collect();
        assert_eq!(words.len(), 4);
        assert_eq!(phrase.chars().filter(char::is_ascii_digit).count(), 1);
        assert!(words.iter().all(|w| w.starts_with(|c: char| c.is_ascii_uppercase())));
        assert_eq!(EFF_LONG_WORD_LIST.len(), 7776);
        assert_eq!(
            passphrase(&PassphraseRules { words: 1, ..Default::default() }).unwrap().matches('-').count(),
            2
        );
    }

    proptest! {
        #[test]
        fn passwords_keep_their_rules(upper: bool, lower: bool, number: bool, special: bool, avoid: bool,
                                      length in 0_usize..64, min_number in 0_usize..24, min_special in 0_usize..24) {
            let rules = PasswordRules { uppercase: upper, lowercase: lower, number, special, length, min_number, min_special, avoid_ambiguous: avoid };
            let text = password(&rules).unwrap();
            let count = |f: fn(&char) -> bool| text.chars().filter(f).count();
            let any = upper || lower || number || special;
            if any {
                let least = usize::from(upper) + usize::from(lower)
                    + if number { min_number } else { 0 } + if special { min_special } else { 0 };
                prop_assert_eq!(text.len(), length.max(5).max(least));
                prop_assert!(!upper || count(char::is_ascii_uppercase) >= 1);
                prop_assert!(!lower || count(char::is_ascii_lowercase) >= 1);
                prop_assert!(!number || count(char::is_ascii_digit) >= min_number);
                prop_assert!(!special || text.chars().filter(|c| SPECIAL.contains(*c)).count() >= min_special);
                prop_assert!(upper || count(char::is_ascii_uppercase) == 0);
                prop_assert!(number || count(char::is_ascii_digit) == 0);
            }
            prop_assert!(!avoid || !text.contains(['I', 'O', 'l', '0', '1']));
        }
    }
}
