//! `durward sessions`

use clap::{Args, Subcommand};
use durward_broker::approval::PausedWhy;
use durward_protocol::AgentId;
use durward_server::control::api;
use serde_json::{Value, json};

use super::owner::{OutputArgs, print, with_control};
use super::table::{Fitted, minutes};
use crate::approver;
use crate::control::SecretBody;
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal::harmless;

/// List or revoke sessions of agents; pause and resume agents.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward sessions\n  durward sessions revoke 1\n  durward sessions revoke --all\n  \
    durward sessions pause flight-booking-001\n  durward sessions resume flight-booking-001"
)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    verb: Option<SessionsVerb>,
    /// Whole lines, however long: also what a narrow terminal has no room for.
    #[arg(long, global = true)]
    wide: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum SessionsVerb {
    /// Live sessions (the default).
    #[command(after_help = "Examples:\n  durward sessions list\n  durward sessions list --wide")]
    List,
    /// End one at once: its key is wiped and what waits is denied.
    #[command(after_help = "Examples:\n  durward sessions revoke 1\n  durward sessions revoke --all")]
    Revoke {
        /// Number in the list, session id, or agent id.
        which: Option<String>,
        /// All of them.
        #[arg(long, conflicts_with = "which")]
        all: bool,
    },
    /// Refuse an agent's new requests until it is resumed; what it had asked is denied.
    #[command(after_help = "Examples:\n  durward sessions pause flight-booking-001")]
    Pause {
        /// Number in the list, session id, or agent id.
        agent: String,
    },
    /// Let a paused agent ask again. An agent that was denied three times in a row is paused by itself.
    #[command(after_help = "Examples:\n  durward sessions resume flight-booking-001")]
    Resume {
        /// Number in the list, session id, or agent id.
        agent: String,
    },
    /// Agents that are paused.
    #[command(after_help = "Examples:\n  durward sessions paused")]
    Paused,
}

pub(crate) fn sessions(args: SessionsArgs) -> CommandResult {
    let output = args.output;
    with_control(output, |control| async move {
        let list: api::Sessions = control.get("/sessions").await?;
        match args.verb.unwrap_or(SessionsVerb::List) {
            SessionsVerb::List => print(output, &list, |list| table(&list.sessions, args.wide)),
            SessionsVerb::Revoke { which: None, all: false } => {
                Err(CliError::new(Exit::Usage, "usage", "say which session, or --all"))
            }
            SessionsVerb::Revoke { which, all } => {
                let session = which.map(|which| find_session(&list.sessions, &which)).transpose()?;
                let id = session.map(|session| session.session_id);
                let body = SecretBody::new(json!({ "session_id": id, "all": all }));
                let answer: Value = control.post("/session/revoke", body).await?;
                print(output, &answer, |answer| match (session, answer["done"].as_u64()) {
                    (Some(session), _) => format!("Revoked the session of {}.", named(session)),
                    (None, Some(0)) => "There was no session to revoke.".into(),
                    (None, Some(1)) => "Revoked 1 session.".into(),
                    (None, count) => format!("Revoked {} sessions.", count.unwrap_or_default()),
                })
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
    if let Ok(session) = find_session(sessions, which) {
        return Ok(session.agent_id.clone());
    }
    AgentId::parse(which).map_err(|error| CliError::new(Exit::Usage, "usage", error.to_string()))
}

fn paused_table(agents: &[api::PausedAgent]) -> String {
    if agents.is_empty() {
        return "No agent is paused.".into();
    }
    let mut table = Fitted::new(&["AGENT", "SINCE", "WHY"]);
    for agent in agents {
        let why = match agent.paused.why {
            PausedWhy::Owner => "you paused it",
            PausedWhy::Denied => "denied three times in a row",
        };
        table.add_row([agent.agent_id.to_string(), minutes(agent.paused.since.get()), why.to_owned()]);
    }
    table.text(&["WHY"])
}

fn find_session<'a>(sessions: &'a [api::SessionView], which: &str) -> Result<&'a api::SessionView, CliError> {
    let by_number = which.parse::<usize>().ok().and_then(|n| sessions.get(n.checked_sub(1)?));
    let by_name =
        || sessions.iter().find(|s| s.session_id.to_string() == which || s.agent_id.as_str() == which);
    by_number.or_else(by_name).ok_or_else(|| {
        CliError::new(Exit::NotFound, "session_not_found", format!("there is no session {}", harmless(which)))
            .hint("`durward sessions` lists them")
    })
}

fn named(session: &api::SessionView) -> String {
    format!("{} ({})", session.agent_id, harmless(session.agent_name.as_str()))
}

fn agent(session: &api::SessionView) -> String {
    let on = session.runs_on.as_ref().map(|on| format!(" (on {})", on.name)).unwrap_or_default();
    let paused = if session.paused { " (paused)" } else { "" };
    format!("{}{on}{paused}", session.agent_id)
}

/// Names and scopes are cut where the terminal is narrow; what is left of the words of the key is not worth comparing, and
/// `--wide` has them.
fn table(sessions: &[api::SessionView], wide: bool) -> String {
    if sessions.is_empty() {
        return "No sessions.".into();
    }
    let mut table =
        Fitted::new(&["#", "AGENT", "NAME", "SCOPE", "LAST USED", "IDLES OUT", "ENDS", "RELEASED", "KEY"]);
    for (i, s) in sessions.iter().enumerate() {
        table.add_row([
            (i + 1).to_string(),
            agent(s),
            harmless(s.agent_name.as_str()),
            approver::scope(&s.scope),
            minutes(s.last_used_at),
            minutes(s.idle_at),
            minutes(s.expires_at),
            s.uses.to_string(),
            s.fingerprint.clone(),
        ]);
    }
    table.wide(wide).drop_first(&["KEY", "LAST USED", "IDLES OUT"]).text(&["SCOPE", "NAME"])
}
