//! `/credential/*`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use durward_broker::approval::{Answer, Event};
use durward_protocol::ErrorCode;
use durward_protocol::wire::{AnswerStatus, CancelResponse, CredentialAnswer, SealedRequest};

use super::AgentPlane;
use crate::http::{ApiError, Strict, Wait};

/// `POST /credential/request`: held until there is a verdict.
pub(super) async fn request(
    State(plane): State<AgentPlane>,
    Wait(wait): Wait,
    Strict(body): Strict<SealedRequest>,
) -> Result<Response, ApiError> {
    let payload = body.encrypted_payload.ok_or(ErrorCode::EnvelopeRequired)?;
    let session_id = body.session_id;
    let _ = plane.engine.refresh_policy(false); // a mistake is logged, and the old rules stay
    match plane.engine.hold(wait, |waiter| Event::Request { waiter, session_id, payload }).await {
        Answer::Answered { payload } => Ok(Json(CredentialAnswer {
            status: AnswerStatus::Answered,
            request_id: None,
            encrypted_payload: Some(payload.to_string()),
        })
        .into_response()),
        Answer::Pending { request_id } => {
            let body = CredentialAnswer {
                status: AnswerStatus::Pending,
                request_id: Some(request_id),
                encrypted_payload: None,
            };
            Ok((StatusCode::ACCEPTED, Json(body)).into_response())
        }
        other => Err(ApiError::for_agent(other)),
    }
}

/// `POST /credential/cancel`: the agent gives a request up.
pub(super) async fn cancel(
    State(plane): State<AgentPlane>,
    Strict(body): Strict<SealedRequest>,
) -> Result<Json<CancelResponse>, ApiError> {
    let payload = body.encrypted_payload.ok_or(ErrorCode::EnvelopeRequired)?;
    let session_id = body.session_id;
    match plane.engine.call(|waiter| Event::CancelRequest { waiter, session_id, payload }).await {
        Answer::RequestCancelled { cancelled, payload } => {
            Ok(Json(CancelResponse { cancelled, encrypted_payload: payload }))
        }
        other => Err(ApiError::for_agent(other)),
    }
}
