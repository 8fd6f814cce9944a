//! What the owner does with devices, and what comes of it: one call of the control plane each.

use durward_protocol::device::api::{
    ChangeDevice, ConfirmDevice, Devices, JoinStatus, PairInitiated, PairJoined, PairPending, PairRespond,
    PairResponded, PairState, PeerShown,
};
use durward_protocol::device::{DeviceId, DeviceName};
use durward_protocol::{ErrorCode, SecretString};
use serde_json::Value;

use super::call::{failed, text_of};
use super::event::Event;
use super::known::Known;
use crate::control::{Control, Failure, SecretBody};
use crate::terminal::harmless;

/// How long the approver holds one call of a join; the next one goes on where it ended.
const HELD_SECONDS: u64 = 60;

/// Something to do with devices. Each has a command: `durward pair`, `durward devices …`.
#[derive(Debug)]
pub(crate) enum DeviceAction {
    /// Make a code, for another device to type.
    MakeCode,
    /// Give the pairing up.
    Cancel,
    /// Answer the device that asks.
    Answer { device_id: DeviceId, accept: bool },
    /// Join with a code that another device shows.
    Join { code: SecretString, address: Option<String> },
    /// Give a device another name.
    Rename { device_id: DeviceId, name: DeviceName },
    /// Unpair a device.
    Remove { device_id: DeviceId, name: DeviceName },
    /// Take a device that a peer introduced, or refuse it.
    Confirm { device_id: DeviceId, name: DeviceName, accept: bool },
}

/// What came of it, where that is more than a sentence.
#[derive(Debug)]
pub(crate) enum DeviceEvent {
    /// The code, for this screen alone.
    Code(Box<PairInitiated>),
    /// Joining is over.
    Joined(Box<PairJoined>),
    /// Nobody could be joined, or not now.
    NotJoined(String),
}

/// Does one thing and says what came of it.
pub(super) async fn perform(control: &Control, action: DeviceAction) -> Event {
    match act(control, action).await {
        Ok(event) => event,
        Err(failure) => failed(failure),
    }
}

async fn act(control: &Control, action: DeviceAction) -> Result<Event, Failure> {
    Ok(match action {
        DeviceAction::MakeCode => {
            let begun = control.post::<PairInitiated>("/pair/initiate", SecretBody::default()).await?;
            Event::Device(DeviceEvent::Code(Box::new(begun)))
        }
        DeviceAction::Cancel => {
            control.post::<Value>("/pair/cancel", SecretBody::default()).await?;
            Event::Done("The pairing was given up: its code is dead.".into())
        }
        DeviceAction::Answer { device_id, accept } => {
            let body = SecretBody::new(PairRespond { accept, device_id: Some(device_id) });
            let done = control.post::<PairResponded>("/pair/respond", body).await?;
            let name = done.device.map(|device| device.name);
            Event::Done(ended(done.status, name.as_ref()).unwrap_or_default())
        }
        DeviceAction::Join { code, address } => join(control, &code, address.as_deref()).await,
        DeviceAction::Rename { device_id, name } => {
            let change = ChangeDevice { name: Some(name.to_string()), ..ChangeDevice::default() };
            control.patch::<Value>(&format!("/devices/{device_id}"), SecretBody::new(change)).await?;
            Event::Done(format!("It is called {} now.", harmless(name.as_str())))
        }
        DeviceAction::Remove { device_id, name } => {
            control.delete::<Value>(&format!("/devices/{device_id}")).await?;
            Event::Done(format!("Removed {}.", harmless(name.as_str())))
        }
        DeviceAction::Confirm { device_id, name, accept } => {
            let body = SecretBody::new(ConfirmDevice { accept });
            control.post::<Value>(&format!("/devices/{device_id}/confirm"), body).await?;
            let what = if accept { "paired" } else { "refused" };
            Event::Done(format!("{} is {what}.", harmless(name.as_str())))
        }
    })
}

/// Goes on until the other device's owner has answered. The approver bounds how long that may take.
async fn join(control: &Control, code: &SecretString, address: Option<&str>) -> Event {
    loop {
        let body = SecretBody::default().secret("code", code).set("address", address);
        match control.post_held::<PairJoined>("/pair/join", body, HELD_SECONDS).await {
            Ok(joined) if joined.status == JoinStatus::Pending => {}
            Ok(joined) => return Event::Device(DeviceEvent::Joined(Box::new(joined))),
            Err(Failure::NotRunning) => return Event::Gone,
            Err(failure) => return Event::Device(DeviceEvent::NotJoined(text_of(failure))),
        }
    }
}

/// Reads the devices and where their pairing stands. A fault of theirs hides nothing else.
pub(super) async fn read(control: &Control, known: &mut Known) {
    let (devices, pairing) =
        tokio::join!(control.get::<Devices>("/devices"), control.get::<PairPending>("/pair/pending"));
    match devices {
        Ok(devices) => known.devices = Some(devices),
        // That is how a plane without devices answers.
        Err(Failure::Refused(refusal)) if refusal.is(ErrorCode::NotFound) => {}
        Err(failure) => known.devices_problem = Some(text_of(failure)),
    }
    known.device_pairing = pairing.ok();
}

/// How a pairing ended at the device with the code; nothing while it goes on.
pub(crate) fn ended(state: PairState, peer: Option<&DeviceName>) -> Option<String> {
    let name = peer.map_or_else(|| "the device".to_owned(), |name| harmless(name.as_str()));
    Some(match state {
        PairState::Accepted => format!("Paired with {name}."),
        PairState::Rejected => "Pairing was rejected: nothing was stored.".into(),
        PairState::InvalidCode => {
            "A wrong code was typed on the other device: this one is used up, P makes a new one. \
                                   If nobody mistyped, somebody may be guessing."
                .into()
        }
        PairState::Expired => "The pairing code's time is over. P makes a new one.".into(),
        PairState::Cancelled => "The pairing was given up: its code is dead.".into(),
        PairState::Idle | PairState::Waiting | PairState::Exchanged | PairState::Requested => return None,
    })
}

/// How joining ended.
pub(crate) fn joined(joined: &PairJoined) -> String {
    let shown = |peer: &PeerShown| {
        format!(
            "Paired with {} ({}). Compare the key on its screen.",
            harmless(peer.device_name.as_str()),
            harmless(&peer.fingerprint)
        )
    };
    match joined.status {
        JoinStatus::Accepted => joined.peer.as_ref().map_or_else(|| "Paired.".into(), shown),
        JoinStatus::Rejected => "The other device's owner said no, or did not answer.".into(),
        JoinStatus::Expired | JoinStatus::Pending => {
            "Too late: the code's time is over, or the other device gave it up. Make a new one there.".into()
        }
        JoinStatus::InvalidCode => {
            "That was not the code. A code works once: make a new one on the other device.".into()
        }
    }
}
