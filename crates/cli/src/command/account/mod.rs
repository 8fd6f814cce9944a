//! `durward account …`: people who log in with a passphrase.

mod call;
mod passphrase;

use clap::{Args, Subcommand};
use durward_broker::accounts::{DeviceName, UserId};
use durward_server::auth::owner::{AccountReply, Summary};
use serde_json::{Value, json};
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime};

use crate::control::SecretBody;
use crate::env_vars;
use crate::exit::{CliError, CommandResult, Exit};
use crate::prompt::{self, PasswordArgs};
use crate::terminal;
use passphrase::{Chosen, PhraseArgs};

/// Accounts: one passphrase a person, one API key a device.
///
/// Works through the server that runs here, and without one on its store. Whoever owns this folder may do
/// everything to every account.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward account add alan --suggest\n  durward account list\n  \
    durward account unlock alan\n  \
    durward account import-key --user alan --expires 2026-12-31 --password-file old-key.txt")]
pub(crate) struct AccountArgs {
    #[command(subcommand)]
    verb: Verb,
    /// The database, where no server runs here: postgres://USER@HOST/DATABASE.
    #[arg(long, global = true, value_name = "URL", env = env_vars::DURWARD_DATABASE_URL, hide_env_values = true)]
    database_url: Option<String>,
    /// Print one JSON object on stdout.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make an account and print its ten recovery codes.
    Add {
        /// Its name: letters, digits, dots, dashes, underscores.
        user: UserId,
        #[command(flatten)]
        phrase: PhraseArgs,
    },
    /// List the accounts.
    List,
    /// Remove an account with its keys and recovery codes.
    Remove {
        /// Which.
        user: UserId,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Clear an account's counters of failures: whoever was locked out may try again.
    Unlock {
        /// Which.
        user: UserId,
    },
    /// Set a new passphrase, without asking for the old one.
    Passphrase {
        /// Whose.
        user: UserId,
        /// Revoke every device key of the account, too.
        #[arg(long)]
        revoke_all_devices: bool,
        #[command(flatten)]
        phrase: PhraseArgs,
    },
    /// Print ten new recovery codes; the old ones are void.
    Recovery {
        /// Whose.
        user: UserId,
    },
    /// Take over a shared API key from before, until a date. Its use is audited as `legacy`.
    ImportKey {
        /// Whose it becomes.
        #[arg(long)]
        user: UserId,
        /// When it ends: a date, or a time as in 2026-12-31T18:00:00Z.
        #[arg(long, value_parser = end)]
        expires: OffsetDateTime,
        /// What it is called in the list of devices.
        #[arg(long, default_value = "shared key")]
        name: DeviceName,
        #[command(flatten)]
        key: PasswordArgs,
    },
}

pub(crate) fn run(args: AccountArgs) -> CommandResult {
    let json = args.json;
    act(args).map_err(|error| error.json(json))
}

fn act(args: AccountArgs) -> CommandResult {
    let AccountArgs { verb, database_url, json } = args;
    let database = database_url.map(durward_protocol::SecretString::new);
    let send = |body: SecretBody| call::send(body, database.as_ref());
    match verb {
        Verb::Add { user, phrase } => {
            let chosen = passphrase::choose(&phrase)?;
            let body = about("add", &user).secret("passphrase", chosen.phrase());
            let reply = send(body)?;
            let head = format!("Account {user} is made.");
            show_codes(&head, &reply, Some(&chosen), json)
        }
        Verb::List => {
            let reply = send(SecretBody::default().set("verb", "list"))?;
            let accounts = reply.accounts.unwrap_or_default();
            if json {
                return printed(&json!({ "success": true, "accounts": accounts }));
            }
            terminal::out(&table(&accounts));
            Ok(Exit::success())
        }
        Verb::Remove { user, yes } => {
            if !prompt::confirm(&format!("Remove {user} with all keys?"), yes)? {
                return Err(prompt::cancelled());
            }
            send(about("remove", &user))?;
            done(&format!("Account {user} is removed; its keys are dead."), json)
        }
        Verb::Unlock { user } => {
            send(about("unlock", &user))?;
            done(&format!("The counters of {user} are cleared."), json)
        }
        Verb::Passphrase { user, revoke_all_devices, phrase } => {
            let chosen = passphrase::choose(&phrase)?;
            let body = about("passphrase", &user).set("revoke_all", revoke_all_devices);
            send(body.secret("passphrase", chosen.phrase()))?;
            let keys =
                if revoke_all_devices { "All device keys are revoked." } else { "Device keys stay valid." };
            if json {
                let mut answer = json!({ "success": true });
                chosen.add_to(&mut answer);
                return printed(&answer);
            }
            chosen.show();
            done(&format!("{user} has a new passphrase. {keys}"), false)
        }
        Verb::Recovery { user } => {
            let reply = send(about("recovery", &user))?;
            show_codes(&format!("New recovery codes of {user}; the old ones are void."), &reply, None, json)
        }
        Verb::ImportKey { user, expires, name, key } => {
            let key = match key.given()? {
                Some(key) => key,
                None => prompt::typed_password("The shared key: ")?,
            };
            let at = expires.format(&Rfc3339).map_err(|error| usage(&error.to_string()))?;
            let body = about("import-key", &user).set("name", name).set("expires_at", at);
            let device = send(body.secret("key", &key))?.device_id.unwrap_or_default();
            if json {
                return printed(&json!({ "success": true, "device_id": device }));
            }
            done(&format!("The key is device {device} of {user} until {}.", expires.date()), false)
        }
    }
}

fn about(verb: &str, user: &UserId) -> SecretBody {
    SecretBody::default().set("verb", verb).set("user", user)
}

fn show_codes(head: &str, reply: &AccountReply, chosen: Option<&Chosen>, json: bool) -> CommandResult {
    if json {
        let mut answer = json!({ "success": true, "recovery_codes": reply.recovery_codes });
        if let Some(chosen) = chosen {
            chosen.add_to(&mut answer);
        }
        return printed(&answer);
    }
    terminal::note(head);
    if let Some(chosen) = chosen {
        chosen.show();
    }
    terminal::note("Recovery codes, each good once, shown only now. Keep them where no device is:");
    for code in &reply.recovery_codes {
        terminal::out(code);
    }
    Ok(Exit::success())
}

fn table(accounts: &[Summary]) -> String {
    if accounts.is_empty() {
        return "There is no account yet: make one with `durward account add NAME`.".into();
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["ACCOUNT", "DEVICES", "RECOVERY CODES", "OPAQUE"]);
    for account in accounts {
        table.add_row([
            account.user.to_string(),
            account.active_devices.to_string(),
            account.recovery_codes.to_string(),
            if account.opaque { "yes" } else { "at the next login" }.to_owned(),
        ]);
    }
    table.trim_fmt()
}

fn done(text: &str, json: bool) -> CommandResult {
    if json {
        return printed(&json!({ "success": true }));
    }
    terminal::note(text);
    Ok(Exit::success())
}

fn printed(value: &Value) -> CommandResult {
    terminal::json(value);
    Ok(Exit::success())
}

fn end(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(at);
    }
    let date = Date::parse(text, &Iso8601::DATE).map_err(|_| "write a date as 2026-12-31".to_owned())?;
    // The day named is the last one on which the key works.
    let next = date.next_day().ok_or("this date is too far away")?;
    Ok(next.midnight().assume_utc())
}

fn usage(text: &str) -> CliError {
    CliError::new(Exit::Usage, "invalid_request", text)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn ends() {
        assert_eq!(end("2026-12-31"), Ok(datetime!(2027-01-01 00:00 UTC)));
        assert_eq!(end("2026-12-31T18:00:00Z"), Ok(datetime!(2026-12-31 18:00 UTC)));
        assert!(end("tomorrow").is_err() && end("2026-13-01").is_err());
    }
}
