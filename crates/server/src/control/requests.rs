//! `/requests/*` and `/grants/*`

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use durward_broker::approval::{Answer, Decision, Event};
use durward_protocol::ErrorCode;
use serde::Deserialize;

use super::ControlPlane;
use super::api::{Decide, Decided, Done, EndGrant, Grants, Requests};
use super::{pairings, vault};
use crate::http::{ApiError, Body};

#[derive(Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    all: bool,
}

/// `GET /requests?all=true`; without `all` look-alikes are one.
pub(super) async fn list(
    State(plane): State<ControlPlane>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Requests>, ApiError> {
    let Query(query) = query.map_err(|_| ErrorCode::InvalidRequest)?;
    let requests = plane
        .engine
        .read(|approval, now| if query.all { approval.waiting_requests(now) } else { approval.prompts(now) });
    Ok(Json(Requests { requests }))
}

/// `POST /requests/decide`. With a password the vault is opened first, for this request; a wrong one
/// leaves the request waiting.
pub(super) async fn decide(
    State(plane): State<ControlPlane>,
    Body(body): Body<Decide>,
) -> Result<Json<Decided>, ApiError> {
    let key = (body.session_id, body.request_id);
    let mut kept = false;
    if let (Decision::Approve { .. }, Some(password)) = (&body.decision, body.password) {
        let waits = plane.engine.read(|approval, now| {
            approval.waiting_requests(now).iter().any(|view| (view.session_id, view.request_id) == key)
        });
        if waits {
            let opened = vault::open(&plane, password).await?;
            match body.keep_unlocked_seconds {
                Some(seconds) => {
                    vault::keep(&plane, opened, seconds);
                    kept = true;
                }
                None => plane.engine.vault.keep_once(key, opened),
            }
        }
    }
    let decision = body.decision;
    let answer = plane
        .engine
        .call(|waiter| Event::Decide { waiter, session_id: key.0, request_id: key.1, decision })
        .await;
    plane.engine.vault.forget_once(key);
    if kept {
        // After the owner's own word on this one.
        vault::release_approved(&plane).await;
    }
    match answer {
        Answer::Decided { verdict, fields, reason } => Ok(Json(Decided { verdict, fields, reason })),
        other => Err(ApiError::for_owner(other)),
    }
}

/// `GET /grants`
pub(super) async fn grants(State(plane): State<ControlPlane>) -> Json<Grants> {
    Json(plane.engine.read(|approval, now| Grants { grants: approval.grants(now.steady) }))
}

/// `POST /grants/end`
pub(super) async fn end_grant(
    State(plane): State<ControlPlane>,
    Body(body): Body<EndGrant>,
) -> Result<Json<Done>, ApiError> {
    let grant_id = body.grant_id;
    pairings::done(plane.engine.call(|waiter| Event::EndGrant { waiter, grant_id }).await)
}
