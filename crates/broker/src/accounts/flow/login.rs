//! Knock and plain exchange, and the issue of a key, which OPAQUE shares.

use durward_protocol::SecretBytes;
use rand_core::CryptoRng;
use time::OffsetDateTime;

use super::{Caller, Checked, Guess, resolve};
use crate::accounts::audit::{AccountAudit, AccountEvent};
use crate::accounts::device::{ClientAddress, Device, DeviceId, UserId};
use crate::accounts::error::{ApiError, Refusal};
use crate::accounts::hash::{Arena, HashError, PhraseHash, PhraseRevision, verify_nobody};
use crate::accounts::key::{CHALLENGE_LIFETIME, Challenge, DeviceKey};
use crate::accounts::ladder::{Counted, KNOCK_LIMIT, LadderKey, LadderRows, LadderScope, RateRow};
use crate::accounts::opaque::{OpaqueError, OpaqueRecord, OpaqueSetup};
use crate::accounts::phrase::{CanonicalPhrase, PHRASE_VERSION};
use crate::accounts::records::{AccountPolicy, ChallengeRecord, DeviceKeyRecord, User};
use crate::accounts::wire::{ExchangeReply, ExchangeRequest, KnockReply, KnockRequest};
use crate::accounts::write::{AccountWrite, Decision, RateKey};

/// A full table makes room for this part of it at once, so that a flood does not sort it anew for every knock.
const ROOM: u64 = 64;

/// What a knock is decided on.
#[derive(Clone, Copy, Debug, Default)]
pub struct KnockFacts {
    /// Counter of the caller's address.
    pub rate: RateRow,
    /// Challenges that are kept and not expired.
    pub open_challenges: u64,
    /// Whether an account was logged into from the caller's address, within [`super::super::ladder::SUCCESS_MEMORY`].
    pub known_address: bool,
}

/// `POST /auth/knock`: a challenge for this device, if its address has not knocked too often.
///
/// A full table refuses nobody: it makes room at the cost of the origins that have most challenges in it, so that
/// whoever fills it loses his own.
pub fn knock(
    request: KnockRequest,
    caller: &Caller,
    facts: KnockFacts,
    policy: &AccountPolicy,
    now: OffsetDateTime,
    rng: &mut impl CryptoRng,
) -> Decision<Result<KnockReply, Refusal>> {
    let rate = match KNOCK_LIMIT.take(facts.rate, now) {
        Ok(rate) => rate,
        Err(seconds) => return Decision::only(Err(Refusal::wait(ApiError::RateLimited, seconds))),
    };
    let challenge = Challenge::generate(rng);
    let reply = KnockReply {
        challenge: challenge.as_str().to_owned(),
        expires_in: u32::try_from(CHALLENGE_LIFETIME.whole_seconds()).unwrap_or(u32::MAX),
        message: "Provide your passphrase within 5 minutes",
    };
    let record = ChallengeRecord {
        challenge,
        device: request.device,
        origin: origin(caller, facts.known_address),
        created_at: now,
        expires_at: now.saturating_add(CHALLENGE_LIFETIME),
        used: false,
    };
    let mut decision = Decision::only(Ok(reply));
    let over = (facts.open_challenges + 1).saturating_sub(policy.max_open_challenges);
    if over > 0 {
        let count = over.max(policy.max_open_challenges / ROOM);
        decision.writes.push(AccountWrite::EvictChallenges { count, at: now });
    }
    decision.writes.push(AccountWrite::PutRate(RateKey::Knock(caller.address), rate));
    decision.writes.push(AccountWrite::InsertChallenge(Box::new(record)));
    decision
}

/// Whose share of the open challenges one counts to. A live key or an earlier success has a share of its own; for
/// strangers it is that of their network.
fn origin(caller: &Caller, known_address: bool) -> String {
    match &caller.key_of {
        Some(user) => format!("user {user}"),
        None if known_address => format!("address {}", caller.address),
        None => format!("network {}", caller.address.network()),
    }
}

/// What an attempt at a passphrase is decided on, before it is verified.
#[derive(Clone, Debug, Default)]
pub struct AttemptFacts {
    /// The challenge sent, if it is known.
    pub challenge: Option<ChallengeRecord>,
    /// The account named, if it exists.
    pub user: Option<User>,
    /// Its counters.
    pub rows: LadderRows,
}

/// `POST /auth/exchange`, read and ready for its first transaction.
#[derive(Debug)]
pub struct Exchange {
    login: Login,
    phrase: CanonicalPhrase,
}

impl Exchange {
    /// Reads the request. `sole`: the only account, where there is exactly one.
    pub fn parse(
        request: ExchangeRequest,
        sole: Option<&UserId>,
        caller: &Caller,
        subjects: &SecretBytes<32>,
    ) -> Result<Self, Refusal> {
        let user = resolve(request.user, sole)?;
        let guess = Guess::new(AccountEvent::Exchange, LadderScope::Passphrase, user, caller, subjects);
        let login = Login { guess, challenge: request.challenge.parse()?, device: request.device };
        Ok(Self { login, phrase: CanonicalPhrase::new(&request.passphrase) })
    }

