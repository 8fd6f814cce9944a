//! What a decision wants to know, and the answer: read under locks that last until the commit.

use std::fmt::Write as _;

use durward_broker::accounts::{
    AttemptFacts, Challenge, ChallengeRecord, ChangeFacts, ClientAddress, DeviceId, DeviceKeyRecord,
    Fingerprint, IssueFacts, KnockFacts, LadderKey, LadderRows, LadderScope, OpaqueLoginRecord, RateKey,
    RateRow, RecoverFacts, RecoveryCodeRecord, User, UserId,
};
use time::OffsetDateTime;

use super::row::{self, key_columns};
use super::sweep;
use crate::Error;
use crate::database::{Dialect, Link, Row, Value};

/// What to lock and read. Everything is optional; what is not asked for stays empty in the [`Facts`].
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The account of this name.
    pub user: Option<UserId>,
    /// The counters under this key.
    pub ladder: Option<LadderKey>,
    /// The counters of the same subject and address in the scope passphrase, too.
    pub passphrase_ladder: bool,
    /// The call counter under this key.
    pub rate: Option<RateKey>,
    /// How many challenges are not expired at this moment.
    pub open_challenges: Option<OffsetDateTime>,
    /// Whether this address has logged into any account, after this moment.
    pub success_from: Option<(ClientAddress, OffsetDateTime)>,
    /// This challenge.
    pub challenge: Option<Challenge>,
    /// The recovery codes of [`Ask::user`].
    pub codes: bool,
    /// All keys of [`Ask::user`].
    pub keys: bool,
    /// The key of this device.
    pub device: Option<DeviceId>,
    /// The unrevoked devices of [`Ask::user`] with this fingerprint.
    pub fingerprint: Option<Fingerprint>,
    /// All device ids that begin so.
    pub id_stem: Option<DeviceId>,
    /// This OPAQUE login, which is deleted by the reading.
    pub take_login: Option<Challenge>,
    /// Ladder rows of unknown names kept at most, when one is written.
    pub max_unknown_subjects: Option<u64>,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Facts {
    /// The account.
    pub user: Option<User>,
    /// Its counters.
    pub rows: LadderRows,
    /// Its counters in the scope passphrase, where asked for beside another scope's.
    pub passphrase_rows: LadderRows,
    /// The call counter.
    pub rate: RateRow,
    /// Open challenges.
    pub open_challenges: u64,
    /// Whether the address has had a success.
    pub known_address: bool,
    /// The challenge.
    pub challenge: Option<ChallengeRecord>,
    /// Recovery codes, used ones too.
    pub codes: Vec<RecoveryCodeRecord>,
    /// Keys of the account, dead ones too.
    pub keys: Vec<DeviceKeyRecord>,
    /// The device.
    pub device: Option<DeviceKeyRecord>,
    /// Devices with the fingerprint.
    pub same_fingerprint: Vec<DeviceId>,
    /// Ids with the stem.
    pub taken: Vec<DeviceId>,
    /// The login that was taken.
    pub login: Option<OpaqueLoginRecord>,
}

impl Facts {
    /// For a knock.
    pub fn knock(&self) -> KnockFacts {
        let Self { rate, open_challenges, known_address, .. } = *self;
        KnockFacts { rate, open_challenges, known_address }
    }

    /// For an attempt at a passphrase.
    pub fn attempt(self) -> AttemptFacts {
        AttemptFacts { challenge: self.challenge, user: self.user, rows: self.rows }
    }

    /// For the issue of a key.
    pub fn issue(self) -> IssueFacts {
        let Self { user, same_fingerprint, taken, rows, .. } = self;
        IssueFacts { user, same_fingerprint, taken, rows }
    }

    /// For a change of the phrase.
    pub fn change(self) -> ChangeFacts {
        ChangeFacts { user: self.user, rows: self.rows, rate: self.rate }
    }

    /// For a recovery.
    pub fn recover(self) -> RecoverFacts {
        let Self { challenge, user, codes, rows, passphrase_rows, .. } = self;
        RecoverFacts { challenge, user, codes, rows, passphrase_rows }
    }
}

