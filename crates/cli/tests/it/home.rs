//! An owner's folder and an agent's, and the processes that run in them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use durward_protocol::{SecretString, TypedCode};
use durward_vault::{BuiltinVault, Item};
use serde_json::Value;
use tempfile::TempDir;

use crate::stream::Stream;

pub(crate) const VAULT_PASSWORD: &str = "correct-horse-Tr0ub4dor-battery";
pub(crate) const USERNAME: &str = "ada.lovelace@analytical.example";
pub(crate) const PASSWORD: &str = "zB7!qW9#mK2$vL5^xN8&hJ4*";

/// A folder for one `DURWARD_HOME`.
pub(crate) struct Home {
    folder: PathBuf,
    _own: Option<TempDir>,
}

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What a snapshot shows.
    pub(crate) fn shown(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Home {
    /// Nothing in it.
    pub(crate) fn empty() -> Self {
        let own = tempfile::Builder::new().prefix("durward-").tempdir().unwrap();
        Self { folder: own.path().to_owned(), _own: Some(own) }
    }

    /// A folder that is there.
    pub(crate) fn around(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), _own: None }
    }

    /// With a vault that holds one item for example.com and one for db.internal.
    pub(crate) fn with_vault() -> Self {
        let home = Self::empty();
        let vault = BuiltinVault::at(home.path("vault.age")).with_work_factor_for_tests(1);
        let password = SecretString::new(VAULT_PASSWORD.to_owned());
        vault.create(&password).unwrap();
        // A process that another test starts at this moment holds a copy of the lock until it execs.
        while let Err(error) = vault.edit(&password, fill) {
            assert!(matches!(error, durward_vault::Error::Busy { .. }), "{error}");
            std::thread::yield_now();
        }
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file of its owner's.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let mut file = std::fs::File::create(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// A command in a bare environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_durward"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("DURWARD_HOME", self.folder())
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).finish()
    }

    /// With so much on its stdin.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Finished {
        let mut process = Self::start_with(self.command(arguments).stdin(Stdio::piped()));
        process.say(input);
        process.close_stdin();
        process.finish()
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        Self::start_with(&mut self.command(arguments))
    }

    pub(crate) fn start_with(command: &mut Command) -> Process {
        let mut child = command.spawn().unwrap();
        let stdout = Stream::of(child.stdout.take().unwrap());
        let stderr = Stream::of(child.stderr.take().unwrap());
        Process { stdin: child.stdin.take(), child, stdout, stderr }
    }

    /// The server on free ports, logging everything.
    pub(crate) fn serve(&self) -> Daemon {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, more: &[&str]) -> Daemon {
        let arguments = [&["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"], more].concat();
        Self::served(Self::start_with(self.command(&arguments).env("DURWARD_LOG", "trace")))
    }

    /// Logging only what it says of itself.
    pub(crate) fn serve_quietly(&self) -> Daemon {
        Self::served(self.start(&["serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]))
    }

    pub(crate) fn served(process: Process) -> Daemon {
        let (listen, control) = process.stderr.wait("the server's addresses", addresses);
        Daemon { process, listen, control }
    }

    /// On this address of the agent plane.
    pub(crate) fn serve_at(&self, listen: &str) -> Daemon {
        Self::served(self.start(&["serve", "--listen", listen, "--control", "127.0.0.1:0"]))
    }

    /// Asks until an approver answers.
    pub(crate) fn wait_running(&self) {
        assert!((0..500).any(|_| self.run(&["status"]).code == 0), "no approver runs here");
    }

    /// An approver over a pipe.
    pub(crate) fn approve(&self) -> Process {
        Self::start_with(self.command(&["approve"]).stdin(Stdio::piped()))
    }

    /// A `--json` command that must succeed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let finished = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(finished.code, 0, "{arguments:?} {finished:?}");
        finished.json()
    }

    /// Asks until the answer is there. Each question is a process, so this spins slowly.
    pub(crate) fn wait_json<T>(&self, arguments: &[&str], found: impl Fn(&Value) -> Option<T>) -> T {
        for _ in 0..500 {
            if let Some(value) = found(&self.json(arguments)) {
                return value;
            }
        }
        panic!("{arguments:?} never said it: {}", self.json(arguments));
    }

    /// Waits until so many requests wait for the owner.
    pub(crate) fn wait_requests(&self, count: usize) -> Vec<Value> {
        self.wait_json(&["requests"], |list| {
            list["requests"].as_array().filter(|requests| requests.len() >= count).cloned()
        })
    }

    /// The owner types a code.
    pub(crate) fn enter(&self, number_code: &str) -> Finished {
        self.run_with(&["pairing", "enter", "--code-stdin", "--json"], &format!("{number_code}\n"))
    }

    /// The owner approves the oldest request.
    pub(crate) fn approve_first(&self) -> Finished {
        self.wait_requests(1);
        self.run_with(
            &["requests", "--json", "approve", "1", "--password-stdin"],
            &format!("{VAULT_PASSWORD}\n"),
        )
    }

    /// Recomputes the audit chain; the number of records.
    pub(crate) fn audit_holds(&self) -> u64 {
        let verdict = self.run(&["audit", "--json", "verify"]);
        assert_eq!(verdict.code, 0, "{verdict:?}");
        verdict.json()["records"].as_u64().unwrap()
    }
}

fn addresses(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line = log.lines().find(|line| line.contains("serving; answer with"))?;
    let after = |label: &str| line.split_once(label).map(|(_, rest)| rest.to_owned());
    let (listen, control) = (after("listen=")?, after("control=Some(")?);
    Some((listen.split(' ').next()?.parse().ok()?, control.split(')').next()?.parse().ok()?))
}

/// A process that runs; killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
    stdin: Option<std::process::ChildStdin>,
}

impl Process {
    /// Writes to its stdin.
    pub(crate) fn say(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        let _ = stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()); // it may have ended
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn finish(mut self) -> Finished {
        let (stdout, stderr) = (self.stdout.to_end(), self.stderr.to_end());
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Finished { code, stdout, stderr }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// The number-code in the agent's box.
    pub(crate) fn code(&self) -> String {
        self.stderr.wait("a code", |text| {
            let mut lines = text.lines().map(|line| line.trim().trim_matches('│').trim());
            lines.find(|line| line.contains('-') && line.parse::<TypedCode>().is_ok()).map(str::to_owned)
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server that runs.
pub(crate) struct Daemon {
    pub(crate) process: Process,
    /// The agent plane.
    pub(crate) listen: SocketAddr,
    /// The control port.
    pub(crate) control: SocketAddr,
}

impl Daemon {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// `VmRSS` in kB.
    #[cfg(target_os = "linux")]
    pub(crate) fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }
}

/// Another six digits.
pub(crate) fn other_code(number_code: &str) -> String {
    let (number, code) = number_code.split_once('-').unwrap();
    let code: u32 = code.parse().unwrap();
    format!("{number}-{}", 100_000 + (code - 100_000 + 1) % 900_000)
}

fn fill(items: &mut durward_vault::Items) -> Result<(), durward_vault::Error> {
    for domain in ["example.com", "db.internal"] {
        let mut item = Item::new(domain);
        item.uris.push(domain.to_owned());
        item.username = Some(SecretString::new(USERNAME.to_owned()));
        item.password = Some(SecretString::new(PASSWORD.to_owned()));
        items.add(item, &mut rand::rng(), time::OffsetDateTime::UNIX_EPOCH)?;
    }
    Ok(())
}
