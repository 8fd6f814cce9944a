//! `durward serve`, its owner, and what the kernel says of it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use durward_protocol::SecretString;
use durward_testkit::wire::{Wire, WireAgent};
use durward_vault::{BuiltinVault, Item};
use rand::CryptoRng;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const DOMAIN: &str = "example.com";
const PASSWORD: &str = "correct horse battery staple";

pub(crate) struct Approver {
    child: Child,
    pub(crate) listen: SocketAddr,
    home: TempDir,
}

/// A `durward` in a bare environment, on this home.
pub(crate) fn durward(home: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_durward"));
    command.env_clear().env("DURWARD_HOME", home).stdin(Stdio::null());
    command
}

impl Approver {
    /// With one item in its vault, listening on a free port. Its log goes to a file, as under a service manager.
    pub(crate) fn start() -> Self {
        let home = tempfile::Builder::new().prefix("durward-bench-").tempdir().unwrap();
        let vault = BuiltinVault::at(home.path().join("vault.age")).with_work_factor_for_tests(1);
        let password = SecretString::new(PASSWORD.into());
        vault.create(&password).unwrap();
        let fill = |items: &mut durward_vault::Items| {
            let mut item = Item::new(DOMAIN);
            item.uris.push(DOMAIN.into());
            item.username = Some(SecretString::new("ada.lovelace".into()));
            item.password = Some(SecretString::new("zB7!qW9#mK2$vL5^".into()));
            items.add(item, &mut rand::rng(), time::OffsetDateTime::UNIX_EPOCH)
        };
        vault.edit(&password, |items| fill(items).map(drop)).unwrap();
        let mut command = durward(home.path());
        command.args(["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let listen = loop {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the approver has ended");
            if let Some((_, rest)) = line.split_once("listen=") {
                break rest.split(' ').next().unwrap().parse().unwrap();
            }
        };
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        Self { child, listen, home }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().to_owned()
    }

    pub(crate) fn owner(&self) -> Wire<std::os::unix::net::UnixStream> {
        Wire::control(&self.home.path().join("run/control.sock")).unwrap()
    }

    pub(crate) fn call(&self, path: &str, body: &Value) -> Value {
        self.owner().post(path, body).unwrap().good().unwrap()
    }

    pub(crate) fn unlock(&self) {
        self.call("/vault/unlock", &json!({ "password": PASSWORD, "seconds": 7_200 }));
    }

    pub(crate) fn pair(&self, count: usize, rng: &mut impl CryptoRng) -> Vec<WireAgent> {
        let (mut agents, mut owner) = (Wire::agent_plane(self.listen).unwrap(), self.owner());
        (0..count)
            .map(|n| WireAgent::pair(&mut agents, &mut owner, &format!("bench-{n}"), rng).unwrap())
            .collect()
    }

    /// Asks once and has the owner approve for the whole session.
    pub(crate) fn grant(&self, agent: &WireAgent, rng: &mut impl CryptoRng) {
        let (_, body) = agent.request(DOMAIN, time::OffsetDateTime::now_utc(), rng).unwrap();
        let mut wire = Wire::agent_plane(self.listen).unwrap();
        wire.send("POST", "/credential/request", "", &body).unwrap();
        self.approve_all();
        agent.verdict(&wire.receive().unwrap()).unwrap();
    }

    /// Waits for a request and approves what waits, with a grant for the session.
    pub(crate) fn approve_all(&self) {
        let mut owner = self.owner();
        let waiting = loop {
            let list: Value = owner.get("/requests?all=true").unwrap();
            let waiting = list["requests"].as_array().unwrap().clone();
            if !waiting.is_empty() {
                break waiting;
            }
        };
        for request in waiting {
            let decision = json!({
                "session_id": request["session_id"], "request_id": request["request_id"],
                "verdict": "approve", "grant": { "kind": "session" },
            });
            let _: Value = owner.post("/requests/decide", &decision).unwrap().good().unwrap();
        }
    }

    /// Uses of all grants.
    pub(crate) fn uses(&self) -> u64 {
        let list: Value = self.owner().get("/grants").unwrap();
        list["grants"].as_array().unwrap().iter().map(|grant| grant["uses"].as_u64().unwrap()).sum()
    }

    /// The audit chain holds.
    pub(crate) fn verify(&self) {
        let verdict: Value = self.owner().get("/audit/verify").unwrap();
        assert_eq!(verdict["ok"], true, "{verdict}");
    }

    /// CPU time of the process.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        number_after(&status, "VmRSS:")
    }

    /// What of it is its own: not pages of the program's file, which the system takes back when it needs them. KiB.
    pub(crate) fn own_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        number_after(&status, "RssAnon:")
    }

    /// How often its threads went to sleep, which is how often they were woken.
    pub(crate) fn switches(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks
            .map(|task| {
                let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
                if status.is_empty() { 0 } else { number_after(&status, "\nvoluntary_ctxt_switches:") }
            })
            .sum()
    }
}

impl Drop for Approver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn number_after(text: &str, label: &str) -> u64 {
    let rest = text.split_once(label).unwrap().1;
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// proc(5): fields 14 and 15, user and system time in ticks of 10 ms; the name before may hold blanks.
pub(crate) fn cpu_of(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
