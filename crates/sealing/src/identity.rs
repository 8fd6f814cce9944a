//! The keys of this device.

use std::fmt;

use bech32::{Bech32, Hrp};
use curve25519_dalek::montgomery::MontgomeryPoint;
use durward_protocol::device::{DeviceId, DeviceName, DevicePublic};
use durward_protocol::{SecretBytes, base64url_array, base64url_encode};
use ed25519_dalek::{Signer as _, SigningKey};
use rand_core::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

use crate::DeviceCard;

const SECRET_PREFIX: &str = "age-secret-key-";

/// Both private keys of a device, with its id and name.
///
/// As text it is an identity file of `age`: the X25519 key stands alone on its line and everything else in
/// comments, so `age -d -i keys/local.key` opens what was sealed for this device.
pub struct DeviceIdentity {
    id: DeviceId,
    name: DeviceName,
    x25519: SecretBytes<32>,
    ed25519: SigningKey,
    public: DevicePublic,
}

impl DeviceIdentity {
    /// New keys.
    pub fn generate(id: DeviceId, name: DeviceName, rng: &mut impl CryptoRng) -> Self {
        loop {
            let (mut x25519, mut ed25519) = ([0; 32], [0; 32]);
            rng.fill_bytes(&mut x25519);
            rng.fill_bytes(&mut ed25519);
            let made = Self::from_seeds(id, name.clone(), &x25519, &ed25519);
            x25519.zeroize();
            ed25519.zeroize();
            // Weak keys do not come out of a working generator.
            if let Some(made) = made {
                return made;
            }
        }
    }

    fn from_seeds(id: DeviceId, name: DeviceName, x25519: &[u8; 32], ed25519: &[u8; 32]) -> Option<Self> {
        // RFC 7748 section 5: the public key is the base point times the clamped secret.
        let point = MontgomeryPoint::mul_base_clamped(*x25519);
        let signing = SigningKey::from_bytes(ed25519);
        let public = DevicePublic::new(point.to_bytes(), signing.verifying_key().to_bytes()).ok()?;
        Some(Self { id, name, x25519: SecretBytes::new(*x25519), ed25519: signing, public })
    }

    /// The device's id. It stays when keys are changed.
    pub fn id(&self) -> DeviceId {
        self.id
    }

    /// The device's name, as its owner chose it.
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// The public halves.
    pub fn public(&self) -> DevicePublic {
        self.public
    }

    /// What other devices are told.
    pub fn card(&self) -> DeviceCard {
        DeviceCard { id: self.id, name: self.name.clone(), public: self.public }
    }

    /// The same keys under another name.
    #[must_use]
    pub fn renamed(&self, name: DeviceName) -> Self {
        Self {
            id: self.id,
            name,
            x25519: self.x25519.duplicate(),
            ed25519: self.ed25519.clone(),
            public: self.public,
        }
    }

    /// New keys for the same device.
    #[must_use]
    pub fn rotated(&self, rng: &mut impl CryptoRng) -> Self {
        Self::generate(self.id, self.name.clone(), rng)
    }

