//! `durward vault list`

use std::io::IsTerminal as _;

use clap::Args;
use durward_protocol::{Domain, Field};
use durward_vault::ItemSummary;
use serde_json::json;

use super::access::{self, Common};
use crate::command::table::Fitted;
use crate::exit::{CliError, CommandResult, Exit};
use crate::prompt::PasswordArgs;
use crate::terminal;

/// List the items, without secrets.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward vault list\n  durward vault list --domain login.example.com --json"
)]
pub(crate) struct ListArgs {
    /// Only items whose name, login name or address contains this.
    filter: Option<String>,
    /// Only items that answer a request for this domain, best match first.
    #[arg(long, value_name = "DOMAIN", conflicts_with = "filter")]
    domain: Option<String>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    passwords: PasswordArgs,
}

pub(super) fn run(args: &ListArgs) -> CommandResult {
    list(args).map_err(|error| error.json(args.common.json))
}

fn list(args: &ListArgs) -> CommandResult {
    let domain = args.domain.as_deref().map(Domain::from_input).transpose();
    let domain = domain.map_err(|error| CliError::new(Exit::Usage, "invalid_domain", error.to_string()))?;
    let vault = args.common.existing()?;
    let (open, _) = access::open(&vault, &args.passwords)?;
    let items = match (&domain, &args.filter) {
        (Some(domain), _) => {
            let found = open.items().find(domain);
            found.iter().filter_map(|one| Some(open.items().get(&one.item_id).ok()?.summary())).collect()
        }
        (None, Some(text)) => {
            let mut all = open.items().summaries();
            all.retain(|item| contains(item, &text.to_lowercase()));
            all
        }
        (None, None) => open.items().summaries(),
    };
    drop(open);
    print(&items, args.common.json);
    Ok(Exit::success())
}

fn contains(item: &ItemSummary, text: &str) -> bool {
    let texts = [Some(&item.name), item.username.as_ref()].into_iter().flatten().chain(&item.uris);
    texts.into_iter().any(|one| one.to_lowercase().contains(text))
}

fn print(items: &[ItemSummary], json: bool) {
    if json {
        terminal::json(&json!({ "success": true, "items": items }));
    } else if items.is_empty() {
        terminal::note("No items.");
    } else {
        show(items);
    }
}

/// On a terminal a table that keeps to it, with every id whole, to be copied; else one line an item, with tabs.
fn show(items: &[ItemSummary]) {
    const HEADER: [&str; 5] = ["NAME", "USERNAME", "ADDRESS", "FIELDS", "ID"];
    if !std::io::stdout().is_terminal() {
        return terminal::table(&HEADER, items.iter().map(|item| row(item).into()));
    }
    let mut table = Fitted::new(&HEADER);
    for item in items {
        table.add_row(row(item).map(|cell| terminal::harmless(&cell)));
    }
    terminal::out(&table.text(&["ADDRESS", "FIELDS", "NAME", "USERNAME"]));
}

fn row(item: &ItemSummary) -> [String; 5] {
    let more = item.uris.len().saturating_sub(1);
    let uri = item.uris.first().cloned().unwrap_or_default();
    let fields: Vec<String> = item.fields.iter().map(Field::to_string).collect();
    [
        item.name.clone(),
        item.username.clone().unwrap_or_default(),
        if more == 0 { uri } else { format!("{uri} +{more}") },
        fields.join(","),
        item.id.clone(),
    ]
}
