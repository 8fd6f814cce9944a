//! `durward vault edit`

use clap::Args;
use durward_protocol::{Field, SecretString};
use durward_vault::{Item, ItemSummary, Items};
use serde_json::json;

use super::access::{self, Common};
use super::fields::{self, FieldArgs};
use crate::exit::{CliError, CommandResult, Exit};
use crate::prompt::{self, PasswordArgs};
use crate::terminal;

/// Change an item.
///
/// On a terminal, without anything to change named, it asks field by field. The version before is kept beside
/// the vault until the next change.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward vault edit example.com\n  durward vault edit example.com --generate\n  \
    durward vault edit example.com --username ann@example.com --add-uri https://login.example.com --unset notes\n  \
    durward vault edit example.com --ask custom:pin\n\n\
    A FIELD is password, totp, notes, username, uri or custom:NAME."
)]
pub(crate) struct EditArgs {
    /// The item: its id, name, or a domain it is for.
    item: String,
    /// A new name.
    #[arg(long)]
    name: Option<String>,
    /// A new login name.
    #[arg(long, short)]
    username: Option<String>,
    /// New addresses in place of those it has. May be repeated.
    #[arg(long, value_name = "URL")]
    uri: Vec<String>,
    /// One more address. May be repeated.
    #[arg(long, value_name = "URL", conflicts_with = "uri")]
    add_uri: Vec<String>,
    /// Take a field out. May be repeated.
    #[arg(long, value_name = "FIELD")]
    unset: Vec<String>,
    #[command(flatten)]
    fields: FieldArgs,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    passwords: PasswordArgs,
}

/// What is to change; `None` stays.
#[derive(Default)]
struct Change {
    name: Option<String>,
    uris: Option<Vec<String>>,
    more_uris: Vec<String>,
    values: Vec<(Field, SecretString)>,
}

pub(super) fn run(args: &EditArgs) -> CommandResult {
    edit(args).map_err(|error| error.json(args.common.json))
}

fn edit(args: &EditArgs) -> CommandResult {
    let vault = args.common.existing()?;
    let given = args.passwords.given()?;
    let (password, change) = if let Some(change) = said(args)? {
        (given, change)
    } else {
        let twins = format!("--name, --username, --uri, --unset, {}", fields::TWINS);
        prompt::need_terminal("a change", &twins)?;
        let (summary, password) = access::attempts(&vault, given, |password| {
            let open = prompt::spinning("opening the vault", || vault.open(password))?;
            Ok((open.items().resolve(&args.item)?.summary(), password.duplicate()))
        })?;
        (Some(password), asked(&summary)?)
    };
    let item = access::edit(&vault, password, |items| apply(items, &args.item, change))?;
    if args.common.json {
        terminal::json(&json!({ "success": true, "item": item }));
    } else {
        terminal::note(&format!("Changed {} ({}).", terminal::harmless(&item.name), item.id));
    }
    Ok(Exit::success())
}

/// What the command line says; `None` when it says nothing.
fn said(args: &EditArgs) -> Result<Option<Change>, CliError> {
    let mut values = Vec::new();
    for name in &args.unset {
        values.push((fields::parse(name)?, SecretString::new(String::new())));
    }
    if let Some(name) = &args.username {
        values.push((Field::Username, SecretString::new(name.clone())));
    }
    values.extend(args.fields.values()?);
    let uris = Some(args.uri.clone()).filter(|uris| !uris.is_empty());
    let change = Change { name: args.name.clone(), uris, more_uris: args.add_uri.clone(), values };
    let nothing = change.name.is_none()
        && change.uris.is_none()
        && change.more_uris.is_empty()
        && change.values.is_empty();
    Ok(Some(change).filter(|_| !nothing))
}

/// What a person answers; Enter keeps a value.
fn asked(item: &ItemSummary) -> Result<Change, CliError> {
    let ask = |question: &str, now: Option<&str>| {
        let now = now.map(|text| format!(" [{}]", terminal::harmless(text))).unwrap_or_default();
        prompt::line(&format!("{question}{now}: ")).map(|text| Some(text).filter(|text| !text.is_empty()))
    };
    let mut change = Change { name: ask("Name", Some(&item.name))?, ..Change::default() };
    if let Some(name) = ask("Username", item.username.as_deref())? {
        change.values.push((Field::Username, SecretString::new(name)));
    }
    let uris = item.uris.join(" ");
    let typed = ask(
        "Addresses, with blanks between them",
        Some(&uris).filter(|u| !u.is_empty()).map(String::as_str),
    )?;
    change.uris = typed.map(|text| text.split_whitespace().map(str::to_owned).collect());
    for (field, question) in [
        (Field::Password, "Password (hidden; Enter keeps it): "),
        (Field::Totp, "TOTP secret (hidden; Enter keeps it): "),
    ] {
        let value = prompt::hidden(question)?;
        if !value.is_empty() {
            change.values.push((field, value));
        }
    }
    Ok(change)
}

fn apply(items: &mut Items, wanted: &str, change: Change) -> Result<ItemSummary, durward_vault::Error> {
    let id = items.resolve(wanted)?.id.clone();
    items.update(&id, access::now(), |item: &mut Item| {
        item.name = change.name.unwrap_or_else(|| item.name.clone());
        item.uris = change.uris.unwrap_or_else(|| std::mem::take(&mut item.uris));
        item.uris.extend(change.more_uris);
        change.values.into_iter().try_for_each(|(field, value)| fields::set(item, &field, value))
    })??;
    Ok(items.get(&id)?.summary())
}
