//! The vault behind the engine: open for one retrieval, or for as long as the owner chose.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use durward_broker::Now;
use durward_broker::approval::{ItemChoice, VaultFailure};
use durward_protocol::{Credential, Domain, Field, RequestId, SecretString, SessionId};
use durward_vault::{Candidate, OpenVault, Vault, VaultInfo};
use time::OffsetDateTime;
use tokio::sync::Semaphore;

/// Gives the vault in use now: the owner may choose another while the approver runs.
pub type VaultSource = Box<dyn Fn() -> Result<Arc<dyn Vault>, durward_vault::Error> + Send + Sync>;

/// One reading: for which request, of what.
pub(crate) struct Reading {
    pub(crate) key: (SessionId, RequestId),
    pub(crate) domain: Domain,
    pub(crate) item_id: Option<String>,
    pub(crate) fields: Vec<Field>,
}

/// Why the vault did not open.
#[derive(Debug)]
pub(crate) enum UnlockError {
    WrongPassword,
    Missing,
    Other(String),
}

/// The vault and its lock.
pub(crate) struct VaultService {
    source: VaultSource,
    kept: Mutex<Option<Kept>>,
    /// Opened for one request that the owner is approving.
    once: Mutex<HashMap<(SessionId, RequestId), Box<dyn OpenVault>>>,
    /// One derivation at a time: each takes 128 MiB, and guesses should queue.
    deriving: Arc<Semaphore>,
    /// Locked by a reading that found the file changed.
    changed: AtomicBool,
}

struct Kept {
    vault: Arc<dyn OpenVault>,
    until: OffsetDateTime,
    /// Whether reading it is a look into memory.
    at_once: bool,
}

impl VaultService {
    pub(crate) fn new(source: VaultSource) -> Self {
        Self {
            source,
            kept: Mutex::new(None),
            once: Mutex::new(HashMap::new()),
            deriving: Arc::new(Semaphore::new(1)),
            changed: AtomicBool::new(false),
        }
    }

    /// What the vault says of itself.
    pub(crate) fn describe(&self) -> Result<VaultInfo, durward_vault::Error> {
        Ok((self.source)()?.describe())
    }

    /// Until when the vault stays open, if it is.
    pub(crate) fn open_until(&self, now: Now) -> Option<OffsetDateTime> {
        self.kept().as_ref().map(|kept| kept.until).filter(|until| *until > now.steady)
    }

    /// Opens the vault. Slow by design: a key is derived from the password.
    pub(crate) async fn unlock(&self, password: SecretString) -> Result<Box<dyn OpenVault>, UnlockError> {
        let vault = (self.source)().map_err(unlock_error)?;
        let turn = Arc::clone(&self.deriving).acquire_owned().await;
        // The work cannot be called back: its turn ends with it, and not when the caller hangs up.
        let derived = move || {
            let opened = vault.unlock(&password);
            drop(turn);
            opened
        };
        let opened = tokio::task::spawn_blocking(derived).await;
        opened.map_err(|_| UnlockError::Other("opening the vault failed".into()))?.map_err(unlock_error)
    }

    /// Keeps an open vault for one request.
    pub(crate) fn keep_once(&self, key: (SessionId, RequestId), vault: Box<dyn OpenVault>) {
        self.once().insert(key, vault);
    }

    /// Drops what was kept for a request and not used.
    pub(crate) fn forget_once(&self, key: (SessionId, RequestId)) {
        self.once().remove(&key);
    }

    /// Keeps an open vault until then.
    pub(crate) fn keep_until(&self, vault: Box<dyn OpenVault>, until: OffsetDateTime) {
        let at_once = self.is_builtin();
        *self.kept() = Some(Kept { vault: Arc::from(vault), until, at_once });
    }

    /// Locks now. Whether it was open.
    pub(crate) fn lock(&self) -> bool {
        self.once().clear();
        self.kept().take().is_some()
    }

