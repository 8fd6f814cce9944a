//! What an owner and an agent wait for, measured on the real binary: pairing, requests, start-up, memory, idleness.
//!
//! ```text
//! cargo bench -p durward --bench figures [-- --seconds 5 --requests 100000 --json FILE --spake FILE --only bw]
//! ```
//!
//! The approver is `durward serve` as a process of its own; the generator shares the machine with it. "floor" is what
//! the machine itself costs in the same run: an axum server that says hello, a process that does nothing. With
//! `--spake FILE` the rows of the SPAKE bench's JSON are put into the same table.
#![cfg(unix)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench prints, waits, reads the clock and may panic"
)]

mod approver;
#[cfg(feature = "bitwarden")]
mod bitwarden;
mod floor;
mod library;
mod load;
mod memory;
mod process;
mod table;

use std::time::Duration;

use approver::Approver;
use table::Table;

/// Sessions of the throughput figure.
const SESSIONS: usize = 32;

/// Pairings, requests one after the other, and starts of a process that are measured.
const SAMPLES: usize = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|word| word == floor::SERVE) {
        return floor::serve();
    }
    #[cfg(feature = "bitwarden")]
    if arguments.get(1).is_some_and(|word| word == bitwarden::PEAK) {
        return bitwarden::peak_of(arguments.get(2..).unwrap_or_default());
    }
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{flag} takes a value")).clone())
    };
    let number = |flag: &str, otherwise: u64| value(flag).map_or(otherwise, |n| n.parse().expect("a number"));
    let time = Duration::from_secs(number("--seconds", 5));
    let requests = usize::try_from(number("--requests", 100_000)).unwrap();

    let mut table = Table::default();
    #[cfg(feature = "bitwarden")]
    if value("--only").as_deref() == Some("bw") {
        bitwarden::figures(&mut table);
        return table.print();
    }
    memory::idle(&mut table);
    process::starts(&mut table);

    let approver = Approver::start();
    let mut rng = rand::rng();
    let agents = approver.pair(SESSIONS, &mut rng);
    approver.unlock();
    for agent in &agents {
        approver.grant(agent, &mut rng);
    }
    let hello = floor::Hello::start();
    table.put("axum hello, 32 connections", None, hello.rate(SESSIONS, time), "1/s", None);
    let floor_p50 = hello.p50(SAMPLES * 10);
    table.put("axum hello, one connection, p50", None, floor_p50, "ms", None);

    library::pairing(&approver, &mut table);
    let library = library::Library::new(&approver);
    let first = library.p50(SAMPLES * 5);
    let raw = load::p50(&approver, &agents[0], SAMPLES * 5, &mut rng);
    let before = approver.uses();
    let rate = load::run(&approver, &agents, time, &mut rng);
    let hello_cpu = hello.cpu_each(SESSIONS, time);
    let counted = approver.uses() - before;
    assert_eq!(counted, rate.done, "every answered request is counted by its grant");
    library.ask(requests.saturating_sub(library.asked()), SESSIONS);
    let late = library.p50(SAMPLES * 5);
    table.put("request under a grant, library, p50", Some(0.20), first, "ms", Some(first / floor_p50));
    table.put("the same after 100,000 in its session", Some(0.20), late, "ms", Some(late / first));
    table.put("request under a grant, bare HTTP, p50", None, raw, "ms", Some(raw / floor_p50));
    table.put("requests/s, 32 sessions", Some(12_000.0), rate.per_second, "1/s", None);
    table.put(
        "approver CPU each",
        Some(40.0),
        rate.server_micros,
        "µs",
        Some(rate.server_micros / hello_cpu),
    );
    table.put("axum hello CPU each", None, hello_cpu, "µs", None);
    table.put("generator CPU each", None, rate.generator_micros, "µs", None);
    approver.verify();

    process::request(&approver, &mut table);
    drop(approver);
    memory::sessions_and_waiting(&mut table);
    #[cfg(feature = "bitwarden")]
    bitwarden::figures(&mut table);

    if let Some(path) = value("--spake") {
        table.read_spake(&path);
    }
    table.print();
    if let Some(path) = value("--json") {
        std::fs::write(&path, table.json()).unwrap();
        println!("\nalso in {path}");
    }
}
