//! What the owner does at the machine: accounts, codes, import.

use durward_protocol::{SecretBytes, SecretString};
use rand_core::CryptoRng;
use time::OffsetDateTime;

use super::login::{audit_of, current_version};
use crate::accounts::audit::AccountEvent;
use crate::accounts::device::{Device, DeviceId, DeviceName, DeviceType, UserId};
use crate::accounts::error::ApiError;
use crate::accounts::hash::{PhraseHash, PhraseRevision};
use crate::accounts::key::{KeyHash, RecoveryCode};
use crate::accounts::ladder::Subject;
use crate::accounts::opaque::OpaqueRecord;
use crate::accounts::records::{DeviceKeyRecord, RecoveryCodeRecord, User};
use crate::accounts::write::{AccountWrite, Decision};

/// An account to be made; the phrase was checked and hashed on the pool.
#[derive(Debug)]
pub struct NewAccount {
    /// Name.
    pub user: UserId,
    /// Hash of a phrase that passed [`super::super::CanonicalPhrase::new_strong`].
    pub hash: PhraseHash,
    /// OPAQUE enrolment of the same phrase, where it was computed.
    pub opaque: Option<OpaqueRecord>,
}

/// `account add`: writes the account and answers with its ten recovery codes, to be shown once.
pub fn add_account(
    new: NewAccount,
    now: OffsetDateTime,
    rng: &mut impl CryptoRng,
) -> Decision<Vec<RecoveryCode>> {
    let user = new.user.clone();
    let (codes, replace) = draw_codes(&user, now, rng);
    let record = User {
        user_id: new.user,
        phrase_revision: PhraseRevision::of(&new.hash),
        passphrase_hash: new.hash,
        phrase_version: current_version(),
        opaque: new.opaque,
        created_at: now,
        updated_at: now,
    };
    let mut decision = Decision::only(codes);
    decision.writes = vec![AccountWrite::InsertUser(Box::new(record)), replace];
    decision.audit.push(audit_of(AccountEvent::AccountAdd, &user, None, None));
    decision
}

/// `account remove`: account, keys, codes and counters.
pub fn remove_account(user: &UserId, subjects: &SecretBytes<32>) -> Decision<()> {
    let mut decision = Decision::only(());
    decision.writes =
        vec![AccountWrite::DeleteUser(user.clone()), AccountWrite::ClearLadder(Subject::new(subjects, user))];
    decision.audit.push(audit_of(AccountEvent::AccountRemove, user, None, None));
    decision
}

/// `account unlock`: clears every counter of the account, in both scopes. Always works.
pub fn unlock_account(user: &UserId, subjects: &SecretBytes<32>) -> Decision<()> {
    let mut decision = Decision::only(());
    decision.writes.push(AccountWrite::ClearLadder(Subject::new(subjects, user)));
    decision.audit.push(audit_of(AccountEvent::AccountUnlock, user, None, None));
    decision
}

/// `account passphrase`: sets the phrase without asking for the old one; whoever owns the store may.
pub fn set_phrase(
    user: &UserId,
    hash: PhraseHash,
    opaque: Option<OpaqueRecord>,
    revoke_all: bool,
    now: OffsetDateTime,
) -> Decision<()> {
    let mut decision = Decision::only(());
    decision.writes.push(AccountWrite::SetPhrase {
        user: user.clone(),
        revision: PhraseRevision::of(&hash),
        hash,
        version: current_version(),
        opaque,
        at: now,
    });
    decision.audit.push(audit_of(AccountEvent::PassphraseChange, user, None, None));
    if revoke_all {
        decision.writes.push(AccountWrite::RevokeAllKeys { user: user.clone(), at: now });
        decision.audit.push(audit_of(AccountEvent::RevokeAll, user, None, None));
    }
    decision
}

/// `account recovery`: ten new codes; the old ones are void.
pub fn new_recovery_codes(
    user: &UserId,
    now: OffsetDateTime,
    rng: &mut impl CryptoRng,
) -> Decision<Vec<RecoveryCode>> {
    let (codes, replace) = draw_codes(user, now, rng);
    let mut decision = Decision::only(codes);
    decision.writes.push(replace);
    decision.audit.push(audit_of(AccountEvent::RecoveryCodes, user, None, None));
    decision
}

/// A shared key from before, to be taken over for a while.
#[derive(Debug)]
pub struct ImportedKey {
    /// Whose it becomes.
    pub user: UserId,
    /// What it is called in the list.
    pub name: DeviceName,
    /// The key, of any form.
    pub key: SecretString,
    /// When it ends: importing is a step of a migration, so there is always an end.
    pub expires_at: OffsetDateTime,
}

/// `account import-key`: the key becomes a device of type `other`. `taken` as for [`DeviceId::first_free`].
pub fn import_key(
    import: &ImportedKey,
    taken: &[DeviceId],
    now: OffsetDateTime,
) -> Result<Decision<DeviceId>, ApiError> {
    if import.expires_at <= now {
        return Err(ApiError::InvalidRequest("expires: a date in the future"));
    }
    let device = Device { kind: DeviceType::Other, name: import.name.clone(), fingerprint: None };
    let device_id = DeviceId::first_free(&device, now, taken);
    let record = DeviceKeyRecord {
        device_id: device_id.clone(),
        user_id: import.user.clone(),
        api_key_hash: KeyHash::of_imported(&import.key)?,
        // No part of the key: it may be short or follow a pattern.
        api_key_prefix: "imported".to_owned(),
        device,
        issued_at: now,
        last_used: None,
        expires_at: Some(import.expires_at),
        revoked_at: None,
        previous_key_hash: None,
        previous_valid_until: None,
        legacy: true,
    };
    let mut decision = Decision::only(device_id.clone());
    decision.writes.push(AccountWrite::InsertKey(Box::new(record)));
    decision.audit.push(audit_of(AccountEvent::ImportKey, &import.user, Some(device_id), None));
    Ok(decision)
}

/// One line of `account list`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AccountSummary {
    /// Name.
    pub user: UserId,
    /// Devices with a live key.
    pub active_devices: usize,
    /// Recovery codes not used yet.
    pub recovery_codes: usize,
    /// Whether a login without sending the phrase is possible.
    pub opaque: bool,
}

/// Counts what `account list` shows.
pub fn summarize(
    user: &User,
    keys: &[DeviceKeyRecord],
    codes: &[RecoveryCodeRecord],
    now: OffsetDateTime,
) -> AccountSummary {
    AccountSummary {
        user: user.user_id.clone(),
        active_devices: keys.iter().filter(|key| key.user_id == user.user_id && key.is_live(now)).count(),
        recovery_codes: codes.iter().filter(|c| c.user_id == user.user_id && c.used_at.is_none()).count(),
        opaque: user.opaque.is_some(),
    }
}

fn draw_codes(
    user: &UserId,
    now: OffsetDateTime,
    rng: &mut impl CryptoRng,
) -> (Vec<RecoveryCode>, AccountWrite) {
    let codes = RecoveryCode::generate_set(rng);
    let records = codes
        .iter()
        .map(|code| RecoveryCodeRecord {
            user_id: user.clone(),
            code_hash: code.hash(user),
            created_at: now,
            used_at: None,
        })
        .collect();
    (codes, AccountWrite::ReplaceRecoveryCodes(user.clone(), records))
}
