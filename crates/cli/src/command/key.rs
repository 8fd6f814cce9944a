//! `durward key …`: the API key of this device. `get` is here, what one does with the key in `devices`.

mod devices;
mod identity;
mod server;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use durward_broker::accounts::{
    Arena, CanonicalPhrase, Device, DeviceName, DeviceType, Fingerprint, OpaqueClient, OpaqueError, UserId,
};
use durward_files::{create_private_dir, write_private};
use durward_protocol::SecretString;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::{Value, json};

use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;
use crate::prompt::{self, PasswordArgs};
use crate::terminal;
use devices::{ListArgs, RevokeArgs, RotateArgs, WhoamiArgs};
use server::{Server, ServerArgs, remaining};

/// API keys: this device's, and those of the account's other devices.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward key get --user alan\n  durward key list\n  \
    durward key revoke dev_ring_oura_20260110\n  durward key rotate")]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Get(GetArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
    Rotate(RotateArgs),
    Whoami(WhoamiArgs),
}

/// Log in with the passphrase and keep the key that this device gets, in a file that only you can read.
///
/// The passphrase stays here: the login is OPAQUE (RFC 9807). An account that was never enrolled for it, because
/// it was only ever imported or its phrase was changed by another client, needs --plain once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward key get --user alan\n  \
    durward key get --server https://auth.example.com --user alan --name 'MacBook Terminal'\n  \
    curl -H \"X-API-Key: $(cat \"$(durward key get --user alan --password-env PHRASE)\")\" …")]
struct GetArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The account.
    #[arg(long)]
    user: UserId,
    /// What this device is: terminal, phone, watch, ring, ar_glasses, robot, browser, iot, other.
    #[arg(long = "type", value_name = "TYPE", default_value = "terminal")]
    kind: DeviceType,
    /// What this device is called [default: the name of this machine].
    #[arg(long)]
    name: Option<DeviceName>,
    /// What tells this device from others: the same again gets a new key and ends the old one [default: made for
    /// the file that the key goes to].
    #[arg(long)]
    fingerprint: Option<Fingerprint>,
    /// Send the passphrase to the server instead; over TLS or to this machine only.
    #[arg(long)]
    plain: bool,
    /// Where the key goes [default: device-keys/ in the data folder].
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print one JSON object on stdout.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    passphrase: PasswordArgs,
}

pub(crate) fn run(args: KeyArgs) -> CommandResult {
    let (result, json) = match &args.verb {
        Verb::Get(args) => (get(args), args.json),
        Verb::List(args) => (devices::list(args), args.holder.json),
        Verb::Revoke(args) => (devices::revoke(args), args.holder.json),
        Verb::Rotate(args) => (devices::rotate(args), args.holder.json),
        Verb::Whoami(args) => (devices::whoami(args), args.holder.json),
    };
    result.map_err(|error| error.json(json))
}

fn get(args: &GetArgs) -> CommandResult {
    let server = args.server.open(None)?;
    let name = args.name.clone().map_or_else(machine_name, Ok)?;
    let output = match &args.output {
        Some(path) => path.clone(),
        None => key_folder()?.join(format!("{}{}.key", args.server.file_stem(), args.user)),
    };
    let fingerprint = match &args.fingerprint {
        Some(given) => given.clone(),
        None => identity::fingerprint(&key_folder()?, &output)?,
    };
    let device = Device { kind: args.kind, name, fingerprint: Some(fingerprint) };
    let phrase = prompt::password("Passphrase: ", &args.passphrase)?;
    let issued = runtime()?.block_on(log_in(&server, args, &device, &phrase))?;
    let key = issued.get("api_key").and_then(Value::as_str).ok_or_else(not_understood)?;
    if let Some(folder) = output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        create_private_dir(folder).map_err(|error| unwritable(&output, &error))?;
    }
    write_private(&output, key.as_bytes()).map_err(|error| unwritable(&output, &error))?;
    let field = |name: &str| issued.get(name).cloned().unwrap_or(Value::Null);
    if args.json {
        let answer = json!({
            "success": true, "file": output, "device_id": field("device_id"), "user": field("user"),
            "expires_at": field("expires_at"),
        });
        terminal::json(&answer);
    } else {
        let device = field("device_id");
        terminal::note(&format!("This device is {}.", device.as_str().unwrap_or_default()));
        terminal::out(&output.display().to_string());
    }
    Ok(Exit::success())
}

async fn log_in(
    server: &Server,
    args: &GetArgs,
    device: &Device,
    phrase: &SecretString,
) -> Result<Value, CliError> {
    let knock = server.post("/auth/knock", &json!({ "device": device })).await?;
    let challenge = knock.get("challenge").and_then(Value::as_str).ok_or_else(not_understood)?;
    if args.plain {
        let body = json!({
            "challenge": challenge, "passphrase": phrase.expose_secret(), "device": device, "user": args.user,
        });
        return server.post("/auth/exchange", &body).await;
    }
    let mut rng = UnwrapErr(SysRng);
    let (login, first) =
        OpaqueClient::start(CanonicalPhrase::new(phrase), &mut rng).map_err(|error| failed(error, None))?;
    let body = json!({
        "challenge": challenge, "start_login_request": first, "device": device, "user": args.user,
    });
    let answer = server.post("/auth/opaque/start", &body).await?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).ok_or_else(not_understood);
    let left = answer.get("attempts_remaining").and_then(Value::as_u64);
    let last = login.finish(text("login_response")?, &mut Arena::new(), &mut rng);
    let last = last.map_err(|error| failed(error, left))?;
    let body = json!({ "login_id": text("login_id")?, "finish_login_request": last });
    server.post("/auth/opaque/finish", &body).await
}

/// `left`: failures before the next lock, this one counted.
fn failed(error: OpaqueError, left: Option<u64>) -> CliError {
    match error {
        OpaqueError::Login => {
            let text = "the passphrase is wrong, or this account is not enrolled for OPAQUE yet";
            let plain = "if you are sure of the phrase, log in once with --plain: that enrols the account";
            let error = CliError::new(Exit::SessionFailed, "invalid_passphrase", text);
            match left {
                Some(left) => {
                    error.hint(format!("{}; {plain}", remaining(left))).fact("attempts_remaining", left)
                }
                None => error.hint(plain),
            }
        }
        OpaqueError::Message | OpaqueError::Stored | OpaqueError::Internal => {
            other("opaque", error.to_string())
        }
    }
}

/// Where keys lie unless told otherwise.
fn key_folder() -> Result<PathBuf, CliError> {
    Ok(Paths::discover()?.data().join("device-keys"))
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| other("start_failed", format!("cannot start: {error}")))
}

fn machine_name() -> Result<DeviceName, CliError> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = Some(name.trim()).filter(|name| !name.is_empty()).unwrap_or("terminal").to_owned();
    name.parse().map_err(|_| {
        CliError::new(Exit::Usage, "invalid_request", "this machine's name is no device name: give --name")
    })
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    other("unwritable", format!("cannot write {}: {error}; the key is lost, get another", path.display()))
}

fn not_understood() -> CliError {
    other("not_understood", "the server's answer is not understood: is it a durward with accounts?".into())
}

fn other(code: &str, text: String) -> CliError {
    CliError::new(Exit::Other, code, text)
}
