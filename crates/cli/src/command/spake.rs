//! `durward spake serve`

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use durward_server::token::{TokenScope, Tokens};
use durward_server::{Clock, Error, Home, Limits, SpakeAccess, SpakeConfig, SpakeServer};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::FileConfig;
use crate::env_vars;
use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;
use crate::terminal;

/// Password-authenticated key exchange for local applications.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  durward spake serve --port 5000")]
pub(crate) struct SpakeArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(ServeArgs),
}

/// Run the SPAKE service alone, on loopback.
///
/// An application on this machine hands it a password and a peer's public key and gets a shared secret. The same
/// calls are on the control port of `durward serve`; this command is for machines that need nothing else.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward spake serve --port 5000\n  PORT=5000 durward spake serve\n  \
    durward spake serve --listen '[::1]:5000'\n  durward spake serve --no-token\n  \
    curl -f http://localhost:5000/health")]
pub(crate) struct ServeArgs {
    /// Port; 0 takes a free one.
    #[arg(long, env = env_vars::PORT, default_value_t = 5000)]
    port: u16,
    /// Address, with or without a port: a loopback one.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_listen)]
    listen: Option<Listen>,
    /// Ask for no token: every local process of every user may call.
    #[arg(long)]
    no_token: bool,
    /// Log as JSON, one object a line.
    #[arg(long)]
    log_json: bool,
}

#[derive(Clone, Copy, Debug)]
struct Listen {
    ip: IpAddr,
    port: Option<u16>,
}

fn parse_listen(text: &str) -> Result<Listen, String> {
    let named = text.strip_prefix("localhost").filter(|rest| rest.is_empty() || rest.starts_with(':'));
    let text = named.map_or_else(|| text.to_owned(), |rest| format!("{}{rest}", Ipv4Addr::LOCALHOST));
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Listen { ip: address.ip(), port: Some(address.port()) });
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
    match bare.parse() {
        Ok(ip) => Ok(Listen { ip, port: None }),
        Err(_) => Err("write an address like 127.0.0.1, 127.0.0.1:5000 or [::1]:5000".to_owned()),
    }
}

pub(crate) fn run(args: SpakeArgs) -> CommandResult {
    match args.verb {
        Verb::Serve(args) => serve(&args),
    }
}

fn serve(args: &ServeArgs) -> CommandResult {
    harden();
    log_to_stderr(args.log_json);
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| CliError::new(Exit::Other, "runtime", error.to_string()))?;
    runtime.block_on(until_stopped(args))
}

async fn until_stopped(args: &ServeArgs) -> CommandResult {
    // Before the port answers, so that a stop is never missed.
    let caught = |kind| signal(kind).map_err(|error| CliError::new(Exit::Other, "signal", error.to_string()));
    let (mut interrupt, mut terminate) = (caught(SignalKind::interrupt())?, caught(SignalKind::terminate())?);
    let ip = args.listen.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |listen| listen.ip);
    let port = args.listen.and_then(|listen| listen.port).unwrap_or(args.port);
    let limits = limits(args.no_token)?;
    let (access, token_file) = access(args.no_token)?;
    let config = SpakeConfig { listen: SocketAddr::new(ip, port), access, limits };
    let running = SpakeServer::start(config, Clock::system()).await.map_err(|error| explain(&error))?;
    terminal::note(&format!("SPAKE service on http://{}", running.listen));
    match token_file {
        Some(path) => terminal::note(&format!("Token file: {path}")),
        None => terminal::note(
            "warning: --no-token: every process of every user of this machine may use this service",
        ),
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// `[limits]` of the configuration. Without a token the service needs no folder, and so there may be none.
fn limits(no_token: bool) -> Result<Limits, CliError> {
    match Paths::discover() {
        Ok(paths) => Ok(FileConfig::load(&paths.config_file())?.limits),
        Err(_) if no_token => Ok(Limits::default()),
        Err(error) => Err(error.into()),
    }
}

/// Who may call, and the file with the token.
fn access(no_token: bool) -> Result<(SpakeAccess, Option<String>), CliError> {
    if no_token {
        return Ok((SpakeAccess::Open, None));
    }
    let home = Home::open(Paths::discover()?.data()).map_err(|error| explain(&error))?;
    let file = Tokens::new(home.clone()).standard(TokenScope::Spake);
    Ok((SpakeAccess::Token(home), Some(file.display().to_string())))
}

fn explain(error: &Error) -> CliError {
    let (exit, code) = match error {
        Error::SpakeNotLoopback(_) => (Exit::Usage, "not_loopback"),
        Error::PortTaken { .. } => (Exit::CannotConnect, "port_taken"),
        Error::Listen { .. } => (Exit::CannotConnect, "cannot_listen"),
        Error::File { .. } => (Exit::Other, "file"),
        _ => (Exit::Other, "error"),
    };
    CliError::new(exit, code, error.to_string())
}

/// No core dump and no other process's debugger: passwords and secrets are in this process's memory.
fn harden() {
    use nix::sys::resource::{Resource, setrlimit};
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0); // a container may forbid even that
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_dumpable(false);
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
}

fn log_to_stderr(json: bool) {
    let filter = EnvFilter::try_from_env(env_vars::DURWARD_LOG).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if json { builder.json().try_init() } else { builder.with_ansi(false).try_init() };
    if let Err(error) = set {
        terminal::note(&format!("warning: no log is written: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let parse = |text: &str| parse_listen(text).ok().map(|listen| (listen.ip.to_string(), listen.port));
        assert_eq!(parse("127.0.0.1"), Some(("127.0.0.1".into(), None)));
        assert_eq!(parse("localhost:1"), Some(("127.0.0.1".into(), Some(1))));
        assert_eq!(parse("localhost"), Some(("127.0.0.1".into(), None)));
        assert_eq!(parse("[::1]:7"), Some(("::1".into(), Some(7))));
        assert_eq!(parse("::1"), Some(("::1".into(), None)));
        assert_eq!(
            parse("0.0.0.0:5000"),
            Some(("0.0.0.0".into(), Some(5000))),
            "refused later, with the reason"
        );
        for bad in ["", "localhostile", "example.com", "127.0.0.1:99999", ":5000"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
