//! `durward request`

use clap::Args;
use durward_protocol::{Credential, Domain, Field, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::agent::{FetchArgs, Question, block_on, raw_value};
use crate::clipboard;
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal;

/// Ask the owner for a credential and print it.
///
/// Pairs first when this profile has no session: shows a number and a code for the owner to type at
/// the approver. With one --field only its value is printed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward request example.com --reason \"Book the flight\"\n  \
    durward request example.com --reason \"Nightly report\" --field password\n  \
    durward request example.com --reason \"Log in\" --field username --field totp --json\n  \
    durward request example.com --reason \"Later is fine\" --expires 24h --no-wait")]
pub(crate) struct RequestArgs {
    /// What the credential is for: a domain, or a URL.
    domain: String,
    /// Why; the owner reads it.
    #[arg(long, short)]
    reason: String,
    /// A field: username, password, totp, uri, notes or custom:NAME. May be repeated [default: username, password].
    #[arg(long, short, value_name = "FIELD")]
    field: Vec<String>,
    /// Put the value of the one --field, or the password, on the clipboard instead of printing it. It is
    /// cleared after 45 seconds.
    #[arg(long)]
    copy: bool,
    #[command(flatten)]
    ask: FetchArgs,
}

pub(crate) fn run(args: RequestArgs) -> CommandResult {
    let json = args.ask.json();
    block_on(request(args)).map_err(|error| error.json(json))
}

async fn request(args: RequestArgs) -> CommandResult {
    let mut question = Question::parse(&args.domain, &args.field, &args.reason)?;
    if args.copy {
        clipboard::check()?;
        if question.fields.is_empty() {
            question.fields.push(Field::Password);
        }
        if question.fields.len() > 1 {
            return Err(CliError::new(Exit::Usage, "usage", "--copy takes one --field"));
        }
    }
    let asked = question.fields.clone();
    let fetched = args.ask.fetch(vec![question]).await?;
    let fetched = fetched.into_iter().next();
    let fetched = fetched.ok_or_else(|| CliError::new(Exit::Other, "no_answer", "there is no answer"))?;
    if let (true, [field]) = (args.copy, asked.as_slice()) {
        return copy(&fetched.approval.credential, field, args.ask.json());
    }
    print_credential(&fetched.domain, &fetched.approval.credential, &asked, args.ask.json())
}

fn copy(credential: &Credential, field: &Field, json: bool) -> CommandResult {
    clipboard::copy_for_a_while(value_of(credential, field)?)?;
    let seconds = clipboard::CLEAR_AFTER_SECONDS;
    if json {
        terminal::json(&serde_json::json!({ "success": true, "copied": field, "clears_in": seconds }));
    } else {
        let field = terminal::harmless(&field.to_string());
        terminal::note(&format!("The {field} is on the clipboard; it is cleared in {seconds} seconds."));
    }
    Ok(Exit::success())
}

fn value_of<'a>(credential: &'a Credential, field: &Field) -> Result<&'a SecretString, CliError> {
    credential
        .get(field)
        .ok_or_else(|| CliError::new(Exit::NotFound, "field_not_found", format!("the item has no {field}")))
}

/// The published JSON.
#[derive(Serialize)]
struct Success<'a> {
    success: bool,
    credential: Shown<'a>,
}

/// Its `credential`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    username: Option<&'a str>,
    password: Option<&'a str>,
    totp: Option<&'a str>,
    uri: Option<&'a str>,
    notes: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    custom: Vec<(&'a str, &'a str)>,
    credential_id: &'a str,
    domain: &'a str,
}

fn as_map<S: serde::Serializer>(pairs: &[(&str, &str)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}

/// Prints a credential: one JSON object, the value of the one field asked for, or a line a field.
pub(crate) fn print_credential(
    domain: &Domain,
    credential: &Credential,
    asked: &[Field],
    json: bool,
) -> CommandResult {
    if json {
        terminal::json(&Success { success: true, credential: shown(domain, credential) });
    } else if let [field] = asked {
        raw_value(value_of(credential, field)?.expose_secret());
    } else {
        for field in credential.fields() {
            let value = credential.get(&field).map(SecretString::expose_secret).unwrap_or_default();
            let line = Zeroizing::new(format!("{}: {value}", terminal::harmless(&field.to_string())));
            raw_value(&line);
        }
    }
    Ok(std::process::ExitCode::SUCCESS)
}

fn shown<'a>(domain: &'a Domain, credential: &'a Credential) -> Shown<'a> {
    Shown {
        username: credential.username.as_ref().map(SecretString::expose_secret),
        password: credential.password.as_ref().map(SecretString::expose_secret),
        totp: credential.totp.as_ref().map(SecretString::expose_secret),
        uri: credential.uri.as_ref().map(SecretString::expose_secret),
        notes: credential.notes.as_ref().map(SecretString::expose_secret),
        custom: credential
            .custom
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
            .collect(),
        credential_id: &credential.item_id,
        domain: domain.as_str(),
    }
}
