//! The built-in vault on a real disk.

use std::fs;

use durward_protocol::{Field, SecretString};
use durward_vault::{BuiltinVault, Error, MatchKind, Vault};

use crate::support::{at, domain, fast, login, put, rng, secret};

#[test]
fn create_add_find_read_edit_remove() {
    let folder = tempfile::tempdir().unwrap();
    let vault = fast(&folder.path().join("data/vault.age"));
    let password = secret("correct horse");
    assert!(!vault.describe().exists);
    assert!(matches!(vault.unlock(&password), Err(Error::NotFound { .. })));
    vault.create(&password).unwrap();
    assert!(vault.describe().exists && vault.describe().needs_password);
    assert!(matches!(vault.create(&password), Err(Error::AlreadyExists { .. })));

    let id = vault
        .edit(&password, |items| {
            items.add(login("Mail", "https://mail.example.com/", "ann", "pw \"1\"\\"), &mut rng(), at(1))
        })
        .unwrap();
    let open = vault.unlock(&password).unwrap();
    assert!(open.is_current());
    let found = open.find(&domain("mail.example.com")).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].item_id.as_str(), found[0].match_kind), (id.as_str(), MatchKind::ExactHost));
    assert!(open.find(&domain("badexample.com")).unwrap().is_empty());
    let credential =
        open.read(&id, &[Field::Password, Field::Totp], &domain("mail.example.com"), at(2)).unwrap();
    assert_eq!(credential.password.as_ref().map(SecretString::expose_secret), Some("pw \"1\"\\"));
    assert_eq!(credential.fields(), [Field::Password]);
    assert!(matches!(open.read("nothing", &[], &domain("x.test"), at(2)), Err(Error::ItemNotFound { .. })));

    vault.edit(&password, |items| items.update(&id, at(3), |item| item.name = "Post".into())).unwrap();
    assert!(!open.is_current(), "an edit makes an open vault stale");
    let now = vault.open(&password).unwrap();
    assert_eq!(now.items().get(&id).unwrap().name, "Post");
    assert_eq!(now.items().get(&id).unwrap().created, at(1));
    assert_eq!(now.items().get(&id).unwrap().updated, at(3));
    vault.edit(&password, |items| items.remove(&id)).unwrap();
    assert!(vault.open(&password).unwrap().items().is_empty());
}

#[test]
fn a_failed_change_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.age");
    let vault = fast(&path);
    vault.create(&secret("pw")).unwrap();
    let before = fs::read(&path).unwrap();
    let mut item = login("x", "x.test", "u", "p");
    item.name = String::new();
    assert!(matches!(
        vault.edit(&secret("pw"), |items| items.add(item, &mut rng(), at(1))),
        Err(Error::InvalidItem { .. })
    ));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn passwords() {
    let folder = tempfile::tempdir().unwrap();
    let vault = fast(&folder.path().join("vault.age"));
    assert!(matches!(vault.create(&secret("")), Err(Error::EmptyPassword)));
    vault.create(&secret("old")).unwrap();
    vault.edit(&secret("old"), |items| items.add(login("a", "a.test", "u", "p"), &mut rng(), at(1))).unwrap();
    assert!(folder.path().join("vault.age.bak").exists());
    assert!(matches!(vault.change_password(&secret("bad"), &secret("new")), Err(Error::WrongPassword)));
    assert!(matches!(vault.change_password(&secret("old"), &secret("")), Err(Error::EmptyPassword)));
    vault.change_password(&secret("old"), &secret("new")).unwrap();
    assert!(matches!(vault.open(&secret("old")), Err(Error::WrongPassword)));
    assert_eq!(vault.open(&secret("new")).unwrap().items().len(), 1);
    assert!(!folder.path().join("vault.age.bak").exists(), "the old password would open the copy");
    assert!(matches!(vault.edit(&secret("old"), |_| Ok(())), Err(Error::WrongPassword)));
}

#[test]
fn the_default_work_factor_is_in_the_file_and_absurd_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.age");
    let vault = BuiltinVault::at(&path);
    vault.create(&secret("pw")).unwrap();
    let file = fs::read(&path).unwrap();
    let header = String::from_utf8_lossy(&file[..80]).into_owned();
    let stanza = header.lines().nth(1).unwrap();
    assert!(stanza.starts_with("-> scrypt ") && stanza.ends_with(" 17"), "{stanza}");
    assert!(vault.open(&secret("pw")).is_ok());

    let text = replace(&file, b" 17\n", b" 23\n");
    put(&path, &text);
    assert!(matches!(vault.open(&secret("pw")), Err(Error::ExcessiveWork { required: 23, .. })));
}

#[test]
fn truncated_anywhere_is_damage_and_never_a_panic_or_a_wrong_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.age");
    let vault = fast(&path);
    vault.create(&secret("pw")).unwrap();
    vault.edit(&secret("pw"), |items| items.add(login("a", "a.test", "u", "p"), &mut rng(), at(1))).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        put(&path, &whole[..length]);
        match vault.open(&secret("pw")) {
            Err(Error::Damaged { .. }) => {}
            other => panic!("{length} of {} bytes: {other:?}", whole.len()),
        }
    }
    put(&path, &[&whole[..], b"x"].concat());
    assert!(matches!(vault.open(&secret("pw")), Err(Error::Damaged { .. })));
}

#[test]
fn no_flipped_bit_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.age");
    let vault = fast(&path);
    vault.create(&secret("pw")).unwrap();
    let whole = fs::read(&path).unwrap();
    // Only the stanza (line 2: salt and work factor, line 3: wrapped key) depends on the password.
    let ends: Vec<usize> = whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at).collect();
    for index in 0..whole.len() {
        let mut bent = whole.clone();
        bent[index] ^= 1;
        put(&path, &bent);
        let in_stanza = (ends[0]..=ends[2]).contains(&index);
        match vault.open(&secret("pw")) {
            Err(Error::Damaged { .. }) => {}
            Err(Error::WrongPassword | Error::ExcessiveWork { .. }) if in_stanza => {}
            other => panic!("byte {index}: {other:?}"),
        }
    }
}

#[test]
fn what_is_not_a_vault_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.age");
    for bytes in [&b"hello"[..], b"", b"-----BEGIN AGE ENCRYPTED FILE-----\n", b"age-encryption.org/v9\n"] {
        put(&path, bytes);
        assert!(matches!(BuiltinVault::at(&path).open(&secret("pw")), Err(Error::Damaged { .. })));
    }
    assert!(BuiltinVault::at(folder.path()).open(&secret("pw")).is_err());
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}
