//! Opening.

use std::cell::RefCell;
use std::io::{Read, Write};

use age::{DecryptError, Decryptor};
use age_core::format::{FileKey, Stanza};
use durward_protocol::device::DevicePublic;
use durward_protocol::hex_encode;
use zeroize::Zeroizing;

use crate::input::{prepare, unreadable};
use crate::pump::pump;
use crate::seal::duplicate;
use crate::sender::{BadBlock, SenderBlock, TAG, VERSION};
use crate::{DeviceCard, DeviceIdentity, Error, Purpose};

/// With which keys, and whom to believe.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// This device's keys; several when some were retired.
    pub identities: &'a [&'a DeviceIdentity],
    /// Paired devices, and this one.
    pub known: &'a [DeviceCard],
    /// What it should be.
    pub purpose: Purpose,
    /// What is taken besides.
    pub accept: Accept,
}

/// What is opened although no paired device vouches for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    /// Files that an unknown key signed.
    pub strangers: bool,
    /// Files that nobody signed, such as those of `age -r`.
    pub unsigned: bool,
}

/// Who sealed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A device that is known.
    Known(DeviceCard),
    /// A key that is not; the whole Ed25519 key.
    Stranger([u8; 32]),
    /// Nobody signed.
    Unsigned,
}

/// What was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who sealed it.
    pub sender: Sender,
    /// When, in seconds since 1970, by the sender's clock; absent when nobody signed.
    pub sealed_at: Option<u64>,
    /// Length of the content.
    pub length: u64,
}

/// Opens a sealed file of any size.
///
/// What `output` got counts only when this returns `Ok`: the signature covers the whole content, and is checked
/// against it at the end. See [`crate::open_to_path`]. Who sealed it, for what and for whom is checked before the
/// first byte is written.
pub fn open(input: impl Read, mut output: impl Write, how: &Opening<'_>) -> Result<Opened, Error> {
    let decryptor = Decryptor::new_buffered(prepare(input)?).map_err(explain)?;
    if decryptor.is_scrypt() {
        return Err(Error::Password);
    }
    let key = Keyhole::new(how.identities);
    // The header's MAC is checked in here, so that from now on its stanzas are those of the sealer.
    let content = decryptor.decrypt(std::iter::once(&key as &dyn age::Identity)).map_err(explain)?;
    let block = key.sender()?;
    let sender = believe(block.as_ref(), how)?;
    let seen = pump(content, unreadable, |bytes| output.write_all(bytes).map_err(Error::Write))?;
    if block.as_ref().is_some_and(|block| block.content != seen) {
        return Err(Error::BadSignature);
    }
    output.flush().map_err(Error::Write)?;
    Ok(Opened { sender, sealed_at: block.map(|block| block.sealed_at), length: seen.length })
}

/// Opens at most `most` bytes in memory.
pub fn open_small(
    sealed: &[u8],
    most: usize,
    how: &Opening<'_>,
) -> Result<(Opened, Zeroizing<Vec<u8>>), Error> {
    // Content is shorter than its file, so the buffer never grows: no copy is left behind unwiped.
    let mut content = Small(Zeroizing::new(Vec::with_capacity(sealed.len().min(most))), most);
    match open(sealed, &mut content, how) {
        Ok(opened) => Ok((opened, content.0)),
        Err(Error::Write(_)) => Err(Error::TooLarge { most }),
        Err(error) => Err(error),
    }
}

fn believe(block: Option<&SenderBlock>, how: &Opening<'_>) -> Result<Sender, Error> {
    let Some(block) = block else {
        return if how.accept.unsigned { Ok(Sender::Unsigned) } else { Err(Error::Unsigned) };
    };
    let known = how.known.iter().find(|card| card.public.ed25519 == block.ed25519);
    let own: Vec<DevicePublic> = how.identities.iter().map(|identity| identity.public()).collect();
    block.check(how.purpose, &own).map_err(|bad| match bad {
        BadBlock::Signature => Error::BadSignature,
        BadBlock::Purpose => Error::WrongPurpose,
        BadBlock::PassedOn => {
            let stranger = || format!("The key {}", short(&block.ed25519));
            Error::PassedOn { sender: known.map_or_else(stranger, |card| card.name.to_string()) }
        }
    })?;
    match known {
        Some(card) => Ok(Sender::Known(card.clone())),
        None if how.accept.strangers => Ok(Sender::Stranger(block.ed25519)),
        None => Err(Error::Stranger { key: short(&block.ed25519) }),
    }
}

/// First and last eight hex digits.
fn short(key: &[u8; 32]) -> String {
    let hex = hex_encode(key);
    format!("{}...{}", hex.get(..8).unwrap_or_default(), hex.get(56..).unwrap_or_default())
}

fn explain(error: DecryptError) -> Error {
    match error {
        DecryptError::NoMatchingKeys => Error::NotForUs,
        DecryptError::UnknownFormat => Error::UnknownVersion,
        DecryptError::Io(error) => unreadable(error),
        _ => Error::Damaged,
    }
}

/// An identity of the age library that tries each of ours and keeps the sender's stanza.
struct Keyhole {
    identities: Vec<age::x25519::Identity>,
    found: RefCell<Found>,
}

#[derive(Default)]
struct Found {
    key: Option<FileKey>,
    senders: Vec<(Vec<String>, Vec<u8>)>,
}

impl Keyhole {
    fn new(identities: &[&DeviceIdentity]) -> Self {
        let identities = identities.iter().filter_map(|identity| identity.age()).collect();
        Self { identities, found: RefCell::default() }
    }

    /// The sender's block, if there is a stanza. One that cannot be read, or two, are no accident.
    fn sender(&self) -> Result<Option<SenderBlock>, Error> {
        let found = self.found.borrow();
        match (&found.key, found.senders.as_slice()) {
            (_, []) => Ok(None),
            (_, [(version, _)]) if version != &[VERSION] => Err(Error::UnknownVersion),
            (Some(key), [(_, body)]) => SenderBlock::decrypt(key, body).map(Some).ok_or(Error::BadSignature),
            _ => Err(Error::BadSignature),
        }
    }
}

impl age::Identity for Keyhole {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.identities.iter().find_map(|identity| identity.unwrap_stanza(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let key = stanzas.iter().find_map(|stanza| self.unwrap_stanza(stanza))?;
        let mut found = self.found.borrow_mut();
        found.key = key.as_ref().ok().map(duplicate);
        let ours = stanzas.iter().filter(|stanza| stanza.tag == TAG);
        found.senders = ours.map(|stanza| (stanza.args.clone(), stanza.body.clone())).collect();
        Some(key)
    }
}

/// A buffer with a bound.
struct Small(Zeroizing<Vec<u8>>, usize);

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > self.1 {
            return Err(std::io::Error::other("too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
