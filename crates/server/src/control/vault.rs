//! `/vault/*`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use durward_broker::approval::{Actor, AuditEntry, AuditEvent, Event, Notice};
use durward_protocol::{ErrorCode, SecretString};
use durward_vault::OpenVault;
use time::Duration;

use super::ControlPlane;
use super::api::{Done, Unlock, VaultStatus};
use crate::engine::UnlockError;
use crate::http::{ApiError, Body};

/// Longest time a vault may be kept open: 24 h.
const MAX_KEEP_SECONDS: u64 = 86_400;

/// `GET /vault`
pub(super) async fn status(State(plane): State<ControlPlane>) -> Json<VaultStatus> {
    Json(describe(&plane))
}

pub(super) fn describe(plane: &ControlPlane) -> VaultStatus {
    let open_until = plane.engine.vault.open_until(plane.engine.now());
    match plane.engine.vault.describe() {
        Ok(info) => VaultStatus {
            provider: info.provider.into(),
            name: info.name,
            location: info.location,
            exists: info.exists,
            needs_password: info.needs_password,
            open_until,
            problem: None,
        },
        Err(error) => VaultStatus {
            provider: String::new(),
            name: String::new(),
            location: String::new(),
            exists: false,
            needs_password: true,
            open_until,
            problem: Some(error.to_string()),
        },
    }
}

/// `POST /vault/unlock`: open for a while.
pub(super) async fn unlock(
    State(plane): State<ControlPlane>,
    Body(body): Body<Unlock>,
) -> Result<Json<VaultStatus>, ApiError> {
    if !(1..=MAX_KEEP_SECONDS).contains(&body.seconds) {
        return Err(ApiError::new(ErrorCode::InvalidRequest).detail("seconds must be 1 to 86400"));
    }
    let opened = open(&plane, body.password).await?;
    keep(&plane, opened, body.seconds);
    release_approved(&plane).await;
    Ok(Json(describe(&plane)))
}

/// `POST /vault/lock`
pub(super) async fn lock(State(plane): State<ControlPlane>) -> Json<Done> {
    let was_open = plane.engine.vault.lock();
    if was_open {
        plane.engine.vault_locked(Actor::Owner, None);
    }
    Json(Done { done: usize::from(was_open) })
}

/// Opens the vault with a password, and writes a wrong one down.
pub(super) async fn open(
    plane: &ControlPlane,
    password: SecretString,
) -> Result<Box<dyn OpenVault>, ApiError> {
    let engine = Arc::clone(&plane.engine);
    // Of its own: a caller who hangs up gets no try that nobody sees.
    let tried = tokio::spawn(async move {
        let opened = engine.vault.unlock(password).await;
        if let Err(UnlockError::WrongPassword) = opened {
            let entry = AuditEntry::new(engine.now().wall, AuditEvent::VaultPasswordWrong, Actor::Owner);
            engine.handle(Event::Record(entry));
        }
        opened
    });
    tried.await.map_err(|_| ApiError::new(ErrorCode::Internal))?.map_err(|error| match error {
        UnlockError::WrongPassword => ApiError::new(ErrorCode::WrongPassword),
        UnlockError::Missing => ApiError::new(ErrorCode::VaultNotFound),
        UnlockError::Other(detail) => ApiError::new(ErrorCode::VaultUnavailable).detail(detail),
    })
}

/// Keeps it open for so long, and sees to it that it locks then.
pub(super) fn keep(plane: &ControlPlane, vault: Box<dyn OpenVault>, seconds: u64) {
    let seconds = seconds.clamp(1, MAX_KEEP_SECONDS);
    let now = plane.engine.now();
    let until = now.steady + Duration::seconds(i64::try_from(seconds).unwrap_or(1));
    plane.engine.vault.keep_until(vault, until);
    plane.engine.notify(Notice::VaultSwitched { unlocked: true });
    let entry = AuditEntry::new(now.wall, AuditEvent::VaultSwitched, Actor::Owner)
        .outcome("unlocked")
        .detail(format!("for {seconds} s"));
    plane.engine.handle(Event::Record(entry));
    let engine = Arc::clone(&plane.engine);
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
        if engine.vault.lock_if_due(engine.now()) {
            engine.vault_locked(Actor::System, None);
        }
    });
}

/// The vault is open: what devices approved while it was locked goes out, unless one of them is gone by now.
pub(super) async fn release_approved(plane: &ControlPlane) {
    let looked = match &plane.devices {
        Some(devices) => devices.look_for_removed().await,
        None => Ok(()),
    };
    if looked.is_ok() {
        plane.engine.handle(Event::VaultOpened);
    }
}
