//! OPAQUE (RFC 9807), the server's side: a login in which the passphrase never leaves the client.
//!
//! Configuration: OPRF and key exchange over ristretto255, 3DH with SHA-512, Argon2id as key stretching function with
//! 64 MiB, three passes, four lanes, salt of zero bytes. That is what npm `@serenity-kit/opaque` 1.1 does by default
//! (`keyStretching: "memory-constrained"`), so a browser logs in with that package as it is. No context, no custom
//! identifiers; the credential identifier is the account name. Messages travel as unpadded base64url.
//!
//! The password of OPAQUE is the canonical phrase ([`CanonicalPhrase`]): a client makes it canonical before it starts.
//!
//! `opaque-ke` is on the older RustCrypto generation; nothing of it shows outside this module.

mod client;

use std::cell::RefCell;
use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use durward_protocol::Rng06;
use opaque_ke::errors::InternalError;
use opaque_ke::generic_array::{ArrayLength, GenericArray};
use opaque_ke::{
    CipherSuite, ClientRegistration, ClientRegistrationFinishParameters, CredentialFinalization,
    CredentialRequest, Identifiers, Ristretto255, ServerLogin, ServerLoginParameters, ServerRegistration,
    ServerSetup, TripleDh,
};
use rand_core::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

use super::device::UserId;
use super::hash::Arena;
use super::phrase::CanonicalPhrase;

pub use client::OpaqueClient;

/// Longest message of the protocol that is looked at, in characters.
pub(crate) const MAX_MESSAGE: usize = 1_024;

const KSF_MEMORY_KIB: u32 = 1 << 16;
const KSF_PASSES: u32 = 3;
const KSF_LANES: u32 = 4;

/// Why OPAQUE stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpaqueError {
    /// A message is not one of the protocol: wrong length, not canonical, not a point of the group.
    #[error("not a message of OPAQUE in unpadded base64url")]
    Message,
    /// What the store holds (setup, record or login state) does not read.
    #[error("stored OPAQUE data is damaged")]
    Stored,
    /// The client does not know the phrase.
    #[error("the login is not good")]
    Login,
    /// The library could not compute; nothing that a peer sends leads here.
    #[error("OPAQUE failed internally")]
    Internal,
}

/// The server's keys: OPRF seed, key pair, and the public key shown for unknown names. One per database, secret;
/// losing it voids every OPAQUE enrolment (plain logins go on and enrol again).
pub struct OpaqueSetup(ServerSetup<Suite>);

impl OpaqueSetup {
    /// Draws the keys.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(ServerSetup::new(&mut Rng06(rng)))
    }

    /// The form in the store, readable by `@serenity-kit/opaque` once in base64url.
    pub fn expose_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.serialize().to_vec())
    }

    /// Reads what [`Self::expose_bytes`] gave.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, OpaqueError> {
        ServerSetup::deserialize(bytes).map(Self).map_err(|_| OpaqueError::Stored)
    }

    /// The public key in base64url, for clients that pin it.
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.keypair().public().serialize())
    }
}

impl fmt::Debug for OpaqueSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueSetup([redacted])")
    }
}

/// One account's enrolment. Not the phrase, but whoever has it and [`OpaqueSetup`] may guess offline.
#[derive(Clone, PartialEq, Eq)]
pub struct OpaqueRecord(Vec<u8>);

impl OpaqueRecord {
    /// Enrols `phrase` here, where it is known: at a plain login, or when the owner makes the account.
    ///
    /// Plays both sides. Costs one Argon2id of 64 MiB, three passes: run it on the bounded pool, one at a time.
    pub fn enrol(
        setup: &OpaqueSetup,
        user: &UserId,
        phrase: &CanonicalPhrase,
        arena: &mut Arena,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, OpaqueError> {
        let password = phrase.expose_phrase().as_bytes();
        let mut rng = Rng06(rng);
        let begun =
            ClientRegistration::<Suite>::start(&mut rng, password).map_err(|_| OpaqueError::Internal)?;
        let answer = ServerRegistration::<Suite>::start(&setup.0, begun.message, user.as_str().as_bytes())
            .map_err(|_| OpaqueError::Internal)?;
        let stretch = Stretch(RefCell::new(std::mem::take(arena)));
        let parameters = ClientRegistrationFinishParameters::new(Identifiers::default(), Some(&stretch));
        let finished = begun.state.finish(&mut rng, password, answer.message, parameters);
        *arena = stretch.0.into_inner();
        let upload = finished.map_err(|_| OpaqueError::Internal)?.message;
        Ok(Self(ServerRegistration::<Suite>::finish(upload).serialize().to_vec()))
    }

    /// First answer to a client that enrols itself: its `registrationRequest` gives a `registrationResponse`.
    #[cfg(test)]
    fn registration_response(
        setup: &OpaqueSetup,
        user: &UserId,
        request: &str,
    ) -> Result<String, OpaqueError> {
        let request = opaque_ke::RegistrationRequest::deserialize(&decode(request)?)
            .map_err(|_| OpaqueError::Message)?;
        let answer = ServerRegistration::<Suite>::start(&setup.0, request, user.as_str().as_bytes())
            .map_err(|_| OpaqueError::Message)?;
        Ok(URL_SAFE_NO_PAD.encode(answer.message.serialize()))
    }

    /// Takes the `registrationRecord` of a client that enrolled itself.
    #[cfg(test)]
    fn from_upload(record: &str) -> Result<Self, OpaqueError> {
        let upload = opaque_ke::RegistrationUpload::<Suite>::deserialize(&decode(record)?)
            .map_err(|_| OpaqueError::Message)?;
        Ok(Self(ServerRegistration::finish(upload).serialize().to_vec()))
    }

    /// The form in the store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes what the store holds; read when it is used.
    #[must_use]
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for OpaqueRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueRecord([redacted])")
    }
}

