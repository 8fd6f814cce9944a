//! `durward run`: a command that has secrets in its environment and nowhere else.

mod mask;
mod spawn;

use std::path::PathBuf;

use clap::Args;
use durward_protocol::{Field, SecretString};

use super::agent::{FetchArgs, Fetched, Question, block_on};
use super::reference::{self, Reference};
use crate::exit::{CliError, CommandResult, Exit};

/// Run a command with credentials in its environment.
///
/// The values are in the command's environment only. They are masked in what it writes to stdout and
/// stderr, which are pipes then; --no-mask leaves both as they are, for commands that need a terminal.
/// Signals are passed on, and the command's exit code is ours.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    durward run --domain db.internal --env PGPASSWORD=password --env PGUSER=username -- psql -c 'select 1'\n  \
    durward run --env-file .env.durward --expires 24h -- ./deploy.sh\n\n\
    A line of an --env-file is NAME=value; a value durward://DOMAIN/FIELD is asked for.")]
pub(crate) struct RunArgs {
    /// What the credential of --env is for.
    #[arg(long, short, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Put a field into a variable: VAR=field. May be repeated.
    #[arg(long, short, value_name = "VAR=FIELD", requires = "domain")]
    env: Vec<String>,
    /// Read variables from a file; values durward://DOMAIN/FIELD are asked for.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Why; the owner reads it [default: the command's name].
    #[arg(long, short)]
    reason: Option<String>,
    /// Leave the command's stdout and stderr alone.
    #[arg(long)]
    no_mask: bool,
    #[command(flatten)]
    ask: FetchArgs,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(args: RunArgs) -> CommandResult {
    let json = args.ask.json();
    block_on(run_command(args)).map_err(|error| error.json(json))
}

/// A variable: plain, or a field of a domain.
enum Variable {
    Plain(String, String),
    Secret(String, Reference),
}

async fn run_command(args: RunArgs) -> CommandResult {
    let variables = variables(&args)?;
    let program = args.command.first().map(String::as_str).unwrap_or_default();
    // Before the owner is bothered.
    spawn::check(program)?;
    let reason = args.reason.clone().unwrap_or_else(|| format!("run {program}"));
    let wanted = variables.iter().filter_map(|variable| match variable {
        Variable::Secret(_, reference) => Some(reference),
        Variable::Plain(..) => None,
    });
    let questions = reference::questions(wanted, &reason)?;
    let fetched = args.ask.fetch(questions).await?;
    let environment = environment(variables, &fetched)?;
    spawn::run(&args.command, environment, !args.no_mask).await
}

fn variables(args: &RunArgs) -> Result<Vec<Variable>, CliError> {
    let mut variables = Vec::new();
    if let Some(path) = &args.env_file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            CliError::new(Exit::Usage, "env_file", format!("cannot read {}: {error}", path.display()))
        })?;
        for (number, line) in text.lines().enumerate() {
            let at = |text: &str| bad_variable(&format!("{}:{}: {text}", path.display(), number + 1));
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let line = line.strip_prefix("export ").unwrap_or(line);
            let (name, value) = line.split_once('=').ok_or_else(|| at("a line is NAME=value"))?;
            let (name, value) = (checked_name(name.trim())?, unquoted(value.trim()));
            variables.push(if value.starts_with(reference::SCHEME) {
                Variable::Secret(name, Reference::parse(value).map_err(|error| at(&error.message))?)
            } else {
                Variable::Plain(name, value.to_owned())
            });
        }
    }
    let domain = args.domain.as_deref().unwrap_or_default();
    for pair in &args.env {
        let (name, field) = pair
            .split_once('=')
            .ok_or_else(|| bad_variable("--env takes VAR=field, for example PGPASSWORD=password"))?;
        let question = Question::parse(domain, &[field.to_owned()], "-")?;
        let field = question.fields.into_iter().next().unwrap_or(Field::Password);
        variables.push(Variable::Secret(checked_name(name)?, Reference { domain: question.domain, field }));
    }
    if !variables.iter().any(|variable| matches!(variable, Variable::Secret(..))) {
        return Err(bad_variable(
            "say what to put where: --domain DOMAIN --env VAR=field, or --env-file FILE",
        ));
    }
    Ok(variables)
}

fn checked_name(name: &str) -> Result<String, CliError> {
    if name.is_empty() || name.contains(['\0', '=']) || name.contains(char::is_whitespace) {
        return Err(bad_variable("a variable needs a name without blanks"));
    }
    Ok(name.to_owned())
}

fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

fn bad_variable(text: &str) -> CliError {
    CliError::new(Exit::Usage, "invalid_variable", text)
}

/// Names and values; the values from the answers are to be masked.
type Environment = Vec<(String, SecretString, bool)>;

fn environment(variables: Vec<Variable>, fetched: &[Fetched]) -> Result<Environment, CliError> {
    variables
        .into_iter()
        .map(|variable| match variable {
            Variable::Plain(name, value) => Ok((name, SecretString::new(value), false)),
            Variable::Secret(name, wanted) => {
                reference::resolve(&wanted, fetched).map(|value| (name, value.duplicate(), true))
            }
        })
        .collect()
}
