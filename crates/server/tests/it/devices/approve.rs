//! The owner's calls about approving from another device.

use serde_json::{Value, json};

use super::machine::Machine;

#[tokio::test]
async fn a_mark_is_set_shown_recorded_and_taken_back() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("phone").await);
    b.pair_with(&a).await;
    let path = format!("/devices/{}", b.id().await);
    assert_eq!(a.peer("phone").await["approver"], false);
    let marked = a.call("PATCH", &path, 0, json!({"approver": true})).await.good();
    assert_eq!(marked["approver"], true);
    a.call("PATCH", &path, 0, json!({"approver": true})).await.good();
    assert_eq!(b.peer("laptop").await["approver"], false, "the other way is another mark");
    a.call("PATCH", &path, 0, json!({"name": "pocket", "approver": false})).await.good();
    let log = a.get("/audit").await.to_string();
    assert_eq!((log.matches("approver_on").count(), log.matches("approver_off").count()), (1, 1), "{log}");
    let own = format!("/devices/{}", a.id().await);
    a.call("PATCH", &own, 0, json!({"approver": true})).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn a_mark_lasts_over_a_restart_and_not_over_a_new_pairing() {
    let (mut a, b) = (Machine::start("laptop").await, Machine::start("phone").await);
    b.pair_with(&a).await;
    a.call("PATCH", &format!("/devices/{}", b.id().await), 0, json!({"approver": true})).await.good();
    a.down().await;
    a.up().await;
    assert_eq!(a.peer("phone").await["approver"], true);
    b.pair_with(&a).await;
    assert_eq!(a.peer("phone").await["approver"], false);
}

#[tokio::test]
async fn what_nobody_asks_is_not_decided() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("phone").await);
    b.pair_with(&a).await;
    assert_eq!(b.get("/devices/requests").await, json!({"requests": []}));
    let body = |device: &str| {
        json!({
            "device_id": device, "session_id": "sess_AQEBAQEBAQEBAQEBAQEBAQ",
            "request_id": "AQEBAQEBAQEBAQEBAQEBAQ", "decision": "approve",
        })
    };
    let (peer, stranger) = (a.id().await, "019234ab-cdef-7890-9234-567890abcdef");
    b.post("/devices/requests/decide", body(&peer)).await.refused(404, "request_not_found");
    b.post("/devices/requests/decide", body(stranger)).await.refused(404, "device_not_found");
    let mut extra = body(&peer);
    extra["password"] = Value::from("not here");
    b.post("/devices/requests/decide", extra).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn where_an_agent_runs_is_a_device_that_is_known() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("phone").await);
    b.pair_with(&a).await;
    let enter = |more: Value| {
        let mut body = json!({"code": "847293"});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    let stranger = "019234ab-cdef-7890-9234-567890abcdef";
    let unknown = enter(json!({"runs_on": stranger}));
    a.post("/pairings/enter", unknown).await.refused(404, "device_not_found");
    let nowhere = enter(json!({"device_may_answer": true}));
    a.post("/pairings/enter", nowhere).await.refused(400, "invalid_request");
    for known in [a.id().await, b.id().await] {
        let body = enter(json!({"runs_on": known, "device_may_answer": true}));
        a.post("/pairings/enter", body).await.refused(404, "pairing_not_found");
    }
}
