//! One key of a `config.toml` as text: comments, order and spacing of the rest stay as they are.

use std::ops::Range;

use toml_edit::{Document, DocumentMut, Item, Table, Value};

/// The text with the key set to a value; `None` where something else stands in the key's way.
pub(super) fn set(text: &str, key: &str, value: &Value) -> Option<String> {
    let value = value.to_string();
    let value = value.trim();
    if let Some(place) = place(text, key) {
        let mut text = text.to_owned();
        text.replace_range(place.value, value);
        return Some(text);
    }
    let document = Document::parse(text).ok()?;
    let (table, name) = key.rsplit_once('.').map_or((None, key), |(table, name)| (Some(table), name));
    let line = format!("{name} = {value}\n");
    let Some(table) = table else {
        let at = end_of_values(text, document.as_table()).unwrap_or(0);
        return Some(with_line(text, at, &line));
    };
    match document.get(table) {
        None => {
            let gap = if text.trim().is_empty() { "" } else { "\n" };
            Some(with_line(text, text.len(), &format!("{gap}[{table}]\n{line}")))
        }
        Some(Item::Table(of)) if !of.is_dotted() && !of.is_implicit() => {
            let at = end_of_values(text, of).or_else(|| end_of_line(text, of.span()?.end))?;
            Some(with_line(text, at, &line))
        }
        Some(_) => {
            let mut document: DocumentMut = text.parse().ok()?;
            let of = document.get_mut(table)?.as_table_like_mut()?;
            of.insert(name, Item::Value(value.parse().ok()?));
            Some(document.to_string())
        }
    }
}

/// Behind the line of a table's last value.
fn end_of_values(text: &str, table: &Table) -> Option<usize> {
    let values = table.iter().filter_map(|(_, item)| item.as_value()?.span());
    end_of_line(text, values.map(|span| span.end).max()?)
}

fn end_of_line(text: &str, at: usize) -> Option<usize> {
    Some(text.get(at..)?.find('\n').map_or(text.len(), |end| at + end + 1))
}

/// The text with a line put in where one begins.
fn with_line(text: &str, at: usize, line: &str) -> String {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    format!("{before}{gap}{line}{after}")
}

/// The text without the key; `None` when it is not in there.
pub(super) fn unset(text: &str, key: &str) -> Option<String> {
    let Place { key: name, value, inline } = place(text, key)?;
    if inline {
        let mut document: DocumentMut = text.parse().ok()?;
        let (last, tables) =
            key.split('.').collect::<Vec<_>>().split_last().map(|(n, t)| (*n, t.to_vec()))?;
        let mut table = document.as_table_mut() as &mut dyn toml_edit::TableLike;
        for name in tables {
            table = table.get_mut(name)?.as_table_like_mut()?;
        }
        table.remove(last)?;
        return Some(document.to_string());
    }
    // Its line goes, and what is above it stays.
    let start = text.get(..name.start)?.rfind('\n').map_or(0, |at| at + 1);
    let end = end_of_line(text, value.end)?;
    let mut text = text.to_owned();
    text.replace_range(start..end, "");
    Some(without_empty_table(text, key))
}

/// The head of the key's table goes too when nothing is left under it and it is a bare line; comments stay.
fn without_empty_table(mut text: String, key: &str) -> String {
    let head = || {
        let (table, _) = key.rsplit_once('.')?;
        let document = Document::parse(text.as_str()).ok()?;
        let Some(Item::Table(of)) = document.get(table) else { return None };
        let span = of.span().filter(|_| of.is_empty())?;
        let start = text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
        let end = end_of_line(&text, start)?;
        let bare = text.get(start..end)?.trim() == format!("[{table}]");
        // Without it a comment below would stand under the table before.
        let alone = text
            .get(end..)?
            .lines()
            .next()
            .is_none_or(|line| line.trim().is_empty() || line.starts_with('['));
        (bare && alone).then_some(start..end)
    };
    if let Some(range) = head() {
        text.replace_range(range, "");
        let length = text.trim_end().len();
        text.truncate(length);
        if !text.is_empty() {
            text.push('\n');
        }
    }
    text
}

/// The value of a key, as it stands there.
pub(super) fn get<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.get(place(text, key)?.value)
}

struct Place {
    key: Range<usize>,
    value: Range<usize>,
    /// In a table within braces, which shares its line with others.
    inline: bool,
}

