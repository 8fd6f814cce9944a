//! The live keys in memory, for a process that owns its database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use durward_broker::accounts::{DeviceId, DeviceKeyRecord, KeyHash, TOUCH_INTERVAL};
use time::OffsetDateTime;

use super::apply::Touched;
use super::ask::collect;
use super::row::{self, key_columns};
use crate::Error;
use crate::database::Link;

/// A key as it was read, and when it was last seen.
#[derive(Debug)]
pub struct KeyRow {
    record: DeviceKeyRecord,
    /// Milliseconds since 1970; `i64::MIN` for never.
    seen: AtomicI64,
}

impl KeyRow {
    pub(super) fn new(record: DeviceKeyRecord) -> Self {
        let seen = AtomicI64::new(record.last_used.map_or(i64::MIN, millis));
        Self { record, seen }
    }

    /// The record. Its `last_used` is as of the reading.
    pub fn record(&self) -> &DeviceKeyRecord {
        &self.record
    }

    /// Whether this use is to be noted: true for one caller in every [`TOUCH_INTERVAL`].
    pub fn claim_touch(&self, now: OffsetDateTime) -> bool {
        let now = millis(now);
        let interval = i64::try_from(TOUCH_INTERVAL.whole_milliseconds()).unwrap_or(i64::MAX);
        let seen = self.seen.load(Ordering::Relaxed);
        seen.saturating_add(interval) <= now
            && self.seen.compare_exchange(seen, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// All keys that are not revoked.
#[derive(Debug)]
pub(crate) struct KeyMap {
    /// `None` after a COMMIT that was not answered, until the next transaction has read the keys again.
    rows: RwLock<Option<Maps>>,
}

#[derive(Debug, Default)]
struct Maps {
    by_hash: HashMap<KeyHash, Arc<KeyRow>>,
    by_device: HashMap<DeviceId, Arc<KeyRow>>,
}

/// What a lookup in memory says.
pub(super) enum Looked {
    /// The key, or that there is none.
    Known(Option<Arc<KeyRow>>),
    /// Ask the database.
    Unknown,
}

impl KeyMap {
    /// Reads the keys.
    pub(crate) async fn load(link: &mut Link<'_>) -> Result<Self, Error> {
        Ok(Self { rows: RwLock::new(Some(Maps::load(link).await?)) })
    }

    pub(super) fn find(&self, hash: &KeyHash) -> Looked {
        match self.rows.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(maps) => Looked::Known(maps.by_hash.get(hash).cloned()),
            None => Looked::Unknown,
        }
    }

    /// What the map must hold once the transaction is committed; run it inside.
    pub(super) async fn read(
        &self,
        link: &mut Link<'_>,
        touched: &[Touched],
    ) -> Result<Vec<(Touched, Vec<DeviceKeyRecord>)>, Error> {
        let mut fresh = Vec::with_capacity(touched.len());
        for what in touched {
            let (sql, name) = match what {
                Touched::Device(id) => (
                    concat!(
                        "SELECT ",
                        key_columns!(),
                        " FROM device_keys WHERE device_id = $1 AND revoked_at IS NULL"
                    ),
                    id.as_str().to_owned(),
                ),
                Touched::User(user) => (
                    concat!(
                        "SELECT ",
                        key_columns!(),
                        " FROM device_keys WHERE user_id = $1 AND revoked_at IS NULL"
                    ),
                    user.as_str().to_owned(),
                ),
            };
            fresh.push((what.clone(), collect(link, sql, vec![name.into()], row::key).await?));
        }
        if self.rows.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            let maps = Maps::load(link).await?;
            // Read inside the transaction that is about to be committed; a failed COMMIT forgets it again.
            *self.rows.write().unwrap_or_else(PoisonError::into_inner) = Some(maps);
        }
        Ok(fresh)
    }

    /// Takes over what [`KeyMap::read`] gave, after the commit.
    pub(super) fn replace(&self, fresh: Vec<(Touched, Vec<DeviceKeyRecord>)>) {
        if fresh.is_empty() {
            return;
        }
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let Some(maps) = rows.as_mut() else { return };
        for (what, records) in fresh {
            match what {
                Touched::Device(id) => maps.remove(&id),
                Touched::User(user) => {
                    let owned: Vec<DeviceId> = maps
                        .by_device
                        .values()
                        .filter(|row| row.record.user_id == user)
                        .map(|row| row.record.device_id.clone())
                        .collect();
                    for id in &owned {
                        maps.remove(id);
                    }
                }
            }
            for record in records {
                maps.insert(record);
            }
        }
    }

    /// Nothing here can be trusted until the database was read again.
    pub(super) fn forget(&self) {
        *self.rows.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Maps {
    async fn load(link: &mut Link<'_>) -> Result<Self, Error> {
        let sql = concat!("SELECT ", key_columns!(), " FROM device_keys WHERE revoked_at IS NULL");
        let mut maps = Self::default();
        for record in collect(link, sql, vec![], row::key).await? {
            maps.insert(record);
        }
        Ok(maps)
    }

    fn insert(&mut self, record: DeviceKeyRecord) {
        let row = Arc::new(KeyRow::new(record));
        if let Some(previous) = row.record.previous_key_hash {
            self.by_hash.insert(previous, Arc::clone(&row));
        }
        self.by_hash.insert(row.record.api_key_hash, Arc::clone(&row));
        self.by_device.insert(row.record.device_id.clone(), row);
    }

    fn remove(&mut self, id: &DeviceId) {
        let Some(row) = self.by_device.remove(id) else { return };
        for hash in row.record.previous_key_hash.iter().chain([&row.record.api_key_hash]) {
            // The hash may by now be another device's.
            if self.by_hash.get(hash).is_some_and(|found| Arc::ptr_eq(found, &row)) {
                self.by_hash.remove(hash);
            }
        }
    }
}

fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
