//! Clocks that jump under a running approver, by libfaketime: what NTP does to the wall clock, and what a
//! suspended machine does to both.
#![cfg(target_os = "linux")]

use std::path::PathBuf;

use durward_protocol::RequestId;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::home::{Daemon, Home};
use crate::wire::{Owner, Session, call, post};

/// Which clocks follow the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follows {
    Wall,
    All,
}

/// The library; scripts/setup-tests.sh installs it.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut found =
        folders.map(|folder| folder.join("faketime/libfaketime.so.1")).filter(|path| path.exists());
    found.next().expect("libfaketime is not installed: run scripts/setup-tests.sh")
}

fn set_clock(home: &Home, offset: &str) {
    let next = home.path("clock.next");
    let mut file = std::fs::File::create(&next).unwrap();
    std::io::Write::write_all(&mut file, offset.as_bytes()).unwrap();
    std::fs::rename(next, home.path("clock")).unwrap();
}

fn serve(home: &Home, follows: Follows) -> Daemon {
    set_clock(home, "+0");
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    command
        .env("LD_PRELOAD", library())
        .env("FAKETIME_TIMESTAMP_FILE", home.path("clock"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_RESET", "1");
    if follows == Follows::Wall {
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    Home::served(Home::start_with(&mut command))
}

fn sessions(owner: &Owner) -> usize {
    owner.get("/sessions").unwrap()["sessions"].as_array().unwrap().len()
}

#[test]
fn a_wall_clock_that_is_set_ends_nothing() {
    let home = Home::with_vault();
    let daemon = serve(&home, Follows::Wall);
    let (owner, mut rng) = (Owner::of(&home, &daemon), StdRng::seed_from_u64(1));
    let session = Session::pair(daemon.listen, &owner, "agent", &mut rng).unwrap();
    let mut ask = |domain: &str| {
        let request = session.ask(RequestId::random(&mut rng), domain, &mut rng);
        post(daemon.listen, "/credential/request", 0, &request).unwrap()
    };
    assert_eq!(ask("example.com").status, 202);
    // Back by an hour, on by two days: lifetimes are counted by the clock that nobody sets.
    for offset in ["-3600", "+172800"] {
        set_clock(&home, offset);
        assert_eq!(sessions(&owner), 1, "{offset}");
        assert_eq!(owner.get("/requests").unwrap()["requests"].as_array().unwrap().len(), 1, "{offset}");
        let refused = ask("db.internal");
        assert_eq!(refused.error(), "stale_timestamp", "{offset}: {refused:?}");
    }
    set_clock(&home, "+0");
    assert_eq!(ask("db.internal").status, 202, "and it goes on when the clock is right");
    assert_eq!(home.run(&["down"]).code, 0);
    assert_eq!(daemon.process.finish().code, 0);
    home.audit_holds();
}

#[test]
fn time_spent_suspended_counts() {
    let home = Home::with_vault();
    let daemon = serve(&home, Follows::All);
    let (owner, mut rng) = (Owner::of(&home, &daemon), StdRng::seed_from_u64(1));
    let session = Session::pair(daemon.listen, &owner, "agent", &mut rng).unwrap();
    assert_eq!(sessions(&owner), 1);
    set_clock(&home, "+90000"); // 25 hours
    assert_eq!(sessions(&owner), 0, "it woke up after the session's end");
    let request = session.ask(RequestId::random(&mut rng), "example.com", &mut rng);
    let refused = post(daemon.listen, "/credential/request", 0, &request).unwrap();
    assert_ne!(refused.status, 202, "{refused:?}");
    assert_eq!(call(daemon.listen, "GET", "/health", &[], b"").unwrap().status, 200);
    assert_eq!(home.run(&["down"]).code, 0);
    assert_eq!(daemon.process.finish().code, 0);
    set_clock(&home, "+0");
    home.audit_holds();
}
