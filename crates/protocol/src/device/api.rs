//! Bodies of the control plane's `/pair/*`, `/devices*`, `/outbox`, `/inbox*`, and the part of `/status` about devices.
//!
//! The same types at both ends: the server answers with them, the command line and extensions read them.

use serde::{Deserialize, Serialize};

use super::{AskedRequest, AskedState, DecisionWord, DeviceId, DeviceName, EventId, PairTag};
use crate::{Field, RequestId, SecretString, SessionId, Timestamp};

/// Most bytes of a payload sent with `POST /devices/{id}/send`.
pub const MAX_DROP_BYTES: usize = 16_384;
/// Most characters of a payload's file name.
pub const MAX_FILE_NAME_CHARS: usize = 128;

/// Answer to `POST /pair/initiate` (no body). The code is for this machine's screen; it is shown once and goes nowhere else.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PairInitiated {
    /// Six digits.
    pub code: SecretString,
    /// How long the code works.
    pub expires_in_seconds: u64,
    /// Two words that tell this pairing from others on the network.
    pub tag: PairTag,
    /// Where the other device can reach this one, for `--address`.
    #[serde(default)]
    pub addresses: Vec<String>,
}

impl Serialize for PairInitiated {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut body = serializer.serialize_struct("PairInitiated", 4)?;
        body.serialize_field("code", self.code.expose_secret())?;
        body.serialize_field("expires_in_seconds", &self.expires_in_seconds)?;
        body.serialize_field("tag", &self.tag)?;
        body.serialize_field("addresses", &self.addresses)?;
        body.end()
    }
}

/// `POST /pair/join`: held like `Prefer: wait` (60 s unless said otherwise); the same body again rejoins.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PairJoin {
    /// The six digits from the other screen.
    pub code: SecretString,
    /// Which pairing, when several wait on the network.
    #[serde(default)]
    pub tag: Option<String>,
    /// Where the other device is, `HOST:PORT` or `https://HOST:PORT`; without it, it is looked for on the network.
    #[serde(default)]
    pub address: Option<String>,
}

/// How joining stands or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum JoinStatus {
    /// The other owner said yes: both devices know each other.
    Accepted,
    /// The other owner said no.
    Rejected,
    /// Too late: the code's time was over, or the other device went away.
    Expired,
    /// The code was wrong, or somebody is in between. It is used up.
    InvalidCode,
    /// Nobody has answered yet (202): call again.
    Pending,
}

/// Answer to `POST /pair/join`: 200, or 202 while `pending`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PairJoined {
    /// How it stands.
    pub status: JoinStatus,
    /// For a person: what happened and what to do.
    pub message: String,
    /// Its name here, when accepted: another one than it gave itself where that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<DeviceName>,
    /// The other device, once it is known.
    #[serde(flatten)]
    pub peer: Option<PeerShown>,
}

/// A device as a person checks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PeerShown {
    /// Its id.
    pub device_id: DeviceId,
    /// Its name, made safe; not proven, whoever has the code may choose it.
    pub device_name: DeviceName,
    /// Its X25519 key, 64 hex digits.
    pub public_key: String,
    /// Its Ed25519 key, 64 hex digits.
    pub signing_key: String,
    /// First and last eight hex digits of `public_key`.
    pub fingerprint: String,
    /// A peer that this one would take the place of: the same device, paired before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<DeviceName>,
}

/// Where the pairing of this device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PairState {
    /// None runs.
    Idle,
    /// The code is shown, nobody has used it.
    Waiting,
    /// The right code was typed elsewhere; that device's introduction is on its way.
    Exchanged,
    /// A device asks: `request` says which. Answer with `POST /pair/respond`.
    Requested,
    /// This owner said yes.
    Accepted,
    /// This owner said no.
    Rejected,
    /// A wrong code was typed elsewhere; this one is used up.
    InvalidCode,
    /// The time was over.
    Expired,
    /// `POST /pair/cancel`.
    Cancelled,
}

