//! Changing the phrase: knowing the old one, or with a recovery code.

use durward_protocol::{SecretBytes, SecretString};
use rand_core::CryptoRng;
use time::OffsetDateTime;

use super::login::{audit_of, challenge_is_good, current_version};
use super::{Caller, Checked, Guess, resolve};
use crate::accounts::audit::AccountEvent;
use crate::accounts::device::UserId;
use crate::accounts::error::{ApiError, Refusal};
use crate::accounts::hash::{Arena, HashError, PhraseHash, PhraseRevision, verify_nobody};
use crate::accounts::key::{Challenge, RecoveryCode, RecoveryHash};
use crate::accounts::ladder::{CHANGE_LIMIT, Counted, LadderKey, LadderRows, LadderScope, RateRow, succeed};
use crate::accounts::phrase::CanonicalPhrase;
use crate::accounts::records::{AccountPolicy, ChallengeRecord, RecoveryCodeRecord, User};
use crate::accounts::wire::{ChangeReply, ChangeRequest, RecoverReply, RecoverRequest};
use crate::accounts::write::{AccountWrite, Decision, RateKey};

const KEPT: &str = "Passphrase changed. Existing device keys remain valid.";
const REVOKED: &str = "Passphrase changed. All device keys revoked.";
const TIP: &str = "Set revoke_all_devices:true to force all devices to re-authenticate";

/// What a change is decided on, in both transactions.
#[derive(Clone, Debug, Default)]
pub struct ChangeFacts {
    /// The account.
    pub user: Option<User>,
    /// Its counters for the caller's address, scope passphrase.
    pub rows: LadderRows,
    /// Its successful changes.
    pub rate: RateRow,
}

/// `POST /auth/passphrase/change` by the holder of a live key, read.
#[derive(Debug)]
pub struct Change {
    guess: Guess,
    current: CanonicalPhrase,
    new: CanonicalPhrase,
    revoke_all: bool,
}

impl Change {
    /// Reads the request; a weak new phrase is refused before anything is counted.
    pub fn parse(
        request: &ChangeRequest,
        user: UserId,
        caller: &Caller,
        subjects: &SecretBytes<32>,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            guess: Guess::new(
                AccountEvent::PassphraseChange,
                LadderScope::Passphrase,
                user,
                caller,
                subjects,
            ),
            current: CanonicalPhrase::new(&request.current_passphrase),
            new: CanonicalPhrase::new_strong(&request.new_passphrase)?,
            revoke_all: request.revoke_all_devices,
        })
    }

    /// The counters that apply.
    pub fn ladder_key(&self) -> LadderKey {
        self.guess.key
    }

    /// First transaction: refuses a second change within the hour, counts the guess at the current phrase.
    pub fn admit(self, facts: ChangeFacts, now: OffsetDateTime) -> Decision<Result<ChangeAdmitted, Refusal>> {
        let known = facts.user.is_some();
        let mut writes = Vec::new();
        let counted = match CHANGE_LIMIT.take(facts.rate, now) {
            Err(seconds) => Err(Refusal::wait(ApiError::RateLimited, seconds)),
            Ok(_) => self.guess.count(facts.rows, known, now, &mut writes),
        };
        match counted {
            Ok(counted) => {
                let outcome = Ok(ChangeAdmitted { change: self, stored: facts.user, counted });
                Decision { outcome, writes, audit: Vec::new(), alerts: Vec::new() }
            }
            Err(refusal) => {
                let audit = vec![self.guess.audit(known, Some(refusal.error))];
                Decision { outcome: Err(refusal), writes, audit, alerts: Vec::new() }
            }
        }
    }
}

/// A counted change whose current phrase is to be verified, on the pool.
#[derive(Debug)]
pub struct ChangeAdmitted {
    change: Change,
    stored: Option<User>,
    counted: Counted,
}

impl ChangeAdmitted {
    /// One Argon2id for the current phrase, one for the new one.
    pub fn verify(
        self,
        policy: &AccountPolicy,
        arena: &mut Arena,
        rng: &mut impl CryptoRng,
    ) -> Result<Checked<ChangeCommit>, HashError> {
        let Self { change, stored, counted } = self;
        let good = match &stored {
            Some(user) => user.passphrase_hash.verify(&change.current, arena)?,
            None => verify_nobody(&change.current, policy.hash_cost, arena).map(|()| false)?,
        };
        let Some(user) = stored.filter(|_| good) else {
            let error = ApiError::InvalidPassphrase;
            return Ok(Checked::Bad(change.guess.failed(error, counted, true)));
        };
        let hash = PhraseHash::create(&change.new, policy.hash_cost, arena, rng)?;
        let Change { guess, revoke_all, .. } = change;
        Ok(Checked::Good(ChangeCommit { guess, revoke_all, proven: user.phrase_revision, hash, counted }))
    }
}

