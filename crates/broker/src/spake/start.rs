//! The steps of `initiate` before the session table: check, stretch, make our key. None of them needs the table, so
//! a server runs them outside its lock.

use data_encoding::HEXLOWER;
use durward_protocol::SecretString;
use rand_core::CryptoRng;

use super::exchange::Exchange;
use super::id::SessionId;
use super::stretch::{WideScalar, stretch, wide_from_hex};
use super::suite::{Role, Suite};
use super::wire::InitiateRequest;
use super::{Error, ed25519, p256};

/// Longest password in bytes, and for `p256-sha256-raw` longest hex text.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// Longest `id_a` and `id_b` in bytes.
pub const MAX_IDENTITY_BYTES: usize = 256;

/// A checked `initiate`. Cheap to make; nothing secret has been computed yet.
#[derive(Debug)]
pub struct Start {
    names: Names,
    password: SecretString,
}

/// A start whose password has been stretched, where its suite asks for that.
pub struct Ready {
    names: Names,
    material: Material,
}

/// A start that has our key pair; [`super::Sessions::open`] gives it its place.
pub struct Begun {
    pub(super) names: Names,
    pub(super) public_key: String,
    pub(super) exchange: Exchange,
}

/// The public part of a start.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) session_id: SessionId,
    pub(super) suite: Suite,
    pub(super) role: Role,
    pub(super) id_a: String,
    pub(super) id_b: String,
}

/// What a password has become.
enum Material {
    Scalar(WideScalar),
    Password(SecretString),
}

impl TryFrom<InitiateRequest> for Start {
    type Error = Error;

    fn try_from(request: InitiateRequest) -> Result<Self, Error> {
        let names = Names {
            session_id: SessionId::new(request.session_id)?,
            suite: request.suite.as_deref().map_or(Ok(Suite::default()), Suite::from_name)?,
            role: request.role.as_deref().map_or(Ok(Role::default()), Role::from_name)?,
            id_a: request.id_a,
            id_b: request.id_b,
        };
        if names.id_a.len() > MAX_IDENTITY_BYTES || names.id_b.len() > MAX_IDENTITY_BYTES {
            return Err(Error::InvalidIdentity);
        }
        if request.password.is_empty() || request.password.expose_secret().len() > MAX_PASSWORD_BYTES {
            return Err(Error::InvalidPassword);
        }
        Ok(Self { names, password: request.password })
    }
}

impl Start {
    /// The session it is for; ask [`super::Sessions::admit`] before paying for [`Start::stretch`].
    pub fn session_id(&self) -> &SessionId {
        &self.names.session_id
    }

    /// Whether [`Start::stretch`] takes tens of milliseconds.
    pub fn is_slow(&self) -> bool {
        self.names.suite == Suite::P256Sha256
    }

    /// Turns the password into what the suite computes with.
    pub fn stretch(self) -> Result<Ready, Error> {
        let material = match self.names.suite {
            Suite::P256Sha256 => Material::Scalar(stretch(&self.password, &self.names.session_id)),
            Suite::P256Sha256Raw => Material::Scalar(wide_from_hex(&self.password)?),
            Suite::Spake2Ed25519 => Material::Password(self.password),
        };
        Ok(Ready { names: self.names, material })
    }
}

impl Ready {
    /// Makes our key pair and wipes the password.
    pub fn begin<R: CryptoRng + ?Sized>(self, rng: &mut R) -> Result<Begun, Error> {
        let Names { session_id, role, id_a, id_b, .. } = &self.names;
        let (public_key, exchange) = match &self.material {
            Material::Scalar(w) => {
                let (key, exchange) = p256::begin(*role, w, id_a.as_bytes(), id_b.as_bytes(), rng)?;
                (key, Exchange::P256(Box::new(exchange)))
            }
            Material::Password(password) => {
                let (key, exchange) = ed25519::begin(*role, password, session_id, id_a, id_b, rng);
                (key, Exchange::Ed25519(exchange))
            }
        };
        Ok(Begun { names: self.names, public_key: HEXLOWER.encode(&public_key), exchange })
    }
}
