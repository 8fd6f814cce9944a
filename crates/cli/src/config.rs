//! `config.toml`: what a flag or an environment variable does not say.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use durward_server::Limits;
use serde::{Deserialize, Serialize};

use crate::command::Mode;
use crate::exit::{CliError, Exit};
use crate::rest_key::Choice;

/// The file, with its defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FileConfig {
    /// Where agents ask the owner: `remote` or `local`.
    pub(crate) mode: Option<Mode>,
    /// Where the rest keys lie: `auto`, `keyring` or `file`.
    pub(crate) rest_key: Option<Choice>,
    /// `[server]`
    pub(crate) server: ServerTable,
    /// `[session]`
    pub(crate) session: SessionTable,
    /// `[devices]`
    pub(crate) devices: DevicesTable,
    /// `[notify]`
    pub(crate) notify: NotifyTable,
    /// `[limits]`
    pub(crate) limits: Limits,
}

/// `[server]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServerTable {
    /// Address of the agent plane.
    pub(crate) listen: Option<SocketAddr>,
    /// Address of the control port.
    pub(crate) control: Option<SocketAddr>,
    /// Whether there is a control port at all.
    pub(crate) control_port: Option<bool>,
    /// Web origins that may call the agent plane.
    pub(crate) allowed_origins: Vec<String>,
    /// `normal` or `full`.
    pub(crate) durability: Option<DurabilityWord>,
    /// PEM file with the certificate chain of the agent plane …
    pub(crate) tls_cert: Option<PathBuf>,
    /// … and with its key.
    pub(crate) tls_key: Option<PathBuf>,
    /// Whether there are accounts [true].
    pub(crate) accounts: Option<bool>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub(crate) trusted_proxies: Vec<String>,
    /// Program and arguments that read each alert as JSON from standard input.
    pub(crate) alert_command: Option<Vec<String>>,
    /// How long a device key lives, for example `90d` [until it is revoked].
    pub(crate) key_lifetime: Option<String>,
}

/// `[devices]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DevicesTable {
    /// Whether devices are paired with at all [true].
    pub(crate) enabled: Option<bool>,
    /// This device's name, when it has none yet.
    pub(crate) name: Option<String>,
    /// Whether devices are looked for on the network [true].
    pub(crate) mdns: Option<bool>,
}

/// `[notify]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NotifyTable {
    /// Whether the desktop shows what waits [false].
    pub(crate) desktop: Option<bool>,
    /// Program and arguments that read each notice as JSON from standard input.
    pub(crate) command: Option<Vec<String>>,
    /// Whether the full screen rings the terminal's bell for a new question [true].
    pub(crate) bell: Option<bool>,
}

/// How durable an answered write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DurabilityWord {
    /// Survives a killed process.
    Normal,
    /// Survives a power failure.
    Full,
}

/// `[session]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SessionTable {
    /// Minutes without an envelope after which a session ends; 30 unless set.
    pub(crate) idle_minutes: Option<u32>,
    /// Hours after which it ends in any case; 24 unless set.
    pub(crate) absolute_hours: Option<u32>,
    /// Minutes a request waits; 10 unless set.
    pub(crate) request_minutes: Option<u32>,
}

impl FileConfig {
    /// Reads the file; without one, the defaults.
    pub(crate) fn load(path: &Path) -> Result<Self, CliError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|message| {
                CliError::in_file("bad_config", &format!("{}: {message}", path.display()))
                    .hint("docs/operations.md lists the keys")
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(CliError::new(
                Exit::Other,
                "bad_config",
                format!("cannot read {}: {error}", path.display()),
            )),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The same, with what is wrong in one line.
    pub(crate) fn parse_briefly(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.message().replace('\n', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked() {
        let config =
            FileConfig::parse("[server]\nlisten = \"127.0.0.1:5050\"\n[limits]\nmax_connections = 10\n")
                .unwrap();
        assert_eq!(config.server.listen.map(|a| a.port()), Some(5050));
        assert_eq!(config.limits.max_connections, 10);
        assert!(FileConfig::parse("[server]\nlisen = \"127.0.0.1:1\"").unwrap_err().contains("lisen"));
        assert!(FileConfig::parse("[server]\nlisten = \"localhost\"").is_err());
        assert_eq!(FileConfig::parse("").unwrap(), FileConfig::default());
    }
}