/// A change that only has to be written.
#[derive(Debug)]
pub struct ChangeCommit {
    guess: Guess,
    revoke_all: bool,
    proven: PhraseRevision,
    hash: PhraseHash,
    counted: Counted,
}

impl ChangeCommit {
    /// Second transaction. The OPAQUE enrolment of the old phrase goes with it; the new one's is made at the next
    /// plain login.
    pub fn commit(self, facts: &ChangeFacts, now: OffsetDateTime) -> Decision<Result<ChangeReply, Refusal>> {
        let user = self.guess.user.clone();
        if facts.user.as_ref().is_none_or(|stored| stored.phrase_revision != self.proven) {
            let failed = self.guess.failed(ApiError::InvalidPassphrase, self.counted, facts.user.is_some());
            let Decision { outcome, writes, audit, alerts } = failed;
            return Decision { outcome: Err(outcome), writes, audit, alerts };
        }
        let rate = match CHANGE_LIMIT.take(facts.rate, now) {
            Ok(rate) => rate,
            Err(seconds) => return Decision::only(Err(Refusal::wait(ApiError::RateLimited, seconds))),
        };
        let mut writes = vec![
            self.guess.give_back(facts.rows, now),
            AccountWrite::PutRate(RateKey::Change(user.clone()), rate),
            AccountWrite::SetPhrase {
                user: user.clone(),
                revision: PhraseRevision::of(&self.hash),
                hash: self.hash,
                version: current_version(),
                opaque: None,
                at: now,
            },
        ];
        let mut audit = vec![self.guess.audit(true, None)];
        if self.revoke_all {
            writes.push(AccountWrite::RevokeAllKeys { user: user.clone(), at: now });
            audit.push(audit_of(AccountEvent::RevokeAll, &user, None, Some(self.guess.key.address)));
        }
        let message = if self.revoke_all { REVOKED } else { KEPT };
        let reply = ChangeReply { success: true, message, tip: (!self.revoke_all).then_some(TIP) };
        Decision { outcome: Ok(reply), writes, audit, alerts: Vec::new() }
    }
}

/// What a recovery is decided on, in both transactions.
#[derive(Clone, Debug, Default)]
pub struct RecoverFacts {
    /// The challenge sent, if it is known. The second transaction does not look at it.
    pub challenge: Option<ChallengeRecord>,
    /// The account named, if it exists.
    pub user: Option<User>,
    /// Its codes, used ones too.
    pub codes: Vec<RecoveryCodeRecord>,
    /// Its counters for this address, scope recovery.
    pub rows: LadderRows,
    /// Its counters for this address, scope passphrase; looked at in the second transaction only.
    pub passphrase_rows: LadderRows,
}

/// `POST /auth/recover`, read.
#[derive(Debug)]
pub struct Recover {
    guess: Guess,
    challenge: Challenge,
    /// `None` when what was typed cannot be a code: counted and refused like a wrong one.
    code: Option<RecoveryHash>,
    new: CanonicalPhrase,
}

impl Recover {
    /// Reads the request; a weak new phrase is refused before anything is counted.
    pub fn parse(
        request: RecoverRequest,
        sole: Option<&UserId>,
        caller: &Caller,
        subjects: &SecretBytes<32>,
    ) -> Result<Self, Refusal> {
        let user = resolve(request.user, sole)?;
        let new = CanonicalPhrase::new_strong(&request.new_passphrase)?;
        let code = hash_of(&request.recovery_code, &user);
        let guess = Guess::new(AccountEvent::Recover, LadderScope::Recovery, user, caller, subjects);
        Ok(Self { guess, challenge: request.challenge.parse()?, code, new })
    }

    /// The account named.
    pub fn user(&self) -> &UserId {
        &self.guess.user
    }

    /// The challenge sent.
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// The counters that apply; the passphrase rows have the same key but for the scope.
    pub fn ladder_key(&self) -> LadderKey {
        self.guess.key
    }

