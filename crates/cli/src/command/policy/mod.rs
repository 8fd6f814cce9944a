//! `durward policy`

mod question;
mod replay;
mod suggest;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use durward_broker::approval::Policy;
use durward_server::control::api;
use serde_json::json;

use crate::command::owner::{OutputArgs, print, with_control};
use crate::control::SecretBody;
use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;

/// The standing rules in policy.toml: check the file, show what is in force, read it anew.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward policy check\n  durward policy check draft.toml\n  durward policy show\n  \
    durward policy test --agent ci-7 --domain git.example --at 2026-11-23T23:30:00+01:00\n  \
    durward policy replay --since 30d draft.toml\n  durward policy suggestions\n  durward policy reload"
)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Read a file and say what is wrong with it; no approver is needed.
    #[command(after_help = "Examples:\n  durward policy check\n  durward policy check draft.toml")]
    Check {
        /// Which [default: policy.toml in the configuration folder].
        file: Option<PathBuf>,
    },
    /// Which rule would decide a request, and why; no approver is needed.
    Test(question::TestArgs),
    /// Which requests of the past, by the audit log, would go another way under a file.
    Replay(replay::ReplayArgs),
    /// Rules that would have spared you questions (after three identical approvals): list them, accept one.
    Suggestions(suggest::SuggestionsArgs),
    /// The rules in force at the approver that runs here (the default).
    #[command(after_help = "Examples:\n  durward policy show --json")]
    Show,
    /// Read the file now. The approver also does so by itself when the file has changed.
    #[command(after_help = "Examples:\n  durward policy reload")]
    Reload,
}

pub(crate) fn run(args: PolicyArgs) -> CommandResult {
    let output = args.output;
    match args.verb.unwrap_or(Verb::Show) {
        Verb::Check { file } => check(output, file).map_err(|error| error.json(output.json)),
        Verb::Test(args) => question::run(output, &args).map_err(|error| error.json(output.json)),
        Verb::Replay(args) => replay::run(output, &args).map_err(|error| error.json(output.json)),
        Verb::Suggestions(args) => suggest::run(output, args),
        Verb::Show => with_control(output, |control| async move {
            let status: api::PolicyStatus = control.get("/policy").await?;
            print(output, &status, text)
        }),
        Verb::Reload => with_control(output, |control| async move {
            match control.post::<api::PolicyStatus>("/policy/reload", SecretBody::default()).await {
                Ok(status) => print(output, &status, text),
                // The approver says where the mistake is in one line; read here it is shown in the file.
                Err(failure) => Err(read(None).err().map_or_else(
                    || failure.into(),
                    |error| error.hint("the rules read before stay in force; docs/policy.md explains rules"),
                )),
            }
        }),
    }
}

fn check(output: OutputArgs, file: Option<PathBuf>) -> CommandResult {
    let (path, policy) = read(file)?;
    let rules = policy.rules();
    let result = json!({ "path": path, "version": policy.version(), "rules": rules });
    let zone =
        policy.zone().map_or_else(String::new, |zone| format!("\nDays and hours are those of {zone}."));
    print(output, &result, |_| format!("{}{zone}\nThe file is good.", numbered(&rules)))
}

/// A policy file: the one named, which must be there, or the owner's.
fn read(file: Option<PathBuf>) -> Result<(PathBuf, Policy), CliError> {
    let path = match file {
        Some(file) if !file.exists() => {
            let text = format!("there is no file {}", file.display());
            return Err(CliError::new(Exit::NotFound, "policy_not_found", text));
        }
        Some(file) => file,
        None => Paths::discover()?.policy_file(),
    };
    let policy = durward_server::read_policy(&path)
        .map_err(|text| CliError::in_file("bad_policy", &text).hint("docs/policy.md explains rules"))?;
    Ok((path, policy))
}

fn text(status: &api::PolicyStatus) -> String {
    let problem = status.problem.as_ref().map_or_else(String::new, |problem| {
        format!("\nThe file has a mistake; the rules above stay in force.\n{}", problem.trim_end())
    });
    format!("{}{problem}", numbered(&status.rules))
}

fn numbered(rules: &[String]) -> String {
    if rules.is_empty() {
        return "No rules: every request asks.".into();
    }
    let lines: Vec<String> =
        rules.iter().enumerate().map(|(i, rule)| format!("{:>3}  {rule}", i + 1)).collect();
    lines.join("\n")
}