    /// Locks what was found to be out of date, and not what the owner has opened since: the password is asked for again.
    fn lock_stale(&self, stale: &Arc<dyn OpenVault>) {
        let mut kept = self.kept();
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(&kept.vault, stale)) {
            *kept = None;
            self.changed.store(true, Ordering::SeqCst);
        }
    }

    /// Locks if the time it was kept for is over. Whether it locked.
    pub(crate) fn lock_if_due(&self, now: Now) -> bool {
        let mut kept = self.kept();
        let due = kept.as_ref().is_some_and(|kept| kept.until <= now.steady);
        if due {
            *kept = None;
        }
        due
    }

    /// Whether a reading has locked the vault because its file changed since it was opened. Says so once.
    pub(crate) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::SeqCst)
    }

    /// Whether a reading is a look into memory and not a program to run.
    pub(crate) fn reads_at_once(&self, what: &Reading, now: Now) -> bool {
        // Which vault is in use is written in a file: not read for each request while one is kept open.
        let kept = self.kept().as_ref().filter(|kept| kept.until > now.steady).map(|kept| kept.at_once);
        match kept {
            Some(at_once) if !self.once().contains_key(&what.key) => at_once,
            _ => self.is_builtin(),
        }
    }

    fn is_builtin(&self) -> bool {
        self.describe().is_ok_and(|info| info.provider == "builtin")
    }

    /// Reads one credential, if the vault is open for this request. May block.
    pub(crate) fn read(&self, what: &Reading, now: Now) -> Result<Credential, VaultFailure> {
        let once = self.once().remove(&what.key);
        if let Some(vault) = once {
            return read_open(vault.as_ref(), what, now); // dropped, and locked, on return
        }
        let kept =
            self.kept().as_ref().filter(|kept| kept.until > now.steady).map(|kept| Arc::clone(&kept.vault));
        if let Some(vault) = kept {
            if vault.is_current() {
                return read_open(vault.as_ref(), what, now);
            }
            self.lock_stale(&vault);
        }
        let vault = (self.source)().map_err(|error| failure(&error))?;
        let info = vault.describe();
        if !info.exists {
            return Err(VaultFailure::Missing);
        }
        if info.needs_password {
            return Err(VaultFailure::Locked);
        }
        let open = vault.unlock(&SecretString::new(String::new())).map_err(|error| failure(&error))?;
        read_open(open.as_ref(), what, now)
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn once(&self) -> MutexGuard<'_, HashMap<(SessionId, RequestId), Box<dyn OpenVault>>> {
        self.once.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds and reads. An item that was named must be one that matches the domain: otherwise an agent
/// could ask for one site and receive the item of another.
fn read_open(vault: &dyn OpenVault, what: &Reading, now: Now) -> Result<Credential, VaultFailure> {
    let candidates = vault.find(&what.domain).map_err(|error| failure(&error))?;
    let item_id = match (&what.item_id, candidates.as_slice()) {
        (_, []) => return Err(VaultFailure::NotFound),
        (Some(wanted), all) => {
            let found = all.iter().find(|candidate| candidate.item_id == *wanted);
            found.ok_or(VaultFailure::NotFound)?.item_id.clone()
        }
        (None, [only]) => only.item_id.clone(),
        (None, several) => return Err(VaultFailure::Several(several.iter().map(choice).collect())),
    };
    vault.read(&item_id, &what.fields, &what.domain, now.wall).map_err(|error| failure(&error))
}

fn choice(candidate: &Candidate) -> ItemChoice {
    ItemChoice {
        item_id: candidate.item_id.clone(),
        name: candidate.name.clone(),
        username: candidate.username.clone(),
    }
}

fn failure(error: &durward_vault::Error) -> VaultFailure {
    match error {
        durward_vault::Error::ItemNotFound { .. } => VaultFailure::NotFound,
        durward_vault::Error::NotFound { .. } => VaultFailure::Missing,
        other => VaultFailure::Unavailable(other.to_string()),
    }
}

fn unlock_error(error: durward_vault::Error) -> UnlockError {
    match error {
        durward_vault::Error::WrongPassword => UnlockError::WrongPassword,
        durward_vault::Error::NotFound { .. } => UnlockError::Missing,
        other => UnlockError::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use super::*;

    /// Opening it takes until the test says so.
    struct Slow {
        running: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
        go: Mutex<mpsc::Receiver<()>>,
    }

    impl Vault for Slow {
        fn describe(&self) -> VaultInfo {
            VaultInfo {
                provider: "builtin",
                name: "slow".into(),
                location: String::new(),
                exists: true,
                needs_password: true,
            }
        }

        fn unlock(&self, _password: &SecretString) -> Result<Box<dyn OpenVault>, durward_vault::Error> {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            let _ = self.go.lock().unwrap().recv();
            self.running.fetch_sub(1, Ordering::SeqCst);
            Err(durward_vault::Error::WrongPassword)
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_caller_who_hangs_up_frees_no_turn() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (say_go, go) = mpsc::channel();
        let slow: Arc<dyn Vault> =
            Arc::new(Slow { running: Arc::clone(&running), most: Arc::clone(&most), go: Mutex::new(go) });
        let service = Arc::new(VaultService::new(Box::new(move || Ok(Arc::clone(&slow)))));
        let ask = || {
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.unlock(SecretString::new("guess".into())).await.is_ok() })
        };
        let first = ask();
        while running.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        let _ = first.await;
        let second = ask();
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(most.load(Ordering::SeqCst), 1, "the work of the first goes on, and keeps its turn");
        say_go.send(()).unwrap();
        say_go.send(()).unwrap();
        assert!(!second.await.unwrap());
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }
}
