//! How many passphrase logins a second, and how long one takes.

use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde_json::{Value, json};

use crate::client::{Client, fresh_address};
use crate::figures::{median, quantile};
use crate::serve::Served;

const CLIENTS: usize = 4;

pub(crate) struct Login {
    bare: Vec<f64>,
    rates: Vec<f64>,
    /// Milliseconds of the exchange, all rounds.
    latencies: Vec<f64>,
}

pub(crate) fn measure(time: Duration, rounds: u64) -> Login {
    let server = Served::ours();
    // The first login enrols the account for OPAQUE beside its answer.
    let _ = logins(&server, time);
    let mut result = Login { bare: Vec::new(), rates: Vec::new(), latencies: Vec::new() };
    for _ in 0..rounds {
        result.bare.push(bare(2 * time));
        let start = Instant::now();
        let latencies = logins(&server, 2 * time);
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        result.rates.push(latencies.len() as f64 / start.elapsed().as_secs_f64());
        result.latencies.extend(latencies);
    }
    result
}

/// Hashes a second on as many threads as cores, each over memory that it keeps.
fn bare(time: Duration) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    let threads: Vec<_> = (0..cores)
        .map(|_| {
            std::thread::spawn(move || {
                let params = Params::new(19 * 1024, 2, 1, Some(32)).unwrap();
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let mut memory = vec![Block::new(); 19 * 1024];
                let (mut done, mut output) = (0_u32, [0; 32]);
                while start.elapsed() < time {
                    let phrase = crate::PHRASE.as_bytes();
                    argon2
                        .hash_password_into_with_memory(phrase, b"sixteen bytes ..", &mut output, &mut memory)
                        .unwrap();
                    done += 1;
                }
                done
            })
        })
        .collect();
    let done: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    f64::from(done) / start.elapsed().as_secs_f64()
}

/// Milliseconds of each exchange of four clients that knock and log in, over and over.
fn logins(server: &Served, time: Duration) -> Vec<f64> {
    let (address, until) = (server.address, Instant::now() + time);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            std::thread::spawn(move || {
                let (mut client, mut latencies) = (Client::to(address), Vec::new());
                while Instant::now() < until {
                    let from = fresh_address();
                    let knocked = client.knock(from);
                    let start = Instant::now();
                    let (status, body) = client.exchange(from, &knocked, &format!("user{n}"), crate::PHRASE);
                    latencies.push(start.elapsed().as_secs_f64() * 1e3);
                    assert_eq!(status, 200, "{body}");
                }
                latencies
            })
        })
        .collect();
    clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
}

impl Login {
    fn ratio(&self) -> f64 {
        median(&self.rates.iter().zip(&self.bare).map(|(ours, bare)| ours / bare).collect::<Vec<_>>())
    }

    fn percentiles(&self) -> (f64, f64) {
        (median(&self.latencies), quantile(&self.latencies, 0.99))
    }

    pub(crate) fn print(&self) {
        let (p50, p99) = self.percentiles();
        println!(
            "| passphrase logins a second, {CLIENTS} clients | {:.1} | bare Argon2id {:.1} | {:.0} % | at least 85 % |",
            median(&self.rates),
            median(&self.bare),
            100.0 * self.ratio()
        );
        println!(
            "| time of an exchange, {CLIENTS} clients | p99 {p99:.0} ms | p50 {p50:.0} ms | {:.1} times | below 3 times |",
            p99 / p50
        );
    }

    pub(crate) fn json(&self) -> Value {
        let (p50, p99) = self.percentiles();
        json!({
            "per_second": median(&self.rates), "bare_per_second": median(&self.bare), "of_bare": self.ratio(),
            "clients": CLIENTS, "p50_ms": p50, "p99_ms": p99, "p99_of_p50": p99 / p50,
            "logins": self.latencies.len(),
        })
    }
}
