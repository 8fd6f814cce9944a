//! A peer that wants to harm: what it says must not reach further than itself.

use std::collections::BTreeMap;

use durward_protocol::device::wire::{Delivery, SealedEvent};
use durward_protocol::device::{DeviceId, DeviceKeys as _, EventId};
use durward_protocol::{ErrorCode, PairingId, Timestamp, base64url_encode};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::support::{TestKeys, at, hello, id, name, paired, seeded, this};
use super::sync::Disk;
use crate::devices::{
    DeviceEvent, DeviceWrite, Devices, EventBody, Limits, MAX_COUNT, Register, RegisterField, RegisterRecord,
    Stamp, Taken, VectorClock,
};

/// A peer that says what it likes, to device 1.
struct Peer {
    n: u8,
    keys: TestKeys,
    seq: u64,
}

impl Peer {
    fn new(n: u8) -> Self {
        Self { n, keys: TestKeys::new(n), seq: 0 }
    }

    /// The next message of its line.
    fn says(&mut self, clock: &VectorClock, body: EventBody) -> SealedEvent {
        self.seq += 1;
        let id_ = EventId::new(at(0), &mut seeded(u64::from(self.n) << 32 | self.seq));
        let (from, to) = (id(self.n), id(1));
        let event = DeviceEvent { id: id_, from, to, at: Timestamp::new(at(0)), clock: clock.clone(), body };
        let sealed = self.keys.seal(&TestKeys::new(1).public(), &event.encode().unwrap()).unwrap();
        SealedEvent { seq: self.seq, id: id_, sealed: base64url_encode(&sealed) }
    }

    fn delivery(&self, devices: &Devices, events: Vec<SealedEvent>) -> Delivery {
        let base = events.first().map_or(1, |event| event.seq);
        Delivery { stream: devices.peer(id(self.n)).unwrap().stream, base, events }
    }

    /// Says it, and it is taken.
    fn tell(&mut self, devices: &mut Devices, clock: &VectorClock, body: EventBody) -> Taken {
        let event = self.says(clock, body);
        let delivery = self.delivery(devices, vec![event]);
        let mut received = devices.receive(id(self.n), &delivery, at(1), &TestKeys::new(1)).unwrap();
        assert_eq!((received.ack, received.refused), (self.seq, None));
        received.taken.remove(0)
    }
}

fn clock(counts: &[(DeviceId, u64)]) -> VectorClock {
    let counts: BTreeMap<String, u64> = counts.iter().map(|(id, n)| (id.to_string(), *n)).collect();
    serde_json::from_value(serde_json::to_value(counts).unwrap()).unwrap()
}