    /// The account named; facts are to be read for it.
    pub fn user(&self) -> &UserId {
        &self.login.guess.user
    }

    /// The challenge sent.
    pub fn challenge(&self) -> &Challenge {
        &self.login.challenge
    }

    /// The counters that apply.
    pub fn ladder_key(&self) -> LadderKey {
        self.login.guess.key
    }

    /// First transaction: takes the challenge and counts the attempt. Nothing was verified yet.
    pub fn admit(self, facts: &AttemptFacts, now: OffsetDateTime) -> Decision<Result<Admitted, Refusal>> {
        let Self { login, phrase } = self;
        login.admit(facts, now, |login, counted| Admitted {
            login,
            phrase,
            stored: facts.user.clone(),
            counted,
        })
    }
}

/// A counted attempt whose phrase is to be verified, on the bounded pool.
#[derive(Debug)]
pub struct Admitted {
    login: Login,
    phrase: CanonicalPhrase,
    stored: Option<User>,
    counted: Counted,
}

impl Admitted {
    /// One Argon2id, two when the stored cost is out of date and the phrase is good. An unknown name costs the same.
    pub fn verify(
        self,
        policy: &AccountPolicy,
        arena: &mut Arena,
        rng: &mut impl CryptoRng,
    ) -> Result<Checked<Verified>, HashError> {
        let Self { login, phrase, stored, counted } = self;
        let Some(user) = stored else {
            verify_nobody(&phrase, policy.hash_cost, arena)?;
            return Ok(Checked::Bad(login.guess.failed(ApiError::InvalidPassphrase, counted, false)));
        };
        if !user.passphrase_hash.verify(&phrase, arena)? {
            return Ok(Checked::Bad(login.guess.failed(ApiError::InvalidPassphrase, counted, true)));
        }
        let outdated = user.passphrase_hash.needs_upgrade(policy.hash_cost);
        let upgrade =
            if outdated { Some(PhraseHash::create(&phrase, policy.hash_cost, arena, rng)?) } else { None };
        let enrol = user.opaque.is_none().then_some(phrase);
        Ok(Checked::Good(Verified { login, proven: user.phrase_revision, counted, upgrade, enrol }))
    }
}

/// Proof that the caller knows the phrase of revision `proven`.
#[derive(Debug)]
pub struct Verified {
    login: Login,
    proven: PhraseRevision,
    counted: Counted,
    upgrade: Option<PhraseHash>,
    enrol: Option<CanonicalPhrase>,
}

/// What a key is issued on. Read afresh: between the transactions everything may have changed.
#[derive(Clone, Debug, Default)]
pub struct IssueFacts {
    /// The account.
    pub user: Option<User>,
    /// Its unrevoked devices with the fingerprint of the request; none where the request has no fingerprint.
    pub same_fingerprint: Vec<DeviceId>,
    /// All device ids, anybody's and revoked ones too, that begin with [`Verified::id_stem`].
    pub taken: Vec<DeviceId>,
    /// The counters.
    pub rows: LadderRows,
}

/// A key, and what is left to do after the answer.
#[derive(Debug)]
pub struct Issued {
    /// The answer.
    pub reply: ExchangeReply,
    /// Enrolment for OPAQUE, when the account has none: run it on the pool, then write what it gives.
    pub enrol: Option<Enrolment>,
}

impl Verified {
    /// The proof that OPAQUE gives.
    pub(super) fn by_opaque(login: Login, proven: PhraseRevision, counted: Counted) -> Self {
        Self { login, proven, counted, upgrade: None, enrol: None }
    }

    /// The account.
    pub fn user(&self) -> &UserId {
        &self.login.guess.user
    }

    /// The device that gets the key.
    pub fn device(&self) -> &Device {
        &self.login.device
    }

    /// The counters that apply.
    pub fn ladder_key(&self) -> LadderKey {
        self.login.guess.key
    }

    /// What the new device id begins with.
    pub fn id_stem(&self, now: OffsetDateTime) -> DeviceId {
        DeviceId::stem(&self.login.device, now)
    }

