//! The life of devices, told once and run on both databases.

use durward_broker::approval::Write;
use durward_broker::devices::{
    AskedRecord, DeviceSnapshot, DeviceWrite, EventKind, InboxRecord, IntroducedRecord, OutboxRecord,
    PeerRecord, PeerRequestKey, PeerRequestRecord, Register, RegisterField, RegisterRecord, Stamp,
    VectorClock,
};
use durward_protocol::device::{AskedState, DecisionWord, DeviceId, DeviceName, DevicePublic};
use durward_protocol::{PairingId, RequestId, SessionId};
use durward_store::Error;

use crate::backend::{Backend, on_both};
use crate::sample::{at, entry};

on_both!(
    everything_is_read_back,
    removing_takes_what_waits,
    removed_and_paired_anew_in_one_batch,
    one_key_one_peer
);

fn id(n: u8) -> DeviceId {
    DeviceId::from_bytes([n, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, n]).unwrap()
}

/// Points on the curve for which nobody needs the secret key: multiples that ed25519 test vectors publish.
fn keys(n: u8) -> DevicePublic {
    let signing = [
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    ][usize::from(n) % 3];
    let bytes = (0..32).map(|at| u8::from_str_radix(&signing[at * 2..at * 2 + 2], 16).unwrap());
    let mut x25519 = [0x40; 32];
    x25519[0] = n;
    DevicePublic::new(x25519, bytes.collect::<Vec<_>>().try_into().unwrap()).unwrap()
}

fn name(text: &str) -> DeviceName {
    DeviceName::parse(text).unwrap()
}

fn peer(n: u8) -> PeerRecord {
    PeerRecord {
        id: id(n),
        name: name("Zoës Rechner"),
        keys: keys(n),
        stream: PairingId::from_bytes([n; 16]),
        paired_at: at(1),
        address: Some("192.168.1.2:5000".into()),
        introduced_by: Some(id(9)),
        last_seen: Some(at(2)),
        issued: 3,
        taken: 4,
        approver: n.is_multiple_of(2),
    }
}

fn waiting(to: u8, seq: u64) -> OutboxRecord {
    OutboxRecord { to: id(to), seq, id: id(100), kind: EventKind::Drop, sealed: vec![1, 0, 255], at: at(3) }
}

fn payload(from: u8, n: u8) -> InboxRecord {
    InboxRecord {
        id: id(n),
        from: id(from),
        from_name: name("desktop"),
        file_name: "a file.txt".into(),
        sealed: vec![n; 3],
        from_keys: keys(from),
        bytes: 7,
        received_at: at(i64::from(n)),
    }
}

fn asked(peer: u8, n: u8) -> AskedRecord {
    let (session_id, request_id) = (SessionId::from_bytes([n; 16]), RequestId::from_bytes([n + 1; 16]));
    AskedRecord { peer: id(peer), session_id, request_id, told_at: at(6) }
}

fn peer_request(from: u8, n: u8) -> PeerRequestRecord {
    let answered = n.is_multiple_of(2);
    PeerRequestRecord {
        key: PeerRequestKey {
            from: id(from),
            session_id: SessionId::from_bytes([n; 16]),
            request_id: RequestId::from_bytes([n + 1; 16]),
        },
        sealed: vec![n; 5],
        from_keys: keys(from),
        received_at: at(i64::from(n)),
        expires_at: at(600),
        answer: answered.then_some(DecisionWord::Approve),
        state: answered.then_some(AskedState::VaultLocked),
        by: answered.then(|| name("tablet")),
    }
}

fn register(value: &str) -> RegisterRecord {
    let mut clock = VectorClock::default();
    clock.tick(id(1));
    let register = Register { value: value.into(), stamp: Stamp { clock, author: id(1), event: id(2) } };
    RegisterRecord { device: id(1), field: RegisterField::Removed, register }
}

fn writes(all: impl IntoIterator<Item = DeviceWrite>) -> Vec<Write> {
    all.into_iter().map(|write| Write::Device(Box::new(write))).collect()
}

