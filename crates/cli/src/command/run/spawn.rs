//! The child: its environment, its streams, its signals, its exit code.

use std::path::Path;
use std::process::{ExitCode, ExitStatus, Stdio};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::Environment;
use super::mask::Mask;
use crate::exit::{CliError, CommandResult, Exit};

/// As shells say it: the command was not found.
const NOT_FOUND: u8 = 127;
/// As shells say it: it cannot be run.
const CANNOT_RUN: u8 = 126;

/// Whether there is such a command. It says so before the owner is asked for anything.
pub(super) fn check(program: &str) -> Result<(), CliError> {
    let found = if program.contains(std::path::MAIN_SEPARATOR) {
        Path::new(program).exists()
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    if found || cfg!(not(unix)) {
        return Ok(());
    }
    Err(CliError::new(Exit::NotFound, "command_not_found", format!("there is no command {program}")))
}

/// Runs it to its end.
pub(super) async fn run(command: &[String], environment: Environment, masked: bool) -> CommandResult {
    let Some((program, arguments)) = command.split_first() else {
        return Err(CliError::new(Exit::Usage, "usage", "give a command after `--`"));
    };
    let mut builder = Command::new(program);
    builder.args(arguments);
    for (name, value, _) in &environment {
        builder.env(name, value.expose_secret());
    }
    if masked {
        builder.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    // Before the child is there: it may signal us in its first moment.
    let signals =
        Signals::listen().map_err(|error| CliError::new(Exit::Other, "signals", error.to_string()))?;
    let mut child = match builder.spawn() {
        Ok(child) => child,
        Err(error) => {
            crate::terminal::error(&format!("cannot run {program}: {error}"), None, None);
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            return Ok(ExitCode::from(if missing { NOT_FOUND } else { CANNOT_RUN }));
        }
    };
    let mask =
        || Mask::new(environment.iter().filter(|(.., secret)| *secret).map(|(_, v, _)| v.expose_secret()));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let out = copy(stdout, tokio::io::stdout(), mask());
    let err = copy(stderr, tokio::io::stderr(), mask());
    let (status, (), ()) = tokio::join!(signals.pass_until_end(&mut child), out, err);
    let status = status.map_err(|error| CliError::new(Exit::Other, "wait", error.to_string()))?;
    Ok(ExitCode::from(code_of(status)))
}

async fn copy(from: Option<impl AsyncRead + Unpin>, mut to: impl AsyncWrite + Unpin, mut mask: Mask) {
    let Some(mut from) = from else { return };
    let mut buffer = zeroize::Zeroizing::new(vec![0; 16_384]);
    let mut open = true;
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let shown = if read == 0 { mask.finish() } else { mask.push(buffer.get(..read).unwrap_or_default()) };
        // A reader that went away (`| head`) must not stop the child's writes from being drained.
        open = open && to.write_all(&shown).await.is_ok() && to.flush().await.is_ok();
        if read == 0 {
            return;
        }
    }
}

#[cfg(unix)]
fn code_of(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(1)
}

#[cfg(not(unix))]
fn code_of(status: ExitStatus) -> u8 {
    u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)
}

/// The signals that are passed on.
#[cfg(unix)]
struct Signals(Vec<(nix::sys::signal::Signal, tokio::signal::unix::Signal)>);

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use nix::sys::signal::Signal;
        let passed = [
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
        ];
        let listen = |number: Signal| {
            let kind = tokio::signal::unix::SignalKind::from_raw(number as i32);
            Ok((number, tokio::signal::unix::signal(kind)?))
        };
        passed.into_iter().map(listen).collect::<std::io::Result<_>>().map(Self)
    }

    /// A terminal sends SIGINT and SIGQUIT to the child by itself; from elsewhere they reach only us.
    async fn pass_until_end(mut self, child: &mut Child) -> std::io::Result<ExitStatus> {
        use std::io::IsTerminal as _;

        use nix::sys::signal::{Signal, kill};
        let at_terminal = std::io::stdin().is_terminal();
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(nix::unistd::Pid::from_raw);
        loop {
            let received = tokio::select! {
                status = child.wait() => return status,
                received = self.next() => received,
            };
            let sent_already = at_terminal && matches!(received, Signal::SIGINT | Signal::SIGQUIT);
            if let Some(pid) = pid.filter(|_| !sent_already) {
                let _ = kill(pid, received); // it may have ended this moment
            }
        }
    }

    async fn next(&mut self) -> nix::sys::signal::Signal {
        std::future::poll_fn(|context| {
            for (number, stream) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn pass_until_end(self, child: &mut Child) -> std::io::Result<ExitStatus> {
        child.wait().await
    }
}
