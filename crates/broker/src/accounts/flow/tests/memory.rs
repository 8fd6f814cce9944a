//! A store in a few maps, and a server's steps over it.

use std::collections::HashMap;

use durward_protocol::{SecretBytes, SecretString};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::accounts::*;

pub(super) const PHRASE: &str = "I remember what I have learned from you.";

/// Two addresses, far apart.
pub(super) const HOME: &str = "192.0.2.1";
pub(super) const AFAR: &str = "203.0.113.9";

pub(super) struct World {
    pub(super) now: OffsetDateTime,
    pub(super) rng: StdRng,
    pub(super) policy: AccountPolicy,
    pub(super) subjects: SecretBytes<32>,
    pub(super) arena: Arena,
    pub(super) users: HashMap<UserId, User>,
    pub(super) keys: Vec<DeviceKeyRecord>,
    pub(super) challenges: HashMap<String, ChallengeRecord>,
    pub(super) own: HashMap<LadderKey, LadderRow>,
    pub(super) total: HashMap<(LadderScope, Subject), TotalRow>,
    pub(super) rates: HashMap<RateKey, RateRow>,
    pub(super) logins: HashMap<String, OpaqueLoginRecord>,
    pub(super) codes: Vec<RecoveryCodeRecord>,
    pub(super) audit: Vec<AccountAudit>,
    pub(super) meter: AuditMeter,
    pub(super) alerts: Vec<Alert>,
}

impl World {
    /// A server with the account `alan`, at the time of the documentation's examples.
    pub(super) fn new() -> Self {
        let mut world = Self {
            now: datetime!(2026-01-19 07:10:00.25 UTC),
            rng: StdRng::seed_from_u64(7),
            policy: AccountPolicy { hash_cost: HashCost::new(32, 1, 1).unwrap(), ..AccountPolicy::DEFAULT },
            subjects: SecretBytes::new([9; 32]),
            arena: Arena::new(),
            users: HashMap::new(),
            keys: Vec::new(),
            challenges: HashMap::new(),
            own: HashMap::new(),
            total: HashMap::new(),
            rates: HashMap::new(),
            logins: HashMap::new(),
            codes: Vec::new(),
            audit: Vec::new(),
            meter: AuditMeter::default(),
            alerts: Vec::new(),
        };
        world.add("alan", PHRASE);
        world
    }

    pub(super) fn add(&mut self, name: &str, phrase: &str) -> Vec<RecoveryCode> {
        let phrase = CanonicalPhrase::new_strong(&phrase.to_owned().into()).unwrap();
        let hash =
            PhraseHash::create(&phrase, self.policy.hash_cost, &mut self.arena, &mut self.rng).unwrap();
        let new = NewAccount { user: name.parse().unwrap(), hash, opaque: None };
        let decision = add_account(new, self.now, &mut self.rng);
        self.commit(decision).unwrap()
    }

    pub(super) fn wait(&mut self, length: Duration) {
        self.now += length;
    }

    pub(super) fn caller(address: &str, key_of: Option<&str>) -> Caller {
        Caller {
            address: ClientAddress::new(address.parse().unwrap()),
            key_of: key_of.map(|user| user.parse().unwrap()),
        }
    }

    pub(super) fn sole(&self) -> Option<UserId> {
        if self.users.len() == 1 { self.users.keys().next().cloned() } else { None }
    }

    pub(super) fn knock(&mut self, address: &str, body: &Value) -> Result<KnockReply, Refusal> {
        let request: KnockRequest = parse_body(body.to_string().as_bytes())?;
        let caller = Self::caller(address, None);
        let facts = KnockFacts {
            rate: self.rates.get(&RateKey::Knock(caller.address)).copied().unwrap_or_default(),
            open_challenges: self.challenges.values().filter(|c| self.now < c.expires_at).count() as u64,
            known_address: self
                .own
                .iter()
                .any(|(key, row)| key.address == caller.address && row.last_success.is_some()),
        };
        let decision = knock(request, &caller, facts, &self.policy, self.now, &mut self.rng);
        self.commit(decision).unwrap()
    }

