//! `durward up`, `durward serve` (`daemon`), `durward approve`, `durward down`

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use durward_server::{Clock, Home, Running, Server, VaultSource};
use durward_vault::Registry;

use super::owner::{OutputArgs, RunsOnArgs, print, with_control};
use crate::approver;
use crate::config::FileConfig;
use crate::control::{Control, SecretBody};
use crate::duration::parse_seconds;
use crate::exit::{CliError, CommandResult, Exit};
use crate::harden::harden;
use crate::logging::{self, LogArgs};
use crate::notify;
use crate::paths::Paths;
use crate::rest_key;
use crate::settings::{self, ListenArgs};
use crate::terminal;

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
    after_help = "Examples:\n  durward approve\n  durward approve --plain\n  durward approve --runs-on tablet"
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

/// How long `down` waits until the approver is gone. It finishes what is in flight first.
const STOP_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Stop the approver that runs here, and wait until it is gone.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward down\n  durward down --json")]
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
            return attached(&control, options(&paths, &args.approve, false)?).await;
        }
        let options = options(&paths, &args.approve, true)?;
        logging::start(&LogArgs::default(), "warn")?;
        // The full screen says all of this on itself; what was printed before it would be seen after it.
        let says_so_itself = options.full_screen();
        let first = !paths.data().join("durward.db").exists();
        let running = start(&paths, &args.listen).await?;
        if !says_so_itself {
            if first {
                welcome(&paths, &running.listen);
            }
            terminal::note(&format!("The approver listens on http://{}. Ctrl-C stops it.", running.listen));
            warn_without_vault(&paths);
        }
        let result = tokio::select! {
            result = approver::run(&control, &options) => result,
            () = terminated() => Ok(ExitCode::SUCCESS),
            () = reload_on_hangup(&running), if !options.full_screen() => Ok(ExitCode::SUCCESS),
        };
        running.stop().await;
        if result.is_ok() && !std::io::stdin().is_terminal() {
            terminal::note(
                "The input has ended, and the approver with it; `durward serve` runs without one.",
            );
        }
        match result {
            Err(error) if error.exit == Exit::Interrupted => Ok(ExitCode::SUCCESS),
            other => other,
        }
    })
}

/// At an approver that runs already, and says so where it is read.
async fn attached(control: &Control, mut options: approver::Options) -> CommandResult {
    let said = "An approver runs already; attached to it. Its server goes on when you quit.";
    if options.full_screen() {
        options.first_said = Some(said.to_owned());
    } else {
        terminal::note(said);
    }
    approver::run(control, &options).await
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
    runtime()?.block_on(approver::run(&control, &options))
}

pub(crate) fn down(args: DownArgs) -> CommandResult {
    with_control(args.output, |control| async move {
        let done: durward_server::control::api::Done =
            control.post("/shutdown", SecretBody::default()).await?;
        // Only now: opening makes the folder where there is none.
        let home = Home::open(Paths::discover()?.data()).map_err(start_error)?;
        let stopped = tokio::time::timeout(STOP_WITHIN, until_free(&home)).await.is_ok();
        print(args.output, &done, |_| {
            if stopped { "The approver has stopped." } else { "The approver is stopping." }.into()
        })
    })
}

/// Until nobody holds the folder, so that the next approver can start at once.
async fn until_free(home: &Home) {
    while home.lock().is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn start(paths: &Paths, listen: &ListenArgs) -> Result<Running, CliError> {
    harden();
    let file = FileConfig::load(&paths.config_file())?;
    let mut config = settings::config(&file, listen)?;
    config.policy = Some(paths.policy_file());
    config.notifiers = notify::notifiers(&file.notify);
    config.rest_key = Some(rest_key::of_approver(paths)?);
    let home = Home::open(paths.data()).map_err(start_error)?;
    let started = Server::start(config, home, vault_source(paths), Clock::system()).await;
    started.map_err(|error| match error {
        // What was typed is what has to be typed differently.
        durward_server::Error::PortTaken { address, flag: "--listen" } if listen.port.is_some() => {
            start_error(durward_server::Error::PortTaken { address, flag: "--port" })
        }
        error => start_error(error),
    })
}

pub(crate) fn start_error(error: durward_server::Error) -> CliError {
    let (exit, code) = match &error {
        durward_server::Error::InUse { .. } => (Exit::Other, "in_use"),
        durward_server::Error::PortTaken { .. } => (Exit::CannotConnect, "port_taken"),
        durward_server::Error::Listen { .. } => (Exit::CannotConnect, "cannot_listen"),
        durward_server::Error::FolderOpen { .. } | durward_server::Error::FolderOfAnother { .. } => {
            (Exit::Other, "folder_not_private")
        }
        durward_server::Error::RestKey(_) => (Exit::Other, "rest_key_unreachable"),
        _ => (Exit::Other, "start_failed"),
    };
    CliError::new(exit, code, error.to_string())
}

/// The vault in use, looked up each time: `durward vault use` takes effect without a restart.
fn vault_source(paths: &Paths) -> VaultSource {
    let (registry, data) = (paths.vaults_file(), paths.data().clone());
    Box::new(move || {
        let registry = Registry::load(&registry)?;
        registry.vault(registry.in_use(), &data).map(Arc::from)
    })
}

fn has_vault(paths: &Paths) -> bool {
    vault_source(paths)().is_ok_and(|vault| vault.describe().exists)
}

fn warn_without_vault(paths: &Paths) {
    if !has_vault(paths) {
        terminal::note("There is no vault yet: make one with `durward vault init` in another terminal.");
    }
}

/// The first run explains itself.
fn welcome(paths: &Paths, listen: &impl std::fmt::Display) {
    let mut steps = Vec::new();
    if !has_vault(paths) {
        steps.push("Make a vault, in another terminal:       durward vault init".to_owned());
    }
    let listen = listen.to_string();
    let approver =
        if listen == "127.0.0.1:5000" { String::new() } else { format!(" --approver http://{listen}") };
    steps.extend([
        "Put something into it:                   durward vault add example.com --username ada".to_owned(),
        format!("Let an agent ask, in another terminal:   durward request example.com --reason \"Try it\"{approver}"),
        "It shows a number and a code: type them here. Both ends then show the same five words.".to_owned(),
        "Its request appears here: answer y or n. Nothing leaves the vault without your answer.".to_owned(),
    ]);
    let steps: Vec<String> =
        steps.iter().enumerate().map(|(n, step)| format!("  {}. {step}\n", n + 1)).collect();
    terminal::note(&format!(
        "Welcome to Durward. Agents on this machine can now ask you for credentials.\n\n{}\n\
        Everything lies in {}. If something does not work: durward doctor.\n",
        steps.concat(),
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
        first_said: None,
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
