//! One server with a folder of its own, and its owner's hands.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use durward_server::{Clock, Config, DevicesConfig, Home, Running, Server};
use durward_vault::{BuiltinVault, Vault};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) headers: hyper::HeaderMap,
}

impl Reply {
    pub(crate) fn good(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.body["error"].as_str()), (status, Some(code)), "{}", self.body);
        self.body
    }
}

pub(crate) struct Machine {
    folder: TempDir,
    name: String,
    clock: Clock,
    running: Option<Running>,
    pub(crate) listen: SocketAddr,
    pub(crate) port: SocketAddr,
}

impl Machine {
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_at(name, Clock::system()).await
    }

    pub(crate) async fn start_at(name: &str, clock: Clock) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let folder = tempfile::tempdir().unwrap();
        let mut machine =
            Self { folder, name: name.into(), clock, running: None, listen: nowhere, port: nowhere };
        machine.up().await;
        machine
    }

    pub(crate) async fn up(&mut self) {
        let folder = self.folder.path().to_owned();
        // The same port again, so that addresses peers were given stay good.
        let config = Config {
            listen: self.listen,
            control: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            devices: Some(DevicesConfig { name: Some(self.name.clone()), ..DevicesConfig::default() }),
            ..Config::default()
        };
        let vault = folder.join("vault.age");
        let source = Box::new(move || Ok(Arc::new(BuiltinVault::at(&vault)) as Arc<dyn Vault>));
        let home = Home::open(&folder).unwrap();
        let running = Server::start(config, home, source, self.clock.clone()).await.unwrap();
        (self.listen, self.port) = (running.listen, running.control.unwrap());
        self.running = Some(running);
    }

    pub(crate) async fn down(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn key_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.file("sync/keys")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Through the socket, as the command line does.
    pub(crate) async fn call(&self, method: &str, path: &str, wait: u64, body: Value) -> Reply {
        let socket = self.file("run/control.sock");
        let stream = tokio::net::UnixStream::connect(socket).await.unwrap();
        let request = Request::builder().header("host", "localhost").header("prefer", format!("wait={wait}"));
        send(stream, request.method(method).uri(path), body).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.call("POST", path, 60, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call("GET", path, 0, Value::Null).await.good()
    }

    pub(crate) async fn id(&self) -> String {
        self.get("/devices").await["this"]["device_id"].as_str().unwrap().into()
    }

    /// Names of the peers.
    pub(crate) async fn peers(&self) -> Vec<String> {
        let all = self.get("/devices").await;
        let devices = all["devices"].as_array().unwrap();
        devices.iter().map(|device| device["name"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn peer(&self, name: &str) -> Value {
        let all = self.get("/devices").await;
        let mut devices = all["devices"].as_array().unwrap().iter();
        devices.find(|device| device["name"] == name).unwrap_or_else(|| panic!("no {name} in {all}")).clone()
    }

    pub(crate) async fn show_code(&self) -> String {
        self.post("/pair/initiate", json!({})).await.good()["code"].as_str().unwrap().into()
    }

    /// Waits until a device asks, or the pairing is over.
    pub(crate) async fn pending(&self) -> Value {
        self.call("GET", "/pair/pending", 60, Value::Null).await.good()
    }

    pub(crate) fn joining(&self, code: &str, at: SocketAddr) -> impl Future<Output = Reply> + Send + 'static {
        let socket = self.file("run/control.sock");
        let body = json!({"code": code, "address": at.to_string()});
        async move {
            let stream = tokio::net::UnixStream::connect(socket).await.unwrap();
            let request = Request::builder().header("host", "localhost").header("prefer", "wait=60");
            send(stream, request.method("POST").uri("/pair/join"), body).await
        }
    }

    /// Pairs with `other`, which shows the code.
    pub(crate) async fn pair_with(&self, other: &Self) {
        let code = other.show_code().await;
        let join = tokio::spawn(self.joining(&code, other.listen));
        assert_eq!(other.pending().await["state"], "requested");
        other.post("/pair/respond", json!({"accept": true})).await.good();
        assert_eq!(join.await.unwrap().good()["status"], "accepted");
    }

    /// Tells each the other's address.
    pub(crate) async fn meet(&self, other: &Self) {
        for (here, there) in [(self, other), (other, self)] {
            let id = there.id().await;
            let address = json!({"address": there.listen.to_string()});
            here.call("PATCH", &format!("/devices/{id}"), 0, address).await.good();
        }
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, good: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await;
            if good(&answer) {
                return answer;
            }
            assert!(tokio::time::Instant::now() < deadline, "{path} stays {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// One call on a fresh connection.
pub(crate) async fn send<S>(stream: S, request: hyper::http::request::Builder, body: Value) -> Reply
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let response = tokio::time::timeout(PATIENCE * 2, sender.send_request(request)).await.unwrap().unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    connection.abort();
    let body =
        serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes)));
    Reply { status, body, headers }
}

/// A call of the agent plane.
pub(crate) async fn device_call(at: SocketAddr, path: &str, body: Value) -> Reply {
    let stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let request = Request::post(path)
        .header("host", at.to_string())
        .header("content-type", "application/json")
        .header("prefer", "wait=60");
    send(stream, request, body).await
}
