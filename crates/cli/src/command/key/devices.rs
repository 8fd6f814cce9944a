//! `durward key list`, `revoke`, `rotate`, `whoami`: with the key that this machine has.

use std::path::PathBuf;

use clap::Args;
use durward_broker::accounts::{DeviceId, UserId};
use durward_files::write_private;
use durward_protocol::SecretString;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::server::{Server, ServerArgs};
use super::{key_folder, not_understood, runtime, unwritable};
use crate::command::account::device_id;
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal;

/// Which key.
#[derive(Debug, Args)]
pub(super) struct HolderArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The account, where this machine has keys of several.
    #[arg(long)]
    user: Option<UserId>,
    /// The file with the key [default: the one that `durward key get` wrote].
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Print one JSON object on stdout.
    #[arg(long)]
    pub(super) json: bool,
}

/// List the devices of the account that have a live key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward key list\n  \
    durward key list --server https://auth.example.com --user alan --json")]
pub(super) struct ListArgs {
    #[command(flatten)]
    pub(super) holder: HolderArgs,
}

/// Revoke a device's key: a lost one's, or this one's.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward key revoke dev_ring_oura_20260110\n  \
    durward key revoke dev_phone_pixel_20260301 --user alan")]
pub(super) struct RevokeArgs {
    /// Its id, as `durward key list` shows it.
    #[arg(value_parser = device_id)]
    device: DeviceId,
    #[command(flatten)]
    pub(super) holder: HolderArgs,
}

/// Take a new key for this device; the old one works a little longer.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward key rotate\n  durward key rotate --grace-seconds 0")]
pub(super) struct RotateArgs {
    /// How long the old key still works [default: the server's, five minutes].
    #[arg(long, value_name = "N")]
    grace_seconds: Option<u32>,
    #[command(flatten)]
    pub(super) holder: HolderArgs,
}

/// Say whose key this machine has, and whether it works.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward key whoami\n  durward key whoami --key-file ~/work.key --json")]
pub(super) struct WhoamiArgs {
    #[command(flatten)]
    pub(super) holder: HolderArgs,
}

pub(super) fn list(args: &ListArgs) -> CommandResult {
    let (server, _) = args.holder.open()?;
    let answer = runtime()?.block_on(server.get("/auth/devices"))?;
    if args.holder.json {
        return print(&answer);
    }
    let devices = answer.get("devices").and_then(Value::as_array).ok_or_else(not_understood)?;
    let rows = devices.iter().map(|device| {
        let ends = Some(word(device, "expires_at")).filter(|end| !end.is_empty());
        let used = Some(word(device, "last_used")).filter(|at| !at.is_empty());
        vec![
            word(device, "device_id"),
            word(device, "type"),
            word(device, "name"),
            used.unwrap_or_else(|| "never".into()),
            ends.unwrap_or_else(|| "never".into()),
        ]
    });
    terminal::table(&["DEVICE", "TYPE", "NAME", "LAST USED", "ENDS"], rows);
    Ok(Exit::success())
}

pub(super) fn revoke(args: &RevokeArgs) -> CommandResult {
    let (server, _) = args.holder.open()?;
    let answer = runtime()?.block_on(server.post("/auth/revoke", &json!({ "device_id": args.device })));
    let answer = answer.map_err(for_a_person)?;
    if args.holder.json {
        return print(&answer);
    }
    terminal::note(&format!("The key of {} is dead; that device must log in again.", args.device));
    Ok(Exit::success())
}

/// The server names the call that lists devices; here there is a command for it.
fn for_a_person(error: CliError) -> CliError {
    if error.code != "unknown_device" {
        return error;
    }
    CliError::new(error.exit, error.code, "the account has no device of that id with a live key")
        .hint("`durward key list` shows those that have one")
}

pub(super) fn rotate(args: &RotateArgs) -> CommandResult {
    let (server, file) = args.holder.open()?;
    let body = args.grace_seconds.map_or_else(|| json!({}), |seconds| json!({ "grace_seconds": seconds }));
    let mut answer = runtime()?.block_on(server.post("/auth/rotate", &body))?;
    let key = match answer.get_mut("api_key").map(Value::take) {
        Some(Value::String(key)) => Zeroizing::new(key),
        _ => return Err(not_understood()),
    };
    write_private(&file, key.as_bytes()).map_err(|error| unwritable(&file, &error))?;
    if args.holder.json {
        if let Some(answer) = answer.as_object_mut() {
            answer.remove("api_key");
            answer.insert("file".into(), json!(file));
        }
        return print(&answer);
    }
    terminal::note(&format!("The old key works until {}.", word(&answer, "old_key_valid_until")));
    terminal::out(&file.display().to_string());
    Ok(Exit::success())
}

pub(super) fn whoami(args: &WhoamiArgs) -> CommandResult {
    let (server, _) = args.holder.open()?;
    let answer = runtime()?.block_on(server.get("/auth/whoami"))?;
    if args.holder.json {
        return print(&answer);
    }
    terminal::out(&format!("{} on {}", word(&answer, "user"), word(&answer, "device_id")));
    Ok(Exit::success())
}

impl HolderArgs {
    /// The server with the key, and where the key lies.
    fn open(&self) -> Result<(Server, PathBuf), CliError> {
        let file = match (&self.key_file, &self.user) {
            (Some(file), _) => file.clone(),
            (None, Some(user)) => key_folder()?.join(format!("{}{user}.key", self.server.file_stem())),
            (None, None) => self.only_file()?,
        };
        let text = std::fs::read_to_string(&file).map(Zeroizing::new).map_err(|error| {
            let text = format!("cannot read the key in {}: {error}", file.display());
            CliError::new(Exit::NotFound, "no_key", text).hint("get one with `durward key get --user NAME`")
        })?;
        let server = self.server.open(Some(SecretString::new(text.trim().to_owned())))?;
        Ok((server, file))
    }

    /// The one key that this machine has of the server.
    fn only_file(&self) -> Result<PathBuf, CliError> {
        let stem = self.server.file_stem();
        let entries = std::fs::read_dir(key_folder()?).into_iter().flatten().flatten();
        let is_key = |name: &str| name.strip_suffix(".key").is_some_and(|name| name.starts_with(&stem));
        let mut found: Vec<PathBuf> = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_key))
            .map(|entry| entry.path())
            .collect();
        match (found.pop(), found.is_empty()) {
            (Some(file), true) => Ok(file),
            (Some(_), false) => Err(CliError::new(
                Exit::Usage,
                "user_required",
                "this machine has keys of several accounts there",
            ))
            .map_err(|error| error.hint("say which with --user NAME")),
            (None, _) => {
                Err(CliError::new(Exit::NotFound, "no_key", "this machine has no key of that server")
                    .hint("get one with `durward key get --user NAME`"))
            }
        }
    }
}

fn word(value: &Value, name: &str) -> String {
    terminal::harmless(value.get(name).and_then(Value::as_str).unwrap_or_default())
}

/// One object with `success`, as every command has it.
fn print(answer: &Value) -> CommandResult {
    let mut answer = answer.clone();
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("success".into(), true.into());
    }
    terminal::json(&answer);
    Ok(Exit::success())
}
