//! `/audit/*`

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use durward_broker::approval::{AuditEntry, Event, Write};
use durward_protocol::ErrorCode;
use serde::Deserialize;

use super::ControlPlane;
use super::api::{AuditPage, AuditVerdict, Done};
use super::pairings;
use crate::http::{ApiError, Body, HostRule};
use crate::verify::verify_audit;

const MAX_PAGE: u32 = 1_000;

#[derive(Deserialize)]
pub(super) struct PageQuery {
    after: Option<u64>,
    limit: Option<u32>,
}

/// `GET /audit?after=N&limit=M`; without `after` the newest ones.
pub(super) async fn list(
    State(plane): State<ControlPlane>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<AuditPage>, ApiError> {
    let Query(query) = query.map_err(|_| ErrorCode::InvalidRequest)?;
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_PAGE);
    let records = match query.after {
        Some(after) => plane.engine.store.audit(after, limit).await,
        None => plane.engine.store.audit_tail(limit).await,
    };
    records.map(|records| Json(AuditPage { records })).map_err(|error| unreadable(&error))
}

/// `GET /audit/verify`
pub(super) async fn verify(State(plane): State<ControlPlane>) -> Result<Json<AuditVerdict>, ApiError> {
    let agents = plane.engine.read(|approval, _| approval.agent_heads());
    let verdict = verify_audit(&plane.engine.store, &agents).await.map_err(|error| unreadable(&error))?;
    Ok(Json(verdict))
}

/// `POST /audit/acknowledge`: the owner knows what is missing; what agents say next is the beginning.
pub(super) async fn acknowledge(State(plane): State<ControlPlane>) -> Result<Json<Done>, ApiError> {
    pairings::done(plane.engine.call(|waiter| Event::ForgetHeads { waiter }).await)
}

/// `POST /audit`: local mode writes what it released, through the process that owns the log. On the
/// socket only, and answered when it is on disk: what cannot be written down is not released.
pub(super) async fn record(
    State(plane): State<ControlPlane>,
    Body(entry): Body<AuditEntry>,
) -> Result<Json<Done>, ApiError> {
    if !matches!(plane.host, HostRule::Socket) {
        return Err(ErrorCode::NotFound.into());
    }
    plane.engine.save(vec![Write::Audit(entry)]).await.map_err(|error| {
        tracing::error!(%error, "an audit record could not be written");
        ApiError::new(ErrorCode::StorageFailed)
    })?;
    Ok(Json(Done { done: 1 }))
}

fn unreadable(error: &durward_store::Error) -> ApiError {
    tracing::error!(%error, "the audit log could not be read");
    ApiError::new(ErrorCode::Internal).detail(error.to_string())
}
