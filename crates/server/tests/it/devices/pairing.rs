//! Becoming a peer, and not.

use serde_json::{Value, json};

use super::machine::{Machine, device_call};

#[tokio::test]
async fn two_machines_pair_by_code() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    let shown = a.post("/pair/initiate", json!({})).await.good();
    let code = shown["code"].as_str().unwrap();
    assert_eq!((code.len(), &shown["expires_in_seconds"]), (6, &json!(300)));
    assert_eq!(shown["addresses"], json!([a.listen.to_string()]));
    a.post("/pair/initiate", json!({})).await.refused(409, "pairing_busy");
    let join = tokio::spawn(b.joining(code, a.listen));
    let asks = a.pending().await;
    assert_eq!((&asks["pending"], &asks["state"]), (&json!(true), &json!("requested")));
    let this = b.get("/devices").await["this"].clone();
    assert_eq!(asks["request"]["device_name"], "desktop");
    for key in ["device_id", "public_key", "signing_key", "fingerprint"] {
        assert_eq!(asks["request"][key], this[key], "{key}");
    }
    assert!(a.peers().await.is_empty() && b.peers().await.is_empty(), "nobody has said yes");
    let other = json!({"accept": true, "device_id": a.id().await});
    a.post("/pair/respond", other).await.refused(409, "pairing_not_waiting");
    let device =
        a.post("/pair/respond", json!({"accept": true, "device_id": this["device_id"]})).await.good();
    assert_eq!((&device["status"], &device["device"]["name"]), (&json!("accepted"), &json!("desktop")));
    let joined = join.await.unwrap().good();
    assert_eq!((&joined["status"], &joined["device_name"]), (&json!("accepted"), &json!("laptop")));
    assert_eq!(joined["device_id"], json!(a.id().await));
    assert_eq!((a.peers().await, b.peers().await), (vec!["desktop".to_owned()], vec!["laptop".to_owned()]));
    assert_eq!(a.key_files(), ["desktop.pub", "laptop.pub"]);
    assert_eq!(b.key_files(), ["desktop.pub", "laptop.pub"]);
    // The same call once more rejoins what is done.
    assert_eq!(b.joining(code, a.listen).await.good()["status"], "accepted");
}

#[tokio::test]
async fn pairings_survive_a_restart() {
    let (mut a, mut b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    b.pair_with(&a).await;
    let before = (a.get("/devices").await, b.get("/devices").await);
    a.down().await;
    b.down().await;
    a.up().await;
    b.up().await;
    assert_eq!((a.get("/devices").await, b.get("/devices").await), before);
}

#[tokio::test]
async fn a_wrong_code_is_the_one_guess_and_five_are_enough() {
    let (mut a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    for n in 0..5 {
        let code = a.show_code().await;
        let wrong =
            if code == "111111" { "222222" } else { ["111111", "333333", "444444", "555555", "666666"][n] };
        let wrong = if wrong == code { "777777" } else { wrong };
        let joined = b.joining(wrong, a.listen).await.good();
        assert_eq!(joined["status"], "invalid_code", "{joined}");
        assert_eq!(a.pending().await["state"], "invalid_code");
        // The right one comes too late.
        b.joining(&code, a.listen).await.refused(404, "pairing_not_found");
    }
    a.post("/pair/initiate", json!({})).await.refused(429, "pairing_paused");
    a.down().await;
    a.up().await;
    a.post("/pair/initiate", json!({})).await.refused(429, "pairing_paused");
    assert!(a.peers().await.is_empty() && b.peers().await.is_empty());
}

#[tokio::test]
async fn no_is_no_and_cancelled_is_over() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    let code = a.show_code().await;
    let join = tokio::spawn(b.joining(&code, a.listen));
    assert_eq!(a.pending().await["state"], "requested");
    let answer = a.post("/pair/respond", json!({"accept": false})).await.good();
    assert_eq!(answer, json!({"status": "rejected"}));
    assert_eq!(join.await.unwrap().good()["status"], "rejected");
    a.post("/pair/respond", json!({"accept": true})).await.refused(404, "pairing_not_found");
    let code = a.show_code().await;
    assert_eq!(a.post("/pair/cancel", json!({})).await.good(), json!({"done": 1}));
    assert_eq!(a.post("/pair/cancel", json!({})).await.good(), json!({"done": 0}));
    b.joining(&code, a.listen).await.refused(404, "pairing_not_found");
    assert!(a.peers().await.is_empty() && b.peers().await.is_empty());
}

#[tokio::test]
async fn the_one_that_typed_the_code_can_give_it_up_until_the_other_has_said_yes() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    assert_eq!(b.post("/pair/cancel", json!({})).await.good(), json!({"done": 0}));
    let code = a.show_code().await;
    let join = tokio::spawn(b.joining(&code, a.listen));
    assert_eq!(a.pending().await["state"], "requested");
    assert_eq!(b.post("/pair/cancel", json!({})).await.good(), json!({"done": 1}));
    let joined = join.await.unwrap().good();
    assert_eq!(joined["status"], "expired", "{joined}");
    assert!(b.peers().await.is_empty(), "nothing came of it here");
    // The question at the other end ended with it, before this call did.
    assert_eq!(a.get("/pair/pending").await["state"], "cancelled");
    a.post("/pair/respond", json!({"accept": true})).await.refused(404, "pairing_not_found");
    assert!(a.peers().await.is_empty(), "nor there");
    let log = a.get("/audit").await.to_string();
    assert!(log.contains("cancelled_there"), "{log}");
    // Neither end is stuck: the next code pairs them.
    b.pair_with(&a).await;
    assert_eq!(b.post("/pair/cancel", json!({})).await.good(), json!({"done": 0}), "too late");
    assert_eq!((a.peers().await, b.peers().await), (vec!["desktop".to_owned()], vec!["laptop".to_owned()]));
}