    /// Second transaction: the key. Refused when the phrase was changed meanwhile.
    pub fn issue(
        self,
        facts: &IssueFacts,
        policy: &AccountPolicy,
        now: OffsetDateTime,
        rng: &mut impl CryptoRng,
    ) -> Decision<Result<Issued, Refusal>> {
        let Self { login, proven, counted, upgrade, enrol } = self;
        if facts.user.as_ref().is_none_or(|user| user.phrase_revision != proven) {
            let failed = login.guess.failed(ApiError::InvalidPassphrase, counted, facts.user.is_some());
            let Decision { outcome, writes, audit, alerts } = failed;
            return Decision { outcome: Err(outcome), writes, audit, alerts };
        }
        let user = login.guess.user.clone();
        let device_id = DeviceId::first_free(&login.device, now, &facts.taken);
        let api_key = DeviceKey::generate(login.device.kind, rng);
        let expires_at = policy.key_lifetime.map(|length| now.saturating_add(length));
        let record = DeviceKeyRecord {
            device_id: device_id.clone(),
            user_id: user.clone(),
            api_key_hash: api_key.hash(),
            api_key_prefix: api_key.prefix(),
            device: login.device.clone(),
            issued_at: now,
            last_used: None,
            expires_at,
            revoked_at: None,
            previous_key_hash: None,
            previous_valid_until: None,
            legacy: false,
        };
        let mut writes = vec![login.guess.give_back(facts.rows, now)];
        let mut audit =
            vec![AccountAudit { device: Some(device_id.clone()), ..login.guess.audit(true, None) }];
        for old in &facts.same_fingerprint {
            writes.push(AccountWrite::RevokeKey { user: user.clone(), device: old.clone(), at: now });
            audit.push(AccountAudit {
                event: AccountEvent::Revoke,
                device: Some(old.clone()),
                ..login.guess.audit(true, None)
            });
        }
        writes.push(AccountWrite::InsertKey(Box::new(record)));
        if let Some(new) = upgrade {
            writes.push(AccountWrite::UpgradeHash { user: user.clone(), revision: proven, new });
        }
        let enrol = enrol.map(|phrase| Enrolment { user: user.clone(), phrase, revision: proven });
        let revoke_endpoint = format!("/auth/revoke/{device_id}");
        let reply = ExchangeReply {
            success: true,
            api_key,
            device_id,
            user,
            issued_at: now,
            expires_at,
            revoke_endpoint,
        };
        Decision { outcome: Ok(Issued { reply, enrol }), writes, audit, alerts: Vec::new() }
    }
}

/// An OPAQUE enrolment to be computed.
#[derive(Debug)]
pub struct Enrolment {
    user: UserId,
    phrase: CanonicalPhrase,
    revision: PhraseRevision,
}

impl Enrolment {
    /// Computes the record (64 MiB; on the pool, one at a time) and gives the guarded write for it.
    pub fn run(
        self,
        setup: &OpaqueSetup,
        arena: &mut Arena,
        rng: &mut impl CryptoRng,
    ) -> Result<AccountWrite, OpaqueError> {
        let record = OpaqueRecord::enrol(setup, &self.user, &self.phrase, arena, rng)?;
        Ok(AccountWrite::SetOpaque { user: self.user, revision: self.revision, record })
    }
}

/// What plain exchange and OPAQUE have in common.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) guess: Guess,
    pub(super) challenge: Challenge,
    pub(super) device: Device,
}

impl Login {
    pub(super) fn admit<T>(
        self,
        facts: &AttemptFacts,
        now: OffsetDateTime,
        next: impl FnOnce(Self, Counted) -> T,
    ) -> Decision<Result<T, Refusal>> {
        let known = facts.user.is_some();
        if !challenge_is_good(facts.challenge.as_ref(), &self.challenge, Some(&self.device), now) {
            let error = ApiError::InvalidChallenge;
            let mut decision = Decision::only(Err(error.into()));
            decision.audit.push(self.guess.audit(known, Some(error)));
            return decision;
        }
        let mut decision_writes = vec![AccountWrite::UseChallenge(self.challenge.clone())];
        match self.guess.count(facts.rows, known, now, &mut decision_writes) {
            Ok(counted) => Decision {
                outcome: Ok(next(self, counted)),
                writes: decision_writes,
                audit: Vec::new(),
                alerts: Vec::new(),
            },
            Err(refusal) => Decision {
                outcome: Err(refusal),
                writes: decision_writes,
                audit: vec![self.guess.audit(known, Some(refusal.error))],
                alerts: Vec::new(),
            },
        }
    }
}

/// Known, unused, in time, and this device's where a device is given.
pub(super) fn challenge_is_good(
    record: Option<&ChallengeRecord>,
    sent: &Challenge,
    device: Option<&Device>,
    now: OffsetDateTime,
) -> bool {
    record.is_some_and(|record| {
        record.challenge == *sent
            && !record.used
            && now < record.expires_at
            && device.is_none_or(|device| record.device.may_be_answered_by(device))
    })
}

/// The version written with every new hash.
pub(super) fn current_version() -> u8 {
    PHRASE_VERSION
}

/// The address a decision is about, for audits of calls that have no ladder.
pub(super) fn audit_of(
    event: AccountEvent,
    user: &UserId,
    device: Option<DeviceId>,
    address: Option<ClientAddress>,
) -> AccountAudit {
    AccountAudit { event, user: Some(user.clone()), device, address, refused: None }
}
