//! The server's settings: flag, then environment, then config.toml, then default.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use durward_protocol::device::DeviceName;
use durward_server::{AccountsConfig, Config, DevicesConfig, Network, TlsConfig};
use durward_store::Durability;
use time::Duration;

use crate::config::{DurabilityWord, FileConfig};
use crate::duration::parse_lifetime;
use crate::env_vars;
use crate::exit::{CliError, Exit};
use crate::secret_arg::SecretArg;

/// Where the server listens.
#[derive(Debug, Default, Args)]
pub(crate) struct ListenArgs {
    /// Address of the agent plane [default: 127.0.0.1:5000].
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Port of the agent plane on 127.0.0.1; short for --listen 127.0.0.1:PORT.
    #[arg(long, env = env_vars::PORT, conflicts_with = "listen")]
    pub(crate) port: Option<u16>,
    /// Address of the control port; loopback only [default: 127.0.0.1:9778].
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_address)]
    pub(crate) control: Option<SocketAddr>,
    /// Serve the control plane on its Unix socket only.
    #[arg(long, conflicts_with = "control")]
    pub(crate) no_control_port: bool,
    /// Keep everything in this database: postgres://USER@HOST/DATABASE. Give a password in the variable
    /// or in ~/.pgpass, not here.
    #[arg(long, value_name = "URL", env = env_vars::DURWARD_DATABASE_URL, hide_env_values = true)]
    pub(crate) database_url: Option<SecretArg>,
    /// Speak TLS on the agent plane: PEM file with the certificate chain.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's key, a PEM file. Both are read again when they change.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Speak TLS with a certificate made here, for trials.
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub(crate) tls_self_signed: bool,
    /// Serve no /auth/*: neither passphrases nor API keys are taken.
    #[arg(long)]
    pub(crate) no_accounts: bool,
    /// A proxy, or a network of them, whose X-Forwarded-For counts. May be repeated.
    #[arg(long, value_name = "CIDR")]
    pub(crate) trusted_proxy: Vec<Network>,
    /// A program that is told of guessing: it reads one JSON object from its standard input.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) alert_command: Option<String>,
    /// How long a device key lives from its issue or rotation, for example 90d; without it, until it is revoked.
    #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
    pub(crate) key_lifetime: Option<Duration>,
    /// Name of this device, when it has none yet [default: the machine's]. Later: `durward devices rename`.
    #[arg(long, value_name = "NAME")]
    pub(crate) device_name: Option<String>,
    /// Do not look for devices on the network: addresses that were given are used alone.
    #[arg(long)]
    pub(crate) no_mdns: bool,
    /// Look for devices on the loopback interface too, for several on one machine.
    #[arg(long, conflicts_with = "no_mdns")]
    pub(crate) mdns_on_loopback: bool,
    /// Pair with no devices, and take nothing from them.
    #[arg(long, conflicts_with_all = ["device_name", "no_mdns", "mdns_on_loopback"])]
    pub(crate) no_devices: bool,
}

/// What is wrong with a configuration, if its words are right and its values are not.
pub(crate) fn check(file: &FileConfig) -> Result<(), CliError> {
    config(file, &ListenArgs::default()).map(|_| ())
}

/// Flag, then environment (clap reads it), then file, then default.
pub(crate) fn config(file: &FileConfig, listen: &ListenArgs) -> Result<Config, CliError> {
    let mut config = Config { limits: file.limits.clone(), ..Config::default() };
    let port = listen.port.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    if let Some(address) = listen.listen.or(port).or(file.server.listen) {
        config.listen = address;
    }
    if let Some(address) = listen.control.or(file.server.control) {
        config.control = Some(address);
    }
    if listen.no_control_port || file.server.control_port == Some(false) && listen.control.is_none() {
        config.control = None;
    }
    config.allowed_origins.clone_from(&file.server.allowed_origins);
    if file.server.durability == Some(DurabilityWord::Full) {
        config.durability = Durability::Full;
    }
    let (session, approval) = (&file.session, &mut config.approval);
    if let Some(minutes) = bounded("idle_minutes", session.idle_minutes, MAX_HOURS * 60)? {
        approval.session_idle = Duration::minutes(minutes);
    }
    if let Some(hours) = bounded("absolute_hours", session.absolute_hours, MAX_HOURS)? {
        approval.session_absolute = Duration::hours(hours);
    }
    if let Some(minutes) = bounded("request_minutes", session.request_minutes, MAX_REQUEST_MINUTES)? {
        approval.request_life = Duration::minutes(minutes);
    }
    config.database_url = listen.database_url.as_ref().map(SecretArg::shared);
    config.trusted_proxies = trusted_proxies(file, listen)?;
    config.tls = tls(file, listen)?;
    config.accounts = accounts(file, listen)?;
    config.devices = devices(file, listen)?;
    Ok(config)
}

/// The longest a session may last: a year. A moment has to stay one that the calendar knows.
const MAX_HOURS: u32 = 365 * 24;

