//! The writes of a decision as statements. A guarded one that hits no row fails the whole decision.

use durward_broker::accounts::{
    AccountWrite, Challenge, ChallengeRecord, Device, DeviceId, DeviceKeyRecord, DeviceName, LadderAlert,
    LadderKey, LadderRow, OpaqueLoginRecord, OpaqueRecord, PhraseHash, PhraseRevision, RateKey, RateRow,
    RecoveryCodeRecord, RecoveryHash, Subject, TotalRow, User, UserId,
};
use time::OffsetDateTime;

use super::ask::rate_name;
use super::sweep::{evict_challenges, evict_unknown, micros};
use crate::Error;
use crate::database::{Dialect, Link, Value};

const FASTER: &str = "another request was faster";

/// Whose keys a write has touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    Device(DeviceId),
    User(UserId),
}

/// Where writes go.
pub(super) struct Applier<'a, 'c> {
    pub(super) link: &'a mut Link<'c>,
    pub(super) dialect: Dialect,
    /// For `written_at`.
    pub(super) at: OffsetDateTime,
    pub(super) max_unknown: Option<u64>,
    pub(super) touched: Vec<Touched>,
}

impl Applier<'_, '_> {
    pub(super) async fn apply(&mut self, write: AccountWrite) -> Result<(), Error> {
        use AccountWrite as W;
        match write {
            W::InsertUser(user) => self.insert_user(&user).await,
            W::DeleteUser(user) => self.delete_user(user).await,
            W::SetPhrase { user, hash, version, revision, opaque, at } => {
                self.set_phrase(&user, &hash, version, &revision, opaque, at).await
            }
            W::UpgradeHash { user, revision, new } => self.upgrade_hash(&user, &revision, &new).await,
            W::SetOpaque { user, revision, record } => self.set_opaque(&user, &revision, &record).await,
            W::InsertKey(record) => self.insert_key(&record).await,
            W::RevokeKey { user, device, at } => self.revoke_key(&user, device, at).await,
            W::RevokeAllKeys { user, at } => self.revoke_all_keys(user, at).await,
            W::RenameKey { user, device, name } => self.rename_key(&user, device, &name).await,
            rotation @ W::RotateKey { .. } => self.rotate_key(rotation).await,
            W::InsertChallenge(record) => self.insert_challenge(&record).await,
            W::EvictChallenges { count, at } => evict_challenges(self.link, self.dialect, count, at).await,
            W::UseChallenge(challenge) => self.use_challenge(&challenge).await,
            W::PutLadder { key, own, total, known } => self.put_ladder(&key, own, total, known).await,
            W::ClearLadder(subject) => self.clear_ladder(&subject).await,
            W::PutRate(key, row) => self.put_rate(&key, row).await,
            W::InsertOpaqueLogin(record) => self.insert_login(&record).await,
            W::TakeOpaqueLogin(login) => self.take_login(&login).await,
            W::ReplaceRecoveryCodes(user, codes) => self.replace_codes(&user, codes).await,
            W::UseRecoveryCode { user, code, at } => self.use_code(&user, &code, at).await,
        }
    }

    async fn set_phrase(
        &mut self,
        user: &UserId,
        hash: &PhraseHash,
        version: u8,
        revision: &PhraseRevision,
        opaque: Option<OpaqueRecord>,
        at: OffsetDateTime,
    ) -> Result<(), Error> {
        let sql = "UPDATE users SET passphrase_hash = $2, phrase_version = $3, phrase_revision = $4, opaque_record = $5, updated_at = $6 WHERE user_id = $1";
        let values = vec![
            name(user),
            hash.expose_phc().to_owned().into(),
            i64::from(version).into(),
            revision.as_bytes().as_slice().into(),
            Value::Blob(opaque.map(|record| record.as_bytes().to_vec())),
            micros(at)?.into(),
        ];
        self.exactly_one(sql, values, "there is no such account").await
    }

    async fn upgrade_hash(
        &mut self,
        user: &UserId,
        revision: &PhraseRevision,
        new: &PhraseHash,
    ) -> Result<(), Error> {
        let sql = "UPDATE users SET passphrase_hash = $3 WHERE user_id = $1 AND phrase_revision = $2";
        let values =
            vec![name(user), revision.as_bytes().as_slice().into(), new.expose_phc().to_owned().into()];
        self.any(sql, values).await
    }

