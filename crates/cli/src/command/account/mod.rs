//! `durward account …`: people who log in with a passphrase.

mod call;
mod passphrase;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use durward_broker::accounts::{DeviceId, DeviceName, UserId};
use durward_server::auth::owner::{AccountReply, OwnedDevice, Summary};
use serde_json::{Value, json};
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime};

use crate::control::SecretBody;
use crate::env_vars;
use crate::exit::{CliError, CommandResult, Exit};
use crate::prompt::{self, PasswordArgs};
use crate::secret_arg::SecretArg;
use crate::terminal;
use passphrase::{Chosen, PhraseArgs};

/// Accounts: one passphrase a person, one API key a device.
///
/// Works through the server that runs here, and without one on its store. Whoever owns this folder may do
/// everything to every account.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward account add alan --suggest\n  durward account list\n  \
    durward account unlock alan\n  \
    durward account import-key --user alan --expires 2026-12-31 --key-file old-key.txt")]
pub(crate) struct AccountArgs {
    #[command(subcommand)]
    verb: Verb,
    /// The database, where no server runs here: postgres://USER@HOST/DATABASE.
    #[arg(long, global = true, value_name = "URL", env = env_vars::DURWARD_DATABASE_URL, hide_env_values = true)]
    database_url: Option<SecretArg>,
    /// Print one JSON object on stdout.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make an account and print its ten recovery codes.
    #[command(after_help = "Examples:\n  durward account add alan --suggest\n  durward account add alan")]
    Add {
        /// Its name: letters, digits, dots, dashes, underscores.
        user: UserId,
        #[command(flatten)]
        phrase: PhraseArgs,
    },
    /// List the accounts: devices, codes left, failures that still count, and which addresses are locked out.
    #[command(after_help = "Example:\n  durward account list")]
    List,
    /// List the devices of an account that have a live key.
    #[command(
        after_help = "Examples:\n  durward account devices alan\n  durward account devices alan --json"
    )]
    Devices {
        /// Whose.
        user: UserId,
    },
    /// Revoke the key of one device: it must log in again.
    #[command(after_help = "Examples:\n  durward account revoke alan dev_ring_oura_20260110")]
    Revoke {
        /// Whose.
        user: UserId,
        /// Its id, as `durward account devices` shows it.
        #[arg(value_parser = device_id)]
        device: DeviceId,
    },
    /// Remove an account with its keys and recovery codes.
    #[command(after_help = "Example:\n  durward account remove alan")]
    Remove {
        /// Which.
        user: UserId,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Clear an account's counters of failures: whoever was locked out may try again.
    #[command(after_help = "Example:\n  durward account unlock alan")]
    Unlock {
        /// Which.
        user: UserId,
    },
    /// Set a new passphrase, without asking for the old one.
    #[command(
        after_help = "Examples:\n  durward account passphrase alan\n  durward account passphrase alan --revoke-all-devices"
    )]
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
    #[command(after_help = "Example:\n  durward account recovery alan")]
    Recovery {
        /// Whose.
        user: UserId,
    },
    /// Take over a shared API key from before, until a date. Its use is audited as `legacy`.
    ///
    /// The key is typed at the prompt, or comes from stdin, a file or the environment.
    #[command(after_help = "Examples:\n  \
        durward account import-key --user alan --expires 2026-12-31 --key-file old-key.txt\n  \
        durward account import-key --user alan --expires 2026-12-31T18:00:00Z --key-env OLD_KEY")]
    ImportKey {
        /// Whose it becomes.
        #[arg(long)]
        user: UserId,
        /// When it ends: the last day (UTC) on which it works, or a time as in 2026-12-31T18:00:00Z.
        #[arg(long, value_parser = end)]
        expires: OffsetDateTime,
        /// What it is called in the list of devices.
        #[arg(long, default_value = "shared key")]
        name: DeviceName,
        #[command(flatten)]
        key: KeyArgs,
    },
}

/// Where a script gives the shared key.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct KeyArgs {
    /// Read the key from stdin: its first line.
    #[arg(long = "key-stdin", alias = "password-stdin")]
    stdin: bool,
    /// Read the key from a file.
    #[arg(long = "key-file", alias = "password-file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read the key from an environment variable.
    #[arg(long = "key-env", alias = "password-env", value_name = "VAR")]
    env: Option<String>,
}

impl From<KeyArgs> for PasswordArgs {
    fn from(KeyArgs { stdin, file, env }: KeyArgs) -> Self {
        Self { stdin, file, env }
    }
}

