//! The OpenAPI documents say what the planes do: they are as generated, every route is in them, everything
//! in them answers, and the answers are among the documented ones.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durward_protocol::ErrorCode;
use durward_server::openapi::{AGENT_JSON, CONTROL_JSON, agent_document, control_document};
use durward_server::{Clock, Config, Home, Running, Server};
use durward_vault::{BuiltinVault, Vault};
use serde_json::Value;

use crate::call::{Plane, call};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

#[test]
fn committed_documents_are_the_generated_ones() {
    for (name, committed, generated) in
        [("agent", AGENT_JSON, agent_document()), ("control", CONTROL_JSON, control_document())]
    {
        if std::env::var_os("DURWARD_WRITE_OPENAPI").is_some() {
            let path = repository().join(format!("docs/openapi/{name}.json"));
            let mut file = std::fs::File::create(path).unwrap();
            file.write_all(generated.as_bytes()).unwrap();
        } else {
            let at = committed.lines().zip(generated.lines()).position(|(old, new)| old != new);
            assert!(
                committed == generated,
                "docs/openapi/{name}.json is not what the types say (first difference in line {}); rewrite it with \
                 `DURWARD_WRITE_OPENAPI=1 cargo test -p durward-server --test it openapi`",
                at.map_or(0, |line| line + 1),
            );
        }
    }
}

#[test]
fn documents_refer_to_nothing_that_is_missing() {
    for text in [AGENT_JSON, CONTROL_JSON] {
        let document: Value = serde_json::from_str(text).unwrap();
        let mut references = BTreeSet::new();
        collect_references(&document, &mut references);
        assert!(references.len() > 5);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }
}

#[test]
fn every_error_of_the_table_is_described() {
    for text in [AGENT_JSON, CONTROL_JSON] {
        let document: Value = serde_json::from_str(text).unwrap();
        let rows = document["components"]["schemas"]["ErrorCode"]["oneOf"].as_array().unwrap();
        let listed: Vec<_> = rows.iter().map(|row| row["const"].as_str().unwrap()).collect();
        let table: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(listed, table);
    }
}

/// axum does not list its routes, so they are read where they are written.
#[test]
fn every_route_is_documented() {
    let documented: BTreeSet<String> =
        [AGENT_JSON, CONTROL_JSON].iter().flat_map(|text| operations(text)).map(|(_, path)| path).collect();
    let mut routes = BTreeSet::new();
    for file in sources(&repository().join("crates/server/src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        for rest in text.split(".route(").skip(1) {
            let path = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
            let path = path.unwrap_or_else(|| panic!("{}: a route that is no literal", file.display()));
            routes.insert(path.to_owned());
        }
    }
    assert!(routes.len() > 20, "the search for routes found only {}", routes.len());
    let missing: Vec<_> = routes.difference(&documented).collect();
    assert!(missing.is_empty(), "describe these in crates/server/src/openapi/: {missing:?}");
}

#[tokio::test]
async fn what_the_agent_document_says_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    answers(&Plane::Tcp(running.listen), AGENT_JSON).await;
    running.stop().await;
}

#[tokio::test]
async fn what_the_control_document_says_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let socket = Home::open(folder.path()).unwrap().control_socket();
    answers(&Plane::Unix(socket), CONTROL_JSON).await;
    running.stop().await;
}

#[tokio::test]
async fn the_control_document_needs_a_token_on_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let port = Plane::Tcp(running.control.unwrap());
    for (method, path) in operations(CONTROL_JSON) {
        let reply = call(&port, &method, &path).await;
        if path == "/health" {
            assert_eq!(reply.status, 200);
        } else {
            assert_eq!(reply.error(), Some("unauthorized"), "{method} {path}");
        }
    }
    running.stop().await;
}

/// Every documented operation answers as documented, and no other method does.
async fn answers(plane: &Plane, text: &str) {
    let document: Value = serde_json::from_str(text).unwrap();
    let served = call(plane, "GET", "/openapi.json").await;
    assert_eq!(served.body.as_ref(), Some(&document));
    let operations = operations(text);
    let paths: BTreeSet<_> = operations.iter().map(|(_, path)| path.clone()).collect();
    for (path, method) in paths.iter().flat_map(|path| METHODS.map(|method| (path, method))) {
        if path == "/shutdown" && method == "POST" {
            continue; // the last call
        }
        let reply = call(plane, method, &path.replace("{id}", "x")).await;
        if operations.contains(&(method.to_owned(), path.clone())) {
            documented(&document, method, path, &reply);
        } else {
            assert_eq!(reply.error(), Some("method_not_allowed"), "{method} {path} is not documented");
        }
    }
    assert_eq!(call(plane, "GET", "/nothing-here").await.error(), Some("not_found"));
    if paths.contains("/shutdown") {
        documented(&document, "POST", "/shutdown", &call(plane, "POST", "/shutdown").await);
    }
}

fn documented(document: &Value, method: &str, path: &str, reply: &crate::call::Reply) {
    assert_ne!(reply.error(), Some("not_found"), "{method} {path} is documented and not there");
    let responses = &document["paths"][path][method.to_lowercase()]["responses"];
    let response = &responses[reply.status.to_string()];
    assert!(response.is_object(), "{method} {path} answers {reply:?}, which is not documented");
    if let Some(code) = reply.error() {
        let codes =
            &response["content"]["application/json"]["schema"]["allOf"][1]["properties"]["error"]["enum"];
        assert!(codes.as_array().unwrap().iter().any(|known| known == code), "{method} {path}: {code}");
    }
    assert!(
        !reply.retry_after || response["headers"]["Retry-After"].is_object(),
        "{method} {path}: Retry-After"
    );
}

async fn start(folder: &Path) -> Running {
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        control: Some(([127, 0, 0, 1], 0).into()),
        ..Config::default()
    };
    let vault: Arc<dyn Vault> = Arc::new(BuiltinVault::at(folder.join("vault.age")));
    let source = Box::new(move || Ok(Arc::clone(&vault)));
    Server::start(config, Home::open(folder).unwrap(), source, Clock::system()).await.unwrap()
}

fn operations(text: &str) -> BTreeSet<(String, String)> {
    let document: Value = serde_json::from_str(text).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    });
    operations.collect()
}

fn collect_references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            into.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect_references(value, into));
        }
        Value::Array(list) => list.iter().for_each(|value| collect_references(value, into)),
        _ => {}
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
