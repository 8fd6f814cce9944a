//! Messages between peers: a line for each, numbered, in order, taken once.
//!
//! The sender keeps a message until the receiver has it on disk. The receiver takes exactly the number after the last
//! it took; what it has already, it acknowledges again. So a delivery may be lost, doubled, late or cut off by a
//! restart, at either end, and each message still takes effect once.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use durward_protocol::device::wire::{Delivery, SealedEvent};
use durward_protocol::device::{AskedRequest, DeviceDecision, DeviceId, DeviceKeys, DeviceName, EventId};
use durward_protocol::{ErrorCode, RequestId, SessionId, Timestamp, base64url_encode};
use rand_core::CryptoRng;
use time::OffsetDateTime;

use super::asked::AskedNews;
use super::event::{DeviceEvent, EventBody, EventKind};
use super::peers::Devices;
use super::records::{DeviceWrite, OutboxRecord, PeerRecord};

/// Most characters of sealed messages in one delivery: a body holds 64 KiB, quotes and names included.
const DELIVERY_CHARS: usize = 48_000;

/// Most messages in one delivery.
const DELIVERY_EVENTS: usize = 32;

/// Largest number of a message. No line gets there, every JSON reader and every database can hold it, and whoever
/// claims it ends his own line and no other.
const MAX_NUMBER: u64 = 1 << 53;

/// How far beyond what was issued an acknowledgement may be. There is one honest reason for any: this device came back
/// from a backup and counts anew. More messages than this since the backup, and the two have to be paired again.
const MAX_FORGOTTEN: u64 = 1 << 20;

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
    /// Numbers beyond it that are taken too: what is no payload does not wait behind one that has no room.
    pub early: Vec<u64>,
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
        peer.issued = number_after(peer.issued)?;
        let record = OutboxRecord { to, seq: peer.issued, id, kind, sealed, at: now };
        line.push_back(Arc::new(record.clone()));
        self.writes.push(DeviceWrite::Outbox(record));
        self.put_peer(peer);
        Ok(())
    }

    /// The next delivery for a peer; `None`: nothing waits. Where its inbox is full: the first that waits, and what is no
    /// payload behind it.
    pub fn delivery(&self, to: DeviceId) -> Option<Delivery> {
        let peer = self.peers.get(&to)?;
        let line = self.outbox.get(&to)?;
        let base = line.front()?.seq;
        let full = self.full.get(&to);
        let goes = |waiting: &&Arc<OutboxRecord>| match full {
            None => true,
            Some(early) => {
                waiting.seq == base || (waiting.kind != EventKind::Drop && !early.contains(&waiting.seq))
            }
        };
        let mut chars = 0;
        let mut events = Vec::new();
        for waiting in line.iter().filter(goes).take(DELIVERY_EVENTS) {
            let sealed = base64url_encode(&waiting.sealed);
            chars += sealed.len() + 100;
            if chars > DELIVERY_CHARS && !events.is_empty() {
                break;
            }
            events.push(SealedEvent { seq: waiting.seq, id: waiting.id, sealed });
        }
        Some(Delivery { stream: peer.stream, base, events })
    }

    /// A peer says whether it has room for the payload at the front of its line, and what it took from behind it.
    pub fn hear_full(&mut self, to: DeviceId, full: bool, early: &[u64]) {
        if !full {
            self.full.remove(&to);
            return;
        }
        let waits = |seq: &u64| self.outbox.get(&to).is_some_and(|line| line.iter().any(|of| of.seq == *seq));
        let early: Vec<u64> = early.iter().copied().filter(waits).collect();
        let known = self.full.entry(to).or_default();
        known.extend(early);
    }

    /// Whether something waits for a peer that it would take although its inbox is full.
    pub fn passes_full(&self, to: DeviceId) -> bool {
        let (Some(early), Some(line)) = (self.full.get(&to), self.outbox.get(&to)) else { return false };
        line.iter().any(|waiting| waiting.kind != EventKind::Drop && !early.contains(&waiting.seq))
    }

    /// A peer has everything up to `ack` on its disk.
    pub fn acknowledged(&mut self, to: DeviceId, ack: u64, now: OffsetDateTime) -> Result<(), ErrorCode> {
        let mut peer = self.peer(to)?.clone();
        if ack > peer.issued.saturating_add(MAX_FORGOTTEN) {
            return Err(ErrorCode::PairingNotFound);
        }
        let line = self.outbox.entry(to).or_default();
        peer.last_seen = Some(now);
        if ack > peer.issued {
            // This device went back to an older state and counts anew: what waits gets numbers the peer has not seen.
            let waiting = std::mem::take(line);
            self.writes.push(DeviceWrite::Acknowledged { to, seq: peer.issued });
            self.full.remove(&to);
            peer.issued = ack;
            let mut renumbered = VecDeque::new();
            for record in waiting {
                peer.issued = number_after(peer.issued)?;
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
            if let Some(early) = self.full.get_mut(&to) {
                early.retain(|seq| *seq > ack);
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
        if delivery.base > MAX_NUMBER || delivery.events.iter().any(|sealed| sealed.seq > MAX_NUMBER) {
            return Err(ErrorCode::InvalidRequest);
        }
        // What came before the base was taken once, before this device lost it.
        peer.taken = peer.taken.max(delivery.base.saturating_sub(1));
        peer.last_seen = Some(now);
        let mut early = self.early.remove(&from).unwrap_or_default();
        let mut received = Received { ack: peer.taken, early: Vec::new(), taken: Vec::new(), refused: None };
        for sealed in &delivery.events {
            pass_early(&mut received.ack, &mut early);
            if sealed.seq <= received.ack || early.contains(&sealed.seq) {
                continue;
            }
            let next = sealed.seq == received.ack + 1;
            if !next && (received.refused.is_none() || early.len() >= self.limits.outbox) {
                break; // a gap: the sender starts again after the answer
            }
            match self.take(&peer, sealed, next, now, keys) {
                Ok(taken) => received.taken.push(taken),
                Err(code) => {
                    received.refused.get_or_insert(code);
                    continue;
                }
            }
            if next {
                received.ack = sealed.seq;
            } else {
                early.insert(sealed.seq);
            }
        }
        pass_early(&mut received.ack, &mut early);
        received.early = delivery.events.iter().map(|of| of.seq).filter(|seq| early.contains(seq)).collect();
        if !early.is_empty() {
            self.early.insert(from, early);
        }
        // The sender itself may have another name now.
        if let Some(renamed) = self.peers.get(&from) {
            peer.name = renamed.name.clone();
        }
        peer.taken = received.ack;
        self.put_peer(peer);
        Ok(received)
    }
}

/// The number after one, while a line has any.
fn number_after(issued: u64) -> Result<u64, ErrorCode> {
    issued.checked_add(1).filter(|next| *next <= MAX_NUMBER).ok_or(ErrorCode::PairingNotFound)
}

/// Goes on over what was taken early.
fn pass_early(ack: &mut u64, early: &mut BTreeSet<u64>) {
    while early.remove(&(*ack + 1)) {
        *ack += 1;
    }
    early.retain(|seq| *seq > *ack);
}
