//! Reading without a lock.

use std::sync::Arc;

use durward_broker::accounts::{
    DeviceKeyRecord, KeyHash, LadderRow, RecoveryCodeRecord, Subject, User, UserId,
};

use super::ask::collect;
use super::keys::{KeyRow, Looked};
use super::row::{self, key_columns};
use crate::Error;
use crate::database::{Link, Readers, Row, Value};
use crate::store::Store;

impl Store {
    /// The key with this hash, current or previous, if it is not revoked. From memory where this process owns the
    /// database, else one statement.
    pub async fn key(&self, hash: &KeyHash) -> Result<Option<Arc<KeyRow>>, Error> {
        if let Some(Looked::Known(found)) = self.keys().map(|keys| keys.find(hash)) {
            return Ok(found);
        }
        let sql = concat!(
            "SELECT ",
            key_columns!(),
            " FROM device_keys WHERE (api_key_hash = $1 OR previous_key_hash = $1) AND revoked_at IS NULL"
        );
        let found = self.rows(sql, vec![hash.as_bytes().as_slice().into()], row::key).await?;
        Ok(found.into_iter().next().map(|record| Arc::new(KeyRow::new(record))))
    }

    /// Whether checking a key asks the database each time, because other servers may change it.
    pub fn is_shared(&self) -> bool {
        self.keys().is_none()
    }

    /// The only account, where there is exactly one.
    pub async fn sole_account(&self) -> Result<Option<UserId>, Error> {
        let found = self.rows("SELECT user_id FROM users LIMIT 2", vec![], |row| row::parsed(row, 0)).await?;
        Ok(<[UserId; 1]>::try_from(found).ok().map(|[user]| user))
    }

    /// All accounts, by name.
    pub async fn accounts(&self) -> Result<Vec<User>, Error> {
        let sql = "SELECT user_id, passphrase_hash, phrase_version, phrase_revision, opaque_record, created_at, updated_at FROM users ORDER BY user_id";
        self.rows(sql, vec![], row::user).await
    }

    /// All keys of an account, dead ones too.
    pub async fn keys_of(&self, user: &UserId) -> Result<Vec<DeviceKeyRecord>, Error> {
        let sql =
            concat!("SELECT ", key_columns!(), " FROM device_keys WHERE user_id = $1 ORDER BY device_id");
        self.rows(sql, vec![user.as_str().to_owned().into()], row::key).await
    }

    /// The recovery codes of an account, used ones too.
    pub async fn codes_of(&self, user: &UserId) -> Result<Vec<RecoveryCodeRecord>, Error> {
        let sql = "SELECT user_id, code_hash, created_at, used_at FROM recovery_codes WHERE user_id = $1";
        self.rows(sql, vec![user.as_str().to_owned().into()], row::code).await
    }

    /// The counters of an account, address by address. The address is text, as [`ClientAddress`] prints it.
    ///
    /// [`ClientAddress`]: durward_broker::accounts::ClientAddress
    pub async fn ladder_of(&self, subject: &Subject) -> Result<Vec<(String, LadderRow)>, Error> {
        let sql = "SELECT failures, last_failure, locked_until, last_success, address FROM ladder WHERE subject = $1 ORDER BY address, scope";
        let read = |row: &Row| Ok((row.get(4)?, row::ladder(row)?));
        self.rows(sql, vec![subject.as_bytes().as_slice().into()], read).await
    }

    /// The secret of this name as the caller sealed it, if there is one.
    pub async fn auth_secret(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT value FROM auth_secrets WHERE name = $1";
        let found = self.rows(sql, vec![name.to_owned().into()], |row| row.get(0)).await?;
        Ok(found.into_iter().next())
    }

    async fn rows<T>(
        &self,
        sql: &'static str,
        values: Vec<Value>,
        read: impl Fn(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        match self.readers() {
            Readers::Sqlite(pool) => {
                collect(&mut Link::Sqlite(&mut *pool.acquire().await?), sql, values, read).await
            }
            Readers::Postgres(pool) => {
                collect(&mut Link::Postgres(&mut *pool.acquire().await?), sql, values, read).await
            }
        }
    }
}
