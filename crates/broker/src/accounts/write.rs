//! What the store is told to write, and the decision that tells it.

use time::OffsetDateTime;

use super::audit::{AccountAudit, Alert};
use super::device::{ClientAddress, DeviceId, DeviceName, UserId};
use super::hash::{PhraseHash, PhraseRevision};
use super::key::{Challenge, KeyHash, RecoveryHash};
use super::ladder::{LadderKey, LadderRow, RateRow, Subject, TotalRow};
use super::opaque::OpaqueRecord;
use super::records::{ChallengeRecord, DeviceKeyRecord, OpaqueLoginRecord, RecoveryCodeRecord, User};

/// What a call limit counts. Primary key of a [`RateRow`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RateKey {
    /// Knocks of an address.
    Knock(ClientAddress),
    /// Successful changes of an account.
    Change(UserId),
}

/// One change of the store. All writes of a [`Decision`] go into the transaction in which its facts were read.
#[derive(Clone, Debug)]
pub enum AccountWrite {
    /// Insert an account. **Exactly one row**, else the name is taken.
    InsertUser(Box<User>),
    /// Delete an account with its keys, codes and logins.
    DeleteUser(UserId),
    /// Replace phrase and enrolment. **Exactly one row.**
    SetPhrase {
        /// Whose.
        user: UserId,
        /// The new hash.
        hash: PhraseHash,
        /// Canonical form of the new phrase.
        version: u8,
        /// Name of the new setting.
        revision: PhraseRevision,
        /// The new enrolment.
        opaque: Option<OpaqueRecord>,
        /// For `updated_at`.
        at: OffsetDateTime,
    },
    /// Replace the hash by a stronger one of the same phrase, where `phrase_revision` is still `revision`. No row is
    /// fine.
    UpgradeHash {
        /// Whose.
        user: UserId,
        /// Guard.
        revision: PhraseRevision,
        /// The new hash.
        new: PhraseHash,
    },
    /// Keep an enrolment, where `phrase_revision` is still `revision`. No row is fine.
    SetOpaque {
        /// Whose.
        user: UserId,
        /// Guard.
        revision: PhraseRevision,
        /// The enrolment.
        record: OpaqueRecord,
    },
    /// Insert a device. **Exactly one row**, else the id was taken meanwhile: decide again from fresh facts.
    InsertKey(Box<DeviceKeyRecord>),
    /// Set `revoked_at` of this user's device where it is null.
    RevokeKey {
        /// Owner.
        user: UserId,
        /// Which.
        device: DeviceId,
        /// When.
        at: OffsetDateTime,
    },
    /// Set `revoked_at` of all of this user's devices where it is null.
    RevokeAllKeys {
        /// Owner.
        user: UserId,
        /// When.
        at: OffsetDateTime,
    },
    /// Rename this user's device. **Exactly one row.**
    RenameKey {
        /// Owner.
        user: UserId,
        /// Which.
        device: DeviceId,
        /// New name.
        name: DeviceName,
    },
    /// Replace a device's key where it is not revoked and `api_key_hash` is still `current`; clears
    /// `last_used`. **Exactly one row**, else another request was faster: `invalid_api_key`.
    RotateKey {
        /// Which.
        device: DeviceId,
        /// Guard.
        current: KeyHash,
        /// The new key.
        new: KeyHash,
        /// Its first characters.
        prefix: String,
        /// The key that still works for a while …
        previous: KeyHash,
        /// … and for how long.
        previous_valid_until: OffsetDateTime,
        /// For `issued_at`.
        at: OffsetDateTime,
        /// For `expires_at`.
        expires_at: Option<OffsetDateTime>,
    },
    /// Insert a challenge.
    InsertChallenge(Box<ChallengeRecord>),
    /// Delete so many challenges: spent ones first, then the one that has most younger ones of its own origin, the
    /// oldest of several such. Fewer where others hold them.
    EvictChallenges {
        /// How many.
        count: u64,
        /// Expired ones are not looked at: the sweep takes them.
        at: OffsetDateTime,
    },
    /// Set `used` where it is false. **Exactly one row**, else another request was faster: `invalid_challenge`.
    UseChallenge(Challenge),
    /// Write both ladder rows.
    PutLadder {
        /// Whose row.
        key: LadderKey,
        /// This address.
        own: LadderRow,
        /// All addresses.
        total: TotalRow,
        /// Whether the name has an account. Rows without one are bounded: past
        /// [`super::AccountPolicy::max_unknown_subjects`] the one least recently written goes.
        known: bool,
    },
    /// Delete every ladder row of a subject, both scopes.
    ClearLadder(Subject),
    /// Write a call counter.
    PutRate(RateKey, RateRow),
    /// Insert an OPAQUE login.
    InsertOpaqueLogin(Box<OpaqueLoginRecord>),
    /// Delete an OPAQUE login. **Exactly one row**, else another request was faster: `invalid_challenge`.
    TakeOpaqueLogin(Challenge),
    /// Delete a user's recovery codes and insert these.
    ReplaceRecoveryCodes(UserId, Vec<RecoveryCodeRecord>),
    /// Set `used_at` where it is null. **Exactly one row**, else another request was faster.
    UseRecoveryCode {
        /// Owner.
        user: UserId,
        /// Which.
        code: RecoveryHash,
        /// When.
        at: OffsetDateTime,
    },
}

/// What a pure function decided: an answer, and what must be done before it is sent.
#[derive(Debug)]
pub struct Decision<T> {
    /// The answer.
    pub outcome: T,
    /// To commit, all or none, in the transaction of the facts.
    pub writes: Vec<AccountWrite>,
    /// To append to the audit log; where it cannot be written, no key leaves.
    pub audit: Vec<AccountAudit>,
    /// To act on afterwards.
    pub alerts: Vec<Alert>,
}

impl<T> Decision<T> {
    /// A decision that changes nothing.
    #[must_use]
    pub fn only(outcome: T) -> Self {
        Self { outcome, writes: Vec::new(), audit: Vec::new(), alerts: Vec::new() }
    }
}
