//! A load generator that costs little: one thread, connections that are kept, no HTTP library.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const CONNECTIONS: usize = 32;

/// No two sessions alike, over all runs.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// What is sent where.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) token: &'a str,
    pub(crate) suite: Option<&'a str>,
    pub(crate) password: &'a str,
    pub(crate) key: &'a str,
}

/// What came of it, an exchange.
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) server_micros: f64,
    pub(crate) generator_micros: f64,
}

impl Rate {
    /// The better of each figure.
    pub(crate) fn best(one: Option<Self>, two: Self) -> Self {
        let Some(one) = one else { return two };
        Self {
            per_second: one.per_second.max(two.per_second),
            server_micros: one.server_micros.min(two.server_micros),
            generator_micros: one.generator_micros.min(two.generator_micros),
        }
    }
}

/// Keeps every connection busy for `time`. `server_cpu` is read before and after; where the server is in this process
/// the generator's own share is taken off.
pub(crate) fn run(load: &Load<'_>, time: Duration, server_cpu: impl Fn() -> Duration) -> Rate {
    let in_process = load.suite.is_some();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, own, start) = (server_cpu(), thread_cpu(), Instant::now());
    let done: u32 = runtime.block_on(async {
        let until = start + time;
        let clients = (0..CONNECTIONS).map(|_| exchanges(*load, until));
        futures_util::future::join_all(clients).await.into_iter().sum()
    });
    let (elapsed, own) = (start.elapsed(), thread_cpu().saturating_sub(own));
    let server =
        server_cpu().saturating_sub(server).saturating_sub(if in_process { own } else { Duration::ZERO });
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / f64::from(done);
    Rate {
        per_second: f64::from(done) / elapsed.as_secs_f64(),
        server_micros: each(server),
        generator_micros: each(own),
    }
}

async fn exchanges(load: Load<'_>, until: Instant) -> u32 {
    let mut stream = connect(load.address).await;
    let mut buffer = vec![0; 4096];
    let suite = load.suite.map_or(String::new(), |suite| format!(r#","suite":"{suite}""#));
    let mut done = 0;
    while Instant::now() < until {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let body = format!(r#"{{"session_id":"{id}","password":"{}"{suite}}}"#, load.password);
        call(&mut stream, &mut buffer, &load, "initiate", &body).await;
        let body = format!(r#"{{"session_id":"{id}","client_public_key":"{}"}}"#, load.key);
        call(&mut stream, &mut buffer, &load, "exchange", &body).await;
        done += 1;
    }
    done
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn call(stream: &mut TcpStream, buffer: &mut [u8], load: &Load<'_>, call: &str, body: &str) {
    let request = format!(
        "POST /spake/{call} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        load.address,
        load.token,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut filled = 0;
    loop {
        let read = stream.read(buffer.get_mut(filled..).unwrap()).await.unwrap();
        assert!(read > 0, "the server hung up");
        filled += read;
        let answer = buffer.get(..filled).unwrap();
        if let Some((length, closes)) = complete(answer) {
            assert_eq!(length, filled, "more than one answer");
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
            if closes {
                *stream = connect(load.address).await;
            }
            return;
        }
    }
}

/// The length of the answer, head and body, and whether the server closes the connection after it (Flask's does), once
/// the body is complete.
fn complete(answer: &[u8]) -> Option<(usize, bool)> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(answer.get(..head)?).unwrap().to_ascii_lowercase();
    let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    let whole = head + length.parse::<usize>().unwrap();
    (answer.len() >= whole).then(|| (whole, text.contains("connection: close")))
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// CPU time of this process: the server's, when it runs here, and the generator's.
pub(crate) fn own_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}
