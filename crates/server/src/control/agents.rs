//! `/agents/*`: pausing agents, and letting them ask again.

use axum::Json;
use axum::extract::State;
use durward_broker::approval::Event;

use super::api::{Done, PausedAgents, SwitchAgent};
use super::{ControlPlane, pairings};
use crate::http::{ApiError, Body};

/// `GET /agents/paused`
pub(super) async fn paused(State(plane): State<ControlPlane>) -> Json<PausedAgents> {
    Json(plane.engine.read(|approval, _| PausedAgents { agents: approval.paused_agents() }))
}

/// `POST /agents/pause`
pub(super) async fn pause(
    State(plane): State<ControlPlane>,
    Body(body): Body<SwitchAgent>,
) -> Result<Json<Done>, ApiError> {
    switch(&plane, body, true).await
}

/// `POST /agents/resume`
pub(super) async fn resume(
    State(plane): State<ControlPlane>,
    Body(body): Body<SwitchAgent>,
) -> Result<Json<Done>, ApiError> {
    switch(&plane, body, false).await
}

async fn switch(plane: &ControlPlane, body: SwitchAgent, pause: bool) -> Result<Json<Done>, ApiError> {
    let agent_id = body.agent_id;
    pairings::done(plane.engine.call(|waiter| Event::SwitchAgent { waiter, agent_id, pause }).await)
}
