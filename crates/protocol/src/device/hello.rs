//! How a device introduces itself inside a pairing's channel, and the signed texts between peers.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::wire::{DeviceCall, DeviceCallAnswer};
use super::{DeviceChannel, DeviceId, DeviceName, DevicePublic};
use crate::encoding::{base64url_array, base64url_encode, from_json_object, lp_all};
use crate::pake::Side;
use crate::{Error, Nonce};

/// Longest name taken from a peer before it is made safe, in bytes.
const MAX_CLAIMED_NAME: usize = 2_048;

/// What a device can do with its secret keys. Implemented where the keys lie.
pub trait DeviceKeys: Send + Sync {
    /// The public halves.
    fn public(&self) -> DevicePublic;
    /// Signs (RFC 8032).
    fn sign(&self, message: &[u8]) -> [u8; 64];
    /// Seals a small payload for `to`, signed by this device.
    fn seal(&self, to: &DevicePublic, plaintext: &[u8]) -> Result<Vec<u8>, Error>;
    /// Opens what `from` sealed for this device; anybody else's signature is an error.
    fn open(&self, from: &DevicePublic, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error>;
}

/// A device as its signed hello shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its id.
    pub device_id: DeviceId,
    /// Its name, made safe.
    pub name: DeviceName,
    /// Its keys.
    pub keys: DevicePublic,
}

#[derive(Serialize, Deserialize)]
struct Plain {
    #[serde(rename = "type")]
    kind: String,
    device_id: DeviceId,
    name: String,
    x25519: String,
    ed25519: String,
    signature: String,
}

/// What a hello's signature covers. The side and the transcript are in it: a hello of one pairing is worth nothing in
/// another, and one cannot be sent back.
fn signed_bytes(side: Side, transcript: &[u8; 32], plain: &Plain) -> Vec<u8> {
    lp_all(&[
        b"durward/1 device hello",
        side.letter().as_bytes(),
        transcript,
        plain.device_id.to_string().as_bytes(),
        plain.name.as_bytes(),
        plain.x25519.as_bytes(),
        plain.ed25519.as_bytes(),
    ])
}

/// This device's hello, signed and sealed for the other end.
pub fn seal_hello(
    channel: &DeviceChannel,
    device_id: DeviceId,
    name: &str,
    keys: &dyn DeviceKeys,
    rng: &mut impl CryptoRng,
) -> Result<String, Error> {
    let public = keys.public();
    let mut plain = Plain {
        kind: "device.hello".into(),
        device_id,
        name: name.into(),
        x25519: base64url_encode(&public.x25519),
        ed25519: base64url_encode(&public.ed25519),
        signature: String::new(),
    };
    let signed = signed_bytes(channel.side(), channel.transcript().as_bytes(), &plain);
    plain.signature = base64url_encode(&keys.sign(&signed));
    let json = serde_json::to_vec(&plain).map_err(|_| Error::InvalidMessage)?;
    channel.seal(&json, rng)
}

/// Opens the other end's hello and checks that it holds the signing key it names.
pub fn open_hello(channel: &DeviceChannel, envelope: &str) -> Result<Hello, Error> {
    let opened = channel.open(envelope)?;
    let plain: Plain = from_json_object(&opened)?;
    if plain.kind != "device.hello" {
        return Err(Error::WrongType);
    }
    if plain.name.len() > MAX_CLAIMED_NAME {
        return Err(Error::InvalidDeviceName);
    }
    let keys = DevicePublic::new(base64url_array(&plain.x25519)?, base64url_array(&plain.ed25519)?)?;
    let signed = signed_bytes(channel.side().other(), channel.transcript().as_bytes(), &plain);
    keys.verify(&signed, &base64url_array(&plain.signature)?)?;
    Ok(Hello { device_id: plain.device_id, name: DeviceName::made_safe(&plain.name), keys })
}

