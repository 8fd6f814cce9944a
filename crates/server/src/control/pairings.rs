//! `/pairings/*`

use axum::Json;
use axum::extract::State;
use durward_broker::approval::{Answer, Event};
use durward_protocol::{ErrorCode, Scope, TypedCode};

use super::api::{Done, EnterCode, Paired, Pairings, RefusePairing};
use super::{ControlPlane, pair};
use crate::http::{ApiError, Body};

/// `GET /pairings`
pub(super) async fn list(State(plane): State<ControlPlane>) -> Json<Pairings> {
    let _ = plane.engine.refresh_policy(false);
    Json(
        plane
            .engine
            .read(|approval, _| Pairings { open: approval.is_pairing_open(), pairings: approval.pairings() }),
    )
}

/// `POST /pairings/enter`
pub(super) async fn enter(
    State(plane): State<ControlPlane>,
    Body(body): Body<EnterCode>,
) -> Result<Json<Paired>, ApiError> {
    let typed: TypedCode = body.code.expose_secret().parse()?;
    if body.number.is_some() && typed.number.is_some_and(|typed| Some(typed) != body.number) {
        return Err(ApiError::new(ErrorCode::InvalidCode).detail("the code begins with another number"));
    }
    let scope = body.scope.as_deref().map(Scope::parse).transpose()?;
    let (code, number, apply_rules) = (typed.code, body.number.or(typed.number), body.apply_rules);
    let runs_on = match body.runs_on {
        Some(id) => pair::service(&plane)?.runs_on(id, body.device_may_answer).await?,
        None if body.device_may_answer => {
            return Err(ApiError::new(ErrorCode::InvalidRequest).detail("say on which device the agent runs"));
        }
        None => None,
    };
    let typed = |waiter| Event::TypeCode { waiter, number, code, scope, apply_rules, runs_on };
    match plane.engine.call(typed).await {
        Answer::Paired(session) => Ok(Json(Paired { session })),
        other => Err(ApiError::for_owner(other)),
    }
}

/// `POST /pairings/refuse`
pub(super) async fn refuse(
    State(plane): State<ControlPlane>,
    Body(body): Body<RefusePairing>,
) -> Result<Json<Done>, ApiError> {
    let number = body.number;
    done(plane.engine.call(|waiter| Event::RefusePairing { waiter, number }).await)
}

/// `POST /pairings/open`
pub(super) async fn open(State(plane): State<ControlPlane>) -> Result<Json<Done>, ApiError> {
    done(plane.engine.call(|waiter| Event::SwitchPairing { waiter, open: true }).await)
}

/// `POST /pairings/close`
pub(super) async fn close(State(plane): State<ControlPlane>) -> Result<Json<Done>, ApiError> {
    done(plane.engine.call(|waiter| Event::SwitchPairing { waiter, open: false }).await)
}

pub(super) fn done(answer: Answer) -> Result<Json<Done>, ApiError> {
    match answer {
        Answer::Done(done) => Ok(Json(Done { done })),
        other => Err(ApiError::for_owner(other)),
    }
}