    async fn set_opaque(
        &mut self,
        user: &UserId,
        revision: &PhraseRevision,
        record: &OpaqueRecord,
    ) -> Result<(), Error> {
        let sql = "UPDATE users SET opaque_record = $3 WHERE user_id = $1 AND phrase_revision = $2";
        let values = vec![name(user), revision.as_bytes().as_slice().into(), record.as_bytes().into()];
        self.any(sql, values).await
    }

    async fn revoke_key(&mut self, user: &UserId, device: DeviceId, at: OffsetDateTime) -> Result<(), Error> {
        let sql = "UPDATE device_keys SET revoked_at = $3 WHERE user_id = $1 AND device_id = $2 AND revoked_at IS NULL";
        let values = vec![name(user), id(&device), micros(at)?.into()];
        self.touched.push(Touched::Device(device));
        self.any(sql, values).await
    }

    async fn revoke_all_keys(&mut self, user: UserId, at: OffsetDateTime) -> Result<(), Error> {
        let sql = "UPDATE device_keys SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL";
        let values = vec![name(&user), micros(at)?.into()];
        self.touched.push(Touched::User(user));
        self.any(sql, values).await
    }

    async fn rename_key(&mut self, user: &UserId, device: DeviceId, new: &DeviceName) -> Result<(), Error> {
        let sql = "UPDATE device_keys SET device_name = $3 WHERE user_id = $1 AND device_id = $2";
        let values = vec![name(user), id(&device), new.as_str().to_owned().into()];
        self.touched.push(Touched::Device(device));
        self.exactly_one(sql, values, "there is no such device").await
    }

    /// Takes the whole write, which has more fields than a function should have arguments.
    async fn rotate_key(&mut self, rotation: AccountWrite) -> Result<(), Error> {
        let AccountWrite::RotateKey {
            device,
            current,
            new,
            prefix,
            previous,
            previous_valid_until,
            at,
            expires_at,
        } = rotation
        else {
            return Ok(());
        };
        let sql = "UPDATE device_keys SET api_key_hash = $3, api_key_prefix = $4, previous_key_hash = $5, previous_valid_until = $6, issued_at = $7, expires_at = $8, last_used = NULL WHERE device_id = $1 AND api_key_hash = $2 AND revoked_at IS NULL";
        let values = vec![
            id(&device),
            current.as_bytes().as_slice().into(),
            new.as_bytes().as_slice().into(),
            prefix.into(),
            previous.as_bytes().as_slice().into(),
            micros(previous_valid_until)?.into(),
            micros(at)?.into(),
            Value::Int(expires_at.map(micros).transpose()?),
        ];
        self.touched.push(Touched::Device(device));
        self.exactly_one(sql, values, FASTER).await
    }

