//! The page of devices: its keys, and what is said when a pairing moves on.

use durward_protocol::device::api::{PairState, PeerShown};
use durward_protocol::device::{DeviceId, DeviceName};
use durward_protocol::{Code, SecretString, TypedCode};
use time::Duration;

use super::super::event::Key;
use super::super::state::{Confirm, DeviceRow, Dialog, ShownCode, State, Tab, Text};
use super::keys::moved;
use super::{answer, read_anew, ring, say};
use crate::approver::devices::{self, DeviceAction, DeviceEvent};
use crate::approver::event::Action;
use crate::approver::known::Known;
use crate::terminal::harmless;

/// One key on the page.
pub(super) fn key(state: &mut State, key: Key) -> Option<Vec<Action>> {
    let rows = state.device_rows().len();
    if let Some(at) = moved(key, state.devices.at, rows) {
        state.devices.at = at;
        return Some(Vec::new());
    }
    let Key::Char(letter) = key else { return None };
    let letter = letter.to_ascii_lowercase();
    if let Some(peer) = state.known.asking_device().cloned()
        && matches!(letter, 'y' | 'n')
    {
        return Some(answered(state, &peer, letter == 'y'));
    }
    match letter {
        'p' | 'j' if state.known.devices.is_none() => say(state, "Devices are switched off here."),
        'p' | 'j' if state.known.live_pairing().is_some() || state.devices.joining => {
            say(state, "A pairing is under way; one at a time.");
        }
        'p' => return Some(vec![Action::Device(DeviceAction::MakeCode)]),
        'j' => {
            let inputs = [Text::plain(), Text::plain()];
            state.dialog = Some(Dialog::Join { inputs, at: 0, problem: None });
        }
        'n' if state.known.live_pairing().is_some() => {
            return Some(vec![Action::Device(DeviceAction::Cancel)]);
        }
        'y' | 'n' => take(state, letter == 'y')?,
        'e' => rename(state)?,
        'r' => remove(state)?,
        _ => return None,
    }
    Some(Vec::new())
}

/// The owner answers the device that asks.
fn answered(state: &mut State, peer: &PeerShown, accept: bool) -> Vec<Action> {
    if state.devices.answering {
        say(state, "The answer is on its way.");
        return Vec::new();
    }
    if answer::too_fast(state) {
        return Vec::new();
    }
    state.devices.answering = true;
    vec![Action::Device(DeviceAction::Answer { device_id: peer.device_id, accept })]
}

fn take(state: &mut State, accept: bool) -> Option<()> {
    let DeviceRow::Introduced(introduced) = state.selected_device()? else { return None };
    let introduced = Box::new(introduced.clone());
    state.dialog = Some(Dialog::Confirm(Confirm::TakeDevice { introduced, accept }));
    Some(())
}

fn rename(state: &mut State) -> Option<()> {
    let device = state.selected_device()?;
    if matches!(device, DeviceRow::Introduced(_)) {
        say(state, "It has to be confirmed first: Y takes it, N refuses it.");
        return Some(());
    }
    let (device_id, old) = (device.id(), device.name().clone());
    let this = matches!(device, DeviceRow::This(_));
    let input = Text::holding(old.as_str());
    state.dialog = Some(Dialog::Rename { device_id, old, this, input, problem: None });
    Some(())
}

fn remove(state: &mut State) -> Option<()> {
    match state.selected_device()? {
        DeviceRow::This(_) => {
            say(
                state,
                "This is this device. `durward devices rotate` gives it new keys and forgets all peers.",
            );
        }
        DeviceRow::Peer(peer) => {
            let (device_id, name) = (peer.device_id, peer.name.clone());
            state.dialog = Some(Dialog::Confirm(Confirm::RemoveDevice { device_id, name }));
        }
        DeviceRow::Introduced(_) => return take(state, false),
    }
    Some(())
}

/// A name was typed.
pub(super) fn renamed(
    state: &mut State,
    device_id: DeviceId,
    old: DeviceName,
    this: bool,
    input: Text,
) -> Vec<Action> {
    match DeviceName::parse(input.expose().trim()) {
        Ok(name) if name == old => Vec::new(),
        Ok(name) => vec![Action::Device(DeviceAction::Rename { device_id, name })],
        Err(error) => {
            let problem = Some(error.to_string());
            state.dialog = Some(Dialog::Rename { device_id, old, this, input, problem });
            Vec::new()
        }
    }
}

/// A code of another device was typed.
pub(super) fn joined(state: &mut State, inputs: [Text; 2], at: usize) -> Vec<Action> {
    let [typed, place] = &inputs;
    let problem = match typed.expose().trim().parse::<Code>() {
        Ok(code) => {
            let code = SecretString::new(code.expose_digits().to_owned());
            let address = Some(place.expose().trim().to_owned()).filter(|address| !address.is_empty());
            state.devices.joining = true;
            return vec![Action::Device(DeviceAction::Join { code, address })];
        }
        Err(_) if typed.expose().trim().parse::<TypedCode>().is_ok() => {
            "That is an agent's code: its place is the page Waiting."
        }
        Err(_) => "A device's code has six digits, 100000 to 999999.",
    };
    state.dialog = Some(Dialog::Join { inputs, at, problem: Some(problem.into()) });
    Vec::new()
}

/// What came of an action.
pub(super) fn happened(state: &mut State, event: DeviceEvent) -> Vec<Action> {
    match event {
        // Where it stands comes with the lists; the code comes only here.
        DeviceEvent::Code(begun) => {
            let seconds = i64::try_from(begun.expires_in_seconds).unwrap_or(0);
            let until = state.now + Duration::seconds(seconds);
            state.devices.code = Some(ShownCode { begun, until });
        }
        DeviceEvent::Joined(joined) => {
            state.devices.joining = false;
            say(state, devices::joined(&joined));
        }
        DeviceEvent::NotJoined(message) => {
            state.devices.joining = false;
            say(state, format!("Not done: {}", harmless(&message)));
        }
    }
    read_anew(state)
}

/// Says that a device asks, and how a pairing ended; rings for the first.
pub(super) fn announce(state: &mut State, before: &Known) -> Option<Action> {
    if let Some(peer) = state.known.asking_device() {
        let asked = before.asking_device().is_some_and(|old| old.device_id == peer.device_id);
        if asked {
            return None;
        }
        let text = format!("{} asks to be paired.", harmless(peer.device_name.as_str()));
        if state.tab != Tab::Devices {
            say(state, format!("{text} D shows it."));
        }
        return ring(state);
    }
    let over = state.known.device_pairing.as_ref().filter(|_| before.live_pairing().is_some())?;
    let name = over.request.as_ref().filter(|_| over.state == PairState::Accepted);
    let text = devices::ended(over.state, name.map(|peer| &peer.device_name))?;
    say(state, text);
    None
}

#[cfg(test)]
mod tests;
