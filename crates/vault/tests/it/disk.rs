//! Permissions, two writers, a full disk, a killed writer.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;

use durward_vault::{Error, Item, PlainFormat};

use crate::support::{at, fast, login, put, rng, secret};

/// Set for a copy of this test program that plays another process.
const PATH: &str = "DURWARD_VAULT_TEST_PATH";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn only_the_owner_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/vault.age");
    let vault = fast(&path);
    vault.create(&secret("pw")).unwrap();
    assert_eq!((mode(&folder.path().join("data")), mode(&path)), (0o700, 0o600));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    vault.edit(&secret("pw"), |items| items.add(login("a", "a.test", "u", "p"), &mut rng(), at(1))).unwrap();
    for entry in fs::read_dir(folder.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    let plain = folder.path().join("plain.json");
    let open = vault.open(&secret("pw")).unwrap();
    open.items().export_plain(&plain, PlainFormat::Json).unwrap();
    assert_eq!(mode(&plain), 0o600);
    let again = open.items().export_plain(&plain, PlainFormat::Json);
    assert!(matches!(again, Err(Error::AlreadyExists { .. })), "an export overwrites nothing");
}

#[test]
fn a_linked_vault_is_replaced_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real.age"), folder.path().join("vault.age"));
    fast(&real).create(&secret("pw")).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    fast(&link)
        .edit(&secret("pw"), |items| items.add(login("a", "a.test", "u", "p"), &mut rng(), at(1)))
        .unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(fast(&real).open(&secret("pw")).unwrap().items().len(), 1);
}

#[test]
fn a_second_writer_is_told_and_readers_are_not_disturbed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.age");
    let vault = fast(&path);
    vault.create(&secret("pw")).unwrap();
    vault
        .edit(&secret("pw"), |items| {
            let second = fast(&path);
            assert!(matches!(second.edit(&secret("pw"), |_| Ok(())), Err(Error::Busy { .. })));
            assert!(matches!(second.change_password(&secret("pw"), &secret("x")), Err(Error::Busy { .. })));
            assert!(second.open(&secret("pw")).is_ok());
            items.add(login("a", "a.test", "u", "p"), &mut rng(), at(1))
        })
        .unwrap();
    assert!(vault.edit(&secret("pw"), |_| Ok(())).is_ok(), "the lock is free again");
}

#[test]
fn of_many_writers_no_edit_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.age");
    fast(&path).create(&secret("pw")).unwrap();
    let start = Barrier::new(4);
    let done: usize = std::thread::scope(|scope| {
        let writer = || {
            start.wait();
            let add = |_| {
                let edit = |items: &mut durward_vault::Items| items.add(Item::new("x"), &mut rng(), at(1));
                match fast(&path).edit(&secret("pw"), edit) {
                    Ok(_) => 1,
                    Err(Error::Busy { .. }) => 0,
                    Err(other) => panic!("{other}"),
                }
            };
            (0..8).map(add).sum::<usize>()
        };
        let writers: Vec<_> = (0..4).map(|_| scope.spawn(writer)).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert!(done > 0);
    assert_eq!(fast(&path).open(&secret("pw")).unwrap().items().len(), done);
}

#[test]
fn what_a_killed_writer_left_is_swept_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.age");
    let vault = fast(&path);
    vault.create(&secret("pw")).unwrap();
    // As after a kill between the temporary file and the rename.
    let left = folder.path().join(".durward-0123456789ab.tmp");
    put(&left, b"half a vault");
    assert!(vault.open(&secret("pw")).unwrap().items().is_empty());
    vault.edit(&secret("pw"), |items| items.add(login("a", "a.test", "u", "p"), &mut rng(), at(1))).unwrap();
    assert!(!left.exists());
    assert_eq!(vault.open(&secret("pw")).unwrap().items().len(), 1);
}

#[test]
fn a_writer_killed_at_any_moment_leaves_a_whole_vault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.age");
    let vault = fast(&path);
    vault.create(&secret("pw")).unwrap();
    let mut known = 0;
    for round in 0..20 {
        let mut child =
            other_process("disk::another_process_writes_until_it_is_killed", &path).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // A different number of edits each round, so that the kill falls on different places.
        let reported = lines.by_ref().filter(|line| line.contains("written")).take(1 + round % 5).count();
        child.kill().unwrap();
        child.wait().unwrap();
        let items = vault.open(&secret("pw")).unwrap().items().len();
        assert!(items >= known + reported, "{items} items, {known} and {reported} were reported written");
        known = items;
    }
    vault.edit(&secret("pw"), |_| Ok(())).unwrap();
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "vault, copy and lock, no temporary file: {names:?}");
}

#[test]
fn another_process_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else { return };
    loop {
        fast(&path).edit(&secret("pw"), |items| items.add(Item::new("x"), &mut rng(), at(1))).unwrap();
        println!("written");
    }
}

#[test]
fn a_full_disk_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.age");
    fast(&path).create(&secret("pw")).unwrap();
    let before = fs::read(&path).unwrap();
    // A limit on the size of files stands in for the disk: the write fails half way through.
    let program = other_process("disk::another_process_runs_out_of_space", &path);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]).arg(program.get_program());
    limited.args(program.get_args()).env(PATH, &path);
    let output = limited.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("refused"), "{said}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(fast(&path).open(&secret("pw")).unwrap().items().is_empty());
    let temporary = fs::read_dir(folder.path()).unwrap().flatten();
    let names: Vec<_> = temporary.map(|entry| entry.file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("tmp")), "{names:?}");
}

#[test]
fn another_process_runs_out_of_space() {
    let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else { return };
    let mut item = login("a", "a.test", "u", "p");
    item.notes = Some(secret(&"x".repeat(100_000)));
    let refused = fast(&path).edit(&secret("pw"), |items| items.add(item, &mut rng(), at(1)));
    assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
    println!("refused");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("file"), b"");
    let error = fast(&folder.path().join("file/vault.age")).create(&secret("pw")).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
}

fn other_process(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(PATH, path)
        .stdout(Stdio::piped());
    command
}
