//! The OpenAPI documents of both planes.
//!
//! They lie in `docs/openapi/`, for strangers to read, and are served from there: the program carries two
//! texts and no generator. The feature `openapi` adds the generator; a test compares what it makes with
//! what is committed.

#[cfg(feature = "openapi")]
mod agent;
#[cfg(feature = "openapi")]
mod auth;
#[cfg(feature = "openapi")]
mod control;
#[cfg(feature = "openapi")]
mod devices;
#[cfg(feature = "openapi")]
mod document;
#[cfg(feature = "openapi")]
mod spake;

#[cfg(feature = "openapi")]
pub use {agent::agent_document, control::control_document};

use axum::http::header;
use axum::response::IntoResponse;

/// The agent plane, as `GET /openapi.json` there answers.
pub const AGENT_JSON: &str = include_str!("../../../../docs/openapi/agent.json");

/// The control plane, as `GET /openapi.json` there answers.
pub const CONTROL_JSON: &str = include_str!("../../../../docs/openapi/control.json");

/// `GET /openapi.json` on the agent plane
pub(crate) async fn agent_json() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], AGENT_JSON)
}

/// `GET /openapi.json` on the control plane
pub(crate) async fn control_json() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], CONTROL_JSON)
}
