//! Who this agent is, from one run to the next: `profile.json` in the profile's folder.

use std::path::{Path, PathBuf};

use durward_protocol::{AgentId, AgentName, ApproverId};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::{Error, files};

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What a profile remembers besides its session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// The agent's claim about itself; random unless the caller chose one.
    pub agent_id: AgentId,
    /// What owners read.
    pub agent_name: AgentName,
    /// Where the approver was reached last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver_url: Option<String>,
    /// The approver it is paired with. Another one is refused unless the caller says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver_id: Option<ApproverId>,
}

/// The folder of one profile.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    folder: PathBuf,
}

impl Profile {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn session_file(&self) -> PathBuf {
        self.folder.join("session.json")
    }

    /// A session whose `confirm` has not been answered yet.
    pub(crate) fn unconfirmed_file(&self) -> PathBuf {
        self.folder.join("unconfirmed.json")
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.folder.join("pairing.lock")
    }

    pub(crate) fn requests_folder(&self) -> PathBuf {
        self.folder.join("requests")
    }

    pub(crate) fn receipts_folder(&self) -> PathBuf {
        self.folder.join("receipts")
    }

    fn record_file(&self) -> PathBuf {
        self.folder.join("profile.json")
    }

    /// The record; `None` for a new profile.
    pub(crate) fn load(&self) -> Result<Option<ProfileRecord>, Error> {
        files::read_json(&self.record_file())
    }

    /// Whether there is a record on disk.
    pub(crate) fn is_stored(&self) -> bool {
        self.record_file().exists()
    }

    pub(crate) fn store(&self, record: &ProfileRecord) -> Result<(), Error> {
        files::write_json(&self.record_file(), record)
    }
}

/// `agent-` and eight characters of base32: 40 bits, enough to tell one owner's agents apart.
pub(crate) fn random_agent_id(rng: &mut impl CryptoRng) -> Result<AgentId, Error> {
    let mut bytes = [0; 8];
    rng.fill_bytes(&mut bytes);
    let suffix: String = bytes.iter().map(|b| char::from(BASE32[usize::from(b & 31)])).collect();
    Ok(AgentId::parse(&format!("agent-{suffix}"))?)
}
