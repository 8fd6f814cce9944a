//! One piece of work and nothing around it, for a profiler or a clock.
//!
//! ```text
//! measure derive ITERATIONS [MEMORY_MIB LANES]   prints the milliseconds: the floor that `unlock` is held against
//! measure get FOLDER TERM                        one password of a data folder, with BW_SESSION
//! measure list FOLDER                            all items
//! ```
//!
//! With the feature `default-allocator` nothing is zeroed when it is freed (docs/adr/0021).
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "an example prints, and stops at a wrong word"
)]

use std::time::Instant;

use durward_bitwarden::Vault;
use durward_bitwarden::crypto::{Kdf, MasterKey, SessionKey};
use durward_bitwarden::items::{ItemFilter, Wanted};
use durward_bitwarden::state::DataFolder;
use secrecy::SecretString;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["derive", numbers @ ..] => derive(numbers),
        ["get", folder, term] => open(folder, |vault| {
            let item = vault.item(term, Wanted::Password).expect("one item");
            assert!(item.login.is_some_and(|login| login.password.is_some()));
        }),
        ["list", folder] => open(folder, |vault| println!("{}", vault.items(&ItemFilter::default()).len())),
        _ => panic!("measure derive ITERATIONS [MEMORY_MIB LANES] | get FOLDER TERM | list FOLDER"),
    }
}

fn derive(numbers: &[&str]) {
    let number = |at: usize| numbers.get(at).map(|n| n.parse::<u64>().expect("a number"));
    let kind = u64::from(number(1).is_some());
    let kdf =
        Kdf::new(kind, number(0).unwrap_or(600_000), number(1), number(2)).expect("an allowed derivation");
    let password = SecretString::from("correct horse battery staple");
    let started = Instant::now();
    let key = MasterKey::derive(&password, "test.user@example.com", kdf).expect("derives");
    println!("{:.3}", started.elapsed().as_secs_f64() * 1e3);
    drop(key);
}

fn open(folder: &str, work: impl FnOnce(&Vault<'_>)) {
    let session = SecretString::from(std::env::var("BW_SESSION").expect("BW_SESSION"));
    let session = SessionKey::parse(&session).expect("a session key");
    let document = DataFolder::open(folder).and_then(|(folder, _)| folder.read()).expect("a data folder");
    work(&Vault::with_session(&document, &session).expect("an unlocked vault"));
}
