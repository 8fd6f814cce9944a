//! `durward vault show`

use clap::Args;
use durward_protocol::{Field, SecretString};
use durward_vault::Item;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::access::{self, Common, explain};
use super::fields;
use crate::command::agent::raw_value;
use crate::exit::{CliError, CommandResult, Exit};
use crate::prompt::PasswordArgs;
use crate::terminal;

/// Show one item; secrets only with --reveal.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward vault show example.com\n  durward vault show example.com --reveal\n  \
    durward vault show example.com --field totp"
)]
pub(crate) struct ShowArgs {
    /// The item: its id, name, or a domain it is for.
    item: String,
    /// Show the password, the code of the moment, notes and hidden fields.
    #[arg(long)]
    reveal: bool,
    /// Print the value of one field, alone.
    #[arg(long, short, value_name = "FIELD", conflicts_with = "reveal")]
    field: Option<String>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    passwords: PasswordArgs,
}

/// Stands in place of a secret.
const HIDDEN: &str = "********";

pub(super) fn run(args: &ShowArgs) -> CommandResult {
    show(args).map_err(|error| error.json(args.common.json))
}

fn show(args: &ShowArgs) -> CommandResult {
    let field = args.field.as_deref().map(fields::parse).transpose()?;
    let vault = args.common.existing()?;
    let (open, _) = access::open(&vault, &args.passwords)?;
    let item = open.items().resolve(&args.item).map_err(|error| access::which(open.items(), error))?;
    if let Some(field) = field {
        let value = value(item, &field)?.ok_or_else(|| {
            CliError::new(Exit::NotFound, "field_not_found", format!("the item has no {field}"))
        })?;
        if args.common.json {
            raw_value(&Zeroizing::new(
                json!({ "success": true, "field": field, "value": value.expose_secret() }).to_string(),
            ));
        } else {
            raw_value(value.expose_secret());
        }
        return Ok(Exit::success());
    }
    let shown = shown(item, args.reveal)?;
    if args.common.json {
        let mut object = serde_json::to_value(item.summary()).unwrap_or_default();
        if let Some(object) = object.as_object_mut() {
            object.insert("created".into(), rfc3339(item.created).into());
            object.insert("values".into(), values(&shown));
        }
        raw_value(&Zeroizing::new(json!({ "success": true, "item": object }).to_string()));
        return Ok(Exit::success());
    }
    terminal::out(&format!("name: {}", terminal::harmless(&item.name)));
    for (name, value) in &shown {
        let text = value.as_ref().map_or(HIDDEN, SecretString::expose_secret);
        raw_value(&Zeroizing::new(format!("{}: {text}", terminal::harmless(name))));
    }
    terminal::out(&format!("id: {}", item.id));
    terminal::out(&format!("updated: {}", rfc3339(item.updated)));
    if !args.reveal && shown.iter().any(|(_, value)| value.is_none()) {
        terminal::note("Secrets are hidden; --reveal shows them.");
    }
    Ok(Exit::success())
}

/// Every value, `None` for one that stays hidden.
fn shown(item: &Item, reveal: bool) -> Result<Vec<(String, Option<SecretString>)>, CliError> {
    let mut list = Vec::new();
    for field in item.available_fields() {
        let open = match &field {
            Field::Username | Field::Uri => true,
            Field::Custom(name) => item.fields.iter().any(|custom| custom.name == *name && !custom.hidden),
            Field::Password | Field::Totp | Field::Notes => false,
        };
        if field == Field::Uri {
            list.extend(item.uris.iter().map(|uri| ("uri".to_owned(), Some(SecretString::new(uri.clone())))));
        } else {
            let value = if reveal || open { value(item, &field)? } else { None };
            list.push((field.to_string(), value));
        }
    }
    Ok(list)
}

fn values(shown: &[(String, Option<SecretString>)]) -> Value {
    let value = |value: &Option<SecretString>| value.as_ref().map(SecretString::expose_secret).into();
    let plain = shown.iter().filter(|(name, _)| name != "uri");
    Value::Object(plain.map(|(name, secret)| (name.clone(), value(secret))).collect::<Map<_, _>>())
}

/// The value of a field; of a TOTP secret the code of the moment.
fn value(item: &Item, field: &Field) -> Result<Option<SecretString>, CliError> {
    Ok(match field {
        Field::Username => item.username.as_ref().map(SecretString::duplicate),
        Field::Password => item.password.as_ref().map(SecretString::duplicate),
        Field::Notes => item.notes.as_ref().map(SecretString::duplicate),
        Field::Uri => item.uris.first().map(|uri| SecretString::new(uri.clone())),
        Field::Totp => {
            item.totp.as_ref().map(|seed| seed.code(access::now())).transpose().map_err(explain)?
        }
        Field::Custom(name) => {
            item.fields.iter().find(|custom| custom.name == *name).map(|custom| custom.value.duplicate())
        }
    })
}

fn rfc3339(time: time::OffsetDateTime) -> String {
    time.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}