#[tokio::test]
async fn one_pairing_at_a_time_at_either_end() {
    let (a, b, c) =
        (Machine::start("laptop").await, Machine::start("desktop").await, Machine::start("tablet").await);
    let code = a.show_code().await;
    let first = tokio::spawn(b.joining(&code, a.listen));
    assert_eq!(a.pending().await["state"], "requested");
    // A second device with the right code, the same one with another code, and a joiner that wants to show one.
    c.joining(&code, a.listen).await.refused(409, "pairing_used");
    b.joining("123456", a.listen).await.refused(409, "pairing_busy");
    b.post("/pair/initiate", json!({})).await.refused(409, "pairing_busy");
    a.joining("123456", b.listen).await.refused(409, "pairing_busy");
    // The call again, with less patience, is still the same pairing.
    let body = json!({"code": code, "address": a.listen.to_string()});
    let waiting = b.call("POST", "/pair/join", 0, body).await;
    assert_eq!((waiting.status, &waiting.body["status"]), (202, &json!("pending")));
    a.post("/pair/respond", json!({"accept": true})).await.good();
    assert_eq!(first.await.unwrap().good()["status"], "accepted");
    // The code was tried: on another pairing it is not.
    b.joining(&code, c.listen).await.refused(409, "code_already_typed");
}

#[tokio::test]
async fn a_joiner_that_vanishes_leaves_nothing_half_done() {
    let (mut a, mut b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    let code = a.show_code().await;
    let join = tokio::spawn(b.joining(&code, a.listen));
    assert_eq!(a.pending().await["state"], "requested");
    b.down().await;
    assert_eq!(join.await.unwrap().body["status"], "pending", "a held call ends with its server");
    a.until("/pair/pending", |pending| pending["state"] == "cancelled").await;
    a.post("/pair/respond", json!({"accept": true})).await.refused(404, "pairing_not_found");
    b.up().await;
    assert_eq!((a.peers().await.len(), b.peers().await.len()), (0, 0));
    b.pair_with(&a).await;
    assert_eq!((a.peers().await, b.peers().await), (vec!["desktop".to_owned()], vec!["laptop".to_owned()]));
    a.down().await;
}

#[tokio::test]
async fn the_owner_can_lift_the_pause_after_five_wrong_codes() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    assert_eq!(a.post("/devices/resume", json!({})).await.good(), json!({"done": 0}), "nothing to lift");
    for _ in 0..5 {
        let code: u32 = a.show_code().await.parse().unwrap();
        let wrong = (100_000 + (code - 99_999) % 900_000).to_string();
        assert_eq!(b.joining(&wrong, a.listen).await.good()["status"], "invalid_code");
    }
    a.post("/pair/initiate", json!({})).await.refused(429, "pairing_paused");
    assert_eq!(a.post("/devices/resume", json!({})).await.good(), json!({"done": 1}));
    b.pair_with(&a).await;
    let log = a.get("/audit").await.to_string();
    assert!(log.contains("resumed"), "{log}");
}

#[tokio::test]
async fn the_name_under_which_a_device_is_stored_is_said() {
    let (a, b, c) =
        (Machine::start("laptop").await, Machine::start("twin").await, Machine::start("twin").await);
    a.pair_with(&b).await;
    let code = c.show_code().await;
    let join = tokio::spawn(a.joining(&code, c.listen));
    assert_eq!(c.pending().await["state"], "requested");
    c.post("/pair/respond", json!({"accept": true})).await.good();
    let joined = join.await.unwrap().good();
    assert_eq!((&joined["device_name"], &joined["name"]), (&json!("twin"), &json!("twin-2")), "{joined}");
}

