//! `durward credential-helper git|docker|aws`: other programs ask in their own words, the owner answers as always.

mod aws;
mod docker;
mod git;

use std::io::Read as _;

use clap::{Args, Subcommand};
use durward_protocol::{Credential, Field, SecretString};
use zeroize::Zeroizing;

use super::agent::{ConnectArgs, ModeArgs, PairArgs, Question, WaitArgs, block_on, fetch};
use crate::env_vars;
use crate::exit::{CliError, CommandResult, Exit};

/// The longest question of another program.
const MAX_QUESTION_BYTES: u64 = 64 * 1024;

/// Answer git, docker or the AWS programs in their own protocol: each of their questions is a request to the owner.
///
/// They are configured once and start this by themselves. Nothing is stored: what they want kept is dropped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    git config --global credential.helper '!durward credential-helper git'\n  \
    printf 'protocol=https\\nhost=git.example\\n\\n' | durward credential-helper git get\n  \
    echo registry.example | durward credential-helper docker get\n  \
    durward credential-helper aws --domain aws.amazon.com")]
pub(crate) struct CredentialHelperArgs {
    #[command(subcommand)]
    program: Program,
}

#[derive(Debug, Subcommand)]
enum Program {
    Git(git::GitArgs),
    Docker(docker::DockerArgs),
    Aws(aws::AwsArgs),
}

/// Where the owner is asked.
#[derive(Debug, Args)]
struct AskArgs {
    /// The agent's profile.
    #[arg(long, value_name = "NAME", env = env_vars::DURWARD_AGENT, default_value = "default")]
    agent: String,
    /// The approver's address [default: where the profile reached it last, else http://127.0.0.1:5000].
    #[arg(long, value_name = "URL", env = env_vars::DURWARD_APPROVER)]
    approver: Option<String>,
    #[command(flatten)]
    mode: ModeArgs,
}

pub(crate) fn run(args: CredentialHelperArgs) -> CommandResult {
    match args.program {
        Program::Git(args) => git::run(args),
        Program::Docker(args) => docker::run(args),
        Program::Aws(args) => aws::run(args),
    }
}

impl AskArgs {
    /// Asks the owner for fields of a domain. `program` is the name a new profile pairs under.
    fn ask(
        &self,
        program: &str,
        domain: &str,
        fields: &[&str],
        reason: &str,
    ) -> Result<Credential, CliError> {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let question = Question::parse(domain, &fields, reason)?;
        let connect = ConnectArgs { agent: self.agent.clone(), approver: self.approver.clone(), json: false };
        let named = (self.agent == "default").then(|| program.to_owned());
        let pair = PairArgs { name: named, ..PairArgs::default() };
        let mut fetched = Vec::new();
        block_on(async {
            let asked = fetch(&self.mode, &connect, &pair, vec![question], WaitArgs::default().wait()).await;
            fetched = asked.map_err(|error| self.by_hand(error, domain))?;
            Ok(Exit::success())
        })?;
        let fetched = fetched.into_iter().next();
        let fetched = fetched.ok_or_else(|| CliError::new(Exit::Other, "no_answer", "there is no answer"))?;
        Ok(fetched.approval.credential)
    }

    /// Pairing anew has options that are not here: a person says them once, to `request`.
    fn by_hand(&self, mut error: CliError, domain: &str) -> CliError {
        let hint = error.hint.clone().unwrap_or_default();
        let wanted: Vec<&str> =
            ["--pair", "--new-approver"].into_iter().filter(|option| hint.contains(option)).collect();
        if !wanted.is_empty() {
            let profile =
                if self.agent == "default" { String::new() } else { format!(" --agent {}", self.agent) };
            error = error.hint(format!(
                "run `durward request {domain} --reason \"Pair again\"{profile} {}` once, by hand",
                if wanted == ["--pair"] { "--pair" } else { "--pair --new-approver" }
            ));
        }
        error
    }
}

/// What an answer in JSON is printed from: wiped when it is dropped.
fn wiped_json(answer: &impl serde::Serialize) -> Result<Zeroizing<String>, CliError> {
    let json = serde_json::to_string(answer).map(Zeroizing::new);
    json.map_err(|error| CliError::new(Exit::Other, "json", error.to_string()))
}

/// What the other program writes to stdin.
fn question() -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    let read = std::io::stdin().take(MAX_QUESTION_BYTES + 1).read_to_string(&mut text);
    match read {
        Ok(bytes) if u64::try_from(bytes).unwrap_or(u64::MAX) <= MAX_QUESTION_BYTES => Ok(text),
        Ok(_) => Err(CliError::new(Exit::Usage, "usage", "the question on stdin is longer than 64 KiB")),
        Err(error) => {
            Err(CliError::new(Exit::Usage, "usage", format!("cannot read the question on stdin: {error}")))
        }
    }
}

fn value<'a>(credential: &'a Credential, field: &Field) -> Result<&'a SecretString, CliError> {
    credential
        .get(field)
        .ok_or_else(|| CliError::new(Exit::NotFound, "field_not_found", format!("the item has no {field}")))
}
