//! Each example of the specification, field for field and text for text.

use serde_json::{Value, json};
use time::macros::datetime;

use super::memory::*;
use crate::accounts::*;

fn shown<T: serde::Serialize>(reply: T) -> Value {
    serde_json::to_value(reply).unwrap()
}

fn glasses() -> DeviceKeyRecord {
    DeviceKeyRecord {
        device_id: "dev_glasses_envision_20260115".parse().unwrap(),
        user_id: "alan".parse().unwrap(),
        api_key_hash: KeyHash::from_bytes([1; 32]),
        api_key_prefix: "memorable_ar_glasses_abcd".to_owned(),
        device: Device {
            kind: DeviceType::ArGlasses,
            name: "Alan's EnvisionX".parse().unwrap(),
            fingerprint: None,
        },
        issued_at: datetime!(2026-01-15 10:00 UTC),
        last_used: Some(datetime!(2026-01-18 14:30 UTC)),
        expires_at: None,
        revoked_at: None,
        previous_key_hash: None,
        previous_valid_until: None,
        legacy: false,
    }
}

#[test]
fn knock_answers_with_a_challenge() {
    let mut world = World::new();
    for kind in DeviceType::ALL {
        let device =
            json!({ "type": kind, "name": "Human-readable name", "fingerprint": "device-unique-id" });
        let mut reply = shown(world.knock(HOME, &json!({ "device": device })).unwrap());
        let challenge = reply["challenge"].take();
        assert!(challenge.as_str().unwrap().starts_with("nonce_"));
        assert_eq!(
            reply,
            json!({
                "challenge": null,
                "expires_in": 300,
                "message": "Provide your passphrase within 5 minutes"
            })
        );
    }
}

#[test]
fn exchange_succeeds_as_documented() {
    let mut world = World::new();
    let challenge = world.challenge(&mac());
    let issued = world.exchange(&World::caller(HOME, None), &body(&challenge, &mac(), PHRASE)).unwrap();
    let key = issued.reply.api_key.expose_key().to_owned();
    let mut reply = shown(issued.reply);
    assert_eq!(reply["api_key"].take(), json!(key));
    assert_eq!(
        reply,
        json!({
            "success": true,
            "api_key": null,
            "device_id": "dev_terminal_osx-Mac.lan_20260119",
            "user": "alan",
            "issued_at": "2026-01-19T07:10:00Z",
            "expires_at": null,
            "revoke_endpoint": "/auth/revoke/dev_terminal_osx-Mac.lan_20260119"
        })
    );
    assert_eq!(key.len(), "memorable_terminal_".len() + 32);
    let record = world.find(&key).unwrap();
    assert_eq!(record.api_key_prefix, key[.."memorable_terminal_".len() + 4]);
    assert!(record.api_key_hash.to_string().starts_with("sha256$"));
    assert!(world.works(&key));
    assert_eq!(
        forward_auth_headers(record),
        [
            ("Remote-User", "alan"),
            ("Remote-Device", "dev_terminal_osx-Mac.lan_20260119"),
            ("Remote-Device-Type", "terminal")
        ]
    );
}

#[test]
fn exchange_fails_as_documented() {
    let mut world = World::new();
    let challenge = world.challenge(&mac());
    let refusal = world.exchange(&World::caller(HOME, None), &body(&challenge, &mac(), "wrong")).unwrap_err();
    assert_eq!(refusal.status(), 401);
    assert_eq!(
        shown(refusal),
        json!({
            "success": false,
            "error": "invalid_passphrase",
            "message": "Passphrase not recognized",
            "attempts_remaining": 2
        })
    );
}

#[test]
fn the_spoken_phrase_opens_too() {
    let mut world = World::new();
    let device = json!({ "type": "ar_glasses", "name": "Alan's EnvisionX" });
    let challenge = world.challenge(&device);
    let spoken = "I remember what I have learned from you";
    let issued = world.exchange(&World::caller(HOME, None), &body(&challenge, &device, spoken)).unwrap();
    assert_eq!(issued.reply.device_id.as_str(), "dev_ar_glasses_Alan-s-EnvisionX_20260119");
}

