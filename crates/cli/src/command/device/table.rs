//! Devices as a person reads them.

use std::fmt::Write as _;

use durward_protocol::device::DeviceId;
use durward_protocol::device::api::{DeviceStatus, Devices, Inbox, MdnsStatus};
use durward_sealing::DeviceCard;

use crate::command::table::{minutes, plain_table};
use crate::terminal::harmless;

/// The list of devices, and under it whatever keeps messages waiting.
pub(super) fn devices(devices: &Devices) -> String {
    let this = &devices.this;
    let mut text =
        format!("This device: {} ({})\n  Key: {}\n", this.name, this.device_id, harmless(&this.fingerprint));
    if devices.devices.is_empty() {
        text.push_str("\nNo devices are paired. `durward pair` pairs one.");
    } else {
        let mut table = plain_table(&["NAME", "KEY", "LAST SEEN", "WAITING", "APPROVES", "WHERE"]);
        for peer in &devices.devices {
            table.add_row([
                peer.name.to_string(),
                harmless(&peer.fingerprint),
                peer.last_seen.map_or_else(|| "never".into(), |at| minutes(at.get())),
                peer.outbox.to_string(),
                if peer.approver { "yes" } else { "no" }.into(),
                harmless(peer.found_at.as_deref().or(peer.address.as_deref()).unwrap_or("not found")),
            ]);
        }
        let _ = write!(text, "\n{}", table.trim_fmt());
    }
    for peer in &devices.devices {
        if let Some(reason) = &peer.reason {
            let _ = write!(text, "\n{}: {}", peer.name, harmless(reason));
        }
    }
    for one in &devices.introduced {
        let (device, by) = (&one.device, &one.introduced_by);
        let _ = write!(
            text,
            "\n{by} introduced {} ({}): `durward devices confirm {}`",
            device.device_name,
            harmless(&device.fingerprint),
            device.device_id
        );
    }
    text
}

/// What `durward status` says about devices: whether they are found, and why something waits.
pub(crate) fn status(devices: &DeviceStatus) -> String {
    let (this, peers) = (&devices.this, devices.peers.len());
    let mut text = format!("\ndevice    {} ({}), {peers} paired", this.name, harmless(&this.fingerprint));
    let search = match devices.mdns {
        MdnsStatus::On => "on".to_owned(),
        MdnsStatus::Off => format!("off{}", because(devices.mdns_problem.as_deref())),
        MdnsStatus::Failed => format!("does not work{}", because(devices.mdns_problem.as_deref())),
    };
    let _ = write!(text, "\nmdns      {search}");
    if devices.introduced > 0 {
        let _ = write!(text, "\n          {} introduced, see `durward devices`", devices.introduced);
    }
    if devices.inbox > 0 {
        let _ = write!(text, "\ninbox     {}", devices.inbox);
    }
    for peer in &devices.peers {
        let seen =
            peer.last_seen.map_or_else(|| "never seen".into(), |at| format!("seen {}", minutes(at.get())));
        let waiting = match peer.outbox {
            0 => "nothing waiting".to_owned(),
            n => format!("{n} waiting"),
        };
        let _ = write!(text, "\n  {}: {seen}, {waiting}{}", peer.name, because(peer.reason.as_deref()));
    }
    text
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {}", harmless(reason))).unwrap_or_default()
}

/// Whole keys, in groups that can be read out.
pub(super) fn keys(cards: &[DeviceCard], own: DeviceId) -> String {
    let shown = cards.iter().map(|card| {
        let this = if card.id == own { ", this device" } else { "" };
        format!(
            "{} ({}{this})\n  fingerprint  {}\n  key          {}\n  signs with   {}\n  age          {}",
            card.name,
            card.id,
            card.fingerprint(),
            groups(&card.public.x25519_hex()),
            groups(&card.public.ed25519_hex()),
            card.age_recipient()
        )
    });
    shown.collect::<Vec<_>>().join("\n\n")
}

/// The inbox.
pub(super) fn inbox(inbox: &Inbox) -> String {
    if inbox.items.is_empty() {
        return "The inbox is empty.".into();
    }
    let mut table = plain_table(&["#", "FROM", "NAME", "BYTES", "CAME"]);
    for (at, item) in inbox.items.iter().enumerate() {
        table.add_row([
            (at + 1).to_string(),
            item.from_name.to_string(),
            harmless(&item.file_name),
            item.bytes.to_string(),
            minutes(item.received_at.get()),
        ]);
    }
    table.trim_fmt()
}

fn groups(hex: &str) -> String {
    let mut text = String::with_capacity(hex.len() + hex.len() / 8);
    for (at, c) in hex.chars().enumerate() {
        if at > 0 && at % 8 == 0 {
            text.push(' ');
        }
        text.push(c);
    }
    text
}
