//! Runs the broker: one lock around the machine, effects carried out in order.

mod vault;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use durward_broker::Now;
use durward_broker::approval::{
    Actor, Answer, Approval, AuditEntry, AuditEvent, Effect, Event, Notice, Ticket, VaultFailure, Waiter,
    Write,
};
use durward_protocol::{Credential, ErrorCode};
use durward_store::{Commit, Store};
use time::OffsetDateTime;
use tokio::sync::{Notify, broadcast, oneshot, watch};

pub use vault::VaultSource;
pub(crate) use vault::{Reading, UnlockError, VaultService};

use crate::away::Presence;
use crate::clock::Clock;
use crate::keys::os_rng;
use crate::policy::PolicyWatch;

/// Notices a slow watcher may lag behind before it is told to look again.
const NOTICE_BUFFER: usize = 1_024;

/// How long a stop waits for an answer that is on its way, a commit's most of all.
const LAST_WORD: Duration = Duration::from_secs(2);

/// The machine and everything it acts on.
pub(crate) struct Engine {
    approval: Mutex<Approval>,
    waiters: Mutex<HashMap<Waiter, oneshot::Sender<Answer>>>,
    next_waiter: AtomicU64,
    pub(crate) store: Store,
    pub(crate) vault: VaultService,
    pub(crate) policy: PolicyWatch,
    pub(crate) presence: Presence,
    notices: broadcast::Sender<Notice>,
    clock: Clock,
    /// True once the server stops: nobody is held any longer.
    stopping: watch::Receiver<bool>,
    timer: Notify,
    /// What the timer waits for, in steady milliseconds; `i64::MAX` for nothing.
    armed: AtomicI64,
}

