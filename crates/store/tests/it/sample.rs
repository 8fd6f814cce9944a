//! Records to write.

use durward_broker::approval::{
    Actor, AuditEntry, AuditEvent, Ended, GrantRecord, NonceRecord, RequestRecord, SessionRecord,
    StoredRequestState, Write,
};
use durward_protocol::{
    AgentId, AgentName, Domain, Field, GrantId, Limits, Nonce, RequestId, Scope, SessionId,
};
use time::{Duration, OffsetDateTime};

pub(crate) const NOW: OffsetDateTime = time::macros::datetime!(2026-11-22 01:00:00.123456 UTC);

pub(crate) fn id(n: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    bytes
}

pub(crate) fn at(seconds: i64) -> OffsetDateTime {
    NOW + Duration::seconds(seconds)
}

pub(crate) fn session(n: u64) -> SessionRecord {
    let domains = Some(vec![Domain::parse("example.com").unwrap()]);
    SessionRecord {
        id: SessionId::from_bytes(id(n)),
        agent_id: AgentId::parse(&format!("agent-{n}")).unwrap(),
        agent_name: AgentName::parse("Flugbuchung für Zoë ✈").unwrap(),
        scope: Scope::new(&Limits { domains, max_uses: Some(3), expires_in: None }).unwrap(),
        sealed_keys: vec![7; 104],
        confirmation_digest: [9; 32],
        created_at: NOW,
        last_used_at: NOW,
        expires_at: at(86_400),
        uses: 0,
        ended: None,
    }
}

pub(crate) fn request(session: u64, n: u64) -> RequestRecord {
    RequestRecord {
        session_id: SessionId::from_bytes(id(session)),
        id: RequestId::from_bytes(id(n)),
        digest: [3; 32],
        domain: Domain::parse("login.example.com").unwrap(),
        reason: "Book the flight; DROP TABLE request; --'\"".into(),
        fields: vec![Field::Username, Field::Password, Field::Custom("PIN, \"old\"".into())],
        item_id: None,
        created_at: NOW,
        expires_at: at(600),
        state: StoredRequestState::Pending,
    }
}

pub(crate) fn grant(session: u64, n: u64) -> GrantRecord {
    GrantRecord {
        id: GrantId::from_bytes(id(n)),
        session_id: SessionId::from_bytes(id(session)),
        domain: Domain::parse("192.0.2.7").unwrap(),
        fields: vec![Field::Totp],
        item_id: Some("item-1".into()),
        created_at: NOW,
        expires_at: Some(at(3_600)),
        max_uses: Some(5),
        uses: 0,
        ended: None,
    }
}

pub(crate) fn nonce(session: u64, n: u64, expires_in: i64) -> NonceRecord {
    NonceRecord {
        session_id: SessionId::from_bytes(id(session)),
        nonce: Nonce::from_bytes(id(n)),
        expires_at: at(expires_in),
    }
}

pub(crate) fn ended(seconds: i64) -> Ended {
    Ended { at: at(seconds), why: "revoked_by_owner".into() }
}

pub(crate) fn entry(n: u64) -> AuditEntry {
    let mut entry = AuditEntry::new(NOW, AuditEvent::CredentialReleased, Actor::Grant).detail(n.to_string());
    entry.session_id = Some(SessionId::from_bytes(id(n)));
    entry
}

pub(crate) fn setting(key: &str, value: Option<&str>) -> Write {
    Write::Setting { key: key.into(), value: value.map(Into::into) }
}
