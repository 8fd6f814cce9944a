//! What one address may take of the agent plane: connections, calls within a minute, pairings that are not over.
//!
//! On loopback everybody has one address, and nobody is counted but those for whom a trusted proxy speaks. A proxy
//! itself is never counted: its connections are everybody's.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use durward_broker::accounts::{ClientAddress, RateLimit, RateRow};
use durward_protocol::PairingId;
use time::{Duration, OffsetDateTime};

use super::{Network, client_address};
use crate::clock::Clock;
use crate::config::Limits;

/// Addresses whose calls are counted; past it, all counts begin anew rather than anybody being refused.
const MAX_ADDRESSES: usize = 65_536;

/// The counts of all addresses.
pub(crate) struct Callers {
    /// The plane can be reached from other machines.
    off_loopback: bool,
    proxies: Vec<Network>,
    limits: Arc<Limits>,
    clock: Clock,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    connections: HashMap<ClientAddress, usize>,
    calls: HashMap<ClientAddress, RateRow>,
    pairings: HashMap<ClientAddress, Pairings>,
}

#[derive(Default)]
struct Pairings {
    /// Asked for, not answered yet.
    starting: usize,
    started: Vec<PairingId>,
}

/// Where a call comes from, as its connection and its headers say.
pub(crate) struct Guest(IpAddr, HeaderMap);

impl<S: Send + Sync> FromRequestParts<S> for Guest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut forwarded = HeaderMap::new();
        for value in parts.headers.get_all("x-forwarded-for") {
            forwarded.append("x-forwarded-for", value.clone());
        }
        Ok(Self(peer(parts.extensions.get()), forwarded))
    }
}

impl Callers {
    pub(crate) fn new(listen: SocketAddr, proxies: Vec<Network>, limits: Arc<Limits>, clock: Clock) -> Self {
        let off_loopback = !listen.ip().is_loopback();
        Self { off_loopback, proxies, limits, clock, table: Mutex::default() }
    }

    /// A place for a connection, given back when dropped; `None` when the address has its share.
    pub(crate) fn connect(self: &Arc<Self>, peer: IpAddr) -> Option<Connected> {
        let most = self.limits.max_connections_per_address;
        let counted = self.counted(peer).filter(|_| most > 0);
        if let Some(address) = counted {
            let mut table = self.table();
            let open = table.connections.entry(address).or_default();
            if *open >= most {
                return None;
            }
            *open += 1;
        }
        Some(Connected { callers: Arc::clone(self), counted })
    }

    /// Counts a call, or says how many seconds its address must wait.
    pub(crate) fn call(&self, request: &Request) -> Result<(), u32> {
        let limit = RateLimit { count: self.limits.max_calls_per_address, window: Duration::MINUTE };
        let from = client_address(peer(request.extensions().get()), request.headers(), &self.proxies);
        let Some(address) = self.counted(from).filter(|_| limit.count > 0) else { return Ok(()) };
        let now = self.clock.now().steady;
        let mut table = self.table();
        if table.calls.len() >= MAX_ADDRESSES && !table.calls.contains_key(&address) {
            let ends = |start: OffsetDateTime| start.saturating_add(limit.window);
            table.calls.retain(|_, row| row.window_start.is_some_and(|start| now < ends(start)));
            if table.calls.len() >= MAX_ADDRESSES {
                table.calls.clear();
            }
        }
        let row = table.calls.entry(address).or_default();
        *row = limit.take(*row, now)?;
        Ok(())
    }

    /// A place for one more pairing; `None` when the address has its share. `waits` says which are not over.
    pub(crate) fn pairing(
        self: &Arc<Self>,
        guest: Guest,
        waits: impl Fn(PairingId) -> bool,
    ) -> Option<Pairing> {
        let Guest(peer, headers) = guest;
        let most = self.limits.max_pairings_per_address;
        let counted = self.counted(client_address(peer, &headers, &self.proxies)).filter(|_| most > 0);
        if let Some(address) = counted {
            let mut table = self.table();
            table.pairings.retain(|_, own| {
                own.started.retain(|id| waits(*id));
                own.starting + own.started.len() > 0
            });
            let own = table.pairings.entry(address).or_default();
            if own.starting + own.started.len() >= most {
                return None;
            }
            own.starting += 1;
        }
        Some(Pairing { callers: Arc::clone(self), counted, id: None })
    }

    /// The address to count, if this one is counted. All of loopback is this machine.
    fn counted(&self, address: IpAddr) -> Option<ClientAddress> {
        let address = address.to_canonical();
        let is_proxy = self.proxies.iter().any(|proxy| proxy.contains(address));
        if is_proxy || !self.off_loopback && address.is_loopback() {
            return None;
        }
        let machine = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Some(ClientAddress::new(if address.is_loopback() { machine } else { address }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn peer(info: Option<&ConnectInfo<SocketAddr>>) -> IpAddr {
    info.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| info.0.ip())
}

/// A connection that is counted.
pub(crate) struct Connected {
    callers: Arc<Callers>,
    counted: Option<ClientAddress>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        let Some(address) = self.counted else { return };
        let mut table = self.callers.table();
        if let Some(open) = table.connections.get_mut(&address) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                table.connections.remove(&address);
            }
        }
    }
}

