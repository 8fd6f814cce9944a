//! Messages between the daemons of two devices: what the protocol asks of a device's keys.

use durward_protocol::device::{DeviceKeys, DevicePublic};
use zeroize::Zeroizing;

use crate::{Accept, DeviceIdentity, Opening, Purpose, Sealing, Sender, open_small, seal_small};

/// Longest message that is opened.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

impl DeviceKeys for DeviceIdentity {
    fn public(&self) -> DevicePublic {
        self.public()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.sign(message)
    }

    /// Without a time: messages carry their own, and a number against repetition.
    fn seal(&self, to: &DevicePublic, plaintext: &[u8]) -> Result<Vec<u8>, durward_protocol::Error> {
        if plaintext.len() > MAX_MESSAGE_BYTES {
            return Err(durward_protocol::Error::TooLarge);
        }
        let how =
            Sealing { sender: self, recipients: std::slice::from_ref(to), purpose: Purpose::Message, now: 0 };
        seal_small(plaintext, &how).map_err(|_| durward_protocol::Error::BadEnvelope)
    }

    fn open(
        &self,
        from: &DevicePublic,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, durward_protocol::Error> {
        let how = Opening {
            identities: &[self],
            known: &[],
            purpose: Purpose::Message,
            // Who it is, is compared below.
            accept: Accept { strangers: true, unsigned: false },
        };
        match open_small(sealed, MAX_MESSAGE_BYTES, &how) {
            Ok((opened, content)) if opened.sender == Sender::Stranger(from.ed25519) => Ok(content),
            Err(crate::Error::TooLarge { .. }) => Err(durward_protocol::Error::TooLarge),
            Err(crate::Error::NotSealed | crate::Error::NotForUs | crate::Error::Damaged) => {
                Err(durward_protocol::Error::BadEnvelope)
            }
            _ => Err(durward_protocol::Error::BadSignature),
        }
    }
}

#[cfg(test)]
mod tests {
    use durward_protocol::Error;

    use super::*;
    use crate::card::tests::identity;

    #[test]
    fn a_message_opens_for_its_receiver_from_its_sender_alone() {
        let (alice, bob, carol) = (identity(1, "alice"), identity(2, "bob"), identity(3, "carol"));
        let keys: &dyn DeviceKeys = &alice;
        for text in [&b""[..], b"hello", &vec![7; 70_000]] {
            let sealed = keys.seal(&bob.public(), text).unwrap();
            assert_eq!(bob.open(&alice.public(), &sealed).unwrap().as_slice(), text);
            assert_eq!(bob.open(&carol.public(), &sealed), Err(Error::BadSignature));
            assert_eq!(carol.open(&alice.public(), &sealed), Err(Error::BadEnvelope));
        }
        assert_eq!(keys.seal(&bob.public(), &vec![0; MAX_MESSAGE_BYTES + 1]), Err(Error::TooLarge));
        assert_eq!(bob.open(&alice.public(), b"nonsense"), Err(Error::BadEnvelope));
    }

    #[test]
    fn a_file_is_no_message() {
        let (alice, bob) = (identity(1, "alice"), identity(2, "bob"));
        let how = Sealing { sender: &alice, recipients: &[bob.public()], purpose: Purpose::File, now: 1 };
        let sealed = seal_small(b"x", &how).unwrap();
        assert_eq!(bob.open(&alice.public(), &sealed), Err(Error::BadSignature));
    }
}
