//! From the broker's writes to rows.

use durward_broker::devices::{
    AskedRecord, DeviceWrite, InboxRecord, IntroducedRecord, OutboxRecord, PeerRecord, PeerRequestKey,
    PeerRequestRecord, RegisterField, RegisterRecord,
};
use durward_protocol::device::{AskedState, DecisionWord, DeviceId, DeviceName};

use super::{ASKED, INBOX, INTRODUCED, OUTBOX, PEER, PEER_REQUEST, REGISTER};
use crate::Error;
use crate::approval::{count, micros, optional_text, text};
use crate::database::Value;
use crate::plan::Op;

/// What one write does. Deletions that reach over a table see everything before them and nothing after, so that a
/// peer can be removed and paired anew in one batch.
pub(crate) fn encode(write: &DeviceWrite) -> Result<Op, Error> {
    Ok(match write {
        DeviceWrite::Peer(peer) => {
            Op::Put { table: &PEER, key: peer.id.as_bytes().to_vec(), row: peer_row(peer)? }
        }
        DeviceWrite::RemovePeer(id) => Op::Barrier(vec![
            ("DELETE FROM outbox WHERE peer_id = $1", vec![blob(*id)]),
            ("DELETE FROM device_asked WHERE peer_id = $1", vec![blob(*id)]),
            ("DELETE FROM peer_request WHERE from_id = $1", vec![blob(*id)]),
            ("DELETE FROM peer WHERE id = $1", vec![blob(*id)]),
        ]),
        DeviceWrite::Outbox(waiting) => Op::Put {
            table: &OUTBOX,
            key: [waiting.to.as_bytes().as_slice(), &waiting.seq.to_be_bytes()].concat(),
            row: outbox_row(waiting)?,
        },
        DeviceWrite::Acknowledged { to, seq } => Op::Barrier(vec![(
            "DELETE FROM outbox WHERE peer_id = $1 AND seq <= $2",
            vec![blob(*to), count(*seq)?.into()],
        )]),
        DeviceWrite::Inbox(item) => Op::Put {
            table: &INBOX,
            key: [item.from.as_bytes().as_slice(), item.id.as_bytes()].concat(),
            row: inbox_row(item)?,
        },
        DeviceWrite::RemoveInbox(id) => {
            Op::Barrier(vec![("DELETE FROM inbox WHERE id = $1", vec![blob(*id)])])
        }
        DeviceWrite::Introduced(device) => {
            Op::Put { table: &INTRODUCED, key: device.id.as_bytes().to_vec(), row: introduced_row(device)? }
        }
        DeviceWrite::RemoveIntroduced(id) => Op::Delete {
            table: &INTRODUCED,
            key: id.as_bytes().to_vec(),
            sql: "DELETE FROM introduced WHERE id = $1",
            values: vec![blob(*id)],
        },
        DeviceWrite::Register(record) => Op::Put {
            table: &REGISTER,
            key: register_bytes(record.device, record.field),
            row: register_row(record)?,
        },
        DeviceWrite::RemoveRegister(device, field) => Op::Delete {
            table: &REGISTER,
            key: register_bytes(*device, *field),
            sql: "DELETE FROM device_register WHERE device_id = $1 AND field = $2",
            values: vec![blob(*device), field.as_str().to_owned().into()],
        },
        DeviceWrite::Asked(record) => {
            let mut row = asked_key(record);
            row.push(micros(record.told_at)?.into());
            Op::Put { table: &ASKED, key: asked_bytes(record), row }
        }
        DeviceWrite::RemoveAsked(record) => Op::Delete {
            table: &ASKED,
            key: asked_bytes(record),
            sql: "DELETE FROM device_asked WHERE peer_id = $1 AND session_id = $2 AND request_id = $3",
            values: asked_key(record),
        },
        DeviceWrite::PeerRequest(record) => {
            Op::Put { table: &PEER_REQUEST, key: request_bytes(&record.key), row: peer_request_row(record)? }
        }
        DeviceWrite::RemovePeerRequest(key) => Op::Delete {
            table: &PEER_REQUEST,
            key: request_bytes(key),
            sql: "DELETE FROM peer_request WHERE from_id = $1 AND session_id = $2 AND request_id = $3",
            values: request_key(key),
        },
    })
}

