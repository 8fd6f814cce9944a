//! Each committed corpus file, and mutations of it, through its target: the smoke run of `make fuzz`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use durward_fuzz::TARGETS;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Mutations of each corpus file; `DURWARD_TEST_CASES` asks for more.
fn cases() -> usize {
    std::env::var("DURWARD_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(300)
}

#[test]
fn every_target_takes_its_corpus_and_mutations_of_it() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut files: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 2, "{name} has no corpus");
        let corpus: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
        let mut rng = StdRng::seed_from_u64(1);
        for seed in &corpus {
            target(seed);
            for _ in 0..cases() {
                let mut data = seed.clone();
                for _ in 0..rng.random_range(1..4) {
                    mutate(&mut data, &corpus, &mut rng);
                }
                target(&data);
            }
        }
    }
}

/// A bit, a byte, a cut, a repetition, or a piece of another file.
fn mutate(data: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut StdRng) {
    let at = rng.random_range(0..=data.len());
    match rng.random_range(0..6) {
        0 if at < data.len() => data[at] ^= 1 << rng.random_range(0..8),
        1 if at < data.len() => data[at] = rng.random(),
        2 => data.truncate(at),
        3 => data.insert(at, b"{}[]\",:\\\n0-*\xff"[rng.random_range(0..13)]),
        4 => {
            let piece = data[at..].to_vec();
            data.extend_from_slice(&piece);
            data.truncate(40_000);
        }
        _ => {
            let other = &corpus[rng.random_range(0..corpus.len())];
            let from = rng.random_range(0..=other.len());
            data.truncate(at);
            data.extend_from_slice(&other[from..]);
        }
    }
}
