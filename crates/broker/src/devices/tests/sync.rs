//! Lines of messages over a network that loses, doubles and mixes, between devices that stop and start.

use std::collections::BTreeMap;

use durward_protocol::ErrorCode;
use durward_protocol::device::wire::Delivery;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::support::{TestKeys, alone, at, hello, id, name, paired, seeded, this};
use crate::devices::{
    AskedRecord, DeviceEvent, DeviceSnapshot, DeviceWrite, Devices, EventBody, InboxRecord, IntroducedRecord,
    Limits, OutboxRecord, PeerRecord, PeerRequestRecord, RegisterField, RegisterRecord, Taken,
    plain_file_name,
};

/// What a store does with the writes, and what a start reads.
#[derive(Clone, Default)]
pub(super) struct Disk {
    peers: BTreeMap<[u8; 16], PeerRecord>,
    outbox: BTreeMap<([u8; 16], u64), OutboxRecord>,
    inbox: Vec<InboxRecord>,
    introduced: BTreeMap<[u8; 16], IntroducedRecord>,
    registers: BTreeMap<([u8; 16], RegisterField), RegisterRecord>,
    asked: Vec<AskedRecord>,
    peer_requests: Vec<PeerRequestRecord>,
}

impl Disk {
    pub(super) fn apply(&mut self, writes: Vec<DeviceWrite>) {
        for write in writes {
            match write {
                DeviceWrite::Peer(peer) => {
                    self.peers.insert(*peer.id.as_bytes(), peer);
                }
                DeviceWrite::RemovePeer(id) => {
                    self.peers.remove(id.as_bytes());
                    self.outbox.retain(|(to, _), _| to != id.as_bytes());
                    self.asked.retain(|record| record.peer != id);
                    self.peer_requests.retain(|record| record.key.from != id);
                }
                DeviceWrite::Outbox(record) => {
                    self.outbox.insert((*record.to.as_bytes(), record.seq), record);
                }
                DeviceWrite::Acknowledged { to, seq } => {
                    self.outbox.retain(|(peer, at), _| peer != to.as_bytes() || *at > seq);
                }
                DeviceWrite::Inbox(item) => self.inbox.push(item),
                DeviceWrite::RemoveInbox(id) => self.inbox.retain(|item| item.id != id),
                DeviceWrite::Introduced(device) => {
                    self.introduced.insert(*device.id.as_bytes(), device);
                }
                DeviceWrite::RemoveIntroduced(id) => {
                    self.introduced.remove(id.as_bytes());
                }
                DeviceWrite::Register(record) => {
                    self.registers.insert((*record.device.as_bytes(), record.field), record);
                }
                DeviceWrite::RemoveRegister(device, field) => {
                    self.registers.remove(&(*device.as_bytes(), field));
                }
                DeviceWrite::Asked(record) => self.asked.push(record),
                DeviceWrite::RemoveAsked(record) => self.asked.retain(|asked| *asked != record),
                DeviceWrite::PeerRequest(record) => {
                    self.peer_requests.retain(|known| known.key != record.key);
                    self.peer_requests.push(record);
                }
                DeviceWrite::RemovePeerRequest(key) => self.peer_requests.retain(|known| known.key != key),
            }
        }
    }

    pub(super) fn snapshot(&self) -> DeviceSnapshot {
        DeviceSnapshot {
            peers: self.peers.values().cloned().collect(),
            outbox: self.outbox.values().cloned().collect(),
            inbox: self.inbox.clone(),
            introduced: self.introduced.values().cloned().collect(),
            registers: self.registers.values().cloned().collect(),
            asked: self.asked.clone(),
            peer_requests: self.peer_requests.clone(),
        }
    }
}

/// Devices 1 to 3, all peers of each other, each with a disk.
struct World {
    devices: Vec<Devices>,
    disks: Vec<Disk>,
    keys: Vec<TestKeys>,
    names: Vec<u32>,
    /// Deliveries on their way, with sender and receiver. Any may be taken, again and again.
    network: Vec<(usize, usize, Delivery)>,
    sent: Vec<(usize, usize, String)>,
    rng: rand::rngs::StdRng,
    clock: i64,
}

