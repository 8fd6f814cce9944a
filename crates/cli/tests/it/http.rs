//! Hostile HTTP against the real server: never a 5xx, never a hang, no growth, and a clear refusal.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use durward_protocol::ErrorCode;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::home::{Daemon, Home};
use crate::wire::{Answer, call, read, send};

const AGENT: [(&str, &str); 9] = [
    ("POST", "/pairing/initiate"),
    ("POST", "/pairing/exchange"),
    ("POST", "/pairing/confirm"),
    ("POST", "/pairing/cancel"),
    ("POST", "/credential/request"),
    ("POST", "/credential/cancel"),
    ("POST", "/session/revoke"),
    ("GET", "/session/status"),
    ("GET", "/health"),
];

const CONTROL: [(&str, &str); 15] = [
    ("POST", "/pairings/enter"),
    ("POST", "/pairings/refuse"),
    ("POST", "/session/revoke"),
    ("POST", "/requests/decide"),
    ("POST", "/grants/end"),
    ("POST", "/vault/unlock"),
    ("POST", "/audit"),
    ("GET", "/status"),
    ("GET", "/pairings"),
    ("GET", "/sessions"),
    ("GET", "/requests"),
    ("GET", "/grants"),
    ("GET", "/vault"),
    ("GET", "/audit"),
    ("GET", "/health"),
];

const JSON: &str = "content-type: application/json";

struct Bench {
    home: Home,
    daemon: Daemon,
    token: String,
}

impl Bench {
    fn new() -> Self {
        let home = Home::empty();
        std::io::Write::write_all(
            &mut std::fs::File::create(home.path("config.toml")).unwrap(),
            b"[limits]\nheader_timeout_seconds = 1\nbody_timeout_seconds = 1\n",
        )
        .unwrap();
        let daemon = home.serve_quietly();
        let token = std::fs::read_to_string(home.path("api.token")).unwrap();
        Self { home, daemon, token: format!("authorization: Bearer {}", token.trim()) }
    }

    /// Both planes' endpoints: address, method, path, and the headers a good call has.
    fn endpoints(&self) -> Vec<(SocketAddr, &'static str, &'static str, Vec<&str>)> {
        let agent = AGENT.iter().map(|(method, path)| (self.daemon.listen, *method, *path, vec![JSON]));
        let control = CONTROL
            .iter()
            .map(|(method, path)| (self.daemon.control, *method, *path, vec![JSON, self.token.as_str()]));
        agent.chain(control).collect()
    }

    fn still_serves(&self) {
        let health = call(self.daemon.listen, "GET", "/health", &[], b"").unwrap();
        assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("ok")));
        assert_eq!(call(self.daemon.control, "GET", "/health", &[], b"").unwrap().body, b"OK");
    }
}

/// A refusal out of the table, with the table's status.
fn refused(answer: &Answer, what: &str) -> ErrorCode {
    let code = ErrorCode::parse(&answer.error()).unwrap_or_else(|| panic!("{what}: no code in {answer:?}"));
    assert_eq!(answer.status, code.status(), "{what}: {answer:?}");
    assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    assert!(answer.json()["message"].as_str().is_some_and(|text| text.len() > 10), "{what}: {answer:?}");
    code
}

