//! Where keys lie: `keys/local.key`, `keys/retired/`, and `sync/keys/NAME.pub` for this device and each peer.

use std::path::{Path, PathBuf};

use durward_protocol::device::{DeviceId, DeviceName};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::files::{self, Existing};
use crate::{DeviceCard, DeviceIdentity, Error};

/// Most devices that one is paired with.
pub const MAX_PEERS: usize = 1_000;

/// Longest key file.
const MAX_KEY_FILE: u64 = 4096;

/// Names that mean a device on Windows, whatever ending follows.
const RESERVED: [&str; 4] = ["con", "prn", "aux", "nul"];

/// The key files of one data folder.
///
/// Files are the truth: whoever deletes `sync/keys/NAME.pub` has unpaired that device, so nothing here is
/// remembered between two calls.
#[derive(Clone, Debug)]
pub struct KeyFolder {
    data: PathBuf,
}

/// One `.pub` file.
#[derive(Debug)]
pub struct CardFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says, or why it cannot be used.
    pub card: Result<DeviceCard, Error>,
}

impl KeyFolder {
    /// The keys in this data folder; nothing is made yet.
    pub fn at(data: &Path) -> Self {
        Self { data: data.to_owned() }
    }

    /// `keys/local.key`
    pub fn local_key(&self) -> PathBuf {
        self.data.join("keys").join("local.key")
    }

    /// `sync/keys`
    pub fn cards(&self) -> PathBuf {
        self.data.join("sync").join("keys")
    }

    fn retired_keys(&self) -> PathBuf {
        self.data.join("keys").join("retired")
    }

    /// This device's keys; [`Error::NoKeys`] before they were made.
    pub fn identity(&self) -> Result<DeviceIdentity, Error> {
        read_identity(&self.local_key())?.ok_or(Error::NoKeys)
    }

    /// This device's keys, made by `make` when there are none. Its own `.pub` is written if it is missing.
    pub fn identity_or(&self, make: impl FnOnce() -> DeviceIdentity) -> Result<DeviceIdentity, Error> {
        if let Some(identity) = read_identity(&self.local_key())? {
            if self.find(identity.id())?.is_none() {
                self.write_own(&identity)?;
            }
            return Ok(identity);
        }
        let made = make();
        match files::write(&self.local_key(), made.expose_text().as_bytes(), Existing::Refuse) {
            Ok(()) => {}
            // Somebody was faster.
            Err(Error::Exists { .. }) => return self.identity(),
            Err(error) => return Err(error),
        }
        self.write_own(&made)?;
        Ok(made)
    }

    /// Gives this device another name.
    pub fn rename_own(&self, name: DeviceName) -> Result<DeviceIdentity, Error> {
        let renamed = self.identity()?.renamed(name);
        self.check_name(&renamed.card())?;
        self.replace_identity(&renamed)?;
        Ok(renamed)
    }

    /// Gives this device new keys. The old ones are kept in `keys/retired/`, to open what was sealed for them;
    /// nothing is signed with them again. Peers know the old keys only, and have to be paired again.
    pub fn rotate(&self, rng: &mut impl CryptoRng) -> Result<DeviceIdentity, Error> {
        let old = self.identity()?;
        let kept = self.retired_keys().join(format!("{}.key", old.public().x25519_hex()));
        files::write(&kept, old.expose_text().as_bytes(), Existing::Replace)?;
        let new = old.rotated(rng);
        self.replace_identity(&new)?;
        Ok(new)
    }

    fn replace_identity(&self, identity: &DeviceIdentity) -> Result<(), Error> {
        let text: Zeroizing<String> = identity.expose_text();
        files::write(&self.local_key(), text.as_bytes(), Existing::Replace)?;
        self.write_own(identity)
    }

    fn write_own(&self, identity: &DeviceIdentity) -> Result<(), Error> {
        let card = identity.card();
        self.write_text(&card, &card.to_own_text()).map(drop)
    }

    /// Keys that this device had before.
    pub fn retired(&self) -> Result<Vec<DeviceIdentity>, Error> {
        let paths = files::list(&self.retired_keys(), "key")?;
        paths.iter().filter_map(|path| read_identity(path).transpose()).collect()
    }

