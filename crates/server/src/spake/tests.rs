//! The routes as a caller sees them, with a clock that the tests move.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tower::ServiceExt as _;

use super::alone::{Gate, router};
use super::{SpakeAccess, SpakeConfig, SpakeServer, SpakeService};
use crate::http::HostRule;
use crate::token::{TokenScope, Tokens};
use crate::{Clock, Error, Home, Limits};

/// A public key of side A on Ed25519; any password makes it a good one.
const KEY_A: &str = "41262d0f891ddc5697075c089ad722c1b8bbb643aa50218db38f59fe4cce961f85";

struct Alone {
    router: Router,
    clock: Clock,
    service: Arc<SpakeService>,
}

struct Reply {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Value,
}

impl Alone {
    fn open() -> Self {
        Self::new(None, Limits::default())
    }

    fn new(tokens: Option<Arc<Tokens>>, limits: Limits) -> Self {
        let clock = Clock::manual(OffsetDateTime::UNIX_EPOCH);
        let service = SpakeService::new(limits.spake(), clock.clone());
        let gate = Gate { host: HostRule::Loopback(5000), tokens };
        Self { router: router(Arc::clone(&service), Arc::new(limits), gate), clock, service }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost:5000");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Reply { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, &[("content-type", "application/json")], &body.to_string()).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], "").await
    }

    async fn initiate(&self, id: &str) -> Reply {
        let body = json!({"session_id": id, "password": "hunter2", "suite": "spake2-ed25519"});
        self.post("/spake/initiate", &body).await
    }

    async fn exchange(&self, id: &str) -> Reply {
        self.post("/spake/exchange", &json!({"session_id": id, "client_public_key": KEY_A})).await
    }
}

impl Reply {
    fn refused(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status.as_u16(), self.body["error"].as_str()),
            (status, Some(code)),
            "{}",
            self.body
        );
        assert!(self.body["message"].as_str().unwrap().len() > 10);
        assert_eq!(self.headers[header::CACHE_CONTROL], "no-store");
    }

    fn good(&self) -> &Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        &self.body
    }
}

