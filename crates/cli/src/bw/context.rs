//! What every command may ask for: switches, the clock, the data folder, the session key, a client.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::SystemTime;

use durward_bitwarden::api::{ClientInfo, Network, Platform};
use durward_bitwarden::client::Client;
use durward_bitwarden::crypto::{SessionKey, UserKey};
use durward_bitwarden::state::{Account, Created, DataFolder};
use durward_bitwarden::{Error, Result};
use secrecy::SecretString;
use time::OffsetDateTime;

use crate::env;
use crate::output::note;
use crate::parse::Invocation;
use crate::spec::VERSION;

/// One run of the program.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) invocation: Invocation,
    pub(crate) pretty: bool,
    pub(crate) raw: bool,
    pub(crate) response: bool,
    pub(crate) quiet: bool,
    pub(crate) no_interaction: bool,
    pub(crate) clean_exit: bool,
}

impl Context {
    /// Puts switches and their variables together.
    pub(crate) fn new(invocation: Invocation) -> Self {
        let on = |switch: &str, variable: &str| invocation.has(switch) || env::is_true(variable);
        Self {
            pretty: on("pretty", env::PRETTY),
            raw: on("raw", env::RAW),
            response: on("response", env::RESPONSE),
            quiet: on("quiet", env::QUIET),
            no_interaction: on("nointeraction", env::NO_INTERACTION),
            clean_exit: invocation.has("cleanexit") || env::get(env::CLEAN_EXIT).is_some(),
            invocation,
        }
    }

    /// A positional argument that is not empty.
    pub(crate) fn arg(&self, at: usize) -> Option<&str> {
        self.invocation.arg(at).filter(|a| !a.is_empty())
    }

    /// Now.
    #[expect(clippy::unused_self, clippy::disallowed_methods, reason = "the one clock of this program")]
    pub(crate) fn now(&self) -> OffsetDateTime {
        OffsetDateTime::from(SystemTime::now())
    }

    /// The session key of the switch, else of the variable. Something that is no key counts as none.
    pub(crate) fn session(&self) -> Option<SessionKey> {
        let text = match self.invocation.value("session") {
            Some(given) => Some(given.to_owned()),
            None => env::get(env::SESSION),
        };
        SessionKey::parse(&SecretString::from(text?))
    }

    /// The data folder; says so when it has to be made.
    #[expect(clippy::unused_self, reason = "reads like its siblings")]
    pub(crate) fn folder(&self) -> Result<DataFolder> {
        let dir = data_dir().ok_or_else(|| {
            Error::Configuration(format!("No home folder is known. Set {} to a folder.", env::DATA_DIR))
        })?;
        let (folder, created) = DataFolder::open(dir)?;
        announce(&created);
        Ok(folder.telling(tell_damage))
    }

    /// The data folder, for what needs none and leaves none behind.
    pub(crate) fn folder_if_any(&self) -> Result<Option<DataFolder>> {
        let there = data_dir().is_some_and(|dir| dir.join("data.json").exists());
        if there { self.folder().map(Some) } else { Ok(None) }
    }

    /// A client over the data folder, for what needs no server. A certificate file that is not there must not keep a
    /// vault from being locked.
    #[expect(clippy::unused_self, reason = "reads like its siblings")]
    pub(crate) fn client(&self, folder: DataFolder) -> Client {
        Client::new(folder, info(), Network::default())
    }

    /// The same for what needs one.
    #[expect(clippy::unused_self, reason = "reads like its siblings")]
    pub(crate) fn online_client(&self, folder: DataFolder) -> Client {
        Client::new(folder, info(), network())
    }

    /// What the session key opens, unless there is none or the vault is locked. An entry that belongs to another
    /// account is thrown away.
    pub(crate) fn user_key(&self, folder: &DataFolder, account: Account<'_>) -> Result<Option<UserKey>> {
        let Some(session) = self.session() else { return Ok(None) };
        match account.open_with_session(&session) {
            Err(Error::ForeignKey) => self.discard(folder, &session).map(|()| None),
            other => other,
        }
    }

    /// Throws the session's entry away, and says so.
    pub(crate) fn discard(&self, folder: &DataFolder, session: &SessionKey) -> Result<()> {
        note("Invalid key, throwing away stored keys");
        self.client(folder.clone()).discard_foreign_key(session)
    }
}

/// Runs what needs the network. The runtime is made here, because most commands need none.
pub(crate) fn online<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::Configuration(format!("The network cannot be used: {e}")))?;
    runtime.block_on(work)
}

fn info() -> ClientInfo {
    ClientInfo { version: VERSION.to_owned(), platform: Platform::current() }
}

fn network() -> Network {
    let mut extra_roots = Vec::new();
    if let Some(path) = env::path(env::EXTRA_CA) {
        match std::fs::read(&path) {
            Ok(pem) => extra_roots.push(pem),
            Err(e) => {
                note(&format!("Warning: Ignoring extra certs from `{}`, load failed: {e}", path.display()));
            }
        }
    }
    Network { extra_roots, proxy: env::PROXIES.iter().find_map(|name| env::get(name)) }
}

/// The first of: `bw-data` beside this program, the variable, the system's place.
fn data_dir() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("bw-data")));
    if let Some(dir) = beside.filter(|d| d.is_dir()) {
        return Some(dir);
    }
    if let Some(dir) = env::path(env::DATA_DIR) {
        return std::path::absolute(dir).ok();
    }
    let name = "Bitwarden CLI";
    if cfg!(target_os = "macos") {
        return Some(env::path("HOME")?.join("Library/Application Support").join(name));
    }
    if cfg!(windows) {
        return Some(env::path("APPDATA")?.join(name));
    }
    if let Some(config) = env::path("XDG_CONFIG_HOME") {
        return Some(config.join(name));
    }
    Some(env::path("HOME")?.join(".config").join(name))
}

/// Once: a command reads the file more than once.
fn tell_damage(kept: &Path) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        note(&format!(
            "The data file is damaged and counts as empty. It was kept as \"{}\".",
            kept.display()
        ));
    });
}

fn announce(created: &Created) {
    if let Some(dir) = &created.folder {
        note(&format!("Could not find dir, \"{}\"; creating it instead.", dir.display()));
    }
    if let Some(file) = &created.file {
        note(&format!("Could not find data file, \"{}\"; creating it instead.", file.display()));
    }
}
