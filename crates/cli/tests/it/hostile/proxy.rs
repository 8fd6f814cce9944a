//! A network between agents and their approver: it delays, cuts, repeats and reorders, and forges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Nothing.
    Pass,
    /// Call and answer arrive in pieces.
    Pieces,
    /// It arrives late.
    Late,
    /// It arrives after a call that was sent later.
    Overtaken,
    /// It arrives twice at once, on two connections.
    Twice,
    /// It arrives, and once more some seconds later, after calls that were sent after it.
    Again,
    /// It never arrives.
    Lost,
    /// A part of it arrives.
    CutCall,
    /// It arrives, and the connection breaks while its answer is awaited.
    CutWait,
    /// It is answered, and the answer is lost.
    LostAnswer,
    /// A part of the answer arrives.
    CutAnswer,
}

/// Most calls pass, so that stories come to their end; of three tries one in a hundred fails three times.
const FATES: [(Fate, u32); 11] = [
    (Fate::Pass, 34),
    (Fate::Pieces, 10),
    (Fate::Late, 10),
    (Fate::Overtaken, 10),
    (Fate::Twice, 7),
    (Fate::Again, 7),
    (Fate::Lost, 5),
    (Fate::CutCall, 4),
    (Fate::CutWait, 4),
    (Fate::LostAnswer, 5),
    (Fate::CutAnswer, 4),
];

/// How long an answer may take before the network calls it a hang: longer than agents ask for.
const PATIENCE: Duration = Duration::from_mins(1);

/// What crossed the network.
#[derive(Default)]
pub(super) struct Seen {
    /// Session and sealed verdict, of every answer to a request, also of those that no agent received.
    pub(super) verdicts: BTreeSet<(String, String)>,
    /// Calls by their fate.
    fates: BTreeMap<Fate, usize>,
    /// Answers that held the needle.
    pub(super) leaks: usize,
    /// Answers of the server by status.
    pub(super) statuses: BTreeMap<u16, usize>,
    /// Calls that the server neither answered nor refused in time.
    pub(super) hangs: usize,
}

/// The network.
pub(super) struct Network {
    server: SocketAddr,
    needle: &'static str,
    calm: AtomicBool,
    rng: Mutex<StdRng>,
    passed: Notify,
    pub(super) seen: Mutex<Seen>,
}

