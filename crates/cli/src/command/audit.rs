//! `durward audit`

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use durward_broker::approval::{AuditRecord, agent_heads};
use durward_server::Home;
use durward_server::control::api;
use durward_store::{Durability, Store};
use time::OffsetDateTime;

use super::owner::{OutputArgs, print, print_verdict};
use super::serve::start_error;
use crate::control::{Control, Failure, SecretBody};
use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;
use crate::terminal::{self, harmless};

const PAGE: u32 = 1_000;

/// Read and check the audit log: append-only, each record chained to the one before.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward audit\n  durward audit tail -n 200 --json\n  durward audit verify\n  \
    durward audit export > audit.jsonl"
)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// How many records, without a command [default: 20].
    #[arg(short = 'n', long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    lines: Option<u32>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The newest records (the default).
    #[command(after_help = "Examples:\n  durward audit tail\n  durward audit tail -n 200 --json")]
    Tail {
        /// How many.
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        lines: u32,
    },
    /// Recompute the whole chain; exit 1 when it does not hold.
    #[command(after_help = "Examples:\n  durward audit verify")]
    Verify,
    /// Say that you know what `verify` misses: what agents have seen of the log begins anew.
    #[command(after_help = "Examples:\n  durward audit acknowledge")]
    Acknowledge,
    /// Every record as JSON, one a line, on stdout.
    #[command(after_help = "Examples:\n  durward audit export > audit.jsonl")]
    Export {
        /// Not here: the shell says where it goes.
        #[arg(hide = true, value_parser = refuse_file)]
        file: Option<String>,
    },
}

pub(crate) fn run(args: AuditArgs) -> CommandResult {
    let output = args.output;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| anyhow::anyhow!("cannot start: {error}"))?;
    let run = async {
        let log = Log::open().await?;
        match args.verb.unwrap_or(Verb::Tail { lines: args.lines.unwrap_or(20) }) {
            Verb::Tail { lines } => print(output, &api::AuditPage { records: log.tail(lines).await? }, tail),
            Verb::Verify => verify(output, &log.verify().await?),
            Verb::Acknowledge => log.acknowledge(output).await,
            Verb::Export { .. } => export(&log).await,
        }
    };
    runtime.block_on(run).map_err(|error: CliError| error.json(output.json))
}

/// For a file as an argument, which clap would call unexpected and no more.
fn refuse_file(_: &str) -> Result<String, String> {
    Err("the records go to stdout: durward audit export > FILE".into())
}

fn verify(output: OutputArgs, verdict: &api::AuditVerdict) -> CommandResult {
    print_verdict(output, verdict.ok, verdict, |verdict| match &verdict.problem {
        None if verdict.ok => {
            format!("{} records; the chain holds.{}", verdict.records, lines(&verdict.agents))
        }
        None => format!(
            "{} records; the chain holds, and something is missing.{}{}\nOnce you know why: `durward audit acknowledge`.",
            verdict.records,
            lines(&verdict.missing),
            lines(&verdict.agents)
        ),
        Some(problem) => {
            format!(
                "The log does not verify: {problem}.{}{}",
                lines(&verdict.missing),
                lines(&verdict.agents)
            )
        }
    })?;
    Ok(if verdict.ok { ExitCode::SUCCESS } else { ExitCode::from(Exit::Other as u8) })
}

fn lines(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("\n! {}.", harmless(problem))).collect()
}

async fn export(log: &Log) -> CommandResult {
    let mut after = 0;
    loop {
        let page = log.page(after).await?;
        let Some(last) = page.last() else { return Ok(ExitCode::SUCCESS) };
        after = last.n;
        for record in &page {
            let line =
                serde_json::to_string(record).map_err(|error| anyhow::anyhow!("cannot render: {error}"))?;
            terminal::out(&line);
        }
    }
}

fn tail(page: &api::AuditPage) -> String {
    if page.records.is_empty() {
        return "The audit log is empty.".into();
    }
    let lines: Vec<String> = page.records.iter().map(line).collect();
    lines.join("\n")
}

fn line(record: &AuditRecord) -> String {
    let Some(entry) = record.entry() else {
        return format!("{:>6}  (written by a newer version)  {}", record.n, harmless(&record.body));
    };
    let at = entry.at;
    let mut line = format!(
        "{:>6}  {} {:02}:{:02}:{:02}Z  {}",
        record.n,
        at.date(),
        at.hour(),
        at.minute(),
        at.second(),
        entry.event.as_str()
    );
    let mut add = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(line, "  {label}={}", harmless(&value));
        }
    };
    add("by", serde_json::to_value(entry.actor).ok().and_then(|v| v.as_str().map(str::to_owned)));
    add("agent", entry.agent_id.map(|id| id.to_string()));
    add("domain", entry.domain.map(|domain| domain.to_string()));
    let fields: Vec<String> = entry.fields.iter().map(ToString::to_string).collect();
    add("fields", Some(fields.join(",")).filter(|fields| !fields.is_empty()));
    add("outcome", entry.outcome);
    add("detail", entry.detail);
    line
}

/// The log, through the process that owns it, or from the store when none runs.
pub(super) enum Log {
    Running(Control),
    Stopped { store: Store, _lock: durward_server::HomeLock },
}

impl Log {
    pub(super) async fn open() -> Result<Self, CliError> {
        let paths = Paths::discover()?;
        let control = Control::at(paths.control_socket());
        if control.is_running().await {
            return Ok(Self::Running(control));
        }
        if !paths.data().exists() {
            return Err(CliError::new(Exit::NotFound, "no_log", "there is no audit log yet")
                .hint("it begins when the approver is started with `durward up`"));
        }
        let home = Home::open(paths.data()).map_err(start_error)?;
        let lock = home.lock().map_err(start_error)?;
        let store = Store::open_sqlite(&home.database(), Durability::Normal).await.map_err(store_error)?;
        Ok(Self::Stopped { store, _lock: lock })
    }

    async fn tail(&self, limit: u32) -> Result<Vec<AuditRecord>, CliError> {
        match self {
            Self::Running(control) => Ok(get(control, &format!("/audit?limit={limit}")).await?.records),
            Self::Stopped { store, .. } => store.audit_tail(limit).await.map_err(store_error),
        }
    }

    pub(super) async fn page(&self, after: u64) -> Result<Vec<AuditRecord>, CliError> {
        match self {
            Self::Running(control) => {
                Ok(get(control, &format!("/audit?after={after}&limit={PAGE}")).await?.records)
            }
            Self::Stopped { store, .. } => store.audit(after, PAGE).await.map_err(store_error),
        }
    }

    async fn verify(&self) -> Result<api::AuditVerdict, CliError> {
        match self {
            Self::Running(control) => Ok(control.get("/audit/verify").await?),
            Self::Stopped { store, .. } => {
                let stored = store.load(OffsetDateTime::UNIX_EPOCH).await.map_err(store_error)?;
                let agents = agent_heads(&stored.settings);
                durward_server::verify_audit(store, &agents).await.map_err(store_error)
            }
        }
    }

    async fn acknowledge(&self, output: OutputArgs) -> CommandResult {
        let Self::Running(control) = self else { return Err(Failure::NotRunning.into()) };
        let done: api::Done = control.post("/audit/acknowledge", SecretBody::default()).await?;
        print(output, &done, |_| "What agents have seen of the log begins anew.".into())
    }
}

async fn get(control: &Control, path: &str) -> Result<api::AuditPage, Failure> {
    control.get(path).await
}

fn store_error(error: durward_store::Error) -> CliError {
    CliError::new(Exit::Other, "store", error.to_string())
}
