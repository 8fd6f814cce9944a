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
mod proxy;
mod request;
mod secrets;
mod touch;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, patch, post};
use durward_broker::accounts::{AccountPolicy, Decision, OpaqueSetup};
use durward_protocol::{RestKey, SecretBytes};
use durward_store::{Ask, Facts, Store};
use time::OffsetDateTime;

use crate::Error;
use crate::clock::Clock;
use crate::config::{AccountsConfig, Limits};
use crate::notify::{Hook, Notifier, OwnerNotice};
use failure::Failure;
use pool::Pool;
use touch::Touches;

pub use proxy::Network;

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
    alerts: Vec<Arc<dyn Notifier>>,
}

impl Accounts {
    /// Reads the secrets, or makes them, and starts the pool.
    pub(crate) async fn open(
        store: Store,
        rest: &RestKey,
        clock: Clock,
        config: &AccountsConfig,
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
            trusted_proxies: config.trusted_proxies.clone(),
            subjects,
            setup,
            rest,
            pool: Pool::new(cores),
            enrolling: tokio::sync::Semaphore::new(1),
            touches: Touches::default(),
            alerts,
        }))
    }

    /// Notes uses of keys and sweeps, until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        touch::run(&self).await;
    }

    /// Writes down what is noted.
    pub(crate) async fn flush(&self) {
        self.touches.flush(&self.store, self.now()).await;
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
        let done = self.store.decide(ask, now, move |facts| decide(facts, now)).await?;
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