#[test]
fn malformed_bodies_are_refused_by_the_table() {
    let bench = Bench::new();
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let deep_object = format!("{}1{}", r#"{"a":"#.repeat(9_000), "}".repeat(9_000));
    let nested = format!(r#"{{"session_id":{deep}}}"#);
    let bodies: Vec<&[u8]> = vec![
        b"{",
        b"not json",
        b"[]",
        b"[{}]",
        b"null",
        b"\"text\"",
        b"1e999",
        b"{}{}",
        b"{\"agent_id\":1}",
        b"{\"session_id\":[],\"pairing_id\":{},\"number\":-1,\"seconds\":-1,\"code\":5,\"grant_id\":0}",
        b"{\"session_id\":\"a\",\"session_id\":\"b\"}",
        b"{\"agent_id\":\"a\",\"agent_id\":\"a\",\"agent_name\":\"a\"}",
        b"{\"no_such_field\":1}",
        b"\xff\xfe{\"a\":1}",
        b"{\"agent_id\":\"\\ud800\"}",
        b"{\"agent_id\":\"\\u0000\",\"agent_name\":\"\\u202e\"}",
        deep.as_bytes(),
        deep_object.as_bytes(),
        nested.as_bytes(),
    ];
    for (address, method, path, headers) in bench.endpoints() {
        if method != "POST" {
            continue;
        }
        for body in &bodies {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            // {"no_such_field":1} is a whole order where every field may be left out.
            let answer = call(address, method, path, &headers, body).unwrap();
            refused(&answer, &format!("{path} {shown}"));
        }
    }
    bench.still_serves();
}

#[test]
fn sizes_are_bounded() {
    let bench = Bench::new();
    let huge = vec![b' '; 65_537];
    for (address, method, path, headers) in bench.endpoints() {
        if method == "POST" {
            let answer = call(address, method, path, &headers, &huge).unwrap();
            assert_eq!(refused(&answer, path), ErrorCode::BodyTooLarge);
            // The length is a promise: nothing is read that is too much already.
            let mut head =
                format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 99999999999\r\n");
            head.push_str(&headers.join("\r\n"));
            head.push_str("\r\n");
            let answer = send(address, format!("{head}\r\n").as_bytes()).unwrap();
            assert_eq!(refused(&answer, path), ErrorCode::BodyTooLarge);
            // In chunks there is no promise.
            let head = head.replace("content-length: 99999999999", "transfer-encoding: chunked");
            let chunk = format!("10001\r\n{}\r\n0\r\n\r\n", " ".repeat(65_537));
            let answer = send(address, format!("{head}\r\n{chunk}").as_bytes()).unwrap();
            assert_eq!(refused(&answer, path), ErrorCode::BodyTooLarge);
        }
        let long = format!("x-long: {}", "a".repeat(60_000));
        let answer = call(address, method, path, &[&long], b"").unwrap();
        assert_eq!(answer.status, 431, "{path} {answer:?}");
        let many: Vec<String> = (0..100).map(|i| format!("x-{i}: 1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(call(address, method, path, &many, b"").unwrap().status, 431, "{path}");
    }
    bench.still_serves();
}

/// The answer is larger than what a socket takes at once: with the body unread the system would cut it off.
#[test]
fn a_body_where_none_belongs_costs_nobody_the_answer() {
    let home = Home::with_vault();
    let daemon = home.serve();
    for _ in 0..20 {
        let answer = call(daemon.listen, "GET", "/openapi.json", &[], "x".repeat(60_000).as_bytes()).unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.json()["paths"].is_object());
    }
}

/// The same with the body after the head, where a handler has answered before the body is there.
#[test]
fn a_body_that_comes_late_costs_nobody_the_answer() {
    let home = Home::with_vault();
    let daemon = home.serve();
    let token = std::fs::read_to_string(home.path("api.token")).unwrap();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(daemon.control).unwrap();
        write!(
            stream,
            "POST /vault/lock HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: 60000\r\n\r\n",
            daemon.control,
            token.trim()
        )
        .unwrap();
        stream.flush().unwrap();
        for _ in 0..6 {
            stream.write_all(&[b' '; 10_000]).unwrap();
        }
        assert_eq!(read(&mut stream).unwrap().json()["done"], 0);
    }
}

#[test]
fn methods_types_hosts_origins_and_paths() {
    let bench = Bench::new();
    let (agent, control) = (bench.daemon.listen, bench.daemon.control);
    for (address, method, path, headers) in bench.endpoints() {
        let other = if method == "GET" { "DELETE" } else { "PUT" };
        assert_eq!(
            refused(&call(address, other, path, &headers, b"{}").unwrap(), path),
            ErrorCode::MethodNotAllowed
        );
        for host in ["evil.example", "evil.example:80", "127.0.0.1:1", "localhost.evil.example", ""] {
            let token = headers.get(1).unwrap_or(&"x: y");
            let bytes = format!(
                "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{JSON}\r\n{token}\r\ncontent-length: 2\r\n\r\n{{}}"
            );
            assert_eq!(refused(&send(address, bytes.as_bytes()).unwrap(), host), ErrorCode::WrongHost);
        }
        let twice = [headers.as_slice(), &["host: localhost"]].concat();
        assert_eq!(
            refused(&call(address, method, path, &twice, b"{}").unwrap(), "two hosts"),
            ErrorCode::WrongHost
        );
        for origin in ["origin: null", "origin: https://evil.example", "origin: http://localhost"] {
            let from = [headers.as_slice(), &[origin]].concat();
            let answer = call(address, method, path, &from, b"{}").unwrap();
            assert_eq!(refused(&answer, origin), ErrorCode::OriginRefused);
        }
    }
    for (_, path) in AGENT.iter().filter(|(method, _)| *method == "POST") {
        for kind in ["x: y", "content-type: text/plain", "content-type: application/x-www-form-urlencoded"] {
            let answer = call(agent, "POST", path, &[kind], b"{}").unwrap();
            assert_eq!(refused(&answer, kind), ErrorCode::UnsupportedMediaType);
        }
    }
    for (method, path) in CONTROL.iter().filter(|(_, path)| *path != "/health") {
        for token in ["x: y", "authorization: Bearer ", "authorization: Bearer abc", "x-durward-token: abc"] {
            let answer = call(control, method, path, &[token], b"{}").unwrap();
            assert_eq!(refused(&answer, path), ErrorCode::Unauthorized);
        }
        let token = bench.token.trim_start_matches("authorization: Bearer ");
        let asked = call(control, method, &format!("{path}?token={token}"), &[], b"{}").unwrap();
        assert_eq!(refused(&asked, "a token in a query"), ErrorCode::Unauthorized);
    }
    for path in [
        "/",
        "//",
        "/..",
        "/pairing",
        "/pairing/initiate/",
        "/%2e%2e/etc/passwd",
        "/%00",
        "/Health",
        "/health/..",
    ] {
        assert_eq!(refused(&call(agent, "POST", path, &[JSON], b"{}").unwrap(), path), ErrorCode::NotFound);
        let answer = call(control, "GET", path, &[&bench.token], b"").unwrap();
        assert_eq!(refused(&answer, path), ErrorCode::NotFound);
    }
    for query in ["", "?", "?session_id", "?session_id=", "?session_id=%ff", "?session_id=a&session_id=b"] {
        refused(&call(agent, "GET", &format!("/session/status{query}"), &[], b"").unwrap(), query);
    }
    for query in ["?after=-1", "?limit=x", "?after=99999999999999999999"] {
        refused(&call(control, "GET", &format!("/audit{query}"), &[&bench.token], b"").unwrap(), query);
    }
    bench.still_serves();
}

/// The limits are one second here: what trickles is answered or cut, and nobody else waits for it.
#[test]
fn the_slow_are_cut_off() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for (address, method, path, headers) in bench.endpoints() {
            scope.spawn(move || slowly(address, method, path, &headers));
        }
        bench.still_serves();
    });
    bench.still_serves();
}

