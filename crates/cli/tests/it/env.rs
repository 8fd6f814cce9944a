//! A home of its own for each test, and nothing else from the outside.

use std::path::{Path, PathBuf};
use std::process::Command;

use durward_protocol::SecretString;
use durward_vault::{BuiltinVault, Error, Item, Items};
use getrandom::SysRng;
use nix::sys::wait::WaitStatus;
use rand_core::UnwrapErr;
use rexpect::session::{PtySession, spawn_command};
use time::OffsetDateTime;

/// Password of the vaults that [`TestEnvironment::vault`] makes.
pub(crate) const PASSWORD: &str = "correct horse";

/// How long a terminal test waits for a text: a bound for a broken test, never a measure.
const PATIENCE_MS: u64 = 120_000;

/// A temporary home, a cleared environment, no colours.
pub(crate) struct TestEnvironment {
    home: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestEnvironment {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// Sets a variable for the commands that follow.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file into the home.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
        path.display().to_string()
    }

    /// A program of the test's own, first in `PATH`.
    pub(crate) fn program(&mut self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.file(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let rest = std::env::var("PATH").unwrap();
        self.set("PATH", &format!("{}:{rest}", self.path("bin").display()));
    }

    /// The command, ready to run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.prepare(Command::new(assert_cmd::cargo::cargo_bin!("durward")), arguments)
    }

    fn prepare(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("DURWARD_HOME", self.home())
            .env("NO_COLOR", "1")
            .env("TERM", "dumb")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home());
        command
    }

    /// Runs it to its end, with nothing on stdin.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.run_with(arguments, "")
    }

    /// Runs it to its end. No terminal is anywhere near: it has a session of its own.
    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> Finished {
        let mut alone = Command::new("setsid");
        alone.arg("--wait").arg(assert_cmd::cargo::cargo_bin!("durward"));
        let command = self.prepare(alone, arguments);
        let output = assert_cmd::Command::from_std(command).write_stdin(stdin).output().unwrap();
        Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs it on a terminal of its own.
    pub(crate) fn terminal(&self, arguments: &[&str]) -> Terminal {
        Terminal(spawn_command(self.command(arguments), Some(PATIENCE_MS)).unwrap())
    }

    /// Runs a shell line on a terminal of its own; `$DURWARD` is the program.
    pub(crate) fn shell(&self, line: &str) -> Terminal {
        let mut shell = self.prepare(Command::new("sh"), &["-c", line]);
        shell.env("DURWARD", assert_cmd::cargo::cargo_bin!("durward"));
        Terminal(spawn_command(shell, Some(PATIENCE_MS)).unwrap())
    }

    /// Makes the vault in use, cheap to open, under [`PASSWORD`].
    pub(crate) fn vault(&self, items: Vec<Item>) -> BuiltinVault {
        let vault = BuiltinVault::at(self.path("vault.age")).with_work_factor_for_tests(1);
        let password = secret(PASSWORD);
        vault.create(&password).unwrap();
        let mut items = Some(items);
        // A child that another test is about to start has a copy of the lock until it runs its program.
        while let Err(error) = vault.edit(&password, |all| {
            let at = OffsetDateTime::UNIX_EPOCH;
            let mut add = |item| all.add(item, &mut UnwrapErr(SysRng), at).map(drop);
            items.take().into_iter().flatten().try_for_each(&mut add)
        }) {
            assert!(matches!(error, Error::Busy { .. }), "{error}");
        }
        vault
    }

    /// Looks into the vault in use.
    pub(crate) fn look<T>(&self, password: &str, look: impl FnOnce(&Items) -> T) -> T {
        let open = BuiltinVault::at(self.path("vault.age")).open(&secret(password)).unwrap();
        look(open.items())
    }

    /// The text with what differs from run to run replaced, for a snapshot.
    pub(crate) fn stable(&self, text: &str) -> String {
        let text = text.replace(&self.home().display().to_string(), "[HOME]");
        let words = text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || "-:.".contains(c)));
        words.map(stable_word).collect()
    }
}

impl Finished {
    /// The one JSON object on stdout.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Everything, for a snapshot.
    pub(crate) fn screen(&self, env: &TestEnvironment) -> String {
        let (out, err) = (env.stable(&self.stdout), env.stable(&self.stderr));
        format!("exit {}\n--- stdout\n{out}--- stderr\n{err}", self.code)
    }
}

/// A command on a pseudo-terminal.
pub(crate) struct Terminal(PtySession);

impl Terminal {
    /// Waits for a text and returns what came before it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.0.exp_string(text).unwrap_or_else(|error| panic!("waiting for {text:?}: {error}"))
    }

    /// Waits for a question, then types the answer.
    pub(crate) fn answer(&mut self, question: &str, answer: &str) -> String {
        let before = self.wait_for(question);
        self.0.send_line(answer).unwrap();
        before
    }

    /// Presses Ctrl and a letter.
    pub(crate) fn control(&mut self, letter: char) {
        self.0.send_control(letter).unwrap();
    }

    /// What is left on the screen, and the exit code.
    pub(crate) fn end(mut self) -> (i32, String) {
        let rest = self.0.exp_eof().unwrap();
        let code = match self.0.process().wait().unwrap() {
            WaitStatus::Exited(_, code) => code,
            other => panic!("{other:?}"),
        };
        (code, rest.replace("\r\n", "\n"))
    }
}

/// A secret for a test.
pub(crate) fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

/// An item with address, login name and password.
pub(crate) fn login(name: &str, uri: &str, username: &str, password: &str) -> Item {
    let mut item = Item::new(name);
    item.uris = vec![uri.to_owned()];
    item.username = Some(secret(username));
    item.password = Some(secret(password));
    item
}

/// Ids and times.
fn stable_word(word: &str) -> String {
    let core = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    let rest = &word[core.len()..];
    let dashes = core.bytes().filter(|&b| b == b'-').count();
    if core.len() == 36 && dashes == 4 {
        format!("[ID]{rest}")
    } else if core.len() >= 20 && core.ends_with('Z') && core.contains('T') && core.starts_with("20") {
        format!("[TIME]{rest}")
    } else {
        word.to_owned()
    }
}
