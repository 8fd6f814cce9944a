//! docker's credential helper protocol (github.com/docker/docker-credential-helpers): a verb as argument, a payload on
//! stdin, JSON or an error text on stdout.

use clap::{Args, ValueEnum};
use durward_protocol::{Credential, Domain, Field};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{AskArgs, question, value, wiped_json};
use crate::command::agent::raw_value;
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal::harmless;

/// docker looks for this very text, and then goes on without signing in.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// Answer docker: username and password for a registry.
#[derive(Debug, Args)]
#[command(
    after_help = "Example, with examples/shell/docker-credential-durward in PATH, in ~/.docker/config.json:\n  \
    {\"credHelpers\": {\"registry.example\": \"durward\"}}"
)]
pub(super) struct DockerArgs {
    /// What docker wants. `store` is refused, `erase` does nothing: the vault is the owner's.
    #[arg(value_enum)]
    operation: Operation,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// Read a registry's address from stdin and print its credential.
    Get,
    /// Print what is stored: nothing.
    List,
    /// Fail.
    Store,
    /// Do nothing.
    Erase,
}

/// As the protocol spells it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
    secret: &'a str,
}

pub(super) fn run(args: DockerArgs) -> CommandResult {
    match args.operation {
        Operation::Get => {
            // docker shows the person what is on stdout, so the error goes there too.
            get(&args.ask).inspect_err(|error| {
                raw_value(&harmless(if error.exit == Exit::NotFound { NOT_FOUND } else { &error.message }));
            })
        }
        Operation::List => {
            raw_value("{}");
            Ok(Exit::success())
        }
        Operation::Store => {
            question()?;
            let text = "`docker login` stores nothing here: add the registry with `durward vault add`";
            raw_value(text);
            Err(CliError::new(Exit::Refused, "not_stored", text))
        }
        Operation::Erase => {
            question()?;
            Ok(Exit::success())
        }
    }
}

fn get(ask: &AskArgs) -> CommandResult {
    let text = question()?;
    let server = text.trim();
    let domain = registry(server)?;
    let credential =
        ask.ask("docker", domain.as_str(), &["username", "password"], &format!("docker: {server}"))?;
    raw_value(&answer(server, &credential)?);
    Ok(Exit::success())
}

/// `https://index.docker.io/v1/` and `registry.example:5000` alike.
fn registry(server: &str) -> Result<Domain, CliError> {
    Domain::from_input(server).map_err(|error| {
        CliError::new(
            Exit::Usage,
            "invalid_question",
            format!("docker's question names no registry: {error}"),
        )
    })
}

fn answer(server: &str, credential: &Credential) -> Result<Zeroizing<String>, CliError> {
    let answer = Answer {
        server_url: server,
        username: value(credential, &Field::Username)?.expose_secret(),
        secret: value(credential, &Field::Password)?.expose_secret(),
    };
    wiped_json(&answer)
}

#[cfg(test)]
mod tests {
    use durward_protocol::SecretString;

    use super::*;

    #[test]
    fn the_documented_format() {
        let credential = Credential {
            username: Some(SecretString::new("ada".to_owned())),
            password: Some(SecretString::new("\"x\"".to_owned())),
            ..Credential::default()
        };
        let server = "https://index.docker.io/v1/";
        assert_eq!(registry(server).unwrap().as_str(), "index.docker.io");
        assert_eq!(registry("registry.example:5000").unwrap().as_str(), "registry.example");
        assert!(registry("").is_err());
        let json = answer(server, &credential).unwrap();
        assert_eq!(*json, r#"{"ServerURL":"https://index.docker.io/v1/","Username":"ada","Secret":"\"x\""}"#);
    }
}
