//! What the owner does with devices, for the control plane.

use std::sync::Arc;
use std::time::Duration;

use durward_broker::approval::{Actor, AuditEntry, AuditEvent};
use durward_broker::devices::{EventBody, InboxRecord, PeerRecord, plain_file_name, shown};
use durward_protocol::device::api::{
    ChangeDevice, DeviceStatus, DeviceView, Devices, Inbox, InboxContent, InboxItem, IntroducedView,
    MAX_DROP_BYTES, Outbox, OutboxItem, PairInitiated, PairPending, PairRespond, PairResponded, PairState,
    Rotated, SendDrop, Sent, ThisDevice,
};
use durward_protocol::device::{DeviceId, DeviceKeys as _, DeviceName, EventId, Hello};
use durward_protocol::{ErrorCode, SecretString, Timestamp, base64url_decode, base64url_encode};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::client::Address;
use super::contact::Contact;
use super::join::Refusal;
use super::keys::LocalKeys;
use super::service::{DeviceService, State};
use crate::keys::os_rng;

impl DeviceService {
    /// Makes a code.
    pub(crate) async fn initiate(&self) -> Result<PairInitiated, ErrorCode> {
        if self.joining.is_busy() {
            return Err(ErrorCode::PairingBusy);
        }
        let now = self.now();
        let mut state = self.desk().await;
        let (code, tag) = state.desk.initiate(now, &mut os_rng())?;
        self.announce(&state);
        self.tell();
        let entry = AuditEntry::new(now.wall, AuditEvent::DevicePairing, Actor::Owner).outcome("code_shown");
        // The record says who may have come in later: without it no code.
        let written = self.save(vec![durward_broker::approval::Write::Audit(entry)]).await;
        if let Err(error) = written {
            state.desk.cancel(now);
            self.announce(&state);
            return Err(error);
        }
        Ok(PairInitiated {
            code: SecretString::new(code.expose_digits().to_owned()),
            expires_in_seconds: durward_broker::devices::DISPLAY_SECONDS.unsigned_abs(),
            tag,
            addresses: own_addresses(self.listen, self.tls),
        })
    }

    /// Where the pairing stands; with `hold`, once somebody has come or it is over.
    pub(crate) async fn pending(&self, hold: Duration) -> PairPending {
        let until = Instant::now() + hold;
        let mut changes = self.changes();
        loop {
            let now = self.now();
            let view = self.desk().await.desk.view(now);
            let early = matches!(view.state, PairState::Waiting | PairState::Exchanged);
            if !early || !self.another(&mut changes, until).await {
                return PairPending {
                    pending: view.state == PairState::Requested,
                    state: view.state,
                    tag: view.tag,
                    expires_in_seconds: view.seconds_left,
                    request: view.peer,
                };
            }
        }
    }

    /// The owner answers the device that asks.
    pub(crate) async fn respond(&self, body: &PairRespond) -> Result<PairResponded, ErrorCode> {
        let now = self.now();
        let mut guard = self.state().await?;
        let state = &mut *guard;
        let (verdict, hello, stream) = state.desk.verdict(now, body.accept, body.device_id, &mut os_rng())?;
        let device = if body.accept { Some(self.accept(state, &hello, stream).await?) } else { None };
        state.desk.decided(now, body.accept, verdict);
        self.announce(state);
        self.tell();
        let status = if body.accept { PairState::Accepted } else { PairState::Rejected };
        if !body.accept {
            let entry = AuditEntry::new(now.wall, AuditEvent::DevicePairing, Actor::Owner);
            let entry = entry.outcome("rejected").detail(format!("{} {}", hello.name, hello.device_id));
            let _ = self.save(vec![durward_broker::approval::Write::Audit(entry)]).await; // nothing was given away
        }
        Ok(PairResponded { status, device: device.map(|peer| self.view(state, &peer)) })
    }

