//! Bitwarden and Vaultwarden as a vault: the data folder that `bw login` filled, shared with Bitwarden's own
//! command line.
//!
//! Logging in happens once, with `bw`. Each approval opens the user key with the master password, without network,
//! and wipes it when the opened vault is dropped; no session key is made, and none is needed. A copy of the vault
//! that is older than five minutes is refreshed in the background after an unlock: what was asked for is
//! answered from the copy at hand, so a server that is away changes nothing.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::SystemTime;

use durward_bitwarden::api::{ClientInfo, Network, Platform};
use durward_bitwarden::client::Client;
use durward_bitwarden::crypto::UserKey;
use durward_bitwarden::items::{Item, ItemText, UriMatch, Wanted};
use durward_bitwarden::state::{DataFolder, Document};
use durward_protocol::{Credential, Domain, Field, SecretString};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::{Candidate, Error, MatchKind, OpenVault, Vault, VaultInfo, match_domain, uri_domain};

/// A copy of the vault older than this is refreshed.
const STALE_AFTER: Duration = Duration::minutes(5);
/// What servers are told; the interface this client was written against.
const CLIENT_VERSION: &str = "2026.9.0";

/// Where Bitwarden's data folder is and how its server is reached. Holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitwardenConfig {
    /// The folder with `data.json`; a relative path starts at the data folder.
    pub path: PathBuf,
    /// A PEM file with roots to trust beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_ca: Option<PathBuf>,
    /// A proxy for all calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

/// A Bitwarden account's vault.
#[derive(Clone)]
pub struct BitwardenVault {
    name: String,
    config: BitwardenConfig,
    /// The sync under way, if any.
    sync: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl fmt::Debug for BitwardenVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BitwardenVault")
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl BitwardenVault {
    /// The account of a data folder.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            name: "bitwarden".to_owned(),
            config: BitwardenConfig { path: path.into(), ..BitwardenConfig::default() },
            sync: Arc::default(),
        }
    }

    /// Under the owner's name for it.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// With this way to the server; the path stays.
    #[must_use]
    pub fn over(mut self, config: &BitwardenConfig) -> Self {
        self.config = BitwardenConfig { path: self.config.path, ..config.clone() };
        self
    }

    /// Waits for a sync that an unlock has started, if one runs. For tests, which could only sleep otherwise.
    #[doc(hidden)]
    pub fn wait_for_sync(&self) {
        let running = self.sync.lock().ok().and_then(|mut running| running.take());
        if let Some(running) = running {
            let _ = running.join();
        }
    }

    fn folder(&self) -> Result<DataFolder, Error> {
        if !self.config.path.join("data.json").is_file() {
            return Err(Error::Bitwarden {
                detail: format!(
                    "there is no data.json in {}: log in with `bw login`, or name the right folder",
                    self.config.path.display()
                ),
            });
        }
        DataFolder::open(&self.config.path).map(|(folder, _)| folder).map_err(told)
    }

    fn sync_in_background(&self, document: &Document) {
        let last = document.account().ok().flatten().and_then(|a| a.last_sync().ok().flatten());
        let last = last.and_then(|t| OffsetDateTime::parse(&t, &Rfc3339).ok());
        if last.is_some_and(|at| now() - at < STALE_AFTER) {
            return;
        }
        let Ok(mut running) = self.sync.lock() else { return };
        if running.as_ref().is_some_and(|r| !r.is_finished()) {
            return;
        }
        let config = self.config.clone();
        *running = Some(std::thread::spawn(move || {
            // Whatever fails here, the copy at hand stays, and the next unlock tries again.
            let _ = sync(&config);
        }));
    }
}

impl Vault for BitwardenVault {
    fn describe(&self) -> VaultInfo {
        VaultInfo {
            provider: "bitwarden",
            name: self.name.clone(),
            location: self.config.path.display().to_string(),
            exists: self.config.path.join("data.json").is_file(),
            needs_password: true,
        }
    }

    fn unlock(&self, password: &SecretString) -> Result<Box<dyn OpenVault>, Error> {
        let folder = self.folder()?;
        let stamp = Stamp::of(&folder.file());
        let document = folder.read().map_err(told)?;
        let account =
            document.account().map_err(told)?.ok_or_else(|| told(durward_bitwarden::Error::NotLoggedIn))?;
        let password = secrecy::SecretString::from(password.expose_secret());
        let user = account.open_with_password(&password).map_err(told)?;
        drop(password);
        self.sync_in_background(&document);
        Ok(Box::new(OpenBitwarden { file: folder.file(), stamp, document, user }))
    }
}

/// The vault as it was at the unlock, with the user key. Dropping it wipes the key.
struct OpenBitwarden {
    file: PathBuf,
    stamp: Option<Stamp>,
    document: Document,
    user: UserKey,
}

impl OpenBitwarden {
    fn vault(&self) -> Result<durward_bitwarden::Vault<'_>, Error> {
        let account = self.document.account().map_err(told)?;
        let account = account.ok_or_else(|| told(durward_bitwarden::Error::NotLoggedIn))?;
        durward_bitwarden::Vault::with_user_key(account, self.user.clone()).map_err(told)
    }
}

impl OpenVault for OpenBitwarden {
    fn is_current(&self) -> bool {
        Stamp::of(&self.file) == self.stamp
    }

