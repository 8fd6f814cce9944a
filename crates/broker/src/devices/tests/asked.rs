//! Requests that a marked peer is asked about, between two devices that stop and start.

use durward_protocol::device::{
    AskedRequest, AskedState, DecisionWord, DeviceDecision, DeviceKeys as _, EventId,
};
use durward_protocol::{
    AgentId, AgentName, ApproverKey, Domain, ErrorCode, Field, MAX_REASON_BYTES, RequestId, SecretBytes,
    SessionId, Timestamp,
};
use time::Duration;

use super::support::{TestKeys, at, hello, id, name, paired, seeded, this};
use super::sync::Disk;
use crate::devices::{AskedNews, Devices, EventBody, Limits, PeerRequestKey, Taken};

fn asked(n: u8) -> AskedRequest {
    AskedRequest {
        approver_id: ApproverKey::from_seed(&SecretBytes::new([8; 32])).id().clone(),
        session_id: SessionId::from_bytes([1; 16]),
        request_id: RequestId::from_bytes([n; 16]),
        agent_id: AgentId::parse("flight").unwrap(),
        agent_name: AgentName::parse("Flight").unwrap(),
        domain: Domain::parse("example.com").unwrap(),
        reason: "to book".into(),
        fields: vec![Field::Username, Field::Password],
        item_id: None,
        expires: Timestamp::new(at(600)),
    }
}

fn key(n: u8) -> PeerRequestKey {
    PeerRequestKey {
        from: id(1),
        session_id: SessionId::from_bytes([1; 16]),
        request_id: RequestId::from_bytes([n; 16]),
    }
}

fn news(n: u8, state: AskedState, decision: Option<EventId>) -> AskedNews {
    let asked = asked(n);
    AskedNews { session_id: asked.session_id, request_id: asked.request_id, state, by: None, decision }
}

/// The approver, device 1, and device 2, which is marked; with a disk each.
struct Two {
    a: Devices,
    b: Devices,
    disk_a: Disk,
    disk_b: Disk,
    keys_a: TestKeys,
    keys_b: TestKeys,
    rng: rand::rngs::StdRng,
}

impl Two {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let (mut a, b) = (paired(1, &[2, 3], limits), paired(2, &[1], limits));
        assert_eq!(a.set_approver(id(2), true), Ok(true));
        let (keys_a, keys_b) = (TestKeys::new(1), TestKeys::new(2));
        let (disk_a, disk_b) = (Disk::default(), Disk::default());
        let mut two = Self { a, b, disk_a, disk_b, keys_a, keys_b, rng: seeded(3) };
        two.commit();
        two
    }

    fn commit(&mut self) {
        self.disk_a.apply(self.a.take_writes());
        self.disk_b.apply(self.b.take_writes());
    }

    fn restart(&mut self) {
        self.commit();
        self.a = Devices::restore(this(1), self.disk_a.snapshot(), Limits::default());
        self.b = Devices::restore(this(2), self.disk_b.snapshot(), Limits::default());
    }

    fn ask(&mut self, n: u8) -> bool {
        self.a.ask(id(2), &asked(n), at(0), &self.keys_a, &mut self.rng).unwrap()
    }

    fn tell(&mut self, news: AskedNews) {
        self.a.tell_asked(id(2), news, at(5), &self.keys_a, &mut self.rng).unwrap();
    }

    /// From 1 to 2.
    fn there(&mut self) -> Vec<Taken> {
        carry(&mut self.a, &mut self.b, &self.keys_b)
    }

    /// From 2 to 1.
    fn back(&mut self) -> Vec<Taken> {
        carry(&mut self.b, &mut self.a, &self.keys_a)
    }

    fn decide(&mut self, n: u8, word: DecisionWord) -> Result<EventId, ErrorCode> {
        let decided = self.b.decide_for_peer(key(n), word, None, at(9), &self.keys_b, &mut self.rng);
        decided.map(|(event, _)| event)
    }

    fn listed(&self) -> Vec<u8> {
        let list = self.b.peer_requests(at(9), &self.keys_b);
        list.iter().map(|(record, _)| record.key.request_id.as_bytes()[0]).collect()
    }
}

fn carry(from: &mut Devices, to: &mut Devices, keys: &TestKeys) -> Vec<Taken> {
    let (sender, receiver) = (from.this().id, to.this().id);
    let mut all = Vec::new();
    while let Some(delivery) = from.delivery(receiver) {
        let received = to.receive(sender, &delivery, at(8), keys).unwrap();
        all.extend(received.taken);
        from.acknowledged(receiver, received.ack, at(8)).unwrap();
    }
    all
}

