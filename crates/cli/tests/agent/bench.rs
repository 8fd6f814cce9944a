//! One home folder, one approver, and an owner who types what the agent shows.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};

use durward_client::{Clock as _, SystemClock};
use durward_protocol::{Scope, TypedCode};
use durward_testkit::approver::Approver;
use durward_testkit::http::{Served, serve};
use rexpect::session::{PtySession, spawn_command};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long a terminal may take to show something; slow machines are slow.
const PATIENCE_MS: u64 = 60_000;

pub(crate) struct Bench {
    pub(crate) home: TempDir,
    served: Served,
    approver: Arc<Mutex<Approver>>,
}

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let approver = Arc::new(Mutex::new(Approver::new(3)));
        let handler = Arc::clone(&approver);
        let served = serve(move |call| Some(handler.lock().unwrap().handle(&call, SystemClock.now())));
        Self { home: tempfile::tempdir().unwrap(), served: served.await.unwrap(), approver }
    }

    /// One that has paired the default profile.
    pub(crate) async fn paired() -> Self {
        let bench = Self::new().await;
        let paired = bench.pair_and(&["request", "example.com", "--reason", "first"]).await;
        assert_eq!(paired.code, 0, "{paired:?}");
        bench
    }

    pub(crate) fn approver(&self) -> MutexGuard<'_, Approver> {
        self.approver.lock().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_durward"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("DURWARD_HOME", self.home.path())
            .env("DURWARD_APPROVER", self.served.url())
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts it on a terminal of its own.
    pub(crate) fn on_terminal(&self, arguments: &[&str]) -> PtySession {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_durward"));
        command
            .args(arguments)
            .env_clear()
            .env("DURWARD_HOME", self.home.path())
            .env("DURWARD_APPROVER", self.served.url())
            .env("NO_COLOR", "1")
            .env("TERM", "xterm");
        spawn_command(command, Some(PATIENCE_MS)).unwrap()
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments).spawn().unwrap(), String::new()).await
    }

    pub(crate) async fn run_with_input(&self, arguments: &[&str], input: &str) -> Finished {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        finish(child, String::new()).await
    }

    /// Runs a command that has to pair; the owner types the code from its stderr.
    pub(crate) async fn pair_and(&self, arguments: &[&str]) -> Finished {
        self.pair_typing(arguments, str::to_owned).await
    }

    pub(crate) async fn pair_typing(&self, arguments: &[&str], typed: impl Fn(&str) -> String) -> Finished {
        self.pair_child(self.command(arguments).spawn().unwrap(), typed, None).await
    }

    /// Pairs, with a scope that the owner chooses.
    pub(crate) async fn pair_child(
        &self,
        mut child: Child,
        typed: impl Fn(&str) -> String,
        scope: Option<Scope>,
    ) -> Finished {
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            seen.push_str(&line);
            seen.push('\n');
            let boxed = line.trim().trim_matches('│').trim();
            if let Ok(TypedCode { number: Some(number), code }) = boxed.parse() {
                self.approver().type_code(number, &typed(code.expose_digits()), scope.clone());
            }
        }
        finish(child, seen).await
    }
}

pub(crate) async fn finish(mut child: Child, mut stderr: String) -> Finished {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let mut stdout = String::new();
    let read_out = async {
        if let Some(mut out) = out {
            out.read_to_string(&mut stdout).await.unwrap();
        }
    };
    let read_err = async {
        if let Some(mut err) = err {
            err.read_to_string(&mut stderr).await.unwrap();
        }
    };
    tokio::join!(read_out, read_err);
    let code = child.wait().await.unwrap().code().unwrap_or(-1);
    Finished { code, stdout, stderr }
}
