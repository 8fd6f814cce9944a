//! What the approver said last: the lists.

use durward_broker::approval::{GrantView, PairingView, PausedAgent, RequestView, SessionView};
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

    /// Whether an approval needs the vault password.
    pub(crate) fn vault_locked(&self) -> bool {
        self.vault.as_ref().is_some_and(|v| v.exists && v.needs_password && v.open_until.is_none())
    }
}
