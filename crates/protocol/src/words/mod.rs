//! Words instead of digits: the EFF large word list and the fingerprint phrase.
//!
//! The list is the Electronic Frontier Foundation's large Diceware list (2016, CC BY 3.0 US):
//! 7,776 words, sorted, none a prefix of another. A stranger's implementation needs the same
//! list in the same order, one word a line, to show the same fingerprint.

use std::sync::OnceLock;

static EFF_LARGE: &str = include_str!("eff_large.txt");

/// Number of words in the list, 6^5.
pub const WORD_COUNT: usize = 7_776;

/// The EFF large word list, in order.
pub fn word_list() -> &'static [&'static str] {
    static LIST: OnceLock<Vec<&'static str>> = OnceLock::new();
    LIST.get_or_init(|| EFF_LARGE.lines().collect())
}

/// Shows eight bytes as five words: the big-endian number in base 7,776, most significant digit first.
///
/// 7,776^5 is larger than 2^64, so five words hold all 64 bits and two different fingerprints never
/// read alike. A person compares them aloud far more reliably than sixteen hex digits.
pub fn fingerprint_words(bytes: [u8; 8]) -> String {
    let words = word_list();
    let base = WORD_COUNT as u64;
    let mut rest = u64::from_be_bytes(bytes);
    let mut digits = [""; 5];
    for slot in digits.iter_mut().rev() {
        let index = usize::try_from(rest % base).unwrap_or_default();
        *slot = words[index];
        rest /= base;
    }
    digits.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_has_every_word_once_and_in_order() {
        let words = word_list();
        assert_eq!(words.len(), WORD_COUNT);
        assert!(words.windows(2).all(|pair| pair[0] < pair[1]), "sorted and without repeats");
    }

    #[test]
    fn fingerprints_use_the_whole_range() {
        assert_eq!(fingerprint_words([0; 8]), "abacus abacus abacus abacus abacus");
        assert_ne!(fingerprint_words([0xff; 8]), fingerprint_words([0xfe; 8]));
        assert_eq!(fingerprint_words([0, 0, 0, 0, 0, 0, 0, 1]).split(' ').next_back(), Some(word_list()[1]));
    }
}
