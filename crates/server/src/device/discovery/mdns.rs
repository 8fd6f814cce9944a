//! mDNS and DNS-SD (RFC 6762, 6763), service `_durward._tcp`.

use std::sync::{Arc, Mutex, PoisonError};

use durward_protocol::device::api::MdnsStatus;
use durward_protocol::{base64url_encode, hex_encode};
use mdns_sd::{ServiceDaemon, ServiceEvent, ServiceInfo};
use rand_core::Rng as _;
use tokio::sync::watch;

use super::{Announcement, Discovery, Found, FoundTable, MAX_MARKS, name_of};
use crate::keys::os_rng;

const SERVICE: &str = "_durward._tcp.local.";

/// The search on the network.
pub(in super::super) struct Mdns {
    daemon: ServiceDaemon,
    instance: String,
    port: u16,
    tls: bool,
    table: Arc<Mutex<FoundTable>>,
    changes: Arc<watch::Sender<u64>>,
    problem: Mutex<Option<String>>,
    said: Mutex<Said>,
}

/// What is announced, and under which number.
#[derive(Default)]
struct Said {
    what: Option<Announcement>,
    number: u64,
}

impl Mdns {
    /// Starts to search. Needs a tokio runtime.
    pub(in super::super) fn start(port: u16, tls: bool) -> Result<Arc<Self>, String> {
        let mut random = [0; 8];
        os_rng().fill_bytes(&mut random);
        // Random at every start, so that a device cannot be followed from network to network by its name.
        let instance = format!("durward-{}", hex_encode(&random));
        let daemon = ServiceDaemon::new().map_err(|error| error.to_string())?;
        let events = daemon.browse(SERVICE).map_err(|error| error.to_string())?;
        let table = Arc::new(Mutex::new(FoundTable::default()));
        let changes = Arc::new(watch::channel(0).0);
        let found = Self {
            daemon,
            instance: instance.clone(),
            port,
            tls,
            table: Arc::clone(&table),
            changes: Arc::clone(&changes),
            problem: Mutex::new(None),
            said: Mutex::default(),
        };
        tokio::spawn(async move {
            while let Ok(event) = events.recv_async().await {
                if take(&table, &event, &instance) {
                    changes.send_modify(|count| *count = count.wrapping_add(1));
                }
            }
        });
        Ok(Arc::new(found))
    }

    fn register(&self, what: &Announcement, number: u64) -> Result<(), String> {
        let marks: Vec<u8> = what.marks.iter().take(MAX_MARKS).flatten().copied().collect();
        let mut text = vec![("v", "1".to_owned())];
        if self.tls {
            text.push(("s", "1".into()));
        }
        if let Some(tag) = &what.tag {
            text.push(("t", tag.as_str().into()));
        }
        if !marks.is_empty() {
            text.push(("r", base64url_encode(&marks)));
        }
        let host = format!("{}.local.", self.instance);
        let info = ServiceInfo::new(
            SERVICE,
            &numbered(&self.instance, number),
            &host,
            "",
            self.port,
            text.as_slice(),
        );
        let info = info.map_err(|error| error.to_string())?.enable_addr_auto();
        self.daemon.register(info).map_err(|error| error.to_string())
    }
}

impl Mdns {
    fn withdraw(&self, number: u64) -> Result<(), String> {
        let gone = self.daemon.unregister(&format!("{}.{SERVICE}", numbered(&self.instance, number)));
        gone.map(drop).map_err(|error| error.to_string())
    }
}

/// Each announcement has a name of its own. Under the old name the library would take its own record, which it still
/// remembers, for a stranger's, and call itself `… (2)`; and nobody would forget what the old one said.
fn numbered(instance: &str, number: u64) -> String {
    format!("{instance}-{number}")
}

/// Notes an event. `true`: something changed.
fn take(table: &Mutex<FoundTable>, event: &ServiceEvent, own: &str) -> bool {
    let name =
        |full: &str| full.strip_suffix(SERVICE).and_then(|name| name.strip_suffix('.')).map(str::to_owned);
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        ServiceEvent::ServiceResolved(service) => {
            let Some(instance) = name(&service.fullname).filter(|name| name_of(name) != own) else {
                return false;
            };
            let ips = service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr);
            let text = |key: &str| service.txt_properties.get_property_val_str(key).map(str::to_owned);
            table.put(&instance, ips, service.port, text)
        }
        ServiceEvent::ServiceRemoved(_, full) => name(full).is_some_and(|instance| table.remove(&instance)),
        _ => false,
    }
}

impl Discovery for Mdns {
    fn announce(&self, what: &Announcement) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody to be found by: nothing is said.
        let what = Some(what).filter(|what| **what != Announcement::default());
        if said.what.as_ref() == what {
            return;
        }
        let mut result = Ok(());
        if said.what.take().is_some() {
            result = self.withdraw(said.number);
        }
        if let Some(what) = what {
            said.number += 1;
            result = self.register(what, said.number);
            said.what = result.is_ok().then(|| what.clone());
        }
        if let Err(error) = &result {
            tracing::warn!(%error, "this device cannot be announced on the network");
        }
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = result.err();
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn found(&self) -> Vec<Found> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).all()
    }

    fn instance(&self) -> &str {
        &self.instance
    }

    fn status(&self) -> (MdnsStatus, Option<String>) {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (if problem.is_some() { MdnsStatus::Failed } else { MdnsStatus::On }, problem)
    }

    fn stop(&self) {
        let number = self.said.lock().unwrap_or_else(PoisonError::into_inner).number;
        let _ = self.withdraw(number); // gone by itself after its time
        let _ = self.daemon.shutdown();
    }
}
