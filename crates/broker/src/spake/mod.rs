//! The SPAKE service: password-authenticated key exchange for a local application, as a pure state machine.
//!
//! The application gives this service the password and gets a shared secret; its peer, elsewhere, holds the same
//! password and runs the other side, with this service or with any implementation of the suite. What crosses the
//! network between the two is a public key and a confirmation each way. `docs/spake-service.md` has the formulas.
//!
//! A server's handlers call, for `initiate`:
//!
//! ```text
//! InitiateRequest::from_json(body)? -> Start::try_from(request)?
//! [lock]  sessions.admit(start.session_id(), now)?
//!         start.stretch()?.begin(rng)?              off the async threads where start.is_slow()
//! [lock]  sessions.open(begun, now)? -> InitiateResponse
//! ```
//!
//! and for `exchange`:
//!
//! ```text
//! ExchangeRequest::from_json(body)?
//! [lock]  sessions.take(request, now)?              the session is spent here, before anything is computed
//!         attempt.run()
//! [lock]  sessions.settle(outcome, now)? -> ExchangeResponse
//! ```
//!
//! so that no curve arithmetic happens under the lock. [`Sessions::initiate`] and [`Sessions::exchange`] are these
//! steps in a row.

mod ed25519;
mod error;
mod exchange;
mod group;
mod id;
mod p256;
mod sessions;
mod start;
mod stretch;
mod suite;
#[cfg(test)]
mod tests;
mod wire;

pub use error::Error;
pub use id::{MAX_SESSION_ID_CHARS, SessionId};
pub use sessions::{Attempt, Limits, Outcome, Sessions};
pub use start::{Begun, MAX_IDENTITY_BYTES, MAX_PASSWORD_BYTES, Ready, Start};
pub use stretch::{ITERATIONS, STRETCHED_BYTES, WideScalar, stretch};
pub use suite::{Parameters, Role, Stretch, Suite};
pub use wire::{
    CleanupResponse, ConfirmRequest, ConfirmResponse, ExchangeRequest, ExchangeResponse, Health,
    InitiateRequest, InitiateResponse, SessionList, SessionStatus, Status,
};
