//! Getting credentials, remotely or on this terminal: what `request`, `run` and `inject` have in common.

use std::time::Duration;

use clap::{Args, ValueEnum};
use durward_client::{Agent, Approval, Ask, Error, PendingRequest, Wait};
use durward_protocol::{Domain, Field, MAX_REASON_BYTES};
use serde::{Deserialize, Serialize};

use super::connect::{ConnectArgs, PairArgs, ensure_paired, explain, explain_request, interrupted, usage};
use super::show::{Status, confirm};
use crate::command::local;
use crate::config::FileConfig;
use crate::env_vars;
use crate::exit::{CliError, Exit};
use crate::interrupt::Interrupt;
use crate::paths::Paths;
use crate::terminal;

/// Longest id of an item.
const MAX_ITEM_ID_BYTES: usize = 256;

/// How long telling the approver of a Ctrl-C may take.
const CANCEL_PATIENCE: Duration = Duration::from_secs(3);

/// A grant answers within this: then there is nothing to say.
const QUICK: Duration = Duration::from_millis(150);

/// Where the owner is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// On this terminal, in this process, without a network.
    Local,
    /// At an approver, over the agent plane.
    Remote,
}

/// Where the owner is asked: the flag, else the environment, else `mode` in config.toml, else remote.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ModeArgs {
    /// Where the owner is asked [default: `mode` in config.toml, else remote].
    #[arg(long, value_enum, env = env_vars::DURWARD_MODE)]
    mode: Option<Mode>,
}

impl ModeArgs {
    fn mode(&self) -> Result<Mode, CliError> {
        if let Some(mode) = self.mode {
            return Ok(mode);
        }
        let file = FileConfig::load(&Paths::discover()?.config_file())?;
        Ok(file.mode.unwrap_or(Mode::Remote))
    }
}

/// How long to wait.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct WaitArgs {
    /// Give up waiting for the decision after this time, such as 90, 90s or 15m, and exit with 11; the request stays
    /// [default: until it is decided]. Pairing, where it has to be done first, has five minutes of its own.
    #[arg(long, value_name = "TIME", value_parser = crate::duration::parse_long_seconds)]
    pub(crate) wait: Option<u64>,
    /// Only hand the request in and exit with 11; `durward agent requests wait ID` waits for it.
    #[arg(long, conflicts_with = "wait")]
    pub(crate) no_wait: bool,
}

impl WaitArgs {
    pub(crate) fn wait(&self) -> Wait {
        match (self.no_wait, self.wait) {
            (true, _) => Wait::AtMost(Duration::ZERO),
            (false, Some(seconds)) => Wait::AtMost(Duration::from_secs(seconds)),
            (false, None) => Wait::UntilDecided,
        }
    }
}

/// Everything about asking: where, of whom, for how long, and under which name to pair.
#[derive(Clone, Debug, Args)]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    wait: WaitArgs,
    /// How long the owner has to decide, such as 15m or 24h [default: the approver's, 10m].
    #[arg(long, value_name = "TIME", value_parser = crate::duration::parse_seconds)]
    expires: Option<u64>,
    /// Ask for this item of the vault, by its id: `credentialId` of an earlier answer.
    #[arg(long, value_name = "ID")]
    item: Option<String>,
    #[command(flatten)]
    pair: PairArgs,
}

impl FetchArgs {
    pub(crate) fn json(&self) -> bool {
        self.connect.json
    }

    /// Asks, if there is anything to ask.
    pub(crate) async fn fetch(&self, mut questions: Vec<Question>) -> Result<Vec<Fetched>, CliError> {
        if self.mode.mode()? == Mode::Local {
            self.is_for_local()?;
        }
        if let Some(item) = &self.item {
            let [question] = questions.as_mut_slice() else {
                return Err(refused("--item is of one domain: ask for nothing else in the same command"));
            };
            if !(1..=MAX_ITEM_ID_BYTES).contains(&item.len()) {
                return Err(refused("an item's id has 1 to 256 bytes"));
            }
            question.item = Some(item.clone());
        }
        for question in &mut questions {
            question.expires = self.expires;
        }
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        fetch(&self.mode, &self.connect, &self.pair, questions, self.wait.wait()).await
    }

    /// Local mode knows no approver, no session and no waiting: what is about them is not dropped without a word.
    fn is_for_local(&self) -> Result<(), CliError> {
        let approver = &self.connect.approver;
        let said = [
            ("--no-wait", self.wait.no_wait),
            ("--wait", self.wait.wait.is_some()),
            ("--expires", self.expires.is_some()),
            ("--pair", self.pair.pair),
            ("--new-approver", self.pair.new_approver),
            ("--scope-domain", !self.pair.scope_domain.is_empty()),
            ("--scope-uses", self.pair.scope_uses.is_some()),
            ("--scope-expires", self.pair.scope_expires.is_some()),
            // The variable may be there for other commands.
            ("--approver", approver.is_some() && *approver != std::env::var(env_vars::DURWARD_APPROVER).ok()),
        ];
        match said.into_iter().find(|(_, said)| *said) {
            None => Ok(()),
            Some((option, _)) => Err(refused(&format!(
                "{option} is about an approver, and local mode has none: leave it out, or say --mode remote"
            ))),
        }
    }
}

