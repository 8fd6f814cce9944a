//! What outsiders, strangers and fellow recipients try.

use std::collections::HashSet;
use std::io::Write as _;

use age::{EncryptError, Encryptor, Recipient};
use age_core::format::{FileKey, Stanza};
use durward_sealing::{Accept, DeviceIdentity, Error, Opening, Purpose, Sender};
use proptest::prelude::*;

use crate::support::{NOW, bytes, device, open, open_as, seal};

fn people() -> (DeviceIdentity, DeviceIdentity, DeviceIdentity) {
    (device(1, "alice"), device(2, "bob"), device(3, "carol"))
}

#[test]
fn the_sender_is_named_and_every_recipient_opens() {
    let (alice, bob, carol) = people();
    for size in [0, 1, 65_536, 1_000_000] {
        let sealed = seal(&bytes(size), &alice, &[&bob, &carol]);
        for opener in [&bob, &carol] {
            let (opened, content) = open(&sealed, opener, &[carol.card(), alice.card()]).unwrap();
            assert_eq!(opened.sender, Sender::Known(alice.card()));
            assert_eq!((opened.sealed_at, opened.length), (Some(NOW), size as u64));
            assert!(content == bytes(size));
        }
        assert!(matches!(open(&sealed, &alice, &[]), Err(Error::NotForUs)), "not even the sender");
    }
}

#[test]
fn strangers_are_refused_unless_told() {
    let (alice, bob, carol) = people();
    let sealed = seal(b"x", &alice, &[&bob]);
    match open(&sealed, &bob, &[carol.card()]) {
        Err(Error::Stranger { key }) => assert!(alice.public().ed25519_hex().starts_with(&key[..8])),
        other => panic!("{other:?}"),
    }
    let allowed = Accept { strangers: true, unsigned: false };
    let (opened, _) = open_as(&sealed, &bob, &[carol.card()], allowed).unwrap();
    assert_eq!(opened.sender, Sender::Stranger(alice.public().ed25519));
}

#[test]
fn retired_keys_still_open() {
    let (alice, bob, _) = people();
    let sealed = seal(b"old", &alice, &[&bob]);
    let new = bob.rotated(&mut rand::rng());
    assert!(matches!(open(&sealed, &new, &[alice.card()]), Err(Error::NotForUs)));
    let how = Opening {
        identities: &[&new, &bob],
        known: &[alice.card()],
        purpose: Purpose::File,
        accept: Accept::default(),
    };
    assert_eq!(durward_sealing::open_small(&sealed, 9, &how).unwrap().1.as_slice(), b"old");
}

/// What somebody makes who took the file key and the sender's stanza out of a file that was sealed for him too.
struct Forger {
    stanzas: Vec<Stanza>,
}

impl Recipient for Forger {
    fn wrap_file_key(&self, _: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let copy = |stanza: &Stanza| Stanza {
            tag: stanza.tag.clone(),
            args: stanza.args.clone(),
            body: stanza.body.clone(),
        };
        Ok((self.stanzas.iter().map(copy).collect(), HashSet::new()))
    }
}

/// Seals `content` for `to` with these stanzas besides, as any age program could.
fn forge(content: &[u8], to: &DeviceIdentity, stanzas: Vec<Stanza>) -> Vec<u8> {
    let recipient: age::x25519::Recipient = to.card().age_recipient().parse().unwrap();
    let forger = Forger { stanzas };
    let all = [&recipient as &dyn Recipient, &forger];
    let mut sealed = Vec::new();
    let mut writer = Encryptor::with_recipients(all.into_iter()).unwrap().wrap_output(&mut sealed).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap();
    sealed
}

/// The sender's stanza of a file, still encrypted.
fn stanza_of(sealed: &[u8]) -> Stanza {
    let text = String::from_utf8_lossy(sealed);
    let body = text.split("-> durward-sender 1\n").nth(1).unwrap();
    let lines = body.lines().take_while(|line| !line.starts_with('-')).collect::<String>();
    let body = data_encoding::BASE64_NOPAD.decode(lines.as_bytes()).unwrap();
    Stanza { tag: "durward-sender".into(), args: vec!["1".into()], body }
}