    fn find(&self, domain: &Domain) -> Result<Vec<Candidate>, Error> {
        let targets = Targets::new(domain);
        let mut found: Vec<Candidate> = self
            .vault()?
            .logins_for(&targets.all())
            .iter()
            .filter_map(|item| {
                Some(Candidate {
                    item_id: item.id.clone(),
                    name: item.name.expose().to_owned(),
                    username: item.login.as_ref()?.username.as_ref().map(|u| u.expose().to_owned()),
                    match_kind: targets.best(item).map(|(kind, _)| kind)?,
                })
            })
            .collect();
        found.sort_by_key(|candidate| candidate.match_kind);
        Ok(found)
    }

    fn read(
        &self,
        item_id: &str,
        fields: &[Field],
        domain: &Domain,
        now: OffsetDateTime,
    ) -> Result<Credential, Error> {
        let not_found = || Error::ItemNotFound { wanted: item_id.to_owned() };
        let item = self.vault()?.item(item_id, Wanted::Item).map_err(|_| not_found())?;
        // A term is not an id, and what was thrown away is not released.
        if item.id != item_id || item.deleted_date.is_some() || item.archived_date.is_some() {
            return Err(not_found());
        }
        let mut credential =
            Credential { item_id: item.id.clone(), domain: Some(domain.clone()), ..Credential::default() };
        for field in fields {
            if let Some(value) = value(&item, field, domain, now) {
                credential.set(field, value);
            }
        }
        Ok(credential)
    }
}

fn value(item: &Item, field: &Field, domain: &Domain, now: OffsetDateTime) -> Option<SecretString> {
    let secret = |text: &ItemText| SecretString::new(text.expose().to_owned());
    let login = item.login.as_ref();
    // An organisation may let the account use a password but not see it; releasing it would show it.
    let visible = login.filter(|l| l.visible);
    match field {
        Field::Username => login?.username.as_ref().map(secret),
        Field::Password => visible?.password.as_ref().map(secret),
        Field::Totp => {
            let setting = visible?.totp.as_ref()?;
            let at = u64::try_from(now.unix_timestamp()).ok()?;
            durward_bitwarden::totp::code(setting.expose(), at).map(SecretString::new)
        }
        Field::Uri => {
            let fitting = Targets::new(domain).best(item).map(|(_, uri)| uri);
            let uri = fitting.or_else(|| login?.uris.first().map(|u| u.uri.expose().to_owned()));
            uri.map(SecretString::new)
        }
        Field::Notes => item.notes.as_ref().map(secret),
        Field::Custom(name) => {
            let masked =
                item.fields.iter().any(|f| f.masked && f.name.as_ref().is_some_and(|n| n.expose() == name));
            if masked { None } else { item.custom(name).map(secret) }
        }
    }
}

/// The addresses a request for a domain stands for: it names no path and no scheme, so both usual forms are tried.
struct Targets<'a> {
    domain: &'a Domain,
    urls: [String; 2],
}

impl<'a> Targets<'a> {
    fn new(domain: &'a Domain) -> Self {
        let host =
            if domain.as_str().contains(':') { format!("[{domain}]") } else { domain.as_str().to_owned() };
        Self { domain, urls: [format!("https://{host}/"), format!("https://{host}")] }
    }

    fn all(&self) -> [&str; 2] {
        [&self.urls[0], &self.urls[1]]
    }

    /// The best of an item's addresses, by how its host relates to the domain.
    fn best(&self, item: &Item) -> Option<(MatchKind, String)> {
        let fitting = item.login.iter().flat_map(|l| &l.uris).filter(|uri| {
            let rule = UriMatch::from_rule(uri.rule);
            self.urls.iter().any(|url| rule.matches(uri.uri.expose(), url))
        });
        fitting
            .map(|uri| {
                let stored = uri_domain(uri.uri.expose());
                let kind = stored.and_then(|s| match_domain(&s, self.domain)).unwrap_or(MatchKind::Provider);
                (kind, uri.uri.expose().to_owned())
            })
            .min_by_key(|(kind, _)| *kind)
    }
}

/// Tells one version of the file from another.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Self { modified: metadata.modified().ok(), size: metadata.len() })
    }
}

fn sync(config: &BitwardenConfig) -> Result<(), Error> {
    let mut network = Network { extra_roots: Vec::new(), proxy: config.proxy.clone() };
    if let Some(path) = &config.extra_ca {
        network.extra_roots.push(fs::read(path).map_err(|source| Error::io("reading", path, source))?);
    }
    let (folder, _) = DataFolder::open(&config.path).map_err(told)?;
    let info = ClientInfo { version: CLIENT_VERSION.to_owned(), platform: Platform::current() };
    let client = Client::new(folder, info, network);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::io("starting a sync of", &config.path, source))?;
    runtime.block_on(async { client.connect(true)?.sync(false, now()).await }).map(drop).map_err(told)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a background sync happens at no moment that a caller could name"
)]
fn now() -> OffsetDateTime {
    OffsetDateTime::from(SystemTime::now())
}

fn told(error: durward_bitwarden::Error) -> Error {
    match error {
        durward_bitwarden::Error::WrongPassword => Error::WrongPassword,
        durward_bitwarden::Error::NotLoggedIn => {
            Error::Bitwarden { detail: "nobody is logged in: run `bw login`".to_owned() }
        }
        other => Error::Bitwarden { detail: other.to_string() },
    }
}
