//! The stanza that says who sealed a file.
//!
//! age recipients prove nothing about the sender: whoever knows a device's public key can seal for it. So the
//! sender signs, and the signature travels in a stanza that `age` passes over. It is encrypted under a key made of
//! the file key: whoever cannot open the file does not learn who sealed it.

use age_core::format::FileKey;
use age_core::secrecy::ExposeSecret as _;
use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use durward_protocol::device::DevicePublic;
use durward_protocol::lp_all;
use ed25519_dalek::{Signature, VerifyingKey};
use zeroize::Zeroizing;

use crate::pump::Digested;
use crate::{DeviceIdentity, Error};

/// The stanza's tag.
pub(crate) const TAG: &str = "durward-sender";
/// The stanza's one argument.
pub(crate) const VERSION: &str = "1";

const KEY_LABEL: &[u8] = b"durward/1 sender stanza";
const SIGNATURE_LABEL: &[u8] = b"durward/1 sealed";
const AEAD_TAG: usize = 16;
/// purpose, key, time, length, hash, number of recipients
const FIXED: usize = 1 + 32 + 8 + 8 + 32 + 2;

/// What something is sealed for. One cannot pass as the other: the signature covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A file, by `durward seal`.
    File,
    /// A message between the daemons of two devices.
    Message,
}

impl Purpose {
    fn byte(self) -> u8 {
        match self {
            Self::File => 1,
            Self::Message => 2,
        }
    }
}

/// What the stanza holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SenderBlock {
    purpose: u8,
    /// The key that signed.
    pub(crate) ed25519: [u8; 32],
    /// Seconds since 1970, as the sender's clock had it.
    pub(crate) sealed_at: u64,
    pub(crate) content: Digested,
    /// X25519 keys it was sealed for.
    recipients: Vec<[u8; 32]>,
    signature: [u8; 64],
}

impl SenderBlock {
    pub(crate) fn sign(
        sender: &DeviceIdentity,
        purpose: Purpose,
        sealed_at: u64,
        content: Digested,
        recipients: Vec<[u8; 32]>,
    ) -> Self {
        let ed25519 = sender.public().ed25519;
        let unsigned =
            Self { purpose: purpose.byte(), ed25519, sealed_at, content, recipients, signature: [0; 64] };
        let signature = sender.sign(&unsigned.statement());
        Self { signature, ..unsigned }
    }

    /// What is signed: everything that must not be exchanged.
    ///
    /// - the content's hash: fellow recipients have the file key, could put other content under it, and every MAC
    ///   of the age format would be right;
    /// - the recipients: else one of them could seal signed content anew for a stranger, who would believe that
    ///   the sender meant him;
    /// - the sender's own key: else somebody could search a second key under which the same signature is good;
    /// - purpose and time: else a file could come back as a message, or an old one as new.
    fn statement(&self) -> Vec<u8> {
        lp_all(&[
            SIGNATURE_LABEL,
            &[self.purpose],
            &self.ed25519,
            &self.sealed_at.to_le_bytes(),
            &self.content.length.to_le_bytes(),
            &self.content.sha256,
            self.recipients.as_flattened(),
        ])
    }

    /// Checks the signature, and that it was made for this use and for one of these keys.
    pub(crate) fn check(&self, purpose: Purpose, own: &[DevicePublic]) -> Result<(), BadBlock> {
        let key = VerifyingKey::from_bytes(&self.ed25519).map_err(|_| BadBlock::Signature)?;
        if key.is_weak() {
            return Err(BadBlock::Signature);
        }
        let signature = Signature::from_bytes(&self.signature);
        key.verify_strict(&self.statement(), &signature).map_err(|_| BadBlock::Signature)?;
        if self.purpose != purpose.byte() {
            return Err(BadBlock::Purpose);
        }
        if !own.iter().any(|own| self.recipients.contains(&own.x25519)) {
            return Err(BadBlock::PassedOn);
        }
        Ok(())
    }

    /// The stanza's body under the file key.
    pub(crate) fn encrypt(&self, key: &FileKey) -> Result<Vec<u8>, Error> {
        let mut plain = Zeroizing::new(Vec::with_capacity(body_length(self.recipients.len())));
        plain.push(self.purpose);
        plain.extend_from_slice(&self.ed25519);
        plain.extend_from_slice(&self.sealed_at.to_le_bytes());
        plain.extend_from_slice(&self.content.length.to_le_bytes());
        plain.extend_from_slice(&self.content.sha256);
        let count = u16::try_from(self.recipients.len()).unwrap_or(u16::MAX);
        plain.extend_from_slice(&count.to_le_bytes());
        plain.extend_from_slice(self.recipients.as_flattened());
        plain.extend_from_slice(&self.signature);
        // The key is made for this one message, so the nonce may be zero, as in age's own stanzas.
        let sealed = cipher(key).encrypt(&[0; 12].into(), plain.as_slice());
        sealed.map_err(|_| Error::Seal("the sender's signature does not fit".into()))
    }

