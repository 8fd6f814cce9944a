//! Opening a profile, pairing it with a person's help, and what goes wrong in the words of the exit codes.

use clap::Args;
use durward_client::{
    Agent, ApproverUrl, Begun, Config, DENIED_BY_PAUSE, DENIED_BY_RULE, Error, Pairing, PairingAsk,
};
use durward_protocol::{AgentId, AgentName, Domain, ErrorCode, Limits, RequestId, Scope};

use super::show;
use crate::approver::words::scope as scope_in_words;
use crate::env_vars;
use crate::exit::{CliError, CommandResult, Exit};
use crate::interrupt::Interrupt;
use crate::logging::{self, LogArgs};
use crate::paths::Paths;
use crate::rest_key;
use crate::terminal;

const DEFAULT_PROFILE: &str = "default";

/// Which profile, which approver.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConnectArgs {
    /// The agent's profile: its own id, session and pending requests. Several processes may share one.
    #[arg(long, value_name = "NAME", env = env_vars::DURWARD_AGENT, default_value = DEFAULT_PROFILE)]
    pub(crate) agent: String,
    /// The approver's address [default: where the profile reached it last, else http://127.0.0.1:5000].
    #[arg(long, value_name = "URL", env = env_vars::DURWARD_APPROVER)]
    pub(crate) approver: Option<String>,
    /// Print one JSON object on stdout; `run`, whose stdout is its command's, prints errors alone so.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to pair for, when this profile has to pair.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PairArgs {
    /// Pair anew although a session is stored.
    #[arg(long)]
    pub(crate) pair: bool,
    /// Accept an approver other than the one this profile was paired with.
    #[arg(long)]
    pub(crate) new_approver: bool,
    /// The name the owner reads while pairing [default: the profile's name].
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// Pair for this domain and its subdomains only. May be repeated.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) scope_domain: Vec<String>,
    /// Pair for this many credentials at most.
    #[arg(long, value_name = "N")]
    pub(crate) scope_uses: Option<u64>,
    /// End the session after this time: seconds, or with a unit, such as 90m or 8h.
    #[arg(long, value_name = "TIME", value_parser = crate::duration::parse_long_seconds)]
    pub(crate) scope_expires: Option<u64>,
}

impl PairArgs {
    fn ask(&self) -> Result<PairingAsk, CliError> {
        let domains: Result<Vec<Domain>, _> =
            self.scope_domain.iter().map(|text| Domain::from_input(text)).collect();
        let domains = domains.map_err(|error| usage("invalid_domain", &error))?;
        let limits = Limits {
            domains: Some(domains).filter(|domains| !domains.is_empty()),
            max_uses: self.scope_uses,
            expires_in: self.scope_expires,
        };
        let scope = Scope::new(&limits).map_err(|error| usage("invalid_scope", &error))?;
        Ok(PairingAsk { scope, accept_new_approver: self.new_approver })
    }
}

/// A single thread is enough for an agent, and starts sooner. The log is on stderr and says little: `DURWARD_LOG`
/// makes it say more.
pub(crate) fn block_on(future: impl Future<Output = CommandResult>) -> CommandResult {
    logging::start(&LogArgs::default(), "warn")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Exit::Other, "runtime", error.to_string()))?;
    let result = runtime.block_on(future);
    // A question that nobody answered is still being read.
    runtime.shutdown_background();
    result
}

impl ConnectArgs {
    /// Opens the profile. Writes nothing.
    pub(crate) fn open(&self, name: Option<&str>) -> Result<Agent, CliError> {
        let profile =
            AgentId::parse(&self.agent).ok().filter(|id| !id.as_str().starts_with('.')).ok_or_else(|| {
                let text =
                    "a profile's name has 1 to 64 of the characters A-Z a-z 0-9 . _ - and no dot in front";
                CliError::new(Exit::Usage, "invalid_agent", text)
            })?;
        let paths = Paths::discover()?;
        let agents = paths.agents();
        let mut config = Config::new(agents.join(profile.as_str()), agents.join(".keys"));
        config.rest_key = rest_key::of_agents(&paths)?;
        config.approver =
            self.approver.as_deref().map(str::parse::<ApproverUrl>).transpose().map_err(|error| {
                usage(error.code(), &error).hint("for example --approver http://127.0.0.1:5000")
            })?;
        let name = name.or(Some(self.agent.as_str()).filter(|name| *name != DEFAULT_PROFILE));
        config.agent_name =
            name.map(AgentName::parse).transpose().map_err(|error| usage("invalid_agent_name", &error))?;
        Agent::open(config).map_err(|error| explain(&error, None))
    }
}