/// A place for a pairing: given back when dropped, unless one has taken it.
pub(crate) struct Pairing {
    callers: Arc<Callers>,
    counted: Option<ClientAddress>,
    id: Option<PairingId>,
}

impl Pairing {
    pub(crate) fn taken_by(&mut self, id: PairingId) {
        self.id = Some(id);
    }
}

impl Drop for Pairing {
    fn drop(&mut self) {
        let Some(address) = self.counted else { return };
        if let Some(own) = self.callers.table().pairings.get_mut(&address) {
            own.starting = own.starting.saturating_sub(1);
            own.started.extend(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callers(listen: &str, proxies: &[&str], limits: Limits) -> (Arc<Callers>, Clock) {
        let clock = Clock::manual(OffsetDateTime::UNIX_EPOCH);
        let proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        (Arc::new(Callers::new(listen.parse().unwrap(), proxies, Arc::new(limits), clock.clone())), clock)
    }

    fn call(callers: &Callers, peer: &str, forwarded: Option<&str>) -> Result<(), u32> {
        let mut request = Request::new(axum::body::Body::empty());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        if let Some(address) = forwarded {
            request.headers_mut().insert("x-forwarded-for", address.parse().unwrap());
        }
        callers.call(&request)
    }

    #[test]
    fn an_address_has_its_share_of_calls_and_no_more() {
        let limits = Limits { max_calls_per_address: 2, ..Limits::default() };
        let (off, clock) = callers("192.0.2.1:5000", &["10.0.0.0/8"], limits.clone());
        for peer in ["198.51.100.1", "2001:db8::1", "127.0.0.1"] {
            assert_eq!([call(&off, peer, None), call(&off, peer, None)], [Ok(()), Ok(())]);
            clock.advance(Duration::seconds(15));
        }
        assert_eq!(call(&off, "198.51.100.1", None), Err(15), "the rest of its minute");
        assert_eq!(call(&off, "198.51.100.2", None), Ok(()), "its neighbour is free");
        assert_eq!(call(&off, "2001:db8::2", None), Err(30), "a household has one count");
        assert!(call(&off, "127.9.9.9", None).is_err(), "all of loopback is this machine");
        for _ in 0..9 {
            assert_eq!(call(&off, "10.0.0.1", None), Ok(()), "a proxy for itself is not counted");
        }
        assert_eq!(call(&off, "10.0.0.1", Some("198.51.100.1")), Err(15), "but whom it speaks for is");
        assert_eq!(call(&off, "198.51.100.3", Some("10.0.0.1")), Ok(()));
        clock.advance(Duration::seconds(15));
        assert_eq!(call(&off, "198.51.100.1", None), Ok(()), "a new minute");

        let (on, _) = callers("127.0.0.1:5000", &[], limits.clone());
        assert!(
            (0..9).all(|_| call(&on, "127.0.0.1", Some("198.51.100.1")).is_ok()),
            "loopback is not counted"
        );
        let (behind, _) = callers("127.0.0.1:5000", &["127.0.0.1"], limits);
        assert!((0..2).all(|_| call(&behind, "127.0.0.1", Some("198.51.100.1")).is_ok()));
        assert_eq!(
            call(&behind, "127.0.0.1", Some("198.51.100.1")),
            Err(60),
            "unless a proxy stands before it"
        );
        assert_eq!(call(&behind, "127.0.0.1", Some("198.51.100.2")), Ok(()));
    }

    #[test]
    fn connections_and_pairings_are_given_back() {
        let limits =
            Limits { max_connections_per_address: 2, max_pairings_per_address: 1, ..Limits::default() };
        let (callers, _) = callers("0.0.0.0:5000", &["10.0.0.1"], limits);
        let (one, other): (IpAddr, IpAddr) =
            ("198.51.100.1".parse().unwrap(), "198.51.100.2".parse().unwrap());
        let open: Vec<_> = (0..2).map(|_| callers.connect(one)).collect();
        assert!(open.iter().all(Option::is_some) && callers.connect(one).is_none());
        assert!(callers.connect(other).is_some() && callers.connect("10.0.0.1".parse().unwrap()).is_some());
        drop(open);
        assert!(callers.connect(one).is_some());

        let guest = |address| Guest(address, HeaderMap::new());
        let place = callers.pairing(guest(one), |_| true).unwrap();
        assert!(callers.pairing(guest(one), |_| true).is_none(), "one is on its way");
        assert!(callers.pairing(guest(other), |_| true).is_some());
        drop(place);
        let mut place = callers.pairing(guest(one), |_| true).unwrap();
        place.taken_by(PairingId::random(&mut crate::keys::os_rng()));
        drop(place);
        assert!(callers.pairing(guest(one), |_| true).is_none(), "it waits");
        assert!(callers.pairing(guest(one), |_| false).is_some(), "it is over");
        assert!(callers.table().connections.is_empty());
    }

    #[test]
    fn the_table_is_bounded() {
        let (callers, clock) = callers("0.0.0.0:5000", &[], Limits::default());
        let from = |n: u32| Ipv4Addr::from(0x0a00_0000 + n).to_string();
        for n in 0..=65_536 {
            assert_eq!(call(&callers, &from(n), None), Ok(()));
        }
        assert_eq!(callers.table().calls.len(), 1);
        clock.advance(Duration::MINUTE);
        assert_eq!(call(&callers, &from(1), None), Ok(()));
    }
}