    /// Reads a stanza's body. `None` when it is not one that [`SenderBlock::encrypt`] makes.
    pub(crate) fn decrypt(key: &FileKey, body: &[u8]) -> Option<Self> {
        let plain = Zeroizing::new(cipher(key).decrypt(&[0; 12].into(), body).ok()?);
        let mut rest = plain.as_slice();
        let purpose = take::<1>(&mut rest)?[0];
        let ed25519 = take(&mut rest)?;
        let sealed_at = u64::from_le_bytes(take(&mut rest)?);
        let length = u64::from_le_bytes(take(&mut rest)?);
        let sha256 = take(&mut rest)?;
        let count = usize::from(u16::from_le_bytes(take(&mut rest)?));
        let recipients = (0..count).map(|_| take(&mut rest)).collect::<Option<Vec<_>>>()?;
        let signature = take(&mut rest)?;
        let content = Digested { length, sha256 };
        let block = Self { purpose, ed25519, sealed_at, content, recipients, signature };
        rest.is_empty().then_some(block)
    }
}

/// Why a block is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadBlock {
    Signature,
    Purpose,
    PassedOn,
}

/// Length of an encrypted body for so many recipients.
pub(crate) fn body_length(recipients: usize) -> usize {
    FIXED + 32 * recipients + 64 + AEAD_TAG
}

fn cipher(key: &FileKey) -> ChaCha20Poly1305 {
    // As age derives its header and payload keys, with a label of our own.
    let key = Zeroizing::new(age_core::primitives::hkdf(&[], KEY_LABEL, key.expose_secret()));
    ChaCha20Poly1305::new((&*key).into())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk::<N>()?;
    *rest = others;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::tests::identity;

    fn key(byte: u8) -> FileKey {
        FileKey::new(Box::new([byte; 16]))
    }

    fn block(recipients: Vec<[u8; 32]>) -> SenderBlock {
        let content = Digested { length: 5, sha256: [3; 32] };
        SenderBlock::sign(&identity(1, "alice"), Purpose::File, 1_800_000_000, content, recipients)
    }

    #[test]
    fn a_block_comes_back_and_another_key_opens_nothing() {
        let bob = identity(2, "bob").public();
        for count in [1, 2, 64] {
            let made = block(vec![bob.x25519; count]);
            let body = made.encrypt(&key(1)).unwrap();
            assert_eq!(body.len(), body_length(count));
            let back = SenderBlock::decrypt(&key(1), &body).unwrap();
            assert_eq!(back, made);
            assert_eq!(back.check(Purpose::File, &[bob]), Ok(()));
            assert_eq!(SenderBlock::decrypt(&key(2), &body), None);
            assert_eq!(SenderBlock::decrypt(&key(1), &body[..body.len() - 1]), None);
        }
    }

    #[test]
    fn nothing_in_it_can_be_exchanged() {
        let (bob, carol) = (identity(2, "bob").public(), identity(3, "carol").public());
        let good = block(vec![bob.x25519]);
        let bent = |bend: fn(&mut SenderBlock)| {
            let mut block = good.clone();
            bend(&mut block);
            block.check(Purpose::File, &[bob])
        };
        assert_eq!(bent(|_| ()), Ok(()));
        assert_eq!(bent(|block| block.purpose = 2), Err(BadBlock::Signature));
        assert_eq!(bent(|block| block.sealed_at += 1), Err(BadBlock::Signature));
        assert_eq!(bent(|block| block.content.length += 1), Err(BadBlock::Signature));
        assert_eq!(bent(|block| block.content.sha256[0] ^= 1), Err(BadBlock::Signature));
        assert_eq!(bent(|block| block.recipients.push([9; 32])), Err(BadBlock::Signature));
        assert_eq!(bent(|block| block.recipients.clear()), Err(BadBlock::Signature));
        assert_eq!(bent(|block| block.signature[0] ^= 1), Err(BadBlock::Signature));
        assert_eq!(bent(|block| block.ed25519 = [0; 32]), Err(BadBlock::Signature));
        assert_eq!(
            bent(|block| block.ed25519 = identity(3, "carol").public().ed25519),
            Err(BadBlock::Signature)
        );
        assert_eq!(good.check(Purpose::Message, &[bob]), Err(BadBlock::Purpose));
        assert_eq!(good.check(Purpose::File, &[carol]), Err(BadBlock::PassedOn));
    }
}