impl Engine {
    pub(crate) fn new(
        approval: Approval,
        store: Store,
        vault: VaultService,
        policy: PolicyWatch,
        presence: Presence,
        clock: Clock,
        stopping: watch::Receiver<bool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            approval: Mutex::new(approval),
            waiters: Mutex::new(HashMap::new()),
            next_waiter: AtomicU64::new(1),
            store,
            vault,
            policy,
            presence,
            notices: broadcast::channel(NOTICE_BUFFER).0,
            clock,
            stopping,
            timer: Notify::new(),
            armed: AtomicI64::new(i64::MAX),
        })
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Reads the machine's state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Approval, Now) -> T) -> T {
        let approval = self.approval();
        look(&approval, self.clock.now())
    }

    pub(crate) fn watch(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    pub(crate) fn notify(&self, notice: Notice) {
        log(&notice);
        let _ = self.notices.send(notice); // nobody watches: nobody is told
    }

    /// An approver watches from now on, until the guard is dropped.
    pub(crate) fn approver_connects(self: &Arc<Self>) -> Watching {
        let head = self.read(|approval, _| approval.head());
        drop(self.store.submit(vec![self.presence.enter(head, self.now())]));
        Watching(Arc::clone(self))
    }

    /// Hands one event to the machine and waits for the answer.
    pub(crate) async fn call(self: &Arc<Self>, event: impl FnOnce(Waiter) -> Event) -> Answer {
        self.begin(event).answer().await
    }

    /// Hands one event to the machine now; the answer comes later.
    pub(crate) fn begin(self: &Arc<Self>, event: impl FnOnce(Waiter) -> Event) -> Begun {
        let (waiter, answer) = self.waiter();
        let guard = WaitGuard { engine: Arc::clone(self), waiter };
        self.handle(event(waiter));
        Begun { answer, guard }
    }

    async fn stops(&self) {
        let _ = self.stopping.clone().wait_for(|stops| *stops).await;
    }

    /// Like [`Engine::call`], for at most `wait` and until the server stops. Then, or when the caller goes away, the
    /// machine is told that nobody waits any more.
    pub(crate) async fn hold(
        self: &Arc<Self>,
        wait: Duration,
        event: impl FnOnce(Waiter) -> Event,
    ) -> Answer {
        let (waiter, mut answer) = self.waiter();
        let guard = WaitGuard { engine: Arc::clone(self), waiter };
        self.handle(event(waiter));
        let first = tokio::select! {
            biased;
            answer = &mut answer => Some(answer),
            () = tokio::time::sleep(wait) => None,
            () = self.stops() => None,
        };
        let answer = if let Some(answer) = first {
            answer
        } else {
            self.handle(Event::WaitOver { waiter });
            // Not held any more means answered now, or being answered by something under way.
            match tokio::time::timeout(Duration::from_secs(10), answer).await {
                Ok(answer) => answer,
                Err(_elapsed) => return Answer::error(ErrorCode::Timeout),
            }
        };
        drop(guard);
        answer.unwrap_or_else(|_| Answer::error(ErrorCode::ShuttingDown))
    }

    /// Hands one event to the machine and carries out what it says.
    pub(crate) fn handle(self: &Arc<Self>, event: Event) {
        let (work, deadline) = {
            let mut approval = self.approval();
            let effects = approval.handle(event, self.clock.now(), &mut os_rng());
            // Submitted under the lock: the order of commits is the order of decisions.
            (self.submit(effects), approval.next_deadline())
        };
        for work in work {
            self.carry_out(work);
        }
        self.arm(deadline);
    }

    /// Carries out the effects of a restore.
    pub(crate) fn start(self: &Arc<Self>, effects: Vec<Effect>) {
        let (work, deadline) = {
            let approval = self.approval();
            (self.submit(effects), approval.next_deadline())
        };
        for work in work {
            self.carry_out(work);
        }
        self.arm(deadline);
    }

    /// Reads the policy when its file has changed, or in any case with `force`. With a mistake in it the
    /// rules stay as they were.
    pub(crate) fn refresh_policy(self: &Arc<Self>, force: bool) -> Result<(), String> {
        match self.policy.read(force) {
            None => Ok(()),
            Some(Ok(policy)) => {
                self.handle(Event::SetPolicy(policy));
                Ok(())
            }
            Some(Err(problem)) => {
                tracing::error!(%problem, "the policy has a mistake; the rules read before stay in force");
                Err(problem)
            }
        }
    }

    /// Writes that belong to no event of the machine.
    pub(crate) async fn save(&self, writes: Vec<Write>) -> Result<(), durward_store::Error> {
        self.store.submit(writes).await.map(|_| ())
    }

    fn submit(&self, effects: Vec<Effect>) -> Vec<Work> {
        effects
            .into_iter()
            .map(|effect| match effect {
                Effect::Commit { ticket, writes } => Work::Commit(ticket, self.store.submit(writes)),
                Effect::Save { writes } => {
                    let commit = self.store.submit(writes.clone());
                    Work::Save(commit, writes)
                }
                other => Work::Other(Box::new(other)),
            })
            .collect()
    }

    fn carry_out(self: &Arc<Self>, work: Work) {
        match work {
            Work::Commit(ticket, commit) => {
                let engine = Arc::clone(self);
                tokio::spawn(async move {
                    let head = match commit.await {
                        Ok(committed) => Some(committed.head),
                        Err(error) => {
                            tracing::error!(%error, "the store refused a commit; nothing that needed it was done");
                            None
                        }
                    };
                    engine.handle(Event::Committed { ticket, head });
                });
            }
            Work::Save(commit, writes) => {
                let store = self.store.clone();
                tokio::spawn(save(store, commit, writes));
            }
            Work::Other(effect) => match *effect {
                Effect::Reply { waiter, answer } => {
                    let sender = self.waiters().remove(&waiter);
                    if let Some(sender) = sender {
                        let _ = sender.send(answer); // the caller went away
                    }
                }
                Effect::Notify(notice) => self.notify(notice),
                Effect::CompareHead { agent_id, head } => {
                    let engine = Arc::clone(self);
                    tokio::spawn(async move {
                        match engine.store.has_record(&head).await {
                            Ok(same) => engine.handle(Event::HeadCompared { agent_id, head, same }),
                            Err(error) => tracing::error!(%error, "the audit log could not be read"),
                        }
                    });
                }
                Effect::ReadVault { reading, session_id, request_id, domain, item_id, fields } => {
                    self.read_vault(
                        reading,
                        Reading { key: (session_id, request_id), domain, item_id, fields },
                    );
                }
                Effect::Commit { .. } | Effect::Save { .. } => {} // submitted already
            },
        }
    }

    fn read_vault(self: &Arc<Self>, reading: Ticket, what: Reading) {
        let now = self.now();
        if self.vault.reads_at_once(&what, now) {
            let result = self.vault.read(&what, now);
            return self.vault_read(reading, result);
        }
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let reader = Arc::clone(&engine);
            let result = tokio::task::spawn_blocking(move || reader.vault.read(&what, now)).await;
            let failed = || Err(VaultFailure::Unavailable("reading the vault failed".into()));
            engine.vault_read(reading, result.unwrap_or_else(|_| failed()));
        });
    }

    fn vault_read(self: &Arc<Self>, reading: Ticket, result: Result<Credential, VaultFailure>) {
        if let Err(VaultFailure::Unavailable(error)) = &result {
            tracing::error!(%error, "the vault could not be read");
        }
        if self.vault.take_changed() {
            self.vault_locked(Actor::System, Some("the vault was changed"));
        }
        self.handle(Event::VaultRead { reading, result });
    }

    /// The vault is not kept open any longer: told and written down.
    pub(crate) fn vault_locked(self: &Arc<Self>, actor: Actor, why: Option<&str>) {
        self.notify(Notice::VaultSwitched { unlocked: false });
        let mut entry = AuditEntry::new(self.now().wall, AuditEvent::VaultSwitched, actor).outcome("locked");
        entry.detail = why.map(str::to_owned);
        self.handle(Event::Record(entry));
    }

    /// Ticks the machine whenever one of its deadlines comes up. Sleeps when there is none.
    pub(crate) async fn run_timer(self: Arc<Self>) {
        loop {
            let deadline = self.read(|approval, _| approval.next_deadline());
            let armed = deadline.map_or(i64::MAX, millis);
            self.armed.store(armed, Ordering::SeqCst);
            // An event may have brought an earlier deadline before `armed` was stored: look once more.
            if self.read(|approval, _| approval.next_deadline()).map_or(i64::MAX, millis) < armed {
                continue;
            }
            match deadline {
                None => self.timer.notified().await,
                Some(deadline) => {
                    let left = Duration::try_from(deadline - self.now().steady).unwrap_or(Duration::ZERO);
                    tokio::select! {
                        () = self.timer.notified() => continue,
                        () = tokio::time::sleep(left) => {}
                    }
                }
            }
            self.handle(Event::Tick);
        }
    }

    fn arm(&self, deadline: Option<OffsetDateTime>) {
        if deadline.is_some_and(|deadline| millis(deadline) < self.armed.load(Ordering::SeqCst)) {
            self.timer.notify_one();
        }
    }

    fn waiter(&self) -> (Waiter, oneshot::Receiver<Answer>) {
        let waiter = Waiter(self.next_waiter.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = oneshot::channel();
        self.waiters().insert(waiter, sender);
        (waiter, receiver)
    }

    fn approval(&self) -> MutexGuard<'_, Approval> {
        self.approval.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiters(&self) -> MutexGuard<'_, HashMap<Waiter, oneshot::Sender<Answer>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An effect that is left after the commits were submitted.
enum Work {
    Commit(Ticket, Commit),
    Save(Commit, Vec<Write>),
    Other(Box<Effect>),
}

/// Nobody waits for these writes, audit records mostly, and still they should not be lost: a store that is
/// locked or full for a moment is tried again.
async fn save(store: Store, commit: Commit, writes: Vec<Write>) {
    let Err(mut error) = commit.await else { return };
    for seconds in [1, 5, 15, 60] {
        tracing::warn!(%error, "the store refused a record; it is tried again in {seconds} s");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        match store.submit(writes.clone()).await {
            Ok(_) => return,
            Err(again) => error = again,
        }
    }
    tracing::error!(%error, "a record could not be written and is lost");
}

/// An approver that is connected.
pub(crate) struct Watching(Arc<Engine>);

impl Drop for Watching {
    fn drop(&mut self) {
        let engine = &self.0;
        let head = engine.read(|approval, _| approval.head());
        if let Some(write) = engine.presence.leave(head, engine.now()) {
            drop(engine.store.submit(vec![write])); // nobody waits for it
        }
    }
}

/// An event that the machine has, and whose answer is to come.
pub(crate) struct Begun {
    answer: oneshot::Receiver<Answer>,
    guard: WaitGuard,
}

impl Begun {
    /// The answer. When the server stops, one that is not on its way will not come.
    pub(crate) async fn answer(self) -> Answer {
        let engine = Arc::clone(&self.guard.engine);
        let last_word = async {
            engine.stops().await;
            tokio::time::sleep(LAST_WORD).await;
        };
        tokio::select! {
            biased;
            answer = self.answer => answer.ok(),
            () = last_word => None,
        }
        .unwrap_or_else(|| Answer::error(ErrorCode::ShuttingDown))
    }
}

/// Tells the machine when a caller goes away before its answer: its future, and this, was dropped.
/// After an answer the waiter is no longer listed and there is nothing to tell.
struct WaitGuard {
    engine: Arc<Engine>,
    waiter: Waiter,
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        if self.engine.waiters().remove(&self.waiter).is_some() {
            self.engine.handle(Event::WaitOver { waiter: self.waiter });
        }
    }
}

