//! What the approver said last: the lists.

use durward_broker::approval::{GrantView, PairingView, PausedAgent, RequestView, SessionView};
use durward_protocol::device::api::{Devices, PairPending, PairState, PeerShown};
use durward_server::control::api::VaultStatus;
use serde::Deserialize;

/// The lists of the control plane, as last read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Known {
    pub(crate) pairings: Vec<PairingView>,
    pub(crate) requests: Vec<RequestView>,
    pub(crate) sessions: Vec<SessionView>,
    pub(crate) grants: Vec<GrantView>,
    pub(crate) paused: Vec<PausedAgent>,
    pub(crate) vault: Option<VaultStatus>,
    /// Whether agents may pair; `None` before the lists were read.
    pub(crate) pairing_open: Option<bool>,
    /// This device and its peers, where devices are switched on.
    pub(crate) devices: Option<Devices>,
    /// Where the pairing of this device stands.
    pub(crate) device_pairing: Option<PairPending>,
    /// Why the devices could not be read.
    pub(crate) devices_problem: Option<String>,
}

impl Known {
    /// The pairings to ask about: those come first, an agent cannot ask before it is paired.
    pub(crate) fn waiting_pairings(&self) -> impl Iterator<Item = &PairingView> {
        self.pairings.iter().filter(|pairing| !pairing.answered)
    }

    /// The requests to ask about, oldest first.
    pub(crate) fn waiting_requests(&self) -> impl Iterator<Item = &RequestView> {
        self.requests.iter().filter(|request| !request.deciding)
    }

    /// The pairing of this device, while it is under way.
    pub(crate) fn live_pairing(&self) -> Option<&PairPending> {
        let live = |pairing: &&PairPending| {
            matches!(pairing.state, PairState::Waiting | PairState::Exchanged | PairState::Requested)
        };
        self.device_pairing.as_ref().filter(live)
    }

    /// The device that waits for the owner's yes.
    pub(crate) fn asking_device(&self) -> Option<&PeerShown> {
        self.live_pairing().filter(|pairing| pairing.state == PairState::Requested)?.request.as_ref()
    }

    /// Whether an approval needs the vault password.
    pub(crate) fn vault_locked(&self) -> bool {
        self.vault.as_ref().is_some_and(|v| v.exists && v.needs_password && v.open_until.is_none())
    }
}
