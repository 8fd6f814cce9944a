//! The peers of this device, and every change to who is one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use durward_protocol::device::{DeviceId, DeviceKeys, DeviceName, DevicePublic, EventId, Hello};
use durward_protocol::{ErrorCode, PairingId, lp_all};
use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::clock::{RegisterField, Registers, VectorClock};
use super::event::EventBody;
use super::records::{
    AskedRecord, DeviceSnapshot, DeviceWrite, InboxRecord, IntroducedRecord, OutboxRecord, PeerRecord,
    PeerRequestRecord,
};

/// This device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct This {
    /// Its id.
    pub id: DeviceId,
    /// Its name.
    pub name: DeviceName,
    /// Its public keys.
    pub keys: DevicePublic,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Peers.
    pub peers: usize,
    /// Introduced devices that wait for the owner.
    pub introduced: usize,
    /// Messages that wait for one peer.
    pub outbox: usize,
    /// Of these, places that payloads leave to news about devices.
    pub outbox_reserve: usize,
    /// Bytes that wait for one peer.
    pub outbox_bytes: usize,
    /// Payloads in the inbox.
    pub inbox: usize,
    /// Their bytes.
    pub inbox_bytes: usize,
    /// Registers.
    pub registers: usize,
    /// Requests that one peer is told of at a time.
    pub asked: usize,
    /// Requests that one peer is told of in a minute.
    pub asks_a_minute: u32,
    /// Requests of one peer; of all, four times as many.
    pub peer_requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peers: 64,
            introduced: 32,
            outbox: 1_000,
            outbox_reserve: 100,
            outbox_bytes: 16 << 20,
            inbox: 1_000,
            inbox_bytes: 16 << 20,
            registers: 512,
            asked: 32,
            asks_a_minute: 120,
            peer_requests: 64,
        }
    }
}

/// Everything this device knows about others. Cheap to copy: messages are shared.
#[derive(Clone, Debug)]
pub struct Devices {
    pub(super) this: This,
    pub(super) limits: Limits,
    pub(super) clock: VectorClock,
    pub(super) peers: BTreeMap<DeviceId, PeerRecord>,
    pub(super) introduced: BTreeMap<DeviceId, IntroducedRecord>,
    pub(super) registers: Registers,
    pub(super) outbox: BTreeMap<DeviceId, VecDeque<Arc<OutboxRecord>>>,
    pub(super) inbox: Vec<Arc<InboxRecord>>,
    pub(super) asked: Vec<AskedRecord>,
    pub(super) asked_lately: BTreeMap<DeviceId, (OffsetDateTime, u32)>,
    pub(super) peer_requests: Vec<PeerRequestRecord>,
    /// Peers whose inbox is full, and what they took all the same. In memory: they say it again.
    pub(super) full: BTreeMap<DeviceId, BTreeSet<u64>>,
    /// What was taken from behind a payload that had no room. In memory: taken again, it changes nothing.
    pub(super) early: BTreeMap<DeviceId, BTreeSet<u64>>,
    pub(super) writes: Vec<DeviceWrite>,
}

impl Devices {
    /// What was stored, as this device.
    pub fn restore(this: This, snapshot: DeviceSnapshot, limits: Limits) -> Self {
        let mut registers = Registers::default();
        let mut clock = VectorClock::default();
        for record in snapshot.registers {
            let stamp = &record.register.stamp;
            if stamp.author == this.id {
                clock.merge(&stamp.clock);
            } else {
                clock.raise(stamp.author, stamp.clock.count(stamp.author));
            }
            registers.put(record.device, record.field, record.register);
        }
        let mut outbox: BTreeMap<DeviceId, VecDeque<Arc<OutboxRecord>>> = BTreeMap::new();
        for record in snapshot.outbox {
            outbox.entry(record.to).or_default().push_back(Arc::new(record));
        }
        let peers: BTreeMap<_, _> = snapshot.peers.into_iter().map(|peer| (peer.id, peer)).collect();
        outbox.retain(|to, _| peers.contains_key(to));
        // A clock that others would not take is mended here, whoever put into it what does not belong there.
        let known: BTreeSet<DeviceId> = registers.iter().map(|(device, _, _)| device).collect();
        clock.keep_only(|id| id == this.id || peers.contains_key(&id) || known.contains(&id));
        clock.shrink(|id| id == this.id || peers.contains_key(&id));
        Self {
            this,
            limits,
            clock,
            peers,
            introduced: snapshot.introduced.into_iter().map(|device| (device.id, device)).collect(),
            registers,
            outbox,
            inbox: snapshot.inbox.into_iter().map(Arc::new).collect(),
            asked: snapshot.asked,
            asked_lately: BTreeMap::new(),
            peer_requests: snapshot.peer_requests,
            full: BTreeMap::new(),
            early: BTreeMap::new(),
            writes: Vec::new(),
        }
    }

    /// What has to be committed before this state counts.
    #[must_use]
    pub fn take_writes(&mut self) -> Vec<DeviceWrite> {
        std::mem::take(&mut self.writes)
    }

