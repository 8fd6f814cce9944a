//! The devices of this server: the state, and how it changes. Files first, then the store, then memory.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use durward_broker::Now;
use durward_broker::approval::{Actor, AuditEntry, AuditEvent, Event, Write};
use durward_broker::devices::{
    DeviceSnapshot, Devices, GUESSES_SETTING, Limits as DeviceLimits, PairDesk, PeerRecord, This,
};
use durward_protocol::ErrorCode;
use durward_protocol::device::{DeviceId, DeviceKeys as _};
use durward_sealing::KeyFolder;
use durward_store::Store;
use tokio::sync::{MutexGuard, Notify, Semaphore, watch};

use super::asked::Answered;
use super::contact::Contact;
use super::discovery::{Addresses, Announcement, Discovery, Mdns, mark};
use super::join::Joining;
use super::keys::{self, LocalKeys};
use crate::Error;
use crate::clock::Clock;
use crate::config::{DevicesConfig, Limits};
use crate::engine::Engine;
use crate::home::Home;
use crate::keys::os_rng;

/// The setting that says whose peers the tables hold: id and keys.
const SELF_SETTING: &str = "device_self";

/// Most hellos that are held at a time.
const MAX_HELLOS: usize = 8;

/// What changes.
pub(super) struct State {
    pub(super) devices: Devices,
    pub(super) desk: PairDesk,
    pub(super) keys: Arc<LocalKeys>,
}

/// Everything about devices.
pub(crate) struct DeviceService {
    pub(super) store: Store,
    pub(super) engine: Arc<Engine>,
    pub(super) clock: Clock,
    pub(super) folder: KeyFolder,
    pub(super) limits: Arc<Limits>,
    pub(super) listen: SocketAddr,
    pub(super) tls: bool,
    pub(super) discovery: Arc<dyn Discovery>,
    pub(super) joining: Joining,
    pub(super) hellos: Semaphore,
    /// Wakes the delivery.
    pub(super) wake: Notify,
    pub(super) contacts: Mutex<HashMap<DeviceId, Contact>>,
    pub(super) answered: Answered,
    state: tokio::sync::Mutex<State>,
    changed: watch::Sender<u64>,
    stopping: watch::Sender<bool>,
}

impl DeviceService {
    /// Reads keys and peers, or makes keys, and starts the search. `None`: another server has the device tables.
    #[expect(clippy::too_many_arguments, reason = "what a server is made of")]
    pub(crate) async fn open(
        store: Store,
        engine: Arc<Engine>,
        home: &Home,
        clock: Clock,
        config: &DevicesConfig,
        limits: Arc<Limits>,
        listen: SocketAddr,
        tls: bool,
    ) -> Result<Option<Arc<Self>>, Error> {
        let folder = KeyFolder::at(home.folder());
        let identity = keys::identity(&folder, config.name.as_deref(), &clock)?;
        let public = identity.public();
        let own = format!("{} {} {}", identity.id(), public.x25519_hex(), public.ed25519_hex());
        let settings = store.load(clock.now().wall).await?.settings;
        let setting = |key| settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let recorded = setting(SELF_SETTING);
        let snapshot = store.load_devices().await?;
        let other_keys = recorded.is_some_and(|recorded| recorded != own);
        if other_keys && store.is_shared() {
            tracing::warn!(
                "devices are off: those in this shared database belong to another server. Give this one a database of \
                 its own, or start it with --no-devices"
            );
            return Ok(None);
        }
        let desk = PairDesk::restore(setting(GUESSES_SETTING));
        let this = This { id: identity.id(), name: identity.name().clone(), keys: public };
        let mut writes = vec![Write::Setting { key: SELF_SETTING.into(), value: Some(own) }];
        let devices = if other_keys {
            // The key file is not the one these peers know.
            tracing::warn!("this device has other keys than before: its peers have to be paired again");
            writes.extend(forget_peers(&folder, &snapshot));
            let snapshot = DeviceSnapshot { inbox: snapshot.inbox, ..DeviceSnapshot::default() };
            Devices::restore(this, snapshot, DeviceLimits::default())
        } else {
            Devices::restore(this, snapshot, DeviceLimits::default())
        };
        if other_keys || recorded.is_none() {
            store.submit(writes).await?;
        }
        let keys = Arc::new(LocalKeys::new(identity, clock.clone()));
        let service = Arc::new(Self {
            store,
            engine,
            clock,
            folder,
            limits,
            listen,
            tls,
            discovery: search(config, listen, tls),
            joining: Joining::new(),
            hellos: Semaphore::new(MAX_HELLOS),
            wake: Notify::new(),
            contacts: Mutex::default(),
            answered: Answered::new(),
            state: tokio::sync::Mutex::new(State { devices, desk, keys }),
            changed: watch::channel(0).0,
            stopping: watch::channel(false).0,
        });
        {
            let state = service.state.lock().await;
            service.announce(&state);
            service.engine.handle(Event::Approvers { devices: state.devices.approvers() });
        }
        Ok(Some(service))
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// The state as it is now, with peers taken away whose files are gone.
    pub(super) async fn state(&self) -> Result<MutexGuard<'_, State>, ErrorCode> {
        let mut state = self.state.lock().await;
        state.desk.tick(self.now());
        for id in keys::without_file(&self.folder, &state.devices)? {
            let peer = self.unpair(&mut state, id, "key_file_deleted").await?;
            tracing::info!(device = %peer.id, name = %peer.name, "unpaired: its key file is gone");
        }
        Ok(state)
    }

