//! Messages there and back, limits, and what is refused.

use super::*;
use crate::ids::RequestId;
use crate::testing::seeded;
use crate::{Domain, Field, SecretString};

fn header() -> Header {
    Header::new(time::macros::datetime!(2026-11-22 10:00:00.123456 UTC), &mut seeded(1))
}

fn request() -> CredentialRequest {
    CredentialRequest {
        id: RequestId::from_bytes([1; 16]),
        domain: Domain::parse("example.com").unwrap(),
        reason: "Book the flight".into(),
        fields: Field::default_set(),
        item_id: None,
        expires_in: Some(600),
        heads: None,
    }
}

#[test]
fn requests_round_trip_and_ignore_what_they_do_not_know() {
    let plaintext = request().to_plaintext(header()).unwrap();
    assert_eq!(CredentialRequest::parse(&plaintext).unwrap(), (header(), request()));
    let text = String::from_utf8(plaintext.to_vec()).unwrap();
    assert!(text.contains(r#""timestamp":"2026-11-22T10:00:00.123Z""#), "{text}");
    let newer = text.replacen('{', r#"{"new_thing":[1,{"a":2}],"#, 1);
    assert_eq!(CredentialRequest::parse(newer.as_bytes()).unwrap().1, request());
}

#[test]
fn each_endpoint_takes_one_type() {
    let plaintext = request().to_plaintext(header()).unwrap();
    assert_eq!(CredentialCancel::parse(&plaintext).unwrap_err(), Error::WrongType);
    assert_eq!(CredentialRequest::parse(b"{}").unwrap_err(), Error::WrongType);
    assert_eq!(CredentialRequest::parse(b"[]").unwrap_err(), Error::InvalidMessage);
    assert_eq!(CredentialRequest::parse(b"\xff").unwrap_err(), Error::InvalidMessage);
}

#[test]
fn limits() {
    let long = CredentialRequest { reason: "x".repeat(MAX_REASON_BYTES + 1), ..request() };
    assert_eq!(
        CredentialRequest::parse(&long.to_plaintext(header()).unwrap()).unwrap_err(),
        Error::InvalidMessage
    );
    let nul = CredentialRequest { reason: "a\0b".into(), ..request() };
    assert_eq!(
        CredentialRequest::parse(&nul.to_plaintext(header()).unwrap()).unwrap_err(),
        Error::InvalidMessage
    );
    let patient = CredentialRequest { expires_in: Some(MAX_EXPIRES_IN_SECONDS + 1), ..request() };
    assert_eq!(
        CredentialRequest::parse(&patient.to_plaintext(header()).unwrap()).unwrap_err(),
        Error::InvalidMessage
    );
    for bad in
        ["2026-11-22T10:00:00+00:00", "2026-11-22", "", "2026-11-22T10:00:00.0000000000000000000000000Z"]
    {
        assert!(Timestamp::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn responses_carry_only_what_was_released() {
    let mut response = CredentialResponse::verdict(RequestId::from_bytes([1; 16]), Verdict::Approved, None);
    response.credential.set(&Field::Password, SecretString::new("pässwörd\"\\\n".into()));
    response.credential.set(&Field::Custom("pin".into()), SecretString::new("4711".into()));
    let plaintext = response.to_plaintext(header()).unwrap();
    let (_, back) = CredentialResponse::parse(&plaintext).unwrap();
    assert_eq!(back.credential.get(&Field::Password).unwrap().expose_secret(), "pässwörd\"\\\n");
    assert_eq!(back.credential.fields(), [Field::Password, Field::Custom("pin".into())]);
    assert!(!String::from_utf8(plaintext.to_vec()).unwrap().contains("username"));
}

#[test]
fn a_credential_too_large_for_an_envelope_is_an_error() {
    let mut response = CredentialResponse::verdict(RequestId::from_bytes([1; 16]), Verdict::Approved, None);
    response.credential.set(&Field::Notes, SecretString::new("x".repeat(40_000)));
    assert_eq!(response.to_plaintext(header()).unwrap_err(), Error::TooLarge);
}
