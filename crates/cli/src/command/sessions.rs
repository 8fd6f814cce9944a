//! `durward sessions`, `durward grants`, `durward pairing`

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use comfy_table::Table;
use durward_broker::approval::PausedWhy;
use durward_protocol::{AgentId, GrantId, Limits, PairingNumber, Scope, SecretString, SessionId, TypedCode};
use durward_server::control::api;
use serde_json::{Value, json};

use super::owner::{OutputArgs, RunsOnArgs, print, with_control};
use crate::approver;
use crate::control::SecretBody;
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal::{self, harmless};

/// List or revoke sessions of agents; pause and resume agents.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward sessions\n  durward sessions revoke 1\n  durward sessions revoke --all\n  \
    durward sessions pause flight-booking-001\n  durward sessions resume flight-booking-001"
)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    verb: Option<SessionsVerb>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum SessionsVerb {
    /// Live sessions (the default).
    List,
    /// End one at once: its key is wiped and what waits is denied.
    Revoke {
        /// Number in the list, session id, or agent id.
        which: Option<String>,
        /// All of them.
        #[arg(long, conflicts_with = "which")]
        all: bool,
    },
    /// Refuse an agent's new requests until it is resumed; what it had asked is denied.
    Pause {
        /// Number in the list, session id, or agent id.
        agent: String,
    },
    /// Let a paused agent ask again. An agent that was denied three times in a row is paused by itself.
    Resume {
        /// Number in the list, session id, or agent id.
        agent: String,
    },
    /// Agents that are paused.
    Paused,
}

pub(crate) fn sessions(args: SessionsArgs) -> CommandResult {
    let output = args.output;
    with_control(output, |control| async move {
        let list: api::Sessions = control.get("/sessions").await?;
        match args.verb.unwrap_or(SessionsVerb::List) {
            SessionsVerb::List => print(output, &list, |list| table(&list.sessions)),
            SessionsVerb::Revoke { which: None, all: false } => {
                Err(CliError::new(Exit::Usage, "usage", "say which session, or --all"))
            }
            SessionsVerb::Revoke { which, all } => {
                let id = which.map(|which| find_session(&list.sessions, &which)).transpose()?;
                let body = SecretBody::new(json!({ "session_id": id, "all": all }));
                let answer: Value = control.post("/session/revoke", body).await?;
                print(output, &answer, |_| "Revoked.".into())
            }
            SessionsVerb::Pause { agent } => {
                let agent_id = find_agent(&list.sessions, &agent)?;
                let body = SecretBody::new(api::SwitchAgent { agent_id: agent_id.clone() });
                let done: api::Done = control.post("/agents/pause", body).await?;
                print(output, &done, |_| {
                    format!("{agent_id} is paused; `durward sessions resume {agent_id}` lets it ask again.")
                })
            }
            SessionsVerb::Resume { agent } => {
                let agent_id = find_agent(&list.sessions, &agent)?;
                let body = SecretBody::new(api::SwitchAgent { agent_id: agent_id.clone() });
                let done: api::Done = control.post("/agents/resume", body).await?;
                if done.done == 0 {
                    let text = format!("{agent_id} is not paused");
                    let error = CliError::new(Exit::NotFound, "agent_not_paused", text);
                    return Err(error.hint("`durward sessions paused` lists those that are"));
                }
                print(output, &done, |_| format!("{agent_id} may ask again."))
            }
            SessionsVerb::Paused => {
                let paused: api::PausedAgents = control.get("/agents/paused").await?;
                print(output, &paused, |paused| paused_table(&paused.agents))
            }
        }
    })
}

/// An agent need not have a session to be paused or resumed.
fn find_agent(sessions: &[api::SessionView], which: &str) -> Result<AgentId, CliError> {
    if let Ok(id) = find_session(sessions, which)
        && let Some(session) = sessions.iter().find(|session| session.session_id == id)
    {
        return Ok(session.agent_id.clone());
    }
    AgentId::parse(which).map_err(|error| CliError::new(Exit::Usage, "usage", error.to_string()))
}

fn paused_table(agents: &[api::PausedAgent]) -> String {
    if agents.is_empty() {
        return "No agent is paused.".into();
    }
    let mut table = plain_table(&["AGENT", "SINCE", "WHY"]);
    for agent in agents {
        let why = match agent.paused.why {
            PausedWhy::Owner => "you paused it",
            PausedWhy::Denied => "denied three times in a row",
        };
        table.add_row([agent.agent_id.to_string(), minutes(agent.paused.since.get()), why.to_owned()]);
    }
    table.trim_fmt()
}

fn find_session(sessions: &[api::SessionView], which: &str) -> Result<SessionId, CliError> {
    let by_number = which.parse::<usize>().ok().and_then(|n| sessions.get(n.checked_sub(1)?));
    let by_name =
        || sessions.iter().find(|s| s.session_id.to_string() == which || s.agent_id.as_str() == which);
    by_number.or_else(by_name).map(|session| session.session_id).ok_or_else(|| {
        CliError::new(Exit::NotFound, "session_not_found", format!("there is no session {}", harmless(which)))
            .hint("`durward sessions` lists them")
    })
}

fn agent(session: &api::SessionView) -> String {
    let on = session.runs_on.as_ref().map(|on| format!(" (on {})", on.name)).unwrap_or_default();
    let paused = if session.paused { " (paused)" } else { "" };
    format!("{}{on}{paused}", session.agent_id)
}

