//! An owner with a vault, an approver on a terminal, an airline, and agents.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use durward_flight_agent::airline::{Account, Airline};
use durward_protocol::SecretString;
use rexpect::session::{PtySession, spawn_command};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) const VAULT_PASSWORD: &str = "correct-horse-Tr0ub4dor-battery";
pub(crate) const PASSWORD: &str = "zB7qW9mK2vL5xN8hJ4-unmistakable";
const USERNAME: &str = "ada.lovelace";
const TOTP: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// How long a browser on a loaded machine may take. Only failing tests wait that long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

pub(crate) struct Stage {
    folder: TempDir,
    runtime: Runtime,
    pub(crate) airline: Airline,
}

impl Stage {
    /// A vault with the airline's login, whose password is `password`.
    pub(crate) fn with_password(password: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("durward-flight-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let account = Account {
            username: USERNAME.to_owned(),
            password: SecretString::new(PASSWORD.to_owned()),
            totp: SecretString::new(TOTP.to_owned()),
        };
        let airline = runtime.block_on(Airline::open(account)).unwrap();
        let stage = Self { folder, runtime, airline };
        stage.pipe(&["vault", "init", "--password-stdin"], &format!("{VAULT_PASSWORD}\n"));
        let add = ["vault", "add", "skyward.localhost", "--username", USERNAME, "--password-stdin"];
        let add = [add.as_slice(), &["--from-stdin", "password", "--from-stdin", "totp"]].concat();
        stage.pipe(&add, &format!("{VAULT_PASSWORD}\n{password}\n{TOTP}\n"));
        stage
    }

    pub(crate) fn new() -> Self {
        Self::with_password(PASSWORD)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program in a bare environment.
    fn bare(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("TMPDIR", self.path("tmp"))
            .env("DURWARD_HOME", self.path("owner"))
            .env("TERM", "xterm");
        command
    }

    pub(crate) fn durward(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(&durward());
        command.args(arguments);
        command
    }

    pub(crate) fn pipe(&self, arguments: &[&str], input: &str) -> String {
        let mut command = self.durward(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// `durward up` on a terminal of its own; where it listens.
    pub(crate) fn up(&self, listen: &str) -> (PtySession, String) {
        let mut command = self.durward(&["up", "--listen", listen, "--no-control-port"]);
        if self.pipe(&["up", "--help"], "").contains("--plain") {
            command.arg("--plain"); // line by line, where `up` can fill the screen
        }
        let mut up = on_a_terminal(command);
        up.exp_string("The approver listens on http://").unwrap();
        let address = up.exp_string(". Ctrl-C stops it.").unwrap().trim().to_owned();
        (up, address)
    }

    fn agent_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(Path::new(env!("CARGO_BIN_EXE_flight-agent")));
        command
            .args(["--from", "JFK", "--to", "LHR", "--date", "2026-12-24", "--site", &self.airline.url()])
            .arg("--home")
            .arg(self.path("agent"))
            .arg("--record")
            .arg(self.path("record"))
            .args(arguments);
        command
    }

    /// The agent, asking at an approver.
    pub(crate) fn agent(&self, approver: &str) -> Flying {
        self.agent_with(approver, &[])
    }

    pub(crate) fn agent_with(&self, approver: &str, more: &[&str]) -> Flying {
        let mut command = self.agent_command(&[&["--json", "--approver", approver], more].concat());
        Flying::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// The agent on a terminal, asking there.
    pub(crate) fn local_agent(&self) -> PtySession {
        let durward = durward();
        on_a_terminal(self.agent_command(&["--mode", "local", "--durward", durward.to_str().unwrap()]))
    }

    /// Nothing the agent and its browser left holds the password, and the browser left nothing.
    pub(crate) fn assert_clean(&self) {
        for folder in ["agent", "record", "tmp"] {
            for (file, bytes) in files(&self.path(folder)) {
                let found = bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
                assert!(!found, "the password is in {}", file.display());
            }
        }
        let left: Vec<_> =
            std::fs::read_dir(self.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let ours = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("flight-agent-");
        assert!(!left.iter().any(ours), "the browser's folder is still there: {left:?}");
        assert!(!self.airline.seen().join("\n").contains(PASSWORD), "the password is in an address");
    }

    /// Waits until the airline was asked for a path.
    pub(crate) fn wait_seen(&self, request: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.airline.seen().iter().any(|seen| seen == request) {
            assert!(Instant::now() < deadline, "never saw {request}: {:?}", self.airline.seen());
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
        }
    }
}

/// Every file under a folder that may be missing.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![(path.clone(), std::fs::read(&path).unwrap_or_default())]
            }
        })
        .collect()
}

fn on_a_terminal(mut command: Command) -> PtySession {
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    spawn_command(command, Some(u64::try_from(PATIENCE.as_millis()).unwrap())).unwrap()
}

/// Beside this test in the target folder.
fn durward() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_flight-agent")).with_file_name("durward");
    assert!(program.exists(), "{} is missing: `cargo build -p durward` first", program.display());
    program
}

/// An agent that runs; killed when dropped.
pub(crate) struct Flying {
    child: Child,
    lines: Receiver<String>,
    pub(crate) said: String,
}

/// What a finished agent left.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) exit: i32,
    pub(crate) json: serde_json::Value,
    pub(crate) said: String,
}

impl Flying {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let reader = std::io::BufReader::new(stderr);
            for line in std::io::BufRead::lines(reader).map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, said: String::new() }
    }

    /// Waits for a line that begins so; what follows.
    pub(crate) fn wait_for(&mut self, start: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line
                .unwrap_or_else(|error| panic!("never said {start:?} ({error}); it said:\n{}", self.said));
            self.said.push_str(&line);
            self.said.push('\n');
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    /// The number and code it shows.
    pub(crate) fn code(&mut self) -> String {
        let rest = self.wait_for("Type this at the approver");
        rest.rsplit_once(' ').unwrap().1.to_owned()
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn land(mut self) -> Landed {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.said.push_str(&line);
            self.said.push('\n');
        }
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let exit = self.child.wait().unwrap().code().unwrap_or(-1);
        let said = std::mem::take(&mut self.said);
        assert!(!said.contains(PASSWORD) && !stdout.contains(PASSWORD), "{said}\n{stdout}");
        let json =
            serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout:?}\n{said}"));
        Landed { exit, json, said }
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
