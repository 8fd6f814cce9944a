//! `durward pairing`

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use durward_protocol::{ErrorCode, Limits, PairingNumber, Scope, SecretString, TypedCode};
use durward_server::control::api;

use super::owner::{OutputArgs, RunsOnArgs, print, with_control};
use super::table::Fitted;
use crate::approver;
use crate::control::{Failure, SecretBody};
use crate::duration::parse_seconds;
use crate::exit::{CliError, CommandResult, Exit};
use crate::prompt;
use crate::terminal::harmless;

/// Pairings that wait; type a code, refuse, close or open.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward pairing\n  durward pairing enter            # asks for the code\n  \
    echo 12-847293 | durward pairing enter --code-stdin --scope-domain example.com\n  \
    durward pairing enter --runs-on tablet\n  durward pairing refuse --all\n  durward pairing close"
)]
pub(crate) struct PairingArgs {
    #[command(subcommand)]
    verb: Option<PairingVerb>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum PairingVerb {
    /// Pairings that wait (the default).
    #[command(after_help = "Examples:\n  durward pairing list --json")]
    List,
    Enter(EnterArgs),
    /// Refuse a waiting pairing.
    #[command(after_help = "Examples:\n  durward pairing refuse 12\n  durward pairing refuse --all")]
    Refuse {
        /// Its number.
        number: Option<u8>,
        /// All of them.
        #[arg(long, conflicts_with = "number")]
        all: bool,
    },
    /// Let no agent pair until `open`.
    #[command(after_help = "Examples:\n  durward pairing close")]
    Close,
    /// Let agents pair again.
    #[command(after_help = "Examples:\n  durward pairing open")]
    Open,
}

/// Type the code that an agent shows, and wait until it is paired or not.
///
/// The code is asked for, or read from stdin: never an argument, where every program on the machine can read it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward pairing enter            # asks for the code\n  \
    echo 12-847293 | durward pairing enter --code-stdin\n  durward pairing enter --scope-domain example.com --scope-expires 1h")]
struct EnterArgs {
    /// Not here: it is asked for.
    #[arg(hide = true, value_parser = refuse_code)]
    code: Option<String>,
    /// Read the code (12-847293, or six digits while one agent waits) from stdin.
    #[arg(long)]
    code_stdin: bool,
    /// Let rules of the policy that name this agent id count; without it only their denials do.
    #[arg(long)]
    apply_rules: bool,
    /// Grant only this domain and its subdomains. May be repeated.
    #[arg(long, value_name = "DOMAIN")]
    scope_domain: Vec<String>,
    /// Grant only so many releases.
    #[arg(long, value_name = "N")]
    scope_uses: Option<u64>,
    /// End the session after so long.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    scope_expires: Option<u64>,
    #[command(flatten)]
    runs_on: RunsOnArgs,
}

pub(crate) fn pairing(args: PairingArgs) -> CommandResult {
    let output = args.output;
    let code = match &args.verb {
        Some(PairingVerb::Enter(enter)) => Some(read_code(enter).map_err(|error| error.json(output.json))?),
        _ => None,
    };
    with_control(output, |control| async move {
        match args.verb.unwrap_or(PairingVerb::List) {
            PairingVerb::List => {
                let list: api::Pairings = control.get("/pairings").await?;
                print(output, &list, pairings_table)
            }
            PairingVerb::Enter(enter) => {
                let typed = code.ok_or_else(|| CliError::new(Exit::Usage, "usage", "no code"))?;
                let scope = enter.scope()?;
                let mut body = SecretBody::default()
                    .set("number", typed.number)
                    .set("apply_rules", enter.apply_rules)
                    .secret("code", &SecretString::new(typed.code.expose_digits().to_owned()));
                if let Some(scope) = scope {
                    body = body.set("scope", scope.as_str());
                }
                if let Some(on) = enter.runs_on.said() {
                    let device = super::device::device_id(&control, &on.device).await?;
                    body = body.set("runs_on", device).set("device_may_answer", on.may_answer);
                }
                let paired: api::Paired = control.post("/pairings/enter", body).await.map_err(for_owner)?;
                print(output, &paired, |paired| approver::paired(&paired.session))
            }
            PairingVerb::Refuse { number: None, all: false } => {
                Err(CliError::new(Exit::Usage, "usage", "say which pairing, or --all"))
            }
            PairingVerb::Refuse { number, .. } => {
                let number = number.map(PairingNumber::try_from).transpose();
                let number =
                    number.map_err(|error| CliError::new(Exit::Usage, "usage", error.to_string()))?;
                let body = SecretBody::new(api::RefusePairing { number });
                let done: api::Done = control.post("/pairings/refuse", body).await.map_err(for_owner)?;
                print(output, &done, |done| format!("Refused {}.", done.done))
            }
            PairingVerb::Close => {
                let done: api::Done = control.post("/pairings/close", SecretBody::default()).await?;
                print(output, &done, |_| "Pairing is closed; `durward pairing open` opens it.".into())
            }
            PairingVerb::Open => {
                let done: api::Done = control.post("/pairings/open", SecretBody::default()).await?;
                print(output, &done, |_| "Pairing is open.".into())
            }
        }
    })
}

/// The approver's answer is worded for an agent; its owner can do something else about it.
fn for_owner(failure: Failure) -> CliError {
    match failure {
        Failure::Refused(refusal) if refusal.is(ErrorCode::PairingNotFound) => {
            let text = "no agent waits for this: it gave up, or its number is another";
            CliError::new(Exit::NotFound, refusal.error, text).hint("`durward pairing` lists those that wait")
        }
        other => other.into(),
    }
}

/// For the code as an argument, which clap would call unexpected and no more.
fn refuse_code(_: &str) -> Result<String, String> {
    Err("a code is never an argument: leave it out and type it when asked, or pipe it in with --code-stdin"
        .into())
}

impl EnterArgs {
    fn scope(&self) -> Result<Option<Scope>, CliError> {
        let wrong = |error: durward_protocol::Error| CliError::new(Exit::Usage, "usage", error.to_string());
        let domains = self
            .scope_domain
            .iter()
            .map(|d| durward_protocol::Domain::from_input(d))
            .collect::<Result<Vec<_>, _>>();
        let domains = Some(domains.map_err(wrong)?).filter(|domains| !domains.is_empty());
        let limits = Limits { domains, max_uses: self.scope_uses, expires_in: self.scope_expires };
        if limits == Limits::default() {
            return Ok(None);
        }
        Scope::new(&limits).map(Some).map_err(wrong)
    }
}

/// The code is a secret for as long as it is good: never an argument.
fn read_code(enter: &EnterArgs) -> Result<TypedCode, CliError> {
    let line = if enter.code_stdin {
        prompt::stdin_line("the code")?
    } else {
        prompt::need_terminal("a code", "--code-stdin")?;
        SecretString::new(prompt::line("Code from the agent's screen: ")?)
    };
    line.expose_secret().parse().map_err(|error: durward_protocol::Error| {
        CliError::new(Exit::Usage, error.code().as_str(), error.to_string())
    })
}

fn pairings_table(list: &api::Pairings) -> String {
    let closed = if list.open { "" } else { "Pairing is closed; `durward pairing open` opens it.\n" };
    if list.pairings.is_empty() {
        return format!("{closed}No agent waits.");
    }
    let mut table = Fitted::new(&["NUMBER", "AGENT", "NAME", "SCOPE", "STATE"]);
    for p in &list.pairings {
        let mut state = if p.answered { "code typed".to_owned() } else { "waits for its code".to_owned() };
        if p.duplicate_claim {
            state.push_str("; name or id claimed twice");
        }
        if p.replaces.is_some() {
            state.push_str("; would replace a live session");
        }
        if !p.rules.is_empty() {
            let rules = match p.rules.len() {
                1 => "1 rule names it".to_owned(),
                count => format!("{count} rules name it"),
            };
            let _ = write!(state, "; {rules}: enter with --apply-rules to let them count");
        }
        let name = harmless(p.agent_name.as_str());
        table.add_row([p.number.to_string(), p.agent_id.to_string(), name, approver::scope(&p.scope), state]);
    }
    format!("{closed}{}", table.text(&["NAME", "SCOPE", "STATE"]))
}
