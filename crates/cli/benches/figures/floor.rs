//! What the machine itself costs: an axum server that says hello.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use durward_testkit::wire::{Wire, http_request};

use super::approver::cpu_of;
use super::load::{self, median};

/// The first argument under which this bench is the server.
pub(crate) const SERVE: &str = "--serve-hello";

/// Says hello until its standard input ends.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime
        .block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            println!("{}", listener.local_addr().unwrap());
            let hello = axum::Router::new().fallback(|| async { "hello" });
            tokio::spawn(async move {
                axum::serve(
                    axum::serve::ListenerExt::tap_io(listener, |stream| {
                        let _ = stream.set_nodelay(true);
                    }),
                    hello,
                )
                .await
            });
            tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await
        })
        .unwrap()
        .unwrap();
}

pub(crate) struct Hello {
    child: Child,
    address: SocketAddr,
}

impl Hello {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(SERVE).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }

    fn request(&self) -> Vec<u8> {
        http_request(&self.address.to_string(), "POST", "/", "", &[b'x'; 600])
    }

    /// Answers a second.
    pub(crate) fn rate(&self, connections: usize, time: Duration) -> f64 {
        let request = self.request();
        let started = Instant::now();
        let done = load::drive(self.address, connections, time, |_| request.clone());
        done as f64 / started.elapsed().as_secs_f64()
    }

    /// Its CPU time each, in µs.
    pub(crate) fn cpu_each(&self, connections: usize, time: Duration) -> f64 {
        let (request, before) = (self.request(), cpu_of(self.child.id()));
        let done = load::drive(self.address, connections, time, |_| request.clone());
        cpu_of(self.child.id()).saturating_sub(before).as_secs_f64() * 1e6 / done as f64
    }

    /// One connection, one call after the other, in ms.
    pub(crate) fn p50(&self, count: usize) -> f64 {
        let mut wire = Wire::agent_plane(self.address).unwrap();
        median((0..count).map(|_| {
            let started = Instant::now();
            wire.send("POST", "/", "", &[b'x'; 600]).unwrap();
            wire.receive().unwrap();
            started.elapsed()
        }))
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
