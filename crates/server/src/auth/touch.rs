//! `last_used`: noted on the hot path, written later, many at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use durward_broker::accounts::DeviceId;
use durward_store::{Store, Touch};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Accounts;

/// How often uses are written.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// How often expired rows are swept.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// Uses noted at most; the next ones are lost, and noted a minute later.
const MAX_NOTED: usize = 65_536;

/// Uses that are not written yet.
#[derive(Default)]
pub(super) struct Touches {
    noted: Mutex<HashMap<DeviceId, Touch>>,
    /// An imported key was used: its audit record should not wait.
    urgent: Notify,
    /// Whether anything happened since the last sweep.
    active: AtomicBool,
    woken: Notify,
}

impl Touches {
    pub(super) fn note(&self, touch: Touch) {
        let legacy = touch.legacy;
        let mut noted = self.noted();
        if noted.len() < MAX_NOTED || noted.contains_key(&touch.device) {
            noted.insert(touch.device.clone(), touch);
        }
        drop(noted);
        self.happened();
        if legacy {
            self.urgent.notify_one();
        }
    }

    /// There is, or will be, something to write or to sweep.
    pub(super) fn happened(&self) {
        if !self.active.swap(true, Ordering::SeqCst) {
            self.woken.notify_one();
        }
    }

    pub(super) async fn flush(&self, store: &Store, now: OffsetDateTime) {
        let noted: Vec<Touch> = self.noted().drain().map(|(_, touch)| touch).collect();
        if noted.is_empty() {
            return;
        }
        if let Err(error) = store.touch(noted, now).await {
            tracing::warn!(%error, "when keys were last used could not be written");
        }
    }

    fn noted(&self) -> MutexGuard<'_, HashMap<DeviceId, Touch>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Flushes and sweeps for ever, while anything happens: an idle approver sleeps.
pub(super) async fn run(accounts: &Accounts) {
    let touches = &accounts.touches;
    let mut swept: Option<Instant> = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(FLUSH_EVERY) => {}
            () = touches.urgent.notified() => {}
        }
        accounts.flush().await;
        if swept.is_some_and(|at| at.elapsed() < SWEEP_EVERY) {
            continue;
        }
        swept = Some(Instant::now());
        touches.active.store(false, Ordering::SeqCst);
        if let Err(error) = accounts.store.sweep_accounts(accounts.now()).await {
            tracing::warn!(%error, "expired challenges and counters could not be swept");
        }
        // What expires from now on stays until there is something to do: expired rows count for nothing.
        let idle = || !touches.active.load(Ordering::SeqCst) && touches.noted().is_empty();
        while idle() && !accounts.is_counting() {
            touches.woken.notified().await;
        }
    }
}
