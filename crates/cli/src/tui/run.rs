//! Keys in, pictures out, calls beside.

use std::future::pending;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use crossterm::event::EventStream;
use durward_server::Clock;
use durward_server::control::api::Status;
use futures_util::StreamExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::event::Input;
use super::state::{Settings, State};
use super::tty::Tty;
use super::update::update;
use super::view::{Look, view};
use crate::approver::devices::DeviceAction;
use crate::approver::event::{Action, Event};
use crate::approver::{Options, call};
use crate::control::{Control, Events};
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal;

/// Answers of the approver that may lie unread; the calls wait behind them.
const UNREAD: usize = 64;

/// How long giving a pairing up may take when the screen is left.
const GIVING_UP: Duration = Duration::from_secs(2);

/// Shows the screen until the owner quits, the terminal is gone or the approver stops.
pub(crate) async fn run(control: &Control, options: &Options) -> CommandResult {
    // Asked before this approver counts as connected: it says what was missed until then.
    let status = control.get::<Status>("/status").await?;
    let heard = control.events().await?;
    let clock = Clock::system();
    let look = Look { colour: terminal::colours_on_stdout(), unicode: !options.ascii && terminal::unicode() };
    let settings = Settings {
        look,
        listen: Some(status.listen),
        keep_unlocked_seconds: options.keep_unlocked_seconds,
        bell: options.bell,
        owns_server: options.owns_server,
    };
    let mut state = State::new(settings, clock.now().wall);
    if let Some(away) = status.away {
        update(&mut state, Event::Away(away));
    }
    state.message = options.first_said.clone();
    let tty = Tty::take().map_err(|error| {
        CliError::new(Exit::Other, "terminal", format!("the terminal cannot be used: {error}"))
            .hint("`--plain` asks line by line")
    })?;
    let (replies, answers) = mpsc::channel(UNREAD);
    let options = options.clone();
    let mut screen = Screen { control: control.clone(), options, clock, state, tty, replies };
    let left = screen.go_on(heard, answers).await;
    let Screen { state, tty, .. } = screen;
    drop(tty);
    if state.devices.code.is_some() {
        // Nobody would be here to answer who types it.
        let cancel = call::perform(control, Action::Device(DeviceAction::Cancel));
        let _ = tokio::time::timeout(GIVING_UP, cancel).await;
    }
    left?;
    if let Some(farewell) = state.farewell {
        terminal::note(farewell);
    }
    if state.interrupted {
        return Err(CliError::new(Exit::Interrupted, "interrupted", "stopped; requests keep waiting"));
    }
    Ok(ExitCode::SUCCESS)
}

struct Screen {
    control: Control,
    options: Options,
    clock: Clock,
    state: State,
    tty: Tty,
    replies: mpsc::Sender<Event>,
}

impl Screen {
    async fn go_on(&mut self, mut heard: Events, mut answers: mpsc::Receiver<Event>) -> Result<(), CliError> {
        let mut keys = EventStream::new();
        let mut signals = Signals::new()?;
        let mut event = Some(Event::Resync);
        loop {
            if let Some(event) = event.take()
                && self.take(event)?
            {
                return Ok(());
            }
            // Everything that is there already is taken in before a picture is drawn.
            while let Ok(event) = answers.try_recv() {
                if self.take(event)? {
                    return Ok(());
                }
            }
            self.take(Event::Clock(self.clock.now().wall))?;
            let stays_true = self.draw()?;
            tokio::select! {
                key = keys.next() => event = match key {
                    None | Some(Err(_)) => Some(Event::InputEnded),
                    Some(Ok(raw)) => Input::read(raw).map(Event::Input),
                },
                said = heard.next() => event = Some(call::heard(said)),
                answer = answers.recv() => event = answer,
                () = after(stays_true) => {}
                signal = signals.next() => match signal {
                    // The terminal hangs up when it is closed; somebody's `kill -HUP` means the policy.
                    Told::HangUp if self.state.options.owns_server && Tty::is_there() => {
                        self.call(Action::ReadPolicy);
                    }
                    Told::Stop | Told::HangUp => return Ok(()),
                    Told::Interrupt => {
                        self.state.interrupted = true;
                        return Ok(());
                    }
                    Told::Continue => self.tty.retake().map_err(gone)?,
                },
            }
        }
    }

    /// Takes an event in and does what follows; whether that is leaving.
    fn take(&mut self, event: Event) -> Result<bool, CliError> {
        if !matches!(event, Event::Clock(_)) {
            update(&mut self.state, Event::Clock(self.clock.now().wall));
        }
        for action in update(&mut self.state, event) {
            match action {
                Action::Quit => return Ok(true),
                Action::Bell => Tty::ring(),
                Action::Suspend => {
                    let note = if self.state.options.owns_server {
                        "Suspended, and the server with it: agents wait until `fg`."
                    } else {
                        "Suspended; `fg` brings the screen back. Requests keep waiting."
                    };
                    self.tty.suspend(note).map_err(gone)?;
                }
                action => self.call(action),
            }
        }
        Ok(false)
    }

    /// Has it done beside the screen.
    fn call(&self, action: Action) {
        let (control, replies) = (self.control.clone(), self.replies.clone());
        let action = self.options.completed(action);
        tokio::spawn(async move {
            if let Some(event) = call::perform(&control, action).await {
                let _ = replies.send(event).await; // the screen may be gone
            }
        });
    }

    fn draw(&mut self) -> Result<Option<Duration>, CliError> {
        let mut stays_true = None;
        self.tty.screen.draw(|frame| stays_true = view(&self.state, frame)).map_err(gone)?;
        Ok(stays_true)
    }
}

fn gone(error: std::io::Error) -> CliError {
    CliError::new(Exit::Other, "terminal", format!("the terminal is gone: {error}; requests keep waiting"))
}

/// When the picture is no longer true; never, when nothing on it counts.
async fn after(stays_true: Option<Duration>) {
    let sleep: Option<Pin<Box<Sleep>>> = stays_true.map(|time| Box::pin(tokio::time::sleep(time)));
    match sleep {
        Some(sleep) => sleep.await,
        None => pending().await,
    }
}

enum Told {
    Stop,
    HangUp,
    Interrupt,
    Continue,
}

/// Signals that concern the terminal.
struct Signals {
    terminate: Signal,
    hangup: Signal,
    interrupt: Signal,
    resumed: Signal,
}

impl Signals {
    fn new() -> Result<Self, CliError> {
        let watch = |kind| signal(kind).map_err(gone);
        Ok(Self {
            terminate: watch(SignalKind::terminate())?,
            hangup: watch(SignalKind::hangup())?,
            interrupt: watch(SignalKind::interrupt())?,
            resumed: watch(SignalKind::from_raw(nix::sys::signal::Signal::SIGCONT as i32))?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::HangUp,
            _ = self.interrupt.recv() => Told::Interrupt,
            _ = self.resumed.recv() => Told::Continue,
        }
    }
}
