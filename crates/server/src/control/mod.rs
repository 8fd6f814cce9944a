//! The control plane: what the owner's CLI, screens, browser page and scripts call.

mod accounts;
mod agents;
pub mod api;
mod audit;
mod auth;
mod devices;
mod events;
mod pair;
mod pairings;
mod policy;
mod requests;
mod sessions;
mod status;
mod vault;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, patch, post};
use durward_protocol::{ApproverId, ErrorCode};
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::auth::Accounts;
use crate::config::Limits;
use crate::device::DeviceService;
use crate::engine::Engine;
use crate::home::Home;
use crate::http::{ApiError, HostRule, whole_body};
use crate::openapi;
use crate::token::Tokens;

/// The tokens of the control port.
pub use crate::token;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct ControlPlane {
    pub(crate) engine: Arc<Engine>,
    /// `None` where accounts are switched off.
    pub(crate) accounts: Option<Arc<Accounts>>,
    /// `None` where devices are switched off.
    pub(crate) devices: Option<Arc<DeviceService>>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) host: HostRule,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) about: Arc<About>,
    /// Set to true, it stops the server.
    pub(crate) stop: Arc<watch::Sender<bool>>,
}

/// What does not change while the server runs.
pub(crate) struct About {
    pub(crate) home: Home,
    pub(crate) listen: SocketAddr,
    /// Whether the agent plane speaks TLS.
    pub(crate) tls: bool,
    pub(crate) control: Option<SocketAddr>,
    pub(crate) approver_id: ApproverId,
    pub(crate) started_at: OffsetDateTime,
}

impl AsRef<Limits> for ControlPlane {
    fn as_ref(&self) -> &Limits {
        &self.limits
    }
}

/// The whole plane, with the routes of `others` behind the same guard. Which caller may do what is decided in `auth`.
pub(crate) fn router(plane: ControlPlane, others: Router<ControlPlane>) -> Router {
    Router::new()
        .route("/health", get(status::health))
        .route("/openapi.json", get(openapi::control_json))
        .route("/status", get(status::status))
        .route("/shutdown", post(status::shutdown))
        .route("/events", get(events::events))
        .route("/pairings", get(pairings::list))
        .route("/pairings/enter", post(pairings::enter))
        .route("/pairings/refuse", post(pairings::refuse))
        .route("/pairings/open", post(pairings::open))
        .route("/pairings/close", post(pairings::close))
        .route("/sessions", get(sessions::list))
        .route("/session/revoke", post(sessions::revoke))
        .route("/agents/paused", get(agents::paused))
        .route("/agents/pause", post(agents::pause))
        .route("/agents/resume", post(agents::resume))
        .route("/policy", get(policy::status))
        .route("/policy/reload", post(policy::reload))
        .route("/policy/suggestions", get(policy::suggestions))
        .route("/policy/suggestions/{id}/accept", post(policy::accept))
        .route("/requests", get(requests::list))
        .route("/requests/decide", post(requests::decide))
        .route("/grants", get(requests::grants))
        .route("/grants/end", post(requests::end_grant))
        .route("/vault", get(vault::status))
        .route("/vault/unlock", post(vault::unlock))
        .route("/vault/lock", post(vault::lock))
        .route("/accounts", post(accounts::command))
        .route("/pair/initiate", post(pair::initiate))
        .route("/pair/join", post(pair::join))
        .route("/pair/pending", get(pair::pending))
        .route("/pair/respond", post(pair::respond))
        .route("/pair/cancel", post(pair::cancel))
        .route("/devices", get(devices::list))
        .route("/devices/rotate", post(devices::rotate))
        .route("/devices/resume", post(devices::resume))
        .route("/devices/requests", get(devices::requests))
        .route("/devices/requests/decide", post(devices::decide))
        .route("/devices/{id}", patch(devices::change).delete(devices::remove))
        .route("/devices/{id}/introduce", post(devices::introduce))
        .route("/devices/{id}/confirm", post(devices::confirm))
        .route("/devices/{id}/send", post(devices::send))
        .route("/outbox", get(devices::outbox))
        .route("/inbox", get(devices::inbox))
        .route("/inbox/{id}", get(devices::open).delete(devices::discard))
        .route("/audit", get(audit::list).post(audit::record))
        .route("/audit/verify", get(audit::verify))
        .route("/audit/acknowledge", post(audit::acknowledge))
        .merge(others)
        .fallback(|| async { ApiError::new(ErrorCode::NotFound) })
        .method_not_allowed_fallback(|| async { ApiError::new(ErrorCode::MethodNotAllowed) })
        .layer(from_fn_with_state(plane.clone(), whole_body::<ControlPlane>))
        .layer(from_fn_with_state(plane.clone(), auth::guard))
        .with_state(plane)
}
