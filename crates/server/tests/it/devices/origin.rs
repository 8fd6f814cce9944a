//! The control port as a browser extension and as a web page see it.

use hyper::Request;
use serde_json::{Value, json};

use super::machine::{Machine, Reply, send};

async fn call(machine: &Machine, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
    let stream = tokio::net::TcpStream::connect(machine.port).await.unwrap();
    let mut request = Request::builder().method(method).uri(path).header("host", machine.port.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(stream, request, body).await
}

#[tokio::test]
async fn an_extension_pairs_and_a_web_page_does_not() {
    let (a, b) = (Machine::start("laptop").await, Machine::start("desktop").await);
    let token = std::fs::read_to_string(a.file("pair.token")).unwrap();
    let token = token.trim();
    let health = call(&a, "GET", "/health", &[], Value::Null).await;
    assert_eq!((health.status, health.body), (200, json!("OK")));
    for origin in ["moz-extension://5a1c7b1e", "chrome-extension://abcdefgh"] {
        let headers = [("origin", origin), ("x-wolfpack-token", token)];
        let preflight = call(&a, "OPTIONS", "/pair/initiate", &headers[..1], Value::Null).await;
        assert_eq!(preflight.status, 204);
        let allowed = preflight.headers["access-control-allow-headers"].to_str().unwrap();
        assert!(allowed.contains("x-wolfpack-token"), "{allowed}");
        // As the page's snippet does: no body, no content type.
        let shown = call(&a, "POST", "/pair/initiate", &headers, Value::Null).await;
        assert_eq!(shown.headers["access-control-allow-origin"], origin);
        let code = shown.good()["code"].as_str().unwrap().to_owned();
        let join = tokio::spawn(b.joining(&code, a.listen));
        assert_eq!(a.pending().await["state"], "requested");
        assert_eq!(call(&a, "GET", "/pair/pending", &headers, Value::Null).await.good()["pending"], true);
        call(&a, "POST", "/pair/respond", &headers, json!({"accept": false})).await.good();
        assert_eq!(join.await.unwrap().good()["status"], "rejected");
        assert_eq!(call(&a, "GET", "/devices", &headers, Value::Null).await.status, 200);
        assert_eq!(call(&a, "GET", "/status", &headers, Value::Null).await.status, 200);
    }
    let id = a.id().await;
    for (method, path) in [
        ("POST", "/devices/rotate".to_owned()),
        ("DELETE", format!("/devices/{id}")),
        ("GET", "/inbox".to_owned()),
        ("GET", "/requests".to_owned()),
    ] {
        let headers = [("origin", "moz-extension://5a1c7b1e"), ("x-wolfpack-token", token)];
        let refusal = call(&a, method, &path, &headers, Value::Null).await.refused(403, "wrong_scope");
        let text = refusal["message"].as_str().unwrap();
        assert!(text.contains("this token's scope is pair") && text.contains("needs owner"), "{text}");
    }
    let headers = [("x-durward-token", token)];
    call(&a, "GET", "/pair/nothing", &headers, Value::Null).await.refused(404, "not_found");
    call(&a, "GET", "/nothing", &headers, Value::Null).await.refused(404, "not_found");
    call(&a, "POST", "/spake/initiate", &headers, Value::Null).await.refused(403, "wrong_scope");
    call(&a, "GET", "/nothing", &[("x-durward-token", "wrong")], Value::Null)
        .await
        .refused(401, "unauthorized");
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "moz-extension://"] {
        let headers = [("origin", origin), ("x-wolfpack-token", token)];
        call(&a, "POST", "/pair/initiate", &headers, Value::Null).await.refused(403, "origin_refused");
    }
    call(&a, "POST", "/pair/initiate", &[], Value::Null).await.refused(401, "unauthorized");
    assert_eq!(a.get("/pair/pending").await["state"], "rejected", "no page has made a code");
}
