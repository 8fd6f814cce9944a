//! The agent plane from outside: web pages of listed origins, and what one address may take.

use std::net::SocketAddr;
use std::sync::Arc;

use durward_server::{Clock, Config, Home, Limits, Running, Server};
use durward_vault::{BuiltinVault, Vault};
use hyper::Request;
use serde_json::{Value, json};
use tempfile::TempDir;
use time::macros::datetime;

use crate::devices::machine::{Machine, Reply, device_call, send};

const PAGE: &str = "https://app.example";

struct Plane {
    _folder: TempDir,
    running: Running,
}

impl Plane {
    async fn start(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = folder.path().join("vault.age");
        let source = Box::new(move || Ok(Arc::new(BuiltinVault::at(&vault)) as Arc<dyn Vault>));
        let clock = Clock::manual(datetime!(2026-11-28 12:00 UTC));
        let config = Config { control: None, devices: None, ..config };
        let home = Home::open(folder.path()).unwrap();
        let running = Server::start(config, home, source, clock).await.unwrap();
        Self { _folder: folder, running }
    }

    async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
        let at = SocketAddr::from(([127, 0, 0, 1], self.running.listen.port()));
        let stream = tokio::net::TcpStream::connect(at).await.unwrap();
        let mut request = Request::builder().method(method).uri(path).header("host", at.to_string());
        request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(stream, request, body).await
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn agent(n: usize) -> Value {
    json!({ "agent_id": format!("agent-{n}"), "agent_name": "An agent" })
}

#[tokio::test]
async fn a_page_of_a_listed_origin_may_call_and_no_other() {
    let listed = vec![PAGE.to_owned(), "null".to_owned()];
    let plane =
        Plane::start(Config { listen: loopback(), allowed_origins: listed, ..Config::default() }).await;
    let preflight = [
        ("origin", PAGE),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,x-api-key"),
    ];
    let allowed = plane.call("OPTIONS", "/auth/knock", &preflight, Value::Null).await;
    assert_eq!(allowed.status, 204);
    let header = |reply: &Reply, name: &str| reply.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header(&allowed, "access-control-allow-origin"), PAGE);
    assert_eq!(header(&allowed, "vary"), "origin");
    for word in ["content-type", "x-api-key", "authorization", "prefer"] {
        assert!(header(&allowed, "access-control-allow-headers").contains(word), "{word}");
    }
    assert!(header(&allowed, "access-control-allow-methods").contains("PATCH"));
    assert_eq!(header(&allowed, "access-control-max-age"), "600");
    let device = json!({ "device": { "type": "browser", "name": "Dashboard" } });
    for (path, body, status) in [("/auth/knock", device.clone(), 200), ("/auth/knock", json!({}), 400)] {
        let reply = plane.call("POST", path, &[("origin", PAGE)], body).await;
        assert_eq!(reply.status, status, "{}", reply.body);
        assert_eq!(header(&reply, "access-control-allow-origin"), PAGE, "errors are readable, too");
        assert_eq!(header(&reply, "access-control-expose-headers"), "retry-after");
        assert!(!reply.headers.contains_key("access-control-allow-credentials"));
    }
    for origin in ["https://evil.example", "https://app.example.evil.example", "null", ""] {
        for (method, body) in [("OPTIONS", Value::Null), ("POST", device.clone())] {
            let reply = plane.call(method, "/auth/knock", &[("origin", origin)], body).await;
            assert!(!reply.headers.contains_key("access-control-allow-origin"), "{origin}");
            reply.refused(403, "origin_refused");
        }
    }
    let two = [("origin", PAGE), ("origin", PAGE)];
    plane.call("POST", "/auth/knock", &two, device.clone()).await.refused(403, "origin_refused");
    let without = plane.call("OPTIONS", "/auth/knock", &[], Value::Null).await;
    assert_eq!(without.status, 405, "no page, no preflight");
    assert!(!plane.call("POST", "/auth/knock", &[], device).await.headers.contains_key("vary"));
    plane.running.stop().await;
}

/// Seventy pairings from one address leave room for another's.
#[tokio::test]
async fn one_address_cannot_fill_the_pairings() {
    let config = Config {
        listen: loopback(),
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        ..Config::default()
    };
    let plane = Plane::start(config).await;
    let mut made = 0;
    for n in 0..70 {
        let from = [("x-forwarded-for", "198.51.100.7")];
        let reply = plane.call("POST", "/pairing/initiate", &from, agent(n)).await;
        if reply.status == 200 {
            made += 1;
        } else {
            assert_eq!(reply.headers["retry-after"], "15");
            reply.refused(429, "rate_limited");
        }
    }
    assert_eq!(made, Limits::default().max_pairings_per_address);
    let other = [("x-forwarded-for", "2001:db8::7")];
    plane.call("POST", "/pairing/initiate", &other, agent(70)).await.good();
    let own = plane.call("POST", "/pairing/initiate", &[], agent(71)).await;
    assert_eq!(own.status, 200, "this machine is not counted");
    plane.running.stop().await;
}

#[tokio::test]
async fn off_loopback_an_address_has_its_share_of_calls() {
    let limits = Limits { max_calls_per_address: 3, ..Limits::default() };
    let listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let plane = Plane::start(Config { listen, limits, accounts: None, ..Config::default() }).await;
    for _ in 0..3 {
        assert_eq!(plane.call("GET", "/health", &[], Value::Null).await.status, 200);
    }
    let refused = plane.call("GET", "/health", &[], Value::Null).await;
    assert_eq!(refused.headers["retry-after"], "60");
    refused.refused(429, "rate_limited");
    plane.running.stop().await;
}

#[tokio::test]
async fn off_loopback_an_address_has_its_share_of_connections() {
    let limits = Limits { max_connections_per_address: 1, ..Limits::default() };
    let listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let plane = Plane::start(Config { listen, limits, accounts: None, ..Config::default() }).await;
    let at = SocketAddr::from(([127, 0, 0, 1], plane.running.listen.port()));
    let held = tokio::net::TcpStream::connect(at).await.unwrap();
    let mut refused = tokio::net::TcpStream::connect(at).await.unwrap();
    let mut bytes = Vec::new();
    // Closed without a word; a system may say so with a reset.
    let read = tokio::io::AsyncReadExt::read_to_end(&mut refused, &mut bytes).await;
    assert!(matches!(read, Ok(0) | Err(_)) && bytes.is_empty());
    drop(held);
    plane.running.stop().await;
}

/// A flood of calls that prove nothing is counted in the log, not written out.
#[tokio::test]
async fn refusals_without_proof_do_not_fill_the_log() {
    let mut machine = Machine::start_at("laptop", Clock::manual(datetime!(2026-11-28 12:00 UTC))).await;
    for n in 0..150 {
        let body = json!({
            "challenge": format!("nonce_{n:A>42}A"), "passphrase": "what I remember of it", "user": "alan",
            "device": { "type": "phone", "name": "Phone" },
        });
        device_call(machine.listen, "/auth/exchange", body).await.refused(401, "invalid_challenge");
    }
    machine.down().await;
    machine.up().await;
    let log = machine.get("/audit?limit=500").await.to_string();
    assert_eq!(log.matches("auth.exchange").count(), 60, "{log}");
    assert!(log.contains("auth.more_refused address=127.0.0.1 count=90"), "{log}");
    machine.down().await;
}