/// Answer to `GET /pair/pending`. With `Prefer: wait=N` it is held until the state is another one than
/// `waiting` or `exchanged`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PairPending {
    /// Whether a device waits for this owner's answer.
    pub pending: bool,
    /// Where the pairing stands.
    pub state: PairState,
    /// Its tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<PairTag>,
    /// Seconds left.
    pub expires_in_seconds: u64,
    /// Who asks, while `requested`; who it was, when `accepted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<PeerShown>,
}

/// `POST /pair/respond`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PairRespond {
    /// Yes or no.
    pub accept: bool,
    /// Which device was meant. Optional; given, an answer cannot hit another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
}

/// Answer to `POST /pair/respond`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PairResponded {
    /// `accepted` or `rejected`.
    pub status: PairState,
    /// The new peer, when accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceView>,
}

/// This device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ThisDevice {
    /// Its id.
    pub device_id: DeviceId,
    /// Its name.
    pub name: DeviceName,
    /// X25519, 64 hex digits.
    pub public_key: String,
    /// Ed25519, 64 hex digits.
    pub signing_key: String,
    /// First and last eight hex digits.
    pub fingerprint: String,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeviceView {
    /// Its id.
    pub device_id: DeviceId,
    /// Its name here.
    pub name: DeviceName,
    /// X25519, 64 hex digits.
    pub public_key: String,
    /// Ed25519, 64 hex digits.
    pub signing_key: String,
    /// First and last eight hex digits.
    pub fingerprint: String,
    /// When it was paired or confirmed.
    pub paired_at: Timestamp,
    /// The address the owner gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Where it was found on the network just now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_at: Option<String>,
    /// The last message that came from it or was taken by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Messages waiting for it.
    pub outbox: usize,
    /// Why they wait, when they do or when it could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The peer that introduced it, when it was not paired by code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introduced_by: Option<DeviceName>,
    /// Whether the owner decides requests of this device on it.
    #[serde(default)]
    pub approver: bool,
}

/// A device that a peer introduced and that this owner has not confirmed. Nothing is sealed for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct IntroducedView {
    /// The device.
    #[serde(flatten)]
    pub device: PeerShown,
    /// Who introduced it.
    pub introduced_by: DeviceName,
    /// When.
    pub at: Timestamp,
}

/// Answer to `GET /devices`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Devices {
    /// This device.
    pub this: ThisDevice,
    /// Its peers, by name.
    pub devices: Vec<DeviceView>,
    /// Introduced, not confirmed.
    pub introduced: Vec<IntroducedView>,
}

/// `PATCH /devices/{id}`. With this device's own id only `name` counts; peers are told. Answer: [`DeviceView`], or
/// [`ThisDevice`] for the own id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeDevice {
    /// A new name. One that is taken is refused with `name_taken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `HOST:PORT` or `https://HOST:PORT`; an empty text removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether the owner decides requests of this device on that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<bool>,
}

/// Answer to `GET /devices/requests`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PeerRequests {
    /// What other devices ask this owner, oldest first.
    pub requests: Vec<PeerRequest>,
}

/// A request that waits on another device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PeerRequest {
    /// The device it waits on.
    pub device_id: DeviceId,
    /// Its name here.
    pub device: DeviceName,
    /// What is asked there.
    #[serde(flatten)]
    pub asked: AskedRequest,
    /// When it came.
    pub received_at: Timestamp,
    /// When it stops waiting, by the clock here.
    pub expires_at: Timestamp,
    /// What was answered here. It counts once that device has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<DecisionWord>,
    /// What that device said to the answer; absent: nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AskedState>,
    /// The device on which it was approved, when it waits for that device's vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<DeviceName>,
}

/// `POST /devices/requests/decide`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DecidePeerRequest {
    /// The device it waits on.
    pub device_id: DeviceId,
    /// The session there.
    pub session_id: SessionId,
    /// The request there.
    pub request_id: RequestId,
    /// Yes or no.
    pub decision: DecisionWord,
    /// Fewer fields than were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<Field>>,
}

