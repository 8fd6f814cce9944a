//! What the owner does to accounts: through the control socket of the server that runs, or with the folder's lock
//! held and no server running.

use std::sync::Arc;

use durward_broker::accounts::{
    AccountSummary, Arena, CanonicalPhrase, ClientAddress, Decision, DeviceName, HashCost, ImportedKey,
    NewAccount, OpaqueRecord, OpaqueSetup, PhraseHash, RecoveryCode, UserId, add_account, import_key,
    new_recovery_codes, remove_account, set_phrase, summarize, unlock_account,
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
}

impl From<AccountSummary> for Summary {
    fn from(of: AccountSummary) -> Self {
        let AccountSummary { user, active_devices, recovery_codes, opaque } = of;
        Self { user, active_devices, recovery_codes, opaque }
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
            found.push(summarize(&user, &keys, &codes, self.now).into());
        }
        Ok(AccountReply { accounts: Some(found), ..AccountReply::default() })
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
