//! Reads a process's memory after a release and after a lock, and looks for what should be gone.
//!
//! The process is this test program again, as a child that plays the approver: it opens the Bitwarden provider,
//! reads one item, reports, drops everything, reports again. Linux lets a parent read its child's memory where
//! ptrace is not restricted further.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::process::{Command, Stdio};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use durward_protocol::{Domain, Field, SecretString};
use durward_testkit::bitwarden::{Flavour, ItemSpec};
use durward_vault::{BitwardenVault, Vault as _};
use secrecy::ExposeSecret as _;

use crate::bw_harness::{Desk, PASSWORD, PLAIN_PASSWORD, account};

const CHILD: &str = "BW_MEMORY_CHILD";

/// The approver's part; does nothing in the parent's run.
#[test]
fn child() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let (mut lines, mut out) = (std::io::stdin().lines(), std::io::stdout());
    let mut step = |name: &str| {
        writeln!(out, "@{name}").unwrap();
        out.flush().unwrap();
        lines.next().unwrap().unwrap()
    };
    // The password comes over the pipe, so that it is in no argument and no variable.
    let password = SecretString::new(step("password"));
    let vault = BitwardenVault::at(folder);
    let open = vault.unlock(&password).unwrap();
    drop(password);
    step("open");
    let domain = Domain::parse("login.example.com").unwrap();
    let item = open.find(&domain).unwrap().remove(0).item_id;
    let at = time::OffsetDateTime::UNIX_EPOCH;
    let credential = open.read(&item, &[Field::Password], &domain, at).unwrap();
    assert!(credential.password.is_some());
    drop(credential);
    step("released");
    drop(open);
    step("locked");
}

#[test]
fn nothing_is_left_after_a_release_and_a_lock() {
    // More than the provider decrypts on one thread.
    let mut account = account();
    for n in 0..100 {
        account.contents.add(&ItemSpec::login(
            &format!("filler {n}"),
            "u",
            "filler",
            "https://filler.example",
        ));
    }
    let desk = Desk::with(Flavour::Vaultwarden, vec![account]);
    desk.login();
    desk.run(&["lock"]);
    let user_key =
        STANDARD.decode(desk.server.world().accounts[0].user_key().expose_base64().expose_secret()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "bw_memory::child", "--nocapture", "--test-threads=1"])
        .env(CHILD, desk.data())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until = |name: &str| {
        let wanted = format!("@{name}");
        assert!(lines.any(|l| l.unwrap().ends_with(&wanted)), "the child ended before {name}");
    };
    let mut say = |text: &str| writeln!(stdin, "{text}").unwrap();

    until("password");
    say(PASSWORD);
    until("open");
    let Some(found) = search(child.id(), &[&user_key]) else {
        let _ = child.kill();
        let _ = child.wait();
        panic!(
            "THE MEMORY OF A CHILD PROCESS MAY NOT BE READ HERE, so nothing was proven. Run this test as root or with \
             CAP_SYS_PTRACE (in a container: --cap-add SYS_PTRACE)."
        );
    };
    assert_eq!(found, [true], "the search finds a key that is there; else it would prove nothing");
    say("");
    until("released");
    let password = PASSWORD.as_bytes();
    let item = PLAIN_PASSWORD.as_bytes();
    assert_eq!(search(child.id(), &[password, item]).unwrap(), [false, false], "after the release");
    say("");
    until("locked");
    let (enc, mac) = user_key.split_at(32);
    assert_eq!(
        search(child.id(), &[password, item, &user_key, enc, mac]).unwrap(),
        [false; 5],
        "password, item password, user key and its halves after the lock"
    );
    say("");
    assert!(child.wait().unwrap().success());
}

/// Whether each needle is in any writable part of the process's memory. `None` when it may not be read.
fn search(pid: u32, needles: &[&[u8]]) -> Option<Vec<bool>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut found = vec![false; needles.len()];
    let mut read_any = false;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        let mut bytes = vec![0; usize::try_from(to - from).ok()?];
        memory.seek(SeekFrom::Start(from)).ok()?;
        if memory.read_exact(&mut bytes).is_err() {
            continue;
        }
        read_any = true;
        for (needle, found) in needles.iter().zip(&mut found) {
            *found |= bytes.windows(needle.len()).any(|w| w == *needle);
        }
    }
    read_any.then_some(found)
}
