//! From rows back to the broker's records.

use durward_broker::devices::{
    AskedRecord, DeviceSnapshot, EventKind, InboxRecord, IntroducedRecord, OutboxRecord, PeerRecord,
    PeerRequestKey, PeerRequestRecord, Register, RegisterField, RegisterRecord,
};
use durward_protocol::device::{AskedState, DecisionWord, DeviceId, DeviceName, DevicePublic};
use durward_protocol::{PairingId, RequestId, SessionId};
use sqlx::AssertSqlSafe;

use super::{ASKED, INBOX, INTRODUCED, OUTBOX, PEER, PEER_REQUEST, REGISTER};
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
    let in_order = "peer_id, session_id, request_id";
    link.fetch(all(&ASKED, in_order), vec![], |row| keep(&mut found.asked, asked(&row))).await?;
    let by_age = "received_at, from_id, session_id, request_id";
    link.fetch(all(&PEER_REQUEST, by_age), vec![], |row| keep(&mut found.peer_requests, peer_request(&row)))
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
        approver: row.get::<i64>(11)? != 0,
    })
}

fn asked(row: &Row) -> Result<AskedRecord, Error> {
    Ok(AskedRecord {
        peer: id(row, 0)?,
        session_id: SessionId::from_bytes(array(row, 1)?),
        request_id: RequestId::from_bytes(array(row, 2)?),
        told_at: moment(row.get(3)?)?,
    })
}

fn peer_request(row: &Row) -> Result<PeerRequestRecord, Error> {
    let answer = |text: String| DecisionWord::parse(&text).ok_or_else(|| damaged("an answer"));
    let state = |text: String| AskedState::parse(&text).ok_or_else(|| damaged("a state"));
    let by = row.get::<Option<String>>(10)?.map(|_| name(row, 10)).transpose()?;
    Ok(PeerRequestRecord {
        key: PeerRequestKey {
            from: id(row, 0)?,
            session_id: SessionId::from_bytes(array(row, 1)?),
            request_id: RequestId::from_bytes(array(row, 2)?),
        },
        sealed: row.get(3)?,
        from_keys: keys(row, 4)?,
        received_at: moment(row.get(6)?)?,
        expires_at: moment(row.get(7)?)?,
        answer: row.get::<Option<String>>(8)?.map(answer).transpose()?,
        state: row.get::<Option<String>>(9)?.map(state).transpose()?,
        by,
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
