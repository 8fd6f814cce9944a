//! `durward agent sessions` and `durward agent status`

use clap::Args;
use durward_client::Agent;
use serde_json::{Value, json};

use super::connect::{ConnectArgs, block_on, explain};
use crate::approver::words::scope as scope_in_words;
use crate::exit::{CommandResult, Exit};
use crate::paths::Paths;
use crate::terminal;

/// List the profiles of this machine and their sessions; asks nobody.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward agent sessions\n  durward agent sessions --json")]
pub(crate) struct SessionsArgs {
    /// Print one JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Ask the approver whether the session lives, and until when.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  durward agent status --agent ci")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) fn sessions(args: &SessionsArgs) -> CommandResult {
    let mut list = Vec::new();
    for name in profile_names()? {
        let connect = ConnectArgs { agent: name.clone(), approver: None, json: args.json };
        match connect.open(None) {
            Ok(agent) => list.push(describe(&name, &agent)),
            Err(error) => list.push(json!({ "profile": name, "error": error.code })),
        }
    }
    if args.json {
        terminal::json(&json!({ "success": true, "sessions": list }));
        return Ok(Exit::success());
    }
    if list.is_empty() {
        terminal::note("No profile has paired yet; `durward request` does it when it has to.");
    }
    for entry in &list {
        terminal::out(&line(entry));
    }
    Ok(Exit::success())
}

pub(super) fn status(args: &StatusArgs) -> CommandResult {
    let json = args.connect.json;
    block_on(async {
        let agent = args.connect.open(None)?;
        let status = agent.status().await.map_err(|error| explain(&error, Some(&agent)))?;
        let mut entry = describe(&args.connect.agent, &agent);
        if let Some(object) = entry.as_object_mut() {
            object.insert("active".into(), status.active.into());
            object.insert("last_access".into(), status.last_access.to_string().into());
            object.insert("expires_at".into(), status.expires_at.to_string().into());
        }
        if json {
            terminal::json(&json!({ "success": true, "session": entry }));
        } else {
            terminal::out(&line(&entry));
            if let Some(session) = agent.session() {
                terminal::out(&format!("scope: {}", scope_in_words(session.scope.limits())));
            }
            terminal::out(&format!("active, last used {}, ends {}", status.last_access, status.expires_at));
        }
        Ok(Exit::success())
    })
    .map_err(|error| error.json(json))
}

fn profile_names() -> anyhow::Result<Vec<String>> {
    let entries = match std::fs::read_dir(Paths::discover()?.agents()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("profile.json").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

fn describe(name: &str, agent: &Agent) -> Value {
    let profile = agent.profile();
    let session = agent.session();
    json!({
        "profile": name,
        "agent_id": profile.agent_id.as_str(),
        "agent_name": profile.agent_name.as_str(),
        "approver": agent.approver().to_string(),
        "approver_id": profile.approver_id.map(|id| id.to_string()),
        "session_id": session.as_ref().map(|session| session.session_id.to_string()),
        "fingerprint": session.as_ref().map(|session| session.fingerprint.words()),
        "scope": session.as_ref().map(|session| session.scope.limits().clone()),
        "paired_at": session.as_ref().map(|session| session.created_at.to_string()),
        "pending_requests": agent.pending_requests().map(|list| list.len()).unwrap_or_default(),
    })
}

fn line(entry: &Value) -> String {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(terminal::harmless);
    let profile = text("profile").unwrap_or_default();
    if let Some(error) = text("error") {
        return format!("{profile}: unusable ({error})");
    }
    let (id, approver) = (text("agent_id").unwrap_or_default(), text("approver").unwrap_or_default());
    match text("fingerprint") {
        None => format!("{profile}: {id}, not paired"),
        Some(words) => format!(
            "{profile}: {id} at {approver}, paired {}\n  fingerprint: {words}",
            text("paired_at").unwrap_or_default()
        ),
    }
}
