//! Any writes, in any batches, across restarts: the store holds what a plain model holds.

use std::collections::BTreeMap;

use durward_broker::approval::{
    Actor, AuditEntry, AuditRecord, Ended, GrantRecord, NonceRecord, RequestRecord, SessionRecord,
    StoredRequestState, Write,
};
use durward_protocol::{SessionId, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use time::{Duration, OffsetDateTime};

use crate::backend::Backend;
use crate::sample::{NOW, entry, grant, id, nonce, request, session, setting};

#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<Write>),
    Reopen,
}

#[derive(Clone, Default)]
struct Model {
    sessions: BTreeMap<[u8; 16], SessionRecord>,
    requests: BTreeMap<([u8; 16], [u8; 16]), RequestRecord>,
    grants: BTreeMap<[u8; 16], GrantRecord>,
    nonces: BTreeMap<([u8; 16], [u8; 16]), NonceRecord>,
    settings: BTreeMap<String, String>,
    audit: Vec<AuditEntry>,
}

impl Model {
    fn apply(&mut self, write: Write) {
        match write {
            Write::Session(row) => drop(self.sessions.insert(*row.id.as_bytes(), row)),
            Write::SessionUsed { id, last_used_at } => {
                if let Some(row) = self.sessions.get_mut(id.as_bytes()) {
                    row.last_used_at = row.last_used_at.max(last_used_at);
                }
            }
            Write::Request(row) => {
                drop(self.requests.insert((*row.session_id.as_bytes(), *row.id.as_bytes()), row));
            }
            Write::Grant(row) => drop(self.grants.insert(*row.id.as_bytes(), row)),
            Write::Nonce(row) => {
                let kept =
                    self.nonces.entry((*row.session_id.as_bytes(), *row.nonce.as_bytes())).or_insert(row);
                kept.expires_at = kept.expires_at.max(row.expires_at);
            }
            Write::Audit(row) => self.audit.push(row),
            Write::Device(_) => {} // rows of devices have tests of their own
            Write::Setting { key, value: Some(value) } => drop(self.settings.insert(key, value)),
            Write::Setting { key, value: None } => drop(self.settings.remove(&key)),
            Write::Sweep { requests_before, nonces_before, ended_before } => {
                let pending = |row: &RequestRecord| row.state == StoredRequestState::Pending;
                let over = |ended: &Option<Ended>| ended.as_ref().is_some_and(|e| e.at < ended_before);
                self.requests.retain(|_, row| pending(row) || row.expires_at >= requests_before);
                self.nonces.retain(|_, row| row.expires_at >= nonces_before);
                self.sessions.retain(|_, row| !over(&row.ended));
                self.grants.retain(|_, row| !over(&row.ended));
            }
        }
    }
}

fn a_moment() -> impl Strategy<Value = OffsetDateTime> {
    (-2_000_000_i64..2_000_000).prop_map(|micros| NOW + Duration::microseconds(micros))
}

fn an_end() -> impl Strategy<Value = Option<Ended>> {
    prop::option::of((a_moment(), "[a-z_]{1,9}").prop_map(|(at, why)| Ended { at, why }))
}

fn a_state() -> impl Strategy<Value = StoredRequestState> {
    let verdict = prop_oneof![
        Just(Verdict::Denied),
        Just(Verdict::NotFound),
        Just(Verdict::Expired),
        Just(Verdict::Cancelled)
    ];
    prop_oneof![
        Just(StoredRequestState::Pending),
        a_moment().prop_map(|at| StoredRequestState::Released { at }),
        (verdict, prop::option::of(text())).prop_map(|(verdict, reason)| StoredRequestState::Ended {
            verdict,
            reason,
            by: Actor::Owner
        }),
    ]
}

/// Any text but NUL.
fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\0', ""))
}

