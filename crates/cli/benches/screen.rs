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

fn session(n: usize) -> Value {
    json!({
        "session_id": format!("sess_{}", id(n)), "agent_id": format!("agent-{n}"),
        "agent_name": format!("Agent number {n}"), "scope": {}, "fingerprint": "empty relic refuse public snowcap",
        "created_at": "2026-11-22T09:00:00Z", "last_used_at": "2026-11-22T10:00:00Z",
        "idle_at": "2026-11-22T10:30:00Z", "expires_at": "2026-11-23T09:00:00Z", "uses": n, "waiting": 0,
        "paused": n.is_multiple_of(7), "named_rules": false,
    })
}

fn grant(n: usize) -> Value {
    json!({
        "grant_id": format!("grant_{}", id(n)), "session_id": format!("sess_{}", id(n)),
        "agent_id": format!("agent-{n}"), "domain": "example.com", "fields": ["username", "password"],
        "created_at": "2026-11-22T10:00:00Z", "expires_at": "2026-11-22T10:16:00Z", "uses_left": null, "uses": n,
    })
}

fn device(n: usize) -> Value {
    json!({
        "device_id": format!("0192a3b4-c5d6-7e8f-9a0b-{n:012x}"), "name": format!("device {n}"),
        "public_key": "5a".repeat(32), "signing_key": "5b".repeat(32), "fingerprint": "5a5a5a5a...5a5a5a5a",
        "paired_at": "2026-11-01T08:00:00Z", "last_seen": "2026-11-22T10:00:00Z", "outbox": n % 3,
        "reason": "192.168.1.20:5000 does not answer",
    })
}

/// A thousand of everything.
fn full() -> Player {
    let mut player = player(0, 1_000);
    let of = |one: fn(usize) -> Value| (1..=1_000).map(one).collect::<Vec<_>>();
    let this = json!({
        "device_id": "0192a3b4-c5d6-7e8f-9a0b-000000000000", "name": "laptop", "public_key": "5a".repeat(32),
        "signing_key": "5b".repeat(32), "fingerprint": "5a5a5a5a...5a5a5a5a",
    });
    let lists = json!({
        "requests": of(request), "sessions": of(session), "grants": of(grant), "pairing_open": true,
        "devices": { "this": this, "devices": of(device), "introduced": [] },
    });
    player.play(json!({ "lists": lists })).unwrap();
    player
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
    for (key, list) in
        [("w", "requests"), ("s", "sessions"), ("g", "grants"), ("d", "devices"), ("a", "audit records")]
    {
        let mut player = full();
        player.play(json!({ "keys": [key, "pagedown", "pagedown"] })).unwrap();
        criterion.bench_function(&format!("1,000 {list}, 120x40"), |b| {
            b.iter(|| black_box(player.draw(120, 40)));
        });
    }
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
