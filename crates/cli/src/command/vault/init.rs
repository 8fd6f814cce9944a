//! `durward vault init`

use clap::Args;
use durward_vault::{Error, Vault as _};
use serde_json::json;

use super::access::{self, Common, explain};
use crate::exit::{CommandResult, Exit};
use crate::prompt::{self, PasswordArgs};
use crate::terminal;

/// Make the encrypted vault.
///
/// One file, encrypted with the password you choose; `age -d` opens it too. There is no way in without the
/// password: keep it somewhere safe.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward vault init\n  pass show durward | durward vault init --password-stdin"
)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    passwords: PasswordArgs,
    /// Take a password of less than eight characters.
    #[arg(long)]
    weak: bool,
}

pub(super) fn run(args: &InitArgs) -> CommandResult {
    make(args).map_err(|error| error.json(args.common.json))
}

fn make(args: &InitArgs) -> CommandResult {
    let vault = args.common.builtin().map_err(|error| match &args.common.vault {
        Some(name) if error.code == "unknown_vault" => error.hint(format!(
            "`durward vault connect {} --file FILE` names a new one first",
            terminal::harmless(name)
        )),
        _ => error,
    })?;
    // Before anybody chooses a password.
    if vault.exists() {
        return Err(explain(Error::AlreadyExists { path: vault.path().to_owned() }));
    }
    let twins = "--password-stdin, --password-file FILE or --password-env VAR";
    let question = "Choose the vault password: ";
    let password = access::chosen(question, args.passwords.given()?, twins, args.weak)?;
    prompt::spinning("making the vault", || vault.create(&password)).map_err(explain)?;
    if args.common.json {
        terminal::json(&json!({ "success": true, "vault": vault.describe() }));
    } else {
        terminal::note(&format!("Made the vault {}.", vault.path().display()));
        terminal::note("Add to it with `durward vault add NAME`.");
    }
    Ok(Exit::success())
}
