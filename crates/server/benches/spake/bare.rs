//! The libraries without a service around them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use durward_broker::spake::{SessionId, Suite, stretch};
use durward_protocol::SecretString;
use pakery_core::crypto::CpaceGroup;
use pakery_crypto::{P256Group, Spake2P256};
use pakery_spake2::PartyB;
use rand::rngs::SysRng;
use rand_core::UnwrapErr;
use spake2::{Ed25519Group, Identity, Password, Spake2};

use super::load::thread_cpu;

/// CPU microseconds of one side of an exchange.
pub(crate) fn micros(suite: Suite, password: &str, key: &str, time: Duration) -> f64 {
    let key = HEXLOWER.decode(key.as_bytes()).unwrap();
    let secret = SecretString::new(password.to_owned());
    let id: SessionId = "s".parse().unwrap();
    let mut raw = [0; 64];
    if suite == Suite::P256Sha256Raw {
        raw[32..].copy_from_slice(&HEXLOWER.decode(password.as_bytes()).unwrap());
    }
    let once = || match suite {
        Suite::Spake2Ed25519 => ed25519(password.as_bytes(), &key),
        Suite::P256Sha256Raw => p256(&raw, &key),
        Suite::P256Sha256 => p256(stretch(&secret, &id).expose_bytes(), &key),
    };
    let (start, cpu) = (Instant::now(), thread_cpu());
    let mut done = 0_u32;
    while start.elapsed() < time {
        black_box(once());
        done += 1;
    }
    thread_cpu().saturating_sub(cpu).as_secs_f64() * 1e6 / f64::from(done)
}

fn ed25519(password: &[u8], peer: &[u8]) -> Vec<u8> {
    let none = Identity::new(b"");
    let (state, message) = Spake2::<Ed25519Group>::start_b(&Password::new(password), &none, &none);
    black_box(message);
    state.finish(peer).unwrap()
}

fn p256(wide: &[u8; 64], peer: &[u8]) -> Vec<u8> {
    let w = P256Group::scalar_from_wide_bytes(wide).unwrap();
    let (key, state) = PartyB::<Spake2P256>::start(&w, b"", b"", b"", &mut UnwrapErr(SysRng)).unwrap();
    black_box(key);
    state.finish(peer).unwrap().session_key.as_bytes().to_vec()
}
