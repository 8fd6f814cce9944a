//! Requests without a verdict, on disk, so that another run can wait for them.

use durward_protocol::{CredentialRequest, Domain, Field, RequestId, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::profile::Profile;
use crate::{Error, files};

/// Most files of the folder that are read: nobody has that many questions open.
const MAX_LISTED: usize = 1_000;

/// A request that was, or will be, sent. Sent again with the same id it joins and asks nobody twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRequest {
    /// The agent's id for it.
    pub id: RequestId,
    /// The session it was asked in.
    pub session_id: SessionId,
    /// What the credential is for.
    pub domain: Domain,
    /// Why.
    pub reason: String,
    /// Fields asked for.
    pub fields: Vec<Field>,
    /// A particular item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_id: Option<String>,
    /// How long the owner has, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl PendingRequest {
    pub(crate) fn message(&self) -> CredentialRequest {
        CredentialRequest {
            id: self.id,
            domain: self.domain.clone(),
            reason: self.reason.clone(),
            fields: self.fields.clone(),
            item_id: self.item_id.clone(),
            expires_in: self.expires_in,
            heads: None,
        }
    }
}

pub(crate) fn store(profile: &Profile, request: &PendingRequest) -> Result<(), Error> {
    files::write_json(&file(profile, request.id), request)
}

pub(crate) fn remove(profile: &Profile, id: RequestId) -> Result<(), Error> {
    files::remove(&file(profile, id))
}

pub(crate) fn is_stored(profile: &Profile, id: RequestId) -> bool {
    file(profile, id).exists()
}

/// All of them, oldest first. A file that cannot be read is left out: it helps nobody wait.
pub(crate) fn list(profile: &Profile) -> Result<Vec<PendingRequest>, Error> {
    let folder = profile.requests_folder();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::State { path: folder, source }),
    };
    let mut requests: Vec<PendingRequest> = entries
        .take(MAX_LISTED)
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"))
        .filter_map(|entry| files::read_json(&entry.path()).ok().flatten())
        .collect();
    requests.sort_by_key(|request| (request.created_at, request.id));
    Ok(requests)
}

fn file(profile: &Profile, id: RequestId) -> std::path::PathBuf {
    profile.requests_folder().join(format!("{id}.json"))
}