fn a_write() -> impl Strategy<Value = Write> {
    let sessions =
        (0..4_u64, a_moment(), a_moment(), 0..9_u64, an_end(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(n, last_used_at, created_at, uses, ended, sealed_keys)| {
                Write::Session(SessionRecord {
                    last_used_at,
                    created_at,
                    uses,
                    ended,
                    sealed_keys,
                    ..session(n)
                })
            });
    let requests = (0..3_u64, 0..4_u64, text(), prop::option::of(text()), a_moment(), a_state()).prop_map(
        |(of, n, reason, item_id, expires_at, state)| {
            Write::Request(RequestRecord { reason, item_id, expires_at, state, ..request(of, n) })
        },
    );
    let grants = (0..4_u64, prop::option::of(a_moment()), prop::option::of(0..9_u64), an_end()).prop_map(
        |(n, expires_at, max_uses, ended)| {
            Write::Grant(GrantRecord { expires_at, max_uses, ended, ..grant(1, n) })
        },
    );
    let nonces = (0..3_u64, 0..9_u64, a_moment())
        .prop_map(|(of, n, expires_at)| Write::Nonce(NonceRecord { expires_at, ..nonce(of, n, 0) }));
    let used = (0..4_u64, a_moment())
        .prop_map(|(n, last_used_at)| Write::SessionUsed { id: SessionId::from_bytes(id(n)), last_used_at });
    let settings =
        ("[ab]", prop::option::of(text())).prop_map(|(key, value)| setting(&key, value.as_deref()));
    let sweeps =
        (a_moment(), a_moment(), a_moment()).prop_map(|(requests_before, nonces_before, ended_before)| {
            Write::Sweep { requests_before, nonces_before, ended_before }
        });
    let audit = (0..1_000_u64, text()).prop_map(|(n, outcome)| Write::Audit(entry(n).outcome(outcome)));
    let bad = Just(setting("bad\0", Some("")));
    prop_oneof![
        8 => sessions, 8 => requests, 8 => grants, 8 => nonces, 6 => used, 4 => settings, 8 => audit, 2 => sweeps, 1 => bad,
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let batch = prop::collection::vec(a_write(), 0..7).prop_map(Step::Batch);
    prop::collection::vec(prop_oneof![12 => batch, 1 => Just(Step::Reopen)], 0..40)
}

fn is_bad(write: &Write) -> bool {
    matches!(write, Write::Setting { key, .. } if key.contains('\0'))
}

async fn check(backend: Backend, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    let mut store = backend.open().await;
    let mut commits = Vec::new();
    for step in steps {
        match step {
            Step::Batch(writes) => {
                let bad = writes.iter().any(is_bad);
                commits.push((bad, store.submit(writes.clone())));
                if !bad {
                    for write in writes {
                        model.apply(write);
                    }
                }
            }
            Step::Reopen => {
                store.close().await;
                store = backend.open().await;
            }
        }
    }
    for (bad, commit) in commits {
        prop_assert_eq!(commit.await.is_err(), bad);
    }
    let mut found = store.load(NOW).await.unwrap();
    found.sessions.sort_by_key(|row| row.id);
    found.requests.sort_by_key(|row| (row.session_id, row.id));
    found.grants.sort_by_key(|row| row.id);
    found.nonces.sort_by_key(|row| (row.session_id, row.nonce));
    prop_assert_eq!(
        found.sessions,
        model.sessions.into_values().filter(|r| r.ended.is_none()).collect::<Vec<_>>()
    );
    prop_assert_eq!(found.requests, model.requests.into_values().collect::<Vec<_>>());
    prop_assert_eq!(
        found.grants,
        model.grants.into_values().filter(|r| r.ended.is_none()).collect::<Vec<_>>()
    );
    prop_assert_eq!(
        found.nonces,
        model.nonces.into_values().filter(|r| r.expires_at >= NOW).collect::<Vec<_>>()
    );
    prop_assert_eq!(found.settings, model.settings.into_iter().collect::<Vec<_>>());
    let log = store.audit(0, u32::MAX).await.unwrap();
    prop_assert_eq!(log.iter().filter_map(AuditRecord::entry).collect::<Vec<_>>(), model.audit);
    prop_assert_eq!(store.verify_audit().await.unwrap().map(|head| head.n), Ok(log.len() as u64));
    store.close().await;
    Ok(())
}

fn run(cases: u32, backend: impl AsyncFn() -> Backend) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&steps(), |steps| runtime.block_on(async { check(backend().await, steps).await }))
        .unwrap();
}

#[test]
fn sqlite_holds_what_the_model_holds() {
    run(48, async || Backend::sqlite());
}

#[test]
fn postgres_holds_what_the_model_holds() {
    run(24, Backend::postgres);
}