fn slowly(address: SocketAddr, method: &str, path: &str, headers: &[&str]) {
    let mut slow = TcpStream::connect(address).unwrap();
    write!(slow, "{method} {path} HTTP/1.1\r\nhost: {address}\r\n").unwrap();
    let mut slow_body = TcpStream::connect(address).unwrap();
    write!(slow_body, "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 9\r\n").unwrap();
    write!(slow_body, "{}\r\n\r\n{{", headers.join("\r\n")).unwrap();
    if method == "POST" {
        assert_eq!(refused(&read(&mut slow_body).unwrap(), path), ErrorCode::Timeout, "{path}");
    }
    if let Some(answer) = read(&mut slow) {
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:e}")),
        "\\PC{0,20}".prop_map(|text| serde_json::Value::from(text).to_string()),
        "(pair|sess)_[A-Za-z0-9_-]{22}".prop_map(|id| format!("\"{id}\"")),
        "[A-Za-z0-9_-]{22,300}".prop_map(|id| format!("\"{id}\"")),
        "[0-9]{6}".prop_map(|code| format!("\"{code}\"")),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![
            prop::sample::select(vec![
                "agent_id",
                "agent_name",
                "scope",
                "pairing_id",
                "pake_message",
                "session_id",
                "confirmation",
                "encrypted_payload",
                "pairing_code",
                "number",
                "code",
                "request_id",
                "verdict",
                "grant",
                "kind",
                "seconds",
                "uses",
                "password",
                "grant_id",
                "all",
                "at",
                "event",
                "actor",
            ])
            .prop_map(str::to_owned),
            "\\PC{0,8}",
        ];
        let pair = (key, inner.clone()).prop_map(|(k, v)| format!("{}:{v}", serde_json::Value::from(k)));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec(pair, 0..7).prop_map(|all| format!("{{{}}}", all.join(","))),
        ]
    })
}

