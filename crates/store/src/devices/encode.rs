//! From the broker's writes to rows.

use durward_broker::devices::{
    DeviceWrite, InboxRecord, IntroducedRecord, OutboxRecord, PeerRecord, RegisterRecord,
};
use durward_protocol::device::DeviceId;

use super::{INBOX, INTRODUCED, OUTBOX, PEER, REGISTER};
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
            key: [record.device.as_bytes().as_slice(), record.field.as_str().as_bytes()].concat(),
            row: register_row(record)?,
        },
    })
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