/// The life of sessions and requests in the log: ids and names, never values.
fn log(notice: &Notice) {
    match notice {
        Notice::Paired { session } => {
            let (agent, fingerprint) = (&session.agent_id, &session.fingerprint);
            tracing::info!(%agent, session = %session.session_id, %fingerprint, "session key established");
        }
        Notice::PairingWaiting { pairing } => {
            tracing::info!(agent = %pairing.agent_id, number = %pairing.number, "an agent waits for its code");
        }
        Notice::PairingOver { agent_id, why, .. } => {
            tracing::info!(agent = %agent_id, why, "a pairing is over");
        }
        Notice::SessionEnded { session_id, agent_id, why } => {
            tracing::info!(agent = %agent_id, session = %session_id, why, "a session ended");
        }
        Notice::RequestWaiting { request } => {
            tracing::info!(agent = %request.agent_id, domain = %request.domain, "a request waits for the owner");
        }
        // The owner was not asked: the audit log has it, and there may be thousands a second.
        Notice::RequestOver { agent_id, domain, verdict, by: Actor::Grant | Actor::Policy, .. } => {
            tracing::debug!(agent = %agent_id, domain = %domain, verdict = %verdict, "a request is over");
        }
        Notice::RequestOver { agent_id, domain, verdict, .. } => {
            tracing::info!(agent = %agent_id, domain = %domain, verdict = %verdict, "a request is over");
        }
        Notice::DeviceAsks { device, asked } => {
            tracing::info!(%device, agent = %asked.agent_id, domain = %asked.domain, "a device asks the owner here");
        }
        Notice::HeadsDiffer { agent_id, problem } => {
            tracing::warn!(agent = %agent_id, problem, "records do not agree");
        }
        other => tracing::debug!(?other, "notice"),
    }
}

fn millis(moment: OffsetDateTime) -> i64 {
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
