//! What the owner does to accounts: through the control socket of the server that runs, or with the folder's lock
//! held and no server running.

use std::sync::Arc;

use durward_broker::accounts::{
    AccountSummary, Arena, CanonicalPhrase, ClientAddress, Decision, DeviceId, DeviceKeyRecord, DeviceName,
    DeviceType, HashCost, ImportedKey, LadderRow, NewAccount, OpaqueRecord, OpaqueSetup, PhraseHash,
    RecoveryCode, Subject, UserId, add_account, import_key, new_recovery_codes, remove_account, revoke,
    set_phrase, summarize, unlock_account,
};
use durward_protocol::{RestKey, RestKeyKeeper, SecretBytes, SecretString};
use durward_store::{Ask, Durability, Error as StoreError, Facts, Store};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Accounts, secrets};
use crate::clock::Clock;
use crate::home::{Home, HomeLock};
use crate::keys::{os_rng, rest_key};
use crate::{Error, config};

/// `POST /accounts` on the control socket.
#[derive(Debug, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AccountCommand {
    /// Make an account.
    Add {
        /// Its name.
        user: UserId,
        /// Its phrase.
        passphrase: SecretString,
    },
    /// All accounts.
    List,
    /// Remove one, with its keys.
    Remove {
        /// Which.
        user: UserId,
    },
    /// The devices of one that have a live key.
    Devices {
        /// Whose.
        user: UserId,
    },
    /// Revoke the key of one device.
    Revoke {
        /// Whose.
        user: UserId,
        /// Which.
        device: DeviceId,
    },
    /// Clear the counters of failures.
    Unlock {
        /// Whose.
        user: UserId,
    },
    /// Set a new phrase.
    Passphrase {
        /// Whose.
        user: UserId,
        /// The new phrase.
        passphrase: SecretString,
        /// Whether every key dies.
        #[serde(default)]
        revoke_all: bool,
    },
    /// Ten new recovery codes.
    Recovery {
        /// Whose.
        user: UserId,
    },
    /// Take over a shared key from before.
    ImportKey {
        /// Whose it becomes.
        user: UserId,
        /// What it is called.
        name: DeviceName,
        /// The key.
        key: SecretString,
        /// When it ends.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
}

/// Answer to an [`AccountCommand`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct AccountReply {
    /// `list`: all accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<Summary>>,
    /// `devices`: those with a live key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<OwnedDevice>>,
    /// `add`, `recovery`: the codes, shown once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recovery_codes: Vec<String>,
    /// `import-key`: the new device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
}

/// One account in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Name.
    pub user: UserId,
    /// Devices with a live key.
    pub active_devices: usize,
    /// Recovery codes left.
    pub recovery_codes: usize,
    /// Whether it is enrolled for logins that do not send the phrase.
    pub opaque: bool,
    /// Failures that still count, over all addresses.
    #[serde(default)]
    pub failures: u64,
    /// Addresses that must wait now.
    #[serde(default)]
    pub locked: Vec<Locked>,
}

/// An address that is locked out of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// Which; an IPv6 one stands for its /64.
    pub address: String,
    /// Until when.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
}

/// One device of an account, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedDevice {
    /// Its id.
    pub device_id: DeviceId,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: DeviceType,
    /// Its name.
    pub name: DeviceName,
    /// When its key was made.
    #[serde(with = "time::serde::rfc3339")]
    pub issued_at: OffsetDateTime,
    /// When its key was last seen, within a minute.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_used: Option<OffsetDateTime>,
    /// When its key ends.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// Whether it is a shared key from before.
    pub imported: bool,
}

impl From<DeviceKeyRecord> for OwnedDevice {
    fn from(of: DeviceKeyRecord) -> Self {
        let DeviceKeyRecord { device_id, device, issued_at, last_used, expires_at, legacy, .. } = of;
        Self {
            device_id,
            kind: device.kind,
            name: device.name,
            issued_at,
            last_used,
            expires_at,
            imported: legacy,
        }
    }
}

