//! What peers send each other.

use durward_protocol::{base64url_decode, base64url_encode};
use durward_server::Clock;
use serde_json::{Value, json};

use super::machine::{Machine, device_call};

async fn pair() -> (Machine, Machine) {
    let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    b.pair_with(&a).await;
    a.meet(&b).await;
    (a, b)
}

fn drop_of(name: &str, content: &[u8]) -> Value {
    json!({"file_name": name, "content": base64url_encode(content)})
}

async fn send(from: &Machine, to: &Machine, wait: u64, body: Value) -> Value {
    let path = format!("/devices/{}/send", to.id().await);
    from.call("POST", &path, wait, body).await.good()
}

#[tokio::test]
async fn a_payload_arrives_once_sealed_on_the_way() {
    let (a, b) = pair().await;
    let sent = send(&a, &b, 60, drop_of("../../secret.txt", b"hunter2")).await;
    assert_eq!(sent["outbox"], 0, "{sent}");
    let inbox = b.get("/inbox").await;
    let items = inbox["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!((&items[0]["file_name"], &items[0]["from_name"]), (&json!("secret.txt"), &json!("laptop")));
    assert_eq!((&items[0]["bytes"], &items[0]["id"]), (&json!(7), &sent["id"]));
    let path = format!("/inbox/{}", sent["id"].as_str().unwrap());
    let opened = b.get(&path).await;
    assert_eq!(base64url_decode(opened["content"].as_str().unwrap()).unwrap(), b"hunter2");
    for machine in [&a, &b] {
        for file in ["durward.db", "durward.db-wal"] {
            let bytes = std::fs::read(machine.file(file)).unwrap_or_default();
            assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "in {file}, in the open");
        }
    }
    assert_eq!(b.call("DELETE", &path, 0, Value::Null).await.good(), json!({"done": 1}));
    b.call("DELETE", &path, 0, Value::Null).await.refused(404, "message_not_found");
    assert_eq!(b.get("/inbox").await["items"], json!([]));
}

#[tokio::test]
async fn what_waits_goes_out_in_order_when_the_peer_is_back() {
    let (mut a, mut b) = pair().await;
    let b_id = b.id().await;
    b.down().await;
    for n in 0..7 {
        let path = format!("/devices/{b_id}/send");
        let body = drop_of(&format!("{n}.txt"), &vec![b'x'; 16_000]);
        assert_eq!(a.call("POST", &path, 0, body).await.good()["outbox"], json!(n + 1));
    }
    let waiting = a.until("/devices", |all| all["devices"][0]["reason"].is_string()).await;
    assert_eq!(waiting["devices"][0]["outbox"], 7);
    assert_eq!(a.get("/outbox").await["items"].as_array().unwrap().len(), 7);
    let status = a.get("/status").await["devices"].clone();
    assert_eq!((&status["mdns"], &status["peers"][0]["outbox"]), (&json!("off"), &json!(7)), "{status}");
    // Both stop and start: what was accepted is on disk.
    a.down().await;
    a.up().await;
    b.up().await;
    let inbox = b.until("/inbox", |inbox| inbox["items"].as_array().unwrap().len() == 7).await;
    let names =
        inbox["items"].as_array().unwrap().iter().map(|item| item["file_name"].as_str().unwrap().to_owned());
    assert_eq!(names.collect::<Vec<_>>(), (0..7).map(|n| format!("{n}.txt")).collect::<Vec<_>>());
    a.until("/outbox", |outbox| outbox["items"] == json!([])).await;
    let there = a.peer("desktop").await;
    assert!(there["last_seen"].is_string() && there["reason"].is_null(), "{there}");
}

#[tokio::test]
async fn a_deleted_key_file_unpairs() {
    let (a, b) = pair().await;
    send(&a, &b, 60, drop_of("one", b"1")).await;
    std::fs::remove_file(b.file("sync/keys/laptop.pub")).unwrap();
    // At the receiver: not one more message, whether or not it has noticed.
    let sent = send(&a, &b, 0, drop_of("two", b"2")).await;
    assert_eq!(sent["outbox"], 1);
    let all = a.until("/devices", |all| all["devices"][0]["reason"].is_string()).await;
    assert!(all["devices"][0]["reason"].as_str().unwrap().contains("pair the two again"), "{all}");
    assert_eq!(b.get("/inbox").await["items"].as_array().unwrap().len(), 1);
    assert!(b.peers().await.is_empty());
    let path = format!("/devices/{}/send", a.id().await);
    b.call("POST", &path, 0, drop_of("three", b"3")).await.refused(404, "device_not_found");
    let log = b.get("/audit").await.to_string();
    assert!(log.contains("device_removed") && log.contains("key_file_deleted"), "{log}");
}

#[tokio::test]
async fn a_removed_device_gets_nothing_more() {
    let (a, b) = pair().await;
    let (a_id, b_id) = (a.id().await, b.id().await);
    assert_eq!(
        a.call("DELETE", &format!("/devices/{b_id}"), 0, Value::Null).await.good(),
        json!({"done": 1})
    );
    a.call("POST", &format!("/devices/{b_id}/send"), 0, drop_of("x", b"x"))
        .await
        .refused(404, "device_not_found");
    assert_eq!(a.key_files(), ["laptop.pub"]);
    b.call("POST", &format!("/devices/{a_id}/send"), 0, drop_of("x", b"x")).await.good();
    b.until("/devices", |all| all["devices"][0]["reason"].is_string()).await;
    assert_eq!(a.get("/inbox").await["items"], json!([]));
    a.call("DELETE", &format!("/devices/{b_id}"), 0, Value::Null).await.refused(404, "device_not_found");
}

