//! `durward token …`: tokens of the control port, for extensions and scripts.

use clap::{Args, Subcommand};
use durward_server::Home;
use durward_server::control::token::{TokenInfo, TokenScope, Tokens};
use serde_json::{Value, json};

use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;
use crate::terminal;

/// Tokens of the control port: one file each, readable by you alone.
///
/// A token is sent in the header `Authorization: Bearer …` or `X-Durward-Token`. Its value is never printed:
/// read it from its file. A change takes effect at once, also in a running approver.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward token add firefox --scope pair\n  \
    curl -H \"X-Durward-Token: $(cat \"$(durward token path api)\")\" http://127.0.0.1:9778/status")]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    verb: Verb,
    /// Print one JSON object on stdout.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the tokens, without their values.
    #[command(after_help = "Examples:\n  durward token list\n  durward token list --json")]
    List,
    /// Make a token.
    #[command(after_help = "Examples:\n  durward token add firefox --scope pair")]
    Add {
        /// Its name: 1 to 32 lower-case letters, digits and dashes.
        name: String,
        /// What it may be used for: owner (everything), pair (/pair, /devices, /status) or spake (/spake).
        #[arg(long)]
        scope: TokenScope,
    },
    /// Give a token a new value; the old one is dead at once.
    #[command(after_help = "Examples:\n  durward token rotate api")]
    Rotate {
        /// Its name.
        name: String,
    },
    /// Remove a token. The three standard ones come back, with new values, when the approver starts.
    #[command(after_help = "Examples:\n  durward token remove firefox")]
    Remove {
        /// Its name.
        name: String,
    },
    /// Print the path of a token's file.
    #[command(after_help = "Examples:\n  cat \"$(durward token path api)\"")]
    Path {
        /// Its name: api, pair, spake, or one that was added.
        #[arg(default_value = "api")]
        name: String,
    },
}

pub(crate) fn run(args: &TokenArgs) -> CommandResult {
    act(args).map_err(|error| error.json(args.json))
}

fn act(args: &TokenArgs) -> CommandResult {
    let home = Home::open(Paths::discover()?.data()).map_err(|error| failed(&error))?;
    let tokens = Tokens::new(home);
    match &args.verb {
        Verb::List => list(&tokens, args.json)?,
        Verb::Add { name, scope } => {
            let added = tokens.add(name, *scope).map_err(|error| failed(&error))?.ok_or_else(|| {
                let text = format!(
                    "{name:?} is taken, or has something else than 1 to 32 lower-case letters, digits and dashes"
                );
                CliError::new(Exit::Usage, "invalid_token_name", text).hint("choose another name")
            })?;
            answer(&added, args.json, &format!("Made the token {}: {}", added.name, added.path.display()));
        }
        Verb::Rotate { name } => {
            let rotated = tokens.rotate(name).map_err(|error| failed(&error))?;
            let rotated = rotated.ok_or_else(|| unknown(name))?;
            let text = format!("{} has a new value: {}", rotated.name, rotated.path.display());
            answer(&rotated, args.json, &text);
        }
        Verb::Remove { name } => {
            let token = find(&tokens, name)?;
            if !tokens.remove(name).map_err(|error| failed(&error))? {
                return Err(unknown(name));
            }
            answer(&token, args.json, &format!("Removed the token {}.", token.name));
        }
        Verb::Path { name } => {
            let token = find(&tokens, name)?;
            if args.json {
                answer(&token, true, "");
            } else {
                terminal::out(&token.path.display().to_string());
            }
        }
    }
    Ok(Exit::success())
}

fn list(tokens: &Tokens, json: bool) -> Result<(), CliError> {
    let list = tokens.list().map_err(|error| failed(&error))?;
    if json {
        let list: Vec<Value> = list.iter().map(describe).collect();
        terminal::json(&json!({ "success": true, "tokens": list }));
    } else if list.is_empty() {
        terminal::note("No tokens yet: the approver makes the standard ones when it starts.");
    } else {
        let row = |token: &TokenInfo| {
            vec![token.name.clone(), token.scope.to_string(), token.path.display().to_string()]
        };
        terminal::table(&["NAME", "SCOPE", "FILE"], list.iter().map(row));
    }
    Ok(())
}

fn find(tokens: &Tokens, name: &str) -> Result<TokenInfo, CliError> {
    let list = tokens.list().map_err(|error| failed(&error))?;
    list.into_iter().find(|token| token.name == name).ok_or_else(|| unknown(name))
}

fn answer(token: &TokenInfo, json: bool, text: &str) {
    if json {
        terminal::json(&json!({ "success": true, "token": describe(token) }));
    } else {
        terminal::note(text);
    }
}

fn describe(token: &TokenInfo) -> Value {
    json!({ "name": token.name, "scope": token.scope.as_str(), "path": token.path.display().to_string() })
}

fn unknown(name: &str) -> CliError {
    CliError::new(Exit::NotFound, "token_not_found", format!("there is no token {name:?}"))
        .hint("`durward token list` shows them; the approver makes the standard ones when it starts")
}

fn failed(error: &impl std::fmt::Display) -> CliError {
    CliError::new(Exit::Other, "token_failed", error.to_string())
}
