//! Two and three servers on this machine that pair and talk over HTTP.

mod approve;
pub(crate) mod machine;
mod messages;
mod middle;
mod origin;
mod pairing;
