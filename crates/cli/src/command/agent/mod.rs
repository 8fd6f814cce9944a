//! `durward agent …`: what an agent keeps on its own side, and the parts `request`, `run` and `inject` share.

mod connect;
mod fetch;
mod forget;
mod profiles;
mod requests;
mod show;

use clap::{Args, Subcommand};

pub(crate) use connect::{ConnectArgs, PairArgs, block_on, explain};
pub(crate) use fetch::{FetchArgs, Fetched, Mode, ModeArgs, Question, WaitArgs, fetch};
pub(crate) use show::raw_value;

use crate::exit::CommandResult;

/// Sessions and pending requests on the agent's side.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward agent sessions\n  durward agent status --agent ci\n  durward agent requests list"
)]
pub(crate) struct AgentArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the profiles of this machine and their sessions; asks nobody.
    Sessions(profiles::SessionsArgs),
    /// Ask the approver whether the session lives, and until when.
    Status(profiles::StatusArgs),
    /// End the session at the approver and forget its keys here.
    Forget(forget::ForgetArgs),
    /// Requests without a verdict: list them, wait for one, cancel one.
    Requests(requests::RequestsArgs),
}

pub(crate) fn run(args: AgentArgs) -> CommandResult {
    match args.verb {
        Verb::Sessions(args) => profiles::sessions(&args),
        Verb::Status(args) => profiles::status(&args),
        Verb::Forget(args) => forget::run(&args),
        Verb::Requests(args) => requests::run(args),
    }
}