    /// This device.
    pub fn this(&self) -> &This {
        &self.this
    }

    /// The peers, by id.
    pub fn peers(&self) -> impl Iterator<Item = &PeerRecord> {
        self.peers.values()
    }

    /// One peer.
    pub fn peer(&self, id: DeviceId) -> Result<&PeerRecord, ErrorCode> {
        self.peers.get(&id).ok_or(ErrorCode::DeviceNotFound)
    }

    /// Introduced, not confirmed.
    pub fn introduced(&self) -> impl Iterator<Item = &IntroducedRecord> {
        self.introduced.values()
    }

    /// What waits for a peer.
    pub fn outbox(&self, to: DeviceId) -> impl Iterator<Item = &OutboxRecord> {
        self.outbox.get(&to).into_iter().flatten().map(Arc::as_ref)
    }

    /// What came, oldest first.
    pub fn inbox(&self) -> impl Iterator<Item = &InboxRecord> {
        self.inbox.iter().map(Arc::as_ref)
    }

    /// What all devices agree on.
    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    /// Whether a device of these keys may become a peer: not this one, not a known one under another id.
    /// The peer it would replace, when it is known already.
    pub fn check_new(&self, id: DeviceId, keys: &DevicePublic) -> Result<Option<&PeerRecord>, ErrorCode> {
        let shares = |other: &DevicePublic| other.x25519 == keys.x25519 || other.ed25519 == keys.ed25519;
        if id == self.this.id || shares(&self.this.keys) {
            return Err(ErrorCode::DeviceKnown);
        }
        if self.peers.values().any(|peer| peer.id != id && shares(&peer.keys)) {
            return Err(ErrorCode::DeviceKnown);
        }
        let known = self.peers.get(&id);
        if known.is_none() && self.peers.len() >= self.limits.peers {
            return Err(ErrorCode::RateLimited);
        }
        Ok(known)
    }

    /// A pairing by code was accepted: its device is a peer, in place of what had the same id.
    pub fn pair(
        &mut self,
        hello: &Hello,
        stream: PairingId,
        now: OffsetDateTime,
        rng: &mut impl CryptoRng,
    ) -> Result<PeerRecord, ErrorCode> {
        self.check_new(hello.device_id, &hello.keys)?;
        self.admit(hello, stream, None, now, rng)
    }

    fn admit(
        &mut self,
        hello: &Hello,
        stream: PairingId,
        introduced_by: Option<DeviceId>,
        now: OffsetDateTime,
        rng: &mut impl CryptoRng,
    ) -> Result<PeerRecord, ErrorCode> {
        let id = hello.device_id;
        let before = self.peers.remove(&id);
        if before.is_some() {
            self.forget_line(id); // what waits is sealed for a line of messages that is over
            self.forget_requests_of(id);
            self.writes.push(DeviceWrite::RemovePeer(id));
        }
        if self.introduced.remove(&id).is_some() {
            self.writes.push(DeviceWrite::RemoveIntroduced(id));
        }
        // An older word of removal is over.
        if self.registers.get(id, RegisterField::Removed).is_some_and(|removed| !removed.value.is_empty()) {
            self.say(id, RegisterField::Removed, "", EventId::new(now, rng));
        }
        let peer = PeerRecord {
            id,
            name: self.free_name(hello.name.clone(), Some(id)),
            keys: hello.keys,
            stream,
            paired_at: now,
            address: before.and_then(|before| before.address),
            introduced_by,
            approver: false,
            last_seen: introduced_by.is_none().then_some(now),
            issued: 0,
            taken: 0,
        };
        self.put_peer(peer.clone());
        Ok(peer)
    }

    pub(super) fn put_peer(&mut self, peer: PeerRecord) {
        self.writes.push(DeviceWrite::Peer(peer.clone()));
        self.peers.insert(peer.id, peer);
    }

    /// A name that neither this device nor another peer has: names are files.
    pub(super) fn free_name(&self, name: DeviceName, of: Option<DeviceId>) -> DeviceName {
        let taken = |name: &DeviceName| {
            name.same_file(&self.this.name)
                || self.peers.values().any(|peer| Some(peer.id) != of && peer.name.same_file(name))
        };
        name.unique(taken)
    }

