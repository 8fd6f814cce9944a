//! Carrying what waits to the peers that can be reached.

use std::sync::Arc;
use std::time::Duration;

use durward_broker::approval::{Actor, AuditEntry, AuditEvent};
use durward_broker::devices::PeerRecord;
use durward_protocol::device::wire::{Delivered, DeviceCallAnswer};
use durward_protocol::device::{DeviceId, DeviceKeys as _, EventId, sign_call, verify_answer};
use durward_protocol::{ErrorCode, from_json_object};
use tokio::time::Instant;

use super::client::{Address, CallError, post};
use super::contact::Contact;
use super::discovery::mark;
use super::handlers::DELIVER;
use super::service::{DeviceService, State};
use crate::keys::os_rng;

/// Most unread messages that one answer is believed to name: as many as a delivery has.
const MAX_UNREAD: usize = 32;

/// A peer takes no more payloads for now.
const INBOX_FULL: &str = "its inbox is full";

/// How long nothing can happen at most before everything is looked at again.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

impl DeviceService {
    /// Delivers for ever: when something new waits, when somebody appears, when a pause is over.
    pub(crate) async fn run_delivery(self: Arc<Self>) {
        let mut found = self.discovery.watch();
        loop {
            let next = self.start_deliveries().await;
            let pause = next.map_or(LOOK_AGAIN, |at| at.saturating_duration_since(Instant::now()));
            let appeared = tokio::select! {
                () = self.wake.notified() => false,
                changed = found.changed() => {
                    if changed.is_err() {
                        // A search that never finds anything says nothing more.
                        self.wake.notified().await;
                    }
                    true
                }
                () = tokio::time::sleep(pause.max(Duration::from_millis(20))) => false,
            };
            if appeared {
                self.notice_found().await;
            }
        }
    }

    /// Peers that are on the network now are tried now.
    async fn notice_found(&self) {
        let state = self.desk().await;
        let peers: Vec<DeviceId> = state.devices.peers().map(|peer| peer.id).collect();
        for id in peers {
            if !self.found_at(&state, id).is_empty() {
                self.contact(id, Contact::try_now);
            }
        }
    }

    /// Starts a delivery to each peer for which something waits and whose pause is over. When the next one is due.
    async fn start_deliveries(self: &Arc<Self>) -> Option<Instant> {
        let waiting: Vec<(DeviceId, bool)> = {
            // An error is a folder that cannot be read: nothing is sent.
            let state = self.state().await.ok()?;
            let ids = state.devices.peers().map(|peer| (peer.id, state.devices.passes_full(peer.id)));
            ids.filter(|(id, _)| state.devices.outbox(*id).next().is_some()).collect()
        };
        let mut next: Option<Instant> = None;
        for (id, passes) in waiting {
            let start = self.contact(id, |contact| {
                let passes = passes && contact.full; // news since it was found full
                let due = passes || contact.due.is_none_or(|due| due <= Instant::now());
                if contact.busy || !due {
                    next = [next, contact.due.filter(|_| !contact.busy)].into_iter().flatten().min();
                    return false;
                }
                contact.busy = true;
                true
            });
            if start {
                let service = Arc::clone(self);
                tokio::spawn(async move {
                    let result = service.deliver_to(id).await;
                    service.contact(id, |contact| {
                        contact.busy = false;
                        match result {
                            Ok(()) => contact.reached(),
                            Err(problem) => {
                                let full = problem == INBOX_FULL;
                                contact.failed(problem);
                                contact.full = full;
                            }
                        }
                    });
                    service.tell();
                    service.wake.notify_one();
                });
            }
        }
        next
    }

    /// Where a peer may be: where it was found, then where the owner said.
    pub(super) fn addresses_of(&self, state: &State, id: DeviceId) -> Vec<Address> {
        let given = state.devices.peer(id).ok().and_then(|peer| peer.address.as_deref()?.parse().ok());
        let mut all = self.found_at(state, id);
        all.extend(given);
        all
    }

    /// Where a peer is on the network now.
    pub(super) fn found_at(&self, state: &State, id: DeviceId) -> Vec<Address> {
        let Ok(peer) = state.devices.peer(id) else { return Vec::new() };
        let own = state.keys.public();
        let theirs =
            |found: &super::discovery::Found| found.marks.contains(&mark(&found.instance, &own, &peer.keys));
        let found = self.discovery.found().into_iter().filter(theirs);
        found.flat_map(|found| found.addresses).take(8).collect()
    }

