//! What a finished pairing leaves on this side.

use std::path::Path;

use durward_protocol::{
    AgentId, ApproverId, Confirmation, Fingerprint, RestKey, Scope, SecretBytes, SessionId, SessionKeys,
    Timestamp, base64url_decode, base64url_encode, lp_all,
};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

use crate::{Error, files};

const KIND: &str = "agent session";

/// A session without its keys: what may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its name at both ends.
    pub session_id: SessionId,
    /// The agent it was paired as.
    pub agent_id: AgentId,
    /// The approver it was paired with.
    pub approver_id: ApproverId,
    /// The granted scope.
    pub scope: Scope,
    /// Equal words at both ends mean equal keys.
    pub fingerprint: Fingerprint,
    /// When it was paired, by the clock here.
    pub created_at: Timestamp,
    /// What the approver said at confirmation: the nearer of idle end and absolute end. A hint; using
    /// the session moves it.
    pub expires_at: Option<Timestamp>,
}

/// A session with its keys.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) info: SessionInfo,
    pub(crate) keys: SessionKeys,
}

/// The file. `sealed_keys` and `confirmation` are base64url.
#[derive(Serialize, Deserialize)]
struct Stored {
    session_id: SessionId,
    agent_id: AgentId,
    approver_id: ApproverId,
    scope: String,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    sealed_keys: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirmation: Option<String>,
}

impl Session {
    /// Writes the session, keys sealed; `confirmation` is kept while it has not been answered.
    pub(crate) fn store(
        &self,
        path: &Path,
        confirmation: Option<&Confirmation>,
        rest: &RestKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Error> {
        let info = &self.info;
        let sealed = rest.seal(KIND, &identity(info), self.keys.expose_stored().expose_bytes(), rng)?;
        let stored = Stored {
            session_id: info.session_id,
            agent_id: info.agent_id.clone(),
            approver_id: info.approver_id.clone(),
            scope: info.scope.as_str().to_owned(),
            created_at: info.created_at,
            expires_at: info.expires_at,
            sealed_keys: base64url_encode(&sealed),
            confirmation: confirmation.map(Confirmation::encode),
        };
        files::write_json(path, &stored)
    }

    /// Reads it back; `None` when there is no file.
    pub(crate) fn load(
        path: &Path,
        rest: Option<&RestKey>,
    ) -> Result<Option<(Self, Option<Confirmation>)>, Error> {
        let Some(stored) = files::read_json::<Stored>(path)? else { return Ok(None) };
        let damaged = || Error::DamagedState { path: path.to_owned() };
        let scope = Scope::parse(&stored.scope).map_err(|_| damaged())?;
        let confirmation =
            stored.confirmation.as_deref().map(Confirmation::parse).transpose().map_err(|_| damaged())?;
        let mut info = SessionInfo {
            session_id: stored.session_id,
            agent_id: stored.agent_id,
            approver_id: stored.approver_id,
            scope,
            fingerprint: Fingerprint([0; 8]),
            created_at: stored.created_at,
            expires_at: stored.expires_at,
        };
        let sealed = base64url_decode(&stored.sealed_keys).map_err(|_| damaged())?;
        let rest = rest.ok_or(Error::RestKeyLost)?;
        let opened = rest.open(KIND, &identity(&info), &sealed).map_err(|_| Error::RestKeyLost)?;
        let mut bytes: [u8; SessionKeys::STORED_BYTES] =
            opened.as_slice().try_into().map_err(|_| damaged())?;
        let keys = SessionKeys::from_stored(&SecretBytes::new(bytes));
        bytes.zeroize();
        info.fingerprint = keys.fingerprint();
        Ok(Some((Self { info, keys }, confirmation)))
    }
}

/// Everything that says what the keys are for is associated data: nobody who can write the file can
/// point the keys at another session, approver or scope.
fn identity(info: &SessionInfo) -> Vec<u8> {
    lp_all(&[
        info.session_id.to_string().as_bytes(),
        info.agent_id.as_str().as_bytes(),
        info.approver_id.as_str().as_bytes(),
        info.scope.as_str().as_bytes(),
    ])
}
