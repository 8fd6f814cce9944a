//! One side of an exchange: the libraries bare, and the service around them.
//!
//! "bare" is our key pair and the shared key from one good message, as a library's example would do it. "service" is
//! initiate, exchange and cleanup: JSON in, checks, table, both confirmations, JSON out.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros make functions; a bench may panic")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use durward_broker::spake::{
    ExchangeRequest, InitiateRequest, Limits, SessionId, Sessions, Suite, WideScalar, stretch,
};
use durward_protocol::SecretString;
use pakery_core::crypto::CpaceGroup;
use pakery_crypto::{P256Group, Spake2P256};
use pakery_spake2::PartyB;
use rand::rngs::SysRng;
use rand_core::UnwrapErr;
use serde_json::json;
use spake2::{Ed25519Group, Identity, Password, Spake2};
use time::OffsetDateTime;

const KEY_P256: &str = "04a56fa807caaa53a4d28dbb9853b9815c61a411118a6fe516a8798434751470f9010153ac33d0d5f2047ffdb1a3e42c9b4e6be662766e1eeb4116988ede5f912c";
const KEY_ED25519: &str = "41262d0f891ddc5697075c089ad722c1b8bbb643aa50218db38f59fe4cce961f85";
const W: &str = "2ee57912099d31560b3a44b1184b9b4866e904c49d12ac5042c97dca461b1a5f";

fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn bare_ed25519(peer: &[u8]) -> Vec<u8> {
    let none = Identity::new(b"");
    let (state, message) = Spake2::<Ed25519Group>::start_b(&Password::new(b"847293"), &none, &none);
    black_box(message);
    state.finish(peer).unwrap()
}

fn bare_p256(wide: &[u8; 64], peer: &[u8]) -> Vec<u8> {
    let w = P256Group::scalar_from_wide_bytes(wide).unwrap();
    let (key, state) = PartyB::<Spake2P256>::start(&w, b"", b"", b"", &mut UnwrapErr(SysRng)).unwrap();
    black_box(key);
    state.finish(peer).unwrap().session_key.as_bytes().to_vec()
}

fn service(sessions: &mut Sessions, suite: Suite, password: &str, key: &str) -> usize {
    let now = OffsetDateTime::UNIX_EPOCH;
    let initiate = json!({"session_id": "s", "password": password, "suite": suite.name()}).to_string();
    let initiate = InitiateRequest::from_json(initiate.as_bytes()).unwrap();
    let started = sessions.initiate(initiate, now, &mut UnwrapErr(SysRng)).unwrap();
    let exchange = json!({"session_id": "s", "client_public_key": key}).to_string();
    let exchange = ExchangeRequest::from_json(exchange.as_bytes()).unwrap();
    let done = sessions.exchange(exchange, now).unwrap();
    let cleaned = sessions.cleanup(&started.session_id, now).unwrap();
    [json!(started), json!(done), json!(cleaned)].iter().map(|answer| answer.to_string().len()).sum()
}

fn benches(criterion: &mut Criterion) {
    let mut sessions = Sessions::new(Limits::default());
    let mut group = criterion.benchmark_group("spake2-ed25519");
    let peer = unhex(KEY_ED25519);
    group.bench_function("bare", |bencher| bencher.iter(|| bare_ed25519(black_box(&peer))));
    group.bench_function("service", |bencher| {
        bencher.iter(|| service(&mut sessions, Suite::Spake2Ed25519, "847293", KEY_ED25519));
    });
    group.finish();

    let mut group = criterion.benchmark_group("p256-sha256-raw");
    let peer = unhex(KEY_P256);
    let mut wide = [0; 64];
    wide[32..].copy_from_slice(&unhex(W));
    group.bench_function("bare", |bencher| bencher.iter(|| bare_p256(black_box(&wide), &peer)));
    group.bench_function("service", |bencher| {
        bencher.iter(|| service(&mut sessions, Suite::P256Sha256Raw, W, KEY_P256));
    });
    group.finish();

    let mut group = criterion.benchmark_group("p256-sha256");
    group.sample_size(20);
    let (password, id): (SecretString, SessionId) = ("847293".to_owned().into(), "s".parse().unwrap());
    let stretched = || -> WideScalar { stretch(black_box(&password), &id) };
    group.bench_function("stretch", |bencher| bencher.iter(stretched));
    group.bench_function("bare", |bencher| bencher.iter(|| bare_p256(stretched().expose_bytes(), &peer)));
    group.bench_function("service", |bencher| {
        bencher.iter(|| service(&mut sessions, Suite::P256Sha256, "847293", KEY_P256));
    });
    group.finish();
}

criterion_group!(spake, benches);
criterion_main!(spake);
