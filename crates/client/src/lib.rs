//! The agent SDK: pair by code, request credentials, use them.
//!
//! ```no_run
//! use durward_client::protocol::{Domain, SecretString};
//! use durward_client::{Agent, Ask, Begun, Config, Error, PairingAsk, Wait};
//!
//! # fn show(_: &SecretString) {}
//! async fn log_in() -> Result<(), Error> {
//!     let agent = Agent::open(Config::new("/var/lib/my-agent", "/var/lib/my-agent-keys"))?;
//!     if agent.session().is_none() {
//!         if let Begun::Waiting(pairing) = agent.begin_pairing(PairingAsk::default()).await? {
//!             // On a screen, for the owner to type at the approver; never into a log.
//!             show(&pairing.number_code().expose_text());
//!             pairing.wait().await?;
//!         }
//!     }
//!     let request = agent.prepare(Ask::new(Domain::parse("example.com")?, "Book the flight"))?;
//!     let approval = agent.request(&request, Wait::UntilDecided).await?;
//!     if let Some(password) = &approval.credential.password {
//!         show(password);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The library never prints, prompts or reads the environment. Its state lies in a folder that the
//! caller names; several processes may share that folder. Nothing the approver says outside an
//! envelope makes it forget keys or pair again: plain answers can be forged.

mod agent;
mod approver_url;
mod clock;
mod error;
mod files;
mod guesses;
mod http;
mod pairing;
mod pending;
mod profile;
mod receipts;
mod request;
mod rest_key;
mod retry;
mod session;
pub mod spake;
mod wait;

pub use agent::{Agent, Config};
pub use approver_url::{ApproverUrl, DEFAULT_APPROVER};
pub use clock::{Clock, SystemClock};
pub use error::{DENIED_BY_PAUSE, DENIED_BY_RULE, Error};
pub use guesses::{MAX_FAILED_ANSWERS, PAUSE_WINDOW_SECONDS};
pub use http::Timeouts;
pub use pairing::{Begun, CODE_LIFETIME_SECONDS, NumberCode, Pairing, PairingAsk, PairingCanceller};
pub use pending::PendingRequest;
pub use profile::ProfileRecord;
pub use receipts::{ReceiptCheck, StoredReceipt};
pub use request::{Approval, Ask, Wait};
pub use rest_key::{RestKeyFile, RestKeySource};
pub use session::SessionInfo;

/// The protocol crate, for the types that appear here.
pub use durward_protocol as protocol;
