//! Conditions that nobody chose: a network that cuts, repeats and reorders, peers that crawl, requests that
//! mean nothing, and a million that mean something.

mod everything;
mod line;
mod network;
mod proxy;
mod schema;
mod slow;
mod soak;

use std::io::Write as _;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A number that the environment may give.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// The seed of a test, for others `DURWARD_TEST_SEED`.
fn seed() -> u64 {
    number("DURWARD_TEST_SEED", 1)
}

/// One line that a successful run shows, too: the seed, and what was measured.
fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Lets this process, and those it starts, hold thousands of connections.
fn many_files() {
    const ENOUGH: u64 = 8_192;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if soft < ENOUGH {
        assert!(hard >= ENOUGH, "this test needs a limit of {ENOUGH} open files; the hard limit is {hard}");
        setrlimit(Resource::RLIMIT_NOFILE, ENOUGH, hard).unwrap();
    }
}
