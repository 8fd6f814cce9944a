//! Targets of the wire: codes, domains, envelopes, messages, plain JSON, policies.

use durward_broker::approval::{Policy, PolicyFile};
use durward_protocol::{
    Acknowledgement, Code, CredentialCancel, CredentialRequest, CredentialResponse, Domain, Scope,
    SecretBytes, SessionId, SessionKeys, SessionRevoke, Side, TypedCode, open, seal, wire as plain,
};
use rand::SeedableRng;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn keys() -> SessionKeys {
    SessionKeys::from_stored(&SecretBytes::new([7; SessionKeys::STORED_BYTES]))
}

fn rng() -> rand::rngs::StdRng {
    rand::rngs::StdRng::seed_from_u64(1)
}

/// What a person types: accepted, it is six digits without a leading zero, and reads the same again.
pub fn code(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(typed) = text.parse::<TypedCode>() else { return };
    let digits = typed.code.expose_digits();
    assert!(digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0'));
    let again: Code = digits.parse().expect("digits that were accepted are accepted");
    assert_eq!(again.expose_digits(), digits);
}

/// A domain: what comes out goes in again unchanged, and covers itself.
pub fn domain(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for parsed in [Domain::parse(text), Domain::from_input(text)].into_iter().flatten() {
        assert_eq!(Domain::parse(parsed.as_str()).ok().as_ref(), Some(&parsed));
        assert!(parsed.covers(&parsed));
        assert!(parsed.as_str().is_ascii() && !parsed.as_str().contains(['/', ':', ' ']) || parsed.is_ip());
    }
    if let Ok(scope) = Scope::parse(text) {
        assert!(scope.is_within(&scope));
    }
}

/// An envelope: nothing that was not sealed opens, and what was sealed opens once it is whole again.
pub fn envelope(data: &[u8]) {
    let (keys, session) = (keys(), SessionId::from_bytes([3; 16]));
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(open(&keys, Side::A, &session, text).is_err(), "an envelope nobody sealed");
    }
    let Ok(sealed) = seal(&keys, Side::A, &session, data, &mut rng()) else { return };
    let opened = open(&keys, Side::A, &session, &sealed).expect("what was sealed opens");
    assert_eq!(&opened[..], data);
    assert!(open(&keys, Side::B, &session, &sealed).is_err(), "sent back to its sealer");
    // One character changed, at a place that the data chooses.
    let at = data.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    let mut bent = sealed.into_bytes();
    let at = at % bent.len();
    if let Some(byte) = bent.get_mut(at) {
        *byte = if *byte == b'A' { b'B' } else { b'A' };
    }
    let bent = String::from_utf8(bent).expect("still text");
    assert!(open(&keys, Side::A, &session, &bent).is_err(), "a bent envelope");
}

/// The plaintexts of envelopes: what is accepted is written and read as the same.
pub fn messages(data: &[u8]) {
    if let Ok((header, request)) = CredentialRequest::parse(data) {
        let text = request.to_plaintext(header).expect("what was read can be written");
        assert!(CredentialRequest::parse(&text).is_ok());
    }
    if let Ok((header, response)) = CredentialResponse::parse(data) {
        let text = response.to_plaintext(header).expect("what was read can be written");
        assert!(CredentialResponse::parse(&text).is_ok());
    }
    let _ = CredentialCancel::parse(data);
    let _ = SessionRevoke::parse(data);
    let _ = Acknowledgement::parse(data);
}

/// A policy file.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(file) = toml::from_str::<PolicyFile>(text) else { return };
    if let Ok(policy) = Policy::new(file, text, |_| None) {
        assert!(policy.rules().iter().all(|line| !line.is_empty()));
    }
}

/// The plain JSON of the agent plane.
pub fn wire(data: &[u8]) {
    again::<plain::InitiateRequest>(data);
    again::<plain::InitiateResponse>(data);
    again::<plain::ExchangeRequest>(data);
    again::<plain::ExchangeResponse>(data);
    again::<plain::ConfirmRequest>(data);
    again::<plain::ConfirmResponse>(data);
    again::<plain::CancelPairingRequest>(data);
    again::<plain::SealedRequest>(data);
    again::<plain::CredentialAnswer>(data);
    again::<plain::SessionStatus>(data);
    again::<plain::ErrorBody>(data);
}

/// What is accepted is written, and read again as the same.
fn again<T: DeserializeOwned + Serialize>(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(data) else { return };
    let text = serde_json::to_vec(&value).expect("what was read can be written");
    let value = serde_json::from_slice::<T>(&text).expect("what was written can be read");
    assert_eq!(serde_json::to_vec(&value).expect("and written again"), text);
}
