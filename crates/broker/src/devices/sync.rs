//! Messages between peers: a line for each, numbered, in order, taken once.
//!
//! The sender keeps a message until the receiver has it on disk. The receiver takes exactly the number after the last
//! it took; what it has already, it acknowledges again. So a delivery may be lost, doubled, late or cut off by a
//! restart, at either end, and each message still takes effect once.

use std::collections::VecDeque;
use std::sync::Arc;

use durward_protocol::device::wire::{Delivery, SealedEvent};
use durward_protocol::device::{AskedRequest, DeviceDecision, DeviceId, DeviceKeys, DeviceName, EventId};
use durward_protocol::{ErrorCode, RequestId, SessionId, Timestamp, base64url_decode, base64url_encode};
use rand_core::CryptoRng;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::asked::AskedNews;
use super::clock::{Register, RegisterField, Stamp};
use super::event::{DeviceEvent, EventBody, EventKind};
use super::peers::Devices;
use super::records::{DeviceWrite, InboxRecord, IntroducedRecord, OutboxRecord, PeerRecord, RegisterRecord};

/// Most characters of sealed messages in one delivery: a body holds 64 KiB, quotes and names included.
const DELIVERY_CHARS: usize = 48_000;

/// Most messages in one delivery.
const DELIVERY_EVENTS: usize = 32;

/// What came of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A payload is in the inbox.
    Drop {
        /// Its id.
        id: EventId,
        /// Its file name.
        file_name: String,
    },
    /// The sender has another name here.
    Renamed {
        /// Its old one.
        from: DeviceName,
        /// Its new one.
        to: DeviceName,
    },
    /// A peer was removed, because the sender said so.
    Removed(Box<PeerRecord>),
    /// A device waits for the owner's word.
    Introduced {
        /// Its id.
        id: DeviceId,
        /// Its name.
        name: DeviceName,
    },
    /// The peer asks this owner about a request of an agent.
    Request(Box<AskedRequest>),
    /// How a request that the peer had asked about stands.
    News(Box<AskedNews>),
    /// The peer's owner decided a request here; signed by the peer, which is marked.
    Decision {
        /// The message.
        event: EventId,
        /// The session.
        session_id: SessionId,
        /// The request.
        request_id: RequestId,
        /// What it signed.
        decision: Box<DeviceDecision>,
    },
    /// A decision that does not count, whatever it is about.
    DecisionRefused {
        /// The message.
        event: EventId,
        /// The session it names.
        session_id: SessionId,
        /// The request it names.
        request_id: RequestId,
        /// Why.
        why: ErrorCode,
    },
    /// Nothing: known already, or older than what holds.
    Nothing,
    /// It could not be read, and never will be: passed over, so that it does not block the line.
    Unreadable(EventId),
}

/// What came of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Everything up to here is taken, once the writes are committed.
    pub ack: u64,
    /// What came of each new message.
    pub taken: Vec<Taken>,
    /// Why the rest was not taken.
    pub refused: Option<ErrorCode>,
}

