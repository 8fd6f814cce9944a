//! A Chromium of one's own: an empty profile in a temporary folder, no port, and nothing left behind.

mod page;
mod pipe;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::{Child, Command};

use crate::ending::Ending;
use pipe::Pipe;

/// Chromium reads commands on 3 and writes answers on 4.
const COMMANDS_FD: i32 = 3;
const MESSAGES_FD: i32 = 4;

const PROGRAMS: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

const FLAGS: [&str; 14] = [
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    // No crash report may hold a page that a password is being typed into.
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--disable-features=PasswordLeakDetection,PasswordManagerOnboarding,Translate,MediaRouter,OptimizationHints",
    "--password-store=basic",
    "--no-first-run",
    "--no-default-browser-check",
];

/// How Chromium is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The program; else the first known name in `PATH`.
    pub program: Option<PathBuf>,
    /// With a window.
    pub window: bool,
}

/// What can go wrong between this process and Chromium.
#[derive(Debug)]
enum BrowserError {
    /// It does not take a command.
    Refused(String),
    /// It does not answer.
    Silent(String),
    /// It cannot be talked to any more.
    Broken(String),
}

impl From<BrowserError> for Ending {
    fn from(error: BrowserError) -> Self {
        Self::other(match error {
            BrowserError::Refused(why) => format!("The browser refused a command: {why}."),
            BrowserError::Silent(method) => format!("The browser did not answer {method} within a minute."),
            BrowserError::Broken(why) => format!("The browser cannot be used any more: {why}."),
        })
    }
}

/// A running browser with one page. Killed when dropped, and its folder removed.
#[derive(Debug)]
pub struct Browser {
    pipe: Pipe,
    child: Child,
    _folder: TempDir,
}

impl Browser {
    /// Starts it and attaches to its page.
    pub async fn start(options: &Options) -> Result<Self, Ending> {
        let program = options.program.clone().or_else(find).ok_or_else(|| {
            Ending::usage(
                "There is no Chromium here. Install one (Debian: apt-get install chromium), or name it with --browser.",
            )
        })?;
        let folder = tempfile::Builder::new()
            .prefix("flight-agent-")
            .tempdir()
            .map_err(|error| Ending::other(format!("Cannot make a temporary folder: {error}.")))?;
        let (child, mut pipe) = spawn(&program, options, folder.path())
            .map_err(|error| Ending::other(format!("Cannot start {}: {error}.", program.display())))?;
        attach(&mut pipe).await?;
        Ok(Self { pipe, child, _folder: folder })
    }

    /// Closes it and waits, so that the folder can go.
    pub async fn close(mut self) {
        let nothing = json!({});
        let asked = self.pipe.call("Browser.close", &nothing);
        let _ = tokio::time::timeout(Duration::from_secs(5), asked).await; // it may be gone already
        if tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

async fn attach(pipe: &mut Pipe) -> Result<(), Ending> {
    let made = pipe.call("Target.createTarget", &json!({ "url": "about:blank" })).await?;
    let attached =
        pipe.call("Target.attachToTarget", &json!({ "targetId": made["targetId"], "flatten": true })).await?;
    let session = attached["sessionId"].as_str().unwrap_or_default().to_owned();
    pipe.attach(session);
    Ok(())
}

fn spawn(program: &Path, options: &Options, folder: &Path) -> std::io::Result<(Child, Pipe)> {
    let (their_commands, our_commands) = std::io::pipe()?;
    let (our_messages, their_messages) = std::io::pipe()?;
    let mut command = Command::new(program);
    command.args(FLAGS).arg(format!("--user-data-dir={}", folder.join("profile").display()));
    if !options.window {
        command.arg("--headless");
    }
    if runs_as_root(folder)? {
        command.arg("--no-sandbox"); // Chromium's sandbox does not start for root
    }
    command
        .arg("about:blank")
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
        .fd_mappings(vec![
            FdMapping { parent_fd: OwnedFd::from(their_commands), child_fd: COMMANDS_FD },
            FdMapping { parent_fd: OwnedFd::from(their_messages), child_fd: MESSAGES_FD },
        ])
        .map_err(std::io::Error::other)?;
    let child = command.spawn()?;
    let pipe = Pipe::new(
        Sender::from_owned_fd(OwnedFd::from(our_commands))?,
        Receiver::from_owned_fd(OwnedFd::from(our_messages))?,
    );
    Ok((child, pipe))
}

/// Files belong to whom this process runs as.
fn runs_as_root(own: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(std::fs::metadata(own)?.uid() == 0)
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    PROGRAMS
        .iter()
        .find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()))
}
