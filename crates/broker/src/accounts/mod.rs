//! Accounts: one passphrase a person, one API key a device.
//!
//! Pure: no clock, no generator, no HTTP, no SQL. A server drives it in steps, each of which takes *facts* read from the
//! store and gives a [`Decision`]: an answer, [`AccountWrite`]s, audit records, alerts. **One decision is one
//! transaction**: lock and read the facts, decide, apply the writes, append the audit records, commit, answer. Writes
//! that say *exactly one row* roll everything back when they hit none; the transaction is then run again from fresh
//! facts (except where the write's own text gives the refusal). That, and nothing cached in between, is what makes
//! several servers on one database safe.
//!
//! ```text
//! knock            knock()
//! exchange         Exchange::parse → admit ‖ Admitted::verify (pool) ‖ Verified::issue → reply, Enrolment (pool)
//! opaque/start     OpaqueStart::parse → admit ‖ OpaqueAdmitted::respond ‖ store the login
//! opaque/finish    OpaqueFinish::parse ‖ take the login → check ‖ Verified::issue
//! passphrase       Change::parse → admit ‖ ChangeAdmitted::verify (pool) ‖ ChangeCommit::commit
//! recover          Recover::parse → admit ‖ RecoverAdmitted::hash (pool) ‖ RecoverCommit::commit
//! any with a key   check_key → whoami, device_list, revoke, rename, rotate, forward_auth_headers
//! ```
//!
//! `‖` is a transaction's end: no lock is held while Argon2id runs.
//!
//! # What the store must do atomically
//!
//! | step | locks | facts |
//! | --- | --- | --- |
//! | [`knock`] | rate row of the address (insert if missing, then `SELECT … FOR UPDATE`) | challenges: `SELECT count(*) … WHERE expires_at > now`; a success from the address: `SELECT … FROM ladder WHERE address = ? AND last_success > ?` |
//! | [`Exchange::admit`], [`OpaqueStart::admit`] | total row of (scope, subject) first, then the address's row, then the challenge row | account, challenge |
//! | [`Recover::admit`] | the same, scope `recovery` | account, challenge, codes |
//! | [`Verified::issue`] | account row (`FOR UPDATE`), both ladder rows | unrevoked ids of the same fingerprint, ids with the stem |
//! | [`OpaqueFinish::check`] | `DELETE FROM opaque_logins WHERE login_id = ? RETURNING *`; may share issue's transaction | |
//! | [`Change::admit`] | both ladder rows | account, rate row |
//! | [`ChangeCommit::commit`] | account row, rate row, both ladder rows | |
//! | [`RecoverCommit::commit`] | account row, code rows, ladder rows of both scopes | |
//! | [`rotate`] | none: `UPDATE … WHERE device_id = ? AND api_key_hash = ? AND revoked_at IS NULL` | key record |
//! | [`revoke`], [`rename`] | none: guarded `UPDATE` | key record |
//! | [`check_key`] | none: `SELECT … WHERE api_key_hash = ? OR previous_key_hash = ?`, one statement | |
//!
//! SQLite: `BEGIN IMMEDIATE` locks everything. PostgreSQL: the account's row with `SELECT … FOR UPDATE`, then a lock
//! on the subject's name (an advisory one: the rows need not exist), then rate, stem, challenge, others, always in
//! this order, so that no two transactions wait for each other. A used challenge and a lost race look the same to
//! the caller.
//!
//! Times are stored with microseconds at least as fine as given, or rounded *up* where they end a lock.

mod audit;
mod body;
mod device;
mod error;
mod flow;
mod hash;
mod key;
mod ladder;
mod meter;
mod opaque;
mod phrase;
mod records;
mod wire;
mod write;

pub use audit::{AccountAudit, AccountEvent, Alert};
pub use body::parse_body;
pub use device::{ClientAddress, Device, DeviceId, DeviceName, DeviceType, Fingerprint, UserId};
pub use error::{ApiError, Refusal};
pub use flow::{
    AccountSummary, Admitted, AttemptFacts, Caller, Change, ChangeAdmitted, ChangeCommit, ChangeFacts,
    Checked, Enrolment, Exchange, ImportedKey, IssueFacts, Issued, KeyUse, KnockFacts, NewAccount,
    OpaqueAdmitted, OpaqueFinish, OpaqueStart, Recover, RecoverAdmitted, RecoverCommit, RecoverFacts,
    TOUCH_INTERVAL, Verified, add_account, check_key, device_list, forward_auth_headers, import_key, knock,
    new_recovery_codes, remove_account, rename, revoke, rotate, set_phrase, summarize, unlock_account,
    whoami,
};
pub use hash::{Arena, HashCost, HashError, PhraseHash, PhraseRevision};
pub use key::{Challenge, DeviceKey, KeyHash, RecoveryCode, RecoveryHash};
pub use ladder::{
    CHANGE_LIMIT, Counted, KNOCK_LIMIT, LadderAlert, LadderKey, LadderRow, LadderRows, LadderScope, MEMORY,
    RateLimit, RateRow, SUCCESS_MEMORY, Subject, TOTAL_WINDOW, TotalRow, Verdict, attempt, succeed,
};
pub use meter::AuditMeter;
pub use opaque::{
    LoginFinish, LoginRequest, LoginState, OpaqueClient, OpaqueError, OpaqueRecord, OpaqueSetup,
};
pub use phrase::{CanonicalPhrase, suggest_phrase};
pub use records::{
    AccountPolicy, ChallengeRecord, DeviceKeyRecord, OpaqueLoginRecord, RecoveryCodeRecord, User,
};
pub use wire::{
    ChangeReply, ChangeRequest, DeviceEntry, DevicesReply, ExchangeReply, ExchangeRequest, KnockReply,
    KnockRequest, OpaqueFinishRequest, OpaqueStartReply, OpaqueStartRequest, RecoverReply, RecoverRequest,
    RenameRequest, RevokeReply, RevokeRequest, RotateReply, RotateRequest, WhoamiReply,
};
pub use write::{AccountWrite, Decision, RateKey};