/// A device that nobody knows.
fn stranger(n: u32) -> DeviceId {
    let mut bytes = [0xee, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
    bytes[1..5].copy_from_slice(&n.to_be_bytes());
    DeviceId::from_bytes(bytes).unwrap()
}

fn a_drop(size: usize) -> EventBody {
    EventBody::Drop { file_name: "x".into(), content: Zeroizing::new(vec![b'x'; size]) }
}

fn removed(device_id: DeviceId) -> EventBody {
    EventBody::DeviceRemoved { device_id }
}

/// What device 1 would send to a peer now, opened there.
fn sent_to(devices: &mut Devices, n: u8, body: EventBody) -> DeviceEvent {
    devices.send(id(n), body, at(2), &TestKeys::new(1), &mut seeded(3)).unwrap();
    let sealed = devices.outbox(id(n)).last().unwrap().sealed.clone();
    let plain = TestKeys::new(n).open(&TestKeys::new(1).public(), &sealed).unwrap();
    DeviceEvent::decode(&plain).expect("what is sent can be taken")
}

#[test]
fn an_absurd_acknowledgement_is_refused_and_harms_nobody() {
    for ack in [i64::MAX as u64 - 1, u64::MAX, 1 << 53, (1 << 20) + 2] {
        let (mut a, keys) = (paired(1, &[2, 3], Limits::default()), TestKeys::new(1));
        a.send(id(2), a_drop(1), at(1), &keys, &mut seeded(1)).unwrap();
        assert_eq!(a.acknowledged(id(2), ack, at(2)), Err(ErrorCode::PairingNotFound), "{ack}");
        assert_eq!((a.peer(id(2)).unwrap().issued, a.outbox(id(2)).count()), (1, 1), "{ack}");
        a.rename_this(name("other"), at(3), &keys, &mut seeded(2)).unwrap();
        assert_eq!((a.outbox(id(2)).count(), a.outbox(id(3)).count()), (2, 1));
        a.remove(id(2), at(4), &keys, &mut seeded(3)).unwrap();
    }
    // A device that came back from a backup has sent some messages that it does not remember.
    let (mut a, keys) = (paired(1, &[2], Limits::default()), TestKeys::new(1));
    a.send(id(2), a_drop(1), at(1), &keys, &mut seeded(1)).unwrap();
    a.acknowledged(id(2), 100_000, at(2)).unwrap();
    assert_eq!(a.outbox(id(2)).map(|waiting| waiting.seq).collect::<Vec<_>>(), [100_001]);
}

#[test]
fn a_line_whose_numbers_are_used_up_is_nobody_elses_trouble() {
    let mut disk = Disk::default();
    disk.apply(paired(1, &[2, 3], Limits::default()).take_writes());
    let mut snapshot = disk.snapshot();
    for peer in snapshot.peers.iter_mut().filter(|peer| peer.id == id(2)) {
        (peer.issued, peer.taken) = (i64::MAX as u64, i64::MAX as u64); // as an older version may have stored it
    }
    let (mut a, keys) = (Devices::restore(this(1), snapshot, Limits::default()), TestKeys::new(1));
    drop(a.take_writes());
    let send = a.send(id(2), a_drop(1), at(1), &keys, &mut seeded(1));
    assert_eq!(send, Err(ErrorCode::PairingNotFound));
    a.rename_this(name("other"), at(2), &keys, &mut seeded(2)).unwrap();
    a.remove(id(3), at(3), &keys, &mut seeded(3)).unwrap();
    a.remove(id(2), at(4), &keys, &mut seeded(4)).unwrap();
    for write in a.take_writes() {
        let storable = |n: u64| i64::try_from(n).is_ok();
        match write {
            DeviceWrite::Peer(peer) => assert!(storable(peer.issued) && storable(peer.taken)),
            DeviceWrite::Outbox(waiting) => assert!(storable(waiting.seq)),
            DeviceWrite::Acknowledged { seq, .. } => assert!(storable(seq)),
            _ => {}
        }
    }
}

#[test]
fn absurd_numbers_of_a_delivery_are_refused() {
    let (mut a, keys) = (paired(1, &[2], Limits::default()), TestKeys::new(1));
    let mut peer = Peer::new(2);
    let event = peer.says(&VectorClock::default(), a_drop(1));
    let good = peer.delivery(&a, vec![event.clone()]);
    for base in [u64::MAX, i64::MAX as u64, (1 << 53) + 1] {
        let bad = Delivery { base, ..good.clone() };
        assert_eq!(a.receive(id(2), &bad, at(1), &keys), Err(ErrorCode::InvalidRequest));
        let bad = Delivery { events: vec![SealedEvent { seq: base, ..event.clone() }], ..good.clone() };
        assert_eq!(a.receive(id(2), &bad, at(1), &keys), Err(ErrorCode::InvalidRequest));
    }
    assert_eq!(a.receive(id(2), &good, at(1), &keys).unwrap().ack, 1, "nothing was changed");
}

/// Clocks that another device would take: this device's id, peers and strangers, up to the bounds.
fn plausible() -> impl Strategy<Value = VectorClock> {
    let whose = prop_oneof![(1..=3_u8).prop_map(id), (0..100_000_u32).prop_map(stranger),];
    let count = prop_oneof![Just(1), Just(MAX_COUNT), 0..=MAX_COUNT];
    prop_oneof![
        proptest::collection::vec((whose, count), 0..40).prop_map(|counts| clock(&counts)),
        // As many as it takes.
        (0..1_000_u32, 200..=256_u32, any::<bool>()).prop_map(|(first, many, high)| {
            let count = if high { MAX_COUNT } else { 1 };
            let strangers = (first..first + many).map(|n| (stranger(n), count));
            clock(&strangers.collect::<Vec<_>>())
        }),
    ]
}

proptest! {
    #[test]
    fn whatever_a_peer_says_what_is_sent_can_be_taken(
        words in proptest::collection::vec((plausible(), 0..3_u8), 1..6),
    ) {
        let mut a = paired(1, &[2, 3], Limits::default());
        let mut disk = Disk::default();
        let mut peer = Peer::new(2);
        for (clock, what) in words {
            let body = match what {
                0 => EventBody::DeviceRenamed { name: name("evil") },
                1 => removed(stranger(1)),
                _ => a_drop(1),
            };
            let event = DeviceEvent {
                id: id(9), from: id(2), to: id(1), at: Timestamp::new(at(0)), clock: clock.clone(), body: body.clone(),
            };
            prop_assert!(DeviceEvent::decode(&event.encode().unwrap()).is_ok(), "this story is about good messages");
            peer.tell(&mut a, &clock, body);
            let own = a.clock.count(id(1));
            prop_assert!(own < 1 << 20, "{own}");
            a.rename_this(name("other"), at(2), &TestKeys::new(1), &mut seeded(2)).unwrap();
            sent_to(&mut a, 3, a_drop(16_384));
            sent_to(&mut a, 3, removed(stranger(2)));
            disk.apply(a.take_writes());
        }
    }
}

#[test]
fn a_peer_speaks_for_its_own_count_alone() {
    let mut a = paired(1, &[2, 3], Limits::default());
    let mut evil = Peer::new(2);
    let everybody = [(id(1), MAX_COUNT), (id(2), 7), (id(3), MAX_COUNT), (stranger(1), MAX_COUNT)];
    evil.tell(&mut a, &clock(&everybody), EventBody::DeviceRenamed { name: name("evil") });
    assert_eq!((a.clock.count(id(2)), a.clock.count(id(3)), a.clock.count(stranger(1))), (7, 0, 0));
    // Only as much of this device's own as one that came back from a backup needs.
    assert_eq!(a.clock.count(id(1)), 1 << 16);
    // What it says next is later than what was said before.
    let before = a.clock.total();
    a.rename_this(name("other"), at(2), &TestKeys::new(1), &mut seeded(2)).unwrap();
    assert!(a.clock.total() > before);
}

#[test]
fn a_poisoned_clock_is_mended_at_the_next_start() {
    let mut disk = Disk::default();
    disk.apply(paired(1, &[2, 3], Limits::default()).take_writes());
    let mut snapshot = disk.snapshot();
    for (field, count) in [(RegisterField::Name, u64::MAX), (RegisterField::Removed, 1)] {
        let mut counts: Vec<_> = (0..300).map(|n| (stranger(n), count)).collect();
        counts.push((id(1), MAX_COUNT + 5));
        let stamp = Stamp { clock: clock(&counts), author: id(1), event: id(9) };
        assert!(!stamp.clock.is_plausible());
        let register = Register { value: "x".into(), stamp };
        snapshot.registers.push(RegisterRecord { device: id(1), field, register });
    }
    let mut a = Devices::restore(this(1), snapshot, Limits::default());
    assert!(a.clock.is_plausible());
    a.rename_this(name("other"), at(2), &TestKeys::new(1), &mut seeded(2)).unwrap();
    sent_to(&mut a, 3, a_drop(1));
}

#[test]
fn the_own_word_is_later_than_the_one_it_replaces() {
    let mut a = paired(1, &[2, 3], Limits::default());
    let mut two = Peer::new(2);
    let far = clock(&[(id(2), 40), (stranger(1), 500), (stranger(2), 500)]);
    assert!(matches!(two.tell(&mut a, &far, removed(id(3))), Taken::Removed(_)));
    let said = a.registers().get(id(3), RegisterField::Removed).unwrap().stamp.clone();
    a.pair(&hello(3), PairingId::from_bytes([9; 16]), at(3), &mut seeded(3)).unwrap();
    let again = a.registers().get(id(3), RegisterField::Removed).unwrap();
    assert!(again.value.is_empty() && again.stamp > said);
}

#[test]
fn words_about_strangers_are_not_kept_and_keep_no_peer_in() {
    let mut a = paired(1, &[2, 3, 4], Limits::default());
    let (mut evil, mut honest) = (Peer::new(2), Peer::new(3));
    let mut disk = Disk::default();
    for n in 0..600 {
        evil.tell(&mut a, &clock(&[(id(2), u64::from(n) + 1)]), removed(stranger(n)));
    }
    assert_eq!(a.registers().len(), 0);
    let taken = honest.tell(&mut a, &clock(&[(id(3), 1)]), removed(id(4)));
    assert!(matches!(taken, Taken::Removed(peer) if peer.id == id(4)));
    disk.apply(a.take_writes());
    let restarted = Devices::restore(this(1), disk.snapshot(), Limits::default());
    assert_eq!(restarted.peers().map(|peer| peer.id).collect::<Vec<_>>(), [id(2), id(3)]);
}

#[test]
fn a_table_full_of_old_words_takes_the_removal_of_a_peer() {
    let mut disk = Disk::default();
    let limits = Limits { registers: 8, ..Limits::default() };
    disk.apply(paired(1, &[2, 3, 4], limits).take_writes());
    let mut snapshot = disk.snapshot();
    for n in 0..8 {
        let counts = clock(&[(id(2), MAX_COUNT), (stranger(n), MAX_COUNT)]);
        let register =
            Register { value: "removed".into(), stamp: Stamp { clock: counts, author: id(2), event: id(9) } };
        let field = RegisterField::Removed;
        snapshot.registers.push(RegisterRecord { device: stranger(n), field, register });
    }
    let mut a = Devices::restore(this(1), snapshot, limits);
    let mut honest = Peer::new(3);
    let taken = honest.tell(&mut a, &clock(&[(id(3), 1)]), removed(id(4)));
    assert!(matches!(taken, Taken::Removed(peer) if peer.id == id(4)));
    assert_eq!(a.registers().len(), 8);
    assert!(a.registers().get(id(4), RegisterField::Removed).is_some());
}

#[test]
fn whoever_counts_high_keeps_no_peer_in() {
    let mut a = paired(1, &[2, 3, 4], Limits::default());
    let (mut evil, mut honest) = (Peer::new(2), Peer::new(3));
    // The owner removes 4 and pairs it again; before that a peer said the same with a clock beyond all others.
    let high: Vec<_> = (0..255).map(|n| (stranger(n), MAX_COUNT)).chain([(id(2), MAX_COUNT)]).collect();
    evil.tell(&mut a, &clock(&high), removed(id(4)));
    a.pair(&hello(4), PairingId::from_bytes([9; 16]), at(3), &mut seeded(3)).unwrap();
    let taken = honest.tell(&mut a, &clock(&[(id(3), 1)]), removed(id(4)));
    assert!(matches!(taken, Taken::Removed(peer) if peer.id == id(4)));
}

#[test]
fn a_peer_fills_its_share_of_the_inbox_and_no_more() {
    for limits in
        [Limits { inbox: 10, ..Limits::default() }, Limits { inbox_bytes: 10 * 1_500, ..Limits::default() }]
    {
        let (mut a, keys) = (paired(1, &[2, 3], limits), TestKeys::new(1));
        let fill = |a: &mut Devices, n: u8| {
            let mut peer = Peer::new(n);
            let events: Vec<_> = (0..12).map(|_| peer.says(&VectorClock::default(), a_drop(1_000))).collect();
            let received = a.receive(id(n), &peer.delivery(a, events), at(1), &keys).unwrap();
            assert_eq!(received.refused, Some(ErrorCode::OutboxFull));
            received.ack
        };
        let first = fill(&mut a, 2);
        assert!((5..=7).contains(&first), "about half: {first}");
        assert!(fill(&mut a, 3) >= 1, "and the other one has room");
    }
}

#[test]
fn what_is_no_payload_does_not_wait_behind_one_that_has_no_room() {
    let limits = Limits { inbox: 2, ..Limits::default() };
    let (mut a, keys_a) = (paired(2, &[1, 3], Limits::default()), TestKeys::new(2));
    let (mut b, keys_b) = (paired(1, &[2, 3], limits), TestKeys::new(1));
    let mut rng = seeded(1);
    for n in 0..40 {
        a.send(id(1), a_drop(1), at(n), &keys_a, &mut rng).unwrap();
    }
    a.rename_this(name("renamed"), at(50), &keys_a, &mut rng).unwrap();
    a.remove(id(3), at(51), &keys_a, &mut rng).unwrap();
    // The first delivery shows that there is no room for the second payload.
    let received = b.receive(id(2), &a.delivery(id(1)).unwrap(), at(60), &keys_b).unwrap();
    assert_eq!((received.ack, received.refused), (1, Some(ErrorCode::OutboxFull)));
    a.acknowledged(id(1), 1, at(61)).unwrap();
    a.hear_full(id(1), true, &received.early);
    assert!(a.passes_full(id(1)));
    let delivery = a.delivery(id(1)).unwrap();
    assert_eq!(delivery.events.iter().map(|of| of.seq).collect::<Vec<_>>(), [2, 41, 42]);
    let received = b.receive(id(2), &delivery, at(62), &keys_b).unwrap();
    assert_eq!((received.ack, received.early.clone()), (1, vec![41, 42]));
    assert!(
        matches!(&received.taken[..], [Taken::Renamed { .. }, Taken::Removed(_)]),
        "{:?}",
        received.taken
    );
    a.acknowledged(id(1), received.ack, at(63)).unwrap();
    a.hear_full(id(1), true, &received.early);
    assert!(!a.passes_full(id(1)), "it knows them");
    // The same again changes nothing, also after a restart of the receiver, which forgets what it took early.
    let again = b.receive(id(2), &delivery, at(64), &keys_b).unwrap();
    assert_eq!((again.taken.len(), again.early), (0, vec![41, 42]));
    let peers: Vec<DeviceId> = b.peers().map(|peer| peer.id).collect();
    b.early.clear();
    b.receive(id(2), &delivery, at(65), &keys_b).unwrap();
    assert_eq!(b.peers().map(|peer| peer.id).collect::<Vec<_>>(), peers);
    // With room again everything comes, once and in order.
    for n in 0..100 {
        let Some(delivery) = a.delivery(id(1)) else { break };
        let first = b.inbox().next().map(|item| item.id);
        if let Some(first) = first {
            b.remove_drop(first).unwrap();
        }
        let received = b.receive(id(2), &delivery, at(70 + n), &keys_b).unwrap();
        assert!(!received.taken.iter().any(|taken| matches!(taken, Taken::Unreadable(_))));
        a.acknowledged(id(1), received.ack, at(70 + n)).unwrap();
        a.hear_full(id(1), received.refused.is_some(), &received.early);
    }
    assert!(a.delivery(id(1)).is_none(), "nothing waits any more");
    assert_eq!(b.peer(id(2)).unwrap().taken, 42);
}

#[test]
fn a_gap_is_a_gap_while_there_is_room() {
    let (mut a, keys) = (paired(1, &[2, 3], Limits::default()), TestKeys::new(1));
    let mut peer = Peer::new(2);
    let first = peer.says(&VectorClock::default(), a_drop(1));
    peer.says(&VectorClock::default(), a_drop(1));
    let third = peer.says(&clock(&[(id(2), 1)]), removed(id(3)));
    let received = a.receive(id(2), &peer.delivery(&a, vec![first, third]), at(1), &keys).unwrap();
    assert_eq!((received.ack, received.early.len(), received.taken.len()), (1, 0, 1));
    assert!(a.peer(id(3)).is_ok());
}
