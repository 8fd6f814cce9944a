//! Costs of the account domain alone: key check, ladder step, Argon2id with reused and with fresh memory.

#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a bench may stop at the first surprise

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use durward_broker::accounts::{
    Arena, CanonicalPhrase, Device, DeviceId, DeviceKey, DeviceKeyRecord, DeviceType, HashCost, KeyHash,
    LadderRows, PhraseHash, attempt, check_key, succeed,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use time::macros::datetime;

fn keys(c: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(1);
    let now = datetime!(2026-01-19 07:10 UTC);
    let device = Device { kind: DeviceType::Terminal, name: "bench".parse().unwrap(), fingerprint: None };
    let key = DeviceKey::generate(DeviceType::Terminal, &mut rng);
    let record = DeviceKeyRecord {
        device_id: DeviceId::stem(&device, now),
        user_id: "alan".parse().unwrap(),
        api_key_hash: key.hash(),
        api_key_prefix: key.prefix(),
        device,
        issued_at: now,
        last_used: Some(now),
        expires_at: None,
        revoked_at: None,
        previous_key_hash: None,
        previous_valid_until: None,
        legacy: false,
    };
    c.bench_function("key: hash the presented text and check the record", |b| {
        b.iter(|| {
            let hash = KeyHash::of_presented(black_box(key.expose_key())).unwrap();
            check_key(Some(&record), &hash, now).unwrap()
        });
    });
    c.bench_function("key: generate", |b| b.iter(|| DeviceKey::generate(DeviceType::Terminal, &mut rng)));
    c.bench_function("ladder: attempt and success", |b| {
        b.iter(|| {
            let (rows, verdict) = attempt(black_box(LadderRows::default()), false, now);
            (succeed(rows, now), verdict)
        });
    });
}

fn argon2(c: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(2);
    let typed = "I remember what I have learned from you.".to_owned().into();
    c.bench_function("phrase: canonical form", |b| b.iter(|| CanonicalPhrase::new(black_box(&typed))));
    let phrase = CanonicalPhrase::new(&typed);
    let mut arena = Arena::new();
    let hash = PhraseHash::create(&phrase, HashCost::DEFAULT, &mut arena, &mut rng).unwrap();
    let mut group = c.benchmark_group("argon2id 19 MiB, t=2");
    group.sample_size(20);
    group.bench_function("reused memory", |b| b.iter(|| hash.verify(&phrase, &mut arena).unwrap()));
    group.bench_function("fresh memory", |b| b.iter(|| hash.verify(&phrase, &mut Arena::new()).unwrap()));
    group.finish();
}

criterion_group!(benches, keys, argon2);
criterion_main!(benches);