impl Summary {
    fn new(of: AccountSummary, rows: Vec<(String, LadderRow)>, now: OffsetDateTime) -> Self {
        let AccountSummary { user, active_devices, recovery_codes, opaque } = of;
        let rows: Vec<_> = rows.into_iter().map(|(address, row)| (address, row.at(now))).collect();
        let failures = rows.iter().map(|(_, row)| u64::from(row.failures)).sum();
        let locked = rows
            .into_iter()
            .filter_map(|(address, row)| row.locked_until.map(|until| Locked { address, until }));
        Self { user, active_devices, recovery_codes, opaque, failures, locked: locked.collect() }
    }
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The command makes no sense as given.
    #[error("{0}")]
    Invalid(String),
    /// No account of that name.
    #[error("there is no account {0}; `durward account list` shows all")]
    NoAccount(UserId),
    /// The account has no such device.
    #[error("{user} has no active device {device}; `durward account devices {user}` shows all")]
    NoDevice {
        /// Whose.
        user: UserId,
        /// Which.
        device: DeviceId,
    },
    /// The name, or the key, is taken.
    #[error("{0}")]
    Taken(&'static str),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something stored does not read.
    #[error("{0}")]
    Internal(String),
}

/// The owner's way to accounts while no server runs.
pub struct Owner {
    store: Store,
    subjects: SecretBytes<32>,
    setup: OpaqueSetup,
    clock: Clock,
    cost: HashCost,
    _lock: HomeLock,
}

impl Owner {
    /// Takes the folder and opens its store, or the database given.
    pub async fn open(
        home: &Home,
        database_url: Option<&SecretString>,
        keeper: Option<Arc<dyn RestKeyKeeper>>,
    ) -> Result<Self, Error> {
        let lock = home.lock()?;
        let store = config::open_store(home, database_url, Durability::Full).await?;
        let rest: RestKey = rest_key(home, keeper).await?;
        let subjects = secrets::subjects(&store, &rest).await?;
        let setup = secrets::setup(&store, &rest).await?;
        let cost = HashCost::DEFAULT;
        Ok(Self { store, subjects, setup, clock: Clock::system(), cost, _lock: lock })
    }

    /// Does it.
    pub async fn run(&self, command: AccountCommand) -> Result<AccountReply, OwnerError> {
        let now = self.clock.now().wall;
        let hasher = Hasher::Here(&self.setup, self.cost);
        Desk { store: &self.store, subjects: &self.subjects, now, hasher }.run(command).await
    }

    /// Closes the store.
    pub async fn close(self) {
        self.store.close().await;
    }
}

impl Accounts {
    /// The same while the server runs: hashes on its pool.
    pub(crate) async fn command(
        self: &Arc<Self>,
        command: AccountCommand,
    ) -> Result<AccountReply, OwnerError> {
        let hasher = Hasher::Pool(Arc::clone(self));
        Desk { store: &self.store, subjects: &self.subjects, now: self.now(), hasher }.run(command).await
    }
}

/// Where phrases are hashed.
enum Hasher<'a> {
    Here(&'a OpaqueSetup, HashCost),
    Pool(Arc<Accounts>),
}

impl Hasher<'_> {
    async fn hash(&self, phrase: CanonicalPhrase, user: UserId) -> Hashed {
        match self {
            Self::Here(setup, cost) => hashed(&phrase, &user, setup, *cost, &mut Arena::new()),
            Self::Pool(accounts) => {
                let owner = ClientAddress::new(std::net::Ipv4Addr::LOCALHOST.into());
                let worker = Arc::clone(accounts);
                // An arena of its own, given back at once: the enrolment takes 64 MiB.
                let work = move |_: &mut Arena| {
                    hashed(&phrase, &user, &worker.setup, worker.policy.hash_cost, &mut Arena::new())
                };
                let busy = |_| OwnerError::Internal("the server has too much to do: try again".into());
                accounts.pool.run(owner, work).await.map_err(busy)?
            }
        }
    }
}

type Hashed = Result<(PhraseHash, OpaqueRecord), OwnerError>;

fn hashed(
    phrase: &CanonicalPhrase,
    user: &UserId,
    setup: &OpaqueSetup,
    cost: HashCost,
    arena: &mut Arena,
) -> Hashed {
    let internal = |error: &dyn std::error::Error| OwnerError::Internal(error.to_string());
    let hash = PhraseHash::create(phrase, cost, arena, &mut os_rng()).map_err(|e| internal(&e))?;
    let record = OpaqueRecord::enrol(setup, user, phrase, arena, &mut os_rng()).map_err(|e| internal(&e))?;
    Ok((hash, record))
}

/// The commands over whatever hashes.
struct Desk<'a> {
    store: &'a Store,
    subjects: &'a SecretBytes<32>,
    now: OffsetDateTime,
    hasher: Hasher<'a>,
}

