//! Approving from another device: what a marked peer is asked, its signed decision, and what became of it.
//!
//! At the approver a peer is told of a request once, and once that it is over; [`AskedRecord`] says which it knows of.
//! At the other end the request lies as it came, sealed, until it is over or out of time.

use durward_protocol::device::{
    AskedRequest, AskedState, DecisionWord, DeviceDecision, DeviceId, DeviceKeys, DeviceName, EventId,
};
use durward_protocol::{ErrorCode, Field, RequestId, SessionId};
use rand_core::CryptoRng;
use time::{Duration, OffsetDateTime};

use crate::approval::AskedOf;

use super::event::{DeviceEvent, EventBody};
use super::peers::Devices;
use super::records::{AskedRecord, DeviceWrite, PeerRecord, PeerRequestRecord};
use super::sync::Taken;

/// Messages that may wait for a peer before it is asked nothing more: what it cannot be told in time is no use to it.
const ASKED_OUTBOX: usize = 128;

/// Longest that a peer's request is kept, whatever it says.
const LONGEST_LIFE: Duration = Duration::days(1);

/// How a request stands, as a peer that was asked is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedNews {
    /// The agent's session at the approver.
    pub session_id: SessionId,
    /// The request.
    pub request_id: RequestId,
    /// How it stands.
    pub state: AskedState,
    /// The device on which it was decided.
    pub by: Option<DeviceName>,
    /// The decision this answers.
    pub decision: Option<EventId>,
}

/// One thing that a peer has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedStep {
    /// A request waits.
    Ask(DeviceId, Box<AskedRequest>),
    /// One is over, or no longer for this peer.
    Tell(DeviceId, AskedNews),
}

/// Names a request of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRequestKey {
    /// The peer.
    pub from: DeviceId,
    /// The session there.
    pub session_id: SessionId,
    /// The request.
    pub request_id: RequestId,
}

impl Devices {
    /// Marks a peer as one on which the owner decides requests of this device, or takes the mark away.
    pub fn set_approver(&mut self, id: DeviceId, approver: bool) -> Result<bool, ErrorCode> {
        let mut peer = self.peer(id)?.clone();
        if peer.approver == approver {
            return Ok(false);
        }
        peer.approver = approver;
        self.put_peer(peer);
        Ok(true)
    }

    /// Peers on which the owner decides requests of this device.
    pub fn approvers(&self) -> Vec<DeviceId> {
        self.peers.values().filter(|peer| peer.approver).map(|peer| peer.id).collect()
    }

    /// What a peer was told of and not yet that it is over.
    pub fn asked(&self, peer: DeviceId) -> Vec<(SessionId, RequestId)> {
        let of_peer = self.asked.iter().filter(|record| record.peer == peer);
        of_peer.map(|record| (record.session_id, record.request_id)).collect()
    }

    /// What peers have to be told, given what waits now and how the rest ended.
    pub fn asked_steps(
        &self,
        waiting: &[AskedOf],
        outcome: impl Fn(SessionId, RequestId) -> Option<(AskedState, Option<DeviceName>)>,
    ) -> Vec<AskedStep> {
        let mut steps = Vec::new();
        for record in &self.asked {
            let marked = self.peers.get(&record.peer).is_some_and(|peer| peer.approver);
            let ended = outcome(record.session_id, record.request_id);
            let ended = if marked { ended } else { Some((AskedState::Withdrawn, None)) };
            if let Some((state, by)) = ended {
                let AskedRecord { peer, session_id, request_id, .. } = *record;
                let news = AskedNews { session_id, request_id, state, by, decision: None };
                steps.push(AskedStep::Tell(peer, news));
            }
        }
        for peer in self.approvers() {
            let known = self.asked(peer);
            let may = |of: &&AskedOf| of.except != Some(peer);
            let unknown = |of: &&AskedOf| !known.contains(&(of.asked.session_id, of.asked.request_id));
            let room = self.limits.asked.saturating_sub(known.len());
            let new = waiting.iter().filter(may).filter(unknown).take(room);
            steps.extend(new.map(|of| AskedStep::Ask(peer, Box::new(of.asked.clone()))));
        }
        steps
    }

