use std::fmt::Write as _;

use ratatui::style::Color;
use serde_json::{Value, json};

use super::*;

/// Recorded events, with marks where a picture is taken. One a line, so that a change shows.
const STORY: &str = include_str!("../../../tests/screens/story.json");

/// Plays the story; `picture` is called at each mark with its name and the screen.
fn tell(colour: bool, unicode: bool, mut picture: impl FnMut(&str, &Player)) {
    let story: Vec<Value> = serde_json::from_str(STORY).unwrap();
    let mut player = Player::new(colour, unicode);
    for (line, event) in story.into_iter().enumerate() {
        match event.get("shot").and_then(Value::as_str) {
            Some(name) => picture(name, &player),
            None => drop(player.play(event).unwrap_or_else(|error| panic!("event {line}: {error}"))),
        }
    }
}

fn shown(buffer: &Buffer) -> String {
    let mut text = String::new();
    for row in 0..buffer.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for column in 0..buffer.area.width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer[(column, row)].symbol();
            skip = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[test]
fn every_screen_in_every_size() {
    let mut pictures: Vec<(String, String)> = Vec::new();
    tell(true, true, |name, player| {
        let mut text = String::new();
        for (columns, rows) in [(120, 40), (80, 24), (40, 20)] {
            let _ = write!(text, "--- {columns} x {rows}\n{}", shown(&player.draw(columns, rows).0));
        }
        pictures.push((name.to_owned(), text));
    });
    let mut pictures = pictures.into_iter();
    tell(false, false, |name, player| {
        let (same, mut text) = pictures.next().unwrap();
        assert_eq!(same, name);
        let _ = write!(text, "--- 80 x 24, ASCII\n{}", shown(&player.draw(80, 24).0));
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn without_colours_nothing_is_lost_and_without_unicode_all_is_ascii() {
    let mut coloured = Vec::new();
    tell(true, true, |_, player| coloured.push(shown(&player.draw(80, 24).0)));
    let mut coloured = coloured.into_iter();
    tell(false, true, |name, player| {
        let (buffer, _) = player.draw(80, 24);
        assert_eq!(coloured.next().unwrap(), shown(&buffer), "{name}");
        let plain = |cell: &ratatui::buffer::Cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset);
        assert!(buffer.content.iter().all(plain), "{name}");
    });
    tell(false, false, |name, player| {
        for (columns, rows) in [(120, 40), (80, 24), (40, 20)] {
            let text = shown(&player.draw(columns, rows).0);
            assert!(text.is_ascii(), "{name}: {text}");
        }
    });
}

/// Escapes, direction marks and invisible characters are spelled out, whatever the size.
#[test]
fn nothing_deceptive_is_drawn() {
    tell(true, true, |name, player| {
        for columns in (30..130).step_by(9) {
            let (buffer, _) = player.draw(columns, 24);
            let deceptive =
                |cell: &ratatui::buffer::Cell| cell.symbol().chars().any(durward_protocol::is_deceptive);
            assert!(!buffer.content.iter().any(deceptive), "{name} at {columns} columns");
        }
    });
}

#[test]
fn no_size_is_too_small_to_draw() {
    tell(true, true, |_, player| {
        for (columns, rows) in (0..45).step_by(3).flat_map(|columns| (0..14).map(move |rows| (columns, rows)))
        {
            player.draw(columns, rows);
        }
    });
}

#[test]
fn what_is_typed_in_secret_is_neither_drawn_nor_logged() {
    tell(true, true, |name, player| {
        let told = format!("{}{}", shown(&player.draw(120, 40).0), player.debug());
        for secret in ["correct", "horse", "battery", "staple", "secret"] {
            assert!(!told.contains(secret), "{name}: {secret}");
        }
    });
}

/// A picture is drawn again only when a countdown on it changes; with none it stays as it is.
#[test]
fn an_idle_screen_is_not_drawn_again() {
    let mut player = Player::new(true, true);
    player.play(json!({ "clock": "2026-11-22T10:00:00Z" })).unwrap();
    let vault = |open: Option<&str>| {
        json!({ "provider": "builtin", "name": "default", "location": "v", "exists": true,
                "needs_password": true, "open_until": open })
    };
    player.play(json!({ "lists": { "vault": vault(None), "pairing_open": true } })).unwrap();
    assert_eq!(player.draw(80, 24).1, None, "nothing on it changes by itself");
    player.play(json!({ "lists": { "vault": vault(Some("2026-11-22T10:30:00Z")) } })).unwrap();
    assert_eq!(player.draw(80, 24).1, Some(1), "30 min turns to 29 after this millisecond");
    player.play(json!({ "clock": "2026-11-22T10:00:00.001Z" })).unwrap();
    assert_eq!(player.draw(80, 24).1, Some(60_000), "a minute is the coarsest step that helps");
    player.play(json!({ "clock": "2026-11-22T10:29:00Z" })).unwrap();
    assert_eq!(player.draw(80, 24).1, Some(1));
    player.play(json!({ "clock": "2026-11-22T10:29:00.001Z" })).unwrap();
    assert_eq!(player.draw(80, 24).1, Some(10_000), "then ten seconds");
    player.play(json!({ "clock": "2026-11-22T10:29:55.500Z" })).unwrap();
    assert_eq!(player.draw(80, 24).1, Some(501), "and seconds at the very end");
    player.play(json!({ "clock": "2026-11-22T10:30:00Z" })).unwrap();
    assert_eq!(player.draw(80, 24).1, None);
}

#[test]
fn a_recording_with_a_mistake_is_refused() {
    let mut player = Player::new(true, true);
    for bad in [json!({ "keys": ["hyper"] }), json!({ "nonsense": 1 }), json!({ "lists": { "x": 1 } })] {
        assert!(player.play(bad.clone()).is_err(), "{bad}");
    }
}

fn id(n: usize) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes)
}

/// Five hundred requests, each with four kilobytes of everything that draws, and ten thousand records.
#[test]
fn a_bad_day_is_drawn_like_a_good_one() {
    let reason = "\u{1b}[2J\u{202e}evil\u{2066}\u{7}\r\n\u{200b}\u{9b}31m ".repeat(200);
    assert!(reason.len() > 4_096);
    let request = |n: usize| {
        json!({
            "session_id": format!("sess_{}", id(n)), "request_id": id(n), "agent_id": format!("agent-{n}"),
            "agent_name": format!("Agent {n}"), "fingerprint": "empty relic refuse public snowcap",
            "domain": "example.com", "reason": reason, "fields": ["username", "password"], "item_id": null,
            "scope": {}, "granted": false, "deciding": false, "created_at": "2026-11-22T10:00:00Z",
            "expires_at": "2026-11-22T10:10:00Z",
        })
    };
    let record = |n: usize| {
        let body =
            json!({ "at": "2026-11-22T10:00:00Z", "event": "refused", "actor": "agent", "detail": reason });
        json!({ "n": n, "body": body.to_string(), "hash": "00".repeat(32) })
    };
    let mut player = Player::new(true, true);
    player.play(json!({ "clock": "2026-11-22T10:00:01Z" })).unwrap();
    let requests: Vec<Value> = (1..=500).map(request).collect();
    player.play(json!({ "lists": { "requests": requests, "pairing_open": true } })).unwrap();
    for page in 0..10 {
        let records: Vec<Value> = (page * 1_000 + 1..=page * 1_000 + 1_000).map(record).collect();
        player.play(json!({ "audit": records })).unwrap();
    }
    for (keys, says) in [
        (vec!["left", "end"], "Waiting 500 of 500"),
        (vec!["right", "pagedown", "pagedown"], "\\u{1b}[2J\\u{202e}evil"),
        (vec!["a"], "Audit log, 10000 of 10000"),
        (vec!["home"], "Audit log, 1 of 10000"),
    ] {
        player.play(json!({ "keys": keys })).unwrap();
        for (columns, rows) in [(120, 40), (80, 24), (40, 20)] {
            let (buffer, _) = player.draw(columns, rows);
            let deceptive =
                |cell: &ratatui::buffer::Cell| cell.symbol().chars().any(durward_protocol::is_deceptive);
            assert!(!buffer.content.iter().any(deceptive), "{says} at {columns} columns");
            let shown = shown(&buffer);
            assert!(columns < 72 || shown.contains(says), "{says} at {columns} columns: {shown}");
        }
    }
}
