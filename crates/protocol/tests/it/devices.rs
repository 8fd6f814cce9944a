//! A device pairing with fixed scalars, and what its ends sign, for strangers.

use durward_protocol::device::{
    AskedRequest, DISPLAYER_ID, DecisionWord, DeviceDecision, DeviceDisplayer, DeviceId, DeviceKeys,
    DeviceProof, DevicePublic, ENTERER_ID, open_hello, seal_hello, sign_answer, sign_call, verify_answer,
    verify_call,
};
use durward_protocol::{
    AgentId, AgentName, ApproverKey, Code, Domain, Error, Field, PairingId, RequestId, SecretBytes,
    SessionId, Timestamp, base64url_encode, from_json_object, hex_encode,
};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::rng::Given;
use crate::vectors::settle;

/// Signs with a known seed; seals nothing.
struct Seed(u8);

impl Seed {
    fn key(&self) -> SigningKey {
        SigningKey::from_bytes(&[self.0; 32])
    }
}

impl DeviceKeys for Seed {
    fn public(&self) -> DevicePublic {
        let mut x25519 = [0; 32];
        x25519[0] = 9; // the base point
        DevicePublic::new(x25519, self.key().verifying_key().to_bytes()).unwrap()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key().sign(message).to_bytes()
    }

    fn seal(&self, _to: &DevicePublic, _plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        Err(Error::TooLarge)
    }

    fn open(&self, _from: &DevicePublic, _sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        Err(Error::BadEnvelope)
    }
}

fn id(text: &str) -> DeviceId {
    text.parse().unwrap()
}

