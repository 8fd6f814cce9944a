//! How long the full screen takes to draw long lists. Goal: 1,000 rows in under 2 ms.
//!
//! `cargo bench -p durward --bench screen`

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use durward::replay::Player;
use serde_json::{Value, json};

/// An id of sixteen bytes: 22 characters of base64url.
fn id(n: usize) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes)
}

fn request(n: usize) -> Value {
    json!({
        "session_id": format!("sess_{}", id(n)), "request_id": id(n), "agent_id": format!("agent-{n}"),
        "agent_name": format!("Agent number {n}"), "fingerprint": "empty relic refuse public snowcap",
        "domain": "example.com", "reason": "Book the flight. ".repeat(240), "fields": ["username", "password"],
        "item_id": null, "scope": {}, "granted": false, "deciding": false,
        "created_at": "2026-11-22T10:00:00Z", "expires_at": "2026-11-22T10:10:00Z",
    })
}

fn record(n: usize) -> Value {
    let body = json!({
        "at": "2026-11-22T10:00:00Z", "event": "credential_released", "actor": "owner",
        "agent_id": format!("agent-{}", n % 50), "domain": "example.com", "outcome": "approved",
    });
    json!({ "n": n, "body": body.to_string(), "hash": "00".repeat(32) })
}

fn player(requests: usize, records: usize) -> Player {
    let mut player = Player::new(true, true);
    player.play(json!({ "clock": "2026-11-22T10:00:01Z" })).unwrap();
    let requests: Vec<Value> = (0..requests).map(request).collect();
    player.play(json!({ "lists": { "requests": requests, "pairing_open": true } })).unwrap();
    let records: Vec<Value> = (1..=records).map(record).collect();
    player.play(json!({ "audit": records })).unwrap();
    player
}

fn bench(criterion: &mut Criterion) {
    let mut queue = player(1_000, 10_000);
    criterion.bench_function("1,000 requests and 10,000 records, 120x40", |b| {
        b.iter(|| black_box(queue.draw(120, 40)));
    });
    queue.play(json!({ "keys": ["a", "up", "up"] })).unwrap();
    criterion.bench_function("audit log of 10,000 records, 120x40", |b| {
        b.iter(|| black_box(queue.draw(120, 40)));
    });
    criterion.bench_function("a key on a list of 1,000", |b| {
        let mut queue = player(1_000, 1_000);
        queue.play(json!({ "keys": ["left"] })).unwrap();
        b.iter(|| queue.play(json!({ "keys": ["down"] })).unwrap());
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
