//! Somebody between two devices, who sees and changes everything.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use durward_protocol::device::{DeviceDisplayer, DeviceProof};
use durward_protocol::{Code, PairingId, PakeMessage, Side};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::machine::{Machine, device_call};

type Bend = Arc<dyn Fn(&str, &mut Value, &mut Value) + Send + Sync>;

/// Everything that passed: path, request, answer.
type Seen = Arc<Mutex<Vec<(String, Value, Value)>>>;

/// Listens, passes on to `to`, and bends: before with a null answer, afterwards with the answer.
async fn between(to: SocketAddr, bend: Bend) -> (SocketAddr, Seen) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Seen::default());
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (bend, log) = (Arc::clone(&bend), Arc::clone(&log));
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let (bend, log) = (Arc::clone(&bend), Arc::clone(&log));
                async move {
                    let path = request.uri().path().to_owned();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let mut body: Value = serde_json::from_slice(&body).unwrap();
                    bend(&path, &mut body, &mut Value::Null);
                    let mut reply = device_call(to, &path, body.clone()).await;
                    bend(&path, &mut body, &mut reply.body);
                    log.lock().unwrap().push((path, body, reply.body.clone()));
                    let answer = Response::builder().status(reply.status);
                    Ok::<_, std::convert::Infallible>(
                        answer.body(Full::new(Bytes::from(reply.body.to_string()))).unwrap(),
                    )
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (address, seen)
}

#[tokio::test]
async fn the_code_and_the_keys_never_cross_the_wire_in_the_open() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    let (address, seen) = between(a.listen, Arc::new(|_, _, _| {})).await;
    let code = a.show_code().await;
    let join = tokio::spawn(b.joining(&code, address));
    assert_eq!(a.pending().await["state"], "requested");
    a.post("/pair/respond", json!({"accept": true})).await.good();
    assert_eq!(join.await.unwrap().good()["status"], "accepted", "one who only looks on is not noticed");
    let all = format!("{:?}", seen.lock().unwrap());
    let mut secrets = vec![code];
    for machine in [&a, &b] {
        let this = machine.get("/devices").await["this"].clone();
        secrets.extend(
            ["device_id", "name", "public_key", "signing_key"].map(|key| this[key].as_str().unwrap().into()),
        );
    }
    for secret in secrets {
        assert!(!all.contains(&secret), "{secret}");
    }
}

#[tokio::test]
async fn whoever_swaps_keys_ends_the_pairing() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    let guess: Code = "999999".parse().unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let own = DeviceDisplayer::start(PairingId::from_bytes([7; 16]), &guess, &mut rng).message().encode();
    let swaps: [(&str, Bend); 3] = [
        // Its own message instead of the displayer's.
        ("A", {
            let own = own.clone();
            Arc::new(move |path, _, answer| {
                if path.ends_with("/open") && answer.is_object() {
                    answer["pake_message"] = json!(own);
                }
            })
        }),
        // Its own proof instead of the enterer's, made for a guess.
        (
            "B",
            Arc::new(|path, body, answer| {
                if path.ends_with("/exchange") && answer.is_null() {
                    let id: PairingId = body["pairing_id"].as_str().unwrap().parse().unwrap();
                    let a =
                        DeviceDisplayer::start(id, &"999999".parse().unwrap(), &mut StdRng::seed_from_u64(2));
                    let message = PakeMessage::parse(&a.message().encode(), Side::A).unwrap();
                    let proof = DeviceProof::enter(
                        id,
                        &message,
                        &"999999".parse().unwrap(),
                        &mut StdRng::seed_from_u64(3),
                    )
                    .unwrap();
                    body["pake_message"] = json!(proof.message.encode());
                    body["confirmation"] = json!(proof.mac_b.encode());
                }
            }),
        ),
        // A proof of the displayer that it made up.
        (
            "MAC_A",
            Arc::new(|path, _, answer| {
                if path.ends_with("/exchange") && answer.is_object() {
                    answer["confirmation"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
                }
            }),
        ),
    ];
    for (what, bend) in swaps {
        let (address, seen) = between(a.listen, bend).await;
        let code = a.show_code().await;
        let joined = b.joining(&code, address).await.good();
        assert_eq!(joined["status"], "invalid_code", "{what}");
        let passed: Vec<String> = seen.lock().unwrap().iter().map(|(path, ..)| path.clone()).collect();
        assert!(!passed.iter().any(|path| path.ends_with("/hello")), "{what}: no hello leaves: {passed:?}");
        a.post("/pair/cancel", json!({})).await.good();
        assert!(a.peers().await.is_empty() && b.peers().await.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn what_is_sealed_cannot_be_bent() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    let twist = |envelope: &mut Value| {
        let text = envelope.as_str().unwrap();
        let at = text.len() / 2;
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        *envelope = json!(format!("{}{other}{}", &text[..at], &text[at + 1..]));
    };
    // The displayer's hello, the enterer's, the verdict.
    let bends: [(&str, Bend); 3] = [
        (
            "/exchange",
            Arc::new(move |path, _, answer| {
                if path.ends_with("/exchange") && answer.is_object() {
                    twist(&mut answer["envelope"]);
                }
            }),
        ),
        (
            "/hello",
            Arc::new(move |path, body, answer| {
                if path.ends_with("/hello") && answer.is_null() {
                    twist(&mut body["envelope"]);
                }
            }),
        ),
        (
            "verdict",
            Arc::new(move |path, _, answer| {
                if path.ends_with("/hello") && answer["envelope"].is_string() {
                    twist(&mut answer["envelope"]);
                }
            }),
        ),
    ];
    for (what, bend) in bends {
        let (address, _) = between(a.listen, bend).await;
        let code = a.show_code().await;
        let join = tokio::spawn(b.joining(&code, address));
        if what == "verdict" {
            assert_eq!(a.pending().await["state"], "requested");
            a.post("/pair/respond", json!({"accept": true})).await.good();
        }
        join.await.unwrap().refused(400, "bad_envelope");
        a.post("/pair/cancel", json!({})).await.good();
        assert!(b.peers().await.is_empty(), "{what}");
        assert_eq!(
            a.peers().await.len(),
            usize::from(what == "verdict"),
            "{what}: yes was said before it was bent"
        );
    }
}