#[test]
fn the_bootstrap_of_the_documentation_works() {
    // The body as the documentation's shell script sends it, without fingerprint.
    let mut world = World::new();
    let knock = json!({ "device": { "type": "terminal", "name": "Claude Code" } });
    let challenge = world.knock(HOME, &knock).unwrap().challenge;
    let text = format!(
        "{{\"challenge\":\"{challenge}\",\"passphrase\":\"I remember what I have learned from you.\",\
         \"device\":{{\"type\":\"terminal\",\"name\":\"Claude Code\"}}}}"
    );
    let parsed: Value = serde_json::from_str(&text).unwrap();
    let issued = world.exchange(&World::caller(HOME, None), &parsed).unwrap();
    assert_eq!(issued.reply.device_id.as_str(), "dev_terminal_Claude-Code_20260119");
    assert!(world.works(issued.reply.api_key.expose_key()));
}

#[test]
fn devices_are_listed_as_documented() {
    let mut world = World::new();
    world.keys.push(glasses());
    let challenge = world.challenge(&mac());
    world.exchange(&World::caller(HOME, None), &body(&challenge, &mac(), PHRASE)).unwrap();
    world.keys[1].last_used = Some(datetime!(2026-01-19 07:15 UTC));
    let revoked = DeviceKeyRecord {
        device_id: "dev_ring_oura_20260110".parse().unwrap(),
        revoked_at: Some(world.now),
        ..glasses()
    };
    world.keys.push(revoked);
    let list = shown(device_list(&"alan".parse().unwrap(), &world.keys, world.now));
    assert_eq!(
        list,
        json!({
            "user": "alan",
            "devices": [
                {
                    "device_id": "dev_terminal_osx-Mac.lan_20260119",
                    "type": "terminal",
                    "name": "MacBook Terminal",
                    "issued_at": "2026-01-19T07:10:00Z",
                    "last_used": "2026-01-19T07:15:00Z",
                    "active": true
                },
                {
                    "device_id": "dev_glasses_envision_20260115",
                    "type": "ar_glasses",
                    "name": "Alan's EnvisionX",
                    "issued_at": "2026-01-15T10:00:00Z",
                    "last_used": "2026-01-18T14:30:00Z",
                    "active": true
                }
            ]
        })
    );
}

#[test]
fn revoking_answers_as_documented_and_only_once() {
    let mut world = World::new();
    world.keys.push(glasses());
    let request: RevokeRequest = parse_body(br#"{"device_id": "dev_glasses_envision_20260115"}"#).unwrap();
    let alan: UserId = "alan".parse().unwrap();
    let decision = revoke(&alan, world.by_id(&request.device_id), None, world.now);
    assert_eq!(
        shown(world.commit(decision).unwrap().unwrap()),
        json!({
            "success": true,
            "revoked": "dev_glasses_envision_20260115",
            "message": "Device key revoked. Device must re-authenticate with passphrase."
        })
    );
    assert!(!world.keys[0].is_live(world.now));
    let again = revoke(&alan, world.by_id(&request.device_id), None, world.now).outcome;
    assert_eq!(again.unwrap_err().error, ApiError::UnknownDevice);
}

#[test]
fn changing_answers_as_documented() {
    let mut world = World::new();
    let challenge = world.challenge(&mac());
    let caller = World::caller(HOME, Some("alan"));
    let issued = world.exchange(&caller, &body(&challenge, &mac(), PHRASE)).unwrap();
    let request = json!({
        "current_passphrase": "I remember what I have learned from you.",
        "new_passphrase": "The forest remembers every footstep.",
        "revoke_all_devices": false
    });
    assert_eq!(
        shown(world.change(&caller, &request).unwrap()),
        json!({
            "success": true,
            "message": "Passphrase changed. Existing device keys remain valid.",
            "tip": "Set revoke_all_devices:true to force all devices to re-authenticate"
        })
    );
    assert!(world.works(issued.reply.api_key.expose_key()));
    let challenge = world.challenge(&mac());
    assert!(world.exchange(&caller, &body(&challenge, &mac(), PHRASE)).is_err(), "the old phrase is gone");
}

#[test]
fn changing_with_revocation_kills_every_key() {
    let mut world = World::new();
    let challenge = world.challenge(&mac());
    let caller = World::caller(HOME, Some("alan"));
    let issued = world.exchange(&caller, &body(&challenge, &mac(), PHRASE)).unwrap();
    let request = json!({
        "current_passphrase": PHRASE,
        "new_passphrase": "The forest remembers every footstep.",
        "revoke_all_devices": true
    });
    assert_eq!(
        shown(world.change(&caller, &request).unwrap()),
        json!({ "success": true, "message": "Passphrase changed. All device keys revoked." })
    );
    assert!(!world.works(issued.reply.api_key.expose_key()));
}