/// Pairs if there is no session, or if a person asked for it.
pub(crate) async fn ensure_paired(agent: &Agent, args: &PairArgs) -> Result<(), CliError> {
    if let Some(session) = agent.session().filter(|_| !args.pair) {
        if !session.scope.is_within(&args.ask()?.scope) {
            terminal::sentence(&format!(
                "This profile is paired already, for: {}. Another scope counts when it pairs anew, with --pair.",
                scope_in_words(session.scope.limits())
            ));
        }
        return Ok(());
    }
    loop {
        match pair_once(agent, args).await {
            Err(Failed::Sdk(error @ (Error::WrongCode | Error::CodeExpired))) => {
                // Nothing makes another code by itself: a person asks for it.
                if !terminal::interactive() {
                    return Err(explain(&error, Some(agent)));
                }
                terminal::sentence(&format!("{error}."));
                if !show::confirm("Make a new code?").await? {
                    return Err(explain(&error, Some(agent)));
                }
            }
            Err(Failed::Sdk(error)) => return Err(explain(&error, Some(agent))),
            Err(Failed::Cli(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

enum Failed {
    Sdk(Error),
    Cli(CliError),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Sdk(error)
    }
}

async fn pair_once(agent: &Agent, args: &PairArgs) -> Result<(), Failed> {
    let ask = args.ask().map_err(Failed::Cli)?;
    let asked = ask.scope.clone();
    let mut interrupt = Interrupt::listen();
    let begun = tokio::select! {
        begun = agent.begin_pairing(ask) => begun?,
        () = interrupt.typed() => return Err(Failed::Cli(interrupted())),
    };
    let Begun::Waiting(pairing) = begun else { return Ok(()) };
    wait_for_owner(agent, *pairing, &asked).await
}

async fn wait_for_owner(agent: &Agent, pairing: Pairing<'_>, asked: &Scope) -> Result<(), Failed> {
    let mut interrupt = Interrupt::listen();
    show::number_code(agent, pairing.number_code());
    let canceller = pairing.canceller();
    let status = show::Status::start("waiting for the code to be typed at the approver");
    let session = tokio::select! {
        session = pairing.wait() => session,
        () = interrupt.typed() => {
            status.end();
            canceller.cancel().await;
            return Err(Failed::Cli(interrupted()));
        }
    };
    status.end();
    let session = session?;
    terminal::sentence(&format!("Paired. Both ends show: {}", session.fingerprint));
    if session.scope != *asked {
        let granted = scope_in_words(session.scope.limits());
        terminal::sentence(&format!("The owner narrowed the session: {granted}"));
    }
    Ok(())
}

/// Ctrl-C, or SIGTERM.
pub(crate) fn interrupted() -> CliError {
    CliError::new(Exit::Interrupted, "interrupted", "interrupted")
}

/// A wrong argument.
pub(crate) fn usage(code: &str, error: &impl std::fmt::Display) -> CliError {
    CliError::new(Exit::Usage, code, error.to_string())
}

/// An SDK error as exit code, text and hint.
pub(crate) fn explain(error: &Error, agent: Option<&Agent>) -> CliError {
    let (exit, hint) = classify(error, agent);
    let mut explained = CliError::new(exit, error.code(), error.to_string());
    explained.hint = hint;
    match error {
        Error::Pending { id } => explained.fact("request_id", id.to_string()),
        _ => explained,
    }
}

/// The same about a request. One that could not be followed to its end, and that the approver may have, is still there
/// to be waited for.
pub(crate) fn explain_request(error: &Error, agent: &Agent, id: RequestId) -> CliError {
    let explained = explain(error, Some(agent));
    if error.is_transient() && agent.pending_request(id).is_ok() {
        let hint = format!("`durward agent requests wait {id}` waits on for it");
        return explained.hint(hint).fact("request_id", id.to_string());
    }
    explained
}

fn classify(error: &Error, agent: Option<&Agent>) -> (Exit, Option<String>) {
    let hinted = |exit, hint: &str| (exit, Some(hint.to_owned()));
    match error {
        Error::InvalidApproverUrl { .. } => (Exit::Usage, None),
        Error::CannotConnect { .. } => {
            let local = agent.is_none_or(|agent| agent.approver().to_string().contains("127.0.0.1"));
            let elsewhere = if local { "" } else { " on that machine, or check --approver" };
            hinted(Exit::CannotConnect, &format!("start the approver with `durward up`{elsewhere}"))
        }
        Error::ConnectionLost { .. } => hinted(Exit::CannotConnect, "try again"),
        Error::Timeout | Error::Expired => hinted(Exit::TimedOut, "ask again"),
        Error::CodeExpired => hinted(Exit::TimedOut, "run the command again for a new code"),
        Error::WrongCode => hinted(
            Exit::Mismatch,
            "run the command again for a new code; if the right one was typed, somebody may be in between",
        ),
        Error::ApproverChanged { .. } => hinted(
            Exit::Mismatch,
            "if the approver was really set up anew, say --new-approver; else somebody may pose as it",
        ),
        Error::NotPaired => hinted(Exit::SessionFailed, "`durward request` pairs when it has to"),
        Error::RestKeyLost => hinted(Exit::SessionFailed, "forget it with `durward agent forget --local`"),
        Error::RestKeyPlace(_) => {
            hinted(Exit::SessionFailed, "unlock the keyring, then run the command again")
        }
        Error::SessionRevoked => hinted(Exit::SessionFailed, "pair again by running the command again"),
        Error::PairingRefused | Error::PairingEnded | Error::PairingBusy | Error::StaleRequest => {
            hinted(Exit::SessionFailed, "run the command again")
        }
        Error::BadAnswer { .. } => {
            hinted(Exit::SessionFailed, "check --approver; somebody may be in between")
        }
        Error::PairingPaused { .. } => {
            hinted(Exit::RateLimited, "find out who typed wrong codes before you pair again")
        }
        Error::ScopeWidened => (Exit::Refused, None),
        Error::Denied { reason: Some(word) }
            if [DENIED_BY_RULE, DENIED_BY_PAUSE].contains(&word.as_str()) =>
        {
            (Exit::Refused, None)
        }
        Error::Denied { .. } => (Exit::Denied, None),
        Error::NotFound { .. } | Error::UnknownRequest => (Exit::NotFound, None),
        Error::Cancelled => (Exit::Cancelled, None),
        Error::Pending { id } => {
            hinted(Exit::Pending, &format!("wait for it with `durward agent requests wait {id}`"))
        }
        Error::Refused { code, status, approver_time, .. } => refused(*code, *status, *approver_time),
        _ => (Exit::Other, None),
    }
}

fn refused(
    code: Option<ErrorCode>,
    status: u16,
    approver_time: Option<time::OffsetDateTime>,
) -> (Exit, Option<String>) {
    let pair_again =
        "add --pair to pair again; plain answers like this one never make the agent do it by itself";
    match code {
        Some(ErrorCode::SessionNotFound) => (Exit::SessionFailed, Some(pair_again.into())),
        Some(ErrorCode::StaleTimestamp) => {
            (Exit::SessionFailed, approver_time.map(|at| format!("the approver's clock says {at}")))
        }
        Some(ErrorCode::ConfirmationFailed) => (Exit::Mismatch, None),
        Some(ErrorCode::OutOfScope | ErrorCode::AgentPaused | ErrorCode::PairingClosed) => {
            (Exit::Refused, None)
        }
        Some(ErrorCode::VaultLocked | ErrorCode::WrongPassword) => (Exit::VaultLocked, None),
        Some(ErrorCode::TooManyPairings | ErrorCode::PairingPaused | ErrorCode::RateLimited) => {
            (Exit::RateLimited, None)
        }
        Some(ErrorCode::Timeout) => (Exit::TimedOut, None),
        Some(_) if status == 404 => (Exit::NotFound, None),
        Some(ErrorCode::BadEnvelope | ErrorCode::Replayed | ErrorCode::UnsupportedVersion) => {
            (Exit::SessionFailed, Some(pair_again.into()))
        }
        None => (Exit::CannotConnect, Some("check --approver".into())),
        Some(_) => (Exit::Other, None),
    }
}