fn register_bytes(device: DeviceId, field: RegisterField) -> Vec<u8> {
    [device.as_bytes().as_slice(), field.as_str().as_bytes()].concat()
}

fn asked_bytes(record: &AskedRecord) -> Vec<u8> {
    [record.peer.as_bytes().as_slice(), record.session_id.as_bytes(), record.request_id.as_bytes()].concat()
}

fn asked_key(record: &AskedRecord) -> Vec<Value> {
    vec![
        blob(record.peer),
        record.session_id.as_bytes().as_slice().into(),
        record.request_id.as_bytes().as_slice().into(),
    ]
}

fn request_bytes(key: &PeerRequestKey) -> Vec<u8> {
    [key.from.as_bytes().as_slice(), key.session_id.as_bytes(), key.request_id.as_bytes()].concat()
}

fn request_key(key: &PeerRequestKey) -> Vec<Value> {
    vec![
        blob(key.from),
        key.session_id.as_bytes().as_slice().into(),
        key.request_id.as_bytes().as_slice().into(),
    ]
}

fn peer_request_row(record: &PeerRequestRecord) -> Result<Vec<Value>, Error> {
    let mut row = request_key(&record.key);
    row.extend([
        record.sealed.as_slice().into(),
        record.from_keys.x25519.as_slice().into(),
        record.from_keys.ed25519.as_slice().into(),
        micros(record.received_at)?.into(),
        micros(record.expires_at)?.into(),
        optional_text("an answer", record.answer.map(DecisionWord::as_str))?,
        optional_text("a state", record.state.map(AskedState::as_str))?,
        optional_text("a device's name", record.by.as_ref().map(DeviceName::as_str))?,
    ]);
    Ok(row)
}

fn blob(id: DeviceId) -> Value {
    id.as_bytes().as_slice().into()
}

fn peer_row(peer: &PeerRecord) -> Result<Vec<Value>, Error> {
    Ok(vec![
        blob(peer.id),
        text("a device's name", peer.name.as_str())?,
        peer.keys.x25519.as_slice().into(),
        peer.keys.ed25519.as_slice().into(),
        peer.stream.as_bytes().as_slice().into(),
        micros(peer.paired_at)?.into(),
        optional_text("an address", peer.address.as_deref())?,
        Value::Blob(peer.introduced_by.map(|id| id.as_bytes().to_vec())),
        Value::Int(peer.last_seen.map(micros).transpose()?),
        count(peer.issued)?.into(),
        count(peer.taken)?.into(),
        i64::from(peer.approver).into(),
    ])
}

fn outbox_row(waiting: &OutboxRecord) -> Result<Vec<Value>, Error> {
    Ok(vec![
        blob(waiting.to),
        count(waiting.seq)?.into(),
        blob(waiting.id),
        waiting.kind.as_str().to_owned().into(),
        waiting.sealed.as_slice().into(),
        micros(waiting.at)?.into(),
    ])
}

fn inbox_row(item: &InboxRecord) -> Result<Vec<Value>, Error> {
    Ok(vec![
        blob(item.from),
        blob(item.id),
        text("a device's name", item.from_name.as_str())?,
        text("a file name", &item.file_name)?,
        item.sealed.as_slice().into(),
        item.from_keys.x25519.as_slice().into(),
        item.from_keys.ed25519.as_slice().into(),
        count(item.bytes)?.into(),
        micros(item.received_at)?.into(),
    ])
}

fn introduced_row(device: &IntroducedRecord) -> Result<Vec<Value>, Error> {
    Ok(vec![
        blob(device.id),
        text("a device's name", device.name.as_str())?,
        device.keys.x25519.as_slice().into(),
        device.keys.ed25519.as_slice().into(),
        blob(device.by),
        micros(device.at)?.into(),
    ])
}

fn register_row(record: &RegisterRecord) -> Result<Vec<Value>, Error> {
    let stamp = serde_json::to_string(&record.register.stamp)
        .map_err(|_| Error::Unstorable("a stamp", "it is no JSON"))?;
    Ok(vec![
        blob(record.device),
        record.field.as_str().to_owned().into(),
        text("a device's value", &record.register.value)?,
        stamp.into(),
    ])
}
