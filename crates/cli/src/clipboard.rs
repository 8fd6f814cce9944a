//! The clipboard, through the programs that desktops have for it, cleared after a while.
//!
//! Clearing is the work of a second process: the command itself ends at once. It clears only what it was told,
//! which it learns over a pipe, so that nothing else somebody copied meanwhile is lost.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use durward_protocol::SecretString;
use zeroize::Zeroizing;

use crate::exit::{CliError, CommandResult, Exit};
use crate::programs::{self, Found};

/// How long a secret stays on the clipboard.
pub(crate) const CLEAR_AFTER_SECONDS: u64 = 45;

/// Name of the command that clears; nobody types it.
pub(crate) const CLEAR_COMMAND: &str = "clear-clipboard";

/// A program that reaches the clipboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Wayland,
    Xclip,
    Xsel,
    Mac,
}

/// Whether there is a clipboard: asked before the owner is bothered.
pub(crate) fn check() -> Result<(), CliError> {
    Tool::find().map(|_| ()).ok_or_else(|| {
        CliError::new(Exit::Other, "no_clipboard", "no clipboard can be reached from here").hint(
            "install wl-clipboard (Wayland), xclip or xsel (X11), or leave --copy out and use --field with a pipe",
        )
    })
}

/// Puts a secret on the clipboard and has it cleared after [`CLEAR_AFTER_SECONDS`].
pub(crate) fn copy_for_a_while(secret: &SecretString) -> Result<(), CliError> {
    let Some(tool) = Tool::find() else { return check() };
    let failed = |error: std::io::Error| {
        CliError::new(Exit::Other, "clipboard_failed", format!("the clipboard was not set: {error}"))
    };
    // The helper first: what nobody would clear is not copied.
    start_helper(secret).map_err(failed)?;
    tool.set(secret.expose_secret()).map_err(failed)
}

/// Clears the clipboard later; started by the program itself.
#[derive(Debug, Args)]
pub(crate) struct ClearArgs {
    /// After so many seconds.
    #[arg(long, default_value_t = CLEAR_AFTER_SECONDS)]
    after: u64,
}

/// Reads the secret from stdin, leaves the terminal's session, waits, and clears the clipboard if it still holds it.
pub(crate) fn run(args: &ClearArgs) -> CommandResult {
    let secret = SecretString::new(std::io::read_to_string(std::io::stdin()).map_err(anyhow::Error::from)?);
    #[cfg(unix)]
    let _ = nix::unistd::setsid(); // a group leader cannot: then a closed terminal ends it early
    // Nobody ever sends: this only waits.
    let (_sender, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(Duration::from_secs(args.after));
    if let Some(tool) = Tool::find()
        && tool.get().is_ok_and(|held| held == secret)
    {
        tool.clear().map_err(anyhow::Error::from)?;
    }
    Ok(Exit::success())
}

fn start_helper(secret: &SecretString) -> std::io::Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(CLEAR_COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(secret.expose_secret().as_bytes()),
        None => Ok(()),
    }
}

impl Tool {
    fn find() -> Option<Self> {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if cfg!(target_os = "macos") {
            return installed("pbcopy").then_some(Self::Mac);
        }
        if set(crate::env_vars::WAYLAND_DISPLAY) && installed("wl-copy") {
            return Some(Self::Wayland);
        }
        if !set(crate::env_vars::DISPLAY) {
            return None;
        }
        [(Self::Xclip, "xclip"), (Self::Xsel, "xsel")]
            .into_iter()
            .find_map(|(tool, program)| installed(program).then_some(tool))
    }

    fn set(self, text: &str) -> std::io::Result<()> {
        let (program, arguments): (_, &[&str]) = match self {
            Self::Wayland => ("wl-copy", &[]),
            Self::Xclip => ("xclip", &["-selection", "clipboard", "-in"]),
            Self::Xsel => ("xsel", &["--clipboard", "--input"]),
            Self::Mac => ("pbcopy", &[]),
        };
        feed(program, arguments, text)
    }

    fn get(self) -> std::io::Result<SecretString> {
        let (program, arguments): (_, &[&str]) = match self {
            Self::Wayland => ("wl-paste", &["--no-newline"]),
            Self::Xclip => ("xclip", &["-selection", "clipboard", "-out"]),
            Self::Xsel => ("xsel", &["--clipboard", "--output"]),
            Self::Mac => ("pbpaste", &[]),
        };
        let output =
            Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output()?;
        let bytes = Zeroizing::new(output.stdout);
        Ok(SecretString::new(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn clear(self) -> std::io::Result<()> {
        match self {
            Self::Wayland => feed("wl-copy", &["--clear"], ""),
            Self::Xsel => feed("xsel", &["--clipboard", "--clear"], ""),
            Self::Xclip | Self::Mac => self.set(""),
        }
    }
}

/// Runs a program with a text on its stdin. These programs stay in the background and own the selection: their
/// output must not be a pipe of ours.
fn feed(program: &str, arguments: &[&str], text: &str) -> std::io::Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(text.as_bytes()));
    let status = child.wait()?;
    // A program that failed says more than the broken pipe that followed.
    if !status.success() {
        return Err(std::io::Error::other(format!("{program} ended with {status}")));
    }
    written
}

fn installed(program: &str) -> bool {
    programs::find(program) == Found::Runnable
}
