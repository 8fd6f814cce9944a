//! The rest of `docs/vectors/`: what must be taken and what must be refused, piece by piece, for strangers who write
//! the other end. Made and compared as in `vectors.rs`; `examples/python-agent/check_vectors.py` checks the same.

use std::collections::BTreeSet;
use std::path::PathBuf;

use durward_protocol::{
    AgentId, AgentName, ApproverId, ApproverKey, Code, Confirmation, Domain, Error, ErrorCode, Field,
    MAX_CLOCK_SKEW_SECONDS, PairingId, PairingTranscript, Pake, PakeMessage, ReplayWindow, RequestId, Scope,
    SecretBytes, SessionId, Side, Timestamp, TypedCode, UnconfirmedKeys, base64url_decode, base64url_encode,
    hex_encode, lp_all,
};
use serde_json::{Value, json};

use crate::rng::Given;
use crate::vectors::{settle, text};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors")
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: u8| u8::try_from(char::from(c).to_digit(16).unwrap()).unwrap();
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// A stranger finds each file in the documentation, and each file says what it is.
#[test]
fn every_file_says_what_it_is() {
    let page = include_str!("../../../../docs/protocol.md");
    let python = include_str!("../../../../examples/python-agent/check_vectors.py");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(
            page.contains(&format!("| `{name}` |")),
            "docs/protocol.md has no line for {name} in its last section"
        );
        if path.extension().is_some_and(|kind| kind == "json") {
            let read: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let about = read["about"].as_str().unwrap_or_default();
            assert!(about.len() > 40, "{name} needs a text `about` that says how to use it");
            seen += 1;
            let elsewhere = name == "spake.json"; // examples/spake-python/check.py
            assert!(
                elsewhere || python.contains(&format!("\"{name}\"")),
                "check_vectors.py does not check {name}"
            );
        }
    }
    assert!(seen >= 12, "only {seen} files");
}

