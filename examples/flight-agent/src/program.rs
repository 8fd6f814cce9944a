//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use durward_client::{Agent, ApproverUrl, Config};
use durward_flight_agent::airline::{Account, Airline};
use durward_flight_agent::browser::{Browser, Options};
use durward_flight_agent::ending::Ending;
use durward_flight_agent::flight::{Flights, Plan, fly};
use durward_flight_agent::owner::Owner;
use durward_flight_agent::site::{SKYWARD, Site};
use durward_protocol::AgentName;
use serde_json::json;
use url::Url;

const NAME: &str = "Flight Booking Agent";

/// Sign in to an airline with a credential that its owner releases, and search a flight.
///
/// Without --site it opens a demo airline of its own. Progress goes to stderr, flights to stdout. Exit codes are those
/// of `durward`: 0 flights, 2 no approver, 3 session over, 4 no login in the vault, 6 denied, 7 timed out.
#[derive(Debug, Parser)]
#[command(
    name = "flight-agent",
    version,
    after_help = "Examples:\n  \
    flight-agent --from JFK --to LHR --date 2026-12-24\n  \
    flight-agent --site https://www.aa.com --selectors sites/aa.toml --window --from JFK --to LHR --date 12/24/2026\n  \
    flight-agent --mode local --from JFK --to LHR --date 2026-12-24"
)]
struct Args {
    /// From which airport.
    #[arg(long)]
    from: String,
    /// To which airport.
    #[arg(long)]
    to: String,
    /// The day, as the site wants it typed.
    #[arg(long)]
    date: String,
    /// The airline's address [default: a demo airline that this program opens].
    #[arg(long, value_name = "URL")]
    site: Option<Url>,
    /// The file of selectors of that site [default: the demo airline's].
    #[arg(long, value_name = "FILE")]
    selectors: Option<PathBuf>,
    /// Where the owner is asked.
    #[arg(long, value_enum, default_value = "remote")]
    mode: Mode,
    /// The approver's address [default: where this agent paired last, else http://127.0.0.1:5000].
    #[arg(long, value_name = "URL")]
    approver: Option<ApproverUrl>,
    /// Pair anew although a session is stored.
    #[arg(long)]
    pair: bool,
    /// Where this agent keeps its session.
    #[arg(long, value_name = "FOLDER", env = "FLIGHT_AGENT_HOME", default_value_os_t = default_home())]
    home: PathBuf,
    /// The program for --mode local.
    #[arg(long, value_name = "PROGRAM", default_value = "durward")]
    durward: PathBuf,
    /// The browser [default: the first Chromium in PATH].
    #[arg(long, value_name = "PROGRAM")]
    browser: Option<PathBuf>,
    /// Show the browser's window.
    #[arg(long)]
    window: bool,
    /// Write the pages after sign-in into this folder.
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
    /// Print one JSON object on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// At an approver, which may be on another machine.
    Remote,
    /// On this terminal, by the program `durward`.
    Local,
}

/// `$XDG_STATE_HOME/flight-agent`, else `~/.local/state/flight-agent`.
fn default_home() -> PathBuf {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state.or_else(home).unwrap_or_else(|| PathBuf::from(".")).join("flight-agent")
}

pub(crate) fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    let json = args.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return finish(&Err(Ending::other(format!("Cannot start: {error}."))), json),
    };
    finish(&runtime.block_on(run(args)), json)
}

async fn run(args: Args) -> Result<Flights, Ending> {
    let site = site(&args)?;
    let owner = owner(&args)?;
    // Lives until the end of the flight.
    let airline = if args.site.is_none() {
        let opened = Airline::open(Account::demo()).await;
        Some(opened.map_err(|error| Ending::other(format!("Cannot open the demo airline: {error}.")))?)
    } else {
        None
    };
    let base = match (args.site, &airline) {
        (Some(url), _) => url,
        (None, Some(airline)) => {
            Url::parse(&airline.url()).map_err(|error| Ending::other(error.to_string()))?
        }
        (None, None) => return Err(Ending::usage("Name a --site.")),
    };
    let plan = Plan { site, base, from: args.from, to: args.to, date: args.date, record: args.record };
    plan.site.vouch(&plan.base)?;
    until_interrupted(owner.meet(&plan.site.domain, args.pair, &say)).await?;
    let options = Options { program: args.browser, window: args.window };
    let mut browser = until_interrupted(Browser::start(&options)).await?;
    let outcome = until_interrupted(fly(&mut browser, &owner, &plan, &say)).await;
    owner.take_back().await;
    browser.close().await;
    outcome
}

/// Ctrl-C, or a request to end.
async fn until_interrupted<T>(work: impl Future<Output = Result<T, Ending>>) -> Result<T, Ending> {
    let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| Ending::other(format!("Cannot listen for signals: {error}.")))?;
    let interrupted = "Interrupted: the request is taken back and the browser closed.";
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err(Ending { exit: 130, sentence: interrupted.to_owned() }),
        _ = end.recv() => Err(Ending { exit: 130, sentence: interrupted.to_owned() }),
    }
}

fn site(args: &Args) -> Result<Site, Ending> {
    let Some(path) = &args.selectors else { return Site::parse(SKYWARD) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Ending::usage(format!("Cannot read {}: {error}.", path.display())))?;
    Site::parse(&text)
}

fn owner(args: &Args) -> Result<Owner, Ending> {
    if args.mode == Mode::Local {
        return Ok(Owner::Local(args.durward.clone()));
    }
    let mut config = Config::new(args.home.join("profile"), args.home.join("keys"));
    config.approver.clone_from(&args.approver);
    config.agent_name = Some(AgentName::parse(NAME).map_err(|error| Ending::other(error.to_string()))?);
    Ok(Owner::remote(Agent::open(config)?))
}

fn say(sentence: &str) {
    eprintln!("{sentence}");
}

fn finish(outcome: &Result<Flights, Ending>, json: bool) -> ExitCode {
    match outcome {
        Ok(flights) if json => {
            println!("{}", json!({ "success": true, "account": flights.account, "flights": flights.lines }));
        }
        Ok(flights) => flights.lines.iter().for_each(|line| println!("{line}")),
        Err(ending) => {
            eprintln!("{ending}");
            if json {
                let error = json!({ "exit": ending.exit, "message": ending.sentence });
                println!("{}", json!({ "success": false, "error": error }));
            }
        }
    }
    ExitCode::from(outcome.as_ref().map_or_else(|ending| ending.exit, |_| 0))
}
