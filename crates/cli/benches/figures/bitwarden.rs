//! `bw` as a whole process over a vault that was synced before; the server is gone, because none of this asks it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use durward_bitwarden::crypto::{Kdf, MasterKey};
use durward_testkit::bitwarden::{Account, AccountSpec, BitwardenServer, Flavour, ItemSpec};
use nix::sys::resource::{UsageWho, getrusage};
use secrecy::SecretString;

use super::load::median;
use super::process::measure;
use super::table::Table;

/// The first argument under which this bench runs another program and tells how much memory that took. A program's
/// peak counts from its parent's size at the start, so the parent is a small process of its own.
pub(crate) const PEAK: &str = "--peak-of";

const EMAIL: &str = "bench@example.com";
const PASSWORD: &str = "correct horse battery staple";
/// Unlocks and bare derivations, one beside the other.
const UNLOCKS: usize = 30;
/// What each kind of process may hold beside the derivation's own memory, in MiB.
const MEMORY: f64 = 20.0;
const ARGON_MIB: u32 = 64;

/// Runs the rest of the arguments; prints the peak in KiB.
pub(crate) fn peak_of(arguments: &[String]) {
    let (program, rest) = arguments.split_first().unwrap();
    assert!(Command::new(program).args(rest).stdout(Stdio::null()).status().unwrap().success());
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss());
}

/// A data folder with an unlocked vault.
struct Desk {
    folder: tempfile::TempDir,
    session: String,
}

impl Desk {
    fn new(items: usize, kdf: Kdf) -> Self {
        let mut spec = AccountSpec::quick(EMAIL, PASSWORD);
        spec.kdf = kdf;
        let mut account = Account::new(spec);
        for n in 0..items {
            let uri = format!("https://site-{n}.example.com/login");
            let mut item =
                ItemSpec::login(&format!("Site {n}"), &format!("user{n}"), &format!("secret-{n}"), &uri);
            (item.own_key, item.shared, item.in_folder) = (n % 3 == 1, n % 5 == 2, n % 2 == 0);
            account.contents.add(&item);
        }
        let server = BitwardenServer::start(Flavour::Vaultwarden, vec![account]);
        let mut desk = Self { folder: tempfile::tempdir().unwrap(), session: String::new() };
        std::fs::write(desk.folder.path().join("ca.pem"), server.ca_pem()).unwrap();
        desk.output(&["config", "server", &server.url()]);
        desk.session = desk.output(&["login", EMAIL, PASSWORD, "--raw"]);
        desk
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bw"));
        command.args(arguments);
        self.dress(&mut command);
        command
    }

    fn dress(&self, command: &mut Command) {
        let path: &Path = self.folder.path();
        command.env_clear().env("HOME", path).env("BITWARDENCLI_APPDATA_DIR", path.join("data"));
        command.env("NODE_EXTRA_CA_CERTS", path.join("ca.pem")).env("BW_NOINTERACTION", "true");
        command.env("BW_SESSION", &self.session).stdin(Stdio::null());
    }

    fn output(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The most memory it held, in MiB.
    fn peak(&self, arguments: &[&str]) -> f64 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(PEAK).arg(env!("CARGO_BIN_EXE_bw")).args(arguments);
        self.dress(&mut command);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap() / 1024.0
    }

    fn get(&self, table: &mut Table, name: &str, goal: f64, arguments: &[&str], secret: &str) {
        assert_eq!(self.output(arguments), secret);
        let (wall, cpu) = measure(|| self.command(arguments));
        table.put(name, Some(goal), wall, "ms", None);
        table.put(&format!("{name}, CPU"), None, cpu, "ms", None);
    }

    /// An unlock beside the bare derivation, in turn.
    fn unlock(&self, table: &mut Table, name: &str, kdf: Kdf) {
        let password = SecretString::from(PASSWORD);
        let timed = |work: &mut dyn FnMut()| {
            let started = Instant::now();
            work();
            started.elapsed()
        };
        let pairs: Vec<(Duration, Duration)> = (0..UNLOCKS)
            .map(|_| {
                let bare = timed(&mut || drop(MasterKey::derive(&password, EMAIL, kdf).unwrap()));
                (bare, timed(&mut || drop(self.output(&["unlock", PASSWORD, "--raw"]))))
            })
            .collect();
        let bare = median(pairs.iter().map(|(bare, _)| *bare));
        let whole = median(pairs.iter().map(|(_, whole)| *whole));
        table.put(&format!("bare derivation, {name}"), None, bare, "ms", None);
        table.put(&format!("bw unlock, {name}"), Some(bare * 1.15), whole, "ms", Some(whole / bare));
    }
}

pub(crate) fn figures(table: &mut Table) {
    let pbkdf2 = Kdf::new(0, 600_000, None, None).unwrap();
    let argon2 = Kdf::new(1, 3, Some(ARGON_MIB.into()), Some(4)).unwrap();
    let (small, large) = (Desk::new(62, pbkdf2), Desk::new(2_000, argon2));

    let (floor, _) = measure(|| Command::new("/bin/true"));
    let (version, _) = measure(|| small.command(&["--version"]));
    table.put("bw --version", Some(4.5), version, "ms", Some(version / floor));
    table.put("bw --version, peak memory", Some(8.0), small.peak(&["--version"]), "MiB", None);
    small.get(table, "bw get, one of 62", 6.0, &["get", "password", "site-7.example.com"], "secret-7");
    let found = ["get", "password", "site-1990.example.com"];
    large.get(table, "bw get, one of 2,000, by host", 15.0, &found, "secret-1990");
    large.get(
        table,
        "bw get, one of 2,000, by words",
        15.0,
        &["get", "password", "site 1990"],
        "secret-1990",
    );
    let id = ["get", "password", "00000000-0000-4000-8000-0000000007c7"];
    large.get(table, "bw get, one of 2,000, by id", 15.0, &id, "secret-1990");
    table.put("the same by host, peak memory", Some(MEMORY), large.peak(&found), "MiB", None);
    small.unlock(table, "PBKDF2 600,000", pbkdf2);
    large.unlock(table, "Argon2id 64 MiB, 3, 4", argon2);
    let peak = large.peak(&["unlock", PASSWORD, "--raw"]) - f64::from(ARGON_MIB);
    table.put("bw unlock, peak beside Argon2id's own", Some(MEMORY), peak, "MiB", None);
}