    /// Signs with the Ed25519 key (RFC 8032). `message` must begin with a label that says what it is.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.ed25519.sign(message).to_bytes()
    }

    /// The X25519 key as the age library takes it.
    pub(crate) fn age(&self) -> Option<age::x25519::Identity> {
        self.age_text().parse().ok()
    }

    /// The content of `keys/local.key`. Do not show, log or send it.
    pub fn expose_text(&self) -> Zeroizing<String> {
        let ed25519 = Zeroizing::new(self.ed25519.to_bytes());
        let secret = Zeroizing::new(base64url_encode(ed25519.as_slice()));
        Zeroizing::new(format!(
            "# The private keys of this Durward device. NEVER share this file.\n# name: {}\n# device: {}\n# \
             fingerprint: {}\n# ed25519 secret: {}\n{}\n",
            self.name,
            self.id,
            self.public.fingerprint(),
            secret.as_str(),
            self.age_text().as_str(),
        ))
    }

    /// Reads [`DeviceIdentity::expose_text`] back; on failure says what is missing, never what was there.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let field = |name| crate::card::comment(text, name);
        let id = field("device").and_then(|id| id.parse().ok()).ok_or("it has no good `# device:` line")?;
        let name = field("name").and_then(|name| DeviceName::parse(name).ok());
        let name = name.ok_or("it has no good `# name:` line")?;
        let ed25519 = field("ed25519 secret").and_then(|key| base64url_array::<32>(key).ok());
        let ed25519 = Zeroizing::new(ed25519.ok_or("it has no good `# ed25519 secret:` line")?);
        let x25519 = crate::card::key_line(text).and_then(decode_secret);
        let x25519 = x25519.ok_or("it has not exactly one good line AGE-SECRET-KEY-1…")?;
        Self::from_seeds(id, name, &x25519, &ed25519).ok_or("its keys are weak")
    }

    /// Bech32 in capitals, as `age-keygen` writes it.
    fn age_text(&self) -> Zeroizing<String> {
        let encode = |hrp| bech32::encode_upper::<Bech32>(hrp, self.x25519.expose_bytes()).ok();
        Zeroizing::new(Hrp::parse(SECRET_PREFIX).ok().and_then(encode).unwrap_or_default())
    }
}

fn decode_secret(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let (hrp, bytes) = bech32::decode(text).ok()?;
    let bytes = Zeroizing::new(bytes);
    let right = hrp.to_lowercase() == SECRET_PREFIX && text.starts_with("AGE-SECRET-KEY-1");
    let key: [u8; 32] = bytes.as_slice().try_into().ok()?;
    right.then(|| Zeroizing::new(key))
}

impl fmt::Debug for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("DeviceIdentity");
        shown.field("id", &self.id).field("name", &self.name).field("public", &self.public);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::tests::{identity, seeded};

    #[test]
    fn it_comes_back_from_its_text_and_debug_says_nothing() {
        let made = identity(1, "laptop");
        let text = made.expose_text();
        let back = DeviceIdentity::parse(&text).unwrap();
        assert_eq!((back.card(), back.expose_text()), (made.card(), text.clone()));
        let secret = crate::card::key_line(&text).unwrap();
        assert!(secret.starts_with("AGE-SECRET-KEY-1"));
        assert!(!format!("{made:?}").contains(secret));
        assert!(made.age().is_some());
    }

    #[test]
    fn the_public_key_is_the_one_that_age_derives() {
        let made = identity(2, "laptop");
        let derived = made.age().unwrap().to_public().to_string();
        assert_eq!(made.card().age_recipient(), derived);
    }

    #[test]
    fn damaged_files_are_refused_without_a_key_in_the_error() {
        let text = identity(1, "laptop").expose_text();
        for (from, to) in [
            ("# device: 0", "# device: x"),
            ("# name: laptop", "# name: a/b"),
            ("# ed25519 secret: ", "# ed25519 secret: A"),
            ("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-2"),
            ("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1AGE-SECRET-KEY-1"),
        ] {
            let bad = text.replace(from, to);
            assert_ne!(bad, *text, "{from}");
            assert!(DeviceIdentity::parse(&bad).is_err(), "{from}");
        }
        assert!(DeviceIdentity::parse("").is_err());
    }

    #[test]
    fn rotation_changes_both_keys_and_keeps_the_id() {
        let old = identity(1, "laptop");
        let new = old.rotated(&mut seeded(9));
        assert_eq!((new.id(), new.name()), (old.id(), old.name()));
        assert_ne!(new.public().x25519, old.public().x25519);
        assert_ne!(new.public().ed25519, old.public().ed25519);
    }

    #[test]
    fn signatures_verify_for_this_device_alone() {
        let (one, other) = (identity(1, "one"), identity(2, "other"));
        let signature = one.sign(b"label: message");
        assert!(one.public().verify(b"label: message", &signature).is_ok());
        assert!(one.public().verify(b"label: massage", &signature).is_err());
        assert!(other.public().verify(b"label: message", &signature).is_err());
    }
}
