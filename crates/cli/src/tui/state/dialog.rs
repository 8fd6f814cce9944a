//! What lies over the screen and takes every key until it is answered.

use durward_broker::approval::{Decision, ItemChoice, PairingView, RequestView, SessionView, Suggestion};
use durward_protocol::device::api::IntroducedView;
use durward_protocol::device::{DeviceId, DeviceName};
use durward_protocol::{AgentId, GrantId, PairingNumber, SecretString, SessionId};
use time::OffsetDateTime;

use super::text::Text;

/// For how long the vault may be unlocked, in seconds.
pub(crate) const UNLOCK_CHOICES: [u64; 4] = [600, 1_800, 3_600, 28_800];

/// A question in a box.
#[derive(Debug)]
pub(crate) enum Dialog {
    /// The keys.
    Help { scroll: usize },
    /// The vault password, for this decision.
    Password { request: Box<RequestView>, decision: Decision, input: Text, wrong: bool, busy: bool },
    /// Which item.
    Items {
        request: Box<RequestView>,
        decision: Decision,
        choices: Vec<ItemChoice>,
        password: Option<SecretString>,
        cursor: usize,
        busy: bool,
    },
    /// Words for the agent with a denial.
    Reason { request: Box<RequestView>, input: Text },
    /// How many uses more, or for how long.
    HowLong { uses: bool, input: Text, wrong: bool },
    /// A narrower scope: domains, releases, minutes.
    Scope { pairing: Box<PairingView>, inputs: [Text; 3], at: usize, problem: Option<String> },
    /// Unlock the vault for a while.
    Unlock { input: Text, choice: usize, wrong: bool, busy: bool },
    /// Let what was approved again and again through by a rule?
    Rule(Box<Suggestion>),
    /// Another name for a device.
    Rename { device_id: DeviceId, old: DeviceName, this: bool, input: Text, problem: Option<String> },
    /// The code that another device shows, and where that device is.
    Join { inputs: [Text; 2], at: usize, problem: Option<String> },
    /// Sure?
    Confirm(Confirm),
    /// The words of a new session, to compare.
    Paired(Box<SessionView>),
    /// What was being answered is over. The keys go nowhere until the owner has seen it.
    Over(String),
}

/// What is about to be done.
#[derive(Clone, Debug)]
pub(crate) enum Confirm {
    /// A yes after which the same goes out without asking; `since` it has been on the screen.
    Standing {
        request: Box<RequestView>,
        decision: Decision,
        since: OffsetDateTime,
    },
    /// Let agents pair, or no more.
    SwitchPairing {
        open: bool,
    },
    Refuse {
        number: PairingNumber,
        agent: String,
    },
    Revoke {
        session_id: SessionId,
        agent: String,
    },
    Pause {
        agent_id: AgentId,
    },
    EndGrant {
        grant_id: GrantId,
        what: String,
    },
    RemoveDevice {
        device_id: DeviceId,
        name: DeviceName,
    },
    /// A device that a peer introduced.
    TakeDevice {
        introduced: Box<IntroducedView>,
        accept: bool,
    },
    Quit,
}

impl Dialog {
    /// The line that is being typed, if there is one.
    pub(crate) fn text(&mut self) -> Option<&mut Text> {
        match self {
            Self::Password { input, busy: false, .. }
            | Self::Unlock { input, busy: false, .. }
            | Self::Reason { input, .. }
            | Self::HowLong { input, .. }
            | Self::Rename { input, .. } => Some(input),
            Self::Scope { inputs, at, .. } => inputs.get_mut(*at),
            Self::Join { inputs, at, .. } => inputs.get_mut(*at),
            _ => None,
        }
    }

    /// The request it is about.
    pub(crate) fn request(&self) -> Option<&RequestView> {
        match self {
            Self::Password { request, .. } | Self::Items { request, .. } | Self::Reason { request, .. } => {
                Some(request)
            }
            Self::Confirm(Confirm::Standing { request, .. }) => Some(request),
            _ => None,
        }
    }

    /// Whether an answer is on its way.
    pub(crate) fn busy(&self) -> bool {
        matches!(
            self,
            Self::Password { busy: true, .. }
                | Self::Items { busy: true, .. }
                | Self::Unlock { busy: true, .. }
        )
    }
}
