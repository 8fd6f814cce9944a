//! `docs/vectors/*.json`: made here, compared here, read by strangers.
//!
//! `DURWARD_WRITE_VECTORS=1 cargo test -p durward-protocol --test it` writes them anew.

use std::path::PathBuf;

use durward_protocol::{
    Acknowledgement, AgentId, AgentName, Answered, ApproverKey, Code, CredentialCancel, CredentialRequest,
    CredentialResponse, Displayer, Error, ErrorCode, Field, Header, Nonce, PairingId, PairingOffer,
    PairingTranscript, Pake, RequestId, Scope, SecretBytes, SecretString, SessionId, SessionKeys,
    SessionRevoke, Side, Timestamp, UnconfirmedKeys, Verdict, base64url_decode, base64url_encode,
    fingerprint_words, hex_encode, lp_all, open, seal,
};
use hkdf::Hkdf;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::rng::Given;

const AGENT_ID: &str = "flight-booking-001";
const AGENT_NAME: &str = "Flight Booking Agent";
const CODE: &str = "847293";

/// What each file says of itself: how to use it.
const ABOUT: &[(&str, &str)] = &[
    (
        "device.json",
        "Section 13. A device pairing with fixed scalars: messages, transcript, MACs, both hellos (`plain` sealed with nonce_hex, signed with the Ed25519 seed), and a signed call with its answer.",
    ),
    (
        "device_decision.json",
        "Section 13. good: `asked` has this digest, and the decision verifies under ed25519 over signed_hex. bad: the decision about `asked` must be refused, with why.",
    ),
    (
        "encoding.json",
        "Section 1. base64url.good: `text` decodes to the bytes of `hex`, and back; bad: refuse. lp: lp of each of parts_hex, joined.",
    ),
    (
        "envelope.json",
        "Section 5. good: sealing `plaintext` as `side` with nonce_hex and that side's key gives encrypted_payload, and it opens. bad: opening as from `side` in session_id fails with `error`.",
    ),
    (
        "errors.json",
        "Section 11. Every code of the table with its HTTP status. Codes are stable; messages are not.",
    ),
    ("fingerprint.json", "Section 3. The eight bytes of `hex` as five words of eff_large_wordlist.txt."),
    (
        "freshness.json",
        "Section 5. Envelopes of one session that opened, in order: at the receiver's time `now`, with `timestamp` and `nonce`; `error` is null where the envelope is fresh. The clock is checked first.",
    ),
    (
        "messages.json",
        "Sections 5 and 6. good: plaintexts of each endpoint. bad: an approver refuses the plaintext with `error`; an agent must not send it.",
    ),
    (
        "padding.json",
        "Section 5. A plaintext of plaintext_bytes is padded to padded_bytes and gives a payload of payload_characters; plaintext_too_long_bytes is refused.",
    ),
    (
        "pairing.json",
        "Sections 2 and 3. Whole pairings with fixed scalars (32 bytes, little-endian: 7 and 9): every value on the way from the code to the keys, the MACs and the fingerprint.",
    ),
    (
        "pake_message.json",
        "Section 3. SPAKE2 messages as received from `side`: good are taken, bad are refused with `error` before any code is tried.",
    ),
    (
        "receipts.json",
        "Section 8. good: receipts whose signature verifies under approver_id, with what each says (body_hex is what is signed over, after its label). bad: refuse with `error`.",
    ),
    (
        "schedule.json",
        "Section 3. From spake2_key_hex and the transcript's parts to MACs, keys and fingerprint, without SPAKE2. bad_mac_b: confirmations that an agent must refuse with `error`.",
    ),
    (
        "scope.json",
        "Section 4. good: the scope of a JSON text as sent. bad: refuse with `error`. within: whether a granted scope is within the one asked for; an agent gives up where it is not.",
    ),
    (
        "texts.json",
        "Sections 1, 2 and 6. Texts of each kind: good are taken as they are, bad are refused with `error`. typed_code is what an owner types; it is never sent.",
    ),
];