/// Answer to `POST /devices/requests/decide`: signed, on this disk, and on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PeerRequestDecided {
    /// Names the decision.
    pub id: EventId,
    /// What came of it; absent: that device has not said yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AskedState>,
    /// The device on which it was decided, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<DeviceName>,
    /// Messages that still wait for that device.
    pub outbox: usize,
    /// Why they wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /devices/{id}/introduce`: tells the peer `{id}` about another peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Introduce {
    /// The peer that is introduced. Its owner has to introduce or pair the other way as well.
    pub device_id: DeviceId,
}

/// `POST /devices/{id}/confirm`: the owner's word on an introduced device. Answer: [`DeviceView`] or, refused, `done`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfirmDevice {
    /// Yes or no.
    pub accept: bool,
}

/// Answer to `POST /devices/rotate`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Rotated {
    /// This device with its new keys.
    pub this: ThisDevice,
    /// Peers that have to be paired again.
    pub removed: Vec<DeviceName>,
}

/// `POST /devices/{id}/send`
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SendDrop {
    /// The name under which it is offered there; folders are cut off.
    pub file_name: String,
    /// The payload, base64url without padding, at most [`MAX_DROP_BYTES`] bytes.
    pub content: SecretString,
}

/// Answer to `POST /devices/{id}/send`: it is on this disk, sealed, and on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Sent {
    /// Its id.
    pub id: EventId,
    /// Messages that wait for this peer, this one included; 0: it was taken at once.
    pub outbox: usize,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer to `GET /outbox`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Outbox {
    /// What waits, oldest first for each peer.
    pub items: Vec<OutboxItem>,
}

/// One message that waits. What is in it is sealed, also from this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OutboxItem {
    /// Its id.
    pub id: EventId,
    /// For whom.
    pub to: DeviceId,
    /// `drop`, `device_renamed`, `device_removed`, `introduction`, `request`, `request_state`, `decision`.
    pub kind: String,
    /// When it was sealed.
    pub at: Timestamp,
    /// Size of the sealed message.
    pub bytes: usize,
}

/// Answer to `GET /inbox`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Inbox {
    /// What came, oldest first.
    pub items: Vec<InboxItem>,
}

/// One payload that came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct InboxItem {
    /// Its id.
    pub id: EventId,
    /// Who sent it.
    pub from: DeviceId,
    /// That device's name here, or the last it had.
    pub from_name: DeviceName,
    /// The file name it was sent with: one plain name, no folders.
    pub file_name: String,
    /// Its size.
    pub bytes: usize,
    /// When it came.
    pub received_at: Timestamp,
}

/// Answer to `GET /inbox/{id}`; `DELETE /inbox/{id}` removes it.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct InboxContent {
    /// What it is.
    #[serde(flatten)]
    pub item: InboxItem,
    /// The payload, base64url without padding.
    pub content: SecretString,
}

impl Serialize for InboxContent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            #[serde(flatten)]
            item: &'a InboxItem,
            content: &'a str,
        }
        Shown { item: &self.item, content: self.content.expose_secret() }.serialize(serializer)
    }
}

/// The part of `GET /status` about devices (`devices`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeviceStatus {
    /// This device.
    pub this: ThisDevice,
    /// Whether other devices are looked for on the network.
    pub mdns: MdnsStatus,
    /// Why the network is not searched, or how the search fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mdns_problem: Option<String>,
    /// Where the pairing stands.
    pub pairing: PairState,
    /// The peers.
    pub peers: Vec<DeviceView>,
    /// Introduced, not confirmed.
    pub introduced: usize,
    /// Payloads in the inbox.
    pub inbox: usize,
}

/// Whether other devices are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MdnsStatus {
    /// They are.
    On,
    /// The configuration says no, or the agent plane is on loopback only: addresses the owner gave are used alone.
    Off,
    /// They should be, and it does not work.
    Failed,
}
