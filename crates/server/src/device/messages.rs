//! Payloads to and from peers, as the owner sends and reads them.

use std::time::Duration;

use durward_broker::approval::{Actor, AuditEntry, AuditEvent};
use durward_broker::devices::{EventBody, InboxRecord, plain_file_name};
use durward_protocol::device::api::{
    Inbox, InboxContent, InboxItem, MAX_DROP_BYTES, Outbox, OutboxItem, SendDrop, Sent,
};
use durward_protocol::device::{DeviceId, EventId};
use durward_protocol::{ErrorCode, SecretString, Timestamp, base64url_decode, base64url_encode};
use tokio::sync::watch;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::contact::Contact;
use super::service::{DeviceService, State};
use crate::keys::os_rng;

impl DeviceService {
    /// Seals a payload for a peer; then, with `hold`, waits until it was taken.
    pub(crate) async fn send(
        &self,
        to: DeviceId,
        body: &SendDrop,
        hold: Duration,
    ) -> Result<Sent, ErrorCode> {
        let content =
            base64url_decode(body.content.expose_secret()).map_err(|_| ErrorCode::InvalidRequest)?;
        let content = Zeroizing::new(content);
        if content.len() > MAX_DROP_BYTES {
            return Err(ErrorCode::BodyTooLarge);
        }
        let file_name = plain_file_name(&body.file_name);
        let now = self.now().wall;
        let until = Instant::now() + hold;
        let changes = self.changes(); // before the change, so that none is missed
        let id = {
            let mut state = self.state().await?;
            let sent = self.change(&mut state, |devices, keys| {
                let entry = AuditEntry::new(now, AuditEvent::DeviceMessage, Actor::Owner);
                let detail = format!("{file_name} to {} {to}", devices.peer(to)?.name);
                let id =
                    devices.send(to, EventBody::Drop { file_name, content }, now, keys, &mut os_rng())?;
                Ok((id, vec![entry.outcome("sent").detail(detail)]))
            });
            sent.await?
        };
        let gone = |state: &State| !state.devices.outbox(to).any(|waiting| waiting.id == id);
        let (outbox, reason) = self.until_heard(to, changes, until, gone).await;
        Ok(Sent { id, outbox, reason })
    }

    /// Something new is on disk for a peer: goes out now, and waits until `heard` says so or the time is over. What
    /// waits for the peer then, and why.
    pub(super) async fn until_heard(
        &self,
        peer: DeviceId,
        mut changes: watch::Receiver<u64>,
        until: Instant,
        heard: impl Fn(&State) -> bool,
    ) -> (usize, Option<String>) {
        self.contact(peer, Contact::try_now);
        self.wake.notify_one();
        loop {
            let (over, outbox, reason) = {
                let state = self.desk().await;
                let view = state.devices.peer(peer).ok().map(|peer| self.view(&state, peer));
                let (outbox, reason) = view.map_or((0, None), |view| (view.outbox, view.reason));
                (heard(&state), outbox, reason)
            };
            if over || !self.another(&mut changes, until).await {
                return (outbox, reason);
            }
        }
    }

    /// What waits for peers.
    pub(crate) async fn outbox(&self) -> Outbox {
        let state = self.desk().await;
        let ids: Vec<DeviceId> = state.devices.peers().map(|peer| peer.id).collect();
        let waiting = ids.iter().flat_map(|id| state.devices.outbox(*id));
        let item = |of: &durward_broker::devices::OutboxRecord| OutboxItem {
            id: of.id,
            to: of.to,
            kind: of.kind.as_str().into(),
            at: Timestamp::new(of.at),
            bytes: of.sealed.len(),
        };
        Outbox { items: waiting.map(item).collect() }
    }

    /// What came.
    pub(crate) async fn inbox(&self) -> Inbox {
        let state = self.desk().await;
        Inbox { items: state.devices.inbox().map(item).collect() }
    }

    /// One payload.
    pub(crate) async fn open_item(&self, id: EventId) -> Result<InboxContent, ErrorCode> {
        let state = self.desk().await;
        let (record, content) = state.devices.open_drop(id, state.keys.as_ref())?;
        Ok(InboxContent { item: item(record), content: SecretString::new(base64url_encode(&content)) })
    }

    /// Takes a payload out of the inbox.
    pub(crate) async fn remove_item(&self, id: EventId) -> Result<(), ErrorCode> {
        let mut state = self.state().await?;
        self.change(&mut state, |devices, _| Ok((devices.remove_drop(id)?, Vec::new()))).await
    }
}

fn item(record: &InboxRecord) -> InboxItem {
    InboxItem {
        id: record.id,
        from: record.from,
        from_name: record.from_name.clone(),
        file_name: record.file_name.clone(),
        bytes: usize::try_from(record.bytes).unwrap_or(usize::MAX),
        received_at: Timestamp::new(record.received_at),
    }
}
