//! Devices of one owner: names, keys, pairing, what they send each other.
//!
//! Pure like the rest of this crate. [`api`] is what the control plane takes and answers, [`wire`] what one device
//! says to another.

pub mod api;
mod decision;
mod exchange;
mod hello;
mod ids;
pub mod wire;

pub use decision::{AskedRequest, AskedState, DecisionWord, DeviceDecision, request_digest};
pub use exchange::{DISPLAYER_ID, DeviceChannel, DeviceDisplayer, DeviceProof, ENTERER_ID};
pub use hello::{
    DeviceKeys, Hello, open_cancel, open_hello, open_verdict, seal_cancel, seal_hello, seal_verdict,
    sign_answer, sign_call, verify_answer, verify_call,
};
pub use ids::{DeviceId, DeviceName, DevicePublic, EventId, MAX_DEVICE_NAME_CHARS, PairTag, TAG_WORDS};
