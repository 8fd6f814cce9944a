//! Durward's wire protocol: pairing by code over SPAKE2, the key schedule, sealed envelopes.
//!
//! Pure: no I/O, no clock, no generator of its own, no logging, no async. `docs/protocol.md` describes
//! the same thing for other languages, and `docs/vectors/` holds the numbers both are tested with.

mod code;
mod credential;
pub mod device;
mod domain;
mod encoding;
mod envelope;
mod error;
mod exchange;
mod ids;
mod message;
mod pake;
mod receipt;
mod replay;
mod rest;
mod rng;
mod schedule;
mod scope;
mod secret;
#[cfg(test)]
mod testing;
pub mod wire;
mod words;

pub use code::{Code, PairingNumber, TypedCode};
pub use credential::{Credential, Field, MAX_CUSTOM_NAME_BYTES, MAX_FIELDS};
pub use domain::{Domain, MAX_DOMAIN_BYTES};
pub use encoding::{
    base64url_array, base64url_decode, base64url_encode, from_json_object, hex_array, hex_encode, lp, lp_all,
};
pub use envelope::{ENVELOPE_VERSION, MAX_PAYLOAD_CHARS, MAX_PLAINTEXT_BYTES, open, seal};
pub use error::{Error, ErrorCode};
pub use exchange::{Answered, Displayer, PairingOffer, Verified};
pub use ids::{
    AgentId, AgentName, ApproverId, ApproverKey, GrantId, MAX_AGENT_ID_BYTES, MAX_AGENT_NAME_CHARS, Nonce,
    PairingId, RequestId, SessionId, is_deceptive,
};
pub use message::{
    Acknowledgement, CredentialCancel, CredentialRequest, CredentialResponse, Head, Header, Heads,
    MAX_EXPIRES_IN_SECONDS, MAX_REASON_BYTES, MessageType, SessionRevoke, Timestamp, Verdict,
};
pub use pake::{PAKE_MESSAGE_BYTES, Pake, PakeMessage, Side};
pub use receipt::{
    Decider, MAX_RECEIPT_CHARS, RECEIPT_VERSION, Receipt, Statement, chain_hash, field_names, reason_hash,
};
pub use replay::{MAX_CLOCK_SKEW_SECONDS, MAX_NONCES, MAX_NONCES_PER_SESSION, ReplayWindow};
pub use rest::{KeeperError, RestKey, RestKeyKeeper};
pub use rng::Rng06;
pub use schedule::{
    Confirmation, Fingerprint, PairingTranscript, SessionKeys, TranscriptHash, UnconfirmedKeys,
};
pub use scope::{Limits, MAX_SCOPE_BYTES, MAX_SCOPE_DOMAINS, Scope};
pub use secret::{SecretBytes, SecretString};
pub use words::{WORD_COUNT, fingerprint_words, word_list};
