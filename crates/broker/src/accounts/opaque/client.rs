//! The client's side of a login, for programs that hold the phrase and a server that shall not see it.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use durward_protocol::Rng06;
use opaque_ke::{ClientLogin, ClientLoginFinishParameters, CredentialResponse, Identifiers};
use rand_core::CryptoRng;
use zeroize::Zeroize as _;

use super::{Arena, CanonicalPhrase, OpaqueError, Stretch, Suite, decode};

/// A login begun.
pub struct OpaqueClient {
    phrase: CanonicalPhrase,
    state: ClientLogin<Suite>,
}

impl OpaqueClient {
    /// The client, and its `start_login_request`.
    pub fn start(phrase: CanonicalPhrase, rng: &mut impl CryptoRng) -> Result<(Self, String), OpaqueError> {
        let begun = ClientLogin::start(&mut Rng06(rng), phrase.expose_phrase().as_bytes())
            .map_err(|_| OpaqueError::Internal)?;
        let message = URL_SAFE_NO_PAD.encode(begun.message.serialize());
        Ok((Self { phrase, state: begun.state }, message))
    }

    /// Takes the server's `login_response` and gives the `finish_login_request`. [`OpaqueError::Login`]: the phrase is
    /// wrong, or the server has no enrolment of this account. Costs one Argon2id of 64 MiB.
    pub fn finish(
        self,
        login_response: &str,
        arena: &mut Arena,
        rng: &mut impl CryptoRng,
    ) -> Result<String, OpaqueError> {
        let response =
            CredentialResponse::deserialize(&decode(login_response)?).map_err(|_| OpaqueError::Message)?;
        let stretch = Stretch(RefCell::new(std::mem::take(arena)));
        let parameters = ClientLoginFinishParameters::new(None, Identifiers::default(), Some(&stretch));
        let password = self.phrase.expose_phrase().as_bytes();
        let finished = self.state.finish(&mut Rng06(rng), password, response, parameters);
        *arena = stretch.0.into_inner();
        let mut done = finished.map_err(|_| OpaqueError::Login)?;
        done.session_key.as_mut_slice().zeroize();
        done.export_key.as_mut_slice().zeroize();
        Ok(URL_SAFE_NO_PAD.encode(done.message.serialize()))
    }
}

impl std::fmt::Debug for OpaqueClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpaqueClient([redacted])")
    }
}
