//! The messages between peers, inside their seals.

use durward_protocol::device::api::{MAX_DROP_BYTES, MAX_FILE_NAME_CHARS};
use durward_protocol::device::{
    AskedRequest, AskedState, DeviceDecision, DeviceId, DeviceName, DevicePublic, EventId,
};
use durward_protocol::{
    Error, RequestId, SessionId, Timestamp, base64url_array, base64url_encode, from_json_object,
    is_deceptive, lp,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::asked::AskedNews;
use super::clock::VectorClock;

/// Longest header that is sent: with the largest payload it is what a receiver opens.
const MAX_HEADER_BYTES: usize = 30_000;

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
    /// A request of an agent, for the receiver's owner to decide.
    Request,
    /// How such a request stands.
    RequestState,
    /// The owner's decision.
    Decision,
}

impl EventKind {
    const ALL: [Self; 7] = [
        Self::Drop,
        Self::DeviceRenamed,
        Self::DeviceRemoved,
        Self::Introduction,
        Self::Request,
        Self::RequestState,
        Self::Decision,
    ];

    /// The word in store and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::DeviceRenamed => "device_renamed",
            Self::DeviceRemoved => "device_removed",
            Self::Introduction => "introduction",
            Self::Request => "request",
            Self::RequestState => "request_state",
            Self::Decision => "decision",
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
    /// A request of an agent waits at the sender; its owner may decide it at the receiver.
    Request(Box<AskedRequest>),
    /// How such a request stands.
    RequestState(Box<AskedNews>),
    /// The owner decided at the sender what waits at the receiver.
    Decision {
        /// The session there.
        session_id: SessionId,
        /// The request there.
        request_id: RequestId,
        /// Signed by the sender.
        decision: Box<DeviceDecision>,
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
            Self::Request(_) => EventKind::Request,
            Self::RequestState(_) => EventKind::RequestState,
            Self::Decision { .. } => EventKind::Decision,
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
    #[serde(rename = "device.request")]
    Request(Box<AskedRequest>),
    #[serde(rename = "device.request_state")]
    RequestState {
        session_id: SessionId,
        request_id: RequestId,
        state: AskedState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decision: Option<EventId>,
    },
    #[serde(rename = "device.decision")]
    Decision {
        session_id: SessionId,
        request_id: RequestId,
        #[serde(flatten)]
        decision: Box<DeviceDecision>,
    },
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
            EventBody::Request(asked) => Body::Request(asked.clone()),
            EventBody::RequestState(news) => Body::RequestState {
                session_id: news.session_id,
                request_id: news.request_id,
                state: news.state,
                by: news.by.as_ref().map(|name| name.as_str().into()),
                decision: news.decision,
            },
            EventBody::Decision { session_id, request_id, decision } => Body::Decision {
                session_id: *session_id,
                request_id: *request_id,
                decision: decision.clone(),
            },
        };
        let (id, from, to, at, clock) = (self.id, self.from, self.to, self.at, self.clock.clone());
        let header = serde_json::to_vec(&Header { id, from, to, at, clock, body })
            .map_err(|_| Error::InvalidMessage)?;
        if header.len() > MAX_HEADER_BYTES {
            return Err(Error::TooLarge);
        }
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
            Body::Request(asked) => EventBody::Request(asked),
            Body::RequestState { session_id, request_id, state, by, decision } => {
                let by = by.as_deref().map(DeviceName::made_safe);
                let news = AskedNews { session_id, request_id, state, by, decision };
                EventBody::RequestState(Box::new(news))
            }
            Body::Decision { session_id, request_id, decision } => {
                EventBody::Decision { session_id, request_id, decision }
            }
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