fn place(text: &str, key: &str) -> Option<Place> {
    let document = Document::parse(text).ok()?;
    let mut item = document.as_item();
    let (mut inline, mut span) = (false, None);
    for name in key.split('.') {
        inline |= item.is_inline_table();
        let (key, next) = item.as_table_like()?.get_key_value(name)?;
        (span, item) = (key.span(), next);
    }
    Some(Place { key: span?, value: item.as_value()?.span()?, inline })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "# Mine.\n\nmode = 'local' # here\n\n# Where agents come.\n[server]\n\
        # not 5000: AirPlay\nlisten   =  \"127.0.0.1:5050\"   # moved\ntrusted_proxies = [\n  \"10.0.0.0/8\", # office\n]\n\
        [notify] # last\nbell = false";

    fn value(text: &str) -> Value {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_value_changes() {
        let set = |key, to| set(FILE, key, &value(to)).unwrap();
        assert_eq!(set("mode", "\"remote\""), FILE.replace("'local'", "\"remote\""));
        assert_eq!(set("server.listen", "\"[::1]:1\""), FILE.replace("127.0.0.1:5050", "[::1]:1"));
        assert_eq!(set("notify.bell", "true"), FILE.replace("false", "true"));
        let proxies = set("server.trusted_proxies", "[]");
        assert!(proxies.contains("trusted_proxies = []\n[notify] # last"), "{proxies}");
    }

    #[test]
    fn a_new_key_finds_its_table() {
        let file = set(FILE, "server.control_port", &value("false")).unwrap();
        assert!(file.contains("]\ncontrol_port = false\n[notify] # last"), "{file}");
        let file = set(FILE, "session.idle_minutes", &value("5")).unwrap();
        assert!(file.starts_with(FILE) && file.ends_with("\n[session]\nidle_minutes = 5\n"), "{file}");
        let file = set(FILE, "rest_key", &value("\"file\"")).unwrap();
        assert!(file.starts_with("# Mine.\n\nmode = 'local' # here\nrest_key = \"file\"\n"), "{file}");
        assert_eq!(set("", "mode", &value("\"local\"")).unwrap(), "mode = \"local\"\n");
        let file = "# Mine.\n[server] # empty\n# and this\n";
        let set_in = |file, key| set(file, key, &value("1")).unwrap();
        assert_eq!(set_in(file, "server.a"), "# Mine.\n[server] # empty\na = 1\n# and this\n");
        assert_eq!(set_in(file, "devices.a"), format!("{file}\n[devices]\na = 1\n"));
        assert_eq!(set_in(file, "a"), format!("a = 1\n{file}"));
        assert_eq!(set("a = 1\n", "a.b", &value("1")), None);
        for file in ["server = { listen = \"a\" }\n", "server.listen = \"a\"\n"] {
            let file = set(file, "server.control_port", &value("true")).unwrap();
            assert_eq!(get(&file, "server.control_port"), Some("true"), "{file}");
            assert_eq!(get(&file, "server.listen"), Some("\"a\""), "{file}");
        }
    }

    #[test]
    fn a_key_goes_with_its_line() {
        let without = |key| unset(FILE, key).unwrap();
        assert_eq!(without("mode"), FILE.replace("mode = 'local' # here\n", ""));
        assert_eq!(without("server.listen"), FILE.replace("listen   =  \"127.0.0.1:5050\"   # moved\n", ""));
        let file = without("server.trusted_proxies");
        assert!(file.contains("# moved\n[notify] # last"), "{file}");
        assert!(without("notify.bell").ends_with("[notify] # last\n"));
        assert_eq!(unset(FILE, "session.idle_minutes"), None);
        assert_eq!(unset(FILE, "server"), None, "a table is no setting");
        let alone = "mode = 'local'\n\n[session]\nidle_minutes = 7\n";
        assert_eq!(unset(alone, "session.idle_minutes").unwrap(), "mode = 'local'\n");
        let noted = "[session]\nidle_minutes = 7\n# why\n";
        assert_eq!(unset(noted, "session.idle_minutes").unwrap(), "[session]\n# why\n");
        assert_eq!(
            unset("server = { listen = \"a\", b = 1 }\n", "server.listen").unwrap(),
            "server = { b = 1 }\n"
        );
        assert_eq!(unset("server.listen = \"a\"\nx = 1\n", "server.listen").unwrap(), "x = 1\n");
    }

    proptest! {
        /// Whatever stands around it: set and unset leave the file as it was, and each comment stays.
        #[test]
        fn there_and_back(
            lines in proptest::collection::vec("(# [a-z]{0,6})?|k[0-9] = ([0-9]|\"x#y\")( # [a-z]{1,5})?", 0..6),
            rest in proptest::collection::vec("(# [a-z]{0,6})?|m[0-9] = \\[ 1, 2 \\]( # [a-z]{1,5})?", 0..6),
            number in 0_u32..100,
        ) {
            let file = format!("{}\n[session]\n{}\n", lines.join("\n"), rest.join("\n"));
            prop_assume!(file.parse::<DocumentMut>().is_ok());
            let changed = set(&file, "session.idle_minutes", &Value::from(i64::from(number))).unwrap();
            let shown = number.to_string();
            prop_assert_eq!(get(&changed, "session.idle_minutes"), Some(shown.as_str()));
            let comments = |text: &str| text.lines().filter(|line| line.contains("# ")).map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(comments(&changed), comments(&file));
            let back = unset(&changed, "session.idle_minutes").unwrap();
            // A table that is empty again goes, its comments stay.
            let without = file.replacen("[session]\n", "", 1);
            let emptied = !rest.iter().any(|line| line.starts_with('m')) && back.trim_end() == without.trim_end();
            prop_assert!(back.trim_end() == file.trim_end() || emptied, "{back}");
        }
    }
}
