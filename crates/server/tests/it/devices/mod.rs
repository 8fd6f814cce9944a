//! Two and three servers on this machine that pair and talk over HTTP.

mod approve;
mod hostile;
pub(crate) mod machine;
mod messages;
mod middle;
mod origin;
mod pairing;
mod stranger;