fn refused(text: &str) -> CliError {
    CliError::new(Exit::Usage, "usage", text)
}

/// One credential wanted.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) domain: Domain,
    pub(crate) fields: Vec<Field>,
    pub(crate) reason: String,
    /// A particular item.
    pub(crate) item: Option<String>,
    /// How long the owner has, in seconds.
    pub(crate) expires: Option<u64>,
}

impl Question {
    /// From what a person typed.
    pub(crate) fn parse(domain: &str, fields: &[String], reason: &str) -> Result<Self, CliError> {
        let domain = Domain::from_input(domain).map_err(|error| usage("invalid_domain", &error))?;
        let fields: Result<Vec<Field>, _> = fields.iter().map(|text| text.parse()).collect();
        let fields = fields.map_err(|error| usage("invalid_field", &error))?;
        if reason.trim().is_empty() || reason.len() > MAX_REASON_BYTES {
            let text = format!("give a reason of 1 to {MAX_REASON_BYTES} bytes; the owner reads it");
            return Err(CliError::new(Exit::Usage, "invalid_reason", text));
        }
        Ok(Self { domain, fields, reason: reason.to_owned(), item: None, expires: None })
    }
}

/// An answer to a question.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) domain: Domain,
    pub(crate) approval: Approval,
}

/// Asks one question after the other; pairs first if it has to.
pub(crate) async fn fetch(
    mode: &ModeArgs,
    connect: &ConnectArgs,
    pair: &PairArgs,
    questions: Vec<Question>,
    wait: Wait,
) -> Result<Vec<Fetched>, CliError> {
    if mode.mode()? == Mode::Local {
        return local::request(&connect.agent, pair.name.as_deref(), questions).await;
    }
    let agent = connect.open(pair.name.as_deref())?;
    ensure_paired(&agent, pair).await?;
    let mut fetched = Vec::with_capacity(questions.len());
    for question in questions {
        let domain = question.domain.clone();
        fetched.push(Fetched { domain, approval: ask(&agent, pair, question, wait).await? });
    }
    Ok(fetched)
}

async fn ask(agent: &Agent, pair: &PairArgs, question: Question, wait: Wait) -> Result<Approval, CliError> {
    loop {
        let mut ask =
            Ask::new(question.domain.clone(), question.reason.clone()).fields(question.fields.clone());
        ask.item_id.clone_from(&question.item);
        ask.expires_in = question.expires;
        let request = agent.prepare(ask).map_err(|error| explain(&error, Some(agent)))?;
        let error = match wait_for(agent, &request, wait).await? {
            Ok(approval) => return Ok(approval),
            Err(error) => error,
        };
        // A plain "no such session" may be a lie: a person decides whether to pair again.
        let gone = error.code() == "session_not_found" && terminal::interactive();
        if !gone || !confirm("The approver does not know this session any more. Pair again?").await? {
            return Err(explain_request(&error, agent, request.id));
        }
        ensure_paired(agent, &PairArgs { pair: true, ..pair.clone() }).await?;
    }
}

/// Waits for a verdict; Ctrl-C or SIGTERM takes the request back.
pub(crate) async fn wait_for(
    agent: &Agent,
    request: &PendingRequest,
    wait: Wait,
) -> Result<Result<Approval, Error>, CliError> {
    // Before anything is sent: an interrupt that ended the process later would leave the request at the approver.
    let mut interrupt = Interrupt::listen();
    let mut answer = std::pin::pin!(agent.request(request, wait));
    tokio::select! {
        answer = &mut answer => return Ok(answer),
        () = interrupt.typed() => return Err(take_back(agent, request).await),
        () = tokio::time::sleep(QUICK) => {}
    }
    let status = Status::start(&format!("waiting for the owner's decision on {}", request.domain));
    tokio::select! {
        answer = &mut answer => {
            match outcome(&answer) {
                Some(outcome) => status.end_with(outcome),
                None => status.end(),
            }
            Ok(answer)
        }
        () = interrupt.typed() => {
            status.end();
            Err(take_back(agent, request).await)
        }
    }
}

/// Tells the approver that nobody waits any more; what the command then ends with.
async fn take_back(agent: &Agent, request: &PendingRequest) -> CliError {
    let cancelled = tokio::time::timeout(CANCEL_PATIENCE, agent.cancel(request.id)).await;
    if !matches!(cancelled, Ok(Ok(_))) {
        terminal::note("could not tell the approver; the request ends there by itself");
    }
    interrupted()
}

/// How the owner decided, if that is what the wait ended with.
fn outcome(answer: &Result<Approval, Error>) -> Option<&'static str> {
    match answer {
        Ok(_) => Some("approved"),
        Err(Error::Denied { .. }) => Some("denied"),
        Err(Error::SessionRevoked) => Some("revoked"),
        Err(Error::Expired) => Some("expired"),
        Err(Error::Cancelled) => Some("cancelled"),
        Err(_) => None,
    }
}
