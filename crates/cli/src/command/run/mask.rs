//! Replaces values in a stream of bytes, wherever the writes happen to cut them.

use zeroize::Zeroizing;

/// What stands in place of a value.
pub(super) const MASK: &[u8] = b"[masked]";

/// Shorter values are left: masking every "ab" would garble the output and hide nothing.
const SHORTEST: usize = 4;

/// Masks some values in one stream.
pub(super) struct Mask {
    values: Vec<Zeroizing<Vec<u8>>>,
    /// Bytes that may be the beginning of a value.
    held: Zeroizing<Vec<u8>>,
}

impl Mask {
    /// The longest value wins where several begin.
    pub(super) fn new<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut values: Vec<Zeroizing<Vec<u8>>> = values
            .flat_map(|value| std::iter::once(value).chain(value.lines().filter(move |line| *line != value)))
            .filter(|value| value.len() >= SHORTEST)
            .map(|value| Zeroizing::new(value.as_bytes().to_vec()))
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values, held: Zeroizing::default() }
    }

    /// Takes what was written and returns what may be shown now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        self.drain(false)
    }

    /// The stream is over: what is held is no value.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.drain(true)
    }

    fn drain(&mut self, over: bool) -> Vec<u8> {
        let mut shown = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while let Some(rest) = self.held.get(at..).filter(|rest| !rest.is_empty()) {
            // A longer value that has begun is waited for before a shorter one is masked.
            let begun =
                !over && self.values.iter().any(|value| value.len() > rest.len() && value.starts_with(rest));
            if begun {
                break;
            }
            if let Some(value) = self.values.iter().find(|value| rest.starts_with(value)) {
                shown.extend_from_slice(MASK);
                at += value.len();
            } else {
                shown.extend(rest.first());
                at += 1;
            }
        }
        let rest = Zeroizing::new(self.held.split_off(at));
        self.held = rest;
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(values: &[&str], writes: &[&[u8]]) -> String {
        let mut mask = Mask::new(values.iter().copied());
        let mut shown: Vec<u8> = writes.iter().flat_map(|write| mask.push(write)).collect();
        shown.extend(mask.finish());
        String::from_utf8_lossy(&shown).into_owned()
    }

    #[test]
    fn however_it_is_cut() {
        let text = b"user=alice password=hunter22 hunter2 hunter22!";
        for cut in 0..=text.len() {
            let (left, right) = text.split_at(cut);
            let expected = "user=alice password=[masked] hunter2 [masked]!";
            assert_eq!(masked(&["hunter22"], &[left, right]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(masked(&["hunter22"], &bytes), "user=alice password=[masked] hunter2 [masked]!");
    }

    #[test]
    fn overlapping_values_and_lines() {
        assert_eq!(masked(&["abcd", "abcdef"], &[b"abcd", b"ef abcdx"]), "[masked] [masked]x");
        assert_eq!(masked(&["aaaa"], &[b"aa", b"aaa"]), "[masked]a");
        assert_eq!(masked(&["line one\nline two"], &[b"> line two"]), "> [masked]");
        assert_eq!(masked(&["abc", ""], &[b"abc"]), "abc", "too short to mask");
    }

    #[test]
    fn what_cannot_be_a_value_is_shown_at_once() {
        let mut mask = Mask::new(std::iter::once("hunter22"));
        assert_eq!(mask.push(b"Password? "), b"Password? ");
        assert_eq!(mask.push(b"hunt"), b"");
        assert_eq!(mask.push(b"ing"), b"hunting");
    }
}