    /// A challenge for `device`, past the limit on knocks.
    pub(super) fn challenge(&mut self, device: &Value) -> String {
        self.rates.clear();
        self.knock("198.51.100.77", &json!({ "device": device })).unwrap().challenge
    }

    pub(super) fn exchange(&mut self, caller: &Caller, body: &Value) -> Result<Issued, Refusal> {
        let admitted = self.exchange_admit(caller, body)?;
        let checked = admitted.verify(&self.policy, &mut self.arena, &mut self.rng).unwrap();
        self.issue(checked)
    }

    pub(super) fn exchange_admit(&mut self, caller: &Caller, body: &Value) -> Result<Admitted, Refusal> {
        let request: ExchangeRequest = parse_body(body.to_string().as_bytes())?;
        let exchange = Exchange::parse(request, self.sole().as_ref(), caller, &self.subjects)?;
        let facts = self.attempt_facts(exchange.challenge(), exchange.user(), exchange.ladder_key());
        let decision = exchange.admit(&facts, self.now);
        self.commit(decision).unwrap_or(Err(ApiError::InvalidChallenge.into()))
    }

    pub(super) fn attempt_facts(&self, challenge: &Challenge, user: &UserId, key: LadderKey) -> AttemptFacts {
        AttemptFacts {
            challenge: self.challenges.get(challenge.as_str()).cloned(),
            user: self.users.get(user).cloned(),
            rows: self.rows(key),
        }
    }

    pub(super) fn issue(&mut self, checked: Checked<Verified>) -> Result<Issued, Refusal> {
        let verified = match checked {
            Checked::Good(verified) => verified,
            Checked::Bad(decision) => return Err(self.commit(decision).unwrap()),
        };
        let stem = verified.id_stem(self.now);
        let device = verified.device().clone();
        let facts = IssueFacts {
            user: self.users.get(verified.user()).cloned(),
            same_fingerprint: self
                .keys
                .iter()
                .filter(|key| key.user_id == *verified.user() && key.revoked_at.is_none())
                .filter(|key| device.fingerprint.is_some() && key.device.fingerprint == device.fingerprint)
                .map(|key| key.device_id.clone())
                .collect(),
            taken: self
                .keys
                .iter()
                .map(|key| key.device_id.clone())
                .filter(|id| id.as_str().starts_with(stem.as_str()))
                .collect(),
            rows: self.rows(verified.ladder_key()),
        };
        let decision = verified.issue(&facts, &self.policy, self.now, &mut self.rng);
        self.commit(decision).unwrap()
    }

    pub(super) fn change(&mut self, caller: &Caller, body: &Value) -> Result<ChangeReply, Refusal> {
        let request: ChangeRequest = parse_body(body.to_string().as_bytes())?;
        let user = caller.key_of.clone().unwrap();
        let change = Change::parse(&request, user.clone(), caller, &self.subjects)?;
        let key = change.ladder_key();
        let decision = change.admit(self.change_facts(&user, key), self.now);
        let admitted = self.commit(decision).unwrap()?;
        let commit = match admitted.verify(&self.policy, &mut self.arena, &mut self.rng).unwrap() {
            Checked::Good(commit) => commit,
            Checked::Bad(decision) => return Err(self.commit(decision).unwrap()),
        };
        let facts = self.change_facts(&user, key);
        let decision = commit.commit(&facts, self.now);
        self.commit(decision).unwrap()
    }

    fn change_facts(&self, user: &UserId, key: LadderKey) -> ChangeFacts {
        ChangeFacts {
            user: self.users.get(user).cloned(),
            rows: self.rows(key),
            rate: self.rates.get(&RateKey::Change(user.clone())).copied().unwrap_or_default(),
        }
    }

