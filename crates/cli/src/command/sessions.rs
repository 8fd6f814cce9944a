//! `durward sessions`

use clap::{Args, Subcommand};
use durward_broker::approval::PausedWhy;
use durward_protocol::{AgentId, SessionId};
use durward_server::control::api;
use serde_json::{Value, json};

use super::owner::{OutputArgs, print, with_control};
use super::table::{minutes, plain_table};
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
