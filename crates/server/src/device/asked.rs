//! Approving from another device: marked peers are told what waits here, their decisions are acted on, and what other
//! devices ask is decided here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use durward_broker::approval::{Actor, Answer, Approval, AuditEntry, AuditEvent, Event, Notice, RunsOn};
use durward_broker::devices::{AskedNews, PeerRecord, PeerRequestKey, Taken};
use durward_protocol::device::api::{DecidePeerRequest, PeerRequest, PeerRequestDecided, PeerRequests};
use durward_protocol::device::{AskedState, DeviceId, DeviceName, EventId};
use durward_protocol::{ErrorCode, RequestId, SessionId, Timestamp, Verdict};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::service::DeviceService;
use crate::keys::os_rng;

/// What happens within this time is told at once.
const SETTLE: Duration = Duration::from_millis(50);

/// When what could not be told is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Decisions that are being acted on or answered at a time; more are acted on and not answered.
const MAX_ANSWERING: usize = 64;

/// Answers to decisions made here that are remembered for those who wait.
const REMEMBERED: usize = 64;

/// What other devices said to decisions made here, and room for answering theirs.
pub(super) struct Answered {
    answering: Arc<Semaphore>,
    said: Mutex<VecDeque<(EventId, AskedState, Option<DeviceName>)>>,
}

impl Answered {
    pub(super) fn new() -> Self {
        Self { answering: Arc::new(Semaphore::new(MAX_ANSWERING)), said: Mutex::default() }
    }

    fn remember(&self, news: &AskedNews) {
        let Some(id) = news.decision else { return };
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= REMEMBERED {
            said.pop_front();
        }
        said.push_back((id, news.state, news.by.clone()));
    }

    fn to(&self, id: EventId) -> Option<(AskedState, Option<DeviceName>)> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().find(|said| said.0 == id).map(|(_, state, by)| (*state, by.clone()))
    }
}

