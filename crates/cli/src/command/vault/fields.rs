//! Values of an item's fields: typed hidden, or from stdin, files, the environment or the generator.

use std::path::Path;

use clap::Args;
use durward_protocol::{Field, SecretString};
use durward_vault::{CustomField, Item, PasswordRules, TotpSecret, generate_password};

use super::access::explain;
use crate::exit::{CliError, Exit};
use crate::prompt;

/// What a script says when there is no terminal to type on.
pub(super) const TWINS: &str =
    "--generate, --from-stdin FIELD, --from-file FIELD=FILE or --from-env FIELD=VAR";

/// Where values of fields come from. A FIELD is password, totp, notes, username or custom:NAME.
#[derive(Clone, Debug, Args)]
pub(super) struct FieldArgs {
    /// Ask for a field on the terminal, hidden. May be repeated.
    #[arg(long, value_name = "FIELD")]
    pub(super) ask: Vec<String>,
    /// Read a field from stdin, one line each in the order given, after the vault password if that comes
    /// from there too. May be repeated.
    #[arg(long, value_name = "FIELD")]
    pub(super) from_stdin: Vec<String>,
    /// Read a field from a file. May be repeated.
    #[arg(long, value_name = "FIELD=FILE")]
    pub(super) from_file: Vec<String>,
    /// Read a field from an environment variable. May be repeated.
    #[arg(long, value_name = "FIELD=VAR")]
    pub(super) from_env: Vec<String>,
    /// Generate the password.
    #[arg(long)]
    pub(super) generate: bool,
}

impl FieldArgs {
    /// Every value, in the order: stdin, files, environment, generated, typed.
    pub(super) fn values(&self) -> Result<Vec<(Field, SecretString)>, CliError> {
        let mut values = Vec::new();
        for name in &self.from_stdin {
            values.push((parse(name)?, prompt::stdin_line(&format!("the field {name}"))?));
        }
        for pair in &self.from_file {
            let (field, path) = split(pair, "--from-file takes FIELD=FILE")?;
            values.push((field, prompt::secret_file(Path::new(path))?));
        }
        for pair in &self.from_env {
            let (field, variable) = split(pair, "--from-env takes FIELD=VAR")?;
            values.push((field, prompt::secret_env(variable)?));
        }
        if self.generate {
            values.push((Field::Password, generated()?));
        }
        for name in &self.ask {
            let field = parse(name)?;
            prompt::need_terminal(&format!("the field {name}"), TWINS)?;
            values.push((field, prompt::hidden(&format!("{name} (hidden): "))?));
        }
        Ok(values)
    }
}

/// A password by the default rules.
pub(super) fn generated() -> Result<SecretString, CliError> {
    generate_password(&PasswordRules::default(), &mut crate::os_rng()).map_err(explain)
}

/// Puts a value into an item; an empty one takes the field out.
pub(super) fn set(item: &mut Item, field: &Field, value: SecretString) -> Result<(), durward_vault::Error> {
    let value = Some(value).filter(|value| !value.is_empty());
    match field {
        Field::Username => item.username = value,
        Field::Password => item.password = value,
        Field::Notes => item.notes = value,
        Field::Totp => {
            item.totp = value.map(|seed| TotpSecret::parse(seed.expose_secret())).transpose()?;
        }
        Field::Uri => item.uris = value.map(SecretString::into_exposed).into_iter().collect(),
        Field::Custom(name) => {
            item.fields.retain(|other| other.name != *name);
            let field = value.map(|value| CustomField { name: name.clone(), value, hidden: true });
            item.fields.extend(field);
        }
    }
    Ok(())
}

/// A field by its name.
pub(super) fn parse(name: &str) -> Result<Field, CliError> {
    name.parse().map_err(|error: durward_protocol::Error| {
        CliError::new(Exit::Usage, "invalid_field", error.to_string())
    })
}

fn split<'a>(pair: &'a str, usage: &str) -> Result<(Field, &'a str), CliError> {
    let (field, rest) = pair.split_once('=').ok_or_else(|| CliError::new(Exit::Usage, "usage", usage))?;
    Ok((parse(field)?, rest))
}