    /// Takes these steps. `true`: some could not be taken now.
    pub fn take_asked_steps(
        &mut self,
        steps: Vec<AskedStep>,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
        rng: &mut impl CryptoRng,
    ) -> bool {
        let mut left = false;
        for step in steps {
            let taken = match step {
                AskedStep::Ask(peer, asked) => self.ask(peer, &asked, now, keys, rng),
                AskedStep::Tell(peer, news) => self.tell_asked(peer, news, now, keys, rng).map(|()| true),
            };
            left |= !matches!(taken, Ok(true));
        }
        left
    }

    /// Tells a peer of a request. `false`: it has enough to look at, or its line is long.
    pub fn ask(
        &mut self,
        to: DeviceId,
        asked: &AskedRequest,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<bool, ErrorCode> {
        let known = self.asked(to);
        let waits = self.outbox.get(&to).map_or(0, std::collections::VecDeque::len);
        let (session_id, request_id) = (asked.session_id, asked.request_id);
        let marked = self.peer(to)?.approver;
        if !marked
            || known.contains(&(session_id, request_id))
            || known.len() >= self.limits.asked
            || waits >= ASKED_OUTBOX
            || !self.may_ask_now(to, now)
        {
            return Ok(false);
        }
        self.send(to, EventBody::Request(Box::new(asked.clone())), now, keys, rng)?;
        let record = AskedRecord { peer: to, session_id, request_id, told_at: now };
        self.writes.push(DeviceWrite::Asked(record));
        self.asked.push(record);
        Ok(true)
    }

    /// An agent that asks and gives up again and again floods nobody: so many requests a minute.
    fn may_ask_now(&mut self, to: DeviceId, now: OffsetDateTime) -> bool {
        let (since, count) = self.asked_lately.entry(to).or_insert((now, 0));
        if !(Duration::ZERO..Duration::MINUTE).contains(&(now - *since)) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= self.limits.asks_a_minute
    }

    /// Tells a peer how a request stands. What is over is off its list, and off the one of what it knows of.
    pub fn tell_asked(
        &mut self,
        to: DeviceId,
        news: AskedNews,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<(), ErrorCode> {
        let this = |known: &AskedRecord| {
            (known.peer, known.session_id, known.request_id) == (to, news.session_id, news.request_id)
        };
        let over = news.state.is_over();
        let known = self.asked.iter().position(this);
        if over && known.is_none() && news.decision.is_none() {
            return Ok(()); // it knows already
        }
        self.send(to, EventBody::RequestState(Box::new(news)), now, keys, rng)?;
        if let Some(at) = known.filter(|_| over) {
            self.writes.push(DeviceWrite::RemoveAsked(self.asked.remove(at)));
        }
        Ok(())
    }

    /// Forgets everything about requests that one peer was told of or told of.
    pub(super) fn forget_requests_of(&mut self, peer: DeviceId) {
        // The store removes these rows together with the peer's.
        self.asked.retain(|record| record.peer != peer);
        self.peer_requests.retain(|record| record.key.from != peer);
    }

    /// What peers ask this device, oldest first, opened. What does not open any more is left out.
    pub fn peer_requests(
        &self,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
    ) -> Vec<(&PeerRequestRecord, AskedRequest)> {
        let live = self.peer_requests.iter().filter(|record| record.expires_at > now);
        live.filter_map(|record| Some((record, open(record, keys)?))).collect()
    }

    /// The owner decides here what a peer asks: signed, and on its way.
    pub fn decide_for_peer(
        &mut self,
        key: PeerRequestKey,
        word: DecisionWord,
        fields: Option<Vec<Field>>,
        now: OffsetDateTime,
        keys: &dyn DeviceKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<(EventId, AskedRequest), ErrorCode> {
        self.peer(key.from)?;
        let found = self.peer_requests.iter().position(|record| record.key == key && record.expires_at > now);
        let at = found.ok_or(ErrorCode::RequestNotFound)?;
        let record = self.peer_requests.get(at).ok_or(ErrorCode::RequestNotFound)?;
        let asked = open(record, keys).ok_or(ErrorCode::RequestNotFound)?;
        let decision = DeviceDecision::sign(&asked, word, fields, self.this.id, keys)
            .map_err(|_| ErrorCode::InvalidRequest)?;
        let (session_id, request_id) = (key.session_id, key.request_id);
        let body = EventBody::Decision { session_id, request_id, decision: Box::new(decision) };
        let id = self.send(key.from, body, now, keys, rng)?;
        if let Some(record) = self.peer_requests.get_mut(at) {
            record.answer = Some(word);
            (record.state, record.by) = (None, None);
            self.writes.push(DeviceWrite::PeerRequest(record.clone()));
        }
        Ok((id, asked))
    }

    /// A peer asks. Past the bounds it asks nobody: its own owner still sees the request there.
    pub(super) fn take_request(
        &mut self,
        peer: &PeerRecord,
        asked: &AskedRequest,
        told_at: OffsetDateTime,
        sealed: Vec<u8>,
        now: OffsetDateTime,
    ) -> Taken {
        self.drop_expired(now);
        // How long it lives is told by one clock, the peer's; when it began to, by the other.
        let life = (asked.expires.get() - told_at).min(LONGEST_LIFE);
        let key =
            PeerRequestKey { from: peer.id, session_id: asked.session_id, request_id: asked.request_id };
        let of_peer = self.peer_requests.iter().filter(|record| record.key.from == peer.id).count();
        let known = self.peer_requests.iter().any(|record| record.key == key);
        let full =
            of_peer >= self.limits.peer_requests || self.peer_requests.len() >= 4 * self.limits.peer_requests;
        if life <= Duration::ZERO || !asked.is_within_bounds() || known || full {
            return Taken::Nothing;
        }
        let record = PeerRequestRecord {
            key,
            sealed,
            from_keys: peer.keys,
            received_at: now,
            expires_at: now + life,
            answer: None,
            state: None,
            by: None,
        };
        self.writes.push(DeviceWrite::PeerRequest(record.clone()));
        self.peer_requests.push(record);
        Taken::Request(Box::new(asked.clone()))
    }

    /// A peer says how a request of its stands.
    pub(super) fn take_news(&mut self, peer: &PeerRecord, news: AskedNews, now: OffsetDateTime) -> Taken {
        self.drop_expired(now);
        let key = PeerRequestKey { from: peer.id, session_id: news.session_id, request_id: news.request_id };
        if let Some(at) = self.peer_requests.iter().position(|record| record.key == key) {
            if news.state.is_over() {
                self.peer_requests.remove(at);
                self.writes.push(DeviceWrite::RemovePeerRequest(key));
            } else if let Some(record) = self.peer_requests.get_mut(at) {
                (record.state, record.by) = (Some(news.state), news.by.clone());
                self.writes.push(DeviceWrite::PeerRequest(record.clone()));
            }
        }
        Taken::News(Box::new(news))
    }

    /// A peer's owner decided. Here only what the peer is: signed by it, for this approver's devices, and marked.
    pub(super) fn take_decision(
        peer: &PeerRecord,
        event: EventId,
        (session_id, request_id): (SessionId, RequestId),
        decision: Box<DeviceDecision>,
    ) -> Taken {
        let refused = if !peer.approver {
            Some(ErrorCode::DeviceNotFound)
        } else if decision.device_id != peer.id || decision.verify(&peer.keys).is_err() {
            Some(ErrorCode::BadSignature)
        } else {
            None
        };
        match refused {
            Some(why) => Taken::DecisionRefused { event, session_id, request_id, why },
            None => Taken::Decision { event, session_id, request_id, decision },
        }
    }

    fn drop_expired(&mut self, now: OffsetDateTime) {
        let expired: Vec<PeerRequestKey> = self
            .peer_requests
            .iter()
            .filter(|record| record.expires_at <= now)
            .map(|record| record.key)
            .collect();
        self.peer_requests.retain(|record| record.expires_at > now);
        self.writes.extend(expired.into_iter().map(DeviceWrite::RemovePeerRequest));
    }
}

fn open(record: &PeerRequestRecord, keys: &dyn DeviceKeys) -> Option<AskedRequest> {
    let plain = keys.open(&record.from_keys, &record.sealed).ok()?;
    match DeviceEvent::decode(&plain).ok()?.body {
        EventBody::Request(asked) => Some(*asked),
        _ => None,
    }
}
