use std::collections::HashMap;
use std::sync::Mutex;

use durward_protocol::SecretBytes;
use durward_server::RestKeyFile;

use super::*;

/// A keyring in memory that can be locked.
#[derive(Debug, Default)]
struct Memory {
    entries: Mutex<HashMap<String, [u8; 32]>>,
    locked: Mutex<bool>,
}

impl Memory {
    fn open(&self) -> Result<(), KeeperError> {
        if *self.locked.lock().unwrap() { Err(KeeperError("locked".into())) } else { Ok(()) }
    }
}

impl Keyring for Arc<Memory> {
    fn get(&self, entry: &str) -> Result<Option<RestKey>, KeeperError> {
        self.open()?;
        let found = self.entries.lock().unwrap().get(entry).copied();
        Ok(found.map(|bytes| RestKey::from_bytes(SecretBytes::new(bytes))))
    }

    fn set(&self, entry: &str, key: &RestKey) -> Result<(), KeeperError> {
        self.open()?;
        self.entries.lock().unwrap().insert(entry.to_owned(), *key.expose_bytes());
        Ok(())
    }

    fn delete(&self, entry: &str) -> Result<(), KeeperError> {
        self.open()?;
        self.entries.lock().unwrap().remove(entry);
        Ok(())
    }
}

struct Bench {
    folder: tempfile::TempDir,
    keyring: Arc<Memory>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), keyring: Arc::default() }
    }

    fn kept(&self, choice: Choice) -> Kept {
        let home = Home::open(self.folder.path()).unwrap();
        let file = Box::new(RestKeyFile::of(&home));
        let folder = self.folder.path().join("keys");
        Kept { choice, file, keyring: Box::new(Arc::clone(&self.keyring)), folder, whose: "approver" }
    }

    fn places(&self) -> (bool, bool, usize) {
        let keys = self.folder.path().join("keys");
        let entries = self.keyring.entries.lock().unwrap().len();
        (keys.join("rest.key").exists(), keys.join(MARKER).exists(), entries)
    }
}

const IN_FILE: (bool, bool, usize) = (true, false, 0);
const IN_KEYRING: (bool, bool, usize) = (false, true, 1);

fn key() -> RestKey {
    RestKey::from_bytes(SecretBytes::new([7; 32]))
}

fn is_key(found: Option<RestKey>) -> bool {
    found.is_some_and(|found| found.expose_bytes() == &[7; 32])
}

#[test]
fn a_new_key_lies_in_the_keyring_where_one_answers() {
    let bench = Bench::new();
    let kept = bench.kept(Choice::Auto);
    assert!(kept.load().unwrap().is_none());
    kept.save(&key()).unwrap();
    assert_eq!(bench.places(), IN_KEYRING);
    assert!(is_key(kept.load().unwrap()));
}

#[test]
fn without_a_keyring_it_lies_in_a_file_and_stays_there() {
    let bench = Bench::new();
    *bench.keyring.locked.lock().unwrap() = true;
    bench.kept(Choice::Auto).save(&key()).unwrap();
    assert_eq!(bench.places(), IN_FILE);
    assert!(bench.kept(Choice::Keyring).load().is_err(), "asked for, and not there");
    *bench.keyring.locked.lock().unwrap() = false;
    assert!(is_key(bench.kept(Choice::Auto).load().unwrap()));
    assert_eq!(bench.places(), IN_FILE, "nothing moves by itself");
}

#[test]
fn it_moves_both_ways() {
    let bench = Bench::new();
    bench.kept(Choice::File).save(&key()).unwrap();
    assert!(is_key(bench.kept(Choice::Keyring).load().unwrap()));
    assert_eq!(bench.places(), IN_KEYRING);
    assert!(is_key(bench.kept(Choice::Auto).load().unwrap()));
    assert!(is_key(bench.kept(Choice::File).load().unwrap()));
    assert_eq!(bench.places(), IN_FILE);
}

/// The moves are done in steps; after each of them a start finds the key.
#[test]
fn a_move_that_was_cut_short_goes_on() {
    let bench = Bench::new();
    bench.kept(Choice::Keyring).save(&key()).unwrap();
    bench.kept(Choice::File).file.save(&key()).unwrap(); // both have it
    for choice in [Choice::Auto, Choice::Keyring] {
        assert!(is_key(bench.kept(choice).load().unwrap()), "{choice:?}");
    }
    assert_eq!(bench.places(), IN_KEYRING);
    bench.kept(Choice::File).file.save(&key()).unwrap();
    assert!(is_key(bench.kept(Choice::File).load().unwrap()));
    assert_eq!(bench.places(), IN_FILE);
}

#[test]
fn a_locked_keyring_is_an_error_and_an_empty_one_a_lost_key() {
    let bench = Bench::new();
    bench.kept(Choice::Auto).save(&key()).unwrap();
    *bench.keyring.locked.lock().unwrap() = true;
    for choice in [Choice::Auto, Choice::Keyring, Choice::File] {
        let error = bench.kept(choice).load().unwrap_err();
        assert!(error.to_string().contains("unlock the keyring"), "{choice:?}: {error}");
    }
    *bench.keyring.locked.lock().unwrap() = false;
    bench.keyring.entries.lock().unwrap().clear();
    assert!(bench.kept(Choice::Auto).load().unwrap().is_none(), "lost: a new one may be made");
    bench.kept(Choice::Auto).save(&key()).unwrap();
    assert_eq!(bench.places(), IN_KEYRING);
}

#[test]
fn a_damaged_marker_is_said() {
    let bench = Bench::new();
    bench.kept(Choice::Auto).save(&key()).unwrap();
    write_private(&bench.folder.path().join("keys").join(MARKER), b"../x y").unwrap();
    assert!(bench.kept(Choice::Auto).load().unwrap_err().to_string().contains("is damaged"));
}

#[test]
fn removed_from_both() {
    let bench = Bench::new();
    bench.kept(Choice::Auto).save(&key()).unwrap();
    bench.kept(Choice::Auto).remove().unwrap();
    assert_eq!(bench.places(), (false, false, 0));
}
