//! Runs a program with a time limit and a size limit, in a process group of its own so that what it started
//! dies with it.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use durward_protocol::SecretString;
use zeroize::Zeroizing;

use crate::Error;

/// Most bytes a program may print.
pub const MAX_OUTPUT_BYTES: usize = 1024 * 1024;

/// Most bytes of its error output that an error repeats.
const MAX_ERROR_BYTES: usize = 2048;

pub(super) struct Invocation<'a> {
    pub(super) program: &'a str,
    pub(super) args: Vec<String>,
    pub(super) domain: &'a str,
    pub(super) stdin: Option<&'a SecretString>,
    pub(super) timeout: Duration,
    pub(super) absent_text: Option<&'a str>,
}

enum Event {
    Output(Option<Zeroizing<Vec<u8>>>),
    ErrorOutput(Vec<u8>),
    Exit(std::io::Result<ExitStatus>),
}

/// What the program printed; `None` when it said that it has no such credential.
pub(super) fn run(invocation: &Invocation<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let failed = |detail: String| Error::Command { program: invocation.program.to_owned(), detail };
    let mut child = spawn(invocation).map_err(|error| failed(format!("it could not be started: {error}")))?;
    let group = Group::of(&child);
    let (sender, receiver) = channel();
    watch(&mut child, invocation.stdin, &sender);
    thread::spawn(move || sender.send(Event::Exit(child.wait())));
    let collected = collect(&receiver, Instant::now() + invocation.timeout);
    let Collected { output, error_output, status } = match collected {
        Ok(collected) => collected,
        Err(stopped) => {
            group.kill();
            return Err(match stopped {
                Stopped::TooSlow => Error::Timeout {
                    program: invocation.program.to_owned(),
                    seconds: invocation.timeout.as_secs(),
                },
                Stopped::TooMuch => failed(format!("it printed more than {MAX_OUTPUT_BYTES} bytes")),
                Stopped::Failed(error) => failed(error.to_string()),
            });
        }
    };
    if status.success() {
        return Ok(Some(output));
    }
    let said = printable(&error_output, invocation.stdin);
    if invocation.absent_text.is_some_and(|text| said.contains(text)) {
        return Ok(None);
    }
    Err(failed(if said.is_empty() { format!("{status}") } else { format!("{status}: {said}") }))
}

fn spawn(invocation: &Invocation<'_>) -> std::io::Result<Child> {
    let mut command = Command::new(invocation.program);
    command.args(&invocation.args).env("DURWARD_DOMAIN", invocation.domain);
    command.stdin(if invocation.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn()
}

/// One thread for each stream, so that a full pipe never holds the program up. They end when the streams do;
/// nobody waits for them past the time limit.
fn watch(child: &mut Child, password: Option<&SecretString>, sender: &Sender<Event>) {
    if let (Some(mut stdin), Some(password)) = (child.stdin.take(), password) {
        let mut line = Zeroizing::new(Vec::with_capacity(password.expose_secret().len() + 1));
        line.extend_from_slice(password.expose_secret().as_bytes());
        line.push(b'\n');
        // A program that does not read its input may close it; its answer counts.
        thread::spawn(move || drop(stdin.write_all(&line)));
    }
    if let Some(stdout) = child.stdout.take() {
        let sender = sender.clone();
        thread::spawn(move || sender.send(Event::Output(read_bounded(stdout))));
    }
    if let Some(mut stderr) = child.stderr.take() {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut start = Vec::new();
            let _ = stderr.by_ref().take(MAX_ERROR_BYTES as u64).read_to_end(&mut start);
            // The rest is thrown away, but read: the program must not block on it.
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
            sender.send(Event::ErrorOutput(start))
        });
    }
}

/// `None` when there is more than [`MAX_OUTPUT_BYTES`]. The buffer never grows, so no copy stays behind.
fn read_bounded(mut stream: impl Read) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; MAX_OUTPUT_BYTES + 1]);
    let mut length = 0;
    while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
        match stream.read(room) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    buffer.truncate(length);
    (length <= MAX_OUTPUT_BYTES).then_some(buffer)
}

struct Collected {
    output: Zeroizing<Vec<u8>>,
    error_output: Vec<u8>,
    status: ExitStatus,
}

enum Stopped {
    TooSlow,
    TooMuch,
    Failed(std::io::Error),
}

/// Waits until both streams have ended and the program has.
fn collect(receiver: &Receiver<Event>, deadline: Instant) -> Result<Collected, Stopped> {
    let (mut output, mut error_output, mut status) = (None, None, None);
    loop {
        match (output.take(), error_output.take(), status.take()) {
            (Some(output), Some(error_output), Some(status)) => {
                return Ok(Collected { output, error_output, status });
            }
            waiting => (output, error_output, status) = waiting,
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left).map_err(|_| Stopped::TooSlow)? {
            Event::Output(bytes) => output = Some(bytes.ok_or(Stopped::TooMuch)?),
            Event::ErrorOutput(bytes) => error_output = Some(bytes),
            Event::Exit(exit) => status = Some(exit.map_err(Stopped::Failed)?),
        }
    }
}

/// The program's last words on one line, without controls, and without the password should it repeat it.
fn printable(bytes: &[u8], password: Option<&SecretString>) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = match password.map(SecretString::expose_secret).filter(|password| !password.is_empty()) {
        Some(password) => text.replace(password, "[redacted]"),
        None => text.into_owned(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).collect()
}

/// The program and everything it started that did not leave.
struct Group {
    #[cfg(unix)]
    leader: nix::unistd::Pid,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        Self { leader: nix::unistd::Pid::from_raw(child.id().cast_signed()) }
    }

    #[cfg(not(unix))]
    fn of(_child: &Child) -> Self {
        Self {}
    }

    /// Kills what is left of it; no group, no harm. Elsewhere than on Unix the program is left to itself:
    /// its answer is not waited for.
    fn kill(&self) {
        #[cfg(unix)]
        let _ = nix::sys::signal::killpg(self.leader, nix::sys::signal::Signal::SIGKILL);
    }
}