/// A body of JSON, bent at one place or not, or anything at all.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let bent = (json(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(text, at, byte)| {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len().max(1));
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes
    });
    prop_oneof![
        4 => json().prop_map(String::into_bytes),
        2 => bent,
        1 => prop::collection::vec(any::<u8>(), 0..400),
    ]
}

/// 1,000 bodies for each endpoint (`DURWARD_TEST_CASES` for others), always the same ones.
#[test]
fn random_bodies_never_make_it_fail_hang_or_grow() {
    let cases = std::env::var("DURWARD_TEST_CASES").map_or(1_000, |text| text.parse().unwrap());
    let bench = Bench::new();
    let bombard = |count| {
        for (address, method, path, headers) in bench.endpoints() {
            let config = Config { cases: count, failure_persistence: None, ..Config::default() };
            let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
            let mut runner = TestRunner::new_with_rng(config, rng);
            let connection = std::cell::RefCell::new(Connection::to(address));
            let result = runner.run(&bodies(), |body| {
                let answer = connection.borrow_mut().call(method, path, &headers, &body);
                prop_assert!(answer.status < 500, "{path}: {answer:?}");
                if answer.status >= 400 {
                    refused(&answer, path);
                }
                Ok(())
            });
            result.unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    };
    bombard(cases / 10);
    let before = bench.daemon.resident_kb();
    bombard(cases);
    let after = bench.daemon.resident_kb();
    assert!(after < before + 8 * 1024, "grew from {before} kB to {after} kB");
    bench.still_serves();
    assert!(!bench.daemon.process.stderr.text().contains("panicked"));
    bench.home.audit_holds();
}

/// One kept connection; a thousand new ones for each endpoint would only measure the kernel.
struct Connection {
    address: SocketAddr,
    stream: TcpStream,
}

impl Connection {
    fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        Self { address, stream }
    }

    fn call(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{}\r\nprefer: wait=0\r\ncontent-length: {}\r\n\r\n",
            self.address,
            headers.join("\r\n"),
            body.len()
        );
        let bytes = [head.as_bytes(), body].concat();
        for _ in 0..2 {
            if self.stream.write_all(&bytes).is_ok()
                && let Some(answer) = read(&mut self.stream)
            {
                if answer.head.to_lowercase().contains("connection: close") {
                    *self = Self::to(self.address);
                }
                return answer;
            }
            *self = Self::to(self.address);
        }
        panic!("{path}: no answer to {:?}", String::from_utf8_lossy(body));
    }
}

/// Heads of requests, bent: whatever they are, they get a 4xx or the connection is closed.
#[test]
fn random_heads_never_make_it_fail_or_hang() {
    let bench = Bench::new();
    let cases = std::env::var("DURWARD_TEST_CASES").map_or(1_000, |text| text.parse().unwrap());
    for address in [bench.daemon.listen, bench.daemon.control] {
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[8; 32]);
        let good = format!(
            "POST /pairing/initiate HTTP/1.1\r\nhost: {address}\r\n{JSON}\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        let bends = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
        let result = TestRunner::new_with_rng(config, rng).run(&bends, |bends| {
            let mut bytes = good.clone().into_bytes();
            for (at, byte) in bends {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&bytes).unwrap();
            let _ = stream.shutdown(std::net::Shutdown::Write);
            stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
            if let Some(answer) = read(&mut stream) {
                prop_assert!(answer.status < 500, "{answer:?} to {:?}", String::from_utf8_lossy(&bytes));
            }
            Ok(())
        });
        result.unwrap();
    }
    bench.still_serves();
}