    pub(super) fn recover(&mut self, caller: &Caller, body: &Value) -> Result<RecoverReply, Refusal> {
        let request: RecoverRequest = parse_body(body.to_string().as_bytes())?;
        let recover = Recover::parse(request, self.sole().as_ref(), caller, &self.subjects)?;
        let (user, key) = (recover.user().clone(), recover.ladder_key());
        let challenge = self.challenges.get(recover.challenge().as_str()).cloned();
        let facts = RecoverFacts { challenge, ..self.recover_facts(&user, key) };
        let decision = recover.admit(&facts, self.now);
        let admitted = self.commit(decision).unwrap()?;
        let commit = admitted.hash(&self.policy, &mut self.arena, &mut self.rng).unwrap();
        let facts = self.recover_facts(&user, key);
        let decision = commit.commit(&facts, self.now);
        self.commit(decision).unwrap()
    }

    fn recover_facts(&self, user: &UserId, key: LadderKey) -> RecoverFacts {
        RecoverFacts {
            challenge: None,
            user: self.users.get(user).cloned(),
            codes: self.codes.iter().filter(|code| code.user_id == *user).cloned().collect(),
            rows: self.rows(key),
            passphrase_rows: self.rows(LadderKey { scope: LadderScope::Passphrase, ..key }),
        }
    }

    pub(super) fn rows(&self, key: LadderKey) -> LadderRows {
        LadderRows {
            own: self.own.get(&key).copied().unwrap_or_default(),
            total: self.total.get(&(key.scope, key.subject)).copied().unwrap_or_default(),
        }
    }

    pub(super) fn find(&self, key: &str) -> Option<&DeviceKeyRecord> {
        let hash = KeyHash::of_presented(key).ok()?;
        self.keys.iter().find(|record| record.api_key_hash == hash || record.previous_key_hash == Some(hash))
    }

