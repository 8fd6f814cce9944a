//! Devices with fixed keys.

use durward_protocol::device::{DeviceId, DeviceName};
use durward_sealing::{Accept, DeviceCard, DeviceIdentity, Opening, Purpose, Sealing};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn device(seed: u64, name: &str) -> DeviceIdentity {
    let mut rng = StdRng::seed_from_u64(seed);
    let id = DeviceId::new(time::OffsetDateTime::UNIX_EPOCH, &mut rng);
    DeviceIdentity::generate(id, DeviceName::parse(name).unwrap(), &mut rng)
}

pub(crate) fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(length as u64).fill_bytes(&mut bytes);
    bytes
}

pub(crate) fn seal(content: &[u8], sender: &DeviceIdentity, to: &[&DeviceIdentity]) -> Vec<u8> {
    let recipients: Vec<_> = to.iter().map(|device| device.public()).collect();
    let how = Sealing { sender, recipients: &recipients, purpose: Purpose::File, now: NOW };
    durward_sealing::seal_small(content, &how).unwrap()
}

/// What `durward open` does by default, in memory.
pub(crate) fn open(
    sealed: &[u8],
    device: &DeviceIdentity,
    known: &[DeviceCard],
) -> Result<(durward_sealing::Opened, Vec<u8>), durward_sealing::Error> {
    open_as(sealed, device, known, Accept::default())
}

pub(crate) fn open_as(
    sealed: &[u8],
    device: &DeviceIdentity,
    known: &[DeviceCard],
    accept: Accept,
) -> Result<(durward_sealing::Opened, Vec<u8>), durward_sealing::Error> {
    let how = Opening { identities: &[device], known, purpose: Purpose::File, accept };
    let (opened, content) = durward_sealing::open_small(sealed, usize::MAX, &how)?;
    Ok((opened, content.to_vec()))
}