#[test]
fn device_json() {
    let code: Code = "847293".parse().unwrap();
    let pairing_id = PairingId::from_bytes([7; 16]);
    let displayer = DeviceDisplayer::start(pairing_id, &code, &mut Given(vec![7]));
    let (message_a, proof) = (
        *displayer.message(),
        DeviceProof::enter(pairing_id, displayer.message(), &code, &mut Given(vec![9])).unwrap(),
    );
    let (message_b, mac_b) = (proof.message, proof.mac_b);
    let (at_a, mac_a) = displayer.answer(&message_b, &mac_b).unwrap();
    let at_b = proof.verify(&mac_a).unwrap();
    let (laptop, desktop) =
        (id("019234ab-cdef-7890-9234-567890abcdef"), id("019234ab-cdef-7890-9234-567890abcdf0"));
    let hello = |from: &durward_protocol::device::DeviceChannel,
                 to: &durward_protocol::device::DeviceChannel,
                 who,
                 name,
                 seed: u8| {
        let envelope = seal_hello(from, who, name, &Seed(seed), &mut Given(vec![seed; 24])).unwrap();
        assert_eq!(open_hello(to, &envelope).unwrap().device_id, who);
        let plain: Value = from_json_object(&to.open(&envelope).unwrap()).unwrap();
        json!({"seed_hex": hex_encode(&[seed; 32]), "nonce_hex": hex_encode(&[seed; 24]), "plain": plain, "envelope": envelope})
    };
    let body = r#"{"stream":"pair_BwcHBwcHBwcHBwcHBwcHBw","base":1,"events":[]}"#;
    let call = sign_call("/device/deliver", laptop, desktop, body.into(), &Seed(1), &mut Given(vec![5; 16]));
    let answer = sign_answer("/device/deliver", &call, r#"{"ack":0}"#.into(), &Seed(2));
    assert_eq!(verify_call("/device/deliver", &call, &Seed(1).public()), Ok(()));
    assert_eq!(verify_answer("/device/deliver", &call, &answer, &Seed(2).public()), Ok(()));
    for (path, seed) in [("/device/other", 1), ("/device/deliver", 2)] {
        assert_eq!(verify_call(path, &call, &Seed(seed).public()), Err(Error::BadSignature));
    }
    let mut later = call.clone();
    later.nonce = durward_protocol::Nonce::from_bytes([6; 16]);
    assert_eq!(verify_call("/device/deliver", &later, &Seed(1).public()), Err(Error::BadSignature));
    assert_eq!(
        verify_answer("/device/deliver", &later, &answer, &Seed(2).public()),
        Err(Error::BadSignature),
        "an older answer is none"
    );
    settle(
        "device.json",
        &json!({
            "code": "847293", "id_a": DISPLAYER_ID, "id_b": ENTERER_ID, "pairing_id": pairing_id,
            "scalar_a": 7, "scalar_b": 9,
            "message_a_hex": hex_encode(message_a.as_bytes()), "message_b_hex": hex_encode(message_b.as_bytes()),
            "transcript_hex": hex_encode(at_a.transcript().as_bytes()),
            "mac_a": mac_a.encode(), "mac_b": mac_b.encode(), "fingerprint": at_a.fingerprint().words(),
            "hello_a": hello(&at_a, &at_b, laptop, "laptop", 1), "hello_b": hello(&at_b, &at_a, desktop, "desktop", 2),
            "call": call, "answer": answer,
            "ed25519_a": base64url_encode(&Seed(1).public().ed25519),
            "ed25519_b": base64url_encode(&Seed(2).public().ed25519),
        }),
    );
}

fn asked(reason: &str, fields: &str, item_id: Option<&str>) -> AskedRequest {
    AskedRequest {
        approver_id: ApproverKey::from_seed(&SecretBytes::new([1; 32])).id().clone(),
        session_id: SessionId::from_bytes([3; 16]),
        request_id: RequestId::from_bytes([4; 16]),
        agent_id: AgentId::parse("flight-booking-001").unwrap(),
        agent_name: AgentName::parse("Flight Booking Agent").unwrap(),
        domain: Domain::parse("aircanada.example").unwrap(),
        reason: reason.into(),
        fields: fields.split(',').map(|field| field.parse().unwrap()).collect(),
        item_id: item_id.map(str::to_owned),
        expires: Timestamp::parse("2026-11-22T10:10:00Z").unwrap(),
    }
}

/// Whether an approver takes a decision about a request as far as bytes go.
fn fits(asked: &AskedRequest, decision: &DeviceDecision, device: DeviceId, key: &DevicePublic) -> bool {
    decision.verify(key).is_ok()
        && decision.device_id == device
        && decision.approver_id == asked.approver_id
        && decision.digest == asked.digest()
        && decision.fields.iter().all(|field| asked.fields.contains(field))
        && decision.fields.is_empty() == (decision.decision == DecisionWord::Deny)
}

#[test]
fn device_decision_json() {
    let device = id("019234ab-cdef-7890-9234-567890abcdf0");
    let plain = asked("Book the 14:05 to Montréal", "username,password", None);
    let custom = asked("pay", "password,custom:pin,totp", Some("item-7"));
    let named = |names: &[&str]| AskedRequest {
        fields: names.iter().map(|name| Field::Custom((*name).into())).collect(),
        ..plain.clone()
    };
    let (comma, apart) = (named(&["a,custom:b", r"c\"]), named(&["a", "b", r"c\"]));
    let sign = |asked: &AskedRequest, word, fields: Option<&[Field]>| {
        DeviceDecision::sign(asked, word, fields.map(<[Field]>::to_vec), device, &Seed(2)).unwrap()
    };
    let good = [
        (&plain, sign(&plain, DecisionWord::Approve, None)),
        (&plain, sign(&plain, DecisionWord::Deny, None)),
        (&custom, sign(&custom, DecisionWord::Approve, Some(&[Field::Totp, Field::Password]))),
        (&comma, sign(&comma, DecisionWord::Approve, None)),
    ];
    assert_ne!(comma.digest(), apart.digest(), "a comma in a name is not one between two");
    assert_ne!(good[3].1.signed_bytes(), sign(&apart, DecisionWord::Approve, None).signed_bytes());
    let approve = &good[0].1;
    let change = |change: &dyn Fn(&mut DeviceDecision)| {
        let mut decision = approve.clone();
        change(&mut decision);
        decision
    };
    let signed_anew = |change: &dyn Fn(&mut DeviceDecision)| {
        let mut decision = approve.clone();
        change(&mut decision);
        decision.signature = Seed(2).sign(&decision.signed_bytes());
        decision
    };
    let other_approver = ApproverKey::from_seed(&SecretBytes::new([9; 32])).id().clone();
    let other_device = id("019234ab-cdef-7890-9234-567890abcdef");
    let later = Timestamp::parse("2026-11-22T10:10:00.001Z").unwrap();
    let bad = [
        ("another approver", change(&|d| d.approver_id = other_approver.clone())),
        ("for another approver", signed_anew(&|d| d.approver_id = other_approver.clone())),
        ("another device", change(&|d| d.device_id = other_device)),
        ("signed by another device", signed_anew(&|d| d.device_id = other_device)),
        ("another digest", change(&|d| d.digest[0] ^= 1)),
        ("about another request", signed_anew(&|d| d.digest = custom.digest())),
        ("a no made a yes", {
            let mut denied = good[1].1.clone();
            (denied.decision, denied.fields) = (DecisionWord::Approve, plain.fields.clone());
            denied
        }),
        ("fewer fields than were signed", change(&|d| d.fields.truncate(1))),
        ("more fields than were asked for", signed_anew(&|d| d.fields.push(Field::Notes))),
        ("an approval of nothing", signed_anew(&|d| d.fields.clear())),
        ("a longer life", change(&|d| d.expires = later)),
        ("a signature with one bit turned", change(&|d| d.signature[63] ^= 1)),
    ];
    let key = Seed(2).public();
    for (asked, decision) in &good {
        assert!(fits(asked, decision, device, &key));
    }
    for (why, decision) in &bad {
        assert!(!fits(&plain, decision, device, &key), "{why}");
    }
    let shown = |(asked, decision): &(&AskedRequest, DeviceDecision)| {
        let signed = hex_encode(&decision.signed_bytes());
        json!({"asked": asked, "digest_hex": hex_encode(&asked.digest()), "decision": decision, "signed_hex": signed})
    };
    let refused =
        |(why, decision): &(&str, DeviceDecision)| json!({"why": why, "asked": plain, "decision": decision});
    settle(
        "device_decision.json",
        &json!({
            "device_id": device, "seed_hex": hex_encode(&[2; 32]), "ed25519": base64url_encode(&key.ed25519),
            "good": good.iter().map(shown).collect::<Vec<_>>(),
            "bad": bad.iter().map(refused).collect::<Vec<_>>(),
        }),
    );
}
