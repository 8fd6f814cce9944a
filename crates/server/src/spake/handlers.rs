//! The calls: parse, call the service, render.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use durward_broker::spake::{
    CleanupResponse, ConfirmResponse, Error, ExchangeResponse, InitiateResponse, SessionId, SessionList,
    SessionStatus,
};

use super::Api;
use super::answer::Answer;
use crate::http::RawBody;

type PathId = Result<Path<String>, PathRejection>;

/// `POST /spake/initiate`
pub(super) async fn initiate(State(api): State<Api>, body: RawBody) -> Answer<InitiateResponse> {
    Answer(api.service.initiate(&body.0).await)
}

/// `POST /spake/exchange`
pub(super) async fn exchange(State(api): State<Api>, body: RawBody) -> Answer<ExchangeResponse> {
    Answer(api.service.exchange(&body.0))
}

/// `POST /spake/confirm`
pub(super) async fn confirm(State(api): State<Api>, body: RawBody) -> Answer<ConfirmResponse> {
    Answer(api.service.confirm(&body.0))
}

/// `GET /spake/status/{id}`
pub(super) async fn status(State(api): State<Api>, id: PathId) -> Answer<SessionStatus> {
    Answer(session_id(id).and_then(|id| api.service.status(&id)))
}

/// `DELETE /spake/cleanup/{id}`
pub(super) async fn cleanup(State(api): State<Api>, id: PathId) -> Answer<CleanupResponse> {
    Answer(session_id(id).and_then(|id| api.service.cleanup(&id)))
}

/// `GET /spake/sessions`
pub(super) async fn sessions(State(api): State<Api>) -> Answer<SessionList> {
    Answer(Ok(api.service.list()))
}

fn session_id(id: PathId) -> Result<SessionId, Error> {
    let Path(id) = id.map_err(|_| Error::InvalidSessionId)?;
    SessionId::new(id)
}
