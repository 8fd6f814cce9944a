//! Devices of the same owner: pairing with them, and messages to and from them.
//!
//! `handlers` is what other devices call, on the agent plane; the owner's side is in `control/pair.rs` and
//! `control/devices.rs`. The rules are in `durward_broker::devices`.

mod asked;
mod client;
mod contact;
mod deliver;
mod discovery;
mod handlers;
mod join;
mod keys;
mod messages;
mod pair;
mod peers;
mod service;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;

use crate::config::Limits;

pub(crate) use join::Typed;
pub(crate) use service::DeviceService;

/// What the handlers share.
#[derive(Clone)]
struct Plane(Arc<DeviceService>);

impl AsRef<Limits> for Plane {
    fn as_ref(&self) -> &Limits {
        &self.0.limits
    }
}

/// The routes, to be merged into the agent plane, whose guard stands before them.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(service: Arc<DeviceService>) -> Router<S> {
    Router::new()
        .route("/device/pair/open", post(handlers::open))
        .route("/device/pair/exchange", post(handlers::exchange))
        .route("/device/pair/hello", post(handlers::hello))
        .route("/device/pair/cancel", post(handlers::cancel))
        .route("/device/deliver", post(handlers::deliver))
        .with_state(Plane(service))
}
