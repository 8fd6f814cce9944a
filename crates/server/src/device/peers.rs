//! The list of devices, and what the owner changes about one.

use std::sync::Arc;

use durward_broker::approval::{Actor, AuditEntry, AuditEvent};
use durward_broker::devices::{PeerRecord, shown};
use durward_protocol::device::api::{
    ChangeDevice, DeviceStatus, DeviceView, Devices, IntroducedView, Rotated, ThisDevice,
};
use durward_protocol::device::{DeviceId, DeviceKeys as _, DeviceName, Hello};
use durward_protocol::{ErrorCode, Timestamp};

use super::client::Address;
use super::contact::Contact;
use super::join::Refusal;
use super::keys::LocalKeys;
use super::service::{DeviceService, State};
use crate::keys::os_rng;

impl DeviceService {
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
        let mut state = self.state().await?;
        self.unpair(&mut state, id, "removed").await.map(drop)
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
