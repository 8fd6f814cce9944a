//! What was found on the network: bounded, whatever the network says.

use std::collections::BTreeMap;
use std::net::IpAddr;

use durward_protocol::base64url_decode;
use durward_protocol::device::PairTag;

use super::{MARK_BYTES, MAX_MARKS, Mark, name_of};
use crate::device::client::Address;

/// Most devices kept. A network with more of them is full of something else.
pub(in super::super) const MAX_FOUND: usize = 256;

/// Most addresses of one device that are tried.
const MAX_ADDRESSES: usize = 4;

/// Longest name of an instance.
const MAX_NAME: usize = 100;

/// One device on the network. Everything here is a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Found {
    /// Its random name.
    pub(in super::super) instance: String,
    /// Where it says it is.
    pub(in super::super) addresses: Vec<Address>,
    /// The pairing it shows a code for.
    pub(in super::super) tag: Option<PairTag>,
    /// Its marks.
    pub(in super::super) marks: Vec<Mark>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(in super::super) struct FoundTable {
    found: BTreeMap<String, (u64, Found)>,
    count: u64,
}

impl FoundTable {
    /// Takes what a device says of itself. `true`: something changed.
    pub(in super::super) fn put(
        &mut self,
        instance: &str,
        ips: impl Iterator<Item = IpAddr>,
        port: u16,
        text: impl Fn(&str) -> Option<String>,
    ) -> bool {
        if instance.is_empty() || instance.len() > MAX_NAME || port == 0 {
            return false;
        }
        let tls = text("s").as_deref() == Some("1");
        // IPv6 link-local addresses need a zone, which an address does not have.
        let usable = |ip: &IpAddr| match ip {
            IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast(),
            IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast() && !v6.is_unicast_link_local(),
        };
        let mut addresses: Vec<IpAddr> = ips.filter(usable).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        let addresses: Vec<Address> = addresses.into_iter().map(|ip| Address::new(ip, port, tls)).collect();
        let tag = text("t").and_then(|tag| PairTag::parse(&tag).ok());
        let marks = text("r").and_then(|marks| base64url_decode(&marks).ok()).unwrap_or_default();
        let marks = marks.as_chunks::<MARK_BYTES>().0.iter().take(MAX_MARKS).copied().collect();
        let found = Found { instance: name_of(instance).to_owned(), addresses, tag, marks };
        if self.found.get(instance).is_some_and(|(_, known)| *known == found) {
            return false;
        }
        if !self.found.contains_key(instance) && self.found.len() >= MAX_FOUND {
            // The one that said something longest ago makes room: a flood pushes out the flood.
            let oldest = self.found.iter().min_by_key(|(_, (at, _))| *at).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                self.found.remove(&oldest);
            }
        }
        self.count += 1;
        self.found.insert(instance.to_owned(), (self.count, found));
        true
    }

    /// A device went away.
    pub(in super::super) fn remove(&mut self, instance: &str) -> bool {
        self.found.remove(instance).is_some()
    }

    /// All of them.
    pub(in super::super) fn all(&self) -> Vec<Found> {
        self.found.values().map(|(_, found)| found.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_flood_is_bounded_and_nonsense_is_passed_over() {
        let mut table = FoundTable::default();
        let ips = || (0..100).map(|n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)));
        for n in 0..10_000 {
            let text = |key: &str| (key == "t").then(|| format!("amber-{n}")); // no words: no tag
            assert!(table.put(&format!("flood{n}"), ips(), 5000, text));
        }
        assert_eq!(table.all().len(), MAX_FOUND);
        assert!(
            table.all().iter().all(|found| found.addresses.len() <= MAX_ADDRESSES && found.tag.is_none())
        );
        assert!(!table.put(&"x".repeat(500), ips(), 5000, |_| None));
        assert!(!table.put("y", ips(), 0, |_| None));
        let text = |key: &str| match key {
            "t" => Some("amber-otter".to_owned()),
            "r" => Some("x".repeat(4_000)),
            _ => None,
        };
        assert!(table.put("z", [IpAddr::V4(Ipv4Addr::UNSPECIFIED)].into_iter(), 1, text));
        assert!(!table.put("z", [IpAddr::V4(Ipv4Addr::UNSPECIFIED)].into_iter(), 1, text), "nothing new");
        let all = table.all();
        let found = all.iter().find(|found| found.instance == "z").unwrap();
        assert_eq!(found.tag.as_ref().map(PairTag::as_str), Some("amber-otter"));
        assert!(found.addresses.is_empty() && found.marks.len() <= MAX_MARKS);
        assert!(table.remove("z") && !table.remove("z"));
    }
}