#[tokio::test]
async fn news_about_devices_reach_the_peers() {
    let (a, b) = pair().await;
    let c = Machine::start("tablet").await;
    c.pair_with(&a).await;
    a.meet(&c).await;
    let (a_id, b_id, c_id) = (a.id().await, b.id().await, c.id().await);
    let renamed = a.call("PATCH", &format!("/devices/{a_id}"), 0, json!({"name": "study"})).await.good();
    assert_eq!(renamed["name"], "study");
    b.until("/devices", |all| all["devices"][0]["name"] == "study").await;
    assert_eq!(b.key_files(), ["desktop.pub", "study.pub"]);
    // a introduces b and c to each other; nothing is sealed before both owners have said yes.
    a.post(&format!("/devices/{b_id}/introduce"), json!({"device_id": c_id})).await.good();
    a.post(&format!("/devices/{c_id}/introduce"), json!({"device_id": b_id})).await.good();
    let all = b.until("/devices", |all| all["introduced"] != json!([])).await;
    assert_eq!(
        (&all["introduced"][0]["device_name"], &all["introduced"][0]["introduced_by"]),
        (&json!("tablet"), &json!("study"))
    );
    b.call("POST", &format!("/devices/{c_id}/send"), 0, drop_of("x", b"x"))
        .await
        .refused(404, "device_not_found");
    c.until("/devices", |all| all["introduced"] != json!([])).await;
    b.post(&format!("/devices/{c_id}/confirm"), json!({"accept": true})).await.good();
    c.post(&format!("/devices/{b_id}/confirm"), json!({"accept": true})).await.good();
    b.meet(&c).await;
    assert_eq!(send(&b, &c, 60, drop_of("hello", b"hello")).await["outbox"], 0);
    assert_eq!(c.get("/inbox").await["items"].as_array().unwrap().len(), 1);
    // a lets go of c, and b follows.
    a.call("DELETE", &format!("/devices/{c_id}"), 0, Value::Null).await.good();
    b.until("/devices", |all| all["devices"].as_array().unwrap().len() == 1).await;
    b.call("POST", &format!("/devices/{c_id}/send"), 0, drop_of("x", b"x"))
        .await
        .refused(404, "device_not_found");
}

#[tokio::test]
async fn new_keys_mean_new_pairings_and_old_payloads_stay_readable() {
    let (mut a, b) = pair().await;
    let sent = send(&b, &a, 60, drop_of("kept", b"kept")).await;
    let before = a.get("/devices").await["this"].clone();
    let rotated = a.post("/devices/rotate", json!({})).await.good();
    assert_eq!(
        (&rotated["removed"], &rotated["this"]["device_id"]),
        (&json!(["desktop"]), &before["device_id"])
    );
    assert_ne!(rotated["this"]["public_key"], before["public_key"]);
    a.down().await;
    a.up().await;
    let path = format!("/inbox/{}", sent["id"].as_str().unwrap());
    assert_eq!(a.get(&path).await["content"], json!(base64url_encode(b"kept")));
    assert!(a.peers().await.is_empty());
    let again = b.call("POST", "/pair/initiate", 0, json!({})).await.good();
    let join = tokio::spawn(a.joining(again["code"].as_str().unwrap(), b.listen));
    let asks = b.pending().await;
    assert_eq!(asks["request"]["replaces"], "laptop");
    b.post("/pair/respond", json!({"accept": true})).await.good();
    assert_eq!(join.await.unwrap().good()["status"], "accepted");
    assert_eq!(b.peers().await, ["laptop"]);
}

#[tokio::test]
async fn a_clock_an_hour_off_changes_nothing() {
    let now = Clock::system().now().wall;
    let (a, b) = (
        Machine::start_at("laptop", Clock::manual(now - time::Duration::hours(1))).await,
        Machine::start_at("desktop", Clock::manual(now + time::Duration::hours(1))).await,
    );
    b.pair_with(&a).await;
    a.meet(&b).await;
    assert_eq!(send(&a, &b, 60, drop_of("late", b"late")).await["outbox"], 0);
    assert_eq!(send(&b, &a, 60, drop_of("early", b"early")).await["outbox"], 0);
}

#[tokio::test]
async fn strangers_and_bad_signatures_get_nothing() {
    let (a, b) = pair().await;
    let stranger = "019234ab-cdef-7890-9234-567890abcdef";
    for from in [stranger.to_owned(), b.id().await] {
        let call = json!({
            "from": from, "to": a.id().await, "nonce": "AAAAAAAAAAAAAAAAAAAAAA",
            "body": "{\"stream\":\"pair_AAAAAAAAAAAAAAAAAAAAAA\",\"base\":1,\"events\":[]}",
            "signature": base64url_encode(&[0; 64]),
        });
        device_call(a.listen, "/device/deliver", call).await.refused(401, "bad_signature");
    }
    let too_large = drop_of("x", &vec![0; 16_385]);
    a.call("POST", &format!("/devices/{}/send", b.id().await), 0, too_large)
        .await
        .refused(413, "body_too_large");
    let no_text = json!({"file_name": "x", "content": "not base64!"});
    a.call("POST", &format!("/devices/{}/send", b.id().await), 0, no_text)
        .await
        .refused(400, "invalid_request");
}
