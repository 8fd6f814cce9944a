//! Passwords and passphrases by the official rules.

use bitwarden_crypto::EFF_LONG_WORD_LIST;
use zeroize::Zeroizing;

use crate::{Error, Result};

const SHORTEST: usize = 5;
/// Longer ones serve nobody and only fill memory.
const LONGEST: usize = 1 << 20;
const FEWEST_WORDS: usize = 3;
const SPECIAL: &str = "!@#$%^&*";

/// The same for whoever is logged in, unless an organisation demands more.
const LONGEST_OF_ACCOUNT: usize = 128;
const MOST_WORDS_OF_ACCOUNT: usize = 20;
const MOST_OF_A_CLASS: usize = 9;

/// What is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Characters.
    Password,
    /// Words.
    Passphrase,
}

/// A whole wish: an organisation may turn it into one of the other kind, so the rules of both are part of it.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Which of the two.
    pub kind: Kind,
    /// Rules of a password.
    pub password: PasswordRules,
    /// Rules of a passphrase.
    pub passphrase: PassphraseRules,
}

impl Wish {
    /// Makes it.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the operating system gives no random numbers.
    pub fn fulfil(&self) -> Result<Zeroizing<String>> {
        match self.kind {
            Kind::Password => password(&self.password),
            Kind::Passphrase => passphrase(&self.passphrase),
        }
    }
}

/// What an account's organisations demand of generated passwords. The default demands nothing, and yet bounds what
/// a logged-in account gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GeneratorPolicy {
    /// The only kind allowed, if there is one.
    pub kind: Option<Kind>,
    /// Fewest characters.
    pub min_length: usize,
    /// A to Z.
    pub uppercase: bool,
    /// a to z.
    pub lowercase: bool,
    /// 0 to 9.
    pub number: bool,
    /// `!@#$%^&*`.
    pub special: bool,
    /// Fewest digits.
    pub min_number: usize,
    /// Fewest special characters.
    pub min_special: usize,
    /// Fewest words.
    pub min_words: usize,
    /// First letters in upper case.
    pub capitalize: bool,
    /// One digit behind one word.
    pub include_number: bool,
}

impl GeneratorPolicy {
    /// Changes a wish into what is allowed. As in the official client a wish for at least some digits, which is the
    /// default, is one for digits.
    pub fn apply(&self, wish: &mut Wish) {
        wish.kind = self.kind.unwrap_or(wish.kind);
        let rules = &mut wish.password;
        rules.uppercase |= self.uppercase;
        rules.lowercase |= self.lowercase;
        rules.number |= self.number || rules.min_number > 0;
        rules.special |= self.special || rules.min_special > 0;
        rules.min_number = fit(rules.min_number, self.min_number, MOST_OF_A_CLASS).max(1);
        rules.min_special = fit(rules.min_special, self.min_special, MOST_OF_A_CLASS).max(1);
        let least = self.min_length.max(self.min_number.saturating_add(self.min_special)).max(SHORTEST);
        rules.length = fit(rules.length, least, LONGEST_OF_ACCOUNT);
        let rules = &mut wish.passphrase;
        rules.words = fit(rules.words, self.min_words.max(FEWEST_WORDS), MOST_WORDS_OF_ACCOUNT);
        rules.capitalize |= self.capitalize;
        rules.include_number |= self.include_number;
    }
}

/// At least what is demanded, at most what is usual; a demand wins.
fn fit(wished: usize, demanded: usize, usual_most: usize) -> usize {
    wished.min(usual_most).max(demanded)
}

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

    fn wish(password: PasswordRules) -> Wish {
        Wish { kind: Kind::Password, password, passphrase: PassphraseRules::default() }
    }

    /// The wishes are those of the official program's command line, measured with version 2026.9.0.
    #[test]
    fn whoever_is_logged_in_gets_no_more_than_usual() {
        let applied = |rules: PasswordRules| {
            let mut wish = wish(rules);
            GeneratorPolicy::default().apply(&mut wish);
            wish.password
        };
        let only_lower = PasswordRules { uppercase: false, number: false, ..PasswordRules::default() };
        assert!(applied(only_lower).number, "the least number of digits is one unless told otherwise");
        assert!(!applied(PasswordRules { min_number: 0, ..only_lower }).number);
        assert_eq!(applied(PasswordRules { length: 200, ..only_lower }).length, 128);
        assert_eq!(applied(PasswordRules { length: 0, ..only_lower }).length, 5);
        assert_eq!(applied(PasswordRules { min_number: 15, ..only_lower }).min_number, 9);
        let special = applied(PasswordRules { min_special: 3, ..only_lower });
        assert_eq!((special.special, special.min_special), (true, 3));
        let mut many = wish(only_lower);
        many.passphrase.words = 30;
        GeneratorPolicy::default().apply(&mut many);
        assert_eq!(many.passphrase.words, 20);
    }

    #[test]
    fn demands_of_an_organisation_are_met() {
        let policy = GeneratorPolicy {
            min_length: 24,
            uppercase: true,
            special: true,
            min_number: 4,
            min_special: 3,
            min_words: 7,
            capitalize: true,
            include_number: true,
            ..GeneratorPolicy::default()
        };
        let short = PasswordRules { uppercase: false, number: false, length: 8, ..PasswordRules::default() };
        let mut wish = wish(short);
        policy.apply(&mut wish);
        let text = wish.fulfil().unwrap();
        let count = |f: fn(&char) -> bool| text.chars().filter(f).count();
        assert_eq!(text.len(), 24);
        assert!(count(char::is_ascii_uppercase) >= 1 && count(char::is_ascii_digit) >= 4, "{}", *text);
        assert!(text.chars().filter(|c| SPECIAL.contains(*c)).count() >= 3, "{}", *text);
        // The other kind is bound, too, and may be the only one.
        GeneratorPolicy { kind: Some(Kind::Passphrase), ..policy }.apply(&mut wish);
        let text = wish.fulfil().unwrap();
        assert!(text.starts_with(|c: char| c.is_ascii_uppercase()), "{}", *text);
        assert_eq!((wish.passphrase.words, wish.passphrase.include_number), (7, true));
        // A demand beyond the usual most wins over it.
        let mut wish = Wish { kind: Kind::Password, ..wish };
        GeneratorPolicy { min_length: 200, ..policy }.apply(&mut wish);
        assert_eq!(wish.fulfil().unwrap().len(), 200);
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
