//! `/sessions` and `/session/revoke`

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use durward_broker::approval::{Answer, Event};
use durward_protocol::ErrorCode;
use durward_protocol::wire::RevokeResponse;

use super::ControlPlane;
use super::api::{Done, RevokeSession, Sessions};
use crate::http::{ApiError, Body};

/// `GET /sessions`
pub(super) async fn list(State(plane): State<ControlPlane>) -> Json<Sessions> {
    Json(plane.engine.read(|approval, now| Sessions { sessions: approval.sessions(now) }))
}

/// `POST /session/revoke`: one, or all.
pub(super) async fn revoke(
    State(plane): State<ControlPlane>,
    Body(body): Body<RevokeSession>,
) -> Result<Response, ApiError> {
    let session_id = match (body.session_id, body.all) {
        (Some(id), false) => Some(id),
        (None, true) => None,
        _ => return Err(ErrorCode::InvalidRequest.into()),
    };
    match plane.engine.call(|waiter| Event::RevokeSession { waiter, session_id }).await {
        Answer::Revoked { session_id, .. } => {
            Ok(Json(RevokeResponse { revoked: true, session_id, encrypted_payload: None }).into_response())
        }
        Answer::Done(done) => Ok(Json(Done { done }).into_response()),
        other => Err(ApiError::for_owner(other)),
    }
}
