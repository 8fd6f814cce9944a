//! `durward devices`

use clap::{Args, Subcommand, ValueEnum};
use durward_protocol::device::api::{
    ChangeDevice, ConfirmDevice, DeviceView, Introduce, IntroducedView, Rotated,
};
use durward_protocol::device::{DeviceId, DeviceName};
use durward_sealing::DeviceCard;
use serde_json::{Value, json};

use super::{Which, all, answer, explain, find, find_peer, is_called, keys, not_found, table, with_daemon};
use crate::command::owner::OutputArgs;
use crate::control::{Control, SecretBody};
use crate::exit::{CliError, CommandResult, Exit};
use crate::prompt;
use crate::terminal::{self, harmless};

/// Your devices: list, rename, remove, compare keys, say where they are.
///
/// A device is named by its name or its id.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward devices\n  durward devices rename desktop tower\n  \
    durward devices remove tower\n  durward devices fingerprint desktop\n  \
    durward devices set-address desktop 10.0.0.7:5000\n  \
    durward devices approver phone on\n  \
    durward devices rotate")]
pub(crate) struct DevicesArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// This device and its peers, and why something waits for one of them (the default).
    #[command(after_help = "Example:\n  durward devices list")]
    List,
    /// Give a peer another name here, or this device another name everywhere.
    #[command(after_help = "Example:\n  durward devices rename desktop tower")]
    Rename {
        /// Its name now.
        device: String,
        /// Its new name.
        name: String,
    },
    /// Unpair a device: nothing more is sealed for it or taken from it. Deleting sync/keys/NAME.pub does the same.
    #[command(after_help = "Example:\n  durward devices remove tower")]
    Remove {
        /// Which.
        device: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show whole keys, to compare them on both screens.
    #[command(after_help = "Example:\n  durward devices fingerprint desktop")]
    Fingerprint {
        /// Which [default: all].
        device: Option<String>,
    },
    /// Say where a device is, when it is not found on the network by itself.
    #[command(
        after_help = "Examples:\n  durward devices set-address desktop 10.0.0.7:5000\n  durward devices set-address desktop --none"
    )]
    SetAddress {
        /// Which.
        device: String,
        /// HOST:PORT of its agent plane, or https://HOST:PORT.
        #[arg(required_unless_present = "none")]
        address: Option<String>,
        /// Forget the address.
        #[arg(long, conflicts_with = "address")]
        none: bool,
    },
    /// Let a device answer requests that wait here, or not: it sees them, signs a yes or a no, and never a grant.
    ///
    /// On that device `durward requests --device` lists them.
    #[command(
        after_help = "Examples:\n  durward devices approver phone on\n  durward devices approver phone off"
    )]
    Approver {
        /// Which.
        device: String,
        /// Whether it may.
        switch: Switch,
    },
    /// Make new keys for this device. Every peer has to be paired again; one that is not stays out for good.
    #[command(after_help = "Example:\n  durward devices rotate")]
    Rotate {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Delete the old keys too: what was sealed for them cannot be opened any more.
        #[arg(long)]
        forget_old: bool,
    },
    /// Tell a peer about another peer, so that the two need no code. Its owner still has to confirm.
    #[command(after_help = "Example:\n  durward devices introduce laptop phone")]
    Introduce {
        /// The peer that is told.
        to: String,
        /// The peer it is told about.
        device: String,
    },
    /// Take a device that a peer introduced, or refuse it.
    #[command(after_help = "Example:\n  durward devices confirm phone")]
    Confirm {
        /// Which.
        device: String,
        /// Refuse it.
        #[arg(long)]
        refuse: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub(crate) fn devices(args: DevicesArgs) -> CommandResult {
    let output = args.output;
    match args.verb.unwrap_or(Verb::List) {
        Verb::Fingerprint { device } => {
            fingerprint(output, device.as_deref()).map_err(|error| error.json(output.json))
        }
        Verb::Remove { device, yes } => remove(output, &device, yes),
        verb => with_daemon(output, |control| async move { call(&control, output, verb).await }),
    }
}

async fn call(control: &Control, output: OutputArgs, verb: Verb) -> CommandResult {
    match verb {
        Verb::List | Verb::Remove { .. } | Verb::Fingerprint { .. } => {
            answer(output, &all(control).await?, table::devices)
        }
        Verb::Rename { device, name } => rename(control, output, &device, &name).await,
        Verb::SetAddress { device, address, .. } => {
            let change = ChangeDevice { address: Some(address.unwrap_or_default()), ..Default::default() };
            let changed = change_peer(control, &device, change).await?;
            answer(output, &changed, |peer| match &peer.address {
                Some(address) => format!("{} is at {}.", peer.name, harmless(address)),
                None => format!("{} is looked for on the network.", peer.name),
            })
        }
        Verb::Approver { device, switch } => {
            let change = ChangeDevice { approver: Some(switch == Switch::On), ..Default::default() };
            let changed = change_peer(control, &device, change).await?;
            answer(output, &changed, |peer| {
                if peer.approver {
                    format!(
                        "{0} may answer requests: `durward requests --device` on {0} lists them.",
                        peer.name
                    )
                } else {
                    format!("{} may not answer requests.", peer.name)
                }
            })
        }
        Verb::Rotate { yes, forget_old } => rotate(control, output, yes, forget_old).await,
        Verb::Introduce { to, device } => {
            let known = all(control).await?;
            let (to, device) = (find_peer(&known, &to)?, find_peer(&known, &device)?);
            let body = SecretBody::new(Introduce { device_id: device.device_id });
            let _: Value = control.post(&format!("/devices/{}/introduce", to.device_id), body).await?;
            let text = format!("{} is told about {}. Its owner has to confirm.", to.name, device.name);
            answer(output, &json!({ "to": to.device_id, "device_id": device.device_id }), |_| text)
        }
        Verb::Confirm { device, refuse, yes } => confirm(control, output, &device, !refuse, yes).await,
    }
}

async fn rename(control: &Control, output: OutputArgs, device: &str, name: &str) -> CommandResult {
    let name = DeviceName::parse(name)
        .map_err(|error| CliError::new(Exit::Usage, "invalid_device_name", error.to_string()))?;
    let known = all(control).await?;
    let (id, old) = match find(&known, device)? {
        Which::This(this) => (this.device_id, &this.name),
        Which::Peer(peer) => (peer.device_id, &peer.name),
    };
    let change = ChangeDevice { name: Some(name.to_string()), ..Default::default() };
    let changed: Value = control.patch(&format!("/devices/{id}"), SecretBody::new(change)).await?;
    answer(output, &changed, |_| format!("{old} is called {name} now."))
}

async fn change_peer(control: &Control, device: &str, change: ChangeDevice) -> Result<DeviceView, CliError> {
    let id = find_peer(&all(control).await?, device)?.device_id;
    Ok(control.patch(&format!("/devices/{id}"), SecretBody::new(change)).await?)
}

async fn rotate(control: &Control, output: OutputArgs, yes: bool, forget_old: bool) -> CommandResult {
    if !yes {
        prompt::need_terminal("a confirmation", "--yes")?;
        let known = all(control).await?;
        terminal::note(&format!(
            "{} gets new keys. Every peer is unpaired and has to be paired again: {}.",
            known.this.name,
            names(known.devices.iter().map(|peer| &peer.name))
        ));
        ask("Make new keys?")?;
    }
    let rotated: Rotated = control.post("/devices/rotate", SecretBody::default()).await?;
    if forget_old {
        keys()?.forget_retired().map_err(explain)?;
    }
    answer(output, &rotated, |rotated| {
        let again = names(rotated.removed.iter());
        format!("{} has new keys: {}\nPair again: {again}.", rotated.this.name, rotated.this.fingerprint)
    })
}

async fn confirm(
    control: &Control,
    output: OutputArgs,
    device: &str,
    accept: bool,
    yes: bool,
) -> CommandResult {
    let known = all(control).await?;
    let called = |one: &&IntroducedView| is_called(device, &one.device.device_name, one.device.device_id);
    let introduced = known.introduced.iter().find(called).ok_or_else(|| not_found(device))?;
    let (shown, by) = (&introduced.device, &introduced.introduced_by);
    if accept && !yes {
        prompt::need_terminal("a confirmation", "--yes or --refuse")?;
        terminal::note(&format!(
            "{by} introduced:\n\n  Device: {} ({})\n  Key:    {}\n",
            shown.device_name,
            shown.device_id,
            harmless(&shown.fingerprint)
        ));
        ask("Accept this device?")?;
    }
    let body = SecretBody::new(ConfirmDevice { accept });
    let done: Value = control.post(&format!("/devices/{}/confirm", shown.device_id), body).await?;
    let what = if accept { "paired" } else { "refused" };
    answer(output, &done, |_| format!("{} is {what}.", shown.device_name))
}

fn remove(output: OutputArgs, device: &str, yes: bool) -> CommandResult {
    let run = || {
        let (id, name) = on_disk(device)?;
        if !yes {
            prompt::need_terminal("a confirmation", "--yes")?;
            terminal::note(&format!(
                "{name} keeps what it has and is not told. For full revocation make new keys on the devices that \
                stay (`durward devices rotate`) and pair them again."
            ));
            ask(&format!("Remove {name}?"))?;
        }
        Ok::<_, CliError>((id, name))
    };
    let (id, name) = run().map_err(|error| error.json(output.json))?;
    with_daemon(output, |control| async move {
        if control.is_running().await {
            let _: Value = control.delete(&format!("/devices/{id}")).await?;
        } else {
            keys()?.remove(id).map_err(explain)?;
        }
        answer(output, &json!({ "device_id": id, "name": name }), |_| format!("Removed {name}."))
    })
}

/// A peer by its key file: this works while no daemon runs, too.
fn on_disk(device: &str) -> Result<(DeviceId, DeviceName), CliError> {
    let cards = keys()?.peer_cards().map_err(explain)?;
    let card = cards.into_iter().find(|card| is_called(device, &card.name, card.id));
    card.map(|card| (card.id, card.name)).ok_or_else(|| not_found(device))
}

fn fingerprint(output: OutputArgs, device: Option<&str>) -> CommandResult {
    let folder = keys()?;
    let own = folder.identity().map_err(explain)?.card();
    let mut cards = vec![own.clone()];
    for file in folder.peers().map_err(explain)? {
        match file.card {
            Ok(card) => cards.push(card),
            Err(error) => terminal::note(&format!("warning: {}", harmless(&error.to_string()))),
        }
    }
    if let Some(device) = device {
        cards.retain(|card| is_called(device, &card.name, card.id));
        if cards.is_empty() {
            return Err(not_found(device));
        }
    }
    let all: Vec<Value> = cards.iter().map(|card| describe(card, card.id == own.id)).collect();
    answer(output, &json!({ "devices": all }), |_| table::keys(&cards, own.id))
}

fn describe(card: &DeviceCard, this: bool) -> Value {
    json!({
        "device_id": card.id,
        "name": card.name,
        "this": this,
        "fingerprint": card.fingerprint(),
        "public_key": card.public.x25519_hex(),
        "signing_key": card.public.ed25519_hex(),
        "age_recipient": card.age_recipient(),
    })
}

fn ask(question: &str) -> Result<(), CliError> {
    if prompt::confirm(question, false)? {
        return Ok(());
    }
    Err(CliError::new(Exit::Cancelled, "cancelled", "nothing was changed"))
}

fn names<'a>(names: impl Iterator<Item = &'a DeviceName>) -> String {
    let names: Vec<&str> = names.map(DeviceName::as_str).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