/// Locks and reads, in the order of the module's head.
pub(super) async fn gather(link: &mut Link<'_>, dialect: Dialect, ask: &Ask) -> Result<Facts, Error> {
    let mut facts = Facts::default();
    let mut from = Reader { link, dialect };
    if let Some(user) = &ask.user {
        let name = || vec![user.as_str().to_owned().into()];
        facts.user = from
            .one(
                "SELECT user_id, passphrase_hash, phrase_version, phrase_revision, opaque_record, created_at, updated_at FROM users WHERE user_id = $1",
                "SELECT user_id, passphrase_hash, phrase_version, phrase_revision, opaque_record, created_at, updated_at FROM users WHERE user_id = $1 FOR UPDATE",
                name(),
                row::user,
            )
            .await?;
    }
    if let Some(key) = &ask.ladder {
        from.advise("ladder", key.subject.as_bytes()).await?;
        facts.rows = from.ladder(key).await?;
        if ask.passphrase_ladder {
            let key = LadderKey { scope: LadderScope::Passphrase, ..*key };
            facts.passphrase_rows = from.ladder(&key).await?;
        }
    }
    if let Some(key) = &ask.rate {
        let name = rate_name(key);
        from.advise("rate", name.as_bytes()).await?;
        let sql = "SELECT window_start, count FROM rates WHERE key = $1";
        facts.rate = from.one(sql, sql, vec![name.into()], row::rate).await?.unwrap_or_default();
    }
    if let Some(stem) = &ask.id_stem {
        from.advise("device", stem.as_str().as_bytes()).await?;
        let text = stem.as_str().to_owned();
        // A range, which the primary key's index serves: `~` sorts behind every character of an id.
        let sql = "SELECT device_id FROM device_keys WHERE device_id >= $1 AND device_id < $1 || '~'";
        facts.taken = from.all(sql, vec![text.into()], row::device_id).await?;
    }
    if let Some(challenge) = &ask.challenge {
        facts.challenge = from
            .one(
                "SELECT challenge, device_type, device_name, device_fingerprint, created_at, expires_at, used, origin FROM challenges WHERE challenge = $1",
                "SELECT challenge, device_type, device_name, device_fingerprint, created_at, expires_at, used, origin FROM challenges WHERE challenge = $1 FOR UPDATE",
                vec![challenge.as_str().to_owned().into()],
                row::challenge,
            )
            .await?;
    }
    if let Some(now) = ask.open_challenges {
        let sql = "SELECT count(*) FROM challenges WHERE expires_at > $1";
        let read = |row: &Row| row.get::<i64>(0).map(|n| u64::try_from(n).unwrap_or_default());
        facts.open_challenges =
            from.one(sql, sql, vec![sweep::micros(now)?.into()], read).await?.unwrap_or_default();
    }
    if let Some((address, after)) = ask.success_from {
        let sql = "SELECT 1 FROM ladder WHERE address = $1 AND last_success > $2 LIMIT 1";
        let values = vec![address.to_string().into(), sweep::micros(after)?.into()];
        facts.known_address = from.one(sql, sql, values, |_| Ok(())).await?.is_some();
    }
    if let Some(login) = &ask.take_login {
        let sql = "DELETE FROM opaque_logins WHERE login_id = $1 RETURNING login_id, user_id, known, phrase_revision, device_type, device_name, device_fingerprint, address, attempts_remaining, alert, state, expires_at";
        facts.login = from.one(sql, sql, vec![login.as_str().to_owned().into()], row::login).await?;
    }
    if let Some(device) = &ask.device {
        facts.device = from
            .one(
                concat!("SELECT ", key_columns!(), " FROM device_keys WHERE device_id = $1"),
                concat!("SELECT ", key_columns!(), " FROM device_keys WHERE device_id = $1 FOR UPDATE"),
                vec![device.as_str().to_owned().into()],
                row::key,
            )
            .await?;
    }
    if let Some(user) = &ask.user {
        let name: String = user.as_str().to_owned();
        if let Some(fingerprint) = &ask.fingerprint {
            let sql = "SELECT device_id FROM device_keys WHERE user_id = $1 AND device_fingerprint = $2 AND revoked_at IS NULL ORDER BY device_id";
            let values = vec![name.clone().into(), fingerprint.as_str().to_owned().into()];
            facts.same_fingerprint = from.all(sql, values, row::device_id).await?;
        }
        if ask.codes {
            let sql = "SELECT user_id, code_hash, created_at, used_at FROM recovery_codes WHERE user_id = $1";
            facts.codes = from.all(sql, vec![name.clone().into()], row::code).await?;
        }
        if ask.keys {
            let sql =
                concat!("SELECT ", key_columns!(), " FROM device_keys WHERE user_id = $1 ORDER BY device_id");
            facts.keys = from.all(sql, vec![name.into()], row::key).await?;
        }
    }
    Ok(facts)
}

/// The primary key of a call counter.
pub(super) fn rate_name(key: &RateKey) -> String {
    match key {
        RateKey::Knock(address) => format!("knock:{address}"),
        RateKey::Change(user) => format!("change:{user}"),
    }
}

struct Reader<'a, 'c> {
    link: &'a mut Link<'c>,
    dialect: Dialect,
}

impl Reader<'_, '_> {
    async fn one<T>(
        &mut self,
        sqlite: &'static str,
        postgres: &'static str,
        values: Vec<Value>,
        read: impl Fn(&Row) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let sql = match self.dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        };
        Ok(self.all(sql, values, read).await?.into_iter().next())
    }

    async fn all<T>(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
        read: impl Fn(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        collect(self.link, sql, values, read).await
    }

    /// Locks a name until the transaction ends, whether a row of it exists or not.
    async fn advise(&mut self, class: &str, name: &[u8]) -> Result<(), Error> {
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        // Two names with one number only wait for each other.
        let mut text = format!("durward {class} ");
        for byte in name {
            let _ = write!(text, "{byte:02x}"); // a string takes everything
        }
        let sql = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || $1, 0))";
        self.link.fetch(sql, vec![text.into()], |_| Ok(())).await
    }

    async fn ladder(&mut self, key: &LadderKey) -> Result<LadderRows, Error> {
        let subject = || Value::from(key.subject.as_bytes().as_slice());
        let scope = || Value::from(key.scope.as_str().to_owned());
        let sql = "SELECT window_start, failures FROM ladder_total WHERE scope = $1 AND subject = $2";
        let total = self.one(sql, sql, vec![scope(), subject()], row::total).await?.unwrap_or_default();
        let sql = "SELECT failures, last_failure, locked_until, last_success FROM ladder WHERE scope = $1 AND subject = $2 AND address = $3";
        let values = vec![scope(), subject(), key.address.to_string().into()];
        let own = self.one(sql, sql, values, row::ladder).await?.unwrap_or_default();
        Ok(LadderRows { own, total })
    }
}

/// Reads all rows of a statement.
pub(super) async fn collect<T>(
    link: &mut Link<'_>,
    sql: &'static str,
    values: Vec<Value>,
    read: impl Fn(&Row) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    link.fetch(sql, values, |row| {
        found.push(read(&row)?);
        Ok(())
    })
    .await?;
    Ok(found)
}