    /// Delivers until nothing waits.
    async fn deliver_to(&self, id: DeviceId) -> Result<(), String> {
        let mut counted_anew = false;
        loop {
            let (call, peer, addresses, sent, issued) = {
                let state = self.state().await.map_err(|code| code.message().to_owned())?;
                let Some(delivery) = state.devices.delivery(id) else { return Ok(()) };
                let Ok(peer) = state.devices.peer(id).cloned() else { return Ok(()) };
                let sent: Vec<EventId> = delivery.events.iter().map(|event| event.id).collect();
                let body = serde_json::to_string(&delivery).map_err(|error| error.to_string())?;
                let from = state.devices.this().id;
                let call = sign_call(DELIVER, from, id, body, state.keys.as_ref(), &mut os_rng());
                let issued = peer.issued;
                (call, peer, self.addresses_of(&state, id), sent, issued)
            };
            if addresses.is_empty() {
                return Err("it was not found on the network, and no address is set".into());
            }
            let mut problem = String::new();
            let mut answer = None;
            for address in &addresses {
                match post::<DeviceCallAnswer>(address, DELIVER, &call, None).await {
                    Ok((_, got)) => match verify_answer(DELIVER, &call, &got, &peer.keys) {
                        Ok(()) => {
                            answer = Some(got);
                            break;
                        }
                        Err(_) => problem = format!("{address}: another device answers there"),
                    },
                    Err(error) => problem = explain(&error),
                }
            }
            let Some(answer) = answer else { return Err(problem) };
            let delivered: Delivered =
                from_json_object(answer.body.as_bytes()).map_err(|error| error.to_string())?;
            // More than was sent makes the line count anew, which a device that forgot may ask for: once, or a peer could
            // keep this going without end.
            if delivered.ack > issued && std::mem::replace(&mut counted_anew, true) {
                return Err(OUT_OF_NUMBERS.into());
            }
            let now = self.now().wall;
            let mut state = self.state().await.map_err(|code| code.message().to_owned())?;
            // What goes out next: another one than before, or it takes nothing.
            let goes = |state: &State| {
                let delivery = state.devices.delivery(id);
                delivery.map(|delivery| delivery.events.iter().map(|event| event.seq).collect::<Vec<_>>())
            };
            let before = goes(&state);
            let taken = self.change(&mut state, |devices, _| {
                devices.acknowledged(id, delivered.ack, now)?;
                devices.hear_full(id, delivered.full, &delivered.early);
                Ok(((), unread(&peer, &delivered, &sent, now)))
            });
            match taken.await {
                Ok(()) => {}
                Err(ErrorCode::DeviceNotFound) => return Ok(()), // removed meanwhile
                Err(ErrorCode::PairingNotFound) => return Err(OUT_OF_NUMBERS.into()),
                Err(code) => return Err(code.message().to_owned()),
            }
            if delivered.full && !state.devices.passes_full(id) {
                return Err(INBOX_FULL.into());
            }
            if goes(&state) == before {
                return Err("it takes nothing at the moment".into());
            }
        }
    }
}

/// An acknowledgement of what was never sent.
const OUT_OF_NUMBERS: &str = "it acknowledges what this device never sent: pair the two again";

/// What the audit log says of messages that the peer could not read. It answers for no more than it was sent.
fn unread(
    peer: &PeerRecord,
    delivered: &Delivered,
    sent: &[EventId],
    now: time::OffsetDateTime,
) -> Vec<AuditEntry> {
    let some = delivered.unreadable.iter().filter(|id| sent.contains(id)).take(MAX_UNREAD);
    let entry = |id| {
        tracing::warn!(device = %peer.id, name = %peer.name, message = %id, "a peer could not read a message");
        let entry = AuditEntry::new(now, AuditEvent::DeviceMessage, Actor::System);
        entry.outcome("unreadable_there").detail(format!("{id} to {}", peer.name))
    };
    some.map(entry).collect()
}

fn explain(error: &CallError) -> String {
    match error {
        CallError::Refused(ErrorCode::PairingNotFound) => {
            "it was paired anew on one side only: pair the two again".into()
        }
        CallError::Refused(ErrorCode::BadSignature | ErrorCode::DeviceNotFound) => {
            "it does not know this device any more: pair the two again".into()
        }
        other => other.to_string(),
    }
}
