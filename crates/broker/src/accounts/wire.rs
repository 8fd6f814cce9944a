//! Bodies of `/auth/*`, field for field. Requests ignore unknown fields; replies are complete.

use durward_protocol::SecretString;
use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::device::{Device, DeviceId, DeviceName, DeviceType, UserId};
use super::key::DeviceKey;

/// `POST /auth/knock`.
#[derive(Clone, Debug, Deserialize)]
pub struct KnockRequest {
    /// Who will answer the challenge.
    pub device: Device,
}

/// Answer to a knock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KnockReply {
    /// To be sent back once, by the same device.
    pub challenge: String,
    /// Seconds.
    pub expires_in: u32,
    /// For people.
    pub message: &'static str,
}

/// `POST /auth/exchange`.
#[derive(Debug, Deserialize)]
pub struct ExchangeRequest {
    /// From the knock.
    pub challenge: String,
    /// As typed or spoken.
    pub passphrase: SecretString,
    /// The device of the knock.
    pub device: Device,
    /// The account; may be left out where the server has exactly one.
    #[serde(default)]
    pub user: Option<UserId>,
}

/// Answer to an exchange and to `POST /auth/opaque/finish`: the one time that the key is shown.
#[derive(Debug, Serialize)]
pub struct ExchangeReply {
    /// `true`.
    pub success: bool,
    /// The key for `X-API-Key`.
    #[serde(serialize_with = "show_key")]
    pub api_key: DeviceKey,
    /// The device's id from now on.
    pub device_id: DeviceId,
    /// The account.
    pub user: UserId,
    /// When.
    #[serde(serialize_with = "seconds")]
    pub issued_at: OffsetDateTime,
    /// When the key ends, `null` for never.
    #[serde(serialize_with = "maybe_seconds")]
    pub expires_at: Option<OffsetDateTime>,
    /// Where to revoke it.
    pub revoke_endpoint: String,
}

/// `POST /auth/opaque/start`.
#[derive(Clone, Debug, Deserialize)]
pub struct OpaqueStartRequest {
    /// From the knock.
    pub challenge: String,
    /// `startLoginRequest` of the client.
    pub start_login_request: String,
    /// The device of the knock.
    pub device: Device,
    /// The account; may be left out where the server has exactly one.
    #[serde(default)]
    pub user: Option<UserId>,
}

/// Answer to `POST /auth/opaque/start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpaqueStartReply {
    /// To be sent back with the finish, once.
    pub login_id: String,
    /// `loginResponse` for the client.
    pub login_response: String,
    /// The account, whose name is the credential identifier.
    pub user: UserId,
    /// Seconds.
    pub expires_in: u32,
    /// Failures left before the next lock, should this login fail; the same for names that nobody has.
    pub attempts_remaining: u32,
}

/// `POST /auth/opaque/finish`.
#[derive(Clone, Debug, Deserialize)]
pub struct OpaqueFinishRequest {
    /// From the start.
    pub login_id: String,
    /// `finishLoginRequest` of the client.
    pub finish_login_request: String,
}

/// Answer to `GET /auth/devices`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DevicesReply {
    /// The account.
    pub user: UserId,
    /// Devices with a live key, newest first.
    pub devices: Vec<DeviceEntry>,
}

/// One device of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceEntry {
    /// Its id.
    pub device_id: DeviceId,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: DeviceType,
    /// Its name.
    pub name: DeviceName,
    /// When its key was made.
    #[serde(serialize_with = "seconds")]
    pub issued_at: OffsetDateTime,
    /// When its key was last seen, within a minute; `null` for never.
    #[serde(serialize_with = "maybe_seconds")]
    pub last_used: Option<OffsetDateTime>,
    /// Whether the key works.
    pub active: bool,
    /// When the key ends; left out for never.
    #[serde(serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<OffsetDateTime>,
}

/// `POST /auth/revoke`.
#[derive(Clone, Debug, Deserialize)]
pub struct RevokeRequest {
    /// Which device. Text, so that a malformed id is answered like an unknown one.
    pub device_id: String,
}

/// Answer to both ways of revoking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RevokeReply {
    /// `true`.
    pub success: bool,
    /// Which device.
    pub revoked: DeviceId,
    /// For people.
    pub message: &'static str,
}

/// `PATCH /auth/devices/{id}`.
#[derive(Clone, Debug, Deserialize)]
pub struct RenameRequest {
    /// The new name.
    pub name: DeviceName,
}

/// `POST /auth/rotate`; the body may be left out.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct RotateRequest {
    /// Seconds for which the old key still works.
    #[serde(default)]
    pub grace_seconds: Option<u32>,
}

/// Answer to `POST /auth/rotate`.
#[derive(Debug, Serialize)]
pub struct RotateReply {
    /// `true`.
    pub success: bool,
    /// The new key.
    #[serde(serialize_with = "show_key")]
    pub api_key: DeviceKey,
    /// The same device as before.
    pub device_id: DeviceId,
    /// When the new key was made.
    #[serde(serialize_with = "seconds")]
    pub issued_at: OffsetDateTime,
    /// Until when the old key works.
    #[serde(serialize_with = "seconds")]
    pub old_key_valid_until: OffsetDateTime,
    /// When the new key ends, `null` for never.
    #[serde(serialize_with = "maybe_seconds")]
    pub expires_at: Option<OffsetDateTime>,
}

/// Answer to `GET /auth/whoami`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhoamiReply {
    /// The account.
    pub user: UserId,
    /// The device whose key was presented.
    #[serde(flatten)]
    pub device: DeviceEntry,
}

/// `POST /auth/passphrase/change`.
#[derive(Debug, Deserialize)]
pub struct ChangeRequest {
    /// The phrase so far.
    pub current_passphrase: SecretString,
    /// The phrase from now on.
    pub new_passphrase: SecretString,
    /// Whether every key of the account dies, the caller's included.
    #[serde(default)]
    pub revoke_all_devices: bool,
}

/// Answer to a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeReply {
    /// `true`.
    pub success: bool,
    /// For people.
    pub message: &'static str,
    /// For people; absent when everything was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tip: Option<&'static str>,
}

/// `POST /auth/recover`.
#[derive(Debug, Deserialize)]
pub struct RecoverRequest {
    /// From a knock, of whatever device.
    pub challenge: String,
    /// The account; may be left out where the server has exactly one.
    #[serde(default)]
    pub user: Option<UserId>,
    /// One of the ten.
    pub recovery_code: SecretString,
    /// The phrase from now on.
    pub new_passphrase: SecretString,
}

/// Answer to a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoverReply {
    /// `true`.
    pub success: bool,
    /// For people.
    pub message: &'static str,
    /// Codes left.
    pub recovery_codes_remaining: usize,
}

fn show_key<S: Serializer>(key: &DeviceKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.expose_key())
}

/// RFC 3339 in UTC, whole seconds: `2026-01-19T07:10:00Z`.
fn seconds<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    let utc = at.to_offset(time::UtcOffset::UTC);
    let whole = utc.replace_nanosecond(0).unwrap_or(utc);
    serializer.serialize_str(&whole.format(&Rfc3339).map_err(serde::ser::Error::custom)?)
}

#[allow(clippy::ref_option)] // the signature that serde's `serialize_with` wants
fn maybe_seconds<S: Serializer>(at: &Option<OffsetDateTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => seconds(at, serializer),
        None => serializer.serialize_none(),
    }
}