#[tokio::test]
async fn every_call_has_the_pages_fields() {
    let alone = Alone::open();
    assert_eq!(alone.get("/health").await.good(), &json!({"status": "healthy", "service": "spake"}));
    assert_eq!(alone.send(Method::HEAD, "/health", &[], "").await.status, StatusCode::OK);
    let started = alone.initiate("test123").await;
    assert_eq!(
        (&started.good()["session_id"], &started.body["status"]),
        (&json!("test123"), &json!("initiated"))
    );
    assert_eq!(started.body["public_key"].as_str().unwrap().len(), 66);
    assert_eq!(
        alone.get("/spake/status/test123").await.good(),
        &json!({"session_id": "test123", "status": "initiated"})
    );
    let done = alone.exchange("test123").await;
    assert_eq!(done.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(done.good()["shared_secret"].as_str().unwrap().len(), 64);
    assert_eq!((&done.body["status"], &done.body["peer_confirmed"]), (&json!("completed"), &json!(false)));
    assert_eq!(
        alone.get("/spake/sessions").await.good(),
        &json!({"active_sessions": 1, "sessions": [{"session_id": "test123", "status": "completed"}]})
    );
    let cleaned = alone.send(Method::DELETE, "/spake/cleanup/test123", &[], "").await;
    assert_eq!(
        cleaned.good(),
        &json!({"session_id": "test123", "message": "Session cleaned up successfully"})
    );
    alone.get("/spake/status/test123").await.refused(404, "session_not_found");
}

#[tokio::test]
async fn the_stretched_suite_is_the_default() {
    let alone = Alone::open();
    let started = alone.post("/spake/initiate", &json!({"session_id": "s", "password": "mypassword"})).await;
    assert_eq!(started.good()["suite"], "p256-sha256");
    assert_eq!(started.body["parameters"]["stretch"]["iterations"], 100_000);
    assert_eq!(started.body["public_key"].as_str().unwrap().len(), 130);
    let off_curve = format!("04{}", "11".repeat(64));
    let refused =
        alone.post("/spake/exchange", &json!({"session_id": "s", "client_public_key": off_curve})).await;
    refused.refused(400, "bad_public_key");
    alone.exchange("s").await.refused(409, "session_completed");
}

#[tokio::test]
async fn refusals() {
    let alone = Alone::open();
    alone.post("/spake/initiate", &json!({"session_id": "s"})).await.refused(400, "invalid_request");
    alone.post("/spake/exchange", &json!([])).await.refused(400, "invalid_request");
    alone.post("/spake/confirm", &json!("")).await.refused(400, "invalid_request");
    alone.exchange("s").await.refused(404, "session_not_found");
    alone.initiate("s").await.good();
    alone.initiate("s").await.refused(409, "session_exists");
    let late = json!({"session_id": "s", "client_confirmation": "00".repeat(32)});
    alone.post("/spake/confirm", &late).await.refused(409, "session_not_exchanged");
    let wrong =
        json!({"session_id": "s", "client_public_key": KEY_A, "client_confirmation": "00".repeat(32)});
    let refused = alone.post("/spake/exchange", &wrong).await;
    refused.refused(400, "confirmation_failed");
    assert!(refused.body.get("shared_secret").is_none(), "nothing is released");
    assert_eq!(alone.get("/spake/status/s").await.good()["status"], "failed");
    alone.exchange("s").await.refused(409, "session_completed");
    alone.initiate("t").await.good();
    alone.exchange("t").await.good();
    let late = json!({"session_id": "t", "client_confirmation": "00".repeat(32)});
    alone.post("/spake/confirm", &late).await.refused(400, "confirmation_failed");
    for path in ["/spake/status/a%20b", "/spake/status/%ff", "/spake/status/..%2f..%2fhealth"] {
        alone.get(path).await.refused(400, "invalid_session_id");
    }
    alone.get("/spake/status/").await.refused(404, "not_found");
    alone.get("/spake/initiate").await.refused(405, "method_not_allowed");
    alone.get("/").await.refused(404, "not_found");
    let large = json!({"session_id": "s", "password": "x".repeat(70_000)});
    alone.post("/spake/initiate", &large).await.refused(413, "body_too_large");
}

#[tokio::test]
async fn sessions_expire_by_the_steady_clock() {
    let alone = Alone::open();
    alone.initiate("s").await.good();
    alone.initiate("t").await.good();
    alone.clock.advance(time::Duration::seconds(299));
    alone.exchange("t").await.good();
    alone.clock.advance(time::Duration::seconds(1));
    alone.exchange("s").await.refused(404, "session_not_found");
    alone.get("/spake/status/t").await.refused(404, "session_not_found");
    assert_eq!(alone.get("/spake/sessions").await.good(), &json!({"active_sessions": 0, "sessions": []}));
}

#[tokio::test(start_paused = true)]
async fn the_timer_wipes_what_nobody_asks_for() {
    let alone = Alone::open();
    let timer = tokio::spawn(Arc::clone(&alone.service).run_timer());
    for _ in 0..2 {
        alone.initiate("s").await.good();
        tokio::time::sleep(Duration::from_secs(299)).await;
        assert!(!alone.service.is_empty(), "the service's own clock counts, and it has not moved");
        alone.clock.advance(time::Duration::seconds(300));
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(alone.service.is_empty());
    }
    timer.abort();
}

#[tokio::test]
async fn a_full_table_says_when_to_come_back() {
    let alone = Alone::new(None, Limits { max_spake_sessions: 2, ..Limits::default() });
    alone.initiate("p").await.good();
    alone.clock.advance(time::Duration::seconds(100));
    alone.initiate("q").await.good();
    let full = alone.initiate("r").await;
    full.refused(429, "too_many_sessions");
    assert_eq!(full.headers[header::RETRY_AFTER], "201");
    alone.exchange("p").await.good();
    alone.initiate("r").await.good();
    alone.get("/spake/status/p").await.refused(404, "session_not_found");
}

/// Many callers at once: one of them gets the exchange, and a cleanup among them leaves nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_exchange_whoever_races() {
    let alone = Arc::new(Alone::open());
    for round in 0..20 {
        let id = format!("s{round}");
        alone.initiate(&id).await.good();
        let racers: Vec<_> = (0..8)
            .map(|_| {
                let (alone, id) = (Arc::clone(&alone), id.clone());
                tokio::spawn(async move { alone.exchange(&id).await })
            })
            .collect();
        let cleaner = (round % 2 == 0).then(|| {
            let (alone, path) = (Arc::clone(&alone), format!("/spake/cleanup/{id}"));
            tokio::spawn(async move { alone.send(Method::DELETE, &path, &[], "").await })
        });
        let mut secrets = 0;
        for racer in racers {
            let reply = racer.await.unwrap();
            match reply.status.as_u16() {
                200 => secrets += 1,
                404 => assert!(cleaner.is_some()),
                409 => reply.refused(409, "session_completed"),
                other => panic!("{other}: {}", reply.body),
            }
        }
        if let Some(cleaner) = cleaner {
            cleaner.await.unwrap().good();
            assert!(secrets <= 1);
            alone.get(&format!("/spake/status/{id}")).await.refused(404, "session_not_found");
        } else {
            assert_eq!(secrets, 1);
        }
    }
}

