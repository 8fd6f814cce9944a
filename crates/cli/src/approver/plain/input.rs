//! Lines from the owner. A thread reads them, because a terminal cannot be read asynchronously
//! everywhere; passwords are read with the echo off.

use std::io::{BufRead as _, IsTerminal as _};

use durward_protocol::SecretString;
use nix::sys::termios::{FlushArg, LocalFlags, SetArg, tcflush, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// Longest line taken.
const MAX_LINE_BYTES: u64 = 8 * 1024;

/// Lines of the standard input.
pub(super) struct Lines {
    typed: mpsc::Receiver<SecretString>,
    terminal: bool,
    hidden: bool,
}

impl Lines {
    pub(super) fn start() -> Self {
        let (sender, typed) = mpsc::channel(1);
        std::thread::spawn(move || {
            let mut stdin = std::io::stdin().lock();
            loop {
                let mut line = String::with_capacity(256);
                let mut limited = std::io::Read::take(&mut stdin, MAX_LINE_BYTES);
                match limited.read_line(&mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
                while line.ends_with(['\n', '\r']) {
                    line.pop();
                }
                if sender.blocking_send(SecretString::new(line)).is_err() {
                    return;
                }
            }
        });
        Self { typed, terminal: std::io::stdin().is_terminal(), hidden: false }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The next line; `None` when there will be none.
    pub(super) async fn next(&mut self) -> Option<SecretString> {
        let line = self.typed.recv().await;
        if self.hidden {
            crate::terminal::out(""); // the line end was not echoed either
        }
        line
    }

    /// Forgets what a person typed before the question it would now be taken for was on the screen.
    pub(super) fn forget_typed_ahead(&mut self) {
        if self.terminal {
            let _ = tcflush(std::io::stdin(), FlushArg::TCIFLUSH); // what it keeps is caught below or by the reader
            while self.typed.try_recv().is_ok() {}
        }
    }

    /// Switches the echo off or on again.
    pub(super) fn hide(&mut self, hide: bool) {
        if !self.terminal || hide == self.hidden {
            return;
        }
        let stdin = std::io::stdin();
        if let Ok(mut settings) = tcgetattr(&stdin) {
            settings.local_flags.set(LocalFlags::ECHO, !hide);
            if tcsetattr(&stdin, SetArg::TCSANOW, &settings).is_ok() {
                self.hidden = hide;
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.hide(false);
    }
}