    pub(super) fn works(&self, key: &str) -> bool {
        KeyHash::of_presented(key).is_ok_and(|hash| check_key(self.find(key), &hash, self.now).is_ok())
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&DeviceKeyRecord> {
        let id: DeviceId = id.parse().ok()?;
        self.keys.iter().find(|record| record.device_id == id)
    }

    /// Applies a decision whole; `None` when a write that must hit one row hit none.
    pub(super) fn commit<T>(&mut self, decision: Decision<T>) -> Option<T> {
        for write in decision.writes {
            if !self.apply(write) {
                return None;
            }
        }
        let mut audit = decision.audit;
        self.meter.pass(&mut audit, self.now);
        self.audit.extend(audit);
        self.alerts.extend(decision.alerts);
        Some(decision.outcome)
    }

    fn apply(&mut self, write: AccountWrite) -> bool {
        match write {
            AccountWrite::InsertUser(user) => self.users.insert(user.user_id.clone(), *user).is_none(),
            AccountWrite::DeleteUser(user) => {
                self.keys.retain(|key| key.user_id != user);
                self.codes.retain(|code| code.user_id != user);
                self.users.remove(&user).is_some()
            }
            AccountWrite::SetPhrase { user, hash, version, revision, opaque, at } => {
                self.users.get_mut(&user).is_some_and(|row| {
                    row.phrase_revision = revision;
                    (row.passphrase_hash, row.phrase_version, row.opaque, row.updated_at) =
                        (hash, version, opaque, at);
                    true
                })
            }
            AccountWrite::UpgradeHash { user, revision, new } => {
                let row = self.users.get_mut(&user).filter(|row| row.phrase_revision == revision);
                if let Some(row) = row {
                    row.passphrase_hash = new;
                }
                true
            }
            AccountWrite::SetOpaque { user, revision, record } => {
                let row = self.users.get_mut(&user).filter(|row| row.phrase_revision == revision);
                if let Some(row) = row {
                    row.opaque = Some(record);
                }
                true
            }
            AccountWrite::InsertKey(record) => {
                let free = self.keys.iter().all(|key| key.device_id != record.device_id);
                self.keys.push(*record);
                free
            }
            AccountWrite::RevokeKey { user, device, at } => {
                for key in self.keys.iter_mut().filter(|key| key.user_id == user && key.device_id == device) {
                    key.revoked_at.get_or_insert(at);
                }
                true
            }
            AccountWrite::RevokeAllKeys { user, at } => {
                for key in self.keys.iter_mut().filter(|key| key.user_id == user) {
                    key.revoked_at.get_or_insert(at);
                }
                true
            }
            AccountWrite::RenameKey { user, device, name } => {
                let mut rows =
                    self.keys.iter_mut().filter(|key| key.user_id == user && key.device_id == device);
                rows.next().map(|key| key.device.name = name).is_some()
            }
            AccountWrite::RotateKey {
                device,
                current,
                new,
                prefix,
                previous,
                previous_valid_until,
                at,
                expires_at,
            } => {
                let mut rows = self.keys.iter_mut().filter(|key| {
                    key.device_id == device && key.api_key_hash == current && key.revoked_at.is_none()
                });
                rows.next().is_some_and(|key| {
                    (key.api_key_hash, key.api_key_prefix, key.issued_at) = (new, prefix, at);
                    key.previous_key_hash = Some(previous);
                    key.previous_valid_until = Some(previous_valid_until);
                    key.expires_at = expires_at;
                    key.last_used = None;
                    true
                })
            }
            AccountWrite::InsertChallenge(record) => {
                self.challenges.insert(record.challenge.as_str().to_owned(), *record).is_none()
            }
            AccountWrite::EvictChallenges { count, at } => {
                let mut open: Vec<_> =
                    self.challenges.values().filter(|c| at < c.expires_at).cloned().collect();
                open.sort_by_key(|c| std::cmp::Reverse(c.created_at));
                let mut seen: HashMap<(bool, String), u64> = HashMap::new();
                let mut ranked: Vec<_> = open
                    .into_iter()
                    .map(|c| {
                        let younger = seen.entry((c.used, c.origin.clone())).or_default();
                        *younger += 1;
                        (c.used, *younger, std::cmp::Reverse(c.created_at), c.challenge)
                    })
                    .collect();
                ranked.sort_by_key(|row| std::cmp::Reverse((row.0, row.1, row.2)));
                for (.., challenge) in ranked.into_iter().take(usize::try_from(count).unwrap()) {
                    self.challenges.remove(challenge.as_str());
                }
                true
            }
            AccountWrite::UseChallenge(challenge) => self
                .challenges
                .get_mut(challenge.as_str())
                .is_some_and(|row| !std::mem::replace(&mut row.used, true)),
            AccountWrite::PutLadder { key, own, total, known: _ } => {
                self.own.insert(key, own);
                self.total.insert((key.scope, key.subject), total);
                true
            }
            AccountWrite::ClearLadder(subject) => {
                self.own.retain(|key, _| key.subject != subject);
                self.total.retain(|(_, owner), _| *owner != subject);
                true
            }
            AccountWrite::PutRate(key, row) => {
                self.rates.insert(key, row);
                true
            }
            AccountWrite::InsertOpaqueLogin(record) => {
                self.logins.insert(record.login_id.as_str().to_owned(), *record).is_none()
            }
            AccountWrite::TakeOpaqueLogin(id) => self.logins.remove(id.as_str()).is_some(),
            AccountWrite::ReplaceRecoveryCodes(user, codes) => {
                self.codes.retain(|code| code.user_id != user);
                self.codes.extend(codes);
                true
            }
            AccountWrite::UseRecoveryCode { user, code, at } => {
                let mut rows =
                    self.codes.iter_mut().filter(|row| row.user_id == user && row.code_hash == code);
                rows.next().is_some_and(|row| row.used_at.replace(at).is_none())
            }
        }
    }
}

/// The exchange's body for `device`.
pub(super) fn body(challenge: &str, device: &Value, phrase: &str) -> Value {
    json!({ "challenge": challenge, "passphrase": phrase, "device": device })
}

pub(super) fn mac() -> Value {
    json!({ "type": "terminal", "name": "MacBook Terminal", "fingerprint": "osx-Mac.lan" })
}

pub(super) fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}