impl Devices {
    /// Seals a message for a peer and puts it at the end of its line.
    pub fn send(
        &mut self,
        to: DeviceId,
        body: EventBody,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<EventId, ErrorCode> {
        let id = EventId::new(now, rng);
        self.enqueue(to, id, body, now, keys)?;
        Ok(id)
    }

    /// The same message for every peer. One whose line is full does not hear of it: its owner sees the full line.
    pub(super) fn tell_all(
        &mut self,
        id: EventId,
        body: &EventBody,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
    ) {
        let peers: Vec<DeviceId> = self.peers.keys().copied().collect();
        for to in peers {
            // A message about a device is not for that device, and never for one that is no peer.
            let _full = self.enqueue(to, id, body.clone(), now, keys);
        }
    }

    fn enqueue(
        &mut self,
        to: DeviceId,
        id: EventId,
        body: EventBody,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
    ) -> Result<(), ErrorCode> {
        let mut peer = self.peer(to)?.clone();
        let line = self.outbox.entry(to).or_default();
        let kind = body.kind();
        let reserve = if kind == EventKind::Drop { self.limits.outbox_reserve } else { 0 };
        let bytes: usize = line.iter().map(|waiting| waiting.sealed.len()).sum();
        if line.len() + reserve >= self.limits.outbox || bytes >= self.limits.outbox_bytes {
            return Err(ErrorCode::OutboxFull);
        }
        let at = Timestamp::new(now);
        let event = DeviceEvent { id, from: self.this.id, to, at, clock: self.clock.clone(), body };
        let plain = event.encode().map_err(|_| ErrorCode::Internal)?;
        let sealed = keys.seal(&peer.keys, &plain).map_err(|_| ErrorCode::Internal)?;
        if sealed.len() > DELIVERY_CHARS / 4 * 3 {
            return Err(ErrorCode::BodyTooLarge);
        }
        peer.issued += 1;
        let record = OutboxRecord { to, seq: peer.issued, id, kind, sealed, at: now };
        line.push_back(Arc::new(record.clone()));
        self.writes.push(DeviceWrite::Outbox(record));
        self.put_peer(peer);
        Ok(())
    }

    /// The next delivery for a peer; `None`: nothing waits.
    pub fn delivery(&self, to: DeviceId) -> Option<Delivery> {
        let peer = self.peers.get(&to)?;
        let line = self.outbox.get(&to)?;
        let base = line.front()?.seq;
        let mut chars = 0;
        let mut events = Vec::new();
        for waiting in line.iter().take(DELIVERY_EVENTS) {
            let sealed = base64url_encode(&waiting.sealed);
            chars += sealed.len() + 100;
            if chars > DELIVERY_CHARS && !events.is_empty() {
                break;
            }
            events.push(SealedEvent { seq: waiting.seq, id: waiting.id, sealed });
        }
        Some(Delivery { stream: peer.stream, base, events })
    }

    /// A peer has everything up to `ack` on its disk.
    pub fn acknowledged(&mut self, to: DeviceId, ack: u64, now: OffsetDateTime) -> Result<(), ErrorCode> {
        let mut peer = self.peer(to)?.clone();
        let line = self.outbox.entry(to).or_default();
        peer.last_seen = Some(now);
        if ack > peer.issued {
            // This device went back to an older state and counts anew: what waits gets numbers the peer has not seen.
            let waiting = std::mem::take(line);
            self.writes.push(DeviceWrite::Acknowledged { to, seq: peer.issued });
            peer.issued = ack;
            let mut renumbered = VecDeque::new();
            for record in waiting {
                peer.issued = peer.issued.saturating_add(1);
                let record = OutboxRecord { seq: peer.issued, ..OutboxRecord::clone(&record) };
                self.writes.push(DeviceWrite::Outbox(record.clone()));
                renumbered.push_back(Arc::new(record));
            }
            *line = renumbered;
        } else {
            let before = line.len();
            line.retain(|waiting| waiting.seq > ack);
            if line.len() < before {
                self.writes.push(DeviceWrite::Acknowledged { to, seq: ack });
            }
        }
        self.put_peer(peer);
        Ok(())
    }

    /// Takes what a peer delivered. The caller has checked that the peer signed it.
    pub fn receive(
        &mut self,
        from: DeviceId,
        delivery: &Delivery,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
    ) -> Result<Received, ErrorCode> {
        let mut peer = self.peer(from)?.clone();
        if delivery.stream != peer.stream || delivery.events.len() > DELIVERY_EVENTS {
            // Paired anew at one end only: neither line means anything to the other.
            return Err(ErrorCode::PairingNotFound);
        }
        // What came before the base was taken once, before this device lost it.
        peer.taken = peer.taken.max(delivery.base.saturating_sub(1));
        peer.last_seen = Some(now);
        let mut received = Received { ack: peer.taken, taken: Vec::new(), refused: None };
        for sealed in &delivery.events {
            if sealed.seq <= received.ack {
                continue;
            }
            if sealed.seq != received.ack + 1 {
                break; // a gap: the sender starts again after the answer
            }
            match self.take(&peer, sealed, now, keys) {
                Ok(taken) => received.taken.push(taken),
                Err(code) => {
                    received.refused = Some(code);
                    break;
                }
            }
            received.ack = sealed.seq;
        }
        // The sender itself may have another name now.
        if let Some(renamed) = self.peers.get(&from) {
            peer.name = renamed.name.clone();
        }
        peer.taken = received.ack;
        self.put_peer(peer);
        Ok(received)
    }

    fn take(
        &mut self,
        peer: &PeerRecord,
        sealed: &SealedEvent,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
    ) -> Result<Taken, ErrorCode> {
        let Ok(bytes) = base64url_decode(&sealed.sealed) else { return Ok(Taken::Unreadable(sealed.id)) };
        let opened = keys.open(&peer.keys, &bytes).and_then(|plain| DeviceEvent::decode(&plain));
        let Ok(event) = opened else { return Ok(Taken::Unreadable(sealed.id)) };
        if event.id != sealed.id || event.from != peer.id || event.to != self.this.id {
            return Ok(Taken::Unreadable(sealed.id));
        }
        self.clock.merge(&event.clock);
        let stamp = Stamp { clock: event.clock, author: event.from, event: event.id };
        match event.body {
            EventBody::Drop { file_name, content } => {
                self.take_drop(peer, event.id, file_name, content.len(), bytes, now)
            }
            EventBody::DeviceRenamed { name } => Ok(self.take_name(peer, name, stamp)),
            EventBody::DeviceRemoved { device_id } => Ok(self.take_removal(device_id, stamp)),
            EventBody::Introduction { device_id, name, keys } => {
                let by = peer.id;
                Ok(self.take_introduction(IntroducedRecord { id: device_id, name, keys, by, at: now }))
            }
            EventBody::Request(asked) => Ok(self.take_request(peer, &asked, event.at.get(), bytes, now)),
            EventBody::RequestState(news) => Ok(self.take_news(peer, *news, now)),
            EventBody::Decision { session_id, request_id, decision } => {
                Ok(Self::take_decision(peer, event.id, (session_id, request_id), decision))
            }
        }
    }

    fn take_drop(
        &mut self,
        peer: &PeerRecord,
        id: EventId,
        file_name: String,
        size: usize,
        sealed: Vec<u8>,
        now: OffsetDateTime,
    ) -> Result<Taken, ErrorCode> {
        if self.inbox.iter().any(|item| item.id == id && item.from == peer.id) {
            return Ok(Taken::Nothing); // the sender counted anew
        }
        let held: usize = self.inbox.iter().map(|item| item.sealed.len()).sum();
        if self.inbox.len() >= self.limits.inbox || held + sealed.len() > self.limits.inbox_bytes {
            return Err(ErrorCode::OutboxFull);
        }
        let record = InboxRecord {
            id,
            from: peer.id,
            from_name: peer.name.clone(),
            file_name: file_name.clone(),
            sealed,
            from_keys: peer.keys,
            bytes: size as u64,
            received_at: now,
        };
        self.writes.push(DeviceWrite::Inbox(record.clone()));
        self.inbox.push(Arc::new(record));
        Ok(Taken::Drop { id, file_name })
    }

    /// Puts a register, where there is room. `true`: it holds now.
    fn hear(&mut self, device: DeviceId, field: RegisterField, value: String, stamp: Stamp) -> bool {
        let known = self.registers.get(device, field).is_some();
        if !known && self.registers.len() >= self.limits.registers {
            return false;
        }
        let register = Register { value, stamp };
        let holds = self.registers.put(device, field, register.clone());
        if holds {
            self.writes.push(DeviceWrite::Register(RegisterRecord { device, field, register }));
        }
        holds
    }

    fn take_name(&mut self, peer: &PeerRecord, name: DeviceName, stamp: Stamp) -> Taken {
        if !self.hear(peer.id, RegisterField::Name, name.as_str().into(), stamp) {
            return Taken::Nothing;
        }
        let to = self.free_name(name, Some(peer.id));
        if to == peer.name {
            return Taken::Nothing;
        }
        let mut renamed = peer.clone();
        renamed.name = to.clone();
        self.put_peer(renamed);
        Taken::Renamed { from: peer.name.clone(), to }
    }

    fn take_removal(&mut self, device: DeviceId, stamp: Stamp) -> Taken {
        // About this device itself it is the sender's affair; about the sender it makes no sense.
        if device == self.this.id || device == stamp.author {
            return Taken::Nothing;
        }
        if !self.hear(device, RegisterField::Removed, "removed".into(), stamp) {
            return Taken::Nothing;
        }
        if self.introduced.remove(&device).is_some() {
            self.writes.push(DeviceWrite::RemoveIntroduced(device));
        }
        self.drop_peer(device).map_or(Taken::Nothing, |peer| Taken::Removed(Box::new(peer)))
    }

    fn take_introduction(&mut self, device: IntroducedRecord) -> Taken {
        let (id, name) = (device.id, device.name.clone());
        let known = self.peers.contains_key(&id) || self.check_new(id, &device.keys).is_err();
        let full = !self.introduced.contains_key(&id) && self.introduced.len() >= self.limits.introduced;
        // The first introduction stands until the owner has answered: another peer cannot swap the keys below them.
        if known || full || self.introduced.contains_key(&id) {
            return Taken::Nothing;
        }
        self.writes.push(DeviceWrite::Introduced(device.clone()));
        self.introduced.insert(id, device);
        Taken::Introduced { id, name }
    }

    /// Opens a payload of the inbox.
    pub fn open_drop(
        &self,
        id: EventId,
        keys: &dyn DeviceKeys,
    ) -> Result<(&InboxRecord, Zeroizing<Vec<u8>>), ErrorCode> {
        let item = self.inbox.iter().find(|item| item.id == id).ok_or(ErrorCode::MessageNotFound)?;
        let plain = keys.open(&item.from_keys, &item.sealed).map_err(|_| ErrorCode::Internal)?;
        match DeviceEvent::decode(&plain).map_err(|_| ErrorCode::Internal)?.body {
            EventBody::Drop { content, .. } => Ok((item, content)),
            _ => Err(ErrorCode::Internal),
        }
    }

    /// Takes a payload out of the inbox.
    pub fn remove_drop(&mut self, id: EventId) -> Result<(), ErrorCode> {
        let before = self.inbox.len();
        self.inbox.retain(|item| item.id != id);
        if self.inbox.len() == before {
            return Err(ErrorCode::MessageNotFound);
        }
        self.writes.push(DeviceWrite::RemoveInbox(id));
        Ok(())
    }
}