/// Compares with the file, or writes it.
pub(crate) fn settle(name: &str, made: &Value) -> Value {
    let mut made = made.clone();
    if let Some((_, about)) = ABOUT.iter().find(|(known, _)| *known == name) {
        made["about"] = (*about).into();
    }
    let made = &made;
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors").join(name);
    if std::env::var_os("DURWARD_WRITE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(made).unwrap() + "\n";
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
    }
    let read: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert!(
        read == *made,
        "{} is not what the code makes; if that is meant, DURWARD_WRITE_VECTORS=1 writes it anew",
        path.display()
    );
    read
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

fn scalar(x: u8) -> Given {
    Given(vec![x])
}

fn session(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

fn keys() -> SessionKeys {
    let mut stored = [0; SessionKeys::STORED_BYTES];
    stored.iter_mut().zip(1_u8..).for_each(|(byte, n)| *byte = n);
    SessionKeys::from_stored(&SecretBytes::new(stored))
}

#[test]
fn pairing() {
    let scope = |json: &str| Scope::parse(&base64url_encode(json.as_bytes())).unwrap();
    let asked = r#"{"domains":["example.com"],"max_uses":3}"#;
    let granted = r#"{"domains":["login.example.com"],"max_uses":1,"expires_in":3600}"#;
    let cases = [(Scope::none(), Scope::none(), "", ""), (scope(asked), scope(granted), asked, granted)];
    let made: Vec<Value> = cases.into_iter().map(|(a, g, ja, jg)| pairing_case(a, &g, ja, jg)).collect();
    let read = settle("pairing.json", &json!({ "pairings": made }));
    assert_eq!(read["pairings"].as_array().unwrap().len(), 2);
}

fn pairing_case(asked: Scope, granted: &Scope, asked_json: &str, granted_json: &str) -> Value {
    let seed = [0x42; 32];
    let approver = ApproverKey::from_seed(&SecretBytes::new(seed));
    let code: Code = CODE.parse().unwrap();
    let offer = PairingOffer {
        pairing_id: PairingId::from_bytes([1; 16]),
        agent_id: AgentId::parse(AGENT_ID).unwrap(),
        agent_name: AgentName::parse(AGENT_NAME).unwrap(),
        approver_id: approver.id().clone(),
        scope_asked: asked,
    };
    let (id_a, id_b) = (AGENT_ID, approver.id().as_str());
    let (pake_a, message_a) = Pake::start(Side::A, &code, id_a, id_b, &mut scalar(7));
    let (pake_b, message_b) = Pake::start(Side::B, &code, id_a, id_b, &mut scalar(9));
    let spake2_key = pake_a.finish(&message_b).unwrap();
    assert!(spake2_key == pake_b.finish(&message_a).unwrap());
    let session_id = session(2);
    let transcript = PairingTranscript {
        pairing_id: &offer.pairing_id,
        agent_id: &offer.agent_id,
        agent_name: &offer.agent_name,
        approver_id: &offer.approver_id,
        scope_asked: &offer.scope_asked,
        scope_granted: granted,
        session_id: &session_id,
        message_a: &message_a,
        message_b: &message_b,
    };
    let hash = transcript.hash();
    let (prk, hkdf) = Hkdf::<Sha256>::extract(Some(hash.as_bytes()), spake2_key.expose_bytes());
    let expand = |label: &str, length: usize| {
        let mut okm = vec![0; length];
        hkdf.expand(label.as_bytes(), &mut okm).unwrap();
        hex_encode(&okm)
    };
    let key_hex = hex_encode(spake2_key.expose_bytes());
    let unconfirmed = UnconfirmedKeys::derive(spake2_key, hash);
    let (mac_a, mac_b) = (unconfirmed.confirmation(Side::A), unconfirmed.confirmation(Side::B));
    let session_keys = unconfirmed.verify(Side::A, &mac_a).unwrap();
    let stored = session_keys.expose_stored();
    let derived = (expand("durward/1 seal a to b", 32), expand("durward/1 seal b to a", 32));
    assert_eq!(hex_encode(&stored.expose_bytes()[..64]), format!("{}{}", derived.0, derived.1));
    check_displayer(&offer, &code, granted, session_id, (&message_b, &mac_b));
    json!({
        "code": CODE,
        "agent_id": AGENT_ID,
        "agent_name": AGENT_NAME,
        "approver_seed_hex": hex_encode(&seed),
        "approver_id": id_b,
        "pairing_id": offer.pairing_id.to_string(),
        "session_id": session_id.to_string(),
        "scope_asked_json": asked_json,
        "scope_asked": offer.scope_asked.as_str(),
        "scope_granted_json": granted_json,
        "scope_granted": granted.as_str(),
        "scalar_a": 7,
        "scalar_b": 9,
        "message_a_hex": hex_encode(message_a.as_bytes()),
        "message_a": message_a.encode(),
        "message_b_hex": hex_encode(message_b.as_bytes()),
        "message_b": message_b.encode(),
        "spake2_key_hex": key_hex,
        "transcript_hex": hex_encode(&transcript_bytes(&transcript)),
        "transcript_hash_hex": hex_encode(hash.as_bytes()),
        "prk_hex": hex_encode(&prk),
        "confirm_a_hex": expand("durward/1 confirm a", 32),
        "confirm_b_hex": expand("durward/1 confirm b", 32),
        "seal_a_to_b_hex": derived.0,
        "seal_b_to_a_hex": derived.1,
        "fingerprint_hex": expand("durward/1 fingerprint", 8),
        "fingerprint": session_keys.fingerprint().words(),
        "mac_a": mac_a.encode(),
        "mac_b": mac_b.encode(),
    })
}

/// The typestate an agent runs takes the same values.
fn check_displayer(
    offer: &PairingOffer,
    code: &Code,
    granted: &Scope,
    session_id: SessionId,
    (message_b, mac_b): (&durward_protocol::PakeMessage, &durward_protocol::Confirmation),
) {
    let displayer = Displayer::start(offer.clone(), code, &mut scalar(7));
    assert!(displayer.verify(session_id, granted.clone(), message_b, mac_b).is_ok());
    let wrong: Code = "847294".parse().unwrap();
    let displayer = Displayer::start(offer.clone(), &wrong, &mut scalar(7));
    let refused = displayer.verify(session_id, granted.clone(), message_b, mac_b);
    assert_eq!(refused.unwrap_err(), Error::ConfirmationFailed);
    let again = Displayer::start(offer.clone(), code, &mut scalar(7));
    assert!(Answered::answer(offer, code, again.message(), granted.clone(), &mut scalar(9)).is_ok());
}

fn transcript_bytes(transcript: &PairingTranscript<'_>) -> Vec<u8> {
    let (pairing_id, session_id) = (transcript.pairing_id.to_string(), transcript.session_id.to_string());
    lp_all(&[
        b"durward/1 pairing agent",
        pairing_id.as_bytes(),
        transcript.agent_id.as_str().as_bytes(),
        transcript.agent_name.as_str().as_bytes(),
        transcript.approver_id.as_str().as_bytes(),
        transcript.scope_asked.as_str().as_bytes(),
        transcript.scope_granted.as_str().as_bytes(),
        session_id.as_bytes(),
        transcript.message_a.as_bytes(),
        transcript.message_b.as_bytes(),
    ])
}

#[test]
fn fingerprints() {
    let values = [0, 1, 7_775, 7_776, 0x0123_4567_89ab_cdef, u64::MAX];
    let made: Vec<Value> = values
        .iter()
        .map(|n| json!({ "hex": format!("{n:016x}"), "words": fingerprint_words(n.to_be_bytes()) }))
        .collect();
    settle("fingerprint.json", &json!({ "fingerprints": made }));
}

#[test]
fn envelopes() {
    let plaintext = br#"{"type":"ok"}"#;
    let sealed =
        |side: Side| seal(&keys(), side, &session(3), plaintext, &mut Given((0..24).collect())).unwrap();
    let good: Vec<Value> = [Side::A, Side::B]
        .iter()
        .map(|side| json!({ "side": side.letter(), "plaintext": String::from_utf8_lossy(plaintext), "encrypted_payload": sealed(*side) }))
        .collect();
    let payload = sealed(Side::A);
    let bytes = base64url_decode(&payload).unwrap();
    let bent = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        base64url_encode(&bytes)
    };
    let mut version = bytes.clone();
    version[0] = 2;
    let cases = [
        ("sealed by the other side", "b", session(3), payload.clone()),
        ("another session", "a", session(4), payload.clone()),
        ("version 2", "a", session(3), base64url_encode(&version)),
        ("nonce bent", "a", session(3), bent(1)),
        ("ciphertext bent", "a", session(3), bent(25)),
        ("tag bent", "a", session(3), bent(bytes.len() - 1)),
        ("cut by a byte", "a", session(3), base64url_encode(&bytes[..bytes.len() - 1])),
        ("padded base64url", "a", session(3), format!("{payload}=")),
        ("empty", "a", session(3), String::new()),
    ];
    let bad: Vec<Value> = cases
        .iter()
        .map(|(why, side, session_id, payload)| {
            let error = open(&keys(), side_of(side), session_id, payload).unwrap_err();
            json!({ "why": why, "side": side, "session_id": session_id.to_string(), "encrypted_payload": payload,
                "error": error.code().as_str() })
        })
        .collect();
    let stored = keys().expose_stored();
    let made = json!({
        "session_id": session(3).to_string(),
        "seal_a_to_b_hex": hex_encode(&stored.expose_bytes()[..32]),
        "seal_b_to_a_hex": hex_encode(&stored.expose_bytes()[32..64]),
        "nonce_hex": hex_encode(&(0..24).collect::<Vec<u8>>()),
        "good": good,
        "bad": bad,
    });
    let read = settle("envelope.json", &made);
    for case in read["good"].as_array().unwrap() {
        let opened =
            open(&keys(), side_of(text(case, "side")), &session(3), text(case, "encrypted_payload")).unwrap();
        assert_eq!(opened.as_slice(), text(case, "plaintext").as_bytes());
    }
    for case in read["bad"].as_array().unwrap() {
        let session_id = text(case, "session_id").parse().unwrap();
        let refused =
            open(&keys(), side_of(text(case, "side")), &session_id, text(case, "encrypted_payload"));
        assert_eq!(refused.unwrap_err().code().as_str(), text(case, "error"), "{}", text(case, "why"));
    }
}

fn side_of(letter: &str) -> Side {
    if letter == "a" { Side::A } else { Side::B }
}

#[test]
fn padding() {
    let made: Vec<Value> = [0, 1, 254, 255, 256, 511, 512, 16_383, 16_384, 32_767]
        .iter()
        .map(|length| {
            let plaintext = vec![b'x'; *length];
            let sealed = seal(&keys(), Side::A, &session(3), &plaintext, &mut Given(Vec::new())).unwrap();
            // version 1, nonce 24, tag 16
            let padded = base64url_decode(&sealed).unwrap().len() - 41;
            json!({ "plaintext_bytes": length, "padded_bytes": padded, "payload_characters": sealed.len() })
        })
        .collect();
    settle("padding.json", &json!({ "padding": made, "plaintext_too_long_bytes": 32_768 }));
    let long = vec![b'x'; 32_768];
    assert!(seal(&keys(), Side::A, &session(3), &long, &mut Given(Vec::new())).is_err());
}

#[test]
fn messages() {
    let timestamp = Timestamp::parse("2026-11-22T10:00:00.123Z").unwrap();
    let header = Header { timestamp, nonce: Nonce::from_bytes([5; 16]) };
    let id = RequestId::from_bytes([6; 16]);
    let request = CredentialRequest {
        id,
        domain: durward_protocol::Domain::parse("example.com").unwrap(),
        reason: "Book the flight".into(),
        fields: vec![Field::Username, Field::Password, Field::Custom("pin".into())],
        item_id: None,
        expires_in: Some(600),
        heads: None,
    };
    let mut approved = CredentialResponse::verdict(id, Verdict::Approved, None);
    approved.credential.domain = Some(request.domain.clone());
    approved.credential.item_id = "item-1".into();
    approved.credential.set(&Field::Username, SecretString::new("user@example.com".into()));
    approved.credential.set(&Field::Password, SecretString::new("pässwörd \"1\"".into()));
    let denied = CredentialResponse::verdict(id, Verdict::Denied, Some("not now".into()));
    let shown = |bytes: Result<zeroize::Zeroizing<Vec<u8>>, Error>| {
        String::from_utf8_lossy(&bytes.unwrap()).into_owned()
    };
    let good = json!([
        { "endpoint": "/credential/request", "plaintext": shown(request.to_plaintext(header)) },
        { "endpoint": "/credential/cancel", "plaintext": shown(CredentialCancel { id }.to_plaintext(header)) },
        { "endpoint": "/session/revoke", "plaintext": shown(SessionRevoke.to_plaintext(header)) },
        { "endpoint": "answer", "plaintext": shown(approved.to_plaintext(header)) },
        { "endpoint": "answer", "plaintext": shown(denied.to_plaintext(header)) },
        { "endpoint": "answer", "plaintext": shown(Acknowledgement { in_reply_to: header.nonce }.to_plaintext(header)) },
    ]);
    let ask = |change: &[(&str, Value)]| {
        let mut json: Value = serde_json::from_str(&shown(request.to_plaintext(header))).unwrap();
        for (key, value) in change {
            json[key] = value.clone();
        }
        json.to_string()
    };
    let cases = [
        ("another type", ask(&[("type", "credential.cancel".into())])),
        ("no type", ask(&[("type", Value::Null)])),
        ("domain in capitals", ask(&[("domain", "Example.com".into())])),
        ("domain with a port", ask(&[("domain", "example.com:443".into())])),
        ("no such field", ask(&[("fields", json!(["pin"]))])),
        ("empty list of fields", ask(&[("fields", json!([]))])),
        ("reason too long", ask(&[("reason", "x".repeat(4_097).into())])),
        ("waits more than a day", ask(&[("expires_in", 86_401.into())])),
        ("time without Z", ask(&[("timestamp", "2026-11-22T10:00:00+00:00".into())])),
        ("id too short", ask(&[("id", "AAAA".into())])),
        ("not an object", "[]".to_owned()),
        ("not JSON", "{".to_owned()),
    ];
    let bad: Vec<Value> = cases
        .iter()
        .map(|(why, plaintext)| {
            let error = CredentialRequest::parse(plaintext.as_bytes()).unwrap_err();
            json!({ "why": why, "endpoint": "/credential/request", "plaintext": plaintext, "error": error.code().as_str() })
        })
        .collect();
    let read = settle("messages.json", &json!({ "good": good, "bad": bad }));
    for case in read["bad"].as_array().unwrap() {
        let error = CredentialRequest::parse(text(case, "plaintext").as_bytes()).unwrap_err();
        assert_eq!(ErrorCode::parse(text(case, "error")), Some(error.code()), "{}", text(case, "why"));
    }
    let first = text(&read["good"][0], "plaintext");
    assert_eq!(CredentialRequest::parse(first.as_bytes()).unwrap(), (header, request));
}
