//! An agent, an approver, a clock that moves by being waited on.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use durward_client::{Agent, Begun, Clock, Config, Error, Pairing, PairingAsk, SessionInfo};
use durward_protocol::{Domain, Scope};
use durward_testkit::approver::Approver;
use durward_testkit::http::{Served, serve};
use durward_testkit::middle::{Middle, Mischief};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tempfile::TempDir;
use time::OffsetDateTime;

/// Milliseconds since an arbitrary start.
#[derive(Clone, Default)]
pub(crate) struct FakeClock(Arc<AtomicI64>);

impl FakeClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn time(&self) -> OffsetDateTime {
        let start = OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap();
        start + time::Duration::milliseconds(self.0.load(Ordering::SeqCst))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> OffsetDateTime {
        self.time()
    }

    /// Time passes at once, but other tasks get their turn.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.advance(duration);
        Box::pin(tokio::task::yield_now())
    }
}

pub(crate) struct Bench {
    pub(crate) clock: FakeClock,
    pub(crate) folder: TempDir,
    pub(crate) served: Served,
    middle: Arc<Mutex<Middle>>,
}

impl Bench {
    pub(crate) async fn honest() -> Self {
        Self::with(Vec::new()).await
    }

    pub(crate) async fn with(script: Vec<Mischief>) -> Self {
        let clock = FakeClock::default();
        let middle = Arc::new(Mutex::new(Middle::new(Approver::new(1), script)));
        let served = at_a_port(&middle, &clock).await;
        Self { clock, folder: tempfile::tempdir().unwrap(), served, middle }
    }

    /// The same approver at another address.
    pub(crate) async fn moved(&self) -> Served {
        at_a_port(&self.middle, &self.clock).await
    }

    pub(crate) fn middle(&self) -> MutexGuard<'_, Middle> {
        lock(&self.middle)
    }

    pub(crate) fn agent(&self, profile: &str) -> Agent {
        self.try_agent(profile).unwrap()
    }

    pub(crate) fn try_agent(&self, profile: &str) -> Result<Agent, Error> {
        self.agent_at(profile, Some(&self.served.url()))
    }

    pub(crate) fn agent_at(&self, profile: &str, url: Option<&str>) -> Result<Agent, Error> {
        let seed = profile.bytes().map(u64::from).sum::<u64>() + lock(&self.middle).approver.calls as u64;
        let mut config = Config::new(self.profile(profile), self.folder.path().join("keys"));
        config.approver = url.map(|url| url.parse().unwrap());
        Agent::with_sources(config, Arc::new(self.clock.clone()), Box::new(StdRng::seed_from_u64(seed)))
    }

    pub(crate) fn profile(&self, profile: &str) -> std::path::PathBuf {
        self.folder.path().join(profile)
    }

    /// The owner reads the agent's screen and types what is there.
    pub(crate) fn type_shown_code(&self, pairing: &Pairing<'_>, scope: Option<Scope>) {
        let shown = pairing.number_code().expose_text();
        let (_, code) = shown.expose_secret().split_once('-').unwrap();
        self.middle().approver.type_code(pairing.number_code().number(), code, scope);
    }

    pub(crate) async fn pair(&self, agent: &Agent) -> Result<SessionInfo, Error> {
        self.pair_scoped(agent, PairingAsk::default(), None).await
    }

    pub(crate) async fn pair_scoped(
        &self,
        agent: &Agent,
        ask: PairingAsk,
        granted: Option<Scope>,
    ) -> Result<SessionInfo, Error> {
        let pairing = begin(agent, ask).await?;
        self.type_shown_code(&pairing, granted);
        pairing.wait().await
    }
}

async fn at_a_port(middle: &Arc<Mutex<Middle>>, clock: &FakeClock) -> Served {
    let (seen, now) = (Arc::clone(middle), clock.clone());
    serve(move |call| lock(&seen).handle(call, now.time())).await.unwrap()
}

pub(crate) async fn begin(agent: &Agent, ask: PairingAsk) -> Result<Box<Pairing<'_>>, Error> {
    match agent.begin_pairing(ask).await? {
        Begun::Waiting(pairing) => Ok(pairing),
        Begun::AlreadyPaired => panic!("paired already"),
    }
}

pub(crate) fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