#[tokio::test]
async fn a_token_of_the_right_scope_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::new(Home::open(folder.path()).unwrap());
    tokens.ensure().unwrap();
    let read = |scope| std::fs::read_to_string(tokens.standard(scope)).unwrap();
    let alone = Alone::new(Some(Arc::new(tokens.clone())), Limits::default());
    alone.get("/health").await.good();
    alone.get("/spake/sessions").await.refused(401, "unauthorized");
    alone.initiate("s").await.refused(401, "unauthorized");
    alone
        .get(&format!("/spake/sessions?token={}", read(TokenScope::Spake)))
        .await
        .refused(401, "unauthorized");
    let with = async |scope| {
        let bearer = format!("Bearer {}", read(scope));
        alone.send(Method::GET, "/spake/sessions", &[("authorization", &bearer)], "").await
    };
    with(TokenScope::Spake).await.good();
    with(TokenScope::Owner).await.good();
    with(TokenScope::Pair).await.refused(403, "wrong_scope");
    let token = read(TokenScope::Spake);
    alone.send(Method::GET, "/spake/sessions", &[("x-durward-token", &token)], "").await.good();
    tokens.rotate("spake").unwrap();
    let old = alone.send(Method::GET, "/spake/sessions", &[("x-durward-token", &token)], "").await;
    old.refused(401, "unauthorized");
    // A token is proof enough: the header forces a browser to ask first, whatever the Content-Type.
    let headers = [("authorization", &*format!("Bearer {}", read(TokenScope::Spake)))];
    let body = json!({"session_id": "s", "password": "p", "suite": "spake2-ed25519"}).to_string();
    alone.send(Method::POST, "/spake/initiate", &headers, &body).await.good();
}

#[tokio::test]
async fn other_hosts_and_web_pages_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::new(Home::open(folder.path()).unwrap());
    for open in [false, true] {
        let alone = Alone::new((!open).then(|| Arc::new(tokens.clone())), Limits::default());
        for path in ["/health", "/spake/sessions"] {
            for origin in ["null", "https://evil.example", "http://localhost:5000"] {
                alone.send(Method::GET, path, &[("origin", origin)], "").await.refused(403, "origin_refused");
                let asked = alone.send(Method::OPTIONS, path, &[("origin", origin)], "").await;
                asked.refused(403, "origin_refused");
            }
            let twice = alone.send(Method::GET, path, &[("host", "localhost:5000")], "").await;
            twice.refused(421, "wrong_host");
        }
        let request =
            Request::get("/health").header(header::HOST, "evil.example:5000").body(Body::empty()).unwrap();
        let response = alone.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
        let extension = [("origin", "moz-extension://a-b")];
        let asked = alone.send(Method::OPTIONS, "/spake/initiate", &extension, "").await;
        if open {
            asked.refused(403, "origin_refused");
        } else {
            assert_eq!(asked.status, StatusCode::NO_CONTENT);
            assert_eq!(asked.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "moz-extension://a-b");
        }
    }
}

/// Without a token nothing else stops a form of a web page, whose browser sends no `Origin` when it is old.
#[tokio::test]
async fn without_a_token_a_body_must_say_that_it_is_json() {
    let alone = Alone::open();
    let body = json!({"session_id": "s", "password": "p", "suite": "spake2-ed25519"}).to_string();
    for headers in
        [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/x-www-form-urlencoded")]]
    {
        let refused = alone.send(Method::POST, "/spake/initiate", headers, &body).await;
        refused.refused(415, "unsupported_media_type");
    }
    let charset = [("content-type", "application/json; charset=utf-8")];
    alone.send(Method::POST, "/spake/initiate", &charset, &body).await.good();
}

#[tokio::test]
async fn only_loopback_and_only_a_free_port() {
    let start = async |listen: &str, access| {
        let config = SpakeConfig { listen: listen.parse().unwrap(), access, ..SpakeConfig::default() };
        SpakeServer::start(config, Clock::system()).await
    };
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:5000"] {
        let error = start(listen, SpakeAccess::Open).await.err().unwrap();
        assert!(matches!(error, Error::SpakeNotLoopback(_)), "{error}");
        assert!(error.to_string().contains("password"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path()).unwrap();
    let running = start("127.0.0.1:0", SpakeAccess::Token(home.clone())).await.ok().unwrap();
    assert!(home.token("spake").exists());
    assert!(!home.token("api").exists(), "it makes the one token it needs");
    let taken = start(&running.listen.to_string(), SpakeAccess::Open).await.err().unwrap();
    assert!(matches!(taken, Error::PortTaken { .. }) && taken.to_string().contains("--port"), "{taken}");
    running.stop().await;
}
