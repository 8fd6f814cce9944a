//! What a device key can do: prove itself, list, revoke, rename, rotate.

use rand_core::CryptoRng;
use subtle::ConstantTimeEq as _;
use time::{Duration, OffsetDateTime};

use super::login::audit_of;
use crate::accounts::audit::AccountEvent;
use crate::accounts::device::{ClientAddress, UserId};
use crate::accounts::error::{ApiError, Refusal};
use crate::accounts::key::{DeviceKey, KeyHash};
use crate::accounts::records::{AccountPolicy, DeviceKeyRecord};
use crate::accounts::wire::{
    DeviceEntry, DevicesReply, RenameRequest, RevokeReply, RotateReply, RotateRequest, WhoamiReply,
};
use crate::accounts::write::{AccountWrite, Decision};

/// `last_used` is written when it is older than this.
pub const TOUCH_INTERVAL: Duration = Duration::MINUTE;

/// A good use of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// `last_used` is due: note it and write it later, many at a time. With an imported key, audit `legacy` as well.
    pub touch: bool,
    /// The key is the one before the last rotation, in its grace period.
    pub superseded: bool,
}

/// Whether the key presented is good, given the record that one of its two hashes found. Allocates nothing.
///
/// Unknown, revoked and expired are one answer.
pub fn check_key(
    record: Option<&DeviceKeyRecord>,
    presented: &KeyHash,
    now: OffsetDateTime,
) -> Result<KeyUse, ApiError> {
    let record = record.filter(|record| record.is_live(now)).ok_or(ApiError::InvalidApiKey)?;
    let same = |stored: &KeyHash| bool::from(stored.as_bytes().ct_eq(presented.as_bytes()));
    let superseded = if same(&record.api_key_hash) {
        false
    } else {
        let in_grace = record.previous_valid_until.is_some_and(|until| now < until);
        if !(in_grace && record.previous_key_hash.as_ref().is_some_and(same)) {
            return Err(ApiError::InvalidApiKey);
        }
        true
    };
    let touch = record.last_used.is_none_or(|at| now >= at.saturating_add(TOUCH_INTERVAL));
    Ok(KeyUse { touch, superseded })
}