pub(crate) fn run(args: AccountArgs) -> CommandResult {
    let json = args.json;
    act(args).map_err(|error| error.json(json))
}

fn act(args: AccountArgs) -> CommandResult {
    let AccountArgs { verb, database_url, json } = args;
    let database = database_url.map(|url| url.shared());
    let send = |body: SecretBody| call::send(body, database.as_deref());
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
        Verb::Devices { user } => {
            let devices = send(about("devices", &user))?.devices.unwrap_or_default();
            if json {
                return printed(&json!({ "success": true, "user": user, "devices": devices }));
            }
            list_devices(&user, &devices);
            Ok(Exit::success())
        }
        Verb::Revoke { user, device } => {
            send(about("revoke", &user).set("device", &device))?;
            if json {
                return printed(&json!({ "success": true, "revoked": device }));
            }
            done(&format!("The key of {device} is dead; that device must log in again."), false)
        }
        Verb::Remove { user, yes } => {
            if !prompt::confirm(&format!("Remove {user} with all keys?"), yes)? {
                return Err(CliError::new(Exit::Cancelled, "cancelled", "nothing was removed"));
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
            let key = match PasswordArgs::from(key).given()? {
                Some(key) => key,
                None => prompt::typed_password("The shared key: ")?,
            };
            let at = expires.format(&Rfc3339).map_err(|error| usage(&error.to_string()))?;
            let body = about("import-key", &user).set("name", name).set("expires_at", at);
            let device = send(body.secret("key", &key))?.device_id.unwrap_or_default();
            if json {
                return printed(&json!({ "success": true, "device_id": device }));
            }
            done(&format!("The key is device {device} of {user} until {}.", moment(expires)), false)
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
    table.set_header(["ACCOUNT", "DEVICES", "RECOVERY CODES", "OPAQUE", "FAILURES", "LOCKED"]);
    for account in accounts {
        table.add_row([
            account.user.to_string(),
            account.active_devices.to_string(),
            account.recovery_codes.to_string(),
            if account.opaque { "yes" } else { "at the next login" }.to_owned(),
            account.failures.to_string(),
            locked(account),
        ]);
    }
    table.trim_fmt()
}

/// The address that waits longest, and how many others do.
fn locked(account: &Summary) -> String {
    let Some(longest) = account.locked.iter().max_by_key(|lock| lock.until) else { return "no".into() };
    let more = match account.locked.len() - 1 {
        0 => String::new(),
        n => format!(", {n} more"),
    };
    format!("{} until {}{more}", longest.address, moment(longest.until))
}

fn list_devices(user: &UserId, devices: &[OwnedDevice]) {
    if devices.is_empty() {
        return terminal::note(&format!("{user} has no device with a live key."));
    }
    let never = |at: Option<OffsetDateTime>| at.map_or_else(|| "never".into(), moment);
    let rows = devices.iter().map(|device| {
        vec![
            device.device_id.to_string(),
            if device.imported { "imported" } else { device.kind.as_str() }.to_owned(),
            device.name.to_string(),
            never(device.last_used),
            never(device.expires_at),
        ]
    });
    terminal::table(&["DEVICE", "TYPE", "NAME", "LAST USED", "ENDS"], rows);
}

/// A midnight is written as the day before, whose last moment it ends: that is how it was given.
fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    match at.date().previous_day() {
        Some(day) if at.time() == time::Time::MIDNIGHT => format!("the end of {day}"),
        _ => {
            let (date, time) = (at.date(), at.time());
            format!("{date} {:02}:{:02} UTC", time.hour(), time.minute())
        }
    }
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

/// The server's own words for an id that cannot be one are about a call, not about a command line.
pub(crate) fn device_id(text: &str) -> Result<DeviceId, &'static str> {
    text.parse().map_err(|_| "a device id looks like dev_ring_oura_20260110")
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
        assert_eq!(moment(end("2026-12-31").unwrap()), "the end of 2026-12-31");
        assert_eq!(moment(end("2026-12-31T18:00:00Z").unwrap()), "2026-12-31 18:00 UTC");
        assert_eq!(end("2026-12-31"), Ok(datetime!(2027-01-01 00:00 UTC)));
        assert_eq!(end("2026-12-31T18:00:00Z"), Ok(datetime!(2026-12-31 18:00 UTC)));
        assert!(end("tomorrow").is_err() && end("2026-13-01").is_err());
    }
}
