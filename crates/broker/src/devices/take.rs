//! What a peer's message does here.

use std::sync::Arc;

use durward_protocol::device::wire::SealedEvent;
use durward_protocol::device::{DeviceId, DeviceKeys, DeviceName, EventId};
use durward_protocol::{ErrorCode, base64url_decode};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::clock::{Register, RegisterField, Stamp};
use super::event::{DeviceEvent, EventBody, EventKind};
use super::peers::Devices;
use super::records::{DeviceWrite, InboxRecord, IntroducedRecord, PeerRecord};
use super::sync::Taken;

impl Devices {
    /// Does what a message says. One that is not the next in its line waits when it is a payload.
    pub(super) fn take(
        &mut self,
        peer: &PeerRecord,
        sealed: &SealedEvent,
        next: bool,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
    ) -> Result<Taken, ErrorCode> {
        let Ok(bytes) = base64url_decode(&sealed.sealed) else { return Ok(Taken::Unreadable(sealed.id)) };
        let opened = keys.open(&peer.keys, &bytes).and_then(|plain| DeviceEvent::decode(&plain));
        let Ok(event) = opened else { return Ok(Taken::Unreadable(sealed.id)) };
        if event.id != sealed.id || event.from != peer.id || event.to != self.this.id {
            return Ok(Taken::Unreadable(sealed.id));
        }
        if !next && event.body.kind() == EventKind::Drop {
            return Err(ErrorCode::OutboxFull);
        }
        self.hear_clock(event.from, &event.clock);
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
        if !self.has_room(peer.id, sealed.len()) {
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

    /// Whether a payload of a peer fits: while what it has here is less than what it leaves free, so that no peer can
    /// fill the inbox for the others.
    fn has_room(&self, peer: DeviceId, bytes: usize) -> bool {
        let (mut held, mut of_peer, mut count_of_peer) = (0, 0, 0);
        for item in &self.inbox {
            held += item.sealed.len();
            if item.from == peer {
                of_peer += item.sealed.len();
                count_of_peer += 1;
            }
        }
        let free = self.limits.inbox.saturating_sub(self.inbox.len());
        let free_bytes = self.limits.inbox_bytes.saturating_sub(held);
        count_of_peer < free && of_peer < free_bytes && bytes <= free_bytes
    }

    fn take_name(&mut self, peer: &PeerRecord, name: DeviceName, stamp: Stamp) -> Taken {
        if !self.hear(peer.id, RegisterField::Name, name.as_str(), stamp) {
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

    /// A word about a device that nobody here knows is not kept: a peer could think up any number of them.
    fn take_removal(&mut self, device: DeviceId, stamp: Stamp) -> Taken {
        // About this device itself it is the sender's affair; about the sender it makes no sense.
        if device == self.this.id || device == stamp.author {
            return Taken::Nothing;
        }
        if self.introduced.remove(&device).is_some() {
            self.writes.push(DeviceWrite::RemoveIntroduced(device));
        }
        let known = self.registers.get(device, RegisterField::Removed);
        if !self.peers.contains_key(&device) {
            if known.is_some() {
                self.hear(device, RegisterField::Removed, "removed", stamp);
            }
            return Taken::Nothing;
        }
        // Not the sum decides whether a peer goes, since whoever counts high would keep one in: an old word is one that
        // was heard here when the device was paired anew.
        let old = |known: &Register| {
            known.value.is_empty() && known.stamp.clock.count(stamp.author) >= stamp.clock.count(stamp.author)
        };
        if known.is_some_and(old) {
            return Taken::Nothing;
        }
        self.keep(device, RegisterField::Removed, Register { value: "removed".into(), stamp });
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