/// The longest a request may wait unless its agent asks for less: a day, as on the wire.
const MAX_REQUEST_MINUTES: u32 = 24 * 60;

fn bounded(name: &str, value: Option<u32>, most: u32) -> Result<Option<i64>, CliError> {
    match value {
        Some(value) if value == 0 || value > most => {
            let text = format!("[session] {name} = {value}: must be between 1 and {most}");
            Err(CliError::new(Exit::Usage, "bad_config", text))
        }
        value => Ok(value.map(i64::from)),
    }
}

fn devices(file: &FileConfig, listen: &ListenArgs) -> Result<Option<DevicesConfig>, CliError> {
    let table = &file.devices;
    if listen.no_devices || table.enabled == Some(false) {
        return Ok(None);
    }
    let name = listen.device_name.clone().or_else(|| table.name.clone());
    if let Some(name) = &name {
        DeviceName::parse(name)
            .map_err(|error| CliError::new(Exit::Usage, "invalid_device_name", error.to_string()))?;
    }
    Ok(Some(DevicesConfig {
        name,
        mdns: !listen.no_mdns && table.mdns != Some(false),
        mdns_on_loopback: listen.mdns_on_loopback,
    }))
}

/// Half a pair in the file must not mean that TLS is off.
fn tls(file: &FileConfig, listen: &ListenArgs) -> Result<Option<TlsConfig>, CliError> {
    let named = match (file.server.tls_cert.clone(), file.server.tls_key.clone()) {
        (Some(_), None) => Err("tls_cert stands there without tls_key"),
        (None, Some(_)) => Err("tls_key stands there without tls_cert"),
        (certificate, key) => Ok(certificate.zip(key)),
    };
    let named = named.map_err(|what| {
        CliError::new(Exit::Usage, "bad_config", format!("[server] {what}: TLS needs both"))
    })?;
    if listen.tls_self_signed {
        return Ok(Some(TlsConfig::SelfSigned));
    }
    let files = listen.tls_cert.clone().zip(listen.tls_key.clone()).or(named);
    Ok(files.map(|(certificate, key)| TlsConfig::Files { certificate, key }))
}

fn trusted_proxies(file: &FileConfig, listen: &ListenArgs) -> Result<Vec<Network>, CliError> {
    if !listen.trusted_proxy.is_empty() {
        return Ok(listen.trusted_proxy.clone());
    }
    let named = file.server.trusted_proxies.iter().map(|text| text.parse());
    named.collect::<Result<_, _>>().map_err(|text: String| CliError::new(Exit::Usage, "bad_config", text))
}

fn accounts(file: &FileConfig, listen: &ListenArgs) -> Result<Option<AccountsConfig>, CliError> {
    if listen.no_accounts || file.server.accounts == Some(false) {
        return Ok(None);
    }
    let mut config = AccountsConfig::default();
    let flag = listen.alert_command.clone().map(|program| vec![program]);
    config.alert_command = flag.or_else(|| file.server.alert_command.clone());
    config.policy.key_lifetime = match (listen.key_lifetime, file.server.key_lifetime.as_deref()) {
        (Some(flag), _) => Some(flag),
        (None, Some(text)) => Some(parse_lifetime(text).map_err(|message| {
            CliError::new(Exit::Usage, "bad_config", format!("[server] key_lifetime = {text:?}: {message}"))
        })?),
        (None, None) => None,
    };
    Ok(Some(config))
}

/// An address with its port. A name may mean several addresses, and which of them is served matters.
fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| match text.strip_prefix("localhost:").unwrap_or(text).parse::<u16>() {
        Ok(port) => format!("use an address and a port, for example 127.0.0.1:{port}"),
        Err(_) => "use an address and a port, for example 127.0.0.1:5050 or [::1]:5050".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_before_the_calendar_does() {
        for (key, good, bad) in [
            ("idle_minutes", 525_600, 525_601),
            ("absolute_hours", 8_760, 100_000_000),
            ("request_minutes", 1_440, 1_441),
        ] {
            let read = |value: u32| {
                let file = FileConfig::parse_briefly(&format!("[session]\n{key} = {value}\n")).unwrap();
                config(&file, &ListenArgs::default()).map(drop)
            };
            assert!(read(1).is_ok() && read(good).is_ok(), "{key}");
            for bad in [0, bad, u32::MAX] {
                let error = read(bad).unwrap_err();
                assert!(
                    error.message.contains(&format!("{key} = {bad}: must be between 1 and {good}")),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn addresses_and_what_is_typed_instead() {
        assert_eq!(parse_address("[::1]:5050").map(|address| address.port()), Ok(5050));
        for (typed, example) in
            [("localhost:5051", "127.0.0.1:5051"), ("5051", "127.0.0.1:5051"), ("x", "127.0.0.1:5050")]
        {
            let said = parse_address(typed).unwrap_err();
            assert!(said.contains(example), "{typed}: {said}");
        }
    }
}