#[test]
fn a_marked_peer_sees_a_request_and_its_signed_decision_comes_back() {
    let mut two = Two::new();
    assert!(two.ask(1));
    assert!(!two.ask(1), "told once");
    assert!(matches!(&two.there()[..], [Taken::Request(seen)] if **seen == asked(1)));
    two.restart();
    assert_eq!(two.listed(), [1], "on disk");
    assert!(!two.ask(1), "what was told is on disk too");
    let event = two.decide(1, DecisionWord::Approve).unwrap();
    let taken = two.back();
    let [Taken::Decision { event: came, session_id, request_id, decision }] = &taken[..] else {
        panic!("{taken:?}")
    };
    assert_eq!((*came, *session_id, *request_id), (event, key(1).session_id, key(1).request_id));
    assert_eq!((decision.digest, decision.device_id), (asked(1).digest(), id(2)));
    assert_eq!(decision.verify(&two.keys_b.public()), Ok(()));
    two.tell(news(1, AskedState::VaultLocked, Some(event)));
    two.there();
    two.restart();
    let list = two.b.peer_requests(at(9), &two.keys_b);
    assert_eq!(
        (list[0].0.answer, list[0].0.state),
        (Some(DecisionWord::Approve), Some(AskedState::VaultLocked))
    );
    two.tell(news(1, AskedState::Approved, None));
    assert!(matches!(&two.there()[..], [Taken::News(told)] if told.state == AskedState::Approved));
    assert!(two.listed().is_empty() && two.a.asked(id(2)).is_empty());
    two.restart();
    assert!(two.listed().is_empty() && two.a.asked(id(2)).is_empty());
    assert_eq!(two.decide(1, DecisionWord::Deny), Err(ErrorCode::RequestNotFound));
}

#[test]
fn who_is_not_marked_is_not_asked_and_its_decision_does_not_count() {
    let mut two = Two::new();
    two.ask(1);
    two.there();
    two.decide(1, DecisionWord::Approve).unwrap();
    assert_eq!(two.a.set_approver(id(2), false), Ok(true));
    assert_eq!(two.a.set_approver(id(2), false), Ok(false));
    assert!(!two.ask(2));
    let taken = two.back();
    assert!(
        matches!(&taken[..], [Taken::DecisionRefused { why: ErrorCode::DeviceNotFound, .. }]),
        "{taken:?}"
    );
    assert!(two.a.approvers().is_empty());
}

#[test]
fn a_removed_device_is_asked_nothing_and_answers_nothing() {
    let mut two = Two::new();
    two.ask(1);
    two.there();
    two.decide(1, DecisionWord::Approve).unwrap();
    two.a.remove(id(2), at(5), &two.keys_a, &mut two.rng).unwrap();
    assert!(two.a.asked(id(2)).is_empty());
    let delivery = two.b.delivery(id(1)).unwrap();
    assert_eq!(two.a.receive(id(2), &delivery, at(8), &two.keys_a), Err(ErrorCode::DeviceNotFound));
    // Paired anew, it has to be marked anew.
    let stream = two.b.peers().next().unwrap().stream;
    two.a.pair(&hello(2), stream, at(6), &mut two.rng).unwrap();
    let taken = two.back();
    assert!(
        matches!(&taken[..], [Taken::DecisionRefused { why: ErrorCode::DeviceNotFound, .. }]),
        "{taken:?}"
    );
}

#[test]
fn nobody_decides_in_anothers_name() {
    let mut two = Two::new();
    two.ask(1);
    two.there();
    let (session_id, request_id) = (key(1).session_id, key(1).request_id);
    let sign = |device, keys: &TestKeys| {
        DeviceDecision::sign(&asked(1), DecisionWord::Approve, None, device, keys).unwrap()
    };
    let mut forged = sign(id(2), &two.keys_b);
    forged.signature[0] ^= 1;
    let with_another_key = sign(id(2), &TestKeys::new(3));
    let of_another_device = sign(id(3), &TestKeys::new(3));
    let as_another_device = sign(id(3), &two.keys_b);
    for bad in [forged, with_another_key, of_another_device, as_another_device] {
        let body = EventBody::Decision { session_id, request_id, decision: Box::new(bad) };
        two.b.send(id(1), body, at(6), &two.keys_b, &mut two.rng).unwrap();
        let taken = two.back();
        let refused = matches!(&taken[..], [Taken::DecisionRefused { why: ErrorCode::BadSignature, .. }]);
        assert!(refused, "{taken:?}");
    }
}

#[test]
fn whoever_asks_cannot_be_somebody_else() {
    // Device 3 shows device 2 a request of the approver: what comes back is signed for the approver and sent to 3.
    let mut two = Two::new();
    let mut b = paired(2, &[1, 3], Limits::default());
    let mut c = paired(3, &[1, 2], Limits::default());
    let keys_c = TestKeys::new(3);
    c.set_approver(id(2), true).unwrap();
    c.ask(id(2), &asked(1), at(0), &keys_c, &mut two.rng).unwrap();
    carry(&mut c, &mut b, &two.keys_b);
    let key = PeerRequestKey { from: id(3), ..key(1) };
    let yes = DecisionWord::Approve;
    b.decide_for_peer(key, yes, None, at(1), &two.keys_b, &mut two.rng).unwrap();
    let taken = carry(&mut b, &mut c, &keys_c);
    let [Taken::Decision { decision, .. }] = &taken[..] else { panic!("{taken:?}") };
    let (session_id, request_id) = (asked(1).session_id, asked(1).request_id);
    let body = EventBody::Decision { session_id, request_id, decision: decision.clone() };
    two.a.set_approver(id(3), true).unwrap();
    c.send(id(1), body, at(2), &keys_c, &mut two.rng).unwrap();
    let taken = carry(&mut c, &mut two.a, &two.keys_a);
    assert!(matches!(&taken[..], [Taken::DecisionRefused { why: ErrorCode::BadSignature, .. }]), "{taken:?}");
}

