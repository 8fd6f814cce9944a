//! `docs/protocol.md` says what the code does.

use durward_protocol::{
    ErrorCode, MAX_AGENT_ID_BYTES, MAX_PAYLOAD_CHARS, MAX_PLAINTEXT_BYTES, MAX_REASON_BYTES, MAX_SCOPE_BYTES,
    word_list,
};

const PROTOCOL: &str = include_str!("../../../../docs/protocol.md");

#[test]
fn the_error_table_is_the_table_in_the_docs() {
    let documented: Vec<[String; 3]> = PROTOCOL
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
        .filter_map(|row| {
            let (code, rest) = row.split_once("` | ")?;
            let (status, message) = rest.split_once(" | ")?;
            status.parse::<u16>().ok()?;
            Some([code.to_owned(), status.to_owned(), message.to_owned()])
        })
        .collect();
    let coded: Vec<[String; 3]> = ErrorCode::ALL
        .iter()
        .map(|code| [code.as_str().to_owned(), code.status().to_string(), code.message().to_owned()])
        .collect();
    let rows: Vec<String> = coded.iter().map(|[c, s, m]| format!("| `{c}` | {s} | {m} |")).collect();
    assert!(documented == coded, "the table in docs/protocol.md should be:\n{}", rows.join("\n"));
}

#[test]
fn limits_are_named() {
    for limit in [MAX_PLAINTEXT_BYTES, MAX_PAYLOAD_CHARS, MAX_REASON_BYTES, MAX_SCOPE_BYTES] {
        let digits = limit.to_string();
        let (thousands, rest) = digits.split_at(digits.len() - 3);
        let text = format!("{thousands},{rest}");
        assert!(PROTOCOL.contains(&text), "{text}");
    }
    assert!(PROTOCOL.contains(&format!("1 to {MAX_AGENT_ID_BYTES} of")));
}

#[test]
fn the_word_list_is_shipped() {
    let shipped = include_str!("../../../../docs/vectors/eff_large_wordlist.txt");
    assert!(shipped.lines().eq(word_list().iter().copied()));
}
