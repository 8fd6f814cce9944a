//! Printing: the one module that writes to stdout and stderr.

use std::io::{IsTerminal as _, Write};
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use unicode_width::UnicodeWidthStr as _;
use zeroize::Zeroizing;

/// Columns of a table on a terminal that is narrower, or does not know.
const NARROWEST_TABLE: u16 = 72;

/// A line on stdout: results, nothing else. A closed pipe is not an error.
pub(crate) fn out(line: &str) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// A result as one JSON object on stdout. Characters that deceive a reader are `\u` escapes in it: the same text to
/// a program, nothing to a terminal.
pub(crate) fn json(value: &impl serde::Serialize) {
    // Values of ours have text keys, so that they can always be written.
    if let Ok(text) = serde_json::to_string(value).map(Zeroizing::new) {
        out(&escaped(&text));
    }
}

/// The same characters inside JSON's own texts, the only place where they can be.
fn escaped(json: &str) -> Zeroizing<String> {
    use std::fmt::Write as _;
    // Room for all of it: growing would leave a copy behind.
    let deceptive = json.chars().filter(|c| durward_protocol::is_deceptive(*c)).count();
    let mut shown = Zeroizing::new(String::with_capacity(json.len() + deceptive * 12));
    for c in json.chars() {
        if !durward_protocol::is_deceptive(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}"); // a String takes it
        }
    }
    shown
}

/// A line on stderr: status, progress, questions.
pub(crate) fn note(line: &str) {
    let _ = writeln!(Notes, "{line}");
}

/// Most bytes of notes kept while a full screen is up.
const MAX_HELD_BYTES: usize = 64 * 1024;

/// Notes that wait until the full screen is gone; `None` while there is none.
static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// From now on notes and log lines wait: a full screen is up, and they would be written across it.
pub(crate) fn hold_notes() {
    HELD.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
}

/// The screen is gone: what waited is written.
pub(crate) fn release_notes() {
    if let Some(held) = HELD.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = anstream::stderr().write_all(&held);
    }
}

/// stderr, or what is held back for it.
pub(crate) struct Notes;

impl Write for Notes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_mut() {
            None => anstream::stderr().write_all(bytes)?,
            // Past the bound the newest is dropped: what went wrong first says more.
            Some(held) if held.len() + bytes.len() <= MAX_HELD_BYTES => held.extend_from_slice(bytes),
            Some(_) => {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// A question on stdout, without a line end: the answer is typed behind it.
pub(crate) fn ask(question: &str) {
    let mut out = anstream::stdout();
    let _ = write!(out, "{question}");
    let _ = out.flush();
}

/// Whether stderr takes colours: a terminal, and nobody said no.
pub(crate) fn colours_on_stderr() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os(crate::env_vars::NO_COLOR).is_none_or(|value| value.is_empty())
}

/// Whether stdout takes colours: nobody said no.
pub(crate) fn colours_on_stdout() -> bool {
    std::io::stdout().is_terminal()
        && std::env::var_os(crate::env_vars::NO_COLOR).is_none_or(|value| value.is_empty())
}

/// Whether the locale says that the terminal shows more than ASCII.
pub(crate) fn unicode() -> bool {
    use crate::env_vars::{LANG, LC_ALL, LC_CTYPE};
    let set = [LC_ALL, LC_CTYPE, LANG].iter().filter_map(|name| std::env::var(name).ok());
    set.into_iter().find(|value| !value.is_empty()).is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}

/// Whether a full screen can be shown: a terminal at both ends that moves its cursor and says its size.
pub(crate) fn takes_full_screen() -> bool {
    let moves = std::env::var(crate::env_vars::TERM).is_ok_and(|term| !term.is_empty() && term != "dumb");
    let sized = crossterm::terminal::window_size().is_ok_and(|size| size.columns > 0 && size.rows > 0);
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && moves && sized
}

/// An error, where it is, and what to do about it, on stderr.
pub(crate) fn error(message: &str, picture: Option<&str>, hint: Option<&str>) {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    note(&format!("{red}error:{red:#} {}", harmless(message)));
    for line in picture.unwrap_or_default().lines() {
        note(&harmless(line));
    }
    hint.into_iter().for_each(self::hint);
}

/// What to do next, on stderr.
pub(crate) fn hint(text: &str) {
    let cyan = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
    note(&format!("{cyan} hint:{cyan:#} {text}"));
}

/// A sentence on stderr: on a terminal its lines end at blanks, elsewhere it is one line.
pub(crate) fn sentence(text: &str) {
    let columns = std::io::stderr().is_terminal().then(crossterm::terminal::size);
    match columns {
        Some(Ok((columns, _))) if columns > 0 => {
            for line in wrapped(text, columns.into()) {
                note(&line);
            }
        }
        _ => note(text),
    }
}

/// Lines of at most so many columns, cut at blanks. A longer word is not cut.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Rows under headings: a table on a terminal, else one line a row with tabs between the columns and no
/// headings. Texts are made harmless.
pub(crate) fn table(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rows = rows.map(|row| row.iter().map(|cell| harmless(cell)).collect::<Vec<_>>());
    if !std::io::stdout().is_terminal() {
        rows.for_each(|row| out(&row.join("\t")));
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings);
    // A terminal that does not know its width says 0.
    if table.width().is_none_or(|width| width < NARROWEST_TABLE) {
        table.set_width(NARROWEST_TABLE);
    }
    for row in rows {
        table.add_row(row);
    }
    out(&table.to_string());
}

/// Whether a person can be asked: both stdin and stderr are terminals.
pub(crate) fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Text from elsewhere, made harmless: controls, escapes and direction marks are shown as `\u{..}`.
/// Line breaks become blanks, so that one line stays one line.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' | '\r' => shown.push(' '),
            c if durward_protocol::is_deceptive(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_cannot_reach_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\u{202e}c\nd"), "a\\u{1b}[2Jb\\u{202e}c d");
        assert_eq!(harmless("Grüße ✈ 漢字"), "Grüße ✈ 漢字");
    }

    #[test]
    fn json_deceives_no_reader_and_means_the_same() {
        let text = "a\u{9b}2J\u{202e}b\u{e0041}c\u{7f}\n\u{1b} ✈ 漢字";
        let plain = serde_json::to_string(&[text]).unwrap();
        let shown = escaped(&plain);
        assert_eq!(*shown, r#"["a\u009b2J\u202eb\udb40\udc41c\u007f\n\u001b ✈ 漢字"]"#);
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap()[0], text);
    }

    #[test]
    fn lines_end_at_blanks() {
        let text = "Type it at the approver, where Flight Booking Agent is waiting.";
        assert_eq!(
            wrapped(text, 30),
            ["Type it at the approver, where", "Flight Booking Agent is", "waiting."]
        );
        assert_eq!(wrapped("http://127.0.0.1:5000/long is", 10), ["http://127.0.0.1:5000/long", "is"]);
        assert_eq!(wrapped("", 10), [""]);
    }
}