#[tokio::test]
async fn bad_words_get_a_hint() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    let join = |body: Value| b.call("POST", "/pair/join", 5, body);
    let hint = join(json!({"code": "12-847293"})).await.refused(400, "invalid_code");
    assert!(hint["message"].as_str().unwrap().contains("type it at the approver"), "{hint}");
    for code in ["", "12345", "abcdef", "012345"] {
        join(json!({"code": code})).await.refused(400, "invalid_code");
    }
    for address in ["laptop", "a b:1", "x:0"] {
        join(json!({"code": "123456", "address": address})).await.refused(400, "invalid_request");
    }
    join(json!({"code": "123456", "tag": "a/b"})).await.refused(400, "invalid_request");
    join(json!({"code": "123456", "more": 1})).await.refused(400, "invalid_request");
    join(json!({"code": "123456", "address": a.listen.to_string()})).await.refused(404, "pairing_not_found");
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    join(json!({"code": "123457", "address": nobody.to_string()})).await.refused(502, "device_unreachable");
    // Nothing was tried, so the code is still good elsewhere.
    let code = a.show_code().await;
    join(json!({"code": code, "address": nobody.to_string()})).await.refused(502, "device_unreachable");
    let join = tokio::spawn(b.joining(&code, a.listen));
    assert_eq!(a.pending().await["state"], "requested");
    a.post("/pair/respond", json!({"accept": false})).await.good();
    assert_eq!(join.await.unwrap().good()["status"], "rejected");
}

#[tokio::test]
async fn what_is_no_guess_burns_nothing() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    let code = a.show_code().await;
    let opened = device_call(a.listen, "/device/pair/open", json!({})).await.good();
    assert_eq!(
        device_call(a.listen, "/device/pair/open", json!({})).await.good(),
        opened,
        "the same every time"
    );
    device_call(a.listen, "/device/pair/open", json!({"tag": "some-thing"}))
        .await
        .refused(404, "pairing_not_found");
    let id = &opened["pairing_id"];
    let mac = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (message, confirmation, code) in [
        ("", mac, "bad_pake_message"),
        (opened["pake_message"].as_str().unwrap(), mac, "bad_pake_message"), // reflected
        ("QkIB", mac, "bad_pake_message"),
    ] {
        let body = json!({"pairing_id": id, "pake_message": message, "confirmation": confirmation});
        device_call(a.listen, "/device/pair/exchange", body).await.refused(400, code);
    }
    let early = json!({"pairing_id": id, "envelope": "AAAA"});
    device_call(a.listen, "/device/pair/hello", early).await.refused(409, "pairing_not_waiting");
    assert_eq!(a.get("/pair/pending").await["state"], "waiting");
    let join = tokio::spawn(b.joining(&code, a.listen));
    assert_eq!(a.pending().await["state"], "requested");
    a.post("/pair/respond", json!({"accept": true})).await.good();
    assert_eq!(join.await.unwrap().good()["status"], "accepted");
}

#[tokio::test]
async fn a_device_with_known_keys_is_refused() {
    let (a, mut b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    // A copy of this very machine.
    b.down().await;
    for file in ["keys/local.key", "sync/keys/laptop.pub"] {
        std::fs::copy(a.file(file), b.file(file)).unwrap();
    }
    std::fs::remove_file(b.file("sync/keys/desktop.pub")).unwrap();
    b.up().await;
    let code = a.show_code().await;
    b.joining(&code, a.listen).await.refused(409, "device_known");
    assert!(a.peers().await.is_empty() && b.peers().await.is_empty());
}

#[tokio::test]
async fn names_are_made_safe_and_unique() {
    let a = Machine::start("laptop").await;
    let b = Machine::start("../../keys/local.key\n\u{202e}").await;
    let c = Machine::start("Laptop").await;
    b.pair_with(&a).await;
    c.pair_with(&a).await;
    let long = Machine::start(&"x".repeat(300)).await;
    long.pair_with(&a).await;
    let mut expected = vec!["Laptop-2".to_owned(), "keys-local.key".to_owned(), "x".repeat(64)];
    expected.sort();
    let mut names = a.peers().await;
    names.sort();
    assert_eq!(names, expected);
    assert_eq!(a.key_files().len(), 4);
    let id = b.id().await;
    let path = format!("/devices/{id}");
    let rename = |name: &str| a.call("PATCH", &path, 0, json!({"name": name}));
    rename("laptop-2").await.refused(409, "name_taken");
    rename("LAPTOP").await.refused(409, "name_taken");
    rename("a/b").await.refused(400, "invalid_device_name");
    assert_eq!(rename("study").await.good()["name"], "study");
    assert!(a.key_files().contains(&"study.pub".to_owned()));
}

#[tokio::test]
async fn a_folder_that_takes_nothing_changes_nothing() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    let code = a.show_code().await;
    let join = tokio::spawn(b.joining(&code, a.listen));
    assert_eq!(a.pending().await["state"], "requested");
    std::fs::rename(a.file("sync"), a.file("away")).unwrap();
    std::fs::File::create_new(a.file("sync")).unwrap(); // a file where a folder belongs
    a.post("/pair/respond", json!({"accept": true})).await.refused(503, "storage_failed");
    std::fs::remove_file(a.file("sync")).unwrap();
    std::fs::rename(a.file("away"), a.file("sync")).unwrap();
    assert_eq!(a.get("/pair/pending").await["state"], "requested", "the device still waits");
    assert!(a.peers().await.is_empty());
    a.post("/pair/respond", json!({"accept": true})).await.good();
    assert_eq!(join.await.unwrap().good()["status"], "accepted");
}
