//! A thousand connections a plane that crawl: the honest are served meanwhile, and the slow are cut off.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use durward_protocol::{RequestId, Verdict};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::{many_files, report};
use crate::home::{Daemon, Home};
use crate::wire::{Owner, Session, call, post};

const SLOW: usize = 1_000;

/// Honest jobs meanwhile.
const JOBS: usize = 5;

/// How long a connection may outlive its time limit before the test calls it one that is never cut.
const PATIENCE: Duration = Duration::from_mins(2);

#[test]
fn a_thousand_slow_connections_on_each_plane_keep_nobody_waiting() {
    many_files();
    let home = with_limits("header_timeout_seconds = 20\nbody_timeout_seconds = 20\n");
    let mut daemon = home.serve_quietly();
    let before = daemon.resident_kb();
    let mut slow = crawl(&daemon);
    let mut rng = StdRng::seed_from_u64(1);
    for nth in 0..JOBS {
        // A byte here and a byte there: whoever counts idle time only is never done with them.
        for stream in &mut slow {
            let _ = stream.write(b"a");
        }
        honest_job(&home, &daemon, &format!("honest-{nth}"), &mut rng);
    }
    let during = daemon.resident_kb();
    cut_off(slow);
    honest_job(&home, &daemon, "after", &mut StdRng::seed_from_u64(2));
    alive(&mut daemon, &home);
    assert!(during < before + 256 * 1024, "grew from {before} to {during} kB");
    report(&format!(
        "slow connections: {SLOW} a plane, {JOBS} whole jobs meanwhile, memory {before} -> {during} kB"
    ));
}

/// Where fewer connections are taken than crawl, the honest wait until the slow are cut off, and are served.
#[test]
fn more_slow_connections_than_the_server_takes_delay_the_honest_and_lose_nobody() {
    many_files();
    let limits = "max_connections = 300\nheader_timeout_seconds = 1\nbody_timeout_seconds = 1\n";
    let home = with_limits(limits);
    let mut daemon = home.serve_quietly();
    let slow = crawl(&daemon);
    for address in [daemon.listen, daemon.control] {
        assert_eq!(call(address, "GET", "/health", &[], b"").unwrap().status, 200);
    }
    honest_job(&home, &daemon, "honest", &mut StdRng::seed_from_u64(1));
    cut_off(slow);
    alive(&mut daemon, &home);
}

fn with_limits(limits: &str) -> Home {
    let home = Home::with_vault();
    let mut file = std::fs::File::create(home.path("config.toml")).unwrap();
    file.write_all(format!("[limits]\n{limits}").as_bytes()).unwrap();
    home
}

/// Half of them never finish their head, half never their body.
fn crawl(daemon: &Daemon) -> Vec<TcpStream> {
    let open = |address: SocketAddr, path: &str, nth: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nonblocking(true).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n");
        let rest = if nth.is_multiple_of(2) { "x-slow: " } else { "content-length: 60000\r\n\r\n{\"" };
        stream.write_all(format!("{head}{rest}").as_bytes()).unwrap();
        stream
    };
    (0..SLOW)
        .flat_map(|nth| {
            [open(daemon.listen, "/credential/request", nth), open(daemon.control, "/pairings/enter", nth)]
        })
        .collect()
}

/// Each is answered with a refusal, or closed.
fn cut_off(slow: Vec<TcpStream>) {
    for mut stream in slow {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut text = Vec::new();
        let mut buffer = [0; 4_096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => text.extend_from_slice(&buffer[..n]),
                Err(error) => {
                    let hung =
                        matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                    assert!(!hung, "a slow connection is never cut off");
                    break;
                }
            }
        }
        let refused = text.is_empty() || text.starts_with(b"HTTP/1.1 4");
        assert!(refused, "{}", String::from_utf8_lossy(&text));
    }
}

/// A pairing, a request, a yes and a credential.
fn honest_job(home: &Home, daemon: &Daemon, name: &str, rng: &mut StdRng) {
    let owner = Owner::of(home, daemon);
    let session = Session::pair(daemon.listen, &owner, name, rng).unwrap();
    owner.unlock();
    let id = RequestId::random(rng);
    let ask = session.ask(id, "example.com", rng);
    assert_eq!(post(daemon.listen, "/credential/request", 0, &ask).unwrap().status, 202);
    let yes = json!({ "verdict": "approve" });
    assert_eq!(owner.decide(&session.id.to_string(), &id.to_string(), &yes).unwrap().status, 200);
    let ask = session.ask(id, "example.com", rng);
    let answer = post(daemon.listen, "/credential/request", 5, &ask).unwrap();
    assert_eq!(session.opened(&answer).unwrap().status, Verdict::Approved);
}

fn alive(daemon: &mut Daemon, home: &Home) {
    assert!(daemon.process.child.try_wait().unwrap().is_none(), "the approver is gone");
    assert!(!daemon.process.stderr.text().contains("panicked"), "{}", daemon.process.stderr.text());
    home.audit_holds();
}
