//! What lies on the disk while and after a file is sealed or opened.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use durward_sealing::{
    Accept, DeviceIdentity, Error, Existing, Opened, Opening, Purpose, Sealing, open_to_path, seal_to_path,
};

use crate::support::{NOW, bytes, device, seal};

fn open_into(
    sealed: &[u8],
    path: &Path,
    existing: Existing,
    bob: &DeviceIdentity,
    alice: &DeviceIdentity,
) -> Result<Opened, Error> {
    let known = [alice.card()];
    let how =
        Opening { identities: &[bob], known: &known, purpose: Purpose::File, accept: Accept::default() };
    open_to_path(sealed, path, existing, &how)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn nothing_unverified_gets_the_name() {
    let (alice, bob) = (device(1, "alice"), device(2, "bob"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain");
    let good = seal(&bytes(300_000), &alice, &[&bob]);
    for cut in [good.len() - 1, good.len() / 2, 20] {
        assert!(open_into(&good[..cut], &path, Existing::Refuse, &bob, &alice).is_err());
        assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
    }
    let stranger = seal(b"x", &device(9, "eve"), &[&bob]);
    assert!(open_into(&stranger, &path, Existing::Refuse, &bob, &alice).is_err());
    assert!(names(folder.path()).is_empty());

    open_into(&good, &path, Existing::Refuse, &bob, &alice).unwrap();
    assert!(fs::read(&path).unwrap() == bytes(300_000));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let refused = open_into(&good, &path, Existing::Refuse, &bob, &alice);
    assert!(matches!(refused, Err(Error::Exists { .. })));
    assert!(open_into(&stranger, &path, Existing::Replace, &bob, &alice).is_err());
    assert!(fs::read(&path).unwrap() == bytes(300_000), "what was there stays");
    open_into(&seal(b"new", &alice, &[&bob]), &path, Existing::Replace, &bob, &alice).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["plain"]);
}

#[test]
fn a_source_that_fails_leaves_nothing() {
    struct Broken(usize);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 > 20 { Err(io::Error::other("gone")) } else { Ok(buffer.len()) }
        }
    }
    let (alice, bob) = (device(1, "alice"), device(2, "bob"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealed.age");
    let how = Sealing { sender: &alice, recipients: &[bob.public()], purpose: Purpose::File, now: NOW };
    let failed = seal_to_path(Broken(0), &path, Existing::Refuse, &how);
    assert!(matches!(failed, Err(Error::Read(_))), "{failed:?}");
    assert!(names(folder.path()).is_empty());
    let nobody = Sealing { recipients: &[], ..how };
    assert!(matches!(seal_to_path(io::empty(), &path, Existing::Refuse, &nobody), Err(Error::NoRecipients)));
    let crowd = vec![bob.public(); 65];
    let crowd = Sealing { recipients: &crowd, ..how };
    let refused = seal_to_path(io::empty(), &path, Existing::Refuse, &crowd);
    assert!(matches!(refused, Err(Error::TooManyRecipients { count: 65, .. })));
    assert!(names(folder.path()).is_empty());
}

#[test]
#[cfg(unix)]
fn only_files_are_replaced_and_links_are_followed() {
    let (alice, bob) = (device(1, "alice"), device(2, "bob"));
    let folder = tempfile::tempdir().unwrap();
    let sealed = seal(b"content", &alice, &[&bob]);
    let folder_path = folder.path().join("folder");
    fs::DirBuilder::new().create(&folder_path).unwrap();
    for path in [folder_path.as_path(), Path::new("/dev/null")] {
        let refused = open_into(&sealed, path, Existing::Replace, &bob, &alice);
        assert!(refused.unwrap_err().to_string().contains("is not a file"), "{}", path.display());
    }
    let (link, target) = (folder.path().join("link"), folder.path().join("target"));
    drop(fs::OpenOptions::new().write(true).create_new(true).open(&target).unwrap());
    std::os::unix::fs::symlink(&target, &link).unwrap();
    open_into(&sealed, &link, Existing::Replace, &bob, &alice).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"content");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let missing = open_into(&sealed, &folder.path().join("no/such"), Existing::Refuse, &bob, &alice);
    assert!(missing.unwrap_err().to_string().contains("no"), "the folder is named");
}
