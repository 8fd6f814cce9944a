//! Lines from the owner. A thread waits for them, because a terminal cannot be waited for asynchronously
//! everywhere; passwords are read with the echo off.
//!
//! A line that was there before its question is nobody's answer to it: before a question is printed, whatever has
//! arrived is read and thrown away.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use durward_protocol::SecretString;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{FlushArg, tcflush};
use tokio::sync::Notify;
use zeroize::{Zeroize as _, Zeroizing};

use crate::exit::{CliError, Exit};
use crate::quiet;

/// Longest line taken.
const MAX_LINE_BYTES: usize = 8 * 1024;
/// Lines that may lie unread; what comes then stays where it is.
const UNREAD: usize = 64;
/// Most bytes thrown away before one question. A program that never stops (`yes`) answers nothing.
const MAX_AHEAD_BYTES: usize = 1024 * 1024;

/// Lines of the standard input.
pub(super) struct Lines {
    shared: Arc<Shared>,
    terminal: bool,
    hidden: bool,
}

struct Shared {
    typed: Mutex<Typed>,
    arrived: Notify,
    taken: Condvar,
}

/// What was read.
struct Typed {
    input: File,
    /// The line that has no end yet.
    begun: Zeroizing<Vec<u8>>,
    /// Its beginning came before the question, so its end is no answer either.
    skip: bool,
    lines: VecDeque<SecretString>,
    ended: bool,
}

impl Lines {
    pub(super) fn start() -> Result<Self, CliError> {
        let stdin = || std::io::stdin().as_fd().try_clone_to_owned().map(File::from);
        let (input, watched) = stdin().and_then(|input| Ok((input, stdin()?))).map_err(|error| {
            CliError::new(Exit::Other, "stdin", format!("the standard input cannot be read: {error}"))
        })?;
        let typed = Typed::of(input);
        let shared =
            Arc::new(Shared { typed: Mutex::new(typed), arrived: Notify::new(), taken: Condvar::new() });
        let reader = Arc::clone(&shared);
        std::thread::spawn(move || reader.read(&watched));
        Ok(Self { shared, terminal: std::io::stdin().is_terminal(), hidden: false })
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The next line; `None` when there will be none.
    pub(super) async fn next(&mut self) -> Option<SecretString> {
        let line = loop {
            let arrived = self.shared.arrived.notified();
            {
                let mut typed = self.shared.typed();
                if let Some(line) = typed.lines.pop_front() {
                    self.shared.taken.notify_one();
                    break Some(line);
                }
                if typed.ended {
                    break None;
                }
            }
            arrived.await;
        };
        if self.hidden {
            crate::terminal::out(""); // the line end was not echoed either
        }
        line
    }

    /// Forgets what came before the question it would now be taken for was shown, but for what `keep` says; how many
    /// lines that were.
    pub(super) fn forget_early(&mut self, keep: impl Fn(&SecretString) -> bool) -> Result<usize, CliError> {
        let mut typed = self.shared.typed();
        if self.terminal {
            let _ = tcflush(std::io::stdin(), FlushArg::TCIFLUSH); // what it keeps is read below
        }
        let forgotten = typed.forget(keep).map_err(|error| {
            CliError::new(Exit::Usage, "input_ahead", error.to_string())
                .hint("answer each question after it was printed")
        })?;
        drop(typed);
        self.shared.taken.notify_one();
        Ok(forgotten)
    }

    /// Switches the echo off or on again. What was typed ahead is gone before it can be seen, or read by a shell.
    pub(super) fn hide(&mut self, hide: bool) {
        if !self.terminal || hide == self.hidden {
            return;
        }
        if hide {
            quiet::begin();
        } else {
            quiet::end();
        }
        self.hidden = hide;
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.hide(false);
    }
}

impl Shared {
    fn typed(&self) -> MutexGuard<'_, Typed> {
        self.typed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until the end, a piece at a time.
    fn read(&self, watched: &File) {
        loop {
            let there = is_there(watched, PollTimeout::NONE);
            let mut typed = self.typed();
            while typed.lines.len() >= UNREAD {
                typed = self.taken.wait(typed).unwrap_or_else(PoisonError::into_inner);
            }
            // Somebody else may have read it meanwhile.
            if !there || typed.ended || is_there(watched, PollTimeout::ZERO) && typed.piece() == 0 {
                typed.ended = true;
            }
            self.arrived.notify_one();
            if typed.ended {
                return;
            }
        }
    }
}

/// Whether something, or the end, can be read at once, or within this time.
fn is_there(input: &File, within: PollTimeout) -> bool {
    loop {
        let mut one = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        match poll(&mut one, within) {
            Err(nix::errno::Errno::EINTR) => {}
            said => return said.is_ok_and(|ready| ready > 0),
        }
    }
}

impl Typed {
    fn of(input: File) -> Self {
        let begun = Zeroizing::new(Vec::with_capacity(MAX_LINE_BYTES));
        Self { input, begun, skip: false, lines: VecDeque::new(), ended: false }
    }