impl Desk<'_> {
    async fn run(&self, command: AccountCommand) -> Result<AccountReply, OwnerError> {
        let now = self.now;
        match command {
            AccountCommand::Add { user, passphrase } => {
                let (hash, record) = self.hasher.hash(strong(&passphrase)?, user.clone()).await?;
                let new = NewAccount { user, hash, opaque: Some(record) };
                let added =
                    self.store.decide(Ask::default(), now, move |_| add_account(new, now, &mut os_rng()));
                match added.await {
                    Ok(done) => Ok(codes(&done.outcome)),
                    Err(StoreError::Conflict(_)) => Err(OwnerError::Taken("an account of that name exists")),
                    Err(error) => Err(error.into()),
                }
            }
            AccountCommand::List => self.list().await,
            AccountCommand::Remove { user } => {
                let subjects = self.subjects.duplicate();
                let name = user.clone();
                self.known(user, false, move |_| remove_account(&name, &subjects)).await?;
                Ok(AccountReply::default())
            }
            AccountCommand::Devices { user } => {
                let keys = self.known(user, true, |facts| Decision::only(facts.keys)).await?;
                let live = keys.into_iter().filter(|key| key.is_live(now)).map(OwnedDevice::from);
                Ok(AccountReply { devices: Some(live.collect()), ..AccountReply::default() })
            }
            AccountCommand::Revoke { user, device } => self.revoke(user, device).await,
            AccountCommand::Unlock { user } => {
                let subjects = self.subjects.duplicate();
                let name = user.clone();
                self.known(user, false, move |_| unlock_account(&name, &subjects)).await?;
                Ok(AccountReply::default())
            }
            AccountCommand::Passphrase { user, passphrase, revoke_all } => {
                let (hash, record) = self.hasher.hash(strong(&passphrase)?, user.clone()).await?;
                let name = user.clone();
                self.known(user, false, move |_| set_phrase(&name, hash, Some(record), revoke_all, now))
                    .await?;
                Ok(AccountReply::default())
            }
            AccountCommand::Recovery { user } => {
                let name = user.clone();
                let drawn = self.known(user, false, move |_| new_recovery_codes(&name, now, &mut os_rng()));
                Ok(codes(&drawn.await?))
            }
            AccountCommand::ImportKey { user, name, key, expires_at } => {
                let import = ImportedKey { user: user.clone(), name, key, expires_at };
                self.import(user, import).await
            }
        }
    }

    async fn list(&self) -> Result<AccountReply, OwnerError> {
        let mut found = Vec::new();
        for user in self.store.accounts().await? {
            let keys = self.store.keys_of(&user.user_id).await?;
            let codes = self.store.codes_of(&user.user_id).await?;
            let rows = self.store.ladder_of(&Subject::new(self.subjects, &user.user_id)).await?;
            found.push(Summary::new(summarize(&user, &keys, &codes, self.now), rows, self.now));
        }
        Ok(AccountReply { accounts: Some(found), ..AccountReply::default() })
    }

    async fn revoke(&self, user: UserId, device: DeviceId) -> Result<AccountReply, OwnerError> {
        let (name, id, now) = (user.clone(), device.clone(), self.now);
        let done = self.known(user.clone(), true, move |facts| {
            let record = facts.keys.iter().find(|key| key.device_id == id && key.is_live(now));
            revoke(&name, record, None, now)
        });
        match done.await? {
            Ok(_) => Ok(AccountReply { device_id: Some(device.to_string()), ..AccountReply::default() }),
            Err(_) => Err(OwnerError::NoDevice { user, device }),
        }
    }

    async fn import(&self, user: UserId, import: ImportedKey) -> Result<AccountReply, OwnerError> {
        let now = self.now;
        let imported = self.known(user, true, move |facts| {
            let taken: Vec<_> = facts.keys.iter().map(|key| key.device_id.clone()).collect();
            match import_key(&import, &taken, now) {
                Ok(Decision { outcome, writes, audit, alerts }) => {
                    Decision { outcome: Ok(outcome), writes, audit, alerts }
                }
                Err(error) => Decision::only(Err(error)),
            }
        });
        match imported.await {
            Ok(Ok(device)) => {
                Ok(AccountReply { device_id: Some(device.as_str().to_owned()), ..AccountReply::default() })
            }
            Ok(Err(error)) => Err(OwnerError::Invalid(error.to_string())),
            Err(OwnerError::Store(StoreError::Conflict(_))) => {
                Err(OwnerError::Taken("this key, or another account's device of that name, is here already"))
            }
            Err(error) => Err(error),
        }
    }

    /// A decision about an account that must exist.
    async fn known<T: Send + 'static>(
        &self,
        user: UserId,
        keys: bool,
        decide: impl FnOnce(Facts) -> Decision<T> + Send + 'static,
    ) -> Result<T, OwnerError> {
        let ask = Ask { user: Some(user.clone()), keys, ..Ask::default() };
        let done = self.store.decide(ask, self.now, move |facts| {
            if facts.user.is_none() {
                return Decision::only(None);
            }
            let Decision { outcome, writes, audit, alerts } = decide(facts);
            Decision { outcome: Some(outcome), writes, audit, alerts }
        });
        done.await?.outcome.ok_or(OwnerError::NoAccount(user))
    }
}

fn strong(phrase: &SecretString) -> Result<CanonicalPhrase, OwnerError> {
    CanonicalPhrase::new_strong(phrase).map_err(|error| OwnerError::Invalid(error.to_string()))
}

fn codes(codes: &[RecoveryCode]) -> AccountReply {
    let recovery_codes = codes.iter().map(|code| code.expose_code().to_owned()).collect();
    AccountReply { recovery_codes, ..AccountReply::default() }
}
