//! From rows to the records of `durward_broker::accounts`.

use std::str::FromStr;

use durward_broker::accounts::{
    ChallengeRecord, ClientAddress, Counted, Device, DeviceId, DeviceKeyRecord, Fingerprint, KeyHash,
    LadderAlert, LadderRow, LoginState, OpaqueLoginRecord, OpaqueRecord, PhraseHash, PhraseRevision, RateRow,
    RecoveryCodeRecord, RecoveryHash, TotalRow, User,
};
use time::OffsetDateTime;

use crate::Error;
use crate::database::Row;

pub(super) fn user(row: &Row) -> Result<User, Error> {
    Ok(User {
        user_id: parsed(row, 0)?,
        passphrase_hash: PhraseHash::from_stored(row.get(1)?),
        phrase_version: small(row, 2)?,
        phrase_revision: PhraseRevision::from_bytes(array(row.get(3)?)?),
        opaque: row.get::<Option<Vec<u8>>>(4)?.map(OpaqueRecord::from_stored),
        created_at: moment(row.get(5)?)?,
        updated_at: moment(row.get(6)?)?,
    })
}

/// Columns of [`key`], in a macro so that statements stay literal.
macro_rules! key_columns {
    () => {
        "device_id, user_id, api_key_hash, api_key_prefix, device_type, device_name, device_fingerprint, \
         issued_at, last_used, expires_at, revoked_at, previous_key_hash, previous_valid_until, legacy"
    };
}
pub(super) use key_columns;

pub(super) fn key(row: &Row) -> Result<DeviceKeyRecord, Error> {
    Ok(DeviceKeyRecord {
        device_id: parsed(row, 0)?,
        user_id: parsed(row, 1)?,
        api_key_hash: KeyHash::from_bytes(array(row.get(2)?)?),
        api_key_prefix: row.get(3)?,
        device: device(row, 4)?,
        issued_at: moment(row.get(7)?)?,
        last_used: optional_moment(row, 8)?,
        expires_at: optional_moment(row, 9)?,
        revoked_at: optional_moment(row, 10)?,
        previous_key_hash: row.get::<Option<Vec<u8>>>(11)?.map(array).transpose()?.map(KeyHash::from_bytes),
        previous_valid_until: optional_moment(row, 12)?,
        legacy: flag(row, 13)?,
    })
}

/// `challenge, device_type, device_name, device_fingerprint, created_at, expires_at, used, origin`
pub(super) fn challenge(row: &Row) -> Result<ChallengeRecord, Error> {
    Ok(ChallengeRecord {
        challenge: parsed(row, 0)?,
        device: device(row, 1)?,
        origin: row.get(7)?,
        created_at: moment(row.get(4)?)?,
        expires_at: moment(row.get(5)?)?,
        used: flag(row, 6)?,
    })
}

/// `login_id, user_id, known, phrase_revision, device_type, device_name, device_fingerprint, address,
/// attempts_remaining, alert, state, expires_at`
pub(super) fn login(row: &Row) -> Result<OpaqueLoginRecord, Error> {
    let alert = match row.get::<Option<String>>(9)?.as_deref() {
        None => None,
        Some("persistent") => Some(LadderAlert::Persistent),
        Some("distributed") => Some(LadderAlert::Distributed),
        Some(_) => return Err(damaged("an alert")),
    };
    Ok(OpaqueLoginRecord {
        login_id: parsed(row, 0)?,
        user_id: parsed(row, 1)?,
        known: flag(row, 2)?,
        phrase_revision: row
            .get::<Option<Vec<u8>>>(3)?
            .map(array)
            .transpose()?
            .map(PhraseRevision::from_bytes),
        device: device(row, 4)?,
        address: address(&row.get::<String>(7)?)?,
        counted: Counted { attempts_remaining: small(row, 8)?, alert },
        state: LoginState::from_stored(row.get(10)?),
        expires_at: moment(row.get(11)?)?,
    })
}

/// `user_id, code_hash, created_at, used_at`
pub(super) fn code(row: &Row) -> Result<RecoveryCodeRecord, Error> {
    Ok(RecoveryCodeRecord {
        user_id: parsed(row, 0)?,
        code_hash: RecoveryHash::from_bytes(array(row.get(1)?)?),
        created_at: moment(row.get(2)?)?,
        used_at: optional_moment(row, 3)?,
    })
}

/// `failures, last_failure, locked_until, last_success`
pub(super) fn ladder(row: &Row) -> Result<LadderRow, Error> {
    Ok(LadderRow {
        failures: small(row, 0)?,
        last_failure: optional_moment(row, 1)?,
        locked_until: optional_moment(row, 2)?,
        last_success: optional_moment(row, 3)?,
    })
}

/// `window_start, failures`
pub(super) fn total(row: &Row) -> Result<TotalRow, Error> {
    Ok(TotalRow { window_start: optional_moment(row, 0)?, failures: small(row, 1)? })
}

/// `window_start, count`
pub(super) fn rate(row: &Row) -> Result<RateRow, Error> {
    Ok(RateRow { window_start: optional_moment(row, 0)?, count: small(row, 1)? })
}

pub(super) fn device_id(row: &Row) -> Result<DeviceId, Error> {
    parsed(row, 0)
}

fn device(row: &Row, first: usize) -> Result<Device, Error> {
    let fingerprint: Option<String> = row.get(first + 2)?;
    let fingerprint = fingerprint.map(|text| text.parse::<Fingerprint>()).transpose();
    Ok(Device {
        kind: parsed(row, first)?,
        name: parsed(row, first + 1)?,
        fingerprint: fingerprint.map_err(|_| damaged("a fingerprint"))?,
    })
}

/// The text of [`ClientAddress`] back; an IPv6 one ends in `/64`.
fn address(text: &str) -> Result<ClientAddress, Error> {
    let bare = text.strip_suffix("/64").unwrap_or(text);
    bare.parse().map(ClientAddress::new).map_err(|_| damaged("an address"))
}

pub(super) fn parsed<T: FromStr>(row: &Row, column: usize) -> Result<T, Error> {
    row.get::<String>(column)?.parse().map_err(|_| damaged("a name or an id"))
}

fn small<T: TryFrom<i64>>(row: &Row, column: usize) -> Result<T, Error> {
    row.get::<i64>(column)?.try_into().map_err(|_| damaged("a count"))
}

fn flag(row: &Row, column: usize) -> Result<bool, Error> {
    Ok(row.get::<i64>(column)? != 0)
}

fn array<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| damaged("a hash"))
}

fn moment(micros: i64) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).map_err(|_| damaged("a time"))
}

fn optional_moment(row: &Row, column: usize) -> Result<Option<OffsetDateTime>, Error> {
    row.get::<Option<i64>>(column)?.map(moment).transpose()
}

fn damaged(what: &str) -> Error {
    Error::Damaged(format!("{what} cannot be read"))
}
