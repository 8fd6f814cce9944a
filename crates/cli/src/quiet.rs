//! The terminal's echo, off from the first hidden question until the work is over.
//!
//! What is typed while a program works would be shown as it is typed, and what the program did not read would
//! be read by the shell behind it: a password typed ahead would stand on the screen, and be run as a command.
//! So the echo stays off from the first secret on, and what was typed ahead is thrown away before it comes on
//! again: at a question that is answered in sight, and at the end, whether that is a return, a panic or a
//! signal.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{FlushArg, LocalFlags, SetArg, Termios, tcflush, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

/// What a shell adds to the number of a signal that ended a program.
const BY_SIGNAL: i32 = 128;

/// The terminal and how it was, while its echo is off.
static TAKEN: Mutex<Option<Taken>> = Mutex::new(None);
static WATCH: Once = Once::new();
/// The signals that are somebody else's business now, a bit for each number.
static LEFT: AtomicU32 = AtomicU32::new(0);

struct Taken {
    terminal: File,
    before: Termios,
}

impl Taken {
    /// `None` where there is no terminal: then nothing is echoed either.
    fn take() -> Option<Self> {
        let of_the_session = || OpenOptions::new().read(true).write(true).open("/dev/tty");
        let stdin = |_| std::io::stdin().as_fd().try_clone_to_owned().map(File::from);
        let terminal = of_the_session().or_else(stdin).ok()?;
        let before = tcgetattr(&terminal).ok()?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&terminal, SetArg::TCSANOW, &quiet).ok()?;
        Some(Self { terminal, before })
    }

    fn give_back(self) {
        // Best effort: a terminal that is gone needs neither.
        let _ = tcflush(&self.terminal, FlushArg::TCIFLUSH);
        let _ = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}

/// Switches the echo off; it stays off until [`end`].
pub(crate) fn begin() {
    WATCH.call_once(watch);
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if taken.is_none() {
        *taken = Taken::take();
    }
}

/// Reads something hidden with the library that reads passwords.
///
/// The library raises SIGINT for Ctrl-C before it gives the terminal back: it is held off until then, and what the
/// caller does after an interrupted reading is left to the caller.
pub(crate) fn read<T>(ask: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
    begin();
    let mut interrupt = SigSet::empty();
    interrupt.add(Signal::SIGINT);
    let was_held = SigSet::thread_get_mask().is_ok_and(|mask| mask.contains(Signal::SIGINT));
    let _ = interrupt.thread_block();
    let typed = ask()?;
    if !was_held {
        let _ = interrupt.thread_unblock();
    }
    Ok(typed)
}

/// Throws away what was typed ahead, and switches the echo on again. Does nothing where it is on.
pub(crate) fn end() {
    if let Some(taken) = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        taken.give_back();
    }
}

/// Asks something that is answered in sight.
pub(crate) fn in_sight<T>(ask: impl FnOnce() -> T) -> T {
    let was_quiet = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    end();
    let answer = ask();
    if was_quiet {
        begin();
    }
    answer
}

/// The terminal and its signals go to somebody else, for good.
pub(crate) fn hand_over() {
    LEFT.store(u32::MAX, Ordering::SeqCst);
    end();
}

/// Who calls this listens for this signal, for good, and calls [`end`] itself.
pub(crate) fn leave(signal: SignalKind) {
    LEFT.fetch_or(bit(signal.as_raw_value()), Ordering::SeqCst);
}

fn bit(signal: i32) -> u32 {
    u32::try_from(signal).ok().and_then(|number| 1_u32.checked_shl(number)).unwrap_or_default()
}

/// Gives the terminal back on a panic and on signals, which end the program as they would have done.
fn watch() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Not waited for: it may be the thread that holds it which panics.
        if let Some(taken) = TAKEN.try_lock().ok().and_then(|mut taken| taken.take()) {
            taken.give_back();
        }
        before(panic);
    }));
    let (sender, listening) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(signals(&sender));
    });
    let _ = listening.recv(); // it may not have come to listen: then signals end the program by themselves
}

async fn signals(listening: &std::sync::mpsc::Sender<()>) {
    let watch = |kind| signal(kind).ok();
    let (Some(mut interrupt), Some(mut terminate), Some(mut hangup), Some(mut quit)) = (
        watch(SignalKind::interrupt()),
        watch(SignalKind::terminate()),
        watch(SignalKind::hangup()),
        watch(SignalKind::quit()),
    ) else {
        return;
    };
    let _ = listening.send(());
    loop {
        let number = tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
            _ = hangup.recv() => SignalKind::hangup(),
            _ = quit.recv() => SignalKind::quit(),
        }
        .as_raw_value();
        if LEFT.load(Ordering::SeqCst) & bit(number) == 0 {
            end();
            std::process::exit(BY_SIGNAL + number);
        }
    }
}
