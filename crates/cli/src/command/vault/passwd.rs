//! `durward vault passwd`

use clap::Args;
use serde_json::json;

use super::access::{self, Common, explain};
use crate::exit::{CommandResult, Exit};
use crate::prompt::{self, NewPasswordArgs, PasswordArgs};
use crate::terminal;

/// Change the vault password.
///
/// Copies of the vault made elsewhere keep the password they had.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward vault passwd\n  \
    printf '%s\\n' \"$OLD\" \"$NEW\" | durward vault passwd --password-stdin --new-password-stdin")]
pub(crate) struct PasswdArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    passwords: PasswordArgs,
    #[command(flatten)]
    new: NewPasswordArgs,
    /// Take a password of less than eight characters.
    #[arg(long)]
    weak: bool,
}

const TWINS: &str = "--new-password-stdin, --new-password-file FILE or --new-password-env VAR";

pub(super) fn run(args: &PasswdArgs) -> CommandResult {
    passwd(args).map_err(|error| error.json(args.common.json))
}

fn passwd(args: &PasswdArgs) -> CommandResult {
    let vault = args.common.existing()?;
    if !args.new.is_given() {
        prompt::need_terminal("a new password", TWINS)?;
    }
    // The old one is checked before anybody thinks of a new one.
    let (open, old) = access::open(&vault, &args.passwords)?;
    drop(open);
    let new = access::chosen("Choose the new vault password: ", args.new.given()?, TWINS, args.weak)?;
    prompt::spinning("encrypting the vault", || vault.change_password(&old, &new)).map_err(explain)?;
    if args.common.json {
        terminal::json(&json!({ "success": true }));
    } else {
        terminal::note("The vault has the new password. Copies made elsewhere keep the old one.");
    }
    Ok(Exit::success())
}