#[test]
fn a_stanza_does_not_fit_another_file() {
    let (alice, bob, _) = people();
    let known = [alice.card()];
    let stanza = || stanza_of(&seal(b"yes", &alice, &[&bob]));
    let refused = |stanzas| open(&forge(b"no", &bob, stanzas), &bob, &known);
    assert!(matches!(refused(vec![]), Err(Error::Unsigned)));
    assert!(matches!(refused(vec![stanza()]), Err(Error::BadSignature)), "it is under another file key");
    assert!(matches!(refused(vec![stanza(), stanza()]), Err(Error::BadSignature)));
    let odd = |args: &[&str], body: usize| Stanza {
        tag: "durward-sender".into(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        body: vec![0; body],
    };
    for body in [0, 16, 100, 5_000] {
        assert!(matches!(refused(vec![odd(&["1"], body)]), Err(Error::BadSignature)));
    }
    assert!(matches!(refused(vec![odd(&["2"], 100)]), Err(Error::UnknownVersion)));
    assert!(matches!(refused(vec![odd(&[], 100)]), Err(Error::UnknownVersion)));
    let unsigned = Accept { unsigned: true, strangers: true };
    let bad = open_as(&forge(b"no", &bob, vec![stanza()]), &bob, &known, unsigned);
    assert!(matches!(bad, Err(Error::BadSignature)), "a bad signature is no unsigned file");
}

#[test]
fn what_is_no_age_file_is_said() {
    let (alice, bob, _) = people();
    let refused = |bytes: &[u8]| open(bytes, &bob, &[alice.card()]).unwrap_err();
    for bad in
        [&b""[..], b"x", b"age", b"age-encryption.or", b"-----BEGIN AGE", b"PK\x03\x04", &vec![0; 100_000]]
    {
        assert!(matches!(refused(bad), Error::NotSealed), "{bad:?}");
    }
    assert!(matches!(refused(b"age-encryption.org/v1\n-> X25519"), Error::Damaged));
    assert!(matches!(refused(b"-----BEGIN AGE ENCRYPTED FILE-----\n!\n"), Error::Damaged));
    assert!(matches!(
        refused(b"age-encryption.org/v9\n-> a new kind of stanza\n---\n"),
        Error::UnknownVersion
    ));
    let endless = [b"age-encryption.org/v1\n".to_vec(), b"-> a\nAA\n".repeat(100_000)].concat();
    assert!(matches!(refused(&endless), Error::Damaged), "a header is bounded");
    let mut password = Vec::new();
    let encryptor = Encryptor::with_user_passphrase(age::secrecy::SecretString::from("x".to_owned()));
    encryptor.wrap_output(&mut password).unwrap().finish().unwrap();
    assert!(matches!(refused(&password), Error::Password));
}

#[test]
fn what_was_cut_or_bent_is_refused() {
    let (alice, bob, _) = people();
    let sealed = seal(&bytes(200_000), &alice, &[&bob]);
    let known = [alice.card()];
    for cut in [sealed.len() - 1, sealed.len() - 70_000, sealed.len() / 2, 700, 300, 30] {
        let refused = open(&sealed[..cut], &bob, &known);
        assert!(matches!(refused, Err(Error::Damaged)), "{cut} {refused:?}");
    }
    let mut longer = sealed.clone();
    longer.extend_from_slice(&sealed);
    assert!(open(&longer, &bob, &known).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_byte_can_be_changed(at in any::<proptest::sample::Index>(), flip in 1_u8..) {
        let (alice, bob, _) = people();
        let mut sealed = seal(&bytes(100), &alice, &[&bob]);
        let at = at.index(sealed.len());
        sealed[at] ^= flip;
        prop_assert!(open(&sealed, &bob, &[alice.card()]).is_err(), "byte {}", at);
    }

    #[test]
    fn nothing_panics(junk in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bob = device(2, "bob");
        let file = [b"age-encryption.org/v1\n-> ".to_vec(), junk].concat();
        prop_assert!(open(&file, &bob, &[]).is_err());
    }
}