/// Everything written is read back, also after a restart.
async fn everything_is_read_back(backend: Backend) {
    let store = backend.open().await;
    assert_eq!(store.load_devices().await, Ok(DeviceSnapshot::default()));
    let mut plain = peer(2);
    (plain.address, plain.introduced_by, plain.last_seen) = (None, None, None);
    let introduced =
        IntroducedRecord { id: id(3), name: name("tablet"), keys: keys(3), by: id(1), at: at(5) };
    let mut batch = writes([
        DeviceWrite::Peer(peer(1)),
        DeviceWrite::Peer(plain.clone()),
        DeviceWrite::Outbox(waiting(1, 2)),
        DeviceWrite::Outbox(waiting(1, 1)),
        DeviceWrite::Inbox(payload(2, 6)),
        DeviceWrite::Inbox(payload(1, 5)),
        DeviceWrite::Introduced(introduced.clone()),
        DeviceWrite::Register(register("removed")),
        DeviceWrite::Register(register("")),
        DeviceWrite::Asked(asked(1, 8)),
        DeviceWrite::PeerRequest(peer_request(1, 4)),
        DeviceWrite::PeerRequest(PeerRequestRecord { sealed: vec![9], ..peer_request(2, 1) }),
        DeviceWrite::PeerRequest(peer_request(2, 1)),
    ]);
    batch.push(Write::Audit(entry(1)));
    assert_eq!(store.submit(batch).await.unwrap().head.n, 1);
    store.close().await;
    let store = backend.open().await;
    let found = store.load_devices().await.unwrap();
    let expected = DeviceSnapshot {
        peers: vec![peer(1), plain],
        outbox: vec![waiting(1, 1), waiting(1, 2)],
        inbox: vec![payload(1, 5), payload(2, 6)],
        introduced: vec![introduced],
        registers: vec![register("")],
        asked: vec![asked(1, 8)],
        peer_requests: vec![peer_request(2, 1), peer_request(1, 4)],
    };
    assert_eq!(found, expected);
    store
        .submit(writes([
            DeviceWrite::Acknowledged { to: id(1), seq: 1 },
            DeviceWrite::RemoveInbox(id(5)),
            DeviceWrite::RemoveIntroduced(id(3)),
            DeviceWrite::RemoveRegister(register("").device, register("").field),
            DeviceWrite::RemoveAsked(asked(1, 8)),
            DeviceWrite::RemovePeerRequest(peer_request(1, 4).key),
        ]))
        .await
        .unwrap();
    let found = store.load_devices().await.unwrap();
    assert_eq!((found.outbox, found.inbox), (vec![waiting(1, 2)], vec![payload(2, 6)]));
    assert!(found.introduced.is_empty() && found.registers.is_empty() && found.asked.is_empty());
    assert_eq!(found.peer_requests, [peer_request(2, 1)]);
}

/// What waits for a peer goes with it.
async fn removing_takes_what_waits(backend: Backend) {
    let store = backend.open().await;
    let all = [
        DeviceWrite::Peer(peer(1)),
        DeviceWrite::Outbox(waiting(1, 1)),
        DeviceWrite::Outbox(waiting(2, 1)),
        DeviceWrite::Asked(asked(1, 1)),
        DeviceWrite::Asked(asked(2, 1)),
        DeviceWrite::PeerRequest(peer_request(1, 1)),
        DeviceWrite::PeerRequest(peer_request(2, 1)),
    ];
    store.submit(writes(all)).await.unwrap();
    store.submit(writes([DeviceWrite::RemovePeer(id(1))])).await.unwrap();
    let found = store.load_devices().await.unwrap();
    assert_eq!((found.peers, found.outbox), (Vec::new(), vec![waiting(2, 1)]));
    assert_eq!((found.asked, found.peer_requests), (vec![asked(2, 1)], vec![peer_request(2, 1)]));
}

/// The order inside a batch counts.
async fn removed_and_paired_anew_in_one_batch(backend: Backend) {
    let store = backend.open().await;
    store.submit(writes([DeviceWrite::Peer(peer(1)), DeviceWrite::Outbox(waiting(1, 9))])).await.unwrap();
    let mut anew = peer(1);
    (anew.stream, anew.issued) = (PairingId::from_bytes([8; 16]), 1);
    let batch =
        [DeviceWrite::RemovePeer(id(1)), DeviceWrite::Outbox(waiting(1, 1)), DeviceWrite::Peer(anew.clone())];
    store.submit(writes(batch)).await.unwrap();
    let found = store.load_devices().await.unwrap();
    assert_eq!((found.peers, found.outbox), (vec![anew], vec![waiting(1, 1)]));
}

/// Even a broker with a mistake cannot store two peers with one key; and what fails, fails whole.
async fn one_key_one_peer(backend: Backend) {
    let store = backend.open().await;
    store.submit(writes([DeviceWrite::Peer(peer(1))])).await.unwrap();
    let mut copy = peer(2);
    copy.keys = keys(1);
    let mut nul = payload(1, 1);
    nul.file_name = "a\0b".into();
    let both = writes([DeviceWrite::Inbox(payload(1, 2)), DeviceWrite::Peer(copy)]);
    assert!(store.submit(both).await.is_err());
    assert!(matches!(store.submit(writes([DeviceWrite::Inbox(nul)])).await, Err(Error::Unstorable(..))));
    let found = store.load_devices().await.unwrap();
    assert_eq!((found.peers, found.inbox), (vec![peer(1)], Vec::new()));
}
