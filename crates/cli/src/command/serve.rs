//! `durward up`, `durward serve` (`daemon`), `durward approve`, `durward down`

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use durward_protocol::device::DeviceName;
use durward_server::{
    AccountsConfig, Clock, Config, DevicesConfig, Home, Network, Running, Server, TlsConfig, VaultSource,
};
use durward_store::Durability;
use durward_vault::Registry;
use time::Duration;

use super::owner::{OutputArgs, RunsOnArgs, parse_lifetime, parse_seconds, print, with_control};
use crate::approver;
use crate::config::{DurabilityWord, FileConfig};
use crate::control::{Control, SecretBody};
use crate::env_vars;
use crate::exit::{CliError, CommandResult, Exit};
use crate::harden::harden;
use crate::logging::{self, LogArgs};
use crate::notify;
use crate::paths::Paths;
use crate::rest_key;
use crate::secret_arg::SecretArg;
use crate::terminal;

/// Where the server listens.
#[derive(Debug, Default, Args)]
pub(crate) struct ListenArgs {
    /// Address of the agent plane [default: 127.0.0.1:5000].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<SocketAddr>,
    /// Port of the agent plane on 127.0.0.1; short for --listen 127.0.0.1:PORT.
    #[arg(long, env = env_vars::PORT, conflicts_with = "listen")]
    pub(super) port: Option<u16>,
    /// Address of the control port; loopback only [default: 127.0.0.1:9778].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) control: Option<SocketAddr>,
    /// Serve the control plane on its Unix socket only.
    #[arg(long, conflicts_with = "control")]
    pub(super) no_control_port: bool,
    /// Keep everything in this database: postgres://USER@HOST/DATABASE. Give a password in the variable
    /// or in ~/.pgpass, not here.
    #[arg(long, value_name = "URL", env = env_vars::DURWARD_DATABASE_URL, hide_env_values = true)]
    pub(super) database_url: Option<SecretArg>,
    /// Speak TLS on the agent plane: PEM file with the certificate chain.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The certificate's key, a PEM file. Both are read again when they change.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// Speak TLS with a certificate made here, for trials.
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub(super) tls_self_signed: bool,
    /// Serve no /auth/*: neither passphrases nor API keys are taken.
    #[arg(long)]
    pub(super) no_accounts: bool,
    /// A proxy, or a network of them, whose X-Forwarded-For counts. May be repeated.
    #[arg(long, value_name = "CIDR")]
    pub(super) trusted_proxy: Vec<Network>,
    /// A program that is told of guessing: it reads one JSON object from its standard input.
    #[arg(long, value_name = "PROGRAM")]
    pub(super) alert_command: Option<String>,
    /// How long a device key lives from its issue or rotation, for example 90d; without it, until it is revoked.
    #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
    pub(super) key_lifetime: Option<Duration>,
    /// Name of this device, when it has none yet [default: the machine's]. Later: `durward devices rename`.
    #[arg(long, value_name = "NAME")]
    pub(super) device_name: Option<String>,
    /// Do not look for devices on the network: addresses that were given are used alone.
    #[arg(long)]
    pub(super) no_mdns: bool,
    /// Look for devices on the loopback interface too, for several on one machine.
    #[arg(long, conflicts_with = "no_mdns")]
    pub(super) mdns_on_loopback: bool,
    /// Pair with no devices, and take nothing from them.
    #[arg(long, conflicts_with_all = ["device_name", "no_mdns", "mdns_on_loopback"])]
    pub(super) no_devices: bool,
}

/// Start the approver here: server, and the approver's screen in this terminal.
///
/// When one runs already, this attaches to it, as `durward approve` does.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward up\n  durward up --port 5050\n  durward up --keep-unlocked 10m\n  durward up --plain"
)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    approve: ApproveArgs,
}

/// Answer pairings and requests in this terminal, or over a pipe, one line an answer.
///
/// A terminal gets a full screen (`?` lists its keys); a pipe, `--plain` and TERM=dumb get one question
/// after the other.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward approve\n  durward approve --plain\n  durward approve --runs-on tablet\n  printf '12-847293\\ny\\n' | durward approve"
)]
pub(crate) struct ApproveArgs {
    /// After an approval keep the vault open for so long, instead of for that retrieval only.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    keep_unlocked: Option<u64>,
    /// Ask line by line, also on a terminal.
    #[arg(long)]
    plain: bool,
    /// Draw with ASCII characters only. Without UTF-8 in the locale this is the default.
    #[arg(long, conflicts_with = "plain")]
    ascii: bool,
    #[command(flatten)]
    runs_on: RunsOnArgs,
}

/// Run the server without prompts; answer with `durward approve` or the other commands.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward serve\n  durward serve --listen 127.0.0.1:5050 --log-json\n  durward serve --key-lifetime 90d"
)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Stop the approver that runs here.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn up(args: UpArgs) -> CommandResult {
    let paths = Paths::discover()?;
    let control = Control::at(paths.control_socket());
    let runtime = runtime()?;
    runtime.block_on(async move {
        if control.is_running().await {
            terminal::note("An approver runs already; attached to it. Its server goes on when you quit.");
            return approver::run(&control, &options(&paths, &args.approve, false)?).await;
        }
        let options = options(&paths, &args.approve, true)?;
        logging::start(&LogArgs::default(), "warn")?;
        welcome(&paths);
        let running = start(&paths, &args.listen).await?;
        terminal::note(&format!("The approver listens on http://{}. Ctrl-C stops it.", running.listen));
        warn_without_vault(&paths);
        let result = tokio::select! {
            result = approver::run(&control, &options) => result,
            () = terminated() => Ok(ExitCode::SUCCESS),
            () = reload_on_hangup(&running), if !options.full_screen() => Ok(ExitCode::SUCCESS),
        };
        running.stop().await;
        match result {
            Err(error) if error.exit == Exit::Interrupted => Ok(ExitCode::SUCCESS),
            other => other,
        }
    })
}

