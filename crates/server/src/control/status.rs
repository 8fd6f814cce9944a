//! `/health`, `/status`, `/shutdown`

use axum::Json;
use axum::extract::State;

use super::api::{Done, Status};
use super::{ControlPlane, vault};

/// `GET /health`: the text `OK`, no token.
pub(super) async fn health() -> &'static str {
    "OK"
}

/// `GET /status`
pub(super) async fn status(State(plane): State<ControlPlane>) -> Json<Status> {
    let vault = vault::describe(&plane);
    let about = &plane.about;
    let audit_records = match plane.engine.store.head().await {
        Ok(head) => head.n,
        Err(_) => plane.engine.read(|approval, _| approval.head().n),
    };
    let devices = match &plane.devices {
        Some(service) => service.status().await.ok(),
        None => None,
    };
    let waiting = plane.engine.read(|approval, now| approval.prompts(now).len());
    let away = plane.engine.presence.away(&plane.engine.store, waiting).await;
    Json(plane.engine.read(|approval, now| Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        home: about.home.folder().display().to_string(),
        listen: format!("{}://{}", if about.tls { "https" } else { "http" }, about.listen),
        control: about.control.map(|address| format!("http://{address}")),
        approver_id: about.approver_id.clone(),
        started_at: about.started_at,
        now: now.wall,
        pairing_open: approval.is_pairing_open(),
        waiting_pairings: approval.pairings().len(),
        waiting_requests: approval.prompts(now).len(),
        active_sessions: approval.session_count(now),
        grants: approval.grants(now.steady).len(),
        vault,
        audit_records,
        devices: devices.map(Box::new),
        away,
    }))
}

/// `POST /shutdown`
pub(super) async fn shutdown(State(plane): State<ControlPlane>) -> Json<Done> {
    plane.stop.send_replace(true);
    Json(Done { done: 1 })
}
