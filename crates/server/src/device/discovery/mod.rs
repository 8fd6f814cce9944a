//! Finding other devices: by mDNS on the network, or only at addresses the owner gave.

mod addresses;
mod mdns;
mod table;

pub(super) use addresses::Addresses;
pub(super) use mdns::Mdns;
pub(super) use table::{Found, FoundTable};

use durward_protocol::device::api::MdnsStatus;
use durward_protocol::device::{DevicePublic, PairTag};
use durward_protocol::lp_all;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

/// Bytes by which a peer knows this device on the network.
const MARK_BYTES: usize = 6;

/// Most marks that are announced: what fits one TXT string.
const MAX_MARKS: usize = 30;

/// A way to find devices and to be found.
pub(super) trait Discovery: Send + Sync {
    /// Says from now on that this device is there; in place of what was said before.
    fn announce(&self, what: &Announcement);
    /// What is there, and a way to hear of changes.
    fn watch(&self) -> watch::Receiver<u64>;
    /// What is there now.
    fn found(&self) -> Vec<Found>;
    /// The name under which this device is announced: [`mark`] depends on it.
    fn instance(&self) -> &str;
    /// Whether it works, and why not.
    fn status(&self) -> (MdnsStatus, Option<String>);
    /// Takes the announcement back.
    fn stop(&self);
}

/// What is said on the network: two words while a code is shown, and marks that only peers can read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Announcement {
    pub(super) tag: Option<PairTag>,
    pub(super) marks: Vec<Mark>,
}

/// By this a peer, and nobody else, recognises a device: HMAC of the instance's random name under a key that is made of
/// both devices' keys, which never cross the network in the open.
pub(super) type Mark = [u8; MARK_BYTES];

/// Characters of a device's random name: `durward-` and 16 hex digits.
const NAME_CHARS: usize = 24;

/// The random name in an announced one: announcements are numbered behind it.
pub(super) fn name_of(instance: &str) -> &str {
    instance.get(..NAME_CHARS).unwrap_or(instance)
}

/// The mark of `instance` between two devices.
pub(super) fn mark(instance: &str, one: &DevicePublic, other: &DevicePublic) -> Mark {
    let mut ends = [[one.ed25519, one.x25519], [other.ed25519, other.x25519]];
    ends.sort_unstable();
    let [[a, b], [c, d]] = ends;
    let key = Sha256::digest(lp_all(&[b"durward/1 device mark", &a, &b, &c, &d]));
    let mut short = [0; MARK_BYTES];
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) {
        mac.update(instance.as_bytes());
        let full = mac.finalize().into_bytes();
        short.iter_mut().zip(full).for_each(|(to, from)| *to = from);
    }
    short
}
