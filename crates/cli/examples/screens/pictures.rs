//! Which pictures of the recorded story are in the documents.

use durward::replay::Player;
use serde_json::Value;

use super::svg::svg;

const STORY: &str = include_str!("../../tests/screens/story.json");

/// Mark in the story, file, what it shows, columns, rows.
const PICTURES: &[(&str, &str, &str, u16, u16)] = &[
    ("02-pairing", "pairing.svg", "The approver: an agent waits for its code", 100, 20),
    ("06-fewer-fields", "request.svg", "The approver: a request, with one field unticked", 100, 22),
    ("11-queue", "queue.svg", "The approver: the queue", 100, 22),
    ("29-sessions", "sessions.svg", "The approver: sessions", 100, 22),
    ("49-device-that-waits", "devices.svg", "The approver: devices", 100, 22),
    ("34-audit-record", "audit.svg", "The approver: the audit log", 100, 24),
];

/// File names and contents, drawn by the real view.
pub(crate) fn pictures() -> Result<Vec<(&'static str, String)>, String> {
    let story: Vec<Value> = serde_json::from_str(STORY).map_err(|error| error.to_string())?;
    let mut player = Player::new(true, true);
    let mut drawn = Vec::new();
    for event in story {
        let Some(name) = event.get("shot").and_then(Value::as_str) else {
            player.play(event)?;
            continue;
        };
        for (_, file, title, columns, rows) in PICTURES.iter().filter(|(mark, ..)| *mark == name) {
            drawn.push((*file, svg(&player.draw(*columns, *rows).0, title)));
        }
    }
    Ok(drawn)
}