/// The displayer's owner's answer, sealed.
pub fn seal_verdict(
    channel: &DeviceChannel,
    accepted: bool,
    rng: &mut impl CryptoRng,
) -> Result<String, Error> {
    let json: &[u8] =
        if accepted { br#"{"type":"device.accepted"}"# } else { br#"{"type":"device.rejected"}"# };
    channel.seal(json, rng)
}

/// Opens it. `true`: accepted.
pub fn open_verdict(channel: &DeviceChannel, envelope: &str) -> Result<bool, Error> {
    match word(channel, envelope)?.as_str() {
        "device.accepted" => Ok(true),
        "device.rejected" => Ok(false),
        _ => Err(Error::WrongType),
    }
}

/// The enterer gives the pairing up, sealed.
pub fn seal_cancel(channel: &DeviceChannel, rng: &mut impl CryptoRng) -> Result<String, Error> {
    channel.seal(br#"{"type":"device.cancelled"}"#, rng)
}

/// Checks that the other end gives the pairing up: without the seal anybody on the way could end it.
pub fn open_cancel(channel: &DeviceChannel, envelope: &str) -> Result<(), Error> {
    if word(channel, envelope)? == "device.cancelled" { Ok(()) } else { Err(Error::WrongType) }
}

fn word(channel: &DeviceChannel, envelope: &str) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Word {
        #[serde(rename = "type")]
        kind: String,
    }
    let opened = channel.open(envelope)?;
    Ok(from_json_object::<Word>(&opened)?.kind)
}

/// What signs a call between peers: method, path, both ends, nonce and the hash of the body.
fn call_bytes(path: &str, from: DeviceId, to: DeviceId, nonce: &Nonce, body: &str) -> Vec<u8> {
    lp_all(&[
        b"durward/1 device call",
        b"POST",
        path.as_bytes(),
        from.to_string().as_bytes(),
        to.to_string().as_bytes(),
        nonce.as_bytes(),
        &Sha256::digest(body.as_bytes()),
    ])
}

/// What signs an answer: the call it answers is in it, so an older answer is none.
fn answer_bytes(path: &str, call: &DeviceCall, body: &str) -> Vec<u8> {
    lp_all(&[
        b"durward/1 device answer",
        path.as_bytes(),
        call.from.to_string().as_bytes(),
        call.to.to_string().as_bytes(),
        call.nonce.as_bytes(),
        &Sha256::digest(call.body.as_bytes()),
        &Sha256::digest(body.as_bytes()),
    ])
}

/// Makes a signed call.
pub fn sign_call(
    path: &str,
    from: DeviceId,
    to: DeviceId,
    body: String,
    keys: &dyn DeviceKeys,
    rng: &mut impl CryptoRng,
) -> DeviceCall {
    let nonce = Nonce::random(rng);
    let signature = base64url_encode(&keys.sign(&call_bytes(path, from, to, &nonce, &body)));
    DeviceCall { from, to, nonce, body, signature }
}

/// Checks that `peer` made the call, for this path.
pub fn verify_call(path: &str, call: &DeviceCall, peer: &DevicePublic) -> Result<(), Error> {
    let signature = base64url_array(&call.signature).map_err(|_| Error::BadSignature)?;
    peer.verify(&call_bytes(path, call.from, call.to, &call.nonce, &call.body), &signature)
}

/// Makes a signed answer.
pub fn sign_answer(path: &str, call: &DeviceCall, body: String, keys: &dyn DeviceKeys) -> DeviceCallAnswer {
    let signature = base64url_encode(&keys.sign(&answer_bytes(path, call, &body)));
    DeviceCallAnswer { body, signature }
}

/// Checks that `peer` gave the answer, to this call.
pub fn verify_answer(
    path: &str,
    call: &DeviceCall,
    answer: &DeviceCallAnswer,
    peer: &DevicePublic,
) -> Result<(), Error> {
    let signature = base64url_array(&answer.signature).map_err(|_| Error::BadSignature)?;
    peer.verify(&answer_bytes(path, call, &answer.body), &signature)
}