    /// The state without a look at the files, for what concerns this device and the pairing alone.
    pub(super) async fn desk(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().await;
        state.desk.tick(self.now());
        state
    }

    /// Takes a peer away and tells the others; should telling them fail, it goes all the same.
    pub(super) async fn unpair(
        &self,
        state: &mut State,
        id: DeviceId,
        why: &str,
    ) -> Result<PeerRecord, ErrorCode> {
        let now = self.now().wall;
        let entry = |peer: &PeerRecord| {
            let entry = AuditEntry::new(now, AuditEvent::DeviceRemoved, Actor::Owner).outcome(why);
            entry.detail(format!("{} {}", peer.name, peer.id))
        };
        let told = self.change(state, |devices, keys| {
            let peer = devices.remove(id, now, keys, &mut os_rng())?;
            let audit = vec![entry(&peer)];
            Ok((peer, audit))
        });
        match told.await {
            Err(ErrorCode::StorageFailed) => {}
            other => return other,
        }
        tracing::error!(device = %id, "the other devices cannot be told that it is removed; it is removed here");
        let alone = self.change(state, |devices, _| {
            let peer = devices.remove_untold(id, now, &mut os_rng())?;
            let audit = vec![entry(&peer)];
            Ok((peer, audit))
        });
        alone.await
    }

    /// Makes a change on a copy, writes files and rows, and only then lets it count.
    pub(super) async fn change<T>(
        &self,
        state: &mut State,
        change: impl FnOnce(&mut Devices, &LocalKeys) -> Result<(T, Vec<AuditEntry>), ErrorCode>,
    ) -> Result<T, ErrorCode> {
        let mut next = state.devices.clone();
        let (out, audit) = change(&mut next, &state.keys)?;
        let mut writes: Vec<Write> =
            next.take_writes().into_iter().map(|write| Write::Device(Box::new(write))).collect();
        writes.extend(audit.into_iter().map(Write::Audit));
        let written = keys::write_files(&self.folder, &state.devices, &next)?;
        if let Err(error) = self.save(writes).await {
            keys::restore_files(&self.folder, &state.devices, &written);
            return Err(error);
        }
        keys::remove_files(&self.folder, &state.devices, &next);
        let approvers = next.approvers();
        if approvers != state.devices.approvers() {
            // At once: from here on no decision of a device that lost its place counts.
            self.engine.handle(Event::Approvers { devices: approvers });
        }
        state.devices = next;
        self.announce(state);
        self.tell();
        self.wake.notify_one();
        Ok(out)
    }

