//! An approver of its own, from this program, in a folder of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use durward_protocol::{Code, PairingNumber, SecretString, SessionId};
use durward_server::control::api;
use rand_core::Rng as _;
use serde_json::Value;

use crate::control::{Control, Failure, SecretBody};
use crate::env_vars;
use crate::os_rng;

/// How long the approver may take to answer; slow machines are slow.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// What could not be done. The selftest ends with it.
pub(super) type Broken = String;

/// The approver under attack. Killed, and its folder removed, when dropped.
pub(super) struct Stage {
    folder: tempfile::TempDir,
    server: Child,
    control: Control,
    pub(super) url: String,
    vault_password: SecretString,
    /// The password in its vault.
    pub(super) item_password: SecretString,
}

impl Stage {
    pub(super) async fn build() -> Result<Self, Broken> {
        let folder = tempfile::Builder::new().prefix("durward-selftest-").tempdir().map_err(text)?;
        let (vault_password, item_password) = (random_secret(), random_secret());
        let program = std::env::current_exe().map_err(text)?;
        let vault = vault_password.expose_secret();
        pipe(&program, folder.path(), &["vault", "init", "--password-stdin"], &format!("{vault}\n"))?;
        let add = [
            "vault",
            "add",
            "example.com",
            "--username",
            "ada",
            "--password-stdin",
            "--from-stdin",
            "password",
        ];
        let item = item_password.expose_secret();
        pipe(&program, folder.path(), &add, &format!("{vault}\n{item}\n"))?;
        let server = durward(&program, folder.path())
            .args(["serve", "--listen", "127.0.0.1:0", "--no-control-port"])
            .stderr(Stdio::null())
            .spawn()
            .map_err(text)?;
        let control = Control::at(folder.path().join("run").join("control.sock"));
        let mut stage = Self { folder, server, control, url: String::new(), vault_password, item_password };
        let status: api::Status = stage.poll("/status", Some).await?;
        stage.url = status.listen;
        Ok(stage)
    }

    /// Asks until the answer is good.
    async fn poll<T, A>(&self, path: &str, good: impl Fn(A) -> Option<T>) -> Result<T, Broken>
    where
        A: serde::de::DeserializeOwned,
    {
        let search = async {
            loop {
                if let Some(found) = self.control.get(path).await.ok().and_then(&good) {
                    return found;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, search).await.map_err(|_| format!("{path} does not answer"))
    }

    /// The owner types a code once the pairing waits. The refusal's code, if it is refused.
    pub(super) async fn enter(&self, number: PairingNumber, code: &Code) -> Result<(), String> {
        let waits = move |all: api::Pairings| all.pairings.into_iter().find(|view| view.number == number);
        self.poll("/pairings", waits).await?;
        let digits = SecretString::new(code.expose_digits().to_owned());
        let body = SecretBody::default().secret("code", &digits).set("number", number);
        let entered: Result<Value, Failure> = self.control.post("/pairings/enter", body).await;
        entered.map(drop).map_err(refusal)
    }

    /// The owner approves what waits for this session.
    pub(super) async fn approve(&self, session: SessionId) -> Result<(), String> {
        let waits =
            move |all: api::Requests| all.requests.into_iter().find(|view| view.session_id == session);
        let view = self.poll("/requests", waits).await?;
        let body = SecretBody::default()
            .secret("password", &self.vault_password)
            .set("session_id", session)
            .set("request_id", view.request_id)
            .set("verdict", "approve");
        let decided: Result<Value, Failure> = self.control.post("/requests/decide", body).await;
        decided.map(drop).map_err(refusal)
    }

    /// Whether anything of this session still waits for a decision.
    pub(super) async fn still_waits(&self, session: SessionId) -> Result<bool, String> {
        let all: api::Requests = self.control.get("/requests").await.map_err(refusal)?;
        Ok(all.requests.iter().any(|view| view.session_id == session))
    }

    /// The owner revokes a session.
    pub(super) async fn revoke(&self, session: SessionId) -> Result<(), String> {
        let body = SecretBody::default().set("session_id", session);
        let revoked: Result<Value, Failure> = self.control.post("/session/revoke", body).await;
        revoked.map(drop).map_err(refusal)
    }

    /// What `audit verify` says: records, if the chain holds.
    pub(super) async fn verify_audit(&self) -> Result<Value, String> {
        self.control.get("/audit/verify").await.map_err(refusal)
    }

    /// Every file the approver wrote.
    pub(super) fn files(&self) -> Result<Vec<Vec<u8>>, Broken> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).map_err(text)? {
                let entry = entry.map_err(text)?;
                let kind = entry.file_type().map_err(text)?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    found.push(std::fs::read(entry.path()).map_err(text)?);
                }
            }
        }
        Ok(found)
    }

    /// The secrets that must be nowhere in the open.
    pub(super) fn secrets(&self) -> [&SecretString; 2] {
        [&self.vault_password, &self.item_password]
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.server.kill(); // it has nothing that anybody needs
        let _ = self.server.wait();
    }
}

fn durward(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env(env_vars::DURWARD_HOME, home).env_remove("PORT").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn pipe(program: &Path, home: &Path, args: &[&str], input: &str) -> Result<(), Broken> {
    let mut child = durward(program, home)
        .args(args)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(text)?;
    if let Some(stdin) = &mut child.stdin {
        stdin.write_all(input.as_bytes()).map_err(text)?;
    }
    let good = child.wait().map_err(text)?.success();
    if good { Ok(()) } else { Err(format!("durward {} failed", args.join(" "))) }
}

fn random_secret() -> SecretString {
    let mut bytes = [0; 16];
    os_rng().fill_bytes(&mut bytes);
    SecretString::new(durward_protocol::hex_encode(&bytes))
}

fn refusal(failure: Failure) -> String {
    match failure {
        Failure::Refused(refusal) => refusal.error,
        Failure::NotRunning => "not_running".into(),
        other => other.to_string(),
    }
}

pub(super) fn text(error: impl std::fmt::Display) -> Broken {
    error.to_string()
}
