//! `durward agent forget`

use clap::Args;

use super::connect::{ConnectArgs, block_on, explain};
use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;
use crate::terminal;

/// End the session at the approver and forget its keys here.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward agent forget --agent ci\n  durward agent forget --local")]
pub(crate) struct ForgetArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Only forget here; the approver keeps its side until the session idles out.
    #[arg(long)]
    local: bool,
}

pub(super) fn run(args: &ForgetArgs) -> CommandResult {
    let json = args.connect.json;
    block_on(async {
        let agent = match args.connect.open(None) {
            // Keys that do not open are what one wants to forget.
            Err(error)
                if args.local && ["rest_key_lost", "rest_key_unreachable"].contains(&error.code.as_str()) =>
            {
                let folder = Paths::discover()?.agents().join(&args.connect.agent);
                let removed = std::fs::remove_file(folder.join("session.json"));
                removed.map_err(|error| CliError::new(Exit::Other, "state_unusable", error.to_string()))?;
                return Ok(done(json, true));
            }
            other => other?,
        };
        if agent.session().is_none() {
            agent.forget().map_err(|error| explain(&error, Some(&agent)))?;
            return Ok(done(json, false));
        }
        if args.local {
            agent.forget().map_err(|error| explain(&error, Some(&agent)))?;
        } else if let Err(error) = agent.revoke().await {
            let gone = error.code() == "session_not_found";
            if !gone {
                return Err(explain(&error, Some(&agent)).hint("add --local to forget it here all the same"));
            }
            // A person asked to forget: the approver's word that there is nothing left is enough.
            agent.forget().map_err(|error| explain(&error, Some(&agent)))?;
        }
        Ok(done(json, true))
    })
    .map_err(|error| error.json(json))
}

fn done(json: bool, forgotten: bool) -> std::process::ExitCode {
    if json {
        terminal::json(&serde_json::json!({ "success": true, "forgotten": forgotten }));
    } else {
        terminal::note(if forgotten {
            "Forgotten."
        } else {
            "This profile is not paired: there was nothing to forget."
        });
    }
    Exit::success()
}
