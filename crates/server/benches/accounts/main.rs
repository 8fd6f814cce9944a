//! Accounts over HTTP, beside the bare work in the same run.
//!
//! ```text
//! cargo bench -p durward-server --bench accounts [-- --seconds 2 --rounds 3]
//! ```
//!
//! Four questions: how many keys a second are verified, beside plain axum with SHA-256 and a `HashMap`, for a server
//! that owns its SQLite file and for one on PostgreSQL; how many passphrase logins a second, beside bare Argon2id, and
//! how long one takes with four clients; how much memory while two hundred clients guess; whether an unknown name can
//! be told from a wrong phrase by the time the answer takes. Each server is a process of its own (this program again);
//! generator and servers share the machine. Rounds alternate between the candidates, and each ratio is the median of
//! the rounds' ratios: a busy machine slows both sides. PostgreSQL is the one of `TEST_DATABASE_URL`, else the one on
//! 127.0.0.1:5432; without one that line says so. At the end stands everything once more as one line of JSON.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench prints and may panic"
)]
#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]

mod client;
mod figures;
mod guess;
mod login;
mod serve;
mod verify;

use std::time::Duration;

use serde_json::json;

/// The phrase of every account here.
pub(crate) const PHRASE: &str = "I remember what I have learned from you.";
pub(crate) const WRONG: &str = "I forgot all that you have ever said.";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).cloned()
    };
    if let Some(what) = after("--child") {
        return serve::child(&what, after("--database-url"));
    }
    let number = |flag, otherwise| after(flag).map_or(otherwise, |text| text.parse().expect("a number"));
    let time = Duration::from_secs(number("--seconds", 2));
    let rounds = number("--rounds", 3);

    let verify = verify::measure(time, rounds);
    let login = login::measure(time, rounds);
    let guess = guess::memory();
    let timing = guess::timing();

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    println!("\n{cores} cores, load average {load} at the end, {rounds} rounds of {time:?}\n");
    println!("| what | measured | beside it | ratio | goal |\n| --- | --- | --- | --- | --- |");
    verify.print();
    login.print();
    println!(
        "| memory, 200 clients guessing | {:.0} MB at most | {:.0} MB before | | below 100 MB |",
        guess.most, guess.before
    );
    timing.print();
    println!(
        "\n{}",
        json!({
            "cores": cores, "load_average": load, "verify": verify.json(), "login": login.json(),
            "memory": { "most_mb": guess.most, "before_mb": guess.before, "guesses": guess::CLIENTS },
            "timing": timing.json(),
        })
    );
}