/// Every code that a vector expects is one of the table.
#[test]
fn every_expected_error_is_in_the_table() {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                if let Some(error) = map.get("error").and_then(Value::as_str) {
                    found.insert(error.to_owned());
                }
                map.values().for_each(|value| collect(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        // Receipts never cross the wire by themselves: why one is bad is the reader's own code.
        let receipts = path.file_name().is_some_and(|name| name == "receipts.json");
        if path.extension().is_some_and(|kind| kind == "json") && !receipts {
            collect(&serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(), &mut found);
        }
    }
    assert!(found.len() > 8, "{found:?}");
    for code in found {
        assert!(ErrorCode::parse(&code).is_some(), "{code}");
    }
}

#[test]
fn errors() {
    let made: Vec<Value> = ErrorCode::ALL
        .iter()
        .map(|code| json!({ "code": code.as_str(), "status": code.status(), "message": code.message() }))
        .collect();
    let read = settle("errors.json", &json!({ "errors": made }));
    for case in read["errors"].as_array().unwrap() {
        assert!(ErrorCode::parse(text(case, "code")).is_some());
    }
}

#[test]
fn encodings() {
    let bytes: [&[u8]; 6] = [b"", b"f", b"fo", b"foo", &[0xfb, 0xff, 0xfe], &[0; 16]];
    let good: Vec<Value> = bytes
        .iter()
        .map(|bytes| json!({ "hex": hex_encode(bytes), "text": base64url_encode(bytes) }))
        .collect();
    let bad = [
        ("padding", "Zg=="),
        ("half a padding", "Zg="),
        ("the standard alphabet", "+//+"),
        ("unused bits that are not zero", "Zh"),
        ("one character alone", "Z"),
        ("a line break", "Zm9v\n"),
        ("a blank", "Zm 9v"),
        ("not ASCII", "Zmöv"),
    ];
    for (why, text) in bad {
        assert!(base64url_decode(text).is_err(), "{why}");
    }
    let bad: Vec<Value> = bad.iter().map(|(why, text)| json!({ "why": why, "text": text })).collect();
    let parts: [&[&[u8]]; 4] = [&[], &[b""], &[b"ab"], &[b"ab", b"", "é".as_bytes()]];
    let lp: Vec<Value> = parts
        .iter()
        .map(|parts| {
            let hex: Vec<String> = parts.iter().map(|part| hex_encode(part)).collect();
            json!({ "parts_hex": hex, "joined_hex": hex_encode(&lp_all(parts)) })
        })
        .collect();
    let read = settle("encoding.json", &json!({ "base64url": { "good": good, "bad": bad }, "lp": lp }));
    for case in read["base64url"]["good"].as_array().unwrap() {
        assert_eq!(hex_encode(&base64url_decode(text(case, "text")).unwrap()), text(case, "hex"));
    }
}

/// One kind of text on the wire.
fn parse(kind: &str, value: &str) -> Result<(), Error> {
    match kind {
        "agent_id" => AgentId::parse(value).map(drop),
        "agent_name" => AgentName::parse(value).map(drop),
        "approver_id" => ApproverId::parse(value).map(drop),
        "pairing_id" => value.parse::<PairingId>().map(drop),
        "session_id" => value.parse::<SessionId>().map(drop),
        "request_id" => value.parse::<RequestId>().map(drop),
        "domain" => Domain::parse(value).map(drop),
        "field" => value.parse::<Field>().map(drop),
        "timestamp" => Timestamp::parse(value).map(drop),
        "typed_code" => value.parse::<TypedCode>().map(drop),
        other => panic!("no such kind: {other}"),
    }
}

#[test]
fn texts() {
    let approver = ApproverKey::from_seed(&SecretBytes::new([0x42; 32]));
    let (longest_id, too_long) = ("a".repeat(64), "a".repeat(65));
    let long_label = format!("{}.example", "a".repeat(64));
    let ids = base64url_encode(&[1; 16]);
    let (pairing, session) = (format!("pair_{ids}"), format!("sess_{ids}"));
    let good: Vec<(&str, &str)> = vec![
        ("agent_id", "flight-booking-001"),
        ("agent_id", &longest_id),
        ("agent_name", "Flight Booking Agent"),
        ("agent_name", "Agência de viagens 旅"),
        ("approver_id", approver.id().as_str()),
        ("pairing_id", &pairing),
        ("session_id", &session),
        ("request_id", &ids),
        ("domain", "example.com"),
        ("domain", "xn--bcher-kva.example"),
        ("domain", "localhost"),
        ("domain", "127.0.0.1"),
        ("domain", "2001:db8::1"),
        ("field", "username"),
        ("field", "custom:pin"),
        ("timestamp", "2026-11-22T10:00:00Z"),
        ("timestamp", "2026-11-22T10:00:00.123Z"),
        ("typed_code", "847293"),
        ("typed_code", "12-847293"),
        ("typed_code", " 12 847293 "),
    ];
    for (kind, value) in &good {
        parse(kind, value).unwrap_or_else(|error| panic!("{kind} {value:?}: {error}"));
    }
    let bad: Vec<(&str, &str, &str)> = vec![
        ("agent_id", "", "empty"),
        ("agent_id", &too_long, "65 characters"),
        ("agent_id", "a b", "a blank"),
        ("agent_id", "agénte", "not ASCII"),
        ("agent_name", "", "empty"),
        ("agent_name", "   ", "blanks alone"),
        ("agent_name", &too_long, "65 characters"),
        ("agent_name", "two\nlines", "a control character"),
        ("agent_name", "evil\u{202e}tnega", "a direction mark"),
        ("agent_name", "zero\u{200b}width", "an invisible character"),
        ("approver_id", "AAAA", "not 32 bytes"),
        ("pairing_id", &session, "the prefix of a session"),
        ("pairing_id", &ids, "no prefix"),
        ("session_id", "sess_AAAA", "not 16 bytes"),
        ("request_id", "AAAA", "not 16 bytes"),
        ("domain", "", "empty"),
        ("domain", "Example.com", "capitals"),
        ("domain", "example.com.", "a final dot"),
        ("domain", "example.com:443", "a port"),
        ("domain", "https://example.com", "a scheme"),
        ("domain", "bücher.example", "no A-label"),
        ("domain", "a..example", "an empty label"),
        ("domain", &long_label, "a label of 64 characters"),
        ("domain", "127.0.0.01", "an address that is not canonical"),
        ("domain", "2001:DB8::1", "an address in capitals"),
        ("field", "pin", "no such field"),
        ("field", "custom:", "no name"),
        ("timestamp", "2026-11-22T10:00:00+00:00", "an offset instead of Z"),
        ("timestamp", "2026-11-22 10:00:00", "no T and no Z"),
        ("timestamp", "2026-13-22T10:00:00Z", "a thirteenth month"),
        ("typed_code", "84729", "five digits"),
        ("typed_code", "047293", "a zero in front"),
        ("typed_code", "0-847293", "number 0"),
        ("typed_code", "８４７２９３", "digits that are not ASCII"),
    ];
    let bad: Vec<Value> = bad
        .iter()
        .map(|(kind, value, why)| {
            let error =
                parse(kind, value).err().unwrap_or_else(|| panic!("{kind} {value:?} was taken: {why}"));
            json!({ "kind": kind, "text": value, "why": why, "error": error.code().as_str() })
        })
        .collect();
    let good: Vec<Value> = good.iter().map(|(kind, value)| json!({ "kind": kind, "text": value })).collect();
    settle("texts.json", &json!({ "good": good, "bad": bad }));
}

#[test]
fn scopes() {
    let wire = |json: &str| base64url_encode(json.as_bytes());
    let good = [
        r#"{"domains":["example.com"]}"#,
        r#"{ "max_uses": 3, "domains": ["example.com"] }"#,
        r#"{"domains":["example.com"],"max_uses":3,"expires_in":3600}"#,
        "{}",
    ];
    for json in good {
        Scope::parse(&wire(json)).unwrap_or_else(|error| panic!("{json}: {error}"));
    }
    let many: Vec<String> = (0..65).map(|n| format!("\"d{n}.example\"")).collect();
    let many = format!("{{\"domains\":[{}]}}", many.join(","));
    let bad = [
        ("a list without domains", wire(r#"{"domains":[]}"#)),
        ("65 domains", wire(&many)),
        ("null instead of absent", wire(r#"{"max_uses":null}"#)),
        ("no uses", wire(r#"{"max_uses":0}"#)),
        ("no time", wire(r#"{"expires_in":0}"#)),
        ("an unknown key", wire(r#"{"max_uses":1,"colour":"red"}"#)),
        ("a repeated key", wire(r#"{"max_uses":1,"max_uses":2}"#)),
        ("a domain in capitals", wire(r#"{"domains":["Example.com"]}"#)),
        ("a list", wire("[]")),
        ("not JSON", wire("{")),
        ("padded base64url", format!("{}=", wire("{}"))),
        ("more than 4,096 characters", wire(&format!("{}{{}}", " ".repeat(4_000)))),
    ];
    let bad: Vec<Value> = bad
        .iter()
        .map(|(why, scope)| {
            let error = Scope::parse(scope).err().unwrap_or_else(|| panic!("taken: {why}"));
            json!({ "why": why, "scope": scope, "error": error.code().as_str() })
        })
        .collect();
    let pairs = [
        ("", ""),
        (r#"{"domains":["example.com"]}"#, ""),
        (r#"{"domains":["example.com"]}"#, r#"{"domains":["example.com"]}"#),
        (r#"{"domains":["example.com"]}"#, r#"{"domains":["login.example.com"],"max_uses":1}"#),
        (r#"{"domains":["login.example.com"]}"#, r#"{"domains":["example.com"]}"#),
        (r#"{"domains":["example.com"]}"#, r#"{"domains":["badexample.com"]}"#),
        (r#"{"domains":["127.0.0.1"]}"#, r#"{"domains":["1.127.0.0.1"]}"#),
        (r#"{"max_uses":3}"#, r#"{"max_uses":3,"expires_in":60}"#),
        (r#"{"max_uses":3}"#, r#"{"max_uses":4}"#),
        (r#"{"max_uses":3}"#, r#"{"expires_in":60}"#),
        (r#"{"expires_in":60}"#, r#"{"expires_in":61}"#),
        ("", r#"{"max_uses":1}"#),
    ];
    let text_of = |json: &str| if json.is_empty() { String::new() } else { wire(json) };
    let within: Vec<Value> = pairs
        .iter()
        .filter_map(|(asked, granted)| {
            let (asked_text, granted_text) = (text_of(asked), text_of(granted));
            // `1.127.0.0.1` is no domain at all.
            let granted_scope = Scope::parse(&granted_text).ok()?;
            let within = granted_scope.is_within(&Scope::parse(&asked_text).unwrap());
            Some(json!({ "asked_json": asked, "asked": asked_text, "granted_json": granted, "granted": granted_text,
                "within": within }))
        })
        .collect();
    assert!(within.iter().filter(|case| case["within"] == true).count() >= 4);
    let good: Vec<Value> = good.iter().map(|json| json!({ "json": json, "scope": wire(json) })).collect();
    settle("scope.json", &json!({ "good": good, "bad": bad, "within": within }));
}

#[test]
fn messages_of_the_exchange() {
    let code: Code = "847293".parse().unwrap();
    let start = |side, scalar| {
        Pake::start(side, &code, "flight-booking-001", "approver-1", &mut Given(vec![scalar])).1
    };
    let (a, b) = (start(Side::A, 7), start(Side::B, 9));
    let with = |side: u8, point: &str| {
        let mut bytes = vec![side];
        bytes.extend(unhex(point));
        base64url_encode(&bytes)
    };
    let point = |message: &PakeMessage| hex_encode(&message.as_bytes()[1..]);
    let order_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
    let identity = format!("01{}", "00".repeat(31));
    let order_2 = format!("ec{}7f", "ff".repeat(30));
    let order_4 = "00".repeat(32);
    let not_canonical = format!("ee{}7f", "ff".repeat(30));
    let cases = [
        ("the other side's message", "a", b.encode()),
        ("one's own message sent back", "b", a.encode()),
        ("no side byte", "a", base64url_encode(&a.as_bytes()[1..])),
        ("another side byte", "a", with(b'S', &point(&a))),
        ("cut by a byte", "a", base64url_encode(&a.as_bytes()[..32])),
        ("a byte more", "a", base64url_encode(&[a.as_bytes().as_slice(), &[0]].concat())),
        ("the identity", "a", with(b'A', &identity)),
        ("a point of order 2", "a", with(b'A', &order_2)),
        ("a point of order 4", "a", with(b'A', &order_4)),
        ("a point of order 8", "a", with(b'A', order_8)),
        ("the identity, not canonical (y = p + 1)", "a", with(b'A', &not_canonical)),
        ("no point of the curve", "a", with(b'A', &format!("02{}", "00".repeat(31)))),
        ("padded base64url", "a", format!("{}==", a.encode())),
        ("empty", "a", String::new()),
    ];
    let side_of = |letter: &str| if letter == "a" { Side::A } else { Side::B };
    let bad: Vec<Value> = cases
        .iter()
        .map(|(why, side, message)| {
            let error =
                PakeMessage::parse(message, side_of(side)).err().unwrap_or_else(|| panic!("taken: {why}"));
            json!({ "why": why, "side": side, "pake_message": message, "error": error.code().as_str() })
        })
        .collect();
    let good = [("a", a.encode()), ("b", b.encode())];
    let good: Vec<Value> =
        good.iter().map(|(side, text)| json!({ "side": side, "pake_message": text })).collect();
    let read = settle("pake_message.json", &json!({ "good": good, "bad": bad }));
    for case in read["good"].as_array().unwrap() {
        PakeMessage::parse(text(case, "pake_message"), side_of(text(case, "side"))).unwrap();
    }
}

#[test]
fn key_schedule() {
    // The same name to the eye, in two spellings: bytes are hashed as they are, never normalised.
    let names =
        [("ascii", "Flight Booking Agent"), ("composed", "Agent é"), ("decomposed", "Agent e\u{301}")];
    let made: Vec<Value> =
        names.iter().zip(1_u8..).map(|((what, name), n)| schedule_case(what, name, n)).collect();
    let read = settle("schedule.json", &json!({ "cases": made }));
    let hashes: BTreeSet<&str> =
        read["cases"].as_array().unwrap().iter().map(|case| text(case, "transcript_hash_hex")).collect();
    assert_eq!(hashes.len(), 3);
}

fn schedule_case(what: &str, name: &str, n: u8) -> Value {
    let approver = ApproverKey::from_seed(&SecretBytes::new([n; 32]));
    let (agent_id, agent_name) = (AgentId::parse("agent-1").unwrap(), AgentName::parse(name).unwrap());
    let (pairing_id, session_id) = (PairingId::from_bytes([n; 16]), SessionId::from_bytes([n + 16; 16]));
    let code: Code = "100000".parse().unwrap();
    let message = |side, scalar| {
        Pake::start(side, &code, "agent-1", approver.id().as_str(), &mut Given(vec![scalar])).1
    };
    let (message_a, message_b) = (message(Side::A, n), message(Side::B, n + 1));
    let scope = Scope::none();
    let hash = PairingTranscript {
        pairing_id: &pairing_id,
        agent_id: &agent_id,
        agent_name: &agent_name,
        approver_id: approver.id(),
        scope_asked: &scope,
        scope_granted: &scope,
        session_id: &session_id,
        message_a: &message_a,
        message_b: &message_b,
    }
    .hash();
    let derive = || UnconfirmedKeys::derive(SecretBytes::new([n; 32]), hash);
    let (mac_a, mac_b) = (derive().confirmation(Side::A), derive().confirmation(Side::B));
    let mut bent = unhex(&hex_encode(&base64url_decode(&mac_b.encode()).unwrap()));
    bent[31] ^= 1;
    let bad = [("one's own confirmation sent back", mac_a.encode()), ("a bit bent", base64url_encode(&bent))];
    let bad: Vec<Value> = bad
        .iter()
        .map(|(why, mac)| {
            let error = derive().verify(Side::B, &Confirmation::parse(mac).unwrap()).unwrap_err();
            json!({ "why": why, "confirmation": mac, "error": error.code().as_str() })
        })
        .collect();
    let keys = derive().verify(Side::B, &mac_b).unwrap();
    let stored = keys.expose_stored();
    json!({
        "what": what,
        "pairing_id": pairing_id.to_string(), "agent_id": agent_id.as_str(), "agent_name": name,
        "approver_id": approver.id().as_str(), "scope_asked": "", "scope_granted": "",
        "session_id": session_id.to_string(),
        "message_a": message_a.encode(), "message_b": message_b.encode(),
        "spake2_key_hex": hex_encode(&[n; 32]),
        "transcript_hash_hex": hex_encode(hash.as_bytes()),
        "mac_a": mac_a.encode(), "mac_b": mac_b.encode(), "bad_mac_b": bad,
        "seal_a_to_b_hex": hex_encode(&stored.expose_bytes()[..32]),
        "seal_b_to_a_hex": hex_encode(&stored.expose_bytes()[32..64]),
        "fingerprint": keys.fingerprint().words(),
    })
}

/// Envelopes that opened, one after the other, at one session: clock first, then nonce.
#[test]
fn freshness() {
    let start = Timestamp::parse("2026-11-22T10:00:00Z").unwrap().get();
    let at = |seconds: i64| Timestamp::new(start + time::Duration::seconds(seconds));
    // (now, timestamp, nonce) in seconds from the start.
    let steps: [(i64, i64, u8); 9] = [
        (0, 0, 1),
        (1, 0, 1),
        (1, 1, 2),
        (2, 302, 3),
        (2, 303, 4),
        (310, 10, 5),
        (311, 10, 6),
        (290, 0, 1),
        (302, 302, 3),
    ];
    let mut window = ReplayWindow::default();
    let made: Vec<Value> = steps
        .iter()
        .map(|(now, timestamp, nonce)| {
            let id = durward_protocol::Nonce::from_bytes([*nonce; 16]);
            let stale = (now - timestamp).abs() > MAX_CLOCK_SKEW_SECONDS;
            let error = if stale {
                Some(Error::StaleTimestamp)
            } else {
                window.remember(id, timestamp + MAX_CLOCK_SKEW_SECONDS, *now).err()
            };
            json!({
                "now": at(*now), "timestamp": at(*timestamp), "nonce": base64url_encode(&[*nonce; 16]),
                "error": error.map(|error| error.code().as_str()),
            })
        })
        .collect();
    settle("freshness.json", &json!({ "steps": made }));
}
