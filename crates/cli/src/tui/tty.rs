//! The terminal's modes: taken when the screen begins, given back however it ends.

use std::io::{self, Stdout, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{FlushArg, tcflush, tcgetattr};
use nix::unistd::Pid;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use crate::terminal;

/// Whether the modes are ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The terminal, as long as the screen lives.
pub(super) struct Tty {
    pub(super) screen: Terminal<CrosstermBackend<Stdout>>,
}

impl Tty {
    /// Takes the terminal: no echo, keys one by one, a second screen.
    pub(super) fn take() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        // What was typed before there was a question is nobody's answer.
        let _ = tcflush(io::stdin(), FlushArg::TCIFLUSH);
        modes()?;
        empty().map(|screen| Self { screen }).inspect_err(|_| give_back())
    }

    /// Stops as the shell's Ctrl-Z does, and takes the terminal again afterwards.
    pub(super) fn suspend(&mut self, note: &str) -> io::Result<()> {
        give_back();
        terminal::note(note);
        // The whole job, as the terminal would; where no shell could continue it, this does nothing.
        let _ = kill(Pid::from_raw(0), Signal::SIGTSTP);
        self.retake()
    }

    /// After somebody else continued a job that somebody else stopped.
    pub(super) fn retake(&mut self) -> io::Result<()> {
        give_back();
        modes()?;
        // Not `clear`: it asks the terminal where its cursor is, and the answer would be read as keys.
        self.screen = empty()?;
        Ok(())
    }

    /// Whether there is still a terminal: one that was closed has no modes.
    pub(super) fn is_there() -> bool {
        tcgetattr(io::stdin()).is_ok()
    }

    pub(super) fn ring() {
        let mut out = io::stdout();
        let _ = out.write_all(b"\x07").and_then(|()| out.flush());
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        give_back();
    }
}

/// A screen with nothing on it, as the terminal's is after `modes`.
fn empty() -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    Terminal::new(CrosstermBackend::new(io::stdout()))
}

fn modes() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    terminal::hold_notes();
    execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All), EnableBracketedPaste, Hide)
}

fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        terminal::release_notes();
    }
}