#[test]
fn a_flood_of_requests_is_bounded_at_both_ends() {
    let limits = Limits { asked: 3, asks_a_minute: 5, peer_requests: 2, ..Limits::default() };
    let mut two = Two::with(limits);
    assert_eq!((1..=10).filter(|n| two.ask(*n)).count(), 3, "so many at a time");
    two.there();
    assert_eq!(two.listed(), [1, 2], "and the other end takes fewer from anybody");
    for n in 1..=3 {
        two.tell(news(n, AskedState::Cancelled, None));
    }
    let told = two.a.outbox(id(2)).count();
    two.tell(news(1, AskedState::Cancelled, None));
    assert_eq!(two.a.outbox(id(2)).count(), told, "what is over is told once");
    assert_eq!((11..=20).filter(|n| two.ask(*n)).count(), 2, "so many a minute");
    let later = at(61);
    assert!(two.a.ask(id(2), &asked(21), later, &two.keys_a, &mut two.rng).unwrap());
    // A peer that is away is asked nothing more once much waits for it.
    let mut two = Two::with(Limits { asks_a_minute: 1_000, asked: 1_000, ..Limits::default() });
    let sent = (1..=250).filter(|n| two.ask(*n)).count();
    assert_eq!(sent, 128);
}

#[test]
fn a_request_lives_as_long_here_as_there_whatever_the_clocks_say() {
    let mut two = Two::new();
    two.ask(1);
    let delivery = two.a.delivery(id(2)).unwrap();
    let far = at(1_000_000);
    two.b.receive(id(1), &delivery, far, &two.keys_b).unwrap();
    assert_eq!(two.b.peer_requests(far + Duration::seconds(599), &two.keys_b).len(), 1);
    assert_eq!(two.b.peer_requests(far + Duration::seconds(600), &two.keys_b).len(), 0);
    let late = two.b.decide_for_peer(
        key(1),
        DecisionWord::Approve,
        None,
        far + Duration::seconds(600),
        &two.keys_b,
        &mut two.rng,
    );
    assert_eq!(late.map(|_| ()), Err(ErrorCode::RequestNotFound));
    let mut over = asked(2);
    over.expires = Timestamp::new(at(0));
    assert!(two.a.ask(id(2), &over, at(0), &two.keys_a, &mut two.rng).unwrap());
    assert!(matches!(two.there().last(), Some(Taken::Nothing)), "over before it came");
}

#[test]
fn the_largest_request_arrives_and_a_larger_one_is_not_taken() {
    let mut two = Two::new();
    let mut large = asked(1);
    large.reason = "\u{1}".repeat(MAX_REASON_BYTES);
    large.item_id = Some("\"".repeat(256));
    large.fields = (0..16).map(|n| Field::Custom(format!("{n:\"<64}"))).collect();
    assert!(two.a.ask(id(2), &large, at(0), &two.keys_a, &mut two.rng).unwrap());
    assert!(matches!(&two.there()[..], [Taken::Request(seen)] if **seen == large));
    for n in 0..3 {
        let mut beyond = asked(2 + n);
        match n {
            0 => beyond.reason = "x".repeat(MAX_REASON_BYTES + 1),
            1 => beyond.fields = Vec::new(),
            _ => beyond.item_id = Some("x".repeat(257)),
        }
        assert!(two.a.ask(id(2), &beyond, at(0), &two.keys_a, &mut two.rng).unwrap());
        assert_eq!(two.there(), [Taken::Nothing], "{n}");
    }
}

#[test]
fn more_fields_than_asked_are_not_even_signed() {
    let mut two = Two::new();
    two.ask(1);
    two.there();
    let fields = Some(vec![Field::Password, Field::Totp]);
    let too_many =
        two.b.decide_for_peer(key(1), DecisionWord::Approve, fields, at(9), &two.keys_b, &mut two.rng);
    assert_eq!(too_many.map(|_| ()), Err(ErrorCode::InvalidRequest));
    assert!(two.b.outbox(id(1)).next().is_none());
}

#[test]
fn new_keys_and_lost_peers_leave_no_requests_behind() {
    let mut two = Two::new();
    two.ask(1);
    two.there();
    let new = TestKeys::new(9);
    two.b.rotate(&two.keys_b, &new).unwrap();
    two.commit();
    assert!(two.b.peer_requests(at(9), &new).is_empty());
    assert!(two.disk_b.snapshot().peer_requests.is_empty());
    assert_eq!(two.a.peer(id(2)).unwrap().name, name("device 2"));
}