pub(crate) fn serve(args: ServeArgs) -> CommandResult {
    let paths = Paths::discover()?;
    logging::start(&args.log, "info")?;
    runtime()?.block_on(async move {
        let running = start(&paths, &args.listen).await?;
        tracing::info!(listen = %running.listen, control = ?running.control, "serving; answer with `durward approve`");
        warn_without_vault(&paths);
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = terminated() => {}
            () = running.stopping() => {}
            () = reload_on_hangup(&running) => {}
        }
        running.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn approve(args: ApproveArgs) -> CommandResult {
    let paths = Paths::discover()?;
    let control = Control::at(paths.control_socket());
    let options = options(&paths, &args, false)?;
    runtime()?.block_on(async move { approver::run(&control, &options).await })
}

pub(crate) fn down(args: DownArgs) -> CommandResult {
    with_control(args.output, |control| async move {
        let done: durward_server::control::api::Done =
            control.post("/shutdown", SecretBody::default()).await?;
        print(args.output, &done, |_| "The approver is stopping.".into())
    })
}

async fn start(paths: &Paths, listen: &ListenArgs) -> Result<Running, CliError> {
    harden();
    let file = FileConfig::load(&paths.config_file())?;
    let mut config = config(&file, listen)?;
    config.policy = Some(paths.policy_file());
    config.notifiers = notify::notifiers(&file.notify);
    config.rest_key = Some(rest_key::of_approver(paths)?);
    let home = Home::open(paths.data()).map_err(start_error)?;
    Server::start(config, home, vault_source(paths), Clock::system()).await.map_err(start_error)
}

fn start_error(error: durward_server::Error) -> CliError {
    let code = match &error {
        durward_server::Error::InUse { .. } => "in_use",
        durward_server::Error::PortTaken { .. } => "port_taken",
        durward_server::Error::RestKey(_) => "rest_key_unreachable",
        _ => "start_failed",
    };
    CliError::new(Exit::Other, code, error.to_string())
}

/// What is wrong with a configuration, if its words are right and its values are not.
pub(super) fn check(file: &FileConfig) -> Result<(), CliError> {
    config(file, &ListenArgs::default()).map(|_| ())
}

/// Flag, then environment (clap reads it), then file, then default.
pub(super) fn config(file: &FileConfig, listen: &ListenArgs) -> Result<Config, CliError> {
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
    if let Some(minutes) = file.session.idle_minutes {
        config.approval.session_idle = Duration::minutes(i64::from(minutes.max(1)));
    }
    if let Some(hours) = file.session.absolute_hours {
        config.approval.session_absolute = Duration::hours(i64::from(hours.max(1)));
    }
    if let Some(minutes) = file.session.request_minutes {
        config.approval.request_life = Duration::minutes(i64::from(minutes.max(1)));
    }
    config.database_url = listen.database_url.as_ref().map(SecretArg::shared);
    config.trusted_proxies = trusted_proxies(file, listen)?;
    config.tls = tls(file, listen)?;
    config.accounts = accounts(file, listen)?;
    config.devices = devices(file, listen)?;
    Ok(config)
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

/// The vault in use, looked up each time: `durward vault use` takes effect without a restart.
fn vault_source(paths: &Paths) -> VaultSource {
    let (registry, data) = (paths.vaults_file(), paths.data().clone());
    Box::new(move || {
        let registry = Registry::load(&registry)?;
        registry.vault(registry.in_use(), &data).map(Arc::from)
    })
}

fn warn_without_vault(paths: &Paths) {
    let exists = vault_source(paths)().is_ok_and(|vault| vault.describe().exists);
    if !exists {
        terminal::note("There is no vault yet: make one with `durward vault init` in another terminal.");
    }
}

/// The first run explains itself.
fn welcome(paths: &Paths) {
    if paths.data().join("durward.db").exists() {
        return;
    }
    terminal::note(&format!(
        "Welcome to Durward. Agents on this machine can now ask you for credentials.\n\
        \n  1. Make a vault, in another terminal:       durward vault init\n  \
        2. Put something into it:                   durward vault add example.com --username ada\n  \
        3. Let an agent ask, in another terminal:   durward request example.com --reason \"Try it\"\n  \
        4. It shows a number and a code: type them here. Both ends then show the same five words.\n  \
        5. Its request appears here: answer y or n. Nothing leaves the vault without your answer.\n\n\
        Everything lies in {}. If something does not work: durward doctor.\n",
        paths.data().display()
    ));
}

fn options(paths: &Paths, args: &ApproveArgs, owns_server: bool) -> Result<approver::Options, CliError> {
    let file = FileConfig::load(&paths.config_file())?;
    Ok(approver::Options {
        keep_unlocked_seconds: args.keep_unlocked,
        plain: args.plain,
        ascii: args.ascii,
        bell: file.notify.bell != Some(false),
        owns_server,
        runs_on: args.runs_on.said(),
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| CliError::new(Exit::Other, "start_failed", format!("cannot start: {error}")))
}

/// SIGHUP reads the policy anew. Never ends. The full screen does it by itself: it knows when its terminal was closed.
async fn reload_on_hangup(running: &Running) {
    let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else {
        return std::future::pending().await;
    };
    while signal.recv().await.is_some() {
        if running.reload_policy().is_ok() {
            tracing::info!("the policy was read anew");
        }
    }
    std::future::pending::<()>().await;
}

async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}