    /// First transaction: takes the challenge, counts the attempt, looks for the code. The failure, if it is one, is
    /// decided here: only a good code costs an Argon2id.
    pub fn admit(
        self,
        facts: &RecoverFacts,
        now: OffsetDateTime,
    ) -> Decision<Result<RecoverAdmitted, Refusal>> {
        let known = facts.user.is_some();
        if !challenge_is_good(facts.challenge.as_ref(), &self.challenge, None, now) {
            let error = ApiError::InvalidChallenge;
            let mut decision = Decision::only(Err(error.into()));
            decision.audit.push(self.guess.audit(known, Some(error)));
            return decision;
        }
        let mut writes = vec![AccountWrite::UseChallenge(self.challenge.clone())];
        let counted = match self.guess.count(facts.rows, known, now, &mut writes) {
            Ok(counted) => counted,
            Err(refusal) => {
                let audit = vec![self.guess.audit(known, Some(refusal.error))];
                return Decision { outcome: Err(refusal), writes, audit, alerts: Vec::new() };
            }
        };
        let code = self.code.filter(|code| known && unused(&facts.codes, code).is_some());
        let Some(code) = code else {
            let failed = self.guess.failed(ApiError::InvalidRecoveryCode, counted, known);
            return Decision {
                outcome: Err(failed.outcome),
                writes,
                audit: failed.audit,
                alerts: failed.alerts,
            };
        };
        let admitted = RecoverAdmitted { guess: self.guess, code, new: self.new, counted };
        Decision { outcome: Ok(admitted), writes, audit: Vec::new(), alerts: Vec::new() }
    }
}

/// A recovery with a good code, whose new phrase is to be hashed on the pool.
#[derive(Debug)]
pub struct RecoverAdmitted {
    guess: Guess,
    code: RecoveryHash,
    new: CanonicalPhrase,
    counted: Counted,
}

impl RecoverAdmitted {
    /// One Argon2id.
    pub fn hash(
        self,
        policy: &AccountPolicy,
        arena: &mut Arena,
        rng: &mut impl CryptoRng,
    ) -> Result<RecoverCommit, HashError> {
        let hash = PhraseHash::create(&self.new, policy.hash_cost, arena, rng)?;
        Ok(RecoverCommit { guess: self.guess, code: self.code, hash, counted: self.counted })
    }
}

/// A recovery that only has to be written.
#[derive(Debug)]
pub struct RecoverCommit {
    guess: Guess,
    code: RecoveryHash,
    hash: PhraseHash,
    counted: Counted,
}

impl RecoverCommit {
    /// Second transaction: spends the code and sets the phrase. Device keys stay. The owner has just proven to be
    /// one, so that this address's passphrase counter is cleared, too.
    pub fn commit(
        self,
        facts: &RecoverFacts,
        now: OffsetDateTime,
    ) -> Decision<Result<RecoverReply, Refusal>> {
        if facts.user.is_none() || unused(&facts.codes, &self.code).is_none() {
            let failed = self.guess.failed(ApiError::InvalidRecoveryCode, self.counted, facts.user.is_some());
            let Decision { outcome, writes, audit, alerts } = failed;
            return Decision { outcome: Err(outcome), writes, audit, alerts };
        }
        let user = self.guess.user.clone();
        let left = facts.codes.iter().filter(|code| code.used_at.is_none()).count().saturating_sub(1);
        let own = succeed(facts.passphrase_rows, now).own;
        let passphrase_key = LadderKey { scope: LadderScope::Passphrase, ..self.guess.key };
        let writes = vec![
            AccountWrite::UseRecoveryCode { user: user.clone(), code: self.code, at: now },
            self.guess.give_back(facts.rows, now),
            AccountWrite::PutLadder {
                key: passphrase_key,
                own,
                total: facts.passphrase_rows.total,
                known: true,
            },
            AccountWrite::SetPhrase {
                user,
                revision: PhraseRevision::of(&self.hash),
                hash: self.hash,
                version: current_version(),
                opaque: None,
                at: now,
            },
        ];
        let reply = RecoverReply { success: true, message: KEPT, recovery_codes_remaining: left };
        Decision { outcome: Ok(reply), writes, audit: vec![self.guess.audit(true, None)], alerts: Vec::new() }
    }
}

fn hash_of(typed: &SecretString, user: &UserId) -> Option<RecoveryHash> {
    RecoveryCode::parse(typed).ok().map(|code| code.hash(user))
}

fn unused<'a>(codes: &'a [RecoveryCodeRecord], hash: &RecoveryHash) -> Option<&'a RecoveryCodeRecord> {
    codes.iter().find(|code| code.code_hash == *hash && code.used_at.is_none())
}