#[derive(Clone, Debug)]
enum Act {
    Send(usize, usize),
    Rename(usize),
    Dispatch(usize, usize),
    /// Take the delivery at this place of the network; lose it, keep it for later or lose the answer.
    Arrive {
        at: usize,
        keep: bool,
        answer: bool,
    },
    Lose(usize),
    Restart(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let who = 0..3_usize;
    let act = prop_oneof![
        3 => (who.clone(), who.clone()).prop_map(|(a, b)| Act::Send(a, b)),
        1 => who.clone().prop_map(Act::Rename),
        4 => (who.clone(), who.clone()).prop_map(|(a, b)| Act::Dispatch(a, b)),
        6 => (0..64_usize, any::<bool>(), any::<bool>())
            .prop_map(|(at, keep, answer)| Act::Arrive { at, keep, answer }),
        1 => (0..64_usize).prop_map(Act::Lose),
        1 => who.prop_map(Act::Restart),
    ];
    proptest::collection::vec(act, 1..80)
}

impl World {
    fn new() -> Self {
        let mut devices: Vec<Devices> = (1..=3)
            .map(|n| {
                paired(n, &[1, 2, 3].into_iter().filter(|m| *m != n).collect::<Vec<_>>(), Limits::default())
            })
            .collect();
        let mut disks = vec![Disk::default(); 3];
        for (devices, disk) in devices.iter_mut().zip(&mut disks) {
            disk.apply(devices.take_writes());
        }
        let keys = (1..=3).map(TestKeys::new).collect();
        Self {
            devices,
            disks,
            keys,
            names: vec![0; 3],
            network: Vec::new(),
            sent: Vec::new(),
            rng: seeded(9),
            clock: 0,
        }
    }

    fn commit(&mut self, n: usize) {
        let writes = self.devices[n].take_writes();
        self.disks[n].apply(writes);
    }

    fn device(n: usize) -> durward_protocol::device::DeviceId {
        id(u8::try_from(n).unwrap() + 1)
    }

    fn act(&mut self, act: Act) {
        self.clock += 1;
        let now = at(self.clock);
        match act {
            Act::Send(a, b) if a != b => {
                let file_name = format!("{}-{a}-{b}", self.sent.len());
                let content = Zeroizing::new(b"content".to_vec());
                let body = EventBody::Drop { file_name: file_name.clone(), content };
                self.devices[a].send(Self::device(b), body, now, &self.keys[a], &mut self.rng).unwrap();
                self.sent.push((a, b, file_name));
                self.commit(a);
            }
            Act::Rename(a) => {
                self.names[a] += 1;
                let name = name(&format!("device {a} {}", self.names[a]));
                self.devices[a].rename_this(name, now, &self.keys[a], &mut self.rng).unwrap();
                self.commit(a);
            }
            Act::Dispatch(a, b) if a != b => {
                if let Some(delivery) = self.devices[a].delivery(Self::device(b)) {
                    self.network.push((a, b, delivery));
                }
            }
            Act::Arrive { at, keep, answer } if !self.network.is_empty() => {
                let at = at % self.network.len();
                let (a, b, delivery) = self.network[at].clone();
                if !keep {
                    self.network.remove(at);
                }
                let received =
                    self.devices[b].receive(Self::device(a), &delivery, now, &self.keys[b]).unwrap();
                assert_eq!(received.refused, None);
                assert!(!received.taken.iter().any(|taken| matches!(taken, Taken::Unreadable(_))));
                self.commit(b);
                if answer {
                    self.devices[a].acknowledged(Self::device(b), received.ack, now).unwrap();
                    self.commit(a);
                }
            }
            Act::Lose(at) if !self.network.is_empty() => {
                let at = at % self.network.len();
                self.network.remove(at);
            }
            Act::Restart(a) => {
                let mut own = this(u8::try_from(a).unwrap() + 1);
                own.name = self.devices[a].this().name.clone();
                self.devices[a] = Devices::restore(own, self.disks[a].snapshot(), Limits::default());
            }
            _ => {}
        }
    }

