//! What the tables of several commands share.

use std::io::IsTerminal as _;

use comfy_table::Table;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns between two cells.
const GAP: usize = 2;
/// A cell that is cut keeps so much.
const NARROWEST: usize = 8;

/// A table without lines: one row a line, fit for `awk`.
pub(crate) fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.to_vec());
    table
}

/// The same, that keeps to the width of the terminal: a line that wraps is noise. Off a terminal it is whole.
pub(crate) struct Fitted {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    width: Option<usize>,
    drop_first: Vec<&'static str>,
}

impl Fitted {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let width = terminal.then(|| crossterm::terminal::size().map_or(80, |(columns, _)| columns.max(40)));
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
            width: width.map(usize::from),
            drop_first: Vec::new(),
        }
    }

    /// Whole, whatever the terminal's width.
    pub(crate) fn wide(mut self, wide: bool) -> Self {
        self.width = self.width.filter(|_| !wide);
        self
    }

    /// Columns that are left out, in this order, before any cell is cut.
    pub(crate) fn drop_first(mut self, columns: &[&'static str]) -> Self {
        self.drop_first = columns.to_vec();
        self
    }

    pub(crate) fn add_row<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.into());
    }

    /// The table. Where it is too wide for the terminal, cells of these columns are cut, the first ones most; others never
    /// are, so that an id can be copied.
    pub(crate) fn text(mut self, cut: &[&str]) -> String {
        if let Some(width) = self.width {
            for name in self.drop_first.clone() {
                if self.total() > width {
                    self.remove(name);
                }
            }
            for name in cut {
                let excess = self.total().saturating_sub(width);
                self.narrow(name, excess);
            }
        }
        let mut table = plain_table(&self.header);
        for row in self.rows {
            table.add_row(row);
        }
        table.trim_fmt()
    }

    fn widths(&self) -> impl Iterator<Item = usize> {
        self.header.iter().enumerate().map(|(at, name)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width());
            cells.max().unwrap_or(0).max(name.width())
        })
    }

    /// Columns of the terminal that a line takes; comfy-table puts a blank on each side of a cell.
    fn total(&self) -> usize {
        self.widths().map(|width| width + GAP).sum::<usize>().saturating_sub(1)
    }

    fn remove(&mut self, name: &str) {
        if let Some(at) = self.header.iter().position(|header| *header == name) {
            self.header.remove(at);
            self.rows.iter_mut().for_each(|row| drop(row.remove(at)));
        }
    }

    fn narrow(&mut self, name: &str, excess: usize) {
        let Some(at) = self.header.iter().position(|header| *header == name) else { return };
        let Some(now) = self.widths().nth(at).filter(|_| excess > 0) else { return };
        let width = now.saturating_sub(excess).max(NARROWEST).max(name.width());
        for cell in self.rows.iter_mut().filter_map(|row| row.get_mut(at)) {
            *cell = cut(cell, width);
        }
    }
}

/// The text in so many columns of a terminal, with `…` where something is missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push('…');
    kept
}

pub(crate) fn minutes(moment: time::OffsetDateTime) -> String {
    format!("{} {:02}:{:02}Z", moment.date(), moment.hour(), moment.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(width: Option<usize>) -> Fitted {
        let mut table = Fitted::new(&["#", "AGENT", "NAME", "KEY"]);
        table.width = width;
        table.add_row(["1".into(), "agent-abcdefgh".into(), "n".repeat(5_000), "five words".into()]);
        table
    }

    #[test]
    fn a_table_keeps_to_the_terminal_and_an_id_whole() {
        let text = table(Some(60)).drop_first(&["KEY"]).text(&["NAME"]);
        assert!(text.lines().all(|line| line.width() <= 60), "{text}");
        assert!(text.contains("agent-abcdefgh") && text.contains("nnn…") && !text.contains("KEY"), "{text}");
        let text = table(Some(20)).text(&["NAME"]);
        assert!(text.contains("agent-abcdefgh") && text.contains("five words"), "never cut: {text}");
    }

    #[test]
    fn off_a_terminal_and_with_wide_it_is_whole() {
        for whole in [table(None), table(Some(60)).wide(true)] {
            let text = whole.drop_first(&["KEY"]).text(&["NAME"]);
            assert!(text.contains(&"n".repeat(5_000)) && text.contains("five words"));
        }
    }

    #[test]
    fn wide_letters_count_twice() {
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("abc", 3), "abc");
    }
}
