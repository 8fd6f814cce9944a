//! The agent plane: what agents call. Nothing here trusts anything that was not sealed.

mod credential;
mod pairing;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use durward_protocol::ErrorCode;

use crate::auth::{self, Accounts};
use crate::config::Limits;
use crate::device::{self, DeviceService};
use crate::engine::Engine;
use crate::http::{ApiError, HostRule, check_host};
use crate::openapi;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct AgentPlane {
    pub(crate) engine: Arc<Engine>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) host: HostRule,
    pub(crate) allowed_origins: Arc<Vec<String>>,
    /// `None` where devices are switched off.
    pub(crate) devices: Option<Arc<DeviceService>>,
    /// `None` where accounts are switched off.
    pub(crate) accounts: Option<Arc<Accounts>>,
}

impl AsRef<Limits> for AgentPlane {
    fn as_ref(&self) -> &Limits {
        &self.limits
    }
}

/// The whole plane.
pub(crate) fn router(plane: AgentPlane) -> Router {
    let devices = plane.devices.clone().map(device::router).unwrap_or_default();
    let accounts = plane.accounts.clone().map(auth::router).unwrap_or_default();
    Router::new()
        .merge(accounts)
        .merge(devices)
        .route("/pairing/initiate", post(pairing::initiate))
        .route("/pairing/exchange", post(pairing::exchange))
        .route("/pairing/confirm", post(pairing::confirm))
        .route("/pairing/cancel", post(pairing::cancel))
        .route("/credential/request", post(credential::request))
        .route("/credential/cancel", post(credential::cancel))
        .route("/session/status", get(session::status))
        .route("/session/revoke", post(session::revoke))
        .route("/health", get(session::health))
        .route("/openapi.json", get(openapi::agent_json))
        .fallback(|| async { ApiError::new(ErrorCode::NotFound) })
        .method_not_allowed_fallback(|| async { ApiError::new(ErrorCode::MethodNotAllowed) })
        .layer(from_fn_with_state(plane.clone(), guard))
        .with_state(plane)
}

/// `Host` and `Origin`, before anything else is looked at.
async fn guard(State(plane): State<AgentPlane>, request: Request, next: Next) -> Response {
    if let Err(code) = check_host(request.headers(), plane.host) {
        return ApiError::new(code).into_response();
    }
    let mut origins = request.headers().get_all(header::ORIGIN).iter();
    let allowed = origins
        .all(|origin| plane.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()));
    if !allowed {
        return ApiError::new(ErrorCode::OriginRefused).into_response();
    }
    next.run(request).await
}
