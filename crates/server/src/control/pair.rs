//! `/pair/*`: pairing this device with another one of the same owner.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use durward_protocol::device::PairTag;
use durward_protocol::device::api::{
    JoinStatus, PairInitiated, PairJoin, PairPending, PairRespond, PairResponded,
};
use durward_protocol::{ErrorCode, TypedCode};

use super::ControlPlane;
use super::api::Done;
use crate::device::{DeviceService, Typed};
use crate::http::{ApiError, Body, wait};

/// Devices, where they are switched on.
pub(super) fn service(plane: &ControlPlane) -> Result<&Arc<DeviceService>, ApiError> {
    plane.devices.as_ref().ok_or_else(|| ErrorCode::NotFound.into())
}

pub(super) fn refused((code, detail): (ErrorCode, Option<String>)) -> ApiError {
    let error = ApiError::new(code);
    match detail {
        Some(detail) => error.detail(detail),
        None => error,
    }
}

/// `POST /pair/initiate`
pub(super) async fn initiate(State(plane): State<ControlPlane>) -> Result<Json<PairInitiated>, ApiError> {
    Ok(Json(service(&plane)?.initiate().await?))
}

/// `POST /pair/join`
pub(super) async fn join(
    State(plane): State<ControlPlane>,
    headers: HeaderMap,
    Body(body): Body<PairJoin>,
) -> Result<Response, ApiError> {
    let typed: TypedCode = body.code.expose_secret().parse()?;
    if typed.number.is_some() {
        let hint = "this is an agent's code: type it at the approver, with `durward approve`";
        return Err(ApiError::new(ErrorCode::InvalidCode).detail(hint));
    }
    let tag = body.tag.as_deref().filter(|tag| !tag.trim().is_empty()).map(PairTag::parse).transpose();
    let tag = tag.map_err(|error| ApiError::from(error).detail(error.to_string()))?;
    let address = body.address.as_deref().map(str::parse).transpose();
    let address = address.map_err(|why: String| ApiError::new(ErrorCode::InvalidRequest).detail(why))?;
    let typed = Typed { code: typed.code, tag, address };
    let hold = wait(&headers, &plane.limits);
    let joined = service(&plane)?.join(typed, hold).await.map_err(refused)?;
    let status = if joined.status == JoinStatus::Pending { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(joined)).into_response())
}

/// `GET /pair/pending`: held only when the caller asks for it.
pub(super) async fn pending(
    State(plane): State<ControlPlane>,
    headers: HeaderMap,
) -> Result<Json<PairPending>, ApiError> {
    let hold = if headers.contains_key("prefer") { wait(&headers, &plane.limits) } else { Duration::ZERO };
    Ok(Json(service(&plane)?.pending(hold).await))
}

/// `POST /pair/respond`
pub(super) async fn respond(
    State(plane): State<ControlPlane>,
    body: Result<Body<PairRespond>, ApiError>,
) -> Result<Json<PairResponded>, ApiError> {
    let hint = "accept is true or false, and device_id may stand beside it: docs/devices.md has a table";
    let Body(body) = body.map_err(|error| error.detail(hint))?;
    Ok(Json(service(&plane)?.respond(&body).await?))
}

/// `POST /pair/cancel`
pub(super) async fn cancel(State(plane): State<ControlPlane>) -> Result<Json<Done>, ApiError> {
    Ok(Json(Done { done: usize::from(service(&plane)?.cancel().await) }))
}
