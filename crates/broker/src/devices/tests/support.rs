//! Keys that seal for real enough, and devices that know each other.

use durward_protocol::device::{DeviceId, DeviceKeys, DeviceName, DevicePublic, Hello};
use durward_protocol::{ApproverKey, Error, PairingId, SecretBytes, base64url_array, lp_all};
use ed25519_dalek::{Signer as _, SigningKey};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::devices::{DeviceSnapshot, Devices, Limits, This};

pub(super) fn seeded(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

pub(super) fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_700_000_000 + seconds).unwrap()
}

/// Signs for real; "seals" by naming the one key that opens.
pub(super) struct TestKeys {
    signing: SigningKey,
    public: DevicePublic,
}

impl TestKeys {
    pub(super) fn new(n: u8) -> Self {
        let signing = SigningKey::from_bytes(&[n; 32]);
        let id = ApproverKey::from_seed(&SecretBytes::new([n; 32])).id().clone();
        let ed25519 = base64url_array(id.as_str()).unwrap();
        let mut x25519 = [0x40; 32];
        x25519[0] = n;
        Self { signing, public: DevicePublic::new(x25519, ed25519).unwrap() }
    }
}

impl DeviceKeys for TestKeys {
    fn public(&self) -> DevicePublic {
        self.public
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    fn seal(&self, to: &DevicePublic, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.sign(&lp_all(&[&to.x25519, plaintext]));
        Ok([to.x25519.as_slice(), &signature, plaintext].concat())
    }

    fn open(&self, from: &DevicePublic, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (to, rest) = sealed.split_first_chunk::<32>().ok_or(Error::BadEnvelope)?;
        let (signature, plain) = rest.split_first_chunk::<64>().ok_or(Error::BadEnvelope)?;
        if *to != self.public.x25519 {
            return Err(Error::BadEnvelope);
        }
        from.verify(&lp_all(&[to, plain]), signature)?;
        Ok(Zeroizing::new(plain.to_vec()))
    }
}

pub(super) fn id(n: u8) -> DeviceId {
    DeviceId::from_bytes([n, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, n]).unwrap()
}

pub(super) fn name(text: &str) -> DeviceName {
    DeviceName::parse(text).unwrap()
}

pub(super) fn hello(n: u8) -> Hello {
    Hello { device_id: id(n), name: name(&format!("device {n}")), keys: TestKeys::new(n).public() }
}

pub(super) fn this(n: u8) -> This {
    let Hello { device_id, name, keys } = hello(n);
    This { id: device_id, name, keys }
}

pub(super) fn alone(n: u8, limits: Limits) -> Devices {
    Devices::restore(this(n), DeviceSnapshot::default(), limits)
}

/// Device `n`, paired with `others`, and what that wrote.
pub(super) fn paired(n: u8, others: &[u8], limits: Limits) -> Devices {
    let mut devices = alone(n, limits);
    for other in others {
        let stream = PairingId::from_bytes([n.min(*other) * 16 + n.max(*other); 16]);
        devices.pair(&hello(*other), stream, at(0), &mut seeded(u64::from(n))).unwrap();
    }
    devices
}