    /// Takes a peer away, with everything that waits for it, and tells the others. Nothing is sealed for it from here on.
    pub fn remove(
        &mut self,
        id: DeviceId,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<PeerRecord, ErrorCode> {
        let peer = self.drop_peer(id)?;
        let event = EventId::new(now, rng);
        self.say(id, RegisterField::Removed, "removed", event);
        self.tell_all(event, &EventBody::DeviceRemoved { device_id: id }, now, keys);
        Ok(peer)
    }

    pub(super) fn drop_peer(&mut self, id: DeviceId) -> Result<PeerRecord, ErrorCode> {
        let peer = self.peers.remove(&id).ok_or(ErrorCode::DeviceNotFound)?;
        self.forget_line(id);
        self.forget_requests_of(id);
        self.writes.push(DeviceWrite::RemovePeer(id));
        Ok(peer)
    }

    fn forget_line(&mut self, id: DeviceId) {
        self.outbox.remove(&id);
        self.full.remove(&id);
        self.early.remove(&id);
    }

    /// Takes a peer away without telling anybody: where that fails, the peer goes all the same.
    pub fn remove_untold(
        &mut self,
        id: DeviceId,
        now: OffsetDateTime,
        rng: &mut impl CryptoRng,
    ) -> Result<PeerRecord, ErrorCode> {
        let peer = self.drop_peer(id)?;
        self.say(id, RegisterField::Removed, "removed", EventId::new(now, rng));
        Ok(peer)
    }

    /// Gives this device another name and tells the peers.
    pub fn rename_this(
        &mut self,
        name: DeviceName,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<(), ErrorCode> {
        if self.peers.values().any(|peer| peer.name.same_file(&name)) {
            return Err(ErrorCode::NameTaken);
        }
        self.this.name = name.clone();
        let event = EventId::new(now, rng);
        self.say(self.this.id, RegisterField::Name, name.as_str(), event);
        self.tell_all(event, &EventBody::DeviceRenamed { name }, now, keys);
        Ok(())
    }

    /// Gives a peer another name here.
    pub fn rename_peer(&mut self, id: DeviceId, name: DeviceName) -> Result<(), ErrorCode> {
        let mut peer = self.peer(id)?.clone();
        let other = |peer: &PeerRecord| peer.id != id && peer.name.same_file(&name);
        if name.same_file(&self.this.name) || self.peers.values().any(other) {
            return Err(ErrorCode::NameTaken);
        }
        peer.name = name;
        self.put_peer(peer);
        Ok(())
    }

    /// Sets or removes the address the owner gave.
    pub fn set_address(&mut self, id: DeviceId, address: Option<String>) -> Result<(), ErrorCode> {
        let mut peer = self.peer(id)?.clone();
        peer.address = address;
        self.put_peer(peer);
        Ok(())
    }

    /// Tells one peer about another.
    pub fn introduce(
        &mut self,
        to: DeviceId,
        whom: DeviceId,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<EventId, ErrorCode> {
        let whom = self.peer(whom)?;
        if whom.id == to {
            return Err(ErrorCode::InvalidRequest);
        }
        let body = EventBody::Introduction { device_id: whom.id, name: whom.name.clone(), keys: whom.keys };
        self.send(to, body, now, keys, rng)
    }

    /// The owner's word on an introduced device: `None` where it was no.
    pub fn confirm_introduced(
        &mut self,
        id: DeviceId,
        accept: bool,
        now: OffsetDateTime,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<PeerRecord>, ErrorCode> {
        let device = self.introduced.get(&id).cloned().ok_or(ErrorCode::DeviceNotFound)?;
        if !accept {
            self.introduced.remove(&id);
            self.writes.push(DeviceWrite::RemoveIntroduced(id));
            return Ok(None);
        }
        self.check_new(id, &device.keys)?;
        let stream = self.stream_with(&device);
        let hello = Hello { device_id: id, name: device.name, keys: device.keys };
        self.admit(&hello, stream, Some(device.by), now, rng).map(Some)
    }

    /// The line of messages of two introduced devices: no pairing began it, so both compute it.
    fn stream_with(&self, other: &IntroducedRecord) -> PairingId {
        let mut ends = [(self.this.id, &self.this.keys.ed25519), (other.id, &other.keys.ed25519)];
        ends.sort_by_key(|(id, _)| *id);
        let [(a, key_a), (b, key_b)] = ends;
        let label = b"durward/1 device introduction";
        let hash = Sha256::digest(lp_all(&[label, a.as_bytes(), key_a, b.as_bytes(), key_b]));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        PairingId::from_bytes(bytes)
    }

    /// This device has new keys: nobody knows them, so nobody is a peer any more. Payloads are sealed anew.
    pub fn rotate(
        &mut self,
        old: &dyn DeviceKeys,
        new: &dyn DeviceKeys,
    ) -> Result<Vec<PeerRecord>, ErrorCode> {
        let ids: Vec<DeviceId> = self.peers.keys().copied().collect();
        let mut removed = Vec::new();
        for id in ids {
            removed.push(self.drop_peer(id)?);
        }
        let introduced: Vec<DeviceId> = std::mem::take(&mut self.introduced).into_keys().collect();
        self.writes.extend(introduced.into_iter().map(DeviceWrite::RemoveIntroduced));
        let public = new.public();
        for item in &mut self.inbox {
            let opened = old.open(&item.from_keys, &item.sealed).map_err(|_| ErrorCode::Internal)?;
            let sealed = new.seal(&public, &opened).map_err(|_| ErrorCode::Internal)?;
            let renewed = InboxRecord { sealed, from_keys: public, ..InboxRecord::clone(item) };
            self.writes.push(DeviceWrite::Inbox(renewed.clone()));
            *item = Arc::new(renewed);
        }
        self.this.keys = public;
        Ok(removed)
    }
}
