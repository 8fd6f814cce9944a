//! The agent plane: what agents call. Nothing here trusts anything that was not sealed.

mod credential;
mod pairing;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use durward_protocol::ErrorCode;

use crate::auth::{self, Accounts};
use crate::config::Limits;
use crate::device::{self, DeviceService};
use crate::engine::Engine;
use crate::http::{ApiError, Callers, HostRule, check_host, listed_origin, preflight, with_cors};
use crate::openapi;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct AgentPlane {
    pub(crate) engine: Arc<Engine>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) host: HostRule,
    pub(crate) callers: Arc<Callers>,
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

/// What a page of a listed origin may send.
const ALLOWED_HEADERS: &str = "content-type, x-api-key, authorization, prefer";

/// `Host`, `Origin` and the address's share of calls, before anything else is looked at; answers the preflights of
/// listed origins.
async fn guard(State(plane): State<AgentPlane>, request: Request, next: Next) -> Response {
    if let Err(code) = check_host(request.headers(), plane.host) {
        return ApiError::new(code).into_response();
    }
    let origin = match listed_origin(request.headers(), &plane.allowed_origins) {
        Ok(origin) => origin,
        Err(code) => return ApiError::new(code).into_response(),
    };
    // One for every request to a service behind a proxy, a look-up each: whoever may flood that service may flood this.
    let counted = request.uri().path() != "/auth/verify";
    let share = if counted { plane.callers.call(&request) } else { Ok(()) };
    let response = match share {
        Err(seconds) => ApiError::new(ErrorCode::RateLimited).retry_after(seconds).into_response(),
        Ok(()) if request.method() == Method::OPTIONS && origin.is_some() => preflight(ALLOWED_HEADERS),
        Ok(()) => next.run(request).await,
    };
    with_cors(response, origin)
}
