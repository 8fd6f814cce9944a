//! Files go both ways between this crate and the `age` program, Debian's package `age`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use durward_sealing::{Accept, Error, Existing, KeyFolder, Opening, Purpose, Sealing, Sender};

use crate::support::{NOW, bytes, device, open_as};

/// Runs `age` and fails with what it said.
pub(crate) fn age(arguments: &[&str]) {
    let program = std::env::var_os("DURWARD_AGE_BIN").map_or_else(|| PathBuf::from("age"), PathBuf::from);
    let run = Command::new(&program).args(arguments).output();
    let run = run.expect("this test needs age: apt-get install age, or set DURWARD_AGE_BIN");
    assert!(run.status.success(), "age {arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// 0 bytes, one chunk of age's, its edges, several.
const SIZES: [usize; 6] = [0, 1, 65_535, 65_536, 65_537, 3_000_000];

#[test]
fn age_opens_what_is_sealed_here_with_the_key_file() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyFolder::at(folder.path());
    let (alice, bob, carol) = (device(1, "alice"), device(2, "bob"), device(3, "carol"));
    keys.identity_or(|| bob.renamed(bob.name().clone())).unwrap();
    let (sealed, plain) = (folder.path().join("sealed.age"), folder.path().join("plain"));
    for size in SIZES {
        let content = bytes(size);
        let recipients = [carol.public(), bob.public()];
        let how = Sealing { sender: &alice, recipients: &recipients, purpose: Purpose::File, now: NOW };
        let length =
            durward_sealing::seal_to_path(content.as_slice(), &sealed, Existing::Replace, &how).unwrap();
        assert_eq!(length, size as u64);
        let _ = fs::remove_file(&plain);
        age(&["-d", "-i", text(&keys.local_key()), "-o", text(&plain), text(&sealed)]);
        // age makes no file when there is no content.
        assert!(fs::read(&plain).unwrap_or_default() == content, "{size}");
    }
}

#[test]
fn what_age_encrypts_for_a_card_is_opened_here_when_unsigned_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyFolder::at(folder.path());
    let bob = device(2, "bob");
    let card = keys.write_card(&bob.card()).unwrap();
    let (sealed, plain) = (folder.path().join("sealed.age"), folder.path().join("plain"));
    for (size, armour) in SIZES.into_iter().flat_map(|size| [(size, false), (size, true)]) {
        let content = bytes(size);
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).open(&plain).unwrap();
        std::io::Write::write_all(&mut file, &content).unwrap();
        let mut arguments = vec!["-R", text(&card), "-o", text(&sealed), text(&plain)];
        if armour {
            arguments.insert(0, "-a");
        }
        let _ = fs::remove_file(&sealed);
        age(&arguments);
        let sealed = fs::read(&sealed).unwrap();
        let refused = open_as(&sealed, &bob, &[], Accept::default());
        assert!(matches!(refused, Err(Error::Unsigned)), "{refused:?}");
        let unsigned = Accept { unsigned: true, strangers: false };
        let (opened, back) = open_as(&sealed, &bob, &[], unsigned).unwrap();
        assert_eq!((opened.sender, opened.sealed_at), (Sender::Unsigned, None));
        assert!(back == content, "{size} {armour}");
    }
    let how = Opening {
        identities: &[&device(5, "eve")],
        known: &[],
        purpose: Purpose::File,
        accept: Accept::default(),
    };
    let sealed = fs::read(&sealed).unwrap();
    assert!(matches!(durward_sealing::open_small(&sealed, 9, &how), Err(Error::NotForUs)));
}
