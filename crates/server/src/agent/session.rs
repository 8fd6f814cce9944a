//! `/session/*` and `/health`

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use durward_broker::approval::{Answer, Event};
use durward_protocol::wire::{Health, RevokeResponse, SealedRequest, SessionStatus};
use durward_protocol::{ErrorCode, SessionId};
use serde::Deserialize;

use super::AgentPlane;
use crate::http::{ApiError, Strict};

#[derive(Deserialize)]
pub(super) struct StatusQuery {
    session_id: String,
}

/// `GET /session/status?session_id=…`. Asking does not keep a session alive.
pub(super) async fn status(
    State(plane): State<AgentPlane>,
    query: Result<Query<StatusQuery>, QueryRejection>,
) -> Result<Json<SessionStatus>, ApiError> {
    let Query(query) = query.map_err(|_| ErrorCode::InvalidRequest)?;
    let id: SessionId = query.session_id.parse().map_err(|_| ErrorCode::SessionNotFound)?;
    plane.engine.read(|approval, now| approval.session_status(now, id)).map(Json).map_err(Into::into)
}

/// `POST /session/revoke`, sealed.
pub(super) async fn revoke(
    State(plane): State<AgentPlane>,
    Strict(body): Strict<SealedRequest>,
) -> Result<Json<RevokeResponse>, ApiError> {
    let payload = body.encrypted_payload.ok_or(ErrorCode::EnvelopeRequired)?;
    let session_id = body.session_id;
    match plane.engine.call(|waiter| Event::RevokeByAgent { waiter, session_id, payload }).await {
        Answer::Revoked { session_id, payload } => {
            Ok(Json(RevokeResponse { revoked: true, session_id, encrypted_payload: payload }))
        }
        other => Err(ApiError::for_agent(other)),
    }
}

/// `GET /health`
pub(super) async fn health(State(plane): State<AgentPlane>) -> Json<Health> {
    let active_sessions = plane.engine.read(durward_broker::approval::Approval::session_count);
    Json(Health { status: "ok".into(), active_sessions })
}