    /// Reads what is there, at most a buffer full; how many bytes, none at the end.
    fn piece(&mut self) -> usize {
        let mut buffer = Zeroizing::new([0; 4_096]);
        let read = self.input.read(&mut *buffer).unwrap_or(0);
        for byte in buffer.iter().take(read) {
            if *byte == b'\n' {
                self.line();
            } else {
                self.begun.push(*byte);
                if self.begun.len() >= MAX_LINE_BYTES {
                    self.line();
                }
            }
        }
        if read == 0 {
            self.ended = true;
            if !self.begun.is_empty() {
                self.line();
            }
        }
        read
    }

    /// The begun line is whole.
    fn line(&mut self) {
        let text = String::from_utf8_lossy(&self.begun).trim_end_matches('\r').to_owned();
        self.begun.zeroize(); // keeps the room
        if !std::mem::take(&mut self.skip) {
            self.lines.push_back(SecretString::new(text));
        }
    }

    /// Reads all that has arrived and forgets it but for what is kept; how many lines that were.
    fn forget(&mut self, keep: impl Fn(&SecretString) -> bool) -> Result<usize, TooMuch> {
        let (mut read, mut forgotten) = (0, 0);
        loop {
            let before = self.lines.len();
            self.lines.retain(&keep);
            self.lines.truncate(UNREAD);
            forgotten += before - self.lines.len();
            if self.ended || !is_there(&self.input, PollTimeout::ZERO) {
                break;
            }
            read += self.piece();
            if read > MAX_AHEAD_BYTES {
                return Err(TooMuch);
            }
        }
        if !self.begun.is_empty() {
            self.begun.zeroize();
            self.skip = true;
        }
        Ok(forgotten)
    }
}

/// More came before a question than anybody writes.
#[derive(Debug)]
struct TooMuch;

impl std::fmt::Display for TooMuch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("input came and came before there was a question, so none of it is an answer")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn pipe() -> (Typed, File) {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        (Typed::of(reader.into()), writer.into())
    }

    fn texts(typed: &Typed) -> Vec<&str> {
        typed.lines.iter().map(SecretString::expose_secret).collect()
    }

    #[test]
    fn what_came_before_the_question_is_forgotten_and_what_comes_after_is_taken() {
        let (mut typed, mut owner) = pipe();
        owner.write_all(b"y\ns\ny\nno").unwrap();
        assert_eq!(typed.forget(|line| line.expose_secret() == "s").unwrap(), 2);
        assert_eq!(texts(&typed), ["s"]);
        // The line that had begun before goes with it.
        owner.write_all(b"w\r\nn not now\r\nand").unwrap();
        typed.piece();
        assert_eq!(texts(&typed), ["s", "n not now"]);
        drop(owner);
        assert_eq!(typed.piece(), 0);
        assert_eq!(texts(&typed), ["s", "n not now", "and"]);
        assert!(typed.ended);
        assert_eq!(typed.forget(|_| false).unwrap(), 3);
    }

    #[test]
    fn who_never_stops_answers_nothing() {
        let mut typed = Typed::of(File::open("/dev/zero").unwrap());
        assert!(typed.forget(|_| true).is_err());
        assert!(typed.lines.len() <= UNREAD + 1, "and fills no memory");
    }
}
