//! `/devices*`, `/outbox`, `/inbox*`: the peers of this device and what passes between them.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use durward_protocol::ErrorCode;
use durward_protocol::device::api::{
    ChangeDevice, ConfirmDevice, DecidePeerRequest, Devices, Inbox, InboxContent, Introduce, Outbox,
    PeerRequestDecided, PeerRequests, Rotated, SendDrop, Sent,
};
use durward_protocol::device::{DeviceId, EventId};

use super::ControlPlane;
use super::api::Done;
use super::pair::{refused, service};
use crate::http::{ApiError, Body, wait};

fn device(text: &str) -> Result<DeviceId, ApiError> {
    text.parse().map_err(|_| ErrorCode::DeviceNotFound.into())
}

fn message(text: &str) -> Result<EventId, ApiError> {
    text.parse().map_err(|_| ErrorCode::MessageNotFound.into())
}

/// `GET /devices`
pub(super) async fn list(State(plane): State<ControlPlane>) -> Result<Json<Devices>, ApiError> {
    Ok(Json(service(&plane)?.list().await?))
}

/// `DELETE /devices/{id}`
pub(super) async fn remove(
    State(plane): State<ControlPlane>,
    Path(id): Path<String>,
) -> Result<Json<Done>, ApiError> {
    service(&plane)?.remove(device(&id)?).await?;
    Ok(Json(Done { done: 1 }))
}

/// `PATCH /devices/{id}`
pub(super) async fn change(
    State(plane): State<ControlPlane>,
    Path(id): Path<String>,
    Body(body): Body<ChangeDevice>,
) -> Result<Response, ApiError> {
    let (service, id) = (service(&plane)?, device(&id)?);
    if !service.is_this(id).await {
        return Ok(Json(service.change_peer(id, &body).await.map_err(refused)?).into_response());
    }
    let ChangeDevice { name: Some(name), address: None, approver: None } = body else {
        return Err(
            ApiError::new(ErrorCode::InvalidRequest).detail("of this device only the name can be changed")
        );
    };
    Ok(Json(service.rename_this(&name).await.map_err(refused)?).into_response())
}

/// `GET /devices/requests`
pub(super) async fn requests(State(plane): State<ControlPlane>) -> Result<Json<PeerRequests>, ApiError> {
    Ok(Json(service(&plane)?.peer_requests().await))
}

/// `POST /devices/requests/decide`: held only when the caller asks for it.
pub(super) async fn decide(
    State(plane): State<ControlPlane>,
    headers: HeaderMap,
    Body(body): Body<DecidePeerRequest>,
) -> Result<Json<PeerRequestDecided>, ApiError> {
    Ok(Json(service(&plane)?.decide_for_peer(body, hold(&headers, &plane)).await?))
}

fn hold(headers: &HeaderMap, plane: &ControlPlane) -> Duration {
    if headers.contains_key("prefer") { wait(headers, &plane.limits) } else { Duration::ZERO }
}

/// `POST /devices/rotate`
pub(super) async fn rotate(State(plane): State<ControlPlane>) -> Result<Json<Rotated>, ApiError> {
    Ok(Json(service(&plane)?.rotate().await.map_err(refused)?))
}

/// `POST /devices/resume`: not under `/pair`, whose token is for extensions.
pub(super) async fn resume(State(plane): State<ControlPlane>) -> Result<Json<Done>, ApiError> {
    Ok(Json(Done { done: usize::from(service(&plane)?.resume_pairing().await?) }))
}

/// `POST /devices/{id}/introduce`
pub(super) async fn introduce(
    State(plane): State<ControlPlane>,
    Path(id): Path<String>,
    Body(body): Body<Introduce>,
) -> Result<Json<Done>, ApiError> {
    service(&plane)?.introduce(device(&id)?, body.device_id).await?;
    Ok(Json(Done { done: 1 }))
}

/// `POST /devices/{id}/confirm`
pub(super) async fn confirm(
    State(plane): State<ControlPlane>,
    Path(id): Path<String>,
    Body(body): Body<ConfirmDevice>,
) -> Result<Response, ApiError> {
    let confirmed = service(&plane)?.confirm(device(&id)?, body.accept).await?;
    Ok(confirmed.map_or_else(|| Json(Done { done: 1 }).into_response(), |view| Json(view).into_response()))
}

/// `POST /devices/{id}/send`: held only when the caller asks for it.
pub(super) async fn send(
    State(plane): State<ControlPlane>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(body): Body<SendDrop>,
) -> Result<Json<Sent>, ApiError> {
    Ok(Json(service(&plane)?.send(device(&id)?, &body, hold(&headers, &plane)).await?))
}

/// `GET /outbox`
pub(super) async fn outbox(State(plane): State<ControlPlane>) -> Result<Json<Outbox>, ApiError> {
    Ok(Json(service(&plane)?.outbox().await))
}

/// `GET /inbox`
pub(super) async fn inbox(State(plane): State<ControlPlane>) -> Result<Json<Inbox>, ApiError> {
    Ok(Json(service(&plane)?.inbox().await))
}

/// `GET /inbox/{id}`
pub(super) async fn open(
    State(plane): State<ControlPlane>,
    Path(id): Path<String>,
) -> Result<Json<InboxContent>, ApiError> {
    Ok(Json(service(&plane)?.open_item(message(&id)?).await?))
}

/// `DELETE /inbox/{id}`
pub(super) async fn discard(
    State(plane): State<ControlPlane>,
    Path(id): Path<String>,
) -> Result<Json<Done>, ApiError> {
    service(&plane)?.remove_item(message(&id)?).await?;
    Ok(Json(Done { done: 1 }))
}
