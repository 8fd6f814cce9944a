//! What the machine tells whoever watches.

use durward_protocol::device::{AskedRequest, DeviceName};
use durward_protocol::{AgentId, Domain, GrantId, PairingNumber, RequestId, SessionId, Verdict};
use serde::{Deserialize, Serialize};

use super::audit::Actor;
use super::fatigue::Paused;
use super::view::{GrantView, PairingView, RequestView, SessionView};

/// Something the owner's screens show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Notice {
    /// An agent waits for its code.
    PairingWaiting {
        /// Which.
        pairing: PairingView,
    },
    /// A pairing is over without a session.
    PairingOver {
        /// Which.
        number: PairingNumber,
        /// Whose.
        agent_id: AgentId,
        /// Why, for a person.
        why: String,
    },
    /// A session is live.
    Paired {
        /// Which.
        session: SessionView,
    },
    /// A session ended.
    SessionEnded {
        /// Which.
        session_id: SessionId,
        /// Whose.
        agent_id: AgentId,
        /// Why, a stable word.
        why: String,
    },
    /// A request waits for the owner.
    RequestWaiting {
        /// Which.
        request: RequestView,
    },
    /// A request has its verdict.
    RequestOver {
        /// Which.
        session_id: SessionId,
        /// Which.
        request_id: RequestId,
        /// Whose.
        agent_id: AgentId,
        /// What for.
        domain: Domain,
        /// How it ended.
        verdict: Verdict,
        /// Who decided.
        by: Actor,
    },
    /// A grant was given.
    GrantCreated {
        /// Which.
        grant: GrantView,
    },
    /// A grant ended.
    GrantEnded {
        /// Which.
        grant_id: GrantId,
        /// Why, a stable word.
        why: String,
    },
    /// Pairing was closed or opened.
    PairingSwitched {
        /// Whether agents may pair.
        open: bool,
    },
    /// An agent was paused or resumed.
    AgentSwitched {
        /// Which.
        agent_id: AgentId,
        /// Since when and why; nothing when it was resumed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        paused: Option<Paused>,
    },
    /// What an agent has seen of the audit log is not what is in it, or its own record changed.
    HeadsDiffer {
        /// Which.
        agent_id: AgentId,
        /// What, for a person.
        problem: String,
    },
    /// Another device asks this owner about a request that waits there.
    DeviceAsks {
        /// Which device.
        device: DeviceName,
        /// What waits there.
        asked: Box<AskedRequest>,
    },
    /// The vault was unlocked for a while, or locked.
    VaultSwitched {
        /// Whether it is open beyond one retrieval.
        unlocked: bool,
    },
    /// The approver could not write to its store: nothing was released.
    StorageFailed,
}
