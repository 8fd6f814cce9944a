//! `/auth/*` of the agent plane: accounts, passphrases, device keys.
//!
//! Handlers parse, let `durward_broker::accounts` decide inside the store's transactions, and render. Argon2id
//! runs on a bounded pool between two transactions; no lock is held meanwhile.

mod devices;
mod exchange;
mod failure;
mod opaque;
pub mod owner;
mod passphrase;
mod pool;
mod request;
mod secrets;
mod touch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::routing::{get, patch, post};
use durward_broker::accounts::{
    AccountAudit, AccountPolicy, AuditMeter, Challenge, Decision, LadderKey, OpaqueSetup, UserId,
};
use durward_protocol::{RestKey, SecretBytes};
use durward_store::{Ask, Facts, Store};
use time::OffsetDateTime;

use crate::Error;
use crate::clock::Clock;
use crate::config::{AccountsConfig, Limits};
use crate::http::Network;
use crate::notify::{Hook, Notifier, OwnerNotice};
use failure::Failure;
use pool::Pool;
use touch::Touches;

/// What the handlers share.
pub(crate) struct Accounts {
    store: Store,
    clock: Clock,
    policy: AccountPolicy,
    limits: Arc<Limits>,
    trusted_proxies: Vec<Network>,
    /// HMAC key of the counters' names.
    subjects: SecretBytes<32>,
    setup: OpaqueSetup,
    rest: RestKey,
    pool: Pool,
    /// One enrolment at a time: each takes 64 MiB.
    enrolling: tokio::sync::Semaphore,
    touches: Touches,
    /// Keeps refusals from filling the audit log.
    meter: Arc<Mutex<AuditMeter>>,
    alerts: Vec<Arc<dyn Notifier>>,
}

impl Accounts {
    /// Reads the secrets, or makes them, and starts the pool.
    pub(crate) async fn open(
        store: Store,
        rest: &RestKey,
        clock: Clock,
        config: &AccountsConfig,
        proxies: &[Network],
        limits: Arc<Limits>,
        notifiers: &[Arc<dyn Notifier>],
    ) -> Result<Arc<Self>, Error> {
        let rest = RestKey::from_bytes(SecretBytes::new(*rest.expose_bytes()));
        let subjects = secrets::subjects(&store, &rest).await?;
        let setup = secrets::setup(&store, &rest).await?;
        let mut alerts = notifiers.to_vec();
        let hook = config.alert_command.clone().and_then(Hook::new);
        alerts.extend(hook.map(|hook| Arc::new(hook) as Arc<dyn Notifier>));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Arc::new(Self {
            store,
            clock,
            policy: config.policy,
            limits,
            trusted_proxies: proxies.to_vec(),
            subjects,
            setup,
            rest,
            pool: Pool::new(cores),
            enrolling: tokio::sync::Semaphore::new(1),
            touches: Touches::default(),
            meter: Arc::default(),
            alerts,
        }))
    }

    /// Notes uses of keys and sweeps, until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        touch::run(&self).await;
    }

    /// Writes down what is noted.
    pub(crate) async fn flush(&self) {
        let now = self.now();
        self.touches.flush(&self.store, now).await;
        let summary = locked(&self.meter).summary(now);
        self.tell(summary).await;
    }

    /// Writes down everything that is noted, before the end.
    pub(crate) async fn close(&self) {
        self.flush().await;
        let summary = locked(&self.meter).end();
        self.tell(summary).await;
    }

    /// Whether refusals were counted that the audit log does not tell of yet.
    fn is_counting(&self) -> bool {
        locked(&self.meter).is_counting()
    }

    async fn tell(&self, summary: Option<AccountAudit>) {
        let Some(summary) = summary else { return };
        let decision = Decision { audit: vec![summary], ..Decision::only(()) };
        if let Err(error) = self.store.decide(Ask::default(), self.now(), move |_| decision).await {
            tracing::warn!(%error, "how many calls were refused could not be written to the audit log");
        }
    }

    fn now(&self) -> OffsetDateTime {
        self.clock.now().wall
    }

    /// One decision: one transaction, then its alerts.
    async fn decide<T: Send + 'static>(
        &self,
        ask: Ask,
        decide: impl FnOnce(Facts, OffsetDateTime) -> Decision<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let now = self.now();
        self.touches.happened();
        let meter = Arc::clone(&self.meter);
        let metered = move |facts| {
            let mut decision = decide(facts, now);
            locked(&meter).pass(&mut decision.audit, now);
            decision
        };
        let done = self.store.decide(ask, now, metered).await?;
        for alert in done.alerts {
            // Its audit record is committed already.
            tracing::warn!(user = %alert.user, address = %alert.address, "somebody guesses at an account");
            let notice = OwnerNotice::alert(&alert, now);
            for notifier in &self.alerts {
                notifier.tell(&notice);
            }
        }
        Ok(done.outcome)
    }
}

impl Accounts {
    /// The account that is meant where none is named: the only one.
    async fn sole(&self, named: Option<&UserId>) -> Result<Option<UserId>, Failure> {
        match named {
            Some(_) => Ok(None),
            None => Ok(self.store.sole_account().await?),
        }
    }

    /// What an attempt at a secret of `user` is decided on.
    fn attempt(&self, user: &UserId, ladder: LadderKey, challenge: &Challenge) -> Ask {
        Ask {
            user: Some(user.clone()),
            ladder: Some(ladder),
            challenge: Some(challenge.clone()),
            max_unknown_subjects: Some(self.policy.max_unknown_subjects),
            ..Ask::default()
        }
    }
}

fn locked(meter: &Mutex<AuditMeter>) -> MutexGuard<'_, AuditMeter> {
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsRef<Limits> for Accounts {
    fn as_ref(&self) -> &Limits {
        &self.limits
    }
}

/// The routes, to be merged into the agent plane, whose guard stands before them.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(accounts: Arc<Accounts>) -> Router<S> {
    Router::new()
        .route("/auth/knock", post(exchange::knock))
        .route("/auth/exchange", post(exchange::exchange))
        .route("/auth/opaque/start", post(opaque::start))
        .route("/auth/opaque/finish", post(opaque::finish))
        .route("/auth/verify", get(devices::verify))
        .route("/auth/whoami", get(devices::whoami))
        .route("/auth/devices", get(devices::list))
        .route("/auth/devices/{id}", patch(devices::rename))
        .route("/auth/revoke", post(devices::revoke))
        .route("/auth/revoke/{id}", post(devices::revoke_by_path))
        .route("/auth/rotate", post(devices::rotate))
        .route("/auth/passphrase/change", post(passphrase::change))
        .route("/auth/recover", post(passphrase::recover))
        .with_state(accounts)
}
