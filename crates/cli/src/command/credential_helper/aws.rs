//! AWS's `credential_process` (AWS SDKs and Tools reference, "Process credential provider"): JSON on stdout, version 1.

use clap::Args;
use durward_protocol::{Credential, Field, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{AskArgs, value, wiped_json};
use crate::command::agent::raw_value;
use crate::exit::{CliError, CommandResult, Exit};

/// Answer the AWS programs: access key id and secret access key from an item's username and password.
///
/// A session token is the item's custom field `session_token`, if it has one.
#[derive(Debug, Args)]
#[command(after_help = "Example, in ~/.aws/config:\n  [profile work]\n  \
    credential_process = durward credential-helper aws --domain aws.amazon.com")]
pub(super) struct AwsArgs {
    /// What the credential is for: the domain of the item.
    #[arg(long, value_name = "DOMAIN", default_value = "aws.amazon.com")]
    domain: String,
    /// Why; the owner reads it.
    #[arg(long, short, default_value = "AWS credential_process")]
    reason: String,
    #[command(flatten)]
    ask: AskArgs,
}

/// Without `Expiration` the programs take the keys for lasting and ask once a process.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    version: u8,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<&'a str>,
}

const SESSION_TOKEN: &str = "session_token";

pub(super) fn run(args: AwsArgs) -> CommandResult {
    let token = format!("custom:{SESSION_TOKEN}");
    let fields = ["username", "password", token.as_str()];
    let credential = args.ask.ask("AWS programs", &args.domain, &fields, &args.reason)?;
    raw_value(&answer(&credential)?);
    Ok(Exit::success())
}

fn answer(credential: &Credential) -> Result<Zeroizing<String>, CliError> {
    let token = credential.get(&Field::Custom(SESSION_TOKEN.to_owned()));
    let answer = Answer {
        version: 1,
        access_key_id: value(credential, &Field::Username)?.expose_secret(),
        secret_access_key: value(credential, &Field::Password)?.expose_secret(),
        session_token: token.map(SecretString::expose_secret),
    };
    wiped_json(&answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_format() {
        let mut credential = Credential::default();
        credential.set(&Field::Username, SecretString::new("AKIAIOSFODNN7EXAMPLE".to_owned()));
        assert_eq!(answer(&credential).unwrap_err().exit, Exit::NotFound);
        credential.set(&Field::Password, SecretString::new("wJalr/key".to_owned()));
        let json = answer(&credential).unwrap();
        assert_eq!(
            *json,
            r#"{"Version":1,"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"wJalr/key"}"#
        );
        credential.set(&Field::Custom(SESSION_TOKEN.to_owned()), SecretString::new("t".to_owned()));
        assert!(answer(&credential).unwrap().ends_with(r#","SessionToken":"t"}"#));
    }
}
