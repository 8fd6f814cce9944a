//! Files: modes, full and read-only disks, damage, newer schemas, other processes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use durward_broker::approval::{Actor, AuditEntry, AuditEvent, Write};
use durward_store::{Durability, Error, Store};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use crate::backend::{Backend, on_both};
use crate::sample::{NOW, entry, request, session};

on_both!(a_newer_schema_is_refused, a_changed_migration_is_refused, a_value_of_the_wrong_kind_is_damage);

async fn a_newer_schema_is_refused(backend: Backend) {
    backend.open().await.close().await;
    let row = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
               SELECT 999, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    backend.raw(row).await.unwrap();
    let error = backend.try_open().await.unwrap_err();
    assert!(matches!(error, Error::Version { found: 999, .. }), "{error:?}");
    assert!(error.to_string().contains("update Durward"));
}

async fn a_changed_migration_is_refused(backend: Backend) {
    backend.open().await.close().await;
    backend.raw("UPDATE _sqlx_migrations SET checksum = substr(checksum, 2)").await.unwrap();
    assert!(matches!(backend.try_open().await, Err(Error::Damaged(_))));
}

async fn a_value_of_the_wrong_kind_is_damage(backend: Backend) {
    let store = backend.open().await;
    store.submit(vec![Write::Session(session(1))]).await.unwrap();
    backend.raw("UPDATE session SET agent_id = 'not an id'").await.unwrap();
    assert!(matches!(store.load(NOW).await, Err(Error::Damaged(_))));
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/durward.db");
    let store = Store::open_sqlite(&path, Durability::Full).await.unwrap();
    store.submit(vec![Write::Audit(entry(1))]).await.unwrap();
    for name in ["durward.db", "durward.db-wal", "durward.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
    assert_eq!((mode(&folder.path().join("a")), mode(&folder.path().join("a/b"))), (0o700, 0o700));
    store.close().await;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    Store::open_sqlite(&path, Durability::Normal).await.unwrap().close().await;
    assert_eq!(mode(&path), 0o600, "an open file is closed");
}

#[tokio::test]
async fn a_damaged_file_is_named_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("durward.db");
    std::fs::File::create(&path).unwrap().write_all(&[b'x'; 10_000]).unwrap();
    let error = Store::open_sqlite(&path, Durability::Normal).await.unwrap_err();
    assert!(matches!(error, Error::Damaged(_)), "{error:?}");
    assert!(error.to_string().contains("restore a backup"));
}

#[tokio::test]
async fn a_locked_database_is_busy() {
    let backend = Backend::sqlite();
    let store = backend.open().await;
    let mut other = SqliteConnection::connect(&backend.url()).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    assert_eq!(store.submit(vec![Write::Audit(entry(1))]).await, Err(Error::Busy));
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(store.submit(vec![Write::Audit(entry(1))]).await.unwrap().head.n, 1, "and then it is not");
    store.close().await;
    other.execute("PRAGMA locking_mode = EXCLUSIVE").await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    assert_eq!(backend.try_open().await.unwrap_err(), Error::Busy);
}