    /// Commits rows.
    pub(super) async fn save(&self, writes: Vec<Write>) -> Result<(), ErrorCode> {
        self.store.submit(writes).await.map(drop).map_err(|error| {
            tracing::error!(%error, "the store refused a change to devices; it was not made");
            ErrorCode::StorageFailed
        })
    }

    /// Tells held calls to look again.
    pub(super) fn tell(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// To hear of changes: subscribe first, then look.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Says on the network what may be said now.
    pub(super) fn announce(&self, state: &State) {
        let own = state.keys.public();
        let instance = self.discovery.instance();
        let marks = state.devices.peers().map(|peer| mark(instance, &own, &peer.keys)).collect();
        self.discovery.announce(&Announcement { tag: state.desk.announced().cloned(), marks });
    }

    /// New keys were made.
    pub(super) fn self_setting(keys: &LocalKeys) -> Write {
        let (id, public) = (keys.identity().id(), keys.public());
        let own = format!("{id} {} {}", public.x25519_hex(), public.ed25519_hex());
        Write::Setting { key: SELF_SETTING.into(), value: Some(own) }
    }

    /// Waits until the pairing's time is over, as often as there is one; held calls then look again.
    pub(crate) async fn run_timer(self: Arc<Self>) {
        let mut changes = self.changes();
        loop {
            let deadline = {
                let state = self.desk().await;
                self.announce(&state);
                state.desk.deadline()
            };
            let left = deadline.map(|at| Duration::try_from(at - self.now().steady).unwrap_or_default());
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(left.unwrap_or(Duration::from_hours(1)).max(Duration::from_millis(50))) => {
                    if left.is_some() {
                        self.tell();
                        changes.mark_unchanged();
                    }
                }
            }
        }
    }

    /// Waits for something else to look at. `false`: the time is over, or the server stops.
    pub(super) async fn another(
        &self,
        changes: &mut watch::Receiver<u64>,
        until: tokio::time::Instant,
    ) -> bool {
        tokio::select! {
            changed = tokio::time::timeout_at(until, changes.changed()) => matches!(changed, Ok(Ok(()))),
            () = self.stopped() => false,
        }
    }

    /// Resolves when the server stops: held calls end then.
    pub(super) async fn stopped(&self) {
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Ends held calls and takes the announcement back.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
        self.discovery.stop();
    }

    pub(super) fn contact<T>(&self, id: DeviceId, look: impl FnOnce(&mut Contact) -> T) -> T {
        let mut contacts = self.contacts.lock().unwrap_or_else(PoisonError::into_inner);
        look(contacts.entry(id).or_default())
    }
}

fn search(config: &DevicesConfig, listen: SocketAddr, tls: bool) -> Arc<dyn Discovery> {
    if !config.mdns {
        return Arc::new(Addresses::only("the search on the network is switched off"));
    }
    if listen.ip().is_loopback() && !config.mdns_on_loopback {
        return Arc::new(Addresses::only(
            "the agent plane listens on this machine only, so no device could come: start with --listen 0.0.0.0:5000, \
             or give peers' addresses with `durward devices set-address`",
        ));
    }
    match Mdns::start(listen.port(), tls) {
        Ok(mdns) => mdns,
        Err(error) => {
            tracing::warn!(%error, "the network cannot be searched; only addresses the owner gave are used");
            Arc::new(Addresses::after_failure(error))
        }
    }
}

fn forget_peers(folder: &KeyFolder, snapshot: &DeviceSnapshot) -> Vec<Write> {
    use durward_broker::devices::DeviceWrite;
    let mut writes = Vec::new();
    for peer in &snapshot.peers {
        if let Err(error) = folder.remove(peer.id) {
            tracing::warn!(%error, device = %peer.id, "a key file could not be deleted");
        }
        writes.push(Write::Device(Box::new(DeviceWrite::RemovePeer(peer.id))));
    }
    for device in &snapshot.introduced {
        writes.push(Write::Device(Box::new(DeviceWrite::RemoveIntroduced(device.id))));
    }
    writes
}
