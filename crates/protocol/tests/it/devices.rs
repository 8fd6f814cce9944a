//! A device pairing with fixed scalars, and what its ends sign, for strangers.

use durward_protocol::device::{
    DISPLAYER_ID, DeviceDisplayer, DeviceId, DeviceKeys, DeviceProof, DevicePublic, ENTERER_ID, open_hello,
    seal_hello, sign_answer, sign_call, verify_answer, verify_call,
};
use durward_protocol::{Code, Error, PairingId, base64url_encode, from_json_object, hex_encode};
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
