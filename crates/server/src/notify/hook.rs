//! A program that is told: run with one notice at a time, a few at once, and killed when it takes too long.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;

use super::{Notifier, OwnerNotice};

/// Programs at once …
const MAX_RUNNING: usize = 4;
/// … and notices that wait for one of them to end; more are only logged.
const MAX_WAITING: usize = 64;
/// A program that takes longer is killed, with what it started.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that reads one JSON object from its standard input. No shell is involved.
#[derive(Clone, Debug)]
pub struct Hook {
    command: Arc<[String]>,
    waiting: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Hook {
    /// Program and arguments; `None` when there are none.
    pub fn new(command: Vec<String>) -> Option<Self> {
        (!command.is_empty()).then(|| Self {
            command: command.into(),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            running: Arc::new(Semaphore::new(MAX_RUNNING)),
        })
    }
}

impl Notifier for Hook {
    fn tell(&self, notice: &OwnerNotice) {
        let Ok(body) = serde_json::to_string(notice) else { return };
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            tracing::warn!("too many notices wait for their program: one was dropped");
            return;
        };
        let hook = self.clone();
        tokio::spawn(async move {
            let Ok(_slot) = hook.running.acquire().await else { return };
            drop(place);
            match tokio::time::timeout(PATIENCE, call(&hook.command, &body)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the program for notices failed"),
                Err(_) => tracing::error!("the program for notices took too long and was killed"),
            }
        });
    }
}

async fn call(command: &[String], body: &str) -> std::io::Result<()> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.kill_on_drop(true).spawn()?;
    #[cfg(unix)]
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()));
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read is none of our trouble.
        let _ = stdin.write_all(body.as_bytes()).await;
    }
    let status = child.wait().await?;
    #[cfg(unix)]
    group.0.take();
    if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("it ended with {status}"))) }
}

/// Kills the program and what it started, when it is given up before its end.
#[cfg(unix)]
struct Group(Option<i32>);

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            let _ =
                nix::sys::signal::killpg(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_is_no_hook() {
        assert!(Hook::new(Vec::new()).is_none());
    }

    /// What a program that is given up has started goes with it: its end of the pipe closes.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_program_that_is_given_up_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // The child holds the fifo open for writing; its end is what the reader below waits for.
        let script = format!("sleep 600 > '{}' & cat > /dev/null; wait", fifo.display());
        let command = vec!["sh".to_owned(), "-c".to_owned(), script];
        let opened = tokio::task::spawn_blocking(move || std::fs::File::open(fifo).unwrap());
        let calling = tokio::spawn(async move { call(&command, "{}").await });
        let mut reader = opened.await.unwrap();
        calling.abort();
        assert!(calling.await.unwrap_err().is_cancelled());
        let mut rest = Vec::new();
        tokio::task::spawn_blocking(move || std::io::Read::read_to_end(&mut reader, &mut rest))
            .await
            .unwrap()
            .unwrap();
    }
}
