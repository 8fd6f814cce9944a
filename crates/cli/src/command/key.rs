//! `durward key get`: an API key for this device.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use durward_broker::accounts::{
    Arena, CanonicalPhrase, Device, DeviceName, DeviceType, Fingerprint, OpaqueClient, OpaqueError, UserId,
};
use durward_files::{create_private_dir, write_private};
use durward_protocol::SecretString;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use reqwest::{Client, Url, redirect};
use serde_json::{Value, json};

use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;
use crate::prompt::{self, PasswordArgs};
use crate::terminal;

const TIMEOUT: Duration = Duration::from_mins(1);

/// API keys of this device.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Get(GetArgs),
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
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5000")]
    server: Url,
    /// The account.
    #[arg(long)]
    user: UserId,
    /// What this device is: terminal, phone, watch, ring, ar_glasses, robot, browser, iot, other.
    #[arg(long = "type", value_name = "TYPE", default_value = "terminal")]
    kind: DeviceType,
    /// What this device is called [default: the name of this machine].
    #[arg(long)]
    name: Option<DeviceName>,
    /// What tells this device from others: the same again gets a new key and ends the old one.
    #[arg(long)]
    fingerprint: Option<Fingerprint>,
    /// Send the passphrase to the server instead; over TLS or to this machine only.
    #[arg(long)]
    plain: bool,
    /// Trust this certificate (PEM) and no other: for a server that signed its own.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
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
    let Verb::Get(args) = args.verb;
    let json = args.json;
    get(&args).map_err(|error| error.json(json))
}

fn get(args: &GetArgs) -> CommandResult {
    if args.server.scheme() != "https" && !is_loopback(&args.server) {
        let text = "the key would travel bare: use an https:// address, or a server on this machine";
        return Err(CliError::new(Exit::Refused, "plain_http", text));
    }
    let device = Device {
        kind: args.kind,
        name: args.name.clone().map_or_else(machine_name, Ok)?,
        fingerprint: args.fingerprint.clone(),
    };
    let output = match &args.output {
        Some(path) => path.clone(),
        None => default_file(args)?,
    };
    let phrase = prompt::password("Passphrase: ", &args.passphrase)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| other("start_failed", format!("cannot start: {error}")))?;
    let issued = runtime.block_on(log_in(args, &device, &phrase))?;
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

async fn log_in(args: &GetArgs, device: &Device, phrase: &SecretString) -> Result<Value, CliError> {
    let server = Server { client: client(args.ca.as_deref())?, base: args.server.clone() };
    let knock = server.post("/auth/knock", &json!({ "device": device })).await?;
    let challenge = knock.get("challenge").and_then(Value::as_str).ok_or_else(not_understood)?;
    if args.plain {
        let body = json!({
            "challenge": challenge, "passphrase": phrase.expose_secret(), "device": device, "user": args.user,
        });
        return server.post("/auth/exchange", &body).await;
    }
    let mut rng = UnwrapErr(SysRng);
    let (login, first) = OpaqueClient::start(CanonicalPhrase::new(phrase), &mut rng).map_err(failed)?;
    let body = json!({
        "challenge": challenge, "start_login_request": first, "device": device, "user": args.user,
    });
    let answer = server.post("/auth/opaque/start", &body).await?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).ok_or_else(not_understood);
    let last = login.finish(text("login_response")?, &mut Arena::new(), &mut rng).map_err(failed)?;
    let body = json!({ "login_id": text("login_id")?, "finish_login_request": last });
    server.post("/auth/opaque/finish", &body).await
}

struct Server {
    client: Client,
    base: Url,
}

impl Server {
    async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let response = self.client.post(url).json(body).send().await.map_err(|error| {
            let mut reason: &dyn std::error::Error = &error;
            while let Some(source) = reason.source() {
                reason = source;
            }
            let text = format!("cannot reach {}: {reason}", self.base);
            CliError::new(Exit::CannotConnect, "cannot_connect", text)
        })?;
        let status = response.status();
        let answer: Value = response.json().await.map_err(|_| not_understood())?;
        if status.is_success() { Ok(answer) } else { Err(refused(status.as_u16(), &answer)) }
    }
}

fn client(ca: Option<&Path>) -> Result<Client, CliError> {
    let _ = rustls::crypto::ring::default_provider().install_default(); // another part was faster: as good
    let mut builder = Client::builder().redirect(redirect::Policy::none()).timeout(TIMEOUT).no_proxy();
    if let Some(path) = ca {
        let unreadable = |error: &dyn std::fmt::Display| {
            CliError::new(Exit::Usage, "bad_certificate", format!("cannot use {}: {error}", path.display()))
        };
        let pem = std::fs::read(path).map_err(|error| unreadable(&error))?;
        let certificate = reqwest::Certificate::from_pem(&pem).map_err(|error| unreadable(&error))?;
        builder = builder.tls_certs_only([certificate]);
    }
    builder.build().map_err(|error| other("start_failed", error.to_string()))
}

fn refused(status: u16, answer: &Value) -> CliError {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let exit = match status {
        401 => Exit::SessionFailed,
        429 => Exit::RateLimited,
        400 => Exit::Usage,
        404 => Exit::NotFound,
        _ => Exit::Other,
    };
    let code = Some(text("error")).filter(|code| !code.is_empty()).unwrap_or_else(|| "refused".into());
    let message = Some(text("message")).filter(|text| !text.is_empty());
    let message = message.unwrap_or_else(|| format!("the server answered {status}"));
    let mut error = CliError::new(exit, code, terminal::harmless(&message));
    if let Some(left) = answer.get("attempts_remaining").and_then(Value::as_u64) {
        error = error.hint(format!("{left} more failures before the account is locked for this address"));
    }
    error
}

fn failed(error: OpaqueError) -> CliError {
    match error {
        OpaqueError::Login => {
            let text = "the passphrase is wrong, or this account is not enrolled for OPAQUE yet";
            let hint = "if you are sure of the phrase, log in once with --plain: that enrols the account";
            CliError::new(Exit::SessionFailed, "invalid_passphrase", text).hint(hint)
        }
        OpaqueError::Message | OpaqueError::Stored | OpaqueError::Internal => {
            other("opaque", error.to_string())
        }
    }
}

fn default_file(args: &GetArgs) -> Result<PathBuf, CliError> {
    let host = args.server.host_str().unwrap_or("server").replace([':', '[', ']'], "-");
    let port = args.server.port_or_known_default().unwrap_or_default();
    let name = format!("{host}_{port}_{}.key", args.user);
    Ok(Paths::discover()?.data().join("device-keys").join(name))
}

fn machine_name() -> Result<DeviceName, CliError> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = Some(name.trim()).filter(|name| !name.is_empty()).unwrap_or("terminal").to_owned();
    name.parse().map_err(|_| {
        CliError::new(Exit::Usage, "invalid_request", "this machine's name is no device name: give --name")
    })
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
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
