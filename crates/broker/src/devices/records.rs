//! What lasts of devices: the rows of the store, and the writes that change them.

use durward_protocol::PairingId;
use durward_protocol::device::{DeviceId, DeviceName, DevicePublic, EventId};
use time::OffsetDateTime;

use super::clock::{Register, RegisterField};
use super::event::EventKind;

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// Its id.
    pub id: DeviceId,
    /// Its name here, which is also its key file's.
    pub name: DeviceName,
    /// Its keys.
    pub keys: DevicePublic,
    /// The line of messages that its pairing began.
    pub stream: PairingId,
    /// When it was paired or confirmed.
    pub paired_at: OffsetDateTime,
    /// The address the owner gave.
    pub address: Option<String>,
    /// Who introduced it, when it was not paired by code.
    pub introduced_by: Option<DeviceId>,
    /// The last message from it, or taken by it.
    pub last_seen: Option<OffsetDateTime>,
    /// Number of the last message sealed for it.
    pub issued: u64,
    /// Number of the last message taken from it.
    pub taken: u64,
}

/// A sealed message that waits for a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRecord {
    /// For whom.
    pub to: DeviceId,
    /// Its place in the line.
    pub seq: u64,
    /// Its id.
    pub id: EventId,
    /// What is in it.
    pub kind: EventKind,
    /// Sealed for `to`.
    pub sealed: Vec<u8>,
    /// When it was sealed.
    pub at: OffsetDateTime,
}

/// A payload that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxRecord {
    /// Its id.
    pub id: EventId,
    /// Who sent it.
    pub from: DeviceId,
    /// That device's name when it came.
    pub from_name: DeviceName,
    /// One plain file name.
    pub file_name: String,
    /// The payload as it came: sealed for this device, header and all.
    pub sealed: Vec<u8>,
    /// Keys of the sender, to open it even when the peer is gone.
    pub from_keys: DevicePublic,
    /// Bytes of the payload.
    pub bytes: u64,
    /// When it came.
    pub received_at: OffsetDateTime,
}

/// A device that a peer introduced and that the owner has not confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntroducedRecord {
    /// Its id.
    pub id: DeviceId,
    /// Its name.
    pub name: DeviceName,
    /// Its keys.
    pub keys: DevicePublic,
    /// Who introduced it.
    pub by: DeviceId,
    /// When.
    pub at: OffsetDateTime,
}

/// What all devices agree on about one: a register of [`super::Registers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterRecord {
    /// About whom.
    pub device: DeviceId,
    /// What.
    pub field: RegisterField,
    /// Value and stamp.
    pub register: Register,
}

/// One change to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceWrite {
    /// Insert or replace a peer.
    Peer(PeerRecord),
    /// Delete a peer and everything that waits for it.
    RemovePeer(DeviceId),
    /// Insert or replace a waiting message.
    Outbox(OutboxRecord),
    /// Delete what waits for a peer up to and including this number.
    Acknowledged {
        /// The peer.
        to: DeviceId,
        /// The number.
        seq: u64,
    },
    /// Insert or replace a payload.
    Inbox(InboxRecord),
    /// Delete a payload.
    RemoveInbox(EventId),
    /// Insert or replace an introduced device.
    Introduced(IntroducedRecord),
    /// Delete an introduced device.
    RemoveIntroduced(DeviceId),
    /// Insert or replace a register.
    Register(RegisterRecord),
}

/// Everything a start needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceSnapshot {
    /// The peers, by id.
    pub peers: Vec<PeerRecord>,
    /// What waits, by peer and number.
    pub outbox: Vec<OutboxRecord>,
    /// What came, oldest first.
    pub inbox: Vec<InboxRecord>,
    /// Introduced, not confirmed.
    pub introduced: Vec<IntroducedRecord>,
    /// What all agree on.
    pub registers: Vec<RegisterRecord>,
}