    /// A network that works, until nothing waits.
    fn settle(&mut self) {
        self.network.clear();
        for _ in 0..200 {
            for a in 0..3 {
                for b in 0..3 {
                    self.act(Act::Dispatch(a, b));
                    while !self.network.is_empty() {
                        self.act(Act::Arrive { at: 0, keep: false, answer: true });
                    }
                }
            }
            let waits =
                |n: usize| self.devices[n].peers().any(|peer| self.devices[n].delivery(peer.id).is_some());
            if !(0..3).any(waits) {
                return;
            }
        }
        panic!("the lines never empty");
    }
}

proptest! {
    #[test]
    fn each_message_is_taken_once_in_order_and_all_agree(script in acts()) {
        let mut world = World::new();
        for act in script {
            world.act(act);
        }
        world.settle();
        for b in 0..3 {
            for a in 0..3 {
                let sent: Vec<_> =
                    world.sent.iter().filter(|sent| (sent.0, sent.1) == (a, b)).map(|sent| sent.2.clone()).collect();
                let from = World::device(a);
                let came: Vec<_> =
                    world.devices[b].inbox().filter(|item| item.from == from).map(|item| item.file_name.clone()).collect();
                prop_assert_eq!(came, sent);
            }
            let stored = Devices::restore(this(1), world.disks[b].snapshot(), Limits::default());
            prop_assert_eq!(stored.registers(), world.devices[b].registers(), "memory is what is on disk");
            prop_assert_eq!(world.devices[b].registers(), world.devices[0].registers());
        }
    }

    #[test]
    fn nonsense_from_a_peer_never_panics_and_never_blocks(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = DeviceEvent::decode(&bytes);
        let (mut a, keys) = (paired(1, &[2], Limits::default()), TestKeys::new(1));
        let stream = a.peers().next().unwrap().stream;
        let sealed = durward_protocol::base64url_encode(&bytes);
        let event = durward_protocol::device::wire::SealedEvent { seq: 1, id: id(9), sealed };
        let received = a.receive(id(2), &Delivery { stream, base: 1, events: vec![event] }, at(1), &keys).unwrap();
        prop_assert_eq!((received.ack, received.taken), (1, vec![Taken::Unreadable(id(9))]));
    }
}

fn a_drop() -> EventBody {
    EventBody::Drop { file_name: "x".into(), content: Zeroizing::new(b"x".to_vec()) }
}

#[test]
fn nothing_is_sealed_for_a_removed_device() {
    let (mut a, keys) = (paired(1, &[2, 3], Limits::default()), TestKeys::new(1));
    a.send(id(2), a_drop(), at(1), &keys, &mut seeded(1)).unwrap();
    a.remove(id(2), at(2), &keys, &mut seeded(2)).unwrap();
    assert_eq!(a.outbox(id(2)).count(), 0, "what waited is gone too");
    assert_eq!(a.send(id(2), a_drop(), at(3), &keys, &mut seeded(3)), Err(ErrorCode::DeviceNotFound));
    a.rename_this(name("other"), at(4), &keys, &mut seeded(4)).unwrap();
    let waiting: Vec<_> = a.outbox(id(3)).map(|waiting| waiting.kind.as_str()).collect();
    assert_eq!(waiting, ["device_removed", "device_renamed"]);
    let sealed_for_2 = TestKeys::new(2);
    let of_2 = durward_protocol::device::DeviceKeys::public(&sealed_for_2);
    let writes = a.take_writes();
    let after = writes.iter().rposition(|write| *write == DeviceWrite::RemovePeer(id(2))).unwrap();
    for write in &writes[after..] {
        assert!(!matches!(write, DeviceWrite::Outbox(record) if record.sealed.starts_with(&of_2.x25519)));
    }
}

#[test]
fn a_removal_reaches_the_others_and_a_new_pairing_undoes_it() {
    let (mut a, keys_a) = (paired(1, &[2, 3], Limits::default()), TestKeys::new(1));
    let (mut b, keys_b) = (paired(2, &[1, 3], Limits::default()), TestKeys::new(2));
    a.remove(id(3), at(1), &keys_a, &mut seeded(1)).unwrap();
    let delivery = a.delivery(id(2)).unwrap();
    let received = b.receive(id(1), &delivery, at(2), &keys_b).unwrap();
    assert!(matches!(&received.taken[..], [Taken::Removed(peer)] if peer.id == id(3)));
    assert!(b.peer(id(3)).is_err());
    b.pair(&hello(3), durward_protocol::PairingId::from_bytes([9; 16]), at(3), &mut seeded(3)).unwrap();
    // The same word again, as a lost answer brings it: the owner's new pairing stands.
    assert!(b.receive(id(1), &delivery, at(4), &keys_b).unwrap().taken.is_empty());
    assert!(b.peer(id(3)).is_ok());
}

#[test]
fn a_flood_is_bounded_at_both_ends() {
    let limits = Limits { outbox: 10, outbox_reserve: 4, inbox: 5, ..Limits::default() };
    let (mut a, keys_a) = (paired(1, &[2], limits), TestKeys::new(1));
    let sends = (0..20).filter(|n| a.send(id(2), a_drop(), at(*n), &keys_a, &mut seeded(1)).is_ok()).count();
    assert_eq!(sends, 6, "payloads leave room for news");
    a.rename_this(name("other"), at(30), &keys_a, &mut seeded(2)).unwrap();
    assert_eq!(a.outbox(id(2)).count(), 7);
    let (mut b, keys_b) = (paired(2, &[1], limits), TestKeys::new(2));
    // Sealed at a standstill of the generator they share an id; here each needs its own.
    let mut rng = seeded(7);
    let (mut a, mut sent) = (paired(1, &[2], limits), 0);
    while a.send(id(2), a_drop(), at(sent), &keys_a, &mut rng).is_ok() {
        sent += 1;
    }
    let received = b.receive(id(1), &a.delivery(id(2)).unwrap(), at(1), &keys_b).unwrap();
    assert_eq!((received.ack, received.refused), (3, Some(ErrorCode::OutboxFull)));
    let first = b.inbox().next().unwrap().id;
    b.remove_drop(first).unwrap();
    a.acknowledged(id(2), 3, at(2)).unwrap();
    let received = b.receive(id(1), &a.delivery(id(2)).unwrap(), at(3), &keys_b).unwrap();
    assert_eq!(received.ack, 4, "room again, and it goes on");
}

#[test]
fn a_sender_that_went_back_counts_anew_and_nothing_is_lost() {
    let keys_a = TestKeys::new(1);
    let (mut b, keys_b) = (paired(2, &[1], Limits::default()), TestKeys::new(2));
    let mut rng = seeded(1);
    let mut a = paired(1, &[2], Limits::default());
    let backup = a.clone();
    for n in 0..3 {
        a.send(id(2), a_drop(), at(n), &keys_a, &mut rng).unwrap();
    }
    assert_eq!(b.receive(id(1), &a.delivery(id(2)).unwrap(), at(5), &keys_b).unwrap().ack, 3);
    let mut a = backup;
    let late = a.send(id(2), a_drop(), at(9), &keys_a, &mut rng).unwrap();
    let received = b.receive(id(1), &a.delivery(id(2)).unwrap(), at(10), &keys_b).unwrap();
    assert!(received.taken.is_empty(), "its number was seen");
    a.acknowledged(id(2), received.ack, at(11)).unwrap();
    let received = b.receive(id(1), &a.delivery(id(2)).unwrap(), at(12), &keys_b).unwrap();
    assert_eq!(received.taken, [Taken::Drop { id: late, file_name: "x".into() }]);
    assert_eq!(b.inbox().count(), 4);
}

#[test]
fn a_line_of_another_pairing_is_not_taken() {
    let (a, keys_b) = (paired(1, &[2], Limits::default()), TestKeys::new(2));
    let mut b = paired(2, &[1], Limits::default());
    let delivery =
        Delivery { stream: durward_protocol::PairingId::from_bytes([1; 16]), base: 1, events: Vec::new() };
    assert_eq!(b.receive(id(1), &delivery, at(1), &keys_b), Err(ErrorCode::PairingNotFound));
    assert_eq!(b.receive(id(3), &delivery, at(1), &keys_b), Err(ErrorCode::DeviceNotFound));
    assert_eq!(a.delivery(id(2)), None);
}

#[test]
fn equal_keys_are_refused() {
    let mut a = alone(1, Limits { peers: 2, ..Limits::default() });
    let stream = durward_protocol::PairingId::from_bytes([1; 16]);
    let mut pair = |hello| a.pair(&hello, stream, at(1), &mut seeded(1)).map(|peer| peer.name.to_string());
    assert_eq!(pair(hello(1)), Err(ErrorCode::DeviceKnown), "itself");
    let mut own = hello(4);
    own.keys = hello(1).keys;
    assert_eq!(pair(own), Err(ErrorCode::DeviceKnown), "its own keys under another id");
    assert_eq!(pair(hello(2)), Ok("device 2".into()));
    let mut copied = hello(3);
    copied.keys = hello(2).keys;
    assert_eq!(pair(copied), Err(ErrorCode::DeviceKnown), "a peer's keys under another id");
    let mut half = hello(3);
    half.keys.x25519 = hello(2).keys.x25519;
    assert_eq!(pair(half), Err(ErrorCode::DeviceKnown), "one of them is enough");
    let mut named = hello(3);
    named.name = name("Device 2");
    assert_eq!(pair(named), Ok("Device 2-2".into()));
    assert_eq!(pair(hello(5)), Err(ErrorCode::RateLimited), "full");
    assert_eq!(pair(hello(2)), Ok("device 2".into()), "the same device again is no other one");
}

#[test]
fn introductions_wait_for_the_owner_and_cannot_be_swapped() {
    let (mut a, keys_a) = (paired(1, &[2, 3], Limits::default()), TestKeys::new(1));
    let (mut b, keys_b) = (paired(2, &[1], Limits::default()), TestKeys::new(2));
    a.introduce(id(2), id(3), at(1), &keys_a, &mut seeded(1)).unwrap();
    assert_eq!(a.introduce(id(2), id(2), at(1), &keys_a, &mut seeded(1)), Err(ErrorCode::InvalidRequest));
    b.receive(id(1), &a.delivery(id(2)).unwrap(), at(2), &keys_b).unwrap();
    assert_eq!(b.send(id(3), a_drop(), at(3), &keys_b, &mut seeded(3)), Err(ErrorCode::DeviceNotFound));
    // The same device with other keys, while the owner looks at the first ones.
    let body = EventBody::Introduction { device_id: id(3), name: name("device 3"), keys: hello(7).keys };
    a.send(id(2), body, at(4), &keys_a, &mut seeded(4)).unwrap();
    a.acknowledged(id(2), 1, at(4)).unwrap();
    assert_eq!(
        b.receive(id(1), &a.delivery(id(2)).unwrap(), at(5), &keys_b).unwrap().taken,
        [Taken::Nothing]
    );
    let peer = b.confirm_introduced(id(3), true, at(6), &mut seeded(6)).unwrap().unwrap();
    assert_eq!((peer.keys, peer.introduced_by), (hello(3).keys, Some(id(1))));
    // Both ends of an introduction compute the same line.
    let mut c = paired(3, &[1], Limits::default());
    let keys_c = TestKeys::new(3);
    let (mut a, mut rng) = (paired(1, &[2, 3], Limits::default()), seeded(8));
    a.introduce(id(3), id(2), at(1), &keys_a, &mut rng).unwrap();
    c.receive(id(1), &a.delivery(id(3)).unwrap(), at(2), &keys_c).unwrap();
    let other = c.confirm_introduced(id(2), true, at(3), &mut rng).unwrap().unwrap();
    assert_eq!(other.stream, peer.stream);
    b.send(id(3), a_drop(), at(7), &keys_b, &mut rng).unwrap();
    assert_eq!(c.receive(id(2), &b.delivery(id(3)).unwrap(), at(8), &keys_c).unwrap().ack, 1);
}

#[test]
fn file_names_are_plain() {
    for (given, plain) in [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\x.txt", "x.txt"),
        ("a/b/", "payload"),
        (".bashrc", "bashrc"),
        ("a\u{202e}b\n", "a_b_"),
        ("", "payload"),
    ] {
        assert_eq!(plain_file_name(given), plain, "{given:?}");
    }
    assert_eq!(plain_file_name(&"x".repeat(500)).chars().count(), 128);
}