    /// Forgets the keys this device had before: what was sealed for them stays closed. How many they were.
    pub fn forget_retired(&self) -> Result<usize, Error> {
        let paths = files::list(&self.retired_keys(), "key")?;
        paths.iter().try_fold(0, |count, path| Ok(count + usize::from(files::remove(path)?)))
    }

    /// Every `.pub` file but this device's own, by file name. One that cannot be used is no peer, and says why.
    pub fn peers(&self) -> Result<Vec<CardFile>, Error> {
        let own = read_identity(&self.local_key())?.map(|identity| identity.id());
        let mut files = self.files()?;
        files.retain(|file| file.card.as_ref().map_or(true, |card| Some(card.id) != own));
        Ok(files)
    }

    /// The cards of all peers that can be used.
    pub fn peer_cards(&self) -> Result<Vec<DeviceCard>, Error> {
        Ok(self.peers()?.into_iter().filter_map(|file| file.card.ok()).collect())
    }

    /// Whether this very device, with these keys, is still paired. To be asked before each seal and each event.
    pub fn is_paired(&self, card: &DeviceCard) -> Result<bool, Error> {
        let same = |other: &DeviceCard| other.id == card.id && other.public == card.public;
        Ok(self.find(card.id)?.is_some_and(|(_, other)| same(&other)))
    }

    /// The file of a device.
    pub fn find(&self, id: DeviceId) -> Result<Option<(PathBuf, DeviceCard)>, Error> {
        let usable = self.files()?.into_iter().filter_map(|file| Some((file.path, file.card.ok()?)));
        Ok({ usable }.find(|(_, card)| card.id == id))
    }

    /// Writes a device's file, in place of the one it had. Another device of that name keeps its file: see
    /// [`KeyFolder::check_name`] to refuse before.
    pub fn write_card(&self, card: &DeviceCard) -> Result<PathBuf, Error> {
        self.write_text(card, &card.to_text())
    }

    fn write_text(&self, card: &DeviceCard, text: &str) -> Result<PathBuf, Error> {
        let files = self.files()?;
        let old = files.iter().find(|file| file.card.as_ref().is_ok_and(|other| other.id == card.id));
        if old.is_none() && files.len() > MAX_PEERS {
            return Err(Error::TooManyPeers { most: MAX_PEERS });
        }
        let taken = |stem: &str| {
            let others = files.iter().filter(|file| old.is_none_or(|old| old.path != file.path));
            { others }.any(|file| stem_of(&file.path).is_some_and(|other| same_stem(&other, stem)))
        };
        let path = self.cards().join(format!("{}.pub", free_stem(card.name.as_str(), taken)));
        files::write(&path, text.as_bytes(), Existing::Replace)?;
        if let Some(old) = old.filter(|old| old.path != path) {
            files::remove(&old.path)?;
        }
        Ok(path)
    }

    /// Refuses a name that another device has, in whatever case.
    pub fn check_name(&self, card: &DeviceCard) -> Result<(), Error> {
        let others = self.files()?.into_iter().filter_map(|file| file.card.ok());
        let taken = { others }.any(|other| other.id != card.id && other.name.same_file(&card.name));
        if taken { Err(Error::NameTaken { name: card.name.to_string() }) } else { Ok(()) }
    }

    /// Removes a device's file: it is unpaired. Whether there was one.
    pub fn remove(&self, id: DeviceId) -> Result<bool, Error> {
        match self.find(id)? {
            Some((path, _)) => files::remove(&path),
            None => Ok(false),
        }
    }

    fn files(&self) -> Result<Vec<CardFile>, Error> {
        let mut paths = files::list(&self.cards(), "pub")?;
        paths.truncate(MAX_PEERS + 1);
        Ok(paths.into_iter().filter_map(read_card).collect())
    }
}

/// `None` when the file went away in between.
fn read_card(path: PathBuf) -> Option<CardFile> {
    let card = match files::read(&path, MAX_KEY_FILE) {
        Ok(None) => return None,
        Ok(Some(text)) => DeviceCard::parse(&text).map_err(|detail| Error::key_file(&path, detail)),
        Err(error) => Err(error),
    };
    Some(CardFile { path, card })
}

