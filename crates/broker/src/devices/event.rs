//! The messages between peers, inside their seals.

use durward_protocol::device::api::{MAX_DROP_BYTES, MAX_FILE_NAME_CHARS};
use durward_protocol::device::{DeviceId, DeviceName, DevicePublic, EventId};
use durward_protocol::{
    Error, Timestamp, base64url_array, base64url_encode, from_json_object, is_deceptive, lp,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::clock::VectorClock;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A payload.
    Drop,
    /// The sender has a new name.
    DeviceRenamed,
    /// A device is to be trusted no more.
    DeviceRemoved,
    /// A device the receiver may want to know.
    Introduction,
}

impl EventKind {
    const ALL: [Self; 4] = [Self::Drop, Self::DeviceRenamed, Self::DeviceRemoved, Self::Introduction];

    /// The word in store and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::DeviceRenamed => "device_renamed",
            Self::DeviceRemoved => "device_removed",
            Self::Introduction => "introduction",
        }
    }

    /// The reverse.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventBody {
    /// A payload for the receiver's inbox.
    Drop {
        /// One plain file name.
        file_name: String,
        /// The payload.
        content: Zeroizing<Vec<u8>>,
    },
    /// The sender calls itself this now.
    DeviceRenamed {
        /// The name.
        name: DeviceName,
    },
    /// This device is to be trusted no more.
    DeviceRemoved {
        /// Which.
        device_id: DeviceId,
    },
    /// A peer of the sender. Nothing is sealed for it before the receiver's owner says yes.
    Introduction {
        /// Its id.
        device_id: DeviceId,
        /// Its name.
        name: DeviceName,
        /// Its keys.
        keys: DevicePublic,
    },
}

impl EventBody {
    /// What it is about.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Drop { .. } => EventKind::Drop,
            Self::DeviceRenamed { .. } => EventKind::DeviceRenamed,
            Self::DeviceRemoved { .. } => EventKind::DeviceRemoved,
            Self::Introduction { .. } => EventKind::Introduction,
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceEvent {
    /// Its id.
    pub id: EventId,
    /// Who says it.
    pub from: DeviceId,
    /// To whom: a message cannot be passed on as one's own.
    pub to: DeviceId,
    /// When, by the sender's watch. For people; nothing depends on it.
    pub at: Timestamp,
    /// The sender's clock, this message counted.
    pub clock: VectorClock,
    /// What it says.
    pub body: EventBody,
}

#[derive(Serialize, Deserialize)]
struct Header {
    id: EventId,
    from: DeviceId,
    to: DeviceId,
    at: Timestamp,
    clock: VectorClock,
    #[serde(flatten)]
    body: Body,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
enum Body {
    #[serde(rename = "device.drop")]
    Drop { file_name: String },
    #[serde(rename = "device.renamed")]
    Renamed { name: String },
    #[serde(rename = "device.removed")]
    Removed { device_id: DeviceId },
    #[serde(rename = "device.introduction")]
    Introduction { device_id: DeviceId, name: String, x25519: String, ed25519: String },
}

impl DeviceEvent {
    /// `lp(header as JSON) || payload`: what is sealed. Only a drop has a payload.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut payload: &[u8] = &[];
        let body = match &self.body {
            EventBody::Drop { file_name, content } => {
                payload = content;
                Body::Drop { file_name: file_name.clone() }
            }
            EventBody::DeviceRenamed { name } => Body::Renamed { name: name.as_str().into() },
            EventBody::DeviceRemoved { device_id } => Body::Removed { device_id: *device_id },
            EventBody::Introduction { device_id, name, keys } => Body::Introduction {
                device_id: *device_id,
                name: name.as_str().into(),
                x25519: base64url_encode(&keys.x25519),
                ed25519: base64url_encode(&keys.ed25519),
            },
        };
        let (id, from, to, at, clock) = (self.id, self.from, self.to, self.at, self.clock.clone());
        let header = serde_json::to_vec(&Header { id, from, to, at, clock, body })
            .map_err(|_| Error::InvalidMessage)?;
        // As large as it gets, so that no copy of the payload is left behind by growing.
        let mut out = Zeroizing::new(Vec::with_capacity(8 + header.len() + payload.len()));
        lp(&mut out, &header);
        out.extend_from_slice(payload);
        Ok(out)
    }

    /// The reverse, with every bound checked.
    pub fn decode(plain: &[u8]) -> Result<Self, Error> {
        let (length, rest) = plain.split_first_chunk::<8>().ok_or(Error::InvalidMessage)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| Error::InvalidMessage)?;
        let (header, payload) = rest.split_at_checked(length).ok_or(Error::InvalidMessage)?;
        let header: Header = from_json_object(header)?;
        if !header.clock.is_plausible() || payload.len() > MAX_DROP_BYTES {
            return Err(Error::InvalidMessage);
        }
        let body = match header.body {
            Body::Drop { file_name } => EventBody::Drop {
                file_name: plain_file_name(&file_name),
                content: Zeroizing::new(payload.to_vec()),
            },
            _ if !payload.is_empty() => return Err(Error::InvalidMessage),
            Body::Renamed { name } => EventBody::DeviceRenamed { name: DeviceName::made_safe(&name) },
            Body::Removed { device_id } => EventBody::DeviceRemoved { device_id },
            Body::Introduction { device_id, name, x25519, ed25519 } => EventBody::Introduction {
                device_id,
                name: DeviceName::made_safe(&name),
                keys: DevicePublic::new(base64url_array(&x25519)?, base64url_array(&ed25519)?)?,
            },
        };
        let Header { id, from, to, at, clock, .. } = header;
        Ok(Self { id, from, to, at, clock, body })
    }
}

/// One plain file name of whatever was given: no folders, no dots in front, nothing that deceives.
pub fn plain_file_name(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let keep = |c: char| {
        if is_deceptive(c) || matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { c }
    };
    let name: String = last.chars().take(MAX_FILE_NAME_CHARS).map(keep).collect();
    let name = name.trim().trim_start_matches('.');
    if name.is_empty() { "payload".into() } else { name.to_owned() }
}
