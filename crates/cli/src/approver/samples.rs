//! What waits, for the tests of both fronts.

use durward_broker::approval::{PairingView, RequestView};
use durward_protocol::{AgentId, AgentName, Domain, Field, Limits, PairingId, RequestId, SessionId};
use durward_server::control::api::VaultStatus;
use time::macros::datetime;

use super::event::Event;
use super::known::Known;

/// A vault with a password.
pub(crate) fn vault(open: bool) -> VaultStatus {
    VaultStatus {
        provider: "builtin".into(),
        name: "default".into(),
        location: "vault.age".into(),
        exists: true,
        needs_password: true,
        open_until: open.then_some(datetime!(2026-11-22 12:00 UTC)),
        problem: None,
    }
}

/// A pairing under this number.
pub(crate) fn pairing(number: u8) -> PairingView {
    PairingView {
        pairing_id: PairingId::from_bytes([number; 16]),
        number: number.try_into().unwrap(),
        agent_id: AgentId::parse("flight-booking-001").unwrap(),
        agent_name: AgentName::parse("Flight Booking Agent").unwrap(),
        scope: Limits::default(),
        answered: false,
        duplicate_claim: false,
        replaces: None,
        rules: Vec::new(),
        expires_at: datetime!(2026-11-22 10:05 UTC),
    }
}

/// A request; the number makes it another one.
pub(crate) fn request(n: u8) -> RequestView {
    RequestView {
        session_id: SessionId::from_bytes([1; 16]),
        request_id: RequestId::from_bytes([n; 16]),
        agent_id: AgentId::parse("flight-booking-001").unwrap(),
        agent_name: AgentName::parse("Flight Booking Agent").unwrap(),
        fingerprint: "abacus abdomen abdominal abide abiding".into(),
        domain: Domain::parse("example.com").unwrap(),
        reason: "Book the flight".into(),
        fields: Field::default_set(),
        item_id: None,
        scope: Limits::default(),
        granted: false,
        alike: 0,
        approved_by: None,
        deciding: false,
        choices: Vec::new(),
        created_at: datetime!(2026-11-22 10:00 UTC),
        expires_at: datetime!(2026-11-22 10:10 UTC),
    }
}

/// The lists with these in them.
pub(crate) fn lists(pairings: Vec<PairingView>, requests: Vec<RequestView>, open: bool) -> Event {
    Event::Lists(Box::new(Known { pairings, requests, vault: Some(vault(open)), ..Known::default() }))
}