impl DeviceService {
    /// Tells marked peers what waits here and what is over, for ever.
    pub(crate) async fn run_asked(self: Arc<Self>) {
        let mut notices = self.engine.watch();
        let mut changes = self.changes();
        loop {
            let left = self.tell_marked(&mut changes).await.unwrap_or(true);
            let again = if left { AGAIN } else { Duration::from_hours(1) };
            tokio::select! {
                notice = notices.recv() => if notice == Err(RecvError::Closed) { return },
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(again) => {}
            }
            tokio::time::sleep(SETTLE).await;
            while !matches!(notices.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
        }
    }

    /// `true`: something could not be told now. What has changed up to here is looked at then.
    async fn tell_marked(&self, changes: &mut watch::Receiver<u64>) -> Result<bool, ErrorCode> {
        {
            let state = self.desk().await;
            changes.mark_unchanged();
            let idle = |peer: &PeerRecord| !peer.approver && state.devices.asked(peer.id).is_empty();
            if state.devices.peers().all(idle) {
                return Ok(false);
            }
        }
        let mut state = self.state().await?;
        let waiting = self.engine.read(Approval::asked);
        let outcome = |session_id, request_id| {
            self.engine.read(|approval, _| approval.asked_outcome(session_id, request_id))
        };
        let steps = state.devices.asked_steps(&waiting, outcome);
        if steps.is_empty() {
            return Ok(false);
        }
        let now = self.now().wall;
        let told = self.change(&mut state, |devices, keys| {
            Ok((devices.take_asked_steps(steps, now, keys, &mut os_rng()), Vec::new()))
        });
        let told = told.await;
        changes.mark_unchanged(); // its own change; another one needs the state, which is held
        told
    }

    /// Acts on what a peer sent, once it is on disk. The caller holds the state: the peer is one at this moment.
    pub(super) fn act_on(self: &Arc<Self>, peer: &PeerRecord, taken: &[Taken]) {
        for taken in taken {
            match taken {
                Taken::Decision { event, session_id, request_id, decision } => {
                    let (key, name, decision) =
                        ((*session_id, *request_id), peer.name.clone(), decision.clone());
                    let begun = self.engine.begin(|waiter| Event::DecideByDevice {
                        waiter,
                        session_id: key.0,
                        request_id: key.1,
                        name,
                        decision,
                    });
                    self.answer(peer.id, key, *event, async move { state_of(&begun.answer().await) });
                }
                Taken::DecisionRefused { event, session_id, request_id, .. } => {
                    let refused = std::future::ready(AskedState::Refused);
                    self.answer(peer.id, (*session_id, *request_id), *event, refused);
                }
                Taken::News(news) => {
                    self.answered.remember(news);
                    self.tell();
                }
                Taken::Request(asked) => {
                    let (device, asked) = (peer.name.clone(), asked.clone());
                    self.engine.notify(Notice::DeviceAsks { device, asked });
                }
                _ => {}
            }
        }
    }

    /// Tells a peer what came of its decision.
    fn answer(
        self: &Arc<Self>,
        peer: DeviceId,
        key: (SessionId, RequestId),
        event: EventId,
        outcome: impl Future<Output = AskedState> + Send + 'static,
    ) {
        let Ok(place) = Arc::clone(&self.answered.answering).try_acquire_owned() else { return };
        let service = Arc::clone(self);
        tokio::spawn(async move {
            let state = outcome.await;
            let ended = service.engine.read(|approval, _| approval.asked_outcome(key.0, key.1));
            let by = match (state, ended) {
                (AskedState::Refused | AskedState::Failed, _) | (_, None) => None,
                (_, Some((_, by))) => by,
            };
            let (session_id, request_id) = key;
            let news = AskedNews { session_id, request_id, state, by, decision: Some(event) };
            let now = service.now().wall;
            let Ok(mut guard) = service.state().await else { return };
            let told = service.change(&mut guard, |devices, keys| {
                devices.tell_asked(peer, news, now, keys, &mut os_rng())?;
                Ok(((), Vec::new()))
            });
            if let Err(code) = told.await {
                tracing::debug!(device = %peer, %code, "a device could not be told what came of its decision");
            }
            drop((guard, place));
        });
    }

    /// Unpairs devices whose key files are gone.
    pub(crate) async fn look_for_removed(&self) -> Result<(), ErrorCode> {
        self.state().await.map(drop)
    }

    /// Where an agent runs, as the owner says with its code; `None`: here.
    pub(crate) async fn runs_on(&self, id: DeviceId, may_answer: bool) -> Result<Option<RunsOn>, ErrorCode> {
        let state = self.state().await?;
        if state.devices.this().id == id {
            return Ok(None);
        }
        let name = state.devices.peer(id)?.name.clone();
        Ok(Some(RunsOn { device_id: id, name, may_answer }))
    }

    /// What other devices ask.
    pub(crate) async fn peer_requests(&self) -> PeerRequests {
        let state = self.desk().await;
        let now = self.now().wall;
        let list = state.devices.peer_requests(now, state.keys.as_ref()).into_iter();
        let shown = list.filter_map(|(record, asked)| {
            Some(PeerRequest {
                device_id: record.key.from,
                device: state.devices.peer(record.key.from).ok()?.name.clone(),
                asked,
                received_at: Timestamp::new(record.received_at),
                expires_at: Timestamp::new(record.expires_at),
                answer: record.answer,
                state: record.state,
                approved_by: record.by.clone(),
            })
        });
        PeerRequests { requests: shown.collect() }
    }

    /// The owner decides here what another device asks; then, with `hold`, waits for what comes of it.
    pub(crate) async fn decide_for_peer(
        &self,
        body: DecidePeerRequest,
        hold: Duration,
    ) -> Result<PeerRequestDecided, ErrorCode> {
        let DecidePeerRequest { device_id, session_id, request_id, decision, fields } = body;
        let key = PeerRequestKey { from: device_id, session_id, request_id };
        let now = self.now().wall;
        let until = Instant::now() + hold;
        let changes = self.changes(); // before the change, so that none is missed
        let id = {
            let mut state = self.state().await?;
            let decided = self.change(&mut state, |devices, keys| {
                let name = devices.peer(device_id)?.name.clone();
                let (id, asked) = devices.decide_for_peer(key, decision, fields, now, keys, &mut os_rng())?;
                let entry = AuditEntry::new(now, AuditEvent::DeviceDecision, Actor::Owner);
                let mut entry = entry.outcome(decision.as_str()).detail(format!("for {name} {device_id}"));
                entry.agent_id = Some(asked.agent_id);
                (entry.session_id, entry.request_id) = (Some(session_id), Some(request_id));
                entry.domain = Some(asked.domain);
                Ok((id, vec![entry]))
            });
            decided.await?
        };
        let (outbox, reason) =
            self.until_heard(device_id, changes, until, |_| self.answered.to(id).is_some()).await;
        let (state, by) = self.answered.to(id).map_or((None, None), |(state, by)| (Some(state), by));
        Ok(PeerRequestDecided { id, state, by, outbox, reason })
    }
}

/// What a device is told came of its decision.
fn state_of(answer: &Answer) -> AskedState {
    match answer {
        Answer::Decided { verdict: Verdict::Approved, .. } => AskedState::Approved,
        Answer::Decided { verdict: Verdict::Denied, .. } => AskedState::Denied,
        Answer::Decided { verdict: Verdict::NotFound, .. } => AskedState::NotFound,
        Answer::Decided { verdict: Verdict::Expired, .. } => AskedState::Expired,
        Answer::Decided { verdict: Verdict::Cancelled, .. } => AskedState::Cancelled,
        Answer::Choose(_) => AskedState::ChooseItem,
        Answer::Error { code, .. } => match code {
            ErrorCode::VaultLocked => AskedState::VaultLocked,
            ErrorCode::RequestNotPending | ErrorCode::RequestNotFound | ErrorCode::SessionNotFound => {
                AskedState::TooLate
            }
            ErrorCode::StorageFailed
            | ErrorCode::VaultNotFound
            | ErrorCode::VaultUnavailable
            | ErrorCode::Internal
            | ErrorCode::ShuttingDown => AskedState::Failed,
            _ => AskedState::Refused,
        },
        _ => AskedState::Failed,
    }
}