/// A client's first login message, checked for its form before anything is counted.
pub struct LoginRequest(CredentialRequest<Suite>);

impl LoginRequest {
    /// Reads `startLoginRequest`.
    pub fn parse(text: &str) -> Result<Self, OpaqueError> {
        CredentialRequest::deserialize(&decode(text)?).map(Self).map_err(|_| OpaqueError::Message)
    }
}

impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginRequest")
    }
}

/// A client's last login message.
pub struct LoginFinish(CredentialFinalization<Suite>);

impl LoginFinish {
    /// Reads `finishLoginRequest`.
    pub fn parse(text: &str) -> Result<Self, OpaqueError> {
        CredentialFinalization::deserialize(&decode(text)?).map(Self).map_err(|_| OpaqueError::Message)
    }
}

impl fmt::Debug for LoginFinish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginFinish")
    }
}

/// What the server keeps between the two messages: good for one finish, short-lived, wiped on drop.
#[derive(Clone)]
pub struct LoginState(Zeroizing<Vec<u8>>);

impl LoginState {
    /// Answers the first message. Without `record` the answer is made up and no finish can be good; from outside
    /// the two look the same (RFC 9807, section 10.9).
    pub fn start(
        setup: &OpaqueSetup,
        user: &UserId,
        record: Option<&OpaqueRecord>,
        request: LoginRequest,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, String), OpaqueError> {
        let record = record
            .map(|r| ServerRegistration::<Suite>::deserialize(&r.0).map_err(|_| OpaqueError::Stored))
            .transpose()?;
        let started = ServerLogin::start(
            &mut Rng06(rng),
            &setup.0,
            record,
            request.0,
            user.as_str().as_bytes(),
            ServerLoginParameters::default(),
        )
        .map_err(|_| OpaqueError::Message)?;
        let state = Self(Zeroizing::new(started.state.serialize().to_vec()));
        Ok((state, URL_SAFE_NO_PAD.encode(started.message.serialize())))
    }

    /// Checks the last message; `Ok` means that the client knows the phrase. Consumes the state: one try.
    pub fn finish(self, message: LoginFinish) -> Result<(), OpaqueError> {
        let login = ServerLogin::<Suite>::deserialize(&self.0).map_err(|_| OpaqueError::Stored)?;
        let mut done =
            login.finish(message.0, ServerLoginParameters::default()).map_err(|_| OpaqueError::Login)?;
        // The device key is the credential; the session key of the exchange has no use here.
        done.session_key.as_mut_slice().zeroize();
        Ok(())
    }

    /// The form in the store. Whoever reads it in time could finish this one login: seal it like session keys.
    pub fn expose_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes what the store holds.
    #[must_use]
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for LoginState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginState([redacted])")
    }
}

fn decode(text: &str) -> Result<Vec<u8>, OpaqueError> {
    if text.len() > MAX_MESSAGE {
        return Err(OpaqueError::Message);
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| OpaqueError::Message)
}

struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, opaque_sha2::Sha512>;
    type Ksf = Stretch;
}

/// Argon2id over an arena that the caller lends.
#[derive(Default)]
struct Stretch(RefCell<Arena>);

impl opaque_ke::ksf::Ksf for Stretch {
    fn hash<L: ArrayLength<u8>>(
        &self,
        input: GenericArray<u8, L>,
    ) -> Result<GenericArray<u8, L>, InternalError> {
        // The output length is part of what Argon2 hashes, so it is given as opaque-ke's own function does.
        let params =
            Params::new(KSF_MEMORY_KIB, KSF_PASSES, KSF_LANES, None).map_err(|_| InternalError::KsfError)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut arena = self.0.try_borrow_mut().map_err(|_| InternalError::KsfError)?;
        let blocks = arena.blocks(argon2.params().block_count());
        let mut output = GenericArray::default();
        argon2
            .hash_password_into_with_memory(&input, &[0; argon2::RECOMMENDED_SALT_LEN], &mut output, blocks)
            .map_err(|_| InternalError::KsfError)?;
        Ok(output)
    }
}

#[cfg(test)]
pub(in crate::accounts) mod tests;
