//! What the store keeps. Plain data: the rules are in [`super::flow`], the changes in [`super::AccountWrite`].

use time::{Duration, OffsetDateTime};

use super::device::{ClientAddress, Device, DeviceId, UserId};
use super::hash::{HashCost, PhraseHash, PhraseRevision};
use super::key::{Challenge, KeyHash, RecoveryHash};
use super::ladder::Counted;
use super::opaque::{LoginState, OpaqueRecord};

/// An account. Primary key: `user_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub user_id: UserId,
    /// Argon2id of the canonical phrase.
    pub passphrase_hash: PhraseHash,
    /// Which canonical form was hashed.
    pub phrase_version: u8,
    /// Which setting of the phrase this is.
    pub phrase_revision: PhraseRevision,
    /// Enrolment for logins without sending the phrase; `None` until the next plain login.
    pub opaque: Option<OpaqueRecord>,
    /// Made.
    pub created_at: OffsetDateTime,
    /// Phrase last changed.
    pub updated_at: OffsetDateTime,
}

/// A device and its key. Primary key `device_id`; `api_key_hash` and `previous_key_hash` are unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceKeyRecord {
    /// Never used again, not even after revocation.
    pub device_id: DeviceId,
    /// Owner.
    pub user_id: UserId,
    /// The key.
    pub api_key_hash: KeyHash,
    /// Its first characters, for people.
    pub api_key_prefix: String,
    /// What the device said about itself; the name may have been changed since.
    pub device: Device,
    /// When the key was made.
    pub issued_at: OffsetDateTime,
    /// When it was last seen, written at most once a minute.
    pub last_used: Option<OffsetDateTime>,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was revoked.
    pub revoked_at: Option<OffsetDateTime>,
    /// The key before the last rotation …
    pub previous_key_hash: Option<KeyHash>,
    /// … and how long it still works.
    pub previous_valid_until: Option<OffsetDateTime>,
    /// Imported rather than issued; its use is audited as `legacy`.
    pub legacy: bool,
}

impl DeviceKeyRecord {
    /// Whether the key works now.
    pub fn is_live(&self, now: OffsetDateTime) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// An open challenge. Primary key: `challenge`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeRecord {
    /// The text.
    pub challenge: Challenge,
    /// Whose it is.
    pub device: Device,
    /// To whose share of the table it counts.
    pub origin: String,
    /// Made.
    pub created_at: OffsetDateTime,
    /// Void from then on; swept later.
    pub expires_at: OffsetDateTime,
    /// Spent.
    pub used: bool,
}

/// An OPAQUE login between its two messages. Primary key: `login_id`.
#[derive(Clone, Debug)]
pub struct OpaqueLoginRecord {
    /// Random, a [`Challenge`] in form.
    pub login_id: Challenge,
    /// The account named; it need not exist.
    pub user_id: UserId,
    /// Whether it exists.
    pub known: bool,
    /// The phrase at the start; `None` when there is no account or no enrolment, and no finish can be good.
    pub phrase_revision: Option<PhraseRevision>,
    /// Who will get the key.
    pub device: Device,
    /// Where the start came from: this address's counter gets the success.
    pub address: ClientAddress,
    /// What the ladder said at the start.
    pub counted: Counted,
    /// The protocol's state; seal it like session keys.
    pub state: LoginState,
    /// Void from then on; swept later.
    pub expires_at: OffsetDateTime,
}

/// One recovery code. Primary key: `(user_id, code_hash)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryCodeRecord {
    /// Owner.
    pub user_id: UserId,
    /// The code.
    pub code_hash: RecoveryHash,
    /// Made.
    pub created_at: OffsetDateTime,
    /// Spent.
    pub used_at: Option<OffsetDateTime>,
}

/// Limits and costs, from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountPolicy {
    /// Cost of new hashes.
    pub hash_cost: HashCost,
    /// Open challenges over all addresses; past it the origins with most lose theirs, the oldest first.
    pub max_open_challenges: u64,
    /// Ladder rows of names that have no account.
    pub max_unknown_subjects: u64,
    /// How long an OPAQUE login may take.
    pub opaque_lifetime: Duration,
    /// Lifetime of new keys; `None` for no end.
    pub key_lifetime: Option<Duration>,
    /// Grace of a rotated key where the request names none.
    pub rotate_grace: Duration,
    /// The longest grace.
    pub max_rotate_grace: Duration,
}

impl AccountPolicy {
    /// What the documentation says.
    pub const DEFAULT: Self = Self {
        hash_cost: HashCost::DEFAULT,
        max_open_challenges: 65_536,
        max_unknown_subjects: 16_384,
        opaque_lifetime: Duration::MINUTE,
        key_lifetime: None,
        rotate_grace: Duration::minutes(5),
        max_rotate_grace: Duration::DAY,
    };
}

impl Default for AccountPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}
