//! A disk that is full and a database that somebody else holds: nothing is released, nothing is lost.

use std::path::Path;
use std::process::{Command, Stdio};

use durward_protocol::RequestId;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use crate::home::Home;
use crate::wire::{OpenPairing, Owner, Session, call, post};

/// A small file system in memory; gone when dropped.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    /// `None`: only root may mount.
    fn mount(at: &'a Path) -> Option<Self> {
        std::fs::DirBuilder::new().create(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "durward-test"]).arg(at);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[test]
fn a_full_disk_releases_nothing_and_loses_nothing() {
    let base = Home::with_vault();
    let at = base.path("small");
    let Some(_small) = Small::mount(&at) else {
        assert!(!nix::unistd::geteuid().is_root(), "root can mount a tmpfs, or this test says nothing");
        return;
    };
    std::fs::copy(base.path("vault.age"), at.join("vault.age")).unwrap();
    let home = Home::around(&at);
    let daemon = home.serve_quietly();
    let (owner, mut rng) = (Owner::of(&home, &daemon), StdRng::seed_from_u64(1));
    let session = Session::pair(daemon.listen, &owner, "agent", &mut rng).unwrap();
    owner.unlock();
    let waiting = RequestId::random(&mut rng);
    let ask = session.ask(waiting, "example.com", &mut rng);
    assert_eq!(post(daemon.listen, "/credential/request", 0, &ask).unwrap().status, 202);

    // Fill it to the last byte; the log ahead may have room left inside: use that up too.
    let filler = at.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
    let mut refusals = 0;
    for _ in 0..400 {
        let id = RequestId::random(&mut rng);
        let answer = post(daemon.listen, "/credential/request", 0, &session.ask(id, "db.internal", &mut rng));
        let answer = answer.unwrap();
        match answer.status {
            202 | 429 => {}
            _ => {
                assert_eq!((answer.status, answer.error().as_str()), (503, "storage_failed"), "{answer:?}");
                refusals += 1;
                break;
            }
        }
        let cancel = post(daemon.listen, "/credential/cancel", 0, &session.cancel(id, &mut rng)).unwrap();
        assert!([200, 503].contains(&cancel.status), "{cancel:?}");
        refusals += usize::from(cancel.status == 503);
        if refusals > 0 {
            break;
        }
    }
    assert!(refusals > 0, "the disk never was full");
    let decided =
        owner.decide(&session.id.to_string(), &waiting.to_string(), &json!({ "verdict": "approve" }));
    assert_eq!(decided.unwrap().error(), "storage_failed");
    assert_eq!(call(daemon.listen, "GET", "/health", &[], b"").unwrap().status, 200);

    drop(file);
    std::fs::remove_file(&filler).unwrap();
    let decided =
        owner.decide(&session.id.to_string(), &waiting.to_string(), &json!({ "verdict": "approve" }));
    let decided = decided.unwrap();
    assert_eq!((decided.status, decided.json()["verdict"].as_str()), (200, Some("approved")), "{decided:?}");
    assert_eq!(home.run(&["down"]).code, 0);
    assert_eq!(daemon.process.finish().code, 0);
    home.audit_holds();
}

/// Another program looks at the database and holds its write lock.
#[test]
fn a_locked_database_stores_nothing_and_says_so() {
    let home = Home::with_vault();
    let daemon = home.serve_quietly();
    let (owner, mut rng) = (Owner::of(&home, &daemon), StdRng::seed_from_u64(1));
    let session = Session::pair(daemon.listen, &owner, "agent", &mut rng).unwrap();
    let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\n\
        c.execute('begin immediate')\nprint('held',flush=True)\nsys.stdin.read()\n";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(home.path("durward.db"));
    python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut holder = Home::start_with(&mut python);
    holder.stdout.wait_for("held");
    let id = RequestId::random(&mut rng);
    let ask = session.ask(id, "example.com", &mut rng);
    let refused = post(daemon.listen, "/credential/request", 0, &ask).unwrap();
    assert_eq!((refused.status, refused.error().as_str()), (503, "storage_failed"), "{refused:?}");
    assert!(owner.get("/requests").unwrap()["requests"].as_array().unwrap().is_empty());
    let pairing = OpenPairing::begin(daemon.listen, "late", &mut rng).unwrap();
    let body = json!({ "number": pairing.opened.number, "code": pairing.code.expose_digits() });
    let (entering, owner_too) = (body, owner.clone());
    let entering = std::thread::spawn(move || owner_too.post("/pairings/enter", &entering));
    assert!(pairing.finish(daemon.listen).is_none(), "no session without its row");
    drop(entering); // held: the agent may confirm again within a minute

    holder.close_stdin();
    holder.finish();
    let again =
        post(daemon.listen, "/credential/request", 0, &session.ask(id, "example.com", &mut rng)).unwrap();
    assert_eq!(again.status, 202, "{again:?}");
    assert_eq!(owner.get("/sessions").unwrap()["sessions"].as_array().unwrap().len(), 1);
    home.audit_holds();
}

/// Somebody else's transaction is open when the approver starts.
#[test]
fn a_database_that_is_locked_at_the_start_is_said() {
    let home = Home::with_vault();
    let mut daemon = home.serve_quietly();
    daemon.process.kill();
    let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\n\
        c.execute('pragma locking_mode=exclusive')\nc.execute('begin exclusive')\nc.execute('create table t(x)')\n\
        print('held',flush=True)\nsys.stdin.read()\n";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(home.path("durward.db"));
    python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut holder = Home::start_with(&mut python);
    holder.stdout.wait_for("held");
    let refused = home.run(&["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("durward.db: the database is in use by another process"), "{refused:?}");
    holder.close_stdin();
    holder.finish();
    let _daemon = home.serve_quietly();
}

#[test]
fn a_folder_on_a_read_only_disk_is_said() {
    let base = Home::with_vault();
    let at = base.path("small");
    let Some(_small) = Small::mount(&at) else {
        assert!(!nix::unistd::geteuid().is_root(), "root can mount a tmpfs, or this test says nothing");
        return;
    };
    let home = Home::around(&at);
    let daemon = home.serve_quietly();
    assert_eq!(home.run(&["down"]).code, 0);
    assert_eq!(daemon.process.finish().code, 0);
    let remount = |how: &str| {
        let done = Command::new("mount").args(["-o", how]).arg(&at).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    remount("remount,ro");
    let refused = home.run(&["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let file = at.join("durward.lock").display().to_string();
    assert!(refused.stderr.contains(&file) && refused.stderr.contains("Read-only"), "{refused:?}");
    remount("remount,rw");
    let _daemon = home.serve_quietly();
}
