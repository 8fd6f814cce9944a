//! What a server is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use durward_broker::accounts::AccountPolicy;
use durward_broker::approval::Settings;
use durward_protocol::{RestKeyKeeper, SecretString};
use durward_store::{Durability, Store};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::home::Home;
use crate::http::Network;
use crate::notify::Notifier;
use crate::tls::TlsConfig;

/// Everything but the vault.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of the agent plane.
    pub listen: SocketAddr,
    /// Address of the control plane's port; `None`: the socket only.
    pub control: Option<SocketAddr>,
    /// Web origins that may call the agent plane.
    pub allowed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<Network>,
    /// Whether an answered write is on disk even if power fails.
    pub durability: Durability,
    /// Lifetimes and bounds of sessions and requests.
    pub approval: Settings,
    /// The file with the owner's standing rules; read again when it changes.
    pub policy: Option<PathBuf>,
    /// Bounds of the HTTP servers.
    pub limits: Limits,
    /// A database other than the file in the data folder. Shown nowhere: it may hold a password.
    pub database_url: Option<Arc<SecretString>>,
    /// Where the rest key is kept; `None`: in `keys/rest.key` of the data folder.
    pub rest_key: Option<Arc<dyn RestKeyKeeper>>,
    /// Ways to tell the owner what waits, beside the screens that watch.
    pub notifiers: Vec<Arc<dyn Notifier>>,
    /// TLS on the agent plane.
    pub tls: Option<TlsConfig>,
    /// `/auth/*`; `None` switches accounts off.
    pub accounts: Option<AccountsConfig>,
    /// `/device/*` and `/pair/*`; `None` switches devices off.
    pub devices: Option<DevicesConfig>,
}

/// Devices of the same owner.
#[derive(Clone, Debug)]
pub struct DevicesConfig {
    /// This device's name where it has none yet; `None`: the machine's.
    pub name: Option<String>,
    /// Whether devices are looked for on the network.
    pub mdns: bool,
    /// Also when the agent plane listens on loopback only: for several on one machine.
    pub mdns_on_loopback: bool,
}

impl Default for DevicesConfig {
    fn default() -> Self {
        Self { name: None, mdns: true, mdns_on_loopback: false }
    }
}

/// Accounts and their keys.
#[derive(Clone, Debug, Default)]
pub struct AccountsConfig {
    /// Costs and bounds.
    pub policy: AccountPolicy,
    /// Program and arguments that read each alert as JSON from standard input.
    pub alert_command: Option<Vec<String>>,
}

/// The database of a server, or of the owner while none runs.
pub(crate) async fn open_store(
    home: &Home,
    url: Option<&SecretString>,
    durability: Durability,
) -> Result<Store, Error> {
    Ok(match url {
        Some(url) => Store::open_url(url.expose_secret(), durability).await?,
        None => Store::open_sqlite(&home.database(), durability)
            .await
            .map_err(|source| Error::Database { path: home.database(), source })?,
    })
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5000)),
            control: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9778))),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            durability: Durability::Normal,
            approval: Settings::default(),
            policy: None,
            limits: Limits::default(),
            database_url: None,
            rest_key: None,
            notifiers: Vec::new(),
            tls: None,
            accounts: Some(AccountsConfig::default()),
            devices: Some(DevicesConfig::default()),
        }
    }
}

/// The `[limits]` table of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections per plane.
    pub max_connections: usize,
    /// Bytes of a request body.
    pub max_body_bytes: usize,
    /// Seconds until the headers must be there; also how long an idle connection is kept.
    pub header_timeout_seconds: u64,
    /// Seconds until the body must be there.
    pub body_timeout_seconds: u64,
    /// Header lines of a request.
    pub max_headers: usize,
    /// Seconds a call is held when it does not say.
    pub default_wait_seconds: u64,
    /// Seconds a call can be held at most.
    pub max_wait_seconds: u64,
    /// Sessions of the SPAKE service.
    pub max_spake_sessions: usize,
    /// Connections of one address to the agent plane, off loopback; 0: no limit.
    pub max_connections_per_address: usize,
    /// Calls of one address on the agent plane within a minute, off loopback; 0: no limit.
    pub max_calls_per_address: u32,
    /// Pairings of one address that are not over, off loopback; 0: no limit.
    pub max_pairings_per_address: usize,
}

impl Limits {
    /// Those of the SPAKE service.
    pub(crate) fn spake(&self) -> durward_broker::spake::Limits {
        durward_broker::spake::Limits { max_sessions: self.max_spake_sessions, ..Default::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4_096,
            max_body_bytes: 65_536,
            header_timeout_seconds: 30,
            body_timeout_seconds: 10,
            max_headers: 64,
            default_wait_seconds: 60,
            max_wait_seconds: 300,
            max_spake_sessions: 4_096,
            max_connections_per_address: 256,
            max_calls_per_address: 6_000,
            max_pairings_per_address: 8,
        }
    }
}
