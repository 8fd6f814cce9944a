//! Two hundred clients that guess; and what the time of an answer tells.

use std::time::Instant;

use serde_json::{Value, json};

use crate::WRONG;
use crate::client::{Client, fresh_address};
use crate::figures::{mean, median, welch};
use crate::serve::{Served, USERS};

/// Clients that guess at once.
pub(crate) const CLIENTS: usize = 200;
/// Guesses at each name; thirty an hour are answered.
const GUESSES: usize = 6;

pub(crate) struct Memory {
    pub(crate) before: f64,
    pub(crate) most: f64,
}

/// Each guesses twice, half at names that exist.
pub(crate) fn memory() -> Memory {
    let server = Served::ours();
    let address = server.address;
    let before = server.resident_mb();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            std::thread::spawn(move || {
                let mut client = Client::to(address);
                for _ in 0..2 {
                    let from = fresh_address();
                    let knocked = client.knock(from);
                    let name = format!("user{}", n % (2 * USERS));
                    let (status, body) = client.exchange(from, &knocked, &name, WRONG);
                    assert_eq!((status, body["error"].as_str()), (401, Some("invalid_passphrase")), "{body}");
                }
            })
        })
        .collect();
    let mut most = before;
    while clients.iter().any(|client| !client.is_finished()) {
        most = most.max(server.resident_mb());
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    }
    for client in clients {
        client.join().unwrap();
    }
    Memory { before, most }
}

pub(crate) struct Timing {
    unknown: Vec<f64>,
    wrong: Vec<f64>,
}

/// One client, in turn a name that nobody has and a wrong phrase for a name that somebody has.
pub(crate) fn timing() -> Timing {
    let server = Served::ours();
    let mut client = Client::to(server.address);
    let mut timing = Timing { unknown: Vec::new(), wrong: Vec::new() };
    for guess in 0..GUESSES {
        for n in 0..USERS {
            for known in [n % 2 == 0, n % 2 != 0] {
                let from = fresh_address();
                let knocked = client.knock(from);
                let name = if known { format!("user{n}") } else { format!("none{n}") };
                let start = Instant::now();
                let (status, _) = client.exchange(from, &knocked, &name, WRONG);
                let milliseconds = start.elapsed().as_secs_f64() * 1e3;
                assert_eq!(status, 401);
                // The first ones fill caches and tables.
                if guess > 0 {
                    let samples = if known { &mut timing.wrong } else { &mut timing.unknown };
                    samples.push(milliseconds);
                }
            }
        }
    }
    timing
}

impl Timing {
    pub(crate) fn print(&self) {
        println!(
            "| time of a refusal, unknown name beside wrong phrase | mean {:.2}, median {:.2} ms | mean {:.2}, median \
             {:.2} ms | t = {:.2}, {} answers each | no visible difference, |t| below 4.5 |",
            mean(&self.unknown),
            median(&self.unknown),
            mean(&self.wrong),
            median(&self.wrong),
            welch(&self.unknown, &self.wrong),
            self.unknown.len()
        );
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "unknown_mean_ms": mean(&self.unknown), "wrong_mean_ms": mean(&self.wrong),
            "unknown_median_ms": median(&self.unknown), "wrong_median_ms": median(&self.wrong),
            "welch_t": welch(&self.unknown, &self.wrong), "answers_each": self.unknown.len(),
        })
    }
}
