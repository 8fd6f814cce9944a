//! `durward agent requests list|wait|cancel`

use clap::{Args, Subcommand};
use durward_protocol::RequestId;
use serde_json::json;

use super::connect::{ConnectArgs, block_on, explain, success};
use super::fetch::{WaitArgs, wait_for};
use crate::command::request::print_credential;
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal;

/// Requests without a verdict: list them, wait for one, cancel one.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  durward request example.com --reason \"Nightly report\" --no-wait\n  \
    durward agent requests list\n  durward agent requests wait vbqJ3kOQ0mYy1qf3n0m1Yw")]
pub(crate) struct RequestsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List them, oldest first.
    List {
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Wait for the verdict on one and print the credential.
    Wait {
        /// The request's id.
        id: String,
        #[command(flatten)]
        connect: ConnectArgs,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Take one back.
    Cancel {
        /// The request's id.
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
    if connect.json {
        terminal::out(&json!({ "success": true, "requests": requests }).to_string());
        return Ok(success());
    }
    if requests.is_empty() {
        terminal::note("Nothing is waiting.");
    }
    for request in requests {
        let reason = terminal::harmless(&request.reason);
        terminal::out(&format!("{}  {}  {}  {reason}", request.id, request.created_at, request.domain));
    }
    Ok(success())
}

async fn wait_one(connect: &ConnectArgs, id: &str, wait: &WaitArgs) -> CommandResult {
    let id = parse_id(id)?;
    let agent = connect.open(None)?;
    let request = agent.pending_request(id).map_err(|error| explain(&error, Some(&agent)))?;
    let answer = wait_for(&agent, &request, wait.wait()).await?;
    let approval = answer.map_err(|error| explain(&error, Some(&agent)))?;
    print_credential(&request.domain, &approval.credential, &request.fields, connect.json)
}

async fn cancel(connect: &ConnectArgs, id: &str) -> CommandResult {
    let id = parse_id(id)?;
    let agent = connect.open(None)?;
    let cancelled = agent.cancel(id).await.map_err(|error| explain(&error, Some(&agent)))?;
    if connect.json {
        terminal::out(&json!({ "success": true, "cancelled": cancelled }).to_string());
    } else {
        terminal::note(if cancelled { "Cancelled." } else { "It was not waiting any more." });
    }
    Ok(success())
}

fn parse_id(text: &str) -> Result<RequestId, CliError> {
    text.parse().map_err(|_| {
        CliError::new(Exit::Usage, "invalid_id", "not an id of a request")
            .hint("`durward agent requests list` shows them")
    })
}
