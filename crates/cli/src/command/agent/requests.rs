//! `durward agent requests list|wait|cancel`

use std::time::Duration;

use clap::{Args, Subcommand};
use durward_client::{Agent, Clock as _, PendingRequest, SystemClock};
use durward_protocol::RequestId;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::connect::{ConnectArgs, block_on, explain, explain_request};
use super::fetch::{WaitArgs, wait_for};
use crate::command::request::print_credential;
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal;

/// How long the owner has at most. Where the request does not say, the approver does, which only it knows.
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// As much of a reason as a line of the list shows, in characters.
const LONGEST_REASON: usize = 60;

/// Requests without a verdict: list them, wait for one, cancel one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward request example.com --reason \"Nightly report\" --no-wait\n  \
    durward agent requests list\n  durward agent requests wait vbqJ3kOQ0mYy1qf3n0m1Yw")]
pub(crate) struct RequestsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List them, oldest first.
    #[command(after_help = "Example:\n  durward agent requests list --agent ci")]
    List {
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Wait for the verdict on one and print the credential.
    #[command(after_help = "Example:\n  durward agent requests wait vbqJ3kOQ0mYy1qf3n0m1Yw --wait 15m")]
    Wait {
        /// The request's id.
        #[arg(allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        connect: ConnectArgs,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Take one back.
    #[command(after_help = "Example:\n  durward agent requests cancel vbqJ3kOQ0mYy1qf3n0m1Yw")]
    Cancel {
        /// The request's id.
        #[arg(allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        connect: ConnectArgs,
    },
}

pub(super) fn run(args: RequestsArgs) -> CommandResult {
    match args.verb {
        Verb::List { connect } => list(&connect).map_err(|error| error.json(connect.json)),
        Verb::Wait { id, connect, wait } => {
            block_on(wait_one(&connect, &id, &wait)).map_err(|error| error.json(connect.json))
        }
        Verb::Cancel { id, connect } => {
            block_on(cancel(&connect, &id)).map_err(|error| error.json(connect.json))
        }
    }
}

fn list(connect: &ConnectArgs) -> CommandResult {
    let agent = connect.open(None)?;
    let requests = agent.pending_requests().map_err(|error| explain(&error, Some(&agent)))?;
    let now = SystemClock.now();
    if connect.json {
        let list: Vec<Value> =
            requests.iter().map(|request| as_json(request, state(&agent, request, now))).collect();
        terminal::json(&json!({ "success": true, "requests": list }));
        return Ok(Exit::success());
    }
    if requests.is_empty() {
        terminal::note("Nothing is waiting.");
        return Ok(Exit::success());
    }
    let rows = requests.iter().map(|request| {
        let asked = request.created_at.to_string();
        let (id, domain) = (request.id.to_string(), request.domain.to_string());
        vec![id, asked, state(&agent, request, now).to_owned(), domain, shortened(&request.reason)]
    });
    terminal::table(&["Request", "Asked", "State", "Domain", "Reason"], rows);
    Ok(Exit::success())
}

async fn wait_one(connect: &ConnectArgs, id: &str, wait: &WaitArgs) -> CommandResult {
    let id = parse_id(id)?;
    let agent = connect.open(None)?;
    let request = agent.pending_request(id).map_err(|error| explain(&error, Some(&agent)))?;
    let answer = wait_for(&agent, &request, wait.wait()).await?;
    let approval = answer.map_err(|error| explain_request(&error, &agent, id))?;
    print_credential(&request.domain, &approval.credential, &request.fields, connect.json)
}

async fn cancel(connect: &ConnectArgs, id: &str) -> CommandResult {
    let id = parse_id(id)?;
    let agent = connect.open(None)?;
    let cancelled = agent.cancel(id).await.map_err(|error| explain(&error, Some(&agent)))?;
    if connect.json {
        terminal::json(&json!({ "success": true, "cancelled": cancelled }));
    } else {
        terminal::note(if cancelled { "Cancelled." } else { "It was not waiting any more." });
    }
    Ok(Exit::success())
}

fn as_json(request: &PendingRequest, state: &str) -> Value {
    let mut value = json!(request);
    if let Some(object) = value.as_object_mut() {
        object.insert("state".to_owned(), state.into());
    }
    value
}

/// As far as this side knows: an answer is known only once it was waited for, and then the request is gone from here.
fn state(agent: &Agent, request: &PendingRequest, now: OffsetDateTime) -> &'static str {
    let life = request.expires_in.map_or(LONGEST_LIFE, Duration::from_secs).min(LONGEST_LIFE);
    if agent.session().is_none_or(|session| session.session_id != request.session_id) {
        "of an earlier session"
    } else if request.created_at.get() + life <= now {
        "answered or expired"
    } else {
        "open"
    }
}

fn shortened(reason: &str) -> String {
    match reason.char_indices().nth(LONGEST_REASON) {
        None => reason.to_owned(),
        Some((end, _)) => format!("{}…", reason.get(..end).unwrap_or_default()),
    }
}

fn parse_id(text: &str) -> Result<RequestId, CliError> {
    text.parse().map_err(|_| {
        CliError::new(Exit::Usage, "invalid_id", "not an id of a request")
            .hint("`durward agent requests list` shows them")
    })
}
