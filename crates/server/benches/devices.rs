//! A pairing of two servers on loopback, from showing the code to the accepted answer, people left out.
//!
//! `cargo bench -p durward-server --bench devices`. What counts is the machine time of both servers and of the two
//! callers together; the wall clock also has the disk in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use durward_server::{Clock, Config, Home, Running, Server};
use durward_vault::{BuiltinVault, Vault};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

const ROUNDS: usize = 100;

/// What a pairing may take, in machine time.
const GOAL: Duration = Duration::from_millis(5);

async fn start(folder: &Path) -> Running {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config { listen: loopback, control: None, ..Config::default() };
    let vault = folder.join("vault.age");
    let source = Box::new(move || Ok(Arc::new(BuiltinVault::at(&vault)) as Arc<dyn Vault>));
    Server::start(config, Home::open(folder).unwrap(), source, Clock::system()).await.unwrap()
}

async fn call(socket: PathBuf, method: &str, path: String, body: Value) -> Value {
    let stream = tokio::net::UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request =
        Request::builder().method(method).uri(path).header("host", "localhost").header("prefer", "wait=60");
    let response =
        sender.send_request(request.body(Full::new(Bytes::from(body.to_string()))).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    connection.abort();
    serde_json::from_slice(&bytes).unwrap()
}

fn machine_time() -> Duration {
    let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
    Duration::from(nix::time::clock_gettime(clock).unwrap())
}

#[tokio::main]
async fn main() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (a, b) = (start(folders[0].path()).await, start(folders[1].path()).await);
    let socket = |n: usize| folders[n].path().join("run/control.sock");
    let empty = || json!({});
    let (mut walls, mut machines) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (wall, machine) = (Instant::now(), machine_time());
        let shown = call(socket(0), "POST", "/pair/initiate".into(), empty()).await;
        let words = json!({"code": shown["code"], "address": a.listen.to_string()});
        let join = tokio::spawn(call(socket(1), "POST", "/pair/join".into(), words));
        assert_eq!(call(socket(0), "GET", "/pair/pending".into(), empty()).await["state"], "requested");
        call(socket(0), "POST", "/pair/respond".into(), json!({"accept": true})).await;
        assert_eq!(join.await.unwrap()["status"], "accepted");
        walls.push(wall.elapsed());
        machines.push(machine_time().saturating_sub(machine));
        for n in [0, 1] {
            let all = call(socket(n), "GET", "/devices".into(), empty()).await;
            let id = all["devices"][0]["device_id"].as_str().unwrap();
            call(socket(n), "DELETE", format!("/devices/{id}"), empty()).await;
        }
    }
    walls.sort_unstable();
    machines.sort_unstable();
    let (wall, machine) = (walls[ROUNDS / 2], machines[ROUNDS / 2]);
    let verdict = if machine <= GOAL { "within" } else { "beyond" };
    println!(
        "pairing on loopback, median of {ROUNDS}: {machine:?} machine time, {verdict} the goal of {GOAL:?}; {wall:?} in all"
    );
    a.stop().await;
    b.stop().await;
}
