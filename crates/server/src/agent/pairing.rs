//! `/pairing/*`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use durward_broker::approval::{Answer, Approval, Event};
use durward_protocol::wire::{
    CancelPairingRequest, CancelPairingResponse, ConfirmRequest, ConfirmResponse, ExchangeRequest,
    InitiateRequest, InitiateResponse,
};
use durward_protocol::{AgentId, AgentName, Confirmation, ErrorCode, PakeMessage, Scope, Side};

use super::AgentPlane;
use crate::http::{ApiError, Guest, Strict, Wait};

/// When an address with too many pairings may try again: so long an announced one lives.
const OFFER_SECONDS: u32 = 15;

/// `POST /pairing/initiate`: a new pairing, its number, and who answers here.
pub(super) async fn initiate(
    State(plane): State<AgentPlane>,
    guest: Guest,
    Strict(body): Strict<InitiateRequest>,
) -> Result<Json<InitiateResponse>, ApiError> {
    if body.pairing_code.is_some() {
        return Err(ErrorCode::CodeMustNotBeSent.into());
    }
    let agent_id = AgentId::parse(&body.agent_id)?;
    let agent_name = AgentName::parse(&body.agent_name)?;
    let scope = Scope::parse(body.scope.as_deref().unwrap_or_default())?;
    let pending = plane.engine.read(Approval::pending_pairings);
    let mut place = plane
        .callers
        .pairing(guest, |id| pending.contains(&id))
        .ok_or_else(|| ApiError::new(ErrorCode::RateLimited).retry_after(OFFER_SECONDS))?;
    let answer = plane.engine.call(|waiter| Event::Initiate { waiter, agent_id, agent_name, scope }).await;
    match answer {
        Answer::Initiated(response) => {
            place.taken_by(response.pairing_id);
            Ok(Json(response))
        }
        other => Err(ApiError::for_agent(other)),
    }
}

/// `POST /pairing/exchange`: held until the owner has typed the code.
pub(super) async fn exchange(
    State(plane): State<AgentPlane>,
    Wait(wait): Wait,
    Strict(body): Strict<ExchangeRequest>,
) -> Result<Response, ApiError> {
    if body.pairing_code.is_some() {
        return Err(ErrorCode::CodeMustNotBeSent.into());
    }
    let message = PakeMessage::parse(&body.pake_message, Side::A)?;
    let pairing_id = body.pairing_id;
    let answer = plane.engine.hold(wait, |waiter| Event::Exchange { waiter, pairing_id, message }).await;
    match answer {
        Answer::Exchanged(response) => Ok(Json(response).into_response()),
        Answer::ExchangePending => {
            Ok((StatusCode::ACCEPTED, Json(serde_json::json!({ "status": "pending" }))).into_response())
        }
        other => Err(ApiError::for_agent(other)),
    }
}

/// `POST /pairing/confirm`: the agent's proof makes the session live.
pub(super) async fn confirm(
    State(plane): State<AgentPlane>,
    Strict(body): Strict<ConfirmRequest>,
) -> Result<Json<ConfirmResponse>, ApiError> {
    let confirmation = Confirmation::parse(&body.confirmation)?;
    let session_id = body.session_id;
    match plane.engine.call(|waiter| Event::Confirm { waiter, session_id, confirmation }).await {
        Answer::Confirmed(response) => Ok(Json(response)),
        other => Err(ApiError::for_agent(other)),
    }
}

/// `POST /pairing/cancel`: the agent gives the pairing up.
pub(super) async fn cancel(
    State(plane): State<AgentPlane>,
    Strict(body): Strict<CancelPairingRequest>,
) -> Result<Json<CancelPairingResponse>, ApiError> {
    let pairing_id = body.pairing_id;
    match plane.engine.call(|waiter| Event::CancelPairing { waiter, pairing_id }).await {
        Answer::PairingCancelled => Ok(Json(CancelPairingResponse { cancelled: true })),
        other => Err(ApiError::for_agent(other)),
    }
}