    async fn insert_challenge(&mut self, record: &ChallengeRecord) -> Result<(), Error> {
        let [kind, device_name, fingerprint] = device(&record.device);
        let sql = "INSERT INTO challenges (challenge, device_type, device_name, device_fingerprint, created_at, expires_at, used, origin) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let values = vec![
            record.challenge.as_str().to_owned().into(),
            kind,
            device_name,
            fingerprint,
            micros(record.created_at)?.into(),
            micros(record.expires_at)?.into(),
            i64::from(record.used).into(),
            record.origin.clone().into(),
        ];
        self.any(sql, values).await
    }

    async fn use_challenge(&mut self, challenge: &Challenge) -> Result<(), Error> {
        let sql = "UPDATE challenges SET used = 1 WHERE challenge = $1 AND used = 0";
        self.exactly_one(sql, vec![challenge.as_str().to_owned().into()], FASTER).await
    }

    async fn clear_ladder(&mut self, subject: &Subject) -> Result<(), Error> {
        let subject = || vec![Value::from(subject.as_bytes().as_slice())];
        self.any("DELETE FROM ladder WHERE subject = $1", subject()).await?;
        self.any("DELETE FROM ladder_total WHERE subject = $1", subject()).await
    }

    async fn put_rate(&mut self, key: &RateKey, row: RateRow) -> Result<(), Error> {
        let sql = "INSERT INTO rates (key, window_start, count) VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET window_start = excluded.window_start, count = excluded.count";
        let values = vec![
            rate_name(key).into(),
            Value::Int(row.window_start.map(micros_up).transpose()?),
            i64::from(row.count).into(),
        ];
        self.any(sql, values).await
    }

    async fn take_login(&mut self, login: &Challenge) -> Result<(), Error> {
        let values = vec![login.as_str().to_owned().into()];
        self.exactly_one("DELETE FROM opaque_logins WHERE login_id = $1", values, FASTER).await
    }

    async fn replace_codes(&mut self, user: &UserId, codes: Vec<RecoveryCodeRecord>) -> Result<(), Error> {
        self.any("DELETE FROM recovery_codes WHERE user_id = $1", vec![name(user)]).await?;
        for code in codes {
            let sql = "INSERT INTO recovery_codes (user_id, code_hash, created_at, used_at) VALUES ($1, $2, $3, $4)";
            let values = vec![
                name(&code.user_id),
                code.code_hash.as_bytes().as_slice().into(),
                micros(code.created_at)?.into(),
                Value::Int(code.used_at.map(micros).transpose()?),
            ];
            self.any(sql, values).await?;
        }
        Ok(())
    }

    async fn use_code(
        &mut self,
        user: &UserId,
        code: &RecoveryHash,
        at: OffsetDateTime,
    ) -> Result<(), Error> {
        let sql = "UPDATE recovery_codes SET used_at = $3 WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL";
        let values = vec![name(user), code.as_bytes().as_slice().into(), micros(at)?.into()];
        self.exactly_one(sql, values, FASTER).await
    }

    async fn insert_user(&mut self, user: &User) -> Result<(), Error> {
        let sql = "INSERT INTO users (user_id, passphrase_hash, phrase_version, phrase_revision, opaque_record, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
        let values = vec![
            name(&user.user_id),
            user.passphrase_hash.expose_phc().to_owned().into(),
            i64::from(user.phrase_version).into(),
            user.phrase_revision.as_bytes().as_slice().into(),
            Value::Blob(user.opaque.as_ref().map(|record| record.as_bytes().to_vec())),
            micros(user.created_at)?.into(),
            micros(user.updated_at)?.into(),
        ];
        self.exactly_one(sql, values, "the account exists already").await
    }

    async fn delete_user(&mut self, user: UserId) -> Result<(), Error> {
        for sql in [
            "DELETE FROM device_keys WHERE user_id = $1",
            "DELETE FROM recovery_codes WHERE user_id = $1",
            "DELETE FROM opaque_logins WHERE user_id = $1",
            "DELETE FROM users WHERE user_id = $1",
        ] {
            self.any(sql, vec![name(&user)]).await?;
        }
        self.any("DELETE FROM rates WHERE key = $1", vec![format!("change:{user}").into()]).await?;
        self.touched.push(Touched::User(user));
        Ok(())
    }

    async fn insert_key(&mut self, record: &DeviceKeyRecord) -> Result<(), Error> {
        let [kind, device_name, fingerprint] = device(&record.device);
        let sql = "INSERT INTO device_keys (device_id, user_id, api_key_hash, api_key_prefix, device_type, device_name, device_fingerprint, issued_at, last_used, expires_at, revoked_at, previous_key_hash, previous_valid_until, legacy) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING";
        let values = vec![
            id(&record.device_id),
            name(&record.user_id),
            record.api_key_hash.as_bytes().as_slice().into(),
            record.api_key_prefix.clone().into(),
            kind,
            device_name,
            fingerprint,
            micros(record.issued_at)?.into(),
            Value::Int(record.last_used.map(micros).transpose()?),
            Value::Int(record.expires_at.map(micros).transpose()?),
            Value::Int(record.revoked_at.map(micros).transpose()?),
            Value::Blob(record.previous_key_hash.map(|hash| hash.as_bytes().to_vec())),
            Value::Int(record.previous_valid_until.map(micros).transpose()?),
            i64::from(record.legacy).into(),
        ];
        self.touched.push(Touched::Device(record.device_id.clone()));
        self.exactly_one(sql, values, "the key or its device exists already").await
    }

    async fn insert_login(&mut self, record: &OpaqueLoginRecord) -> Result<(), Error> {
        let [kind, device_name, fingerprint] = device(&record.device);
        let alert = record.counted.alert.map(|alert| match alert {
            LadderAlert::Persistent => "persistent",
            LadderAlert::Distributed => "distributed",
        });
        let sql = "INSERT INTO opaque_logins (login_id, user_id, known, phrase_revision, device_type, device_name, device_fingerprint, address, attempts_remaining, alert, state, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        let values = vec![
            record.login_id.as_str().to_owned().into(),
            name(&record.user_id),
            i64::from(record.known).into(),
            Value::Blob(record.phrase_revision.map(|revision| revision.as_bytes().to_vec())),
            kind,
            device_name,
            fingerprint,
            record.address.to_string().into(),
            i64::from(record.counted.attempts_remaining).into(),
            Value::Text(alert.map(str::to_owned)),
            record.state.expose_bytes().into(),
            micros(record.expires_at)?.into(),
        ];
        self.any(sql, values).await
    }

    async fn put_ladder(
        &mut self,
        key: &LadderKey,
        own: LadderRow,
        total: TotalRow,
        known: bool,
    ) -> Result<(), Error> {
        let (known_flag, written) = (Value::from(i64::from(known)), micros(self.at)?);
        let sql = "INSERT INTO ladder_total (scope, subject, window_start, failures, known, written_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (scope, subject) DO UPDATE SET window_start = excluded.window_start, failures = excluded.failures, known = excluded.known, written_at = excluded.written_at";
        let values = vec![
            key.scope.as_str().to_owned().into(),
            key.subject.as_bytes().as_slice().into(),
            Value::Int(total.window_start.map(micros_up).transpose()?),
            i64::from(total.failures).into(),
            known_flag.clone(),
            written.into(),
        ];
        self.any(sql, values).await?;
        let sql = "INSERT INTO ladder (scope, subject, address, failures, last_failure, locked_until, last_success, known, written_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (scope, subject, address) DO UPDATE SET failures = excluded.failures, last_failure = excluded.last_failure, locked_until = excluded.locked_until, last_success = excluded.last_success, known = excluded.known, written_at = excluded.written_at";
        let values = vec![
            key.scope.as_str().to_owned().into(),
            key.subject.as_bytes().as_slice().into(),
            key.address.to_string().into(),
            i64::from(own.failures).into(),
            Value::Int(own.last_failure.map(micros).transpose()?),
            Value::Int(own.locked_until.map(micros_up).transpose()?),
            Value::Int(own.last_success.map(micros).transpose()?),
            known_flag,
            written.into(),
        ];
        self.any(sql, values).await?;
        match self.max_unknown.filter(|_| !known) {
            Some(max) => evict_unknown(self.link, self.dialect, max).await,
            None => Ok(()),
        }
    }

    async fn any(&mut self, sql: &'static str, values: Vec<Value>) -> Result<(), Error> {
        self.link.execute(sql, values).await.map(|_| ())
    }

    async fn exactly_one(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
        otherwise: &'static str,
    ) -> Result<(), Error> {
        match self.link.execute(sql, values).await? {
            1 => Ok(()),
            _ => Err(Error::Conflict(otherwise)),
        }
    }
}

fn name(user: &UserId) -> Value {
    user.as_str().to_owned().into()
}

fn id(device: &DeviceId) -> Value {
    device.as_str().to_owned().into()
}

fn device(device: &Device) -> [Value; 3] {
    [
        device.kind.as_str().to_owned().into(),
        device.name.as_str().to_owned().into(),
        Value::Text(device.fingerprint.as_ref().map(|f| f.as_str().to_owned())),
    ]
}

/// Whole microseconds, rounded up: what ends a lock must not end it early.
fn micros_up(at: OffsetDateTime) -> Result<i64, Error> {
    micros(at.saturating_add(time::Duration::nanoseconds(999)))
}
