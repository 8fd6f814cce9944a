//! A line that is being typed.

use std::fmt;

use durward_protocol::SecretString;
use zeroize::{Zeroize as _, Zeroizing};

/// Longest line taken, in bytes. The room is there from the start, so that the text is never moved and no
/// copy of it stays behind.
const MAX_BYTES: usize = 1_024;

/// One line of input, wiped when it is dropped. `Debug` says nothing of it.
pub(crate) struct Text {
    typed: Zeroizing<String>,
    secret: bool,
}

impl Text {
    /// A line that is drawn as it is typed.
    pub(crate) fn plain() -> Self {
        Self { typed: Zeroizing::new(String::with_capacity(MAX_BYTES)), secret: false }
    }

    /// A line that is drawn as dots.
    pub(crate) fn secret() -> Self {
        Self { secret: true, ..Self::plain() }
    }

    /// A plain line with something in it.
    pub(crate) fn holding(text: &str) -> Self {
        let mut line = Self::plain();
        text.chars().for_each(|c| line.push(c));
        line
    }

    /// Puts a character at the end; controls and what would not fit are dropped.
    pub(crate) fn push(&mut self, c: char) {
        if !c.is_control() && self.typed.len() + c.len_utf8() <= MAX_BYTES {
            self.typed.push(c);
        }
    }

    /// Puts clipboard text at the end, up to its first line break.
    pub(crate) fn paste(&mut self, text: &SecretString) {
        let first = text.expose_secret().lines().next().unwrap_or_default();
        first.chars().for_each(|c| self.push(c));
    }

    pub(crate) fn pop(&mut self) {
        self.typed.pop();
    }

    pub(crate) fn clear(&mut self) {
        self.typed.zeroize(); // wipes and keeps the room
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.typed.is_empty()
    }

    pub(crate) fn is_secret(&self) -> bool {
        self.secret
    }

    /// The text itself.
    pub(crate) fn expose(&self) -> &str {
        &self.typed
    }

    /// A copy to send.
    pub(crate) fn to_secret(&self) -> SecretString {
        SecretString::new(self.typed.as_str().to_owned())
    }

    /// How many characters were typed.
    pub(crate) fn count(&self) -> usize {
        self.typed.chars().count()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_where_it_is_and_within_bounds() {
        let mut line = Text::secret();
        let place = line.expose().as_ptr();
        "hunter2".chars().for_each(|c| line.push(c));
        line.push('\u{1b}');
        line.pop();
        assert_eq!((line.expose(), line.count()), ("hunter", 6));
        assert_eq!(format!("{line:?}"), "[redacted]");
        line.paste(&SecretString::new("x".repeat(5_000) + "\ny"));
        assert_eq!(line.expose().len(), MAX_BYTES);
        assert_eq!(line.expose().as_ptr(), place, "never moved");
        line.clear();
        assert!(line.is_empty());
        line.paste(&SecretString::new("one\ntwo".into()));
        assert_eq!(line.expose(), "one", "a line break does not send what was pasted");
    }
}
