//! Batches a second at 1, 32 and 256 submitters, and the CPU each batch costs.
//!
//! A batch is what the release of a credential writes: session, request, nonce, audit record, grant.
//! `cargo bench -p durward-store`; with `BENCH_DATABASE_URL` set, on that PostgreSQL database.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, clippy::cast_precision_loss)]

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use durward_broker::approval::{
    Actor, AuditEntry, AuditEvent, GrantRecord, NonceRecord, RequestRecord, SessionRecord,
    StoredRequestState, Write,
};
use durward_protocol::{AgentId, AgentName, Domain, Field, GrantId, Nonce, RequestId, Scope, SessionId};
use durward_store::{Durability, Store};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use time::OffsetDateTime;

const NOW: OffsetDateTime = time::macros::datetime!(2026-11-22 01:00 UTC);

/// Sixteen bytes that look random, as the broker's are.
fn id(n: u64) -> [u8; 16] {
    let mixed = |n: u64| (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mixed(mixed(n + 1)).to_be_bytes());
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    bytes
}

fn batch(n: u64) -> Vec<Write> {
    let session_id = SessionId::from_bytes(id(n % 1_000));
    let domain = Domain::parse("login.example.com").unwrap();
    let fields = vec![Field::Username, Field::Password];
    let mut entry = AuditEntry::new(NOW, AuditEvent::CredentialReleased, Actor::Grant).outcome("released");
    entry.session_id = Some(session_id);
    entry.request_id = Some(RequestId::from_bytes(id(n)));
    entry.domain = Some(domain.clone());
    entry.agent_id = Some(AgentId::parse("flight-booking-001").unwrap());
    entry.fields.clone_from(&fields);
    vec![
        Write::Session(SessionRecord {
            id: session_id,
            agent_id: AgentId::parse("flight-booking-001").unwrap(),
            agent_name: AgentName::parse("Flight booking").unwrap(),
            scope: Scope::none(),
            sealed_keys: vec![7; 104],
            confirmation_digest: [9; 32],
            created_at: NOW,
            last_used_at: NOW,
            expires_at: NOW + Duration::from_hours(24),
            uses: n,
            ended: None,
        }),
        Write::Request(RequestRecord {
            session_id,
            id: RequestId::from_bytes(id(n)),
            digest: [3; 32],
            domain: domain.clone(),
            reason: "Book the flight to Lisbon".into(),
            fields: fields.clone(),
            item_id: None,
            created_at: NOW,
            expires_at: NOW + Duration::from_mins(10),
            state: StoredRequestState::Released { at: NOW },
        }),
        Write::Nonce(NonceRecord {
            session_id,
            nonce: Nonce::from_bytes(id(n)),
            expires_at: NOW + Duration::from_secs(300 + n / 1_000),
        }),
        Write::Audit(entry),
        Write::Grant(GrantRecord {
            id: GrantId::from_bytes(id(n % 1_000)),
            session_id,
            domain,
            fields,
            item_id: None,
            created_at: NOW,
            expires_at: None,
            max_uses: Some(1_000_000),
            uses: n,
            ended: None,
        }),
    ]
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap())
}

/// Has `submitters` tasks commit `batches` in all; each waits for its answer before it goes on.
async fn drive(store: &Store, submitters: u64, start: u64, batches: u64) {
    let tasks: Vec<_> = (0..submitters)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut n = task;
                while n < batches {
                    store.submit(batch(start + n)).await.unwrap();
                    n += submitters;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn commit(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}", folder.path().join("durward.db").display());
    let url = std::env::var("BENCH_DATABASE_URL").unwrap_or(sqlite);
    let store = runtime.block_on(Store::open_url(&url, Durability::Normal)).unwrap();
    let mut next = runtime.block_on(store.head()).unwrap().n * 1_000_000;

    let mut group = criterion.benchmark_group("commit");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(4));
    for submitters in [1, 32, 256] {
        let (mut spent, mut done) = (Duration::ZERO, 0_u64);
        group.bench_function(format!("{submitters} submitters"), |bencher| {
            bencher.iter_custom(|iterations| {
                let batches = iterations.max(submitters);
                let (before, started) = (cpu(), Instant::now());
                runtime.block_on(drive(&store, submitters, next, batches));
                let elapsed = started.elapsed();
                next += batches;
                spent += cpu().saturating_sub(before);
                done += batches;
                elapsed.mul_f64(iterations as f64 / batches as f64)
            });
        });
        let each = spent.as_secs_f64() * 1e6 / done.max(1) as f64;
        eprintln!("{submitters} submitters: {each:.1} µs CPU a batch, the submitters' own work included");
    }
    group.finish();
    let made = Instant::now();
    let before = cpu();
    for n in 0..20_000 {
        std::hint::black_box(batch(n));
    }
    let each = cpu().saturating_sub(before).as_secs_f64() / 20_000.0 * 1e6;
    eprintln!("of which making the batch: {each:.1} µs ({:.1?} in all)", made.elapsed());
    runtime.block_on(store.close());
}

criterion_group!(benches, commit);
criterion_main!(benches);
