//! Calls with a key: who it is, the list, revoke, rename, rotate, and the question of a reverse proxy.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use durward_broker::accounts::{
    ApiError, Decision, DeviceId, RenameRequest, RevokeRequest, RotateRequest, device_list,
    forward_auth_headers, rename as decide_rename, revoke as decide_revoke, rotate as decide_rotate,
    whoami as render_whoami,
};
use durward_store::{Ask, Error as StoreError};

use super::Accounts;
use super::failure::{Failure, good, private};
use super::request::AuthedDevice;
use crate::keys::os_rng;

/// `GET /auth/verify`: 200 with the headers a proxy copies, or 401. The hot path.
pub(super) async fn verify(device: AuthedDevice) -> Result<Response, Failure> {
    let mut response = private(StatusCode::OK.into_response());
    for (name, value) in forward_auth_headers(device.key.record()) {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(lower(name), value);
        }
    }
    Ok(response)
}

/// `GET /auth/whoami`
pub(super) async fn whoami(
    State(accounts): State<Arc<Accounts>>,
    device: AuthedDevice,
) -> Result<Response, Failure> {
    accounts.flush().await;
    let records = accounts.store.keys_of(device.user()).await?;
    let id = &device.key.record().device_id;
    let record = records.iter().find(|record| record.device_id == *id).ok_or(ApiError::InvalidApiKey)?;
    Ok(good(render_whoami(record, accounts.now())))
}

/// `GET /auth/devices`
pub(super) async fn list(
    State(accounts): State<Arc<Accounts>>,
    device: AuthedDevice,
) -> Result<Response, Failure> {
    accounts.flush().await;
    let records = accounts.store.keys_of(device.user()).await?;
    Ok(good(device_list(device.user(), &records, accounts.now())))
}

/// `PATCH /auth/devices/{id}`
pub(super) async fn rename(
    State(accounts): State<Arc<Accounts>>,
    device: AuthedDevice,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let body: RenameRequest = accounts.body(request).await?;
    let id: DeviceId = id.parse()?;
    let (user, from) = (device.user().clone(), device.address);
    let answer = accounts
        .decide(about(id), move |facts, now| decide_rename(&user, facts.device.as_ref(), body, from, now));
    Ok(good(answer.await??))
}

/// `POST /auth/revoke`
pub(super) async fn revoke(
    State(accounts): State<Arc<Accounts>>,
    device: AuthedDevice,
    request: Request,
) -> Result<Response, Failure> {
    let body: RevokeRequest = accounts.body(request).await?;
    accounts.revoke(&device, &body.device_id).await
}

/// `POST /auth/revoke/{device_id}`
pub(super) async fn revoke_by_path(
    State(accounts): State<Arc<Accounts>>,
    device: AuthedDevice,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    accounts.revoke(&device, &id).await
}

/// `POST /auth/rotate`
pub(super) async fn rotate(
    State(accounts): State<Arc<Accounts>>,
    device: AuthedDevice,
    request: Request,
) -> Result<Response, Failure> {
    let body: RotateRequest = accounts.body_if_any(request).await?;
    let id = device.key.record().device_id.clone();
    let (hash, from, policy) = (device.hash, device.address, accounts.policy);
    let answer = accounts.decide(about(id), move |facts, now| match &facts.device {
        Some(record) => decide_rotate(record, hash, body, from, &policy, now, &mut os_rng()),
        None => Decision::only(Err(ApiError::InvalidApiKey.into())),
    });
    match answer.await {
        Ok(reply) => Ok(good(reply?)),
        // Another request was faster: the key presented is not the current one any more.
        Err(Failure::Store(StoreError::Conflict(_))) => Err(ApiError::InvalidApiKey.into()),
        Err(failure) => Err(failure),
    }
}

impl Accounts {
    async fn revoke(&self, device: &AuthedDevice, id: &str) -> Result<Response, Failure> {
        let id: DeviceId = id.parse()?;
        let (user, from) = (device.user().clone(), device.address);
        let answer = self.decide(about(id), move |facts, now| {
            decide_revoke(&user, facts.device.as_ref(), Some(from), now)
        });
        Ok(good(answer.await??))
    }
}

fn about(device: DeviceId) -> Ask {
    Ask { device: Some(device), ..Ask::default() }
}

/// The names that [`forward_auth_headers`] gives, as `http` wants static names.
fn lower(name: &str) -> &'static str {
    match name {
        "Remote-User" => "remote-user",
        "Remote-Device" => "remote-device",
        _ => "remote-device-type",
    }
}
