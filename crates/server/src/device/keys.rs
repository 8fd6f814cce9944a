//! This device's keys and the files of its peers, as `durward-sealing` keeps them.

use durward_broker::devices::{Devices, PeerRecord};
use durward_protocol::device::api::MAX_DROP_BYTES;
use durward_protocol::device::{DeviceId, DeviceKeys, DeviceName, DevicePublic};
use durward_protocol::{Error, ErrorCode};
use durward_sealing::{
    Accept, DeviceCard, DeviceIdentity, KeyFolder, Opening, Purpose, Sealing, open_small, seal_small,
};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::keys::os_rng;

/// Most bytes inside a sealed message: a payload and its header.
const MAX_MESSAGE_BYTES: usize = MAX_DROP_BYTES + 16 * 1024;

/// The keys of this device at work.
pub(super) struct LocalKeys {
    identity: DeviceIdentity,
    clock: Clock,
}

impl LocalKeys {
    pub(super) fn new(identity: DeviceIdentity, clock: Clock) -> Self {
        Self { identity, clock }
    }

    pub(super) fn identity(&self) -> &DeviceIdentity {
        &self.identity
    }
}

impl DeviceKeys for LocalKeys {
    fn public(&self) -> DevicePublic {
        self.identity.public()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.identity.sign(message)
    }

    fn seal(&self, to: &DevicePublic, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let now = u64::try_from(self.clock.now().wall.unix_timestamp()).unwrap_or(0);
        let how = Sealing { sender: &self.identity, recipients: &[*to], purpose: Purpose::Message, now };
        seal_small(plaintext, &how).map_err(|error| {
            tracing::warn!(%error, "a message could not be sealed");
            Error::TooLarge
        })
    }

    fn open(&self, from: &DevicePublic, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        // Only the keys count here; id and name of the card are not looked at.
        let known =
            [DeviceCard { id: self.identity.id(), name: self.identity.name().clone(), public: *from }];
        let how = Opening {
            identities: &[&self.identity],
            known: &known,
            purpose: Purpose::Message,
            accept: Accept::default(),
        };
        let opened = open_small(sealed, MAX_MESSAGE_BYTES, &how);
        opened.map(|(_, content)| content).map_err(|error| {
            tracing::debug!(%error, "a message does not open");
            Error::BadEnvelope
        })
    }
}

/// The keys of this folder, made where there are none.
pub(super) fn identity(
    folder: &KeyFolder,
    name: Option<&str>,
    clock: &Clock,
) -> Result<DeviceIdentity, durward_sealing::Error> {
    folder.identity_or(|| {
        let name = name.map_or_else(host_name, str::to_owned);
        let id = DeviceId::new(clock.now().wall, &mut os_rng());
        DeviceIdentity::generate(id, DeviceName::made_safe(&name), &mut os_rng())
    })
}

/// What the machine is called, where it says so.
fn host_name() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"));
    text.ok()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "device".into())
}

fn card(peer: &PeerRecord) -> DeviceCard {
    DeviceCard { id: peer.id, name: peer.name.clone(), public: peer.keys }
}

/// Peers whose file was deleted, or says something else now.
pub(super) fn without_file(folder: &KeyFolder, devices: &Devices) -> Result<Vec<DeviceId>, ErrorCode> {
    if devices.peers().next().is_none() {
        return Ok(Vec::new());
    }
    let cards = folder.peer_cards().map_err(|error| {
        tracing::error!(%error, "the folder of device keys cannot be read; nothing is sent or taken");
        ErrorCode::StorageFailed
    })?;
    let there = |peer: &&PeerRecord| cards.iter().any(|card| card.id == peer.id && card.public == peer.keys);
    Ok(devices.peers().filter(|peer| !there(peer)).map(|peer| peer.id).collect())
}

/// Writes the files of peers that are new or have another name, and says which they were.
pub(super) fn write_files(
    folder: &KeyFolder,
    before: &Devices,
    after: &Devices,
) -> Result<Vec<DeviceId>, ErrorCode> {
    let mut written = Vec::new();
    for peer in after.peers() {
        let same = |old: &PeerRecord| old.name == peer.name && old.keys == peer.keys;
        if before.peer(peer.id).is_ok_and(same) {
            continue;
        }
        if let Err(error) = folder.write_card(&card(peer)) {
            tracing::error!(%error, "a device's key file cannot be written");
            restore_files(folder, before, &written);
            return Err(ErrorCode::StorageFailed);
        }
        written.push(peer.id);
    }
    Ok(written)
}

/// Takes back what [`write_files`] did.
pub(super) fn restore_files(folder: &KeyFolder, before: &Devices, written: &[DeviceId]) {
    for id in written {
        let undone = match before.peer(*id) {
            Ok(peer) => folder.write_card(&card(peer)).map(drop),
            Err(_) => folder.remove(*id).map(drop),
        };
        if let Err(error) = undone {
            tracing::error!(%error, device = %id, "a device's key file could not be taken back");
        }
    }
}

/// Removes the files of peers that are none any more.
pub(super) fn remove_files(folder: &KeyFolder, before: &Devices, after: &Devices) {
    for peer in before.peers().filter(|peer| after.peer(peer.id).is_err()) {
        if let Err(error) = folder.remove(peer.id) {
            tracing::error!(%error, device = %peer.id, "the key file of a removed device could not be deleted");
        }
    }
}