    async fn accept(
        &self,
        state: &mut State,
        hello: &Hello,
        stream: durward_protocol::PairingId,
    ) -> Result<PeerRecord, ErrorCode> {
        let now = self.now().wall;
        let paired = self.change(state, |devices, _| {
            let peer = devices.pair(hello, stream, now, &mut os_rng())?;
            let detail = format!("{} {} {}", peer.name, peer.id, peer.keys.fingerprint());
            Ok((peer, vec![AuditEntry::new(now, AuditEvent::DevicePaired, Actor::Owner).detail(detail)]))
        });
        let peer = paired.await?;
        self.contact(peer.id, |contact| *contact = Contact::default());
        tracing::info!(device = %peer.id, name = %peer.name, "paired");
        Ok(peer)
    }

    /// The owner gives the pairing up, whichever end this is.
    pub(crate) async fn cancel(&self) -> bool {
        let joining = self.joining.give_up();
        let mut state = self.desk().await;
        let cancelled = state.desk.cancel(self.now());
        self.announce(&state);
        self.tell();
        cancelled || joining
    }

    /// This device and its peers.
    pub(crate) async fn list(&self) -> Result<Devices, ErrorCode> {
        let state = self.state().await?;
        let mut devices: Vec<DeviceView> =
            state.devices.peers().map(|peer| self.view(&state, peer)).collect();
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        let name_of = |id| {
            state.devices.peer(id).map_or_else(|_| DeviceName::made_safe("gone"), |peer| peer.name.clone())
        };
        let introduced = state.devices.introduced().map(|device| IntroducedView {
            device: shown(
                &Hello { device_id: device.id, name: device.name.clone(), keys: device.keys },
                None,
            ),
            introduced_by: name_of(device.by),
            at: Timestamp::new(device.at),
        });
        Ok(Devices { this: this(&state), introduced: introduced.collect(), devices })
    }

    /// The part of `/status` about devices.
    pub(crate) async fn status(&self) -> Result<DeviceStatus, ErrorCode> {
        let Devices { this, devices, introduced } = self.list().await?;
        let (mdns, mdns_problem) = self.discovery.status();
        let state = self.desk().await;
        let pairing = state.desk.view(self.now()).state;
        let (introduced, inbox) = (introduced.len(), state.devices.inbox().count());
        Ok(DeviceStatus { this, mdns, mdns_problem, pairing, peers: devices, introduced, inbox })
    }

    pub(super) fn view(&self, state: &State, peer: &PeerRecord) -> DeviceView {
        let outbox = state.devices.outbox(peer.id).count();
        let found = self.found_at(state, peer.id);
        let reason = self.contact(peer.id, |contact| contact.problem.clone());
        let unreached = || {
            let nowhere = found.is_empty() && peer.address.is_none();
            (outbox > 0 && nowhere).then(|| {
                let why = self.discovery.status().1;
                let why = why.unwrap_or_else(|| "it was not found on the network".to_owned());
                format!("{why}; no address is set")
            })
        };
        let name_of = |id| state.devices.peer(id).ok().map(|peer| peer.name.clone());
        DeviceView {
            device_id: peer.id,
            name: peer.name.clone(),
            public_key: peer.keys.x25519_hex(),
            signing_key: peer.keys.ed25519_hex(),
            fingerprint: peer.keys.fingerprint(),
            paired_at: Timestamp::new(peer.paired_at),
            address: peer.address.clone(),
            found_at: found.first().map(ToString::to_string),
            last_seen: peer.last_seen.map(Timestamp::new),
            outbox,
            reason: reason.or_else(unreached),
            introduced_by: peer.introduced_by.and_then(name_of),
            approver: peer.approver,
        }
    }

    /// Unpairs a device.
    pub(crate) async fn remove(&self, id: DeviceId) -> Result<(), ErrorCode> {
        let now = self.now().wall;
        let mut state = self.state().await?;
        let removed = self.change(&mut state, |devices, keys| {
            let peer = devices.remove(id, now, keys, &mut os_rng())?;
            let detail = format!("{} {}", peer.name, peer.id);
            let entry = AuditEntry::new(now, AuditEvent::DeviceRemoved, Actor::Owner);
            Ok(((), vec![entry.outcome("removed").detail(detail)]))
        });
        removed.await
    }

