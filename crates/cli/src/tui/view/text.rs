//! Text within columns, counted as terminals count them.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// As much of a text as fits; where something is left out stands `ellipsis`.
pub(super) fn fit(text: &str, columns: usize, ellipsis: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(ellipsis));
    let (mut shown, mut used) = (String::new(), 0);
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > room {
            break;
        }
        shown.push(c);
        used += wide;
    }
    if columns > 0 {
        shown.push_str(ellipsis);
    }
    shown
}

/// A row of a list: the first cell as wide as the others leave room, a blank between them. Two columns are the list's
/// mark.
pub(super) fn aligned(first: &str, others: &[(&str, usize)], room: u16, ellipsis: &str) -> String {
    let taken: usize = others.iter().map(|(_, columns)| columns).sum();
    let mut line = String::new();
    let cells = std::iter::once((first, usize::from(room).saturating_sub(2 + taken)));
    for (n, (text, columns)) in cells.chain(others.iter().copied()).enumerate() {
        let blank = usize::from(n < others.len());
        let text = fit(text, columns.saturating_sub(blank), ellipsis);
        line.push_str(&text);
        line.push_str(&" ".repeat(columns.saturating_sub(width(&text))));
    }
    line.truncate(line.trim_end().len());
    line
}

/// Lines of at most so many columns, broken at blanks where there are any.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2); // the widest character has to fit
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let wide = width(word);
        if used > 0 && used + 1 + wide > columns {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        if used + wide <= columns {
            line.push_str(word);
            used += wide;
            continue;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used + wide > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += wide;
        }
    }
    if used > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Which rows of a long list to show so that `at` is among them, and a few around it.
pub(super) fn window(at: usize, count: usize, height: usize) -> std::ops::Range<usize> {
    let height = height.min(count);
    let first = at.saturating_sub(height / 2).min(count - height);
    first..first + height
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_break_at_blanks_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("漢字漢字", 5), ["漢字", "漢字"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(
            (fit("abcdef", 4, "~"), fit("漢字漢", 4, "~"), fit("ab", 0, "~")),
            ("abc~".into(), "漢~".into(), String::new())
        );
        assert_eq!(
            (window(0, 500, 10), window(250, 500, 10), window(499, 500, 10), window(3, 4, 10)),
            (0..10, 245..255, 490..500, 0..4)
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_too_wide(text in "\\PC{0,80}", columns in 2_usize..40) {
            let lines = wrap(&text, columns);
            prop_assert!(lines.iter().all(|line| width(line) <= columns || line.chars().count() == 1));
            let all = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(all(&lines.concat()), all(&text));
            prop_assert!(width(&fit(&text, columns, "~")) <= columns);
        }
    }
}
