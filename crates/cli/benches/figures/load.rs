//! A generator that costs little: one thread, connections that are kept, no HTTP library.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use durward_testkit::wire::{Wire, WireAgent, http_answer, http_request};
use nix::time::{ClockId, clock_gettime};
use rand::CryptoRng;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::approver::{Approver, DOMAIN};

/// What came of it, a request.
pub(crate) struct Rate {
    pub(crate) done: u64,
    pub(crate) per_second: f64,
    pub(crate) server_micros: f64,
    pub(crate) generator_micros: f64,
}

/// The middle one, in ms.
pub(crate) fn median(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// One request after the other over one connection; each answer is opened.
pub(crate) fn p50(approver: &Approver, agent: &WireAgent, count: usize, rng: &mut impl CryptoRng) -> f64 {
    let mut wire = Wire::agent_plane(approver.listen).unwrap();
    median((0..count).map(|_| {
        let started = Instant::now();
        let (_, body) = agent.request(DOMAIN, OffsetDateTime::now_utc(), rng).unwrap();
        wire.send("POST", "/credential/request", "", &body).unwrap();
        let verdict = agent.verdict(&wire.receive().unwrap()).unwrap();
        assert!(verdict.credential.password.is_some());
        started.elapsed()
    }))
}

/// A connection for each agent, all at once.
pub(crate) fn run(
    approver: &Approver,
    agents: &[WireAgent],
    time: Duration,
    rng: &mut impl CryptoRng,
) -> Rate {
    let host = approver.listen.to_string();
    let (server, own, started) = (approver.cpu(), thread_cpu(), Instant::now());
    let done = drive(approver.listen, agents.len(), time, |connection| {
        let (_, body) = agents[connection].request(DOMAIN, OffsetDateTime::now_utc(), rng).unwrap();
        http_request(&host, "POST", "/credential/request", "", &body)
    });
    let elapsed = started.elapsed();
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / done as f64;
    Rate {
        done,
        per_second: done as f64 / elapsed.as_secs_f64(),
        server_micros: each(approver.cpu().saturating_sub(server)),
        generator_micros: each(thread_cpu().saturating_sub(own)),
    }
}

/// Keeps the connections busy for `time` with what `next` makes for each. How many answers came.
pub(crate) fn drive(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    next: impl FnMut(usize) -> Vec<u8>,
) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (next, done) = (RefCell::new(next), Cell::new(0));
    let (next, done) = (&next, &done);
    let until = Instant::now() + time;
    runtime.block_on(async {
        let clients = (0..connections).map(|connection| async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut buffer = vec![0; 4_096];
            while Instant::now() < until {
                let request = next.borrow_mut()(connection);
                stream.write_all(&request).await.unwrap();
                let mut filled = 0;
                loop {
                    let read = stream.read(&mut buffer[filled..]).await.unwrap();
                    assert!(read > 0, "the server hung up");
                    filled += read;
                    if let Some((status, head)) = http_answer(&buffer[..filled]) {
                        assert!(status == 200, "{}", String::from_utf8_lossy(&buffer[head..filled]));
                        break;
                    }
                }
                done.set(done.get() + 1);
            }
        });
        futures_util::future::join_all(clients).await;
    });
    done.get()
}

/// CPU time of the calling thread.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}