fn read_identity(path: &Path) -> Result<Option<DeviceIdentity>, Error> {
    let Some(text) = files::read(path, MAX_KEY_FILE)? else { return Ok(None) };
    DeviceIdentity::parse(&text).map(Some).map_err(|detail| Error::key_file(path, detail))
}

fn stem_of(path: &Path) -> Option<String> {
    Some(path.file_stem()?.to_string_lossy().into_owned())
}

/// Where case does not count, two such files would be one.
fn same_stem(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// A file name for any text, with `-2`, `-3`, … behind it where it is taken.
fn free_stem(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let safe = DeviceName::made_safe(name);
    let mut base = safe.as_str().to_owned();
    let first = base.split('.').next().unwrap_or_default().trim().to_lowercase();
    let numbered = |word| {
        first
            .strip_prefix(word)
            .is_some_and(|rest| rest.len() == 1 && rest.chars().all(|c| c.is_ascii_digit()))
    };
    if RESERVED.contains(&first.as_str()) || numbered("com") || numbered("lpt") {
        base.insert(0, '_');
    }
    let more = (2..).map(|number: u32| format!("{base}-{number}"));
    let mut all = std::iter::once(base.clone()).chain(more);
    all.find(|stem| !taken(stem)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::tests::{identity, seeded};

    fn folder() -> (tempfile::TempDir, KeyFolder) {
        let base = tempfile::tempdir().unwrap();
        let keys = KeyFolder::at(base.path());
        (base, keys)
    }

    fn put(path: &Path, text: &str) {
        files::write(path, text.as_bytes(), Existing::Replace).unwrap();
    }

    #[test]
    fn keys_are_made_once_and_are_private() {
        let (_base, keys) = folder();
        assert!(matches!(keys.identity(), Err(Error::NoKeys)));
        let made = keys.identity_or(|| identity(1, "laptop")).unwrap();
        let again = keys.identity_or(|| identity(2, "other")).unwrap();
        assert_eq!(again.card(), made.card());
        assert_eq!(keys.identity().unwrap().card(), made.card());
        let own = keys.cards().join("laptop.pub");
        assert!(own.is_file(), "its own card lies beside those of its peers");
        let text = std::fs::read_to_string(&own).unwrap();
        assert!(text.starts_with("# This device itself") && !text.contains("unpairs"), "{text}");
        std::fs::remove_file(&own).unwrap();
        keys.identity_or(|| identity(2, "other")).unwrap();
        assert_eq!(std::fs::read_to_string(&own).unwrap(), text, "written again when missing");
        assert!(keys.peers().unwrap().is_empty(), "and it is no peer of its own");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(keys.local_key()), 0o600);
            assert_eq!(mode(keys.local_key().parent().unwrap().to_owned()), 0o700);
        }
        files::remove(&keys.cards().join("laptop.pub")).unwrap();
        keys.identity_or(|| identity(2, "other")).unwrap();
        assert!(keys.cards().join("laptop.pub").is_file(), "it comes back");
    }

    #[test]
    fn deleting_the_file_unpairs() {
        let (_base, keys) = folder();
        keys.identity_or(|| identity(1, "laptop")).unwrap();
        let desktop = identity(2, "desktop").card();
        let path = keys.write_card(&desktop).unwrap();
        assert_eq!(path, keys.cards().join("desktop.pub"));
        assert!(keys.is_paired(&desktop).unwrap());
        assert_eq!(keys.peer_cards().unwrap(), std::slice::from_ref(&desktop));
        let new_keys = DeviceCard { public: identity(3, "x").public(), ..desktop.clone() };
        assert!(!keys.is_paired(&new_keys).unwrap(), "another key is another device");
        std::fs::remove_file(path).unwrap();
        assert!(!keys.is_paired(&desktop).unwrap());
        assert!(!keys.remove(desktop.id).unwrap());
    }

    #[test]
    fn names_collide_without_harm() {
        let (_base, keys) = folder();
        let one = identity(1, "Desktop").card();
        let two = identity(2, "desktop").card();
        assert!(keys.write_card(&one).unwrap().ends_with("Desktop.pub"));
        assert!(matches!(keys.check_name(&two), Err(Error::NameTaken { .. })));
        assert!(keys.check_name(&one).is_ok(), "its own name is free for it");
        assert!(keys.write_card(&two).unwrap().ends_with("desktop-2.pub"));
        assert_eq!(keys.peer_cards().unwrap().len(), 2);
        let renamed = DeviceCard { name: DeviceName::parse("tower").unwrap(), ..two };
        assert!(keys.write_card(&renamed).unwrap().ends_with("tower.pub"));
        assert_eq!(files::list(&keys.cards(), "pub").unwrap().len(), 2, "the old file is gone");
        assert!(keys.remove(renamed.id).unwrap());
        assert_eq!(keys.peer_cards().unwrap(), [one]);
    }

    #[test]
    fn any_name_makes_a_file_of_this_folder() {
        let free = |name: &str| free_stem(name, |_| false);
        assert_eq!(free("../../keys/local.key"), "keys-local.key");
        assert_eq!(free("a\nb/c\\d"), "a-b-c-d");
        assert!(free(&"x".repeat(300)).len() <= 64);
        assert_eq!(free(""), "device");
        for reserved in ["con", "NUL", "aux.2", "COM1", "lpt9.txt"] {
            assert_eq!(free(reserved), format!("_{reserved}"), "{reserved}");
        }
        assert_eq!(free("common"), "common");
        assert_eq!(free_stem("a", |stem| ["a", "a-2"].contains(&stem)), "a-3");
    }

    #[test]
    fn rotation_keeps_the_old_keys_for_opening() {
        let (_base, keys) = folder();
        let old = keys.identity_or(|| identity(1, "laptop")).unwrap();
        let new = keys.rotate(&mut seeded(5)).unwrap();
        assert_eq!(keys.identity().unwrap().card(), new.card());
        assert_ne!(new.public(), old.public());
        let retired = keys.retired().unwrap();
        assert_eq!(retired.iter().map(DeviceIdentity::public).collect::<Vec<_>>(), [old.public()]);
        assert_eq!(files::list(&keys.cards(), "pub").unwrap().len(), 1);
        assert_eq!(keys.forget_retired().unwrap(), 1);
        assert!(keys.retired().unwrap().is_empty());
    }

    #[test]
    fn renaming_this_device() {
        let (_base, keys) = folder();
        keys.identity_or(|| identity(1, "laptop")).unwrap();
        keys.write_card(&identity(2, "desktop").card()).unwrap();
        let name = |text| DeviceName::parse(text).unwrap();
        assert!(matches!(keys.rename_own(name("desktop")), Err(Error::NameTaken { .. })));
        keys.rename_own(name("notebook")).unwrap();
        assert_eq!(keys.identity().unwrap().name(), &name("notebook"));
        assert!(keys.cards().join("notebook.pub").is_file() && !keys.cards().join("laptop.pub").exists());
    }

    #[test]
    fn damaged_files_are_said_and_are_no_peers() {
        let (_base, keys) = folder();
        keys.identity_or(|| identity(1, "laptop")).unwrap();
        put(&keys.cards().join("a.pub"), "nonsense");
        put(&keys.cards().join("b.pub"), &"x".repeat(5000));
        std::fs::create_dir(keys.cards().join("c.pub")).unwrap();
        put(&keys.cards().join("d.txt"), "not looked at");
        put(&keys.cards().join(".e.pub"), "nor this");
        let peers = keys.peers().unwrap();
        assert_eq!(peers.len(), 3);
        for peer in peers {
            let error = peer.card.unwrap_err();
            assert!(error.to_string().contains(".pub cannot be used: it "), "{error}");
        }
        assert!(keys.peer_cards().unwrap().is_empty());
        put(&keys.local_key(), "nonsense");
        let error = keys.identity().unwrap_err().to_string();
        assert!(error.contains("local.key cannot be used"), "{error}");
        assert!(!error.contains("nonsense"));
        assert!(keys.identity_or(|| identity(2, "other")).is_err(), "a damaged key is never replaced");
    }
}