impl Network {
    /// Stands in front of `server`; the address where it listens. No byte of `needle` may cross it.
    pub(super) async fn before(
        server: SocketAddr,
        needle: &'static str,
        seed: u64,
    ) -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let network = Arc::new(Self {
            server,
            needle,
            calm: AtomicBool::new(false),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            passed: Notify::new(),
            seen: Mutex::default(),
        });
        let accepting = Arc::clone(&network);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&accepting)));
            }
        });
        (network, address)
    }

    /// From now on everything passes.
    pub(super) fn calm(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    /// Calls that crossed, and how many of them suffered what.
    pub(super) fn summary(&self) -> (usize, String) {
        let seen = self.seen.lock().unwrap();
        let words: Vec<String> = seen.fates.iter().map(|(fate, n)| format!("{fate:?} {n}")).collect();
        (seen.fates.values().sum(), words.join(", "))
    }

    fn fate(&self) -> Fate {
        let fate = if self.calm.load(Ordering::SeqCst) {
            Fate::Pass
        } else {
            let mut at = self.below(FATES.iter().map(|(_, weight)| weight).sum());
            let found = FATES.iter().find(|(_, weight)| {
                let here = at < *weight;
                at = at.saturating_sub(*weight);
                here
            });
            found.map_or(Fate::Pass, |(fate, _)| *fate)
        };
        *self.seen.lock().unwrap().fates.entry(fate).or_default() += 1;
        fate
    }

    fn below(&self, bound: u32) -> u32 {
        self.rng.lock().unwrap().random_range(0..bound.max(1))
    }

    async fn pause(&self, at_most_millis: u32) {
        let millis = self.below(at_most_millis);
        tokio::time::sleep(Duration::from_millis(millis.into())).await;
    }

    /// What the caller gets, and whether the connection ends there.
    async fn carry(self: &Arc<Self>, call: Vec<u8>) -> (Vec<u8>, bool) {
        let nothing = (Vec::new(), true);
        let fate = self.fate();
        match fate {
            Fate::Pass | Fate::Pieces | Fate::LostAnswer | Fate::CutAnswer => {}
            Fate::Late => self.pause(800).await,
            Fate::Overtaken => {
                let _ = tokio::time::timeout(Duration::from_secs(1), self.passed.notified()).await;
            }
            Fate::Twice | Fate::Again => {
                let (network, call) = (Arc::clone(self), call.clone());
                tokio::spawn(async move {
                    if fate == Fate::Again {
                        network.pause(3_000).await;
                    }
                    network.exchange(&call, false).await;
                });
            }
            Fate::Lost => return nothing,
            Fate::CutCall => {
                if let Ok(mut server) = TcpStream::connect(self.server).await {
                    let part = self.below(u32::try_from(call.len()).unwrap_or(u32::MAX)) as usize;
                    let _ = server.write_all(&call[..part.min(call.len())]).await;
                }
                return nothing;
            }
            Fate::CutWait => {
                if let Ok(mut server) = TcpStream::connect(self.server).await {
                    let _ = server.write_all(&call).await;
                    self.pause(300).await;
                }
                return nothing;
            }
        }
        let Some(mut answer) = self.exchange(&call, fate == Fate::Pieces).await else { return nothing };
        self.passed.notify_waiters();
        match fate {
            Fate::LostAnswer => nothing,
            Fate::CutAnswer => {
                answer.truncate(self.below(u32::try_from(answer.len()).unwrap_or(u32::MAX)) as usize);
                (answer, true)
            }
            _ => (answer, false),
        }
    }

    /// The call on a connection of its own, and its answer.
    async fn exchange(&self, call: &[u8], in_pieces: bool) -> Option<Vec<u8>> {
        let mut server = TcpStream::connect(self.server).await.ok()?;
        server.set_nodelay(true).ok()?;
        if in_pieces {
            let mut rest = call;
            while !rest.is_empty() {
                let piece = (1 + self.below(200) as usize).min(rest.len());
                server.write_all(&rest[..piece]).await.ok()?;
                rest = &rest[piece..];
                self.pause(30).await;
            }
        } else {
            server.write_all(call).await.ok()?;
        }
        let mut buffer = Vec::new();
        let answer = tokio::time::timeout(PATIENCE, read_message(&mut server, &mut buffer)).await;
        let Ok(answer) = answer else {
            self.seen.lock().unwrap().hangs += 1;
            return None;
        };
        let answer = answer?;
        self.note(call, &answer);
        Some(answer)
    }

    fn note(&self, call: &[u8], answer: &[u8]) {
        let status = answer.get(9..12).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let (asked, answered) = (body(call), body(answer));
        let needle = self.needle.as_bytes();
        let leaks = [call, answer].iter().any(|bytes| bytes.windows(needle.len()).any(|part| part == needle));
        let mut seen = self.seen.lock().unwrap();
        *seen.statuses.entry(status.unwrap_or(0)).or_default() += 1;
        seen.leaks += usize::from(leaks);
        if answered["status"] == "answered"
            && let (Some(session), Some(payload)) =
                (asked["session_id"].as_str(), answered["encrypted_payload"].as_str())
        {
            seen.verdicts.insert((session.to_owned(), payload.to_owned()));
        }
    }
}

async fn serve(mut client: TcpStream, network: Arc<Network>) {
    let mut buffer = Vec::new();
    while let Some(call) = read_message(&mut client, &mut buffer).await {
        let (answer, ends) = network.carry(for_server(&call, network.server)).await;
        if client.write_all(&answer).await.is_err() || ends {
            return;
        }
    }
}

/// One call from outside the network, for who stands beside it.
pub(super) async fn direct(server: SocketAddr, call: &[u8]) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    stream.write_all(call).await.ok()?;
    let answer = read_message(&mut stream, &mut Vec::new()).await?;
    let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
    Some((status, body(&answer)))
}

/// The next whole message; what follows it stays in the buffer.
async fn read_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(length) = whole(buffer) {
            let rest = buffer.split_off(length);
            return Some(std::mem::replace(buffer, rest));
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The length of the first message, if all of it is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let end = head_end(bytes)?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    (bytes.len() >= end + length).then_some(end + length)
}

fn body(message: &[u8]) -> Value {
    let start = head_end(message).unwrap_or(message.len());
    serde_json::from_slice(&message[start..]).unwrap_or(Value::Null)
}

/// The server takes calls that name its own port.
fn for_server(call: &[u8], server: SocketAddr) -> Vec<u8> {
    let end = head_end(call).unwrap_or(call.len());
    let head = String::from_utf8_lossy(&call[..end]);
    let mut bytes: Vec<u8> = head
        .split_inclusive("\r\n")
        .map(|line| {
            if line.to_lowercase().starts_with("host:") {
                format!("host: {server}\r\n")
            } else {
                line.to_owned()
            }
        })
        .collect::<String>()
        .into_bytes();
    bytes.extend_from_slice(&call[end..]);
    bytes
}