fn table(sessions: &[api::SessionView]) -> String {
    if sessions.is_empty() {
        return "No sessions.".into();
    }
    let mut table = plain_table(&["#", "AGENT", "NAME", "LAST USED", "IDLES OUT", "ENDS", "RELEASED", "KEY"]);
    for (i, s) in sessions.iter().enumerate() {
        table.add_row([
            (i + 1).to_string(),
            agent(s),
            harmless(s.agent_name.as_str()),
            minutes(s.last_used_at),
            minutes(s.idle_at),
            minutes(s.expires_at),
            s.uses.to_string(),
            s.fingerprint.clone(),
        ]);
    }
    table.trim_fmt()
}

/// List or end standing approvals.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward grants\n  durward grants end 1")]
pub(crate) struct GrantsArgs {
    #[command(subcommand)]
    verb: Option<GrantsVerb>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum GrantsVerb {
    /// Live grants (the default).
    List,
    /// End one.
    End {
        /// Number in the list, or grant id.
        which: String,
    },
}

pub(crate) fn grants(args: GrantsArgs) -> CommandResult {
    let output = args.output;
    with_control(output, |control| async move {
        let list: api::Grants = control.get("/grants").await?;
        match args.verb.unwrap_or(GrantsVerb::List) {
            GrantsVerb::List => print(output, &list, |list| grants_table(&list.grants)),
            GrantsVerb::End { which } => {
                let grant_id = find_grant(&list.grants, &which)?;
                let answer: Value =
                    control.post("/grants/end", SecretBody::new(api::EndGrant { grant_id })).await?;
                print(output, &answer, |_| "Ended.".into())
            }
        }
    })
}

fn find_grant(grants: &[api::GrantView], which: &str) -> Result<GrantId, CliError> {
    let by_number = which.parse::<usize>().ok().and_then(|n| grants.get(n.checked_sub(1)?));
    let found = by_number.or_else(|| grants.iter().find(|grant| grant.grant_id.to_string() == which));
    found.map(|grant| grant.grant_id).ok_or_else(|| {
        CliError::new(Exit::NotFound, "grant_not_found", format!("there is no grant {}", harmless(which)))
            .hint("`durward grants` lists them")
    })
}

fn grants_table(grants: &[api::GrantView]) -> String {
    if grants.is_empty() {
        return "No grants.".into();
    }
    let mut table = plain_table(&["#", "AGENT", "DOMAIN", "FIELDS", "UNTIL", "USES LEFT", "USED"]);
    for (i, g) in grants.iter().enumerate() {
        let fields: Vec<String> = g.fields.iter().map(|field| harmless(&field.to_string())).collect();
        table.add_row([
            (i + 1).to_string(),
            g.agent_id.to_string(),
            g.domain.to_string(),
            fields.join(", "),
            g.expires_at.map_or_else(|| "session".into(), minutes),
            g.uses_left.map_or_else(|| "any".into(), |n| n.to_string()),
            g.uses.to_string(),
        ]);
    }
    table.trim_fmt()
}

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
    List,
    /// Type the code that an agent shows, and wait until it is paired or not.
    Enter(EnterArgs),
    /// Refuse a waiting pairing.
    Refuse {
        /// Its number.
        number: Option<u8>,
        /// All of them.
        #[arg(long, conflicts_with = "number")]
        all: bool,
    },
    /// Let no agent pair until `open`.
    Close,
    /// Let agents pair again.
    Open,
}

#[derive(Debug, Args)]
struct EnterArgs {
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
    #[arg(long, value_name = "TIME", value_parser = super::owner::parse_seconds)]
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
                let paired: api::Paired = control.post("/pairings/enter", body).await?;
                print(output, &paired, |paired| approver::paired(&paired.session))
            }
            PairingVerb::Refuse { number: None, all: false } => {
                Err(CliError::new(Exit::Usage, "usage", "say which pairing, or --all"))
            }
            PairingVerb::Refuse { number, .. } => {
                let number = number.map(PairingNumber::try_from).transpose();
                let number =
                    number.map_err(|error| CliError::new(Exit::Usage, "usage", error.to_string()))?;
                let done: api::Done =
                    control.post("/pairings/refuse", SecretBody::new(api::RefusePairing { number })).await?;
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
    let mut line = zeroize::Zeroizing::new(String::new());
    if !enter.code_stdin {
        if !terminal::interactive() {
            return Err(CliError::new(
                Exit::Usage,
                "no_terminal",
                "there is no terminal to type the code on",
            )
            .hint("pipe it in with --code-stdin"));
        }
        terminal::ask("Code from the agent's screen: ");
    }
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| anyhow::anyhow!("cannot read the code: {error}"))?;
    line.parse().map_err(|error: durward_protocol::Error| {
        CliError::new(Exit::Usage, error.code().as_str(), error.to_string())
    })
}

fn pairings_table(list: &api::Pairings) -> String {
    let closed = if list.open { "" } else { "Pairing is closed; `durward pairing open` opens it.\n" };
    if list.pairings.is_empty() {
        return format!("{closed}No agent waits.");
    }
    let mut table = plain_table(&["NUMBER", "AGENT", "NAME", "SCOPE", "STATE"]);
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
    format!("{closed}{}", table.trim_fmt())
}

/// A table without lines: one row a line, fit for `awk`.
pub(crate) fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.to_vec());
    table
}

pub(crate) fn minutes(moment: time::OffsetDateTime) -> String {
    format!("{} {:02}:{:02}Z", moment.date(), moment.hour(), moment.minute())
}
