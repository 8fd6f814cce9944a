//! What one device says to another on the agent plane, plain JSON around sealed texts. Unknown fields are refused: they
//! would be outside transcript and signature.

use serde::{Deserialize, Serialize};

use super::{DeviceId, EventId, PairTag};
use crate::{Nonce, PairingId};

/// `POST /device/pair/open`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenPairing {
    /// Which pairing; absent: the one that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<PairTag>,
}

/// Answer to `POST /device/pair/open`: the same every time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PairingOpened {
    /// Names the pairing.
    pub pairing_id: PairingId,
    /// SPAKE2 message A, base64url.
    pub pake_message: String,
}

/// `POST /device/pair/exchange`: the one guess.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeviceExchange {
    /// The pairing.
    pub pairing_id: PairingId,
    /// SPAKE2 message B, base64url.
    pub pake_message: String,
    /// MAC_B, base64url.
    pub confirmation: String,
}

/// Answer to `POST /device/pair/exchange`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeviceExchanged {
    /// MAC_A, base64url.
    pub confirmation: String,
    /// The displayer's hello, sealed.
    pub envelope: String,
}

/// `POST /device/pair/hello`: held until the displayer's owner has answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeviceHello {
    /// The pairing.
    pub pairing_id: PairingId,
    /// The enterer's hello, sealed.
    pub envelope: String,
}

/// Answer to `POST /device/pair/hello`: 200 with the sealed verdict, 202 without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeviceVerdict {
    /// Sealed `device.accepted` or `device.rejected`. Absent: nobody has answered, send the same again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<String>,
}

/// `POST /device/pair/cancel`: the enterer gives the pairing up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeviceCancel {
    /// The pairing.
    pub pairing_id: PairingId,
    /// Sealed `device.cancelled`.
    pub envelope: String,
}

/// Answer to `POST /device/pair/cancel`: nothing comes of the pairing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeviceCancelled {}

/// `POST /device/deliver`: a call between peers. `signature` is Ed25519 by `from` over method, path, both ends, nonce and
/// the body's hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeviceCall {
    /// Who calls.
    pub from: DeviceId,
    /// Who is meant.
    pub to: DeviceId,
    /// New for every call: the answer is bound to it.
    pub nonce: Nonce,
    /// A [`Delivery`] as JSON text: these bytes are what is signed.
    pub body: String,
    /// Ed25519, base64url.
    pub signature: String,
}

/// Answer to a [`DeviceCall`], signed by the one who was called; the call is in what is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeviceCallAnswer {
    /// A [`Delivered`] as JSON text.
    pub body: String,
    /// Ed25519, base64url.
    pub signature: String,
}

/// Messages for a peer, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Which line of messages: the pairing that began it.
    pub stream: PairingId,
    /// The lowest number the sender still has; all before were taken.
    pub base: u64,
    /// Messages with numbers that follow each other.
    pub events: Vec<SealedEvent>,
}

/// One sealed message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SealedEvent {
    /// Its place in the line, from 1.
    pub seq: u64,
    /// Its id.
    pub id: EventId,
    /// Sealed for the receiver, base64url.
    pub sealed: String,
}

/// What was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Delivered {
    /// Everything up to this number is on the receiver's disk.
    pub ack: u64,
    /// There is no room for the payload after it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// What was taken all the same from behind that payload, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub early: Vec<u64>,
    /// Messages that could not be read and were passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<EventId>,
}
