//! A paired device that wants to harm: the owner can go on, and get rid of it.

use durward_protocol::base64url_encode;
use durward_server::Clock;
use serde_json::{Value, json};

use super::machine::Machine;
use super::stranger::Stranger;

async fn call(at: &Machine, method: &str, device: &str, body: Value) -> Value {
    at.call(method, &format!("/devices/{device}"), 0, body).await.good()
}

#[tokio::test]
async fn an_absurd_acknowledgement_locks_nobody_out() {
    for ack in [i64::MAX as u64 - 1, u64::MAX] {
        let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
        b.pair_with(&a).await;
        a.meet(&b).await;
        let evil = Stranger::new(1, "evil");
        evil.pairs_with(&a).await;
        let address = evil.answers(move |_| json!({ "ack": ack })).await;
        let (own, evil) = (a.id().await, evil.id().to_string());
        call(&a, "PATCH", &evil, json!({"address": address.to_string()})).await;
        call(&a, "PATCH", &own, json!({"name": "one"})).await;
        let blamed = |all: &Value| {
            let mut devices = all["devices"].as_array().unwrap().iter();
            let evil = devices.find(|device| device["name"] == "evil").unwrap();
            evil["reason"].as_str().is_some_and(|why| why.contains("pair the two again"))
        };
        a.until("/devices", blamed).await;
        call(&a, "PATCH", &own, json!({"name": "two"})).await;
        b.until("/devices", |all| all["devices"][0]["name"] == "two").await;
        std::fs::remove_file(a.file("sync/keys/evil.pub")).unwrap();
        assert_eq!(a.peers().await, ["desktop"]);
        call(&a, "DELETE", &b.id().await, Value::Null).await;
        assert!(a.peers().await.is_empty());
    }
}

#[tokio::test]
async fn what_a_peer_could_not_read_is_written_down() {
    let a = Machine::start("laptop").await;
    let peer = Stranger::new(1, "deaf");
    peer.pairs_with(&a).await;
    let address = peer.answers(|delivery| {
        let last = delivery.events.last().unwrap();
        json!({ "ack": last.seq, "unreadable": [last.id] })
    });
    let (own, address) = (a.id().await, address.await.to_string());
    call(&a, "PATCH", &peer.id().to_string(), json!({ "address": address })).await;
    call(&a, "PATCH", &own, json!({"name": "study"})).await;
    a.until("/audit", |log| log.to_string().contains("unreadable_there")).await;
}

#[tokio::test]
async fn news_pass_a_full_inbox() {
    let a = Machine::start("laptop").await;
    let peer = Stranger::new(1, "full");
    peer.pairs_with(&a).await;
    // It takes no payload, and everything else.
    let address = peer.answers(|delivery| {
        let first = delivery.events.first().unwrap().seq;
        let early: Vec<u64> =
            delivery.events.iter().map(|event| event.seq).filter(|seq| *seq > first).collect();
        json!({ "ack": first - 1, "full": true, "early": early })
    });
    let (own, id, address) = (a.id().await, peer.id().to_string(), address.await.to_string());
    let path = format!("/devices/{id}/send");
    let body = json!({"file_name": "x", "content": base64url_encode(b"x")});
    a.call("POST", &path, 0, body).await.good();
    call(&a, "PATCH", &id, json!({ "address": address })).await;
    let full = |all: &Value| all["devices"][0]["reason"] == "its inbox is full";
    a.until("/devices", full).await;
    call(&a, "PATCH", &own, json!({"name": "study"})).await;
    let all = a.until("/devices", full).await;
    assert_eq!(all["devices"][0]["outbox"], 2, "the payload still waits, and in its line the news too");
}

#[tokio::test]
async fn whoever_has_gone_without_a_word_is_not_stored() {
    let clock = Clock::manual(time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
    let a = Machine::start_at("laptop", clock.clone()).await;
    let held = Stranger::new(1, "gone").joins(&a).await;
    held.abort();
    assert!(held.await.is_err(), "it hung up");
    clock.advance(time::Duration::seconds(60));
    a.post("/pair/respond", json!({"accept": true})).await.refused(404, "pairing_not_found");
    assert_eq!(a.get("/pair/pending").await["state"], "cancelled");
    assert!(a.peers().await.is_empty() && a.key_files() == ["laptop.pub"]);
}