    /// Renames this device.
    pub(crate) async fn rename_this(&self, name: &str) -> Result<ThisDevice, Refusal> {
        let name = DeviceName::parse(name).map_err(|error| (error.code(), None))?;
        let now = self.now().wall;
        let mut state = self.state().await.map_err(plain)?;
        let old = state.devices.this().name.clone();
        let renamed = self.folder.rename_own(name.clone()).map_err(sealing)?;
        let done = self.change(&mut state, |devices, keys| {
            devices.rename_this(name.clone(), now, keys, &mut os_rng())?;
            let entry = AuditEntry::new(now, AuditEvent::DeviceChanged, Actor::Owner).outcome("renamed");
            Ok(((), vec![entry.detail(format!("this device, {old}, is now {name}"))]))
        });
        if let Err(code) = done.await {
            if let Err(error) = self.folder.rename_own(old) {
                tracing::error!(%error, "this device's name could not be taken back");
            }
            return Err((code, None));
        }
        state.keys = Arc::new(LocalKeys::new(renamed, self.clock.clone()));
        Ok(this(&state))
    }

    /// Whether an id is this device's.
    pub(crate) async fn is_this(&self, id: DeviceId) -> bool {
        self.desk().await.devices.this().id == id
    }

    /// Renames, moves or marks a peer.
    pub(crate) async fn change_peer(
        &self,
        id: DeviceId,
        change: &ChangeDevice,
    ) -> Result<DeviceView, Refusal> {
        let name = change.name.as_deref().map(DeviceName::parse).transpose();
        let name = name.map_err(|error| (error.code(), None))?;
        let address = match change.address.as_deref().map(str::trim) {
            None => None,
            Some("") => Some(None),
            Some(text) => {
                let address: Address = text.parse().map_err(|why| (ErrorCode::InvalidRequest, Some(why)))?;
                Some(Some(address.to_string()))
            }
        };
        let (now, approver) = (self.now().wall, change.approver);
        let mut state = self.state().await.map_err(plain)?;
        let done = self.change(&mut state, |devices, _| {
            let before = devices.peer(id)?.name.clone();
            let (mut what, mut audit) = (Vec::new(), Vec::new());
            if let Some(name) = name {
                what.push(format!("name {name}"));
                devices.rename_peer(id, name)?;
            }
            if let Some(address) = address {
                what.push(format!("address {}", address.as_deref().unwrap_or("none")));
                devices.set_address(id, address)?;
            }
            let entry = || AuditEntry::new(now, AuditEvent::DeviceChanged, Actor::Owner);
            if !what.is_empty() {
                audit.push(entry().outcome("changed").detail(format!("{before}: {}", what.join(", "))));
            }
            if let Some(approver) = approver
                && devices.set_approver(id, approver)?
            {
                let outcome = if approver { "approver_on" } else { "approver_off" };
                audit.push(entry().outcome(outcome).detail(format!("{before} {id}")));
            }
            Ok(((), audit))
        });
        done.await.map_err(plain)?;
        self.contact(id, Contact::try_now);
        self.wake.notify_one();
        let peer = state.devices.peer(id).map_err(plain)?;
        Ok(self.view(&state, peer))
    }

