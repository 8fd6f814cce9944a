//! What lasts of devices: the rows of the store, and the writes that change them.

use durward_protocol::device::{AskedState, DecisionWord, DeviceId, DeviceName, DevicePublic, EventId};
use durward_protocol::{PairingId, RequestId, SessionId};
use time::OffsetDateTime;

use super::asked::PeerRequestKey;
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
    /// Whether the owner decides requests of this device on it.
    pub approver: bool,
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

/// A request that a peer was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedRecord {
    /// The peer.
    pub peer: DeviceId,
    /// The session.
    pub session_id: SessionId,
    /// The request.
    pub request_id: RequestId,
    /// When it was told.
    pub told_at: OffsetDateTime,
}

/// A request of a peer, for the owner to decide here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRequestRecord {
    /// Which.
    pub key: PeerRequestKey,
    /// The message as it came: sealed for this device.
    pub sealed: Vec<u8>,
    /// Keys of the sender.
    pub from_keys: DevicePublic,
    /// When it came.
    pub received_at: OffsetDateTime,
    /// When it is over in any case, by the clock here.
    pub expires_at: OffsetDateTime,
    /// What the owner said here.
    pub answer: Option<DecisionWord>,
    /// What the peer said to that, when it is not over with it.
    pub state: Option<AskedState>,
    /// The device on which it was approved, when it waits for the vault.
    pub by: Option<DeviceName>,
}

/// One change to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceWrite {
    /// Insert or replace a peer.
    Peer(PeerRecord),
    /// Delete a peer, everything that waits for it, and requests that it was told of or asks.
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
    /// Delete one.
    RemoveRegister(DeviceId, RegisterField),
    /// A peer was told of a request.
    Asked(AskedRecord),
    /// It was told that the request is over.
    RemoveAsked(AskedRecord),
    /// Insert or replace a request of a peer.
    PeerRequest(PeerRequestRecord),
    /// Delete one.
    RemovePeerRequest(PeerRequestKey),
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
    /// Which peers were told of which requests.
    pub asked: Vec<AskedRecord>,
    /// What peers ask, oldest first.
    pub peer_requests: Vec<PeerRequestRecord>,
}
