//! The SPAKE service over HTTP: `/spake/*` on the control plane, and a server of its own for hosts that want
//! nothing else. The domain, with the protocol, is `durward_broker::spake`.

mod alone;
mod answer;
mod handlers;
mod service;
#[cfg(test)]
mod tests;

pub use alone::{SpakeAccess, SpakeConfig, SpakeRunning, SpakeServer};
pub(crate) use service::SpakeService;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};

use crate::config::Limits;

/// What the handlers share.
#[derive(Clone)]
struct Api {
    service: Arc<SpakeService>,
    limits: Arc<Limits>,
}

impl AsRef<Limits> for Api {
    fn as_ref(&self) -> &Limits {
        &self.limits
    }
}

/// The calls, for a server that decides who may make them.
pub(crate) fn routes<S>(service: Arc<SpakeService>, limits: Arc<Limits>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/spake/initiate", post(handlers::initiate))
        .route("/spake/exchange", post(handlers::exchange))
        .route("/spake/confirm", post(handlers::confirm))
        .route("/spake/status/{id}", get(handlers::status))
        .route("/spake/cleanup/{id}", delete(handlers::cleanup))
        .route("/spake/sessions", get(handlers::sessions))
        .with_state(Api { service, limits })
}