    /// New keys; nobody is a peer any more.
    pub(crate) async fn rotate(&self) -> Result<Rotated, Refusal> {
        let now = self.now().wall;
        let mut state = self.state().await.map_err(plain)?;
        if state.desk.is_live() || self.joining.is_busy() {
            return Err((ErrorCode::PairingBusy, None));
        }
        let new =
            Arc::new(LocalKeys::new(self.folder.rotate(&mut os_rng()).map_err(sealing)?, self.clock.clone()));
        // From here on a stop finds new keys and old peers at the next start, and forgets the peers then.
        let done = self.change(&mut state, |devices, old| {
            let removed = devices.rotate(old, new.as_ref())?;
            let names: Vec<DeviceName> = removed.into_iter().map(|peer| peer.name).collect();
            let entry = AuditEntry::new(now, AuditEvent::DeviceRemoved, Actor::Owner).outcome("rotated");
            Ok((names.clone(), vec![entry.detail(format!("new keys; {} peers forgotten", names.len()))]))
        });
        let removed = done.await.map_err(|code| {
            (code, Some("the keys are new already; restart the daemon, which forgets the peers".to_owned()))
        })?;
        let _ = self.save(vec![Self::self_setting(&new)]).await; // otherwise the next start does it
        state.keys = new;
        Ok(Rotated { this: this(&state), removed })
    }

    /// Tells a peer about another one.
    pub(crate) async fn introduce(&self, to: DeviceId, whom: DeviceId) -> Result<(), ErrorCode> {
        let now = self.now().wall;
        let mut state = self.state().await?;
        let sent = self.change(&mut state, |devices, keys| {
            devices.introduce(to, whom, now, keys, &mut os_rng())?;
            let entry = AuditEntry::new(now, AuditEvent::DeviceMessage, Actor::Owner);
            Ok(((), vec![entry.outcome("introduced").detail(format!("{whom} to {to}"))]))
        });
        sent.await
    }

    /// The owner's word on an introduced device.
    pub(crate) async fn confirm(&self, id: DeviceId, accept: bool) -> Result<Option<DeviceView>, ErrorCode> {
        let now = self.now().wall;
        let mut state = self.state().await?;
        let done = self.change(&mut state, |devices, _| {
            let peer = devices.confirm_introduced(id, accept, now, &mut os_rng())?;
            let entry = AuditEntry::new(now, AuditEvent::DevicePaired, Actor::Owner);
            let outcome = if accept { "introduction_confirmed" } else { "introduction_refused" };
            Ok((peer, vec![entry.outcome(outcome).detail(id.to_string())]))
        });
        let peer = done.await?;
        Ok(peer.map(|peer| self.view(&state, &peer)))
    }

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
        let mut changes = self.changes();
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
        self.contact(to, Contact::try_now);
        self.wake.notify_one();
        loop {
            let (waits, sent) = {
                let state = self.desk().await;
                let waits = state.devices.outbox(to).any(|waiting| waiting.id == id);
                let view = state.devices.peer(to).ok().map(|peer| self.view(&state, peer));
                let (outbox, reason) = view.map_or((0, None), |view| (view.outbox, view.reason));
                (waits, Sent { id, outbox, reason })
            };
            if !waits || !self.another(&mut changes, until).await {
                return Ok(sent);
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

fn this(state: &State) -> ThisDevice {
    let this = state.devices.this();
    let keys = state.keys.public();
    ThisDevice {
        device_id: this.id,
        name: this.name.clone(),
        public_key: keys.x25519_hex(),
        signing_key: keys.ed25519_hex(),
        fingerprint: keys.fingerprint(),
    }
}

fn plain(code: ErrorCode) -> Refusal {
    (code, None)
}

fn sealing(error: durward_sealing::Error) -> Refusal {
    let code = match &error {
        durward_sealing::Error::NameTaken { .. } => ErrorCode::NameTaken,
        _ => ErrorCode::StorageFailed,
    };
    (code, Some(error.to_string()))
}

/// Where other machines may reach this one. The system picks the outgoing address; nothing is sent.
fn own_addresses(listen: std::net::SocketAddr, tls: bool) -> Vec<String> {
    let ip = if listen.ip().is_unspecified() {
        let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0));
        let routed = socket.and_then(|socket| {
            socket.connect((std::net::Ipv4Addr::new(192, 0, 2, 1), 9))?;
            socket.local_addr()
        });
        routed.ok().map(|address| address.ip())
    } else {
        Some(listen.ip())
    };
    ip.map(|ip| Address::new(ip, listen.port(), tls).to_string()).into_iter().collect()
}