#[tokio::test]
async fn urls_keep_their_passwords() {
    for url in [
        "postgres://u:hunter2@127.0.0.1:1/x",
        "postgres://u:hunter2@[bad",
        "mysql://u:hunter2@h/x",
        "hunter2",
    ] {
        let error = Store::open_url(url, Durability::Normal).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    let refused =
        Store::open_url("postgres://u:hunter2@127.0.0.1:1/x", Durability::Normal).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable(_)));
    let store = Backend::postgres().await.open().await;
    assert_eq!(format!("{store:?}"), r#"Store { kind: "postgres", .. }"#);
    assert_eq!(Store::open_url("sqlite::memory:", Durability::Normal).await.unwrap_err(), Error::Url);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_survived() {
    let Some(mount) = Mount::new("size=768k") else { return };
    let path = mount.path.join("durward.db");
    let store = Store::open_sqlite(&path, Durability::Normal).await.unwrap();
    let first = store.submit(vec![Write::Audit(entry(0))]).await.unwrap().head;
    assert_eq!(first.n, 1);
    let filler = mount.path.join("filler");
    fill(&filler);
    let mut committed = first;
    let mut failed = 0;
    for n in 0..2_000 {
        match store.submit(vec![Write::Request(request(1, n)), Write::Audit(entry(n))]).await {
            Ok(done) => committed = done.head,
            Err(error) => {
                assert_eq!(error, Error::Full);
                failed += 1;
            }
        }
        if failed == 3 {
            break;
        }
    }
    assert_eq!(failed, 3, "the disk did not fill up");
    assert_eq!(store.head().await, Ok(committed), "reading goes on, and nothing half is there");
    std::fs::remove_file(&filler).unwrap();
    let after = store.submit(vec![Write::Audit(entry(9))]).await.unwrap().head;
    assert_eq!(after.n, committed.n + 1, "with room again, writing goes on");
    assert_eq!(store.verify_audit().await, Ok(Ok(after)));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_is_said() {
    let Some(mount) = Mount::new("size=4m") else { return };
    let path = mount.path.join("durward.db");
    let store = Store::open_sqlite(&path, Durability::Normal).await.unwrap();
    store.submit(vec![Write::Audit(entry(1))]).await.unwrap();
    store.close().await;
    mount.run(&["-o", "remount,ro"]);
    let old = Store::open_sqlite(&path, Durability::Normal).await.unwrap_err();
    let new = Store::open_sqlite(&mount.path.join("new/x.db"), Durability::Normal).await.unwrap_err();
    assert_eq!((old, new), (Error::ReadOnly, Error::ReadOnly));
    mount.run(&["-o", "remount,rw"]);
    assert_eq!(Store::open_sqlite(&path, Durability::Normal).await.unwrap().head().await.unwrap().n, 1);
}

/// Writes until there is no room.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for size in [65_536, 4_096] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// A small file system of a test's own.
struct Mount {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Mount {
    /// `None`, with a loud word, for who may not mount.
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).status();
        if done.is_ok_and(|status| status.success()) {
            return Some(Self { path, _folder: folder });
        }
        // Past libtest's capture, so that it is seen.
        let _ = std::io::stderr()
            .write_all(b"\nNOT TESTED: full and read-only disks need root, to mount a small tmpfs\n");
        None
    }

    fn run(&self, arguments: &[&str]) {
        assert!(Command::new("mount").args(arguments).arg(&self.path).status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// A copy made while the owner writes is whole, has every commit from before, and its log holds.
#[tokio::test]
async fn a_copy_is_one_moment_of_a_store_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("durward.db"), folder.path().join("copy.db"));
    let store = Store::open_sqlite(&from, Durability::Normal).await.unwrap();
    let stopped = |n: i64| {
        let at = time::OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(n);
        Write::Audit(AuditEntry::new(at, AuditEvent::Stopped, Actor::System))
    };
    for n in 0..50 {
        store.submit(vec![stopped(n)]).await.unwrap();
    }
    let more: Vec<_> = (50..200).map(|n| store.submit(vec![stopped(n)])).collect();
    durward_store::copy_sqlite(&from, &to).await.unwrap();
    for commit in more {
        commit.await.unwrap();
    }
    store.close().await;
    let copy = Store::open_sqlite(&to, Durability::Normal).await.unwrap();
    let head = copy.verify_audit().await.unwrap().unwrap();
    assert!((50..=200).contains(&head.n), "{head:?}");
    copy.close().await;
    assert!(durward_store::copy_sqlite(&from, &to).await.is_err(), "nothing is overwritten");
    assert!(durward_store::copy_sqlite(&folder.path().join("none"), &folder.path().join("x")).await.is_err());
}
