//! `durward vault remove`

use clap::Args;
use serde_json::json;

use super::access::{self, Common, explain};
use crate::exit::{CliError, CommandResult, Exit};
use crate::prompt::{self, PasswordArgs};
use crate::terminal;

/// Remove an item.
///
/// It stays in the copy of the version before (`durward vault path --json` shows where) until the next change.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  durward vault remove example.com --yes")]
pub(crate) struct RemoveArgs {
    /// The item: its id, name, or a domain it is for.
    item: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    passwords: PasswordArgs,
}

pub(super) fn run(args: &RemoveArgs) -> CommandResult {
    remove(args).map_err(|error| error.json(args.common.json))
}

fn remove(args: &RemoveArgs) -> CommandResult {
    let vault = args.common.existing()?;
    if !args.yes {
        prompt::need_terminal("a confirmation", "--yes")?;
    }
    let (open, password) = access::open(&vault, &args.passwords)?;
    let item = open.items().resolve(&args.item).map_err(explain)?.summary();
    drop(open);
    let name = terminal::harmless(&item.name);
    let username = item.username.as_deref().map(|name| format!(", {}", terminal::harmless(name)));
    let question = format!("Remove {name}{} ({})?", username.unwrap_or_default(), item.id);
    if !prompt::confirm(&question, args.yes)? {
        return Err(CliError::new(Exit::Cancelled, "cancelled", "nothing was removed"));
    }
    access::edit(&vault, Some(password), |items| items.remove(&item.id).map(drop))?;
    if args.common.json {
        terminal::json(&json!({ "success": true, "item": item }));
    } else {
        terminal::note(&format!("Removed {name}."));
    }
    Ok(Exit::success())
}
