//! How many keys a second are verified.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Client, complete, fresh_address, status};
use crate::figures::median;
use crate::serve::{PLAIN_KEY, Schema, Served};

const CONNECTIONS: usize = 32;

/// Verifications a second and processor microseconds of the server for one, a round.
#[derive(Default)]
struct Rounds {
    rates: Vec<f64>,
    micros: Vec<f64>,
}

pub(crate) struct Verify {
    plain: Rounds,
    ours: Rounds,
    postgres: Option<Rounds>,
}

pub(crate) fn measure(time: Duration, rounds: u64) -> Verify {
    let schema = Schema::new();
    let (plain, ours) = (Served::plain(), Served::ours());
    let postgres = schema.as_ref().map(|schema| Served::on_postgres(&schema.url()));
    let key = key_of(&ours);
    let postgres_key = postgres.as_ref().map(key_of).unwrap_or_default();
    let mut result = Verify {
        plain: Rounds::default(),
        ours: Rounds::default(),
        postgres: postgres.is_some().then(Rounds::default),
    };
    for round in 0..=rounds {
        // The first round only warms up.
        let mut throw_away = Rounds::default();
        let mut run = |rounds: &mut Rounds, server: &Served, key: &str| {
            let into = if round == 0 { &mut throw_away } else { rounds };
            load(into, server, key, time);
        };
        run(&mut result.plain, &plain, PLAIN_KEY);
        run(&mut result.ours, &ours, &key);
        if let (Some(rounds), Some(server)) = (&mut result.postgres, &postgres) {
            run(rounds, server, &postgres_key);
        }
    }
    result
}

fn key_of(server: &Served) -> String {
    let (mut client, from) = (Client::to(server.address), fresh_address());
    let knocked = client.knock(from);
    let (status, body) = client.exchange(from, &knocked, "user0", crate::PHRASE);
    assert_eq!(status, 200, "{body}");
    body["api_key"].as_str().unwrap().to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn load(into: &mut Rounds, server: &Served, key: &str, time: Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (cpu, start) = (server.cpu(), Instant::now());
    let done: u64 = runtime.block_on(async {
        let clients = (0..CONNECTIONS).map(|_| verifications(server.address, key, start + time));
        futures_util::future::join_all(clients).await.into_iter().sum()
    });
    let elapsed = start.elapsed();
    into.rates.push(done as f64 / elapsed.as_secs_f64());
    into.micros.push(server.cpu().saturating_sub(cpu).as_secs_f64() * 1e6 / done as f64);
}

async fn verifications(address: SocketAddr, key: &str, until: Instant) -> u64 {
    let request = format!("GET /auth/verify HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\n\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut buffer, mut done) = ([0; 2048], 0);
    while Instant::now() < until {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut filled = 0;
        loop {
            let read = stream.read(buffer.get_mut(filled..).unwrap()).await.unwrap();
            assert!(read > 0, "the server hung up");
            filled += read;
            let answer = buffer.get(..filled).unwrap();
            if complete(answer).is_some() {
                assert_eq!(status(answer), 200, "{}", String::from_utf8_lossy(answer));
                break;
            }
        }
        done += 1;
    }
    done
}

impl Verify {
    /// Medians over the rounds: rate against rate, and plain's processor time against ours.
    fn ratios(&self, rounds: &Rounds) -> (f64, f64) {
        let of = |one: &[f64], two: &[f64]| {
            median(&one.iter().zip(two).map(|(one, two)| one / two).collect::<Vec<_>>())
        };
        (of(&rounds.rates, &self.plain.rates), of(&self.plain.micros, &rounds.micros))
    }

    fn rows(&self) -> Vec<(&'static str, &Rounds, &'static str)> {
        let mut rows = vec![("keys verified a second, own SQLite file", &self.ours, "at least 85 %")];
        rows.extend(
            self.postgres
                .as_ref()
                .map(|rounds| ("keys verified a second, shared PostgreSQL", rounds, "none")),
        );
        rows
    }

    pub(crate) fn print(&self) {
        let plain = (median(&self.plain.rates), median(&self.plain.micros));
        for (name, rounds, goal) in self.rows() {
            let (rate, cpu) = self.ratios(rounds);
            println!(
                "| {name} | {:.0}, {:.1} µs CPU | {:.0}, {:.1} µs CPU | {:.0} % of the rate, {:.0} % by CPU | {goal} |",
                median(&rounds.rates),
                median(&rounds.micros),
                plain.0,
                plain.1,
                100.0 * rate,
                100.0 * cpu
            );
        }
        if self.postgres.is_none() {
            println!("| keys verified a second, shared PostgreSQL | no PostgreSQL answers here | | | none |");
        }
    }

    pub(crate) fn json(&self) -> Value {
        let of = |rounds: &Rounds| {
            let (rate, cpu) = self.ratios(rounds);
            json!({
                "per_second": median(&rounds.rates), "server_cpu_micros": median(&rounds.micros),
                "rate_of_plain": rate, "cpu_of_plain": cpu,
            })
        };
        json!({ "plain": of(&self.plain), "sqlite": of(&self.ours), "postgres": self.postgres.as_ref().map(of) })
    }
}
