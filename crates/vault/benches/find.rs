//! Finding one item among 2,000, and what an open vault of that size costs beside the key derivation.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark that cannot go on stops; its macros make public items"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use durward_protocol::{Domain, SecretString};
use durward_vault::{BuiltinVault, Item, OpenVault};
use rand::SeedableRng;
use rand::rngs::StdRng;
use time::OffsetDateTime;

fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let vault = BuiltinVault::at(folder.path().join("vault.age")).with_work_factor_for_tests(1);
    let password = SecretString::new("password".to_owned());
    vault.create(&password).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    vault
        .edit(&password, |items| {
            (0..2_000).try_for_each(|number| {
                let mut item = Item::new(format!("Site {number}"));
                item.uris = vec![format!("https://www.site-{number}.example/login")];
                item.username = Some(SecretString::new("ann@example.com".to_owned()));
                item.password = Some(SecretString::new("correct horse battery staple".to_owned()));
                items.add(item, &mut rng, OffsetDateTime::UNIX_EPOCH).map(drop)
            })
        })
        .unwrap();
    let open = vault.open(&password).unwrap();
    let domain = Domain::parse("login.site-1234.example").unwrap();
    assert_eq!(open.find(&domain).unwrap().len(), 1);
    criterion.bench_function("find 1 of 2,000", |bench| bench.iter(|| open.find(black_box(&domain))));
    criterion.bench_function("open 2,000 items, no key derivation", |bench| {
        bench.iter(|| vault.open(black_box(&password)).unwrap());
    });
}

criterion_group!(group, benches);
criterion_main!(group);
