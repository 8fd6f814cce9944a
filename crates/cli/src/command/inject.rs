//! `durward inject`: fills a template.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use super::agent::{FetchArgs, Fetched, block_on};
use super::reference::{self, Reference, SCHEME};
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal;

/// Largest template, in bytes.
const MAX_TEMPLATE_BYTES: u64 = 1 << 20;

/// Fill a template: {{ durward://DOMAIN/FIELD }} becomes the value.
///
/// Values are put in as they are: quoting for the target format is the template's business.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward inject --in app.toml.template --out app.toml --reason \"Start the app\"\n  \
    echo 'password={{ durward://db.internal/password }}' | durward inject --reason \"Try it\""
)]
pub(crate) struct InjectArgs {
    /// The template [default: stdin].
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where to write, readable by you alone [default: stdout].
    #[arg(long = "out", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Why; the owner reads it.
    #[arg(long, short)]
    reason: String,
    #[command(flatten)]
    ask: FetchArgs,
}

pub(crate) fn run(args: InjectArgs) -> CommandResult {
    let json = args.ask.json();
    block_on(inject(args)).map_err(|error| error.json(json))
}

async fn inject(args: InjectArgs) -> CommandResult {
    let template = read_template(args.input.as_deref())?;
    let parts = parse(&template)?;
    let wanted = parts.iter().filter_map(|part| match part {
        Part::Value(reference) => Some(reference),
        Part::Text(_) => None,
    });
    let questions = reference::questions(wanted, &args.reason)?;
    let fetched = args.ask.fetch(questions).await?;
    let filled = fill(&parts, &fetched)?;
    let json = args.ask.json();
    let written = match &args.output {
        Some(path) => durward_files::write_private(path, filled.as_bytes()),
        None if json => Ok(()),
        None => std::io::stdout().write_all(filled.as_bytes()),
    };
    written.map_err(|error| CliError::new(Exit::Other, "cannot_write", error.to_string()))?;
    if json {
        let text = args.output.is_none().then_some(filled.as_str());
        terminal::json(&Done { success: true, path: args.output.as_deref(), text });
    }
    Ok(Exit::success())
}

/// Where the filled template is: in a file, or here.
#[derive(Serialize)]
struct Done<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

#[derive(Debug, PartialEq)]
enum Part<'a> {
    Text(&'a str),
    Value(Reference),
}

/// Only `{{ durward://… }}` is ours; other braces belong to whoever reads the result.
fn parse(template: &str) -> Result<Vec<Part<'_>>, CliError> {
    let mut parts = Vec::new();
    let mut rest = template;
    let mut searched = 0;
    while let Some(open) = rest.get(searched..).and_then(|tail| tail.find("{{")).map(|at| at + searched) {
        let after = rest.get(open + 2..).unwrap_or_default();
        let ours = after.trim_start().starts_with(SCHEME);
        match after.find("}}") {
            Some(close) if ours => {
                let (text, inner) = (rest.get(..open), after.get(..close).unwrap_or_default());
                parts.push(Part::Text(text.unwrap_or_default()));
                parts.push(Part::Value(Reference::parse(inner.trim())?));
                rest = after.get(close + 2..).unwrap_or_default();
                searched = 0;
            }
            None if ours => {
                return Err(CliError::new(Exit::Usage, "invalid_template", "a {{ is not closed with }}"));
            }
            _ => searched = open + 2,
        }
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

fn fill(parts: &[Part<'_>], fetched: &[Fetched]) -> Result<Zeroizing<String>, CliError> {
    let mut filled = Zeroizing::new(String::new());
    for part in parts {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Value(wanted) => filled.push_str(reference::resolve(wanted, fetched)?.expose_secret()),
        }
    }
    Ok(filled)
}

fn read_template(path: Option<&Path>) -> Result<String, CliError> {
    let bad = |text: String| CliError::new(Exit::Usage, "template", text);
    // Bytes first: a cut in the middle of a character is no wrong encoding.
    let mut bytes = Vec::new();
    let read = match path {
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(MAX_TEMPLATE_BYTES + 1).read_to_end(&mut bytes)),
        None => std::io::stdin().take(MAX_TEMPLATE_BYTES + 1).read_to_end(&mut bytes),
    };
    read.map_err(|error| bad(format!("cannot read the template: {error}")))?;
    if bytes.len() as u64 > MAX_TEMPLATE_BYTES {
        return Err(bad(
            "the template is larger than 1 MiB; nothing was asked for and nothing written".to_owned()
        ));
    }
    String::from_utf8(bytes).map_err(|_| bad("the template is not UTF-8 text".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let parts = parse("a={{ durward://a.example/password }}\nb={{ other }} {{durward://b.example/totp}}")
            .unwrap();
        let value = |text: &str| Part::Value(Reference::parse(text).unwrap());
        assert_eq!(
            parts,
            [
                Part::Text("a="),
                value("durward://a.example/password"),
                Part::Text("\nb={{ other }} "),
                value("durward://b.example/totp"),
                Part::Text(""),
            ]
        );
        assert!(parse("{{ durward://a.example/password").is_err());
        assert!(parse("{{ durward://a.example }}").is_err());
        assert_eq!(parse("{{ {{ }} ä").unwrap().len(), 1);
    }
}
