//! Devices: pairing, the list of them, sealed files, and what they send each other.

mod asked;
mod drops;
mod list;
mod pair;
mod sealed;
mod table;

use std::future::Future;

use durward_protocol::device::api::{DeviceView, Devices, ThisDevice};
use durward_protocol::device::{DeviceId, DeviceName};
use durward_sealing::KeyFolder;
use serde::Serialize;
use serde_json::Value;

pub(crate) use asked::{AskedVerb, asked, elsewhere};
pub(crate) use drops::{InboxArgs, SendArgs, inbox, send};
pub(crate) use list::{DevicesArgs, devices};
pub(crate) use pair::{PairArgs, pair};
pub(crate) use sealed::{OpenArgs, SealArgs, open, seal};
pub(crate) use table::status;

use super::owner::{OutputArgs, with_control};
use crate::control::{Control, Failure};
use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;
use crate::terminal::{self, harmless};

/// Runs a command against the daemon that runs here.
fn with_daemon<F>(output: OutputArgs, command: impl FnOnce(Control) -> F) -> CommandResult
where
    F: Future<Output = CommandResult>,
{
    with_control(output, |control| async move { command(control).await.map_err(no_daemon) })
}

/// The same failure in the words of the device commands.
fn no_daemon(error: CliError) -> CliError {
    if error.code != "not_running" {
        return error;
    }
    CliError::new(Exit::CannotConnect, "not_running", "Failed to connect to daemon")
        .hint("The daemon must be running: `durward daemon`")
}

/// The result: `{"success":true, …}` on stdout, or the text made of it.
fn answer<T: Serialize>(output: OutputArgs, result: &T, text: impl FnOnce(&T) -> String) -> CommandResult {
    if output.json {
        let mut object = match serde_json::to_value(result) {
            Ok(Value::Object(object)) => object,
            _ => serde_json::Map::new(),
        };
        object.insert("success".into(), Value::Bool(true));
        terminal::json(&object);
    } else {
        let text = text(result);
        if !text.is_empty() {
            terminal::out(&text);
        }
    }
    Ok(Exit::success())
}

/// The keys of this installation.
fn keys() -> Result<KeyFolder, CliError> {
    Ok(KeyFolder::at(Paths::discover()?.data()))
}

/// An error of the sealing library as exit code, code and hint.
fn explain(error: durward_sealing::Error) -> CliError {
    use durward_sealing::Error;
    let (exit, code, hint) = match &error {
        Error::NoRecipients | Error::TooManyRecipients { .. } => (Exit::Usage, "usage", None),
        Error::NotSealed | Error::Password | Error::UnknownVersion => (Exit::Other, "not_sealed", None),
        Error::NotForUs => (Exit::Other, "not_for_this_device", None),
        Error::Damaged => (Exit::Other, "damaged", None),
        Error::BadSignature | Error::PassedOn { .. } | Error::WrongPurpose => {
            (Exit::Mismatch, "bad_signature", None)
        }
        Error::Unsigned => (
            Exit::Refused,
            "unsigned",
            Some("if that is what you expect, such as a file of `age -r`, say --allow-unsigned"),
        ),
        Error::Stranger { .. } => (
            Exit::Refused,
            "stranger",
            Some("pair with that device (`durward pair`), or say --allow-stranger to open it all the same"),
        ),
        Error::NoKeys => (Exit::NotFound, "no_keys", None),
        Error::KeyFile { .. } => (Exit::Other, "bad_key_file", None),
        Error::NameTaken { .. } => (Exit::Usage, "name_taken", None),
        Error::Exists { .. } => (Exit::Other, "already_exists", None),
        Error::NoSpace { .. } => (Exit::Other, "no_space", None),
        _ => (Exit::Other, "file", None),
    };
    let explained = CliError::new(exit, code, error.to_string());
    match hint {
        Some(hint) => explained.hint(hint),
        None => explained,
    }
}

/// What a person may call a device: its name in whatever case, or its id.
fn is_called(which: &str, name: &DeviceName, id: DeviceId) -> bool {
    name.as_str().to_lowercase() == which.trim().to_lowercase() || id.to_string() == which
}

/// A peer or this device.
enum Which<'a> {
    This(&'a ThisDevice),
    Peer(&'a DeviceView),
}

fn find<'a>(devices: &'a Devices, which: &str) -> Result<Which<'a>, CliError> {
    if let Some(peer) = devices.devices.iter().find(|one| is_called(which, &one.name, one.device_id)) {
        return Ok(Which::Peer(peer));
    }
    if is_called(which, &devices.this.name, devices.this.device_id) {
        return Ok(Which::This(&devices.this));
    }
    Err(not_found(which))
}

fn find_peer<'a>(devices: &'a Devices, which: &str) -> Result<&'a DeviceView, CliError> {
    match find(devices, which)? {
        Which::Peer(peer) => Ok(peer),
        Which::This(_) => {
            let text = format!("{} is this device", harmless(which));
            Err(CliError::new(Exit::Usage, "this_device", text).hint("name another one"))
        }
    }
}

fn not_found(which: &str) -> CliError {
    let text = format!("there is no device {:?}", harmless(which));
    CliError::new(Exit::NotFound, "device_not_found", text).hint("`durward devices` lists them")
}

/// The id of a device that the owner named: a peer, or this one.
pub(crate) async fn device_id(control: &Control, which: &str) -> Result<DeviceId, CliError> {
    Ok(match find(&all(control).await?, which)? {
        Which::This(this) => this.device_id,
        Which::Peer(peer) => peer.device_id,
    })
}

/// All devices, from the daemon.
async fn all(control: &Control) -> Result<Devices, Failure> {
    control.get("/devices").await
}