/// Headers of a 200 from `GET /auth/verify`, for a reverse proxy to copy to the service behind it. All ASCII.
pub fn forward_auth_headers(record: &DeviceKeyRecord) -> [(&'static str, &str); 3] {
    [
        ("Remote-User", record.user_id.as_str()),
        ("Remote-Device", record.device_id.as_str()),
        ("Remote-Device-Type", record.device.kind.as_str()),
    ]
}

/// `GET /auth/whoami`.
pub fn whoami(record: &DeviceKeyRecord, now: OffsetDateTime) -> WhoamiReply {
    WhoamiReply { user: record.user_id.clone(), device: entry(record, now) }
}

/// `GET /auth/devices`: those with a live key, newest first.
pub fn device_list(user: &UserId, records: &[DeviceKeyRecord], now: OffsetDateTime) -> DevicesReply {
    let mut devices: Vec<_> = records
        .iter()
        .filter(|record| record.user_id == *user && record.is_live(now))
        .map(|record| entry(record, now))
        .collect();
    devices.sort_by(|a, b| b.issued_at.cmp(&a.issued_at).then_with(|| a.device_id.cmp(&b.device_id)));
    DevicesReply { user: user.clone(), devices }
}

/// `POST /auth/revoke` and `/auth/revoke/{device_id}`. `record`: what the store has under the parsed id.
pub fn revoke(
    user: &UserId,
    record: Option<&DeviceKeyRecord>,
    from: Option<ClientAddress>,
    now: OffsetDateTime,
) -> Decision<Result<RevokeReply, Refusal>> {
    let Some(record) = own(user, record) else {
        return Decision::only(Err(ApiError::UnknownDevice.into()));
    };
    let revoked = record.device_id.clone();
    let mut decision = Decision::only(Ok(RevokeReply {
        success: true,
        revoked: revoked.clone(),
        message: "Device key revoked. Device must re-authenticate with passphrase.",
    }));
    decision.writes.push(AccountWrite::RevokeKey { user: user.clone(), device: revoked.clone(), at: now });
    decision.audit.push(audit_of(AccountEvent::Revoke, user, Some(revoked), from));
    decision
}

/// `PATCH /auth/devices/{id}`.
pub fn rename(
    user: &UserId,
    record: Option<&DeviceKeyRecord>,
    request: RenameRequest,
    from: ClientAddress,
    now: OffsetDateTime,
) -> Decision<Result<DeviceEntry, Refusal>> {
    let Some(record) = own(user, record) else {
        return Decision::only(Err(ApiError::UnknownDevice.into()));
    };
    let device = record.device_id.clone();
    let renamed = DeviceEntry { name: request.name.clone(), ..entry(record, now) };
    let mut decision = Decision::only(Ok(renamed));
    decision.audit.push(audit_of(AccountEvent::Rename, user, Some(device.clone()), Some(from)));
    decision.writes.push(AccountWrite::RenameKey { user: user.clone(), device, name: request.name });
    decision
}

/// `POST /auth/rotate`: a new key for the caller's device; the one presented works on for a grace period.
///
/// A key in its grace period may rotate again: whoever lost the first answer asks anew, and the key nobody received
/// dies. The grace period is not prolonged by that.
pub fn rotate(
    record: &DeviceKeyRecord,
    presented: KeyHash,
    request: RotateRequest,
    from: ClientAddress,
    policy: &AccountPolicy,
    now: OffsetDateTime,
    rng: &mut impl CryptoRng,
) -> Decision<Result<RotateReply, Refusal>> {
    let used = match check_key(Some(record), &presented, now) {
        Ok(used) => used,
        Err(error) => return Decision::only(Err(error.into())),
    };
    let grace = request.grace_seconds.map_or(policy.rotate_grace, |s| Duration::seconds(s.into()));
    if grace > policy.max_rotate_grace {
        let error = ApiError::InvalidRequest("grace_seconds: at most 86400");
        return Decision::only(Err(error.into()));
    }
    let mut until = now.saturating_add(grace);
    if used.superseded {
        until = record.previous_valid_until.map_or(until, |end| end.min(until));
    }
    if let Some(end) = record.expires_at {
        until = until.min(end);
    }
    // An imported key keeps the end that its owner set: rotation must not turn a loan into a gift.
    let renewed = policy.key_lifetime.filter(|_| !record.legacy).map(|length| now.saturating_add(length));
    let expires_at = renewed.or(record.expires_at);
    let api_key = DeviceKey::generate(record.device.kind, rng);
    let device = record.device_id.clone();
    let write = AccountWrite::RotateKey {
        device: device.clone(),
        current: record.api_key_hash,
        new: api_key.hash(),
        prefix: api_key.prefix(),
        previous: presented,
        previous_valid_until: until,
        at: now,
        expires_at,
    };
    let audit = audit_of(AccountEvent::Rotate, &record.user_id, Some(device.clone()), Some(from));
    let reply = RotateReply {
        success: true,
        api_key,
        device_id: device,
        issued_at: now,
        old_key_valid_until: until,
        expires_at,
    };
    Decision { outcome: Ok(reply), writes: vec![write], audit: vec![audit], alerts: Vec::new() }
}

fn own<'a>(user: &UserId, record: Option<&'a DeviceKeyRecord>) -> Option<&'a DeviceKeyRecord> {
    record.filter(|record| record.user_id == *user && record.revoked_at.is_none())
}

fn entry(record: &DeviceKeyRecord, now: OffsetDateTime) -> DeviceEntry {
    DeviceEntry {
        device_id: record.device_id.clone(),
        kind: record.device.kind,
        name: record.device.name.clone(),
        issued_at: record.issued_at,
        last_used: record.last_used,
        active: record.is_live(now),
        expires_at: record.expires_at,
    }
}
