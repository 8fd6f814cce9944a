//! `durward vault add`

use clap::Args;
use durward_protocol::{Domain, Field, SecretString};
use durward_vault::{Item, ItemSummary};
use serde_json::json;

use super::access::{self, Common, explain};
use super::fields::{self, FieldArgs};
use crate::exit::{CliError, CommandResult, Exit};
use crate::prompt::{self, PasswordArgs};
use crate::terminal;

/// Add an item.
///
/// On a terminal it asks for the login name, the password and the TOTP secret. Scripts say where each value
/// comes from; none is ever an argument.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward vault add example.com\n  \
    durward vault add example.com --username ann --generate\n  \
    printf '%s\\n' \"$VAULT\" \"$SECRET\" | durward vault add db.internal --username app --password-stdin --from-stdin password\n  \
    durward vault add example.com --username ann --ask password --ask totp --ask custom:pin\n\n\
    A FIELD is password, totp, notes, username or custom:NAME.")]
pub(crate) struct AddArgs {
    /// Name of the item; a domain or URL is its address too.
    name: String,
    /// The login name.
    #[arg(long, short)]
    username: Option<String>,
    /// An address it is for. May be repeated [default: the name, if that is a domain].
    #[arg(long, value_name = "URL")]
    uri: Vec<String>,
    #[command(flatten)]
    fields: FieldArgs,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    passwords: PasswordArgs,
}

pub(super) fn run(args: &AddArgs) -> CommandResult {
    add(args).map_err(|error| error.json(args.common.json))
}

fn add(args: &AddArgs) -> CommandResult {
    let vault = args.common.existing()?;
    let password = args.passwords.given()?;
    let item = item(args)?;
    let added = access::edit(&vault, password, |items| {
        let summary = item.summary();
        let alike: Vec<ItemSummary> = items
            .summaries()
            .into_iter()
            .filter(|other| other.name == summary.name && other.username == summary.username)
            .collect();
        let id = items.add(item, &mut crate::os_rng(), access::now())?;
        Ok((items.get(&id)?.summary(), alike))
    })?;
    answer(args.common.json, &added.0, &added.1);
    Ok(Exit::success())
}

fn item(args: &AddArgs) -> Result<Item, CliError> {
    let mut item = Item::new(args.name.trim());
    item.uris.clone_from(&args.uri);
    if let Some(domain) = Domain::from_input(&args.name).ok().filter(|domain| domain.as_str().contains('.')) {
        if args.name.contains("://") {
            item.name = domain.to_string();
        }
        if item.uris.is_empty() {
            item.uris.push(args.name.trim().to_owned());
        }
    }
    item.username = args.username.clone().map(SecretString::new);
    for (field, value) in args.fields.values()? {
        fields::set(&mut item, &field, value).map_err(explain)?;
    }
    ask_for_the_rest(args, &mut item)?;
    Ok(item)
}

/// On a terminal, what was not said is asked for. Elsewhere an item without any secret is a mistake.
fn ask_for_the_rest(args: &AddArgs, item: &mut Item) -> Result<(), CliError> {
    let secrets = [Field::Password, Field::Totp, Field::Notes];
    let has_secret =
        !item.fields.is_empty() || item.available_fields().iter().any(|field| secrets.contains(field));
    if has_secret {
        return Ok(());
    }
    prompt::need_terminal("a password for the item", fields::TWINS)?;
    if args.username.is_none() {
        let name = prompt::line("Username (Enter for none): ")?;
        item.username = Some(SecretString::new(name)).filter(|name| !name.is_empty());
    }
    let typed = prompt::hidden("Password (hidden; Enter to generate one): ")?;
    item.password = Some(if typed.is_empty() { fields::generated()? } else { typed });
    let seed = prompt::hidden("TOTP secret (hidden; Enter for none): ")?;
    fields::set(item, &Field::Totp, seed).map_err(explain)
}

fn answer(json: bool, item: &ItemSummary, alike: &[ItemSummary]) {
    if json {
        terminal::json(&json!({ "success": true, "item": item }));
        return;
    }
    let name = terminal::harmless(&item.name);
    terminal::note(&format!("Added {name} ({}).", item.id));
    if !alike.is_empty() {
        terminal::note(&format!(
            "There is another {name} with that login name already; `durward vault list` shows both."
        ));
    }
}
