//! From rows back to the broker's records.

use durward_broker::devices::{
    DeviceSnapshot, EventKind, InboxRecord, IntroducedRecord, OutboxRecord, PeerRecord, Register,
    RegisterField, RegisterRecord,
};
use durward_protocol::PairingId;
use durward_protocol::device::{DeviceId, DeviceName, DevicePublic};
use sqlx::AssertSqlSafe;

use super::{INBOX, INTRODUCED, OUTBOX, PEER, REGISTER};
use crate::Error;
use crate::approval::{array, damaged, keep, moment, select, uncount};
use crate::database::{Link, Row};

/// Reads everything about devices. Run it inside one transaction.
pub(crate) async fn load(link: &mut Link<'_>) -> Result<DeviceSnapshot, Error> {
    let mut found = DeviceSnapshot::default();
    let all = |table, order: &str| AssertSqlSafe(select(table, &format!("ORDER BY {order}")));
    link.fetch(all(&PEER, "id"), vec![], |row| keep(&mut found.peers, peer(&row))).await?;
    link.fetch(all(&OUTBOX, "peer_id, seq"), vec![], |row| keep(&mut found.outbox, outbox(&row))).await?;
    link.fetch(all(&INBOX, "received_at, from_id, id"), vec![], |row| keep(&mut found.inbox, inbox(&row)))
        .await?;
    link.fetch(all(&INTRODUCED, "id"), vec![], |row| keep(&mut found.introduced, introduced(&row))).await?;
    link.fetch(all(&REGISTER, "device_id, field"), vec![], |row| keep(&mut found.registers, register(&row)))
        .await?;
    Ok(found)
}

fn id(row: &Row, column: usize) -> Result<DeviceId, Error> {
    DeviceId::from_bytes(array(row, column)?).map_err(|_| damaged("a device's id"))
}

fn name(row: &Row, column: usize) -> Result<DeviceName, Error> {
    DeviceName::parse(&row.get::<String>(column)?).map_err(|_| damaged("a device's name"))
}

fn keys(row: &Row, column: usize) -> Result<DevicePublic, Error> {
    DevicePublic::new(array(row, column)?, array(row, column + 1)?).map_err(|_| damaged("a device's keys"))
}

fn peer(row: &Row) -> Result<PeerRecord, Error> {
    let by: Option<Vec<u8>> = row.get(7)?;
    let by = by.map(|_| id(row, 7)).transpose()?;
    Ok(PeerRecord {
        id: id(row, 0)?,
        name: name(row, 1)?,
        keys: keys(row, 2)?,
        stream: PairingId::from_bytes(array(row, 4)?),
        paired_at: moment(row.get(5)?)?,
        address: row.get(6)?,
        introduced_by: by,
        last_seen: row.get::<Option<i64>>(8)?.map(moment).transpose()?,
        issued: uncount(row.get(9)?)?,
        taken: uncount(row.get(10)?)?,
    })
}

fn outbox(row: &Row) -> Result<OutboxRecord, Error> {
    let kind = EventKind::parse(&row.get::<String>(3)?).ok_or_else(|| damaged("a message's kind"))?;
    Ok(OutboxRecord {
        to: id(row, 0)?,
        seq: uncount(row.get(1)?)?,
        id: id(row, 2)?,
        kind,
        sealed: row.get(4)?,
        at: moment(row.get(5)?)?,
    })
}

fn inbox(row: &Row) -> Result<InboxRecord, Error> {
    Ok(InboxRecord {
        from: id(row, 0)?,
        id: id(row, 1)?,
        from_name: name(row, 2)?,
        file_name: row.get(3)?,
        sealed: row.get(4)?,
        from_keys: keys(row, 5)?,
        bytes: uncount(row.get(7)?)?,
        received_at: moment(row.get(8)?)?,
    })
}

fn introduced(row: &Row) -> Result<IntroducedRecord, Error> {
    Ok(IntroducedRecord {
        id: id(row, 0)?,
        name: name(row, 1)?,
        keys: keys(row, 2)?,
        by: id(row, 4)?,
        at: moment(row.get(5)?)?,
    })
}

fn register(row: &Row) -> Result<RegisterRecord, Error> {
    let field = RegisterField::parse(&row.get::<String>(1)?).ok_or_else(|| damaged("a register's field"))?;
    let stamp = serde_json::from_str(&row.get::<String>(3)?).map_err(|_| damaged("a stamp"))?;
    Ok(RegisterRecord { device: id(row, 0)?, field, register: Register { value: row.get(2)?, stamp } })
}
