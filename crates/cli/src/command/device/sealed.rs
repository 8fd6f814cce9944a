//! `durward seal` and `durward open`: files for devices.

use std::fs::File;
use std::io::{self, Cursor, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use clap::Args;
use durward_protocol::device::DevicePublic;
use durward_protocol::device::api::DeviceView;
use durward_protocol::hex_encode;
use durward_sealing::{
    Accept, DeviceCard, DeviceIdentity, Existing, Opened, Opening, Purpose, Sealing, Sender, open_to_path,
    open_to_stream, seal_to_path, seal_to_stream,
};
use durward_server::Clock;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{explain, is_called, keys, not_found};
use crate::command::owner::OutputArgs;
use crate::command::table::minutes;
use crate::control::Control;
use crate::exit::{CliError, CommandResult, Exit};
use crate::interrupt::Interrupt;
use crate::paths::Paths;
use crate::prompt;
use crate::terminal::{self, harmless};

/// Bytes of stdin that are read at once.
const STDIN_BLOCK: usize = 256 * 1024;

/// How often it is looked whether Ctrl-C was typed while stdin is silent.
const INTERRUPT_CHECK: Duration = Duration::from_millis(50);

/// Seal a file for a paired device: that device alone can open it, and knows that it came from here.
///
/// The result is an age file: `durward open` opens it and says who sealed it, and so does `age -d -i
/// keys/local.key`, which does not. No daemon is needed. Files of any size are sealed as they are read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward seal --to desktop photo.jpg\n  \
    durward seal --to desktop --to laptop photo.jpg -o photo.sealed\n  tar c photos | durward seal --to desktop - > photos.tar.age")]
pub(crate) struct SealArgs {
    /// Name or id of a paired device, or of this one. May be repeated.
    #[arg(long, value_name = "NAME", required = true)]
    to: Vec<String>,
    /// The file, or - for stdin.
    file: PathBuf,
    /// Where to write, or - for stdout [default: FILE.age; stdout for stdin].
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    format: OutputArgs,
}

/// Open a sealed file and say who sealed it.
///
/// Files that no paired device signed are refused. Nothing is written under the final name before content and
/// signature are checked. No daemon is needed.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward open photo.jpg.age\n  durward open photo.sealed -o photo.jpg\n  \
    durward open - -o - < photos.tar.age | tar x\n  durward open from-age.age --allow-unsigned"
)]
pub(crate) struct OpenArgs {
    /// The file, or - for stdin.
    file: PathBuf,
    /// Where to write, or - for stdout [default: FILE without .age; stdout for stdin].
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    /// Open a file that nobody signed, such as one of `age -r`: anybody may have made it.
    #[arg(long)]
    allow_unsigned: bool,
    /// Open a file that an unknown key signed.
    #[arg(long)]
    allow_stranger: bool,
    #[command(flatten)]
    format: OutputArgs,
}

pub(crate) fn seal(args: SealArgs) -> CommandResult {
    let json = args.format.json;
    seal_file(args).map_err(|error| error.json(json))
}

pub(crate) fn open(args: OpenArgs) -> CommandResult {
    let json = args.format.json;
    open_file(args).map_err(|error| error.json(json))
}

fn seal_file(args: SealArgs) -> CommandResult {
    let folder = keys()?;
    let sender = folder.identity().map_err(explain)?;
    let mut cards = folder.peer_cards().map_err(explain)?;
    cards.push(sender.card());
    let named = |which: &String| cards.iter().find(|card| is_called(which, &card.name, card.id));
    let mut to: Vec<DeviceCard> = Vec::new();
    for which in &args.to {
        let card = named(which).ok_or_else(|| not_found(which))?;
        if !to.iter().any(|other| other.id == card.id) {
            to.push(card.clone());
        }
    }
    warn_of_unpaired(&to, &sender.card());
    let output = match &args.output {
        Some(path) => Place::of(path),
        None => with_age(&args.file),
    };
    check_output(&output, args.format)?;
    let now = u64::try_from(Clock::system().now().wall.unix_timestamp()).unwrap_or(0);
    let (to_seal, target, existing) = (to.clone(), output.clone(), existing(args.force));
    let work = move |input: Source| {
        let recipients: Vec<DevicePublic> = to_seal.iter().map(|card| card.public).collect();
        let how = Sealing { sender: &sender, recipients: &recipients, purpose: Purpose::File, now };
        match target {
            Place::Path(path) => seal_to_path(input, &path, existing, &how),
            Place::Stream => seal_to_stream(input, io::stdout().lock(), &how),
        }
    };
    let length = interruptible("sealing", &args.file, work)?;
    let names: Vec<&str> = to.iter().map(|card| card.name.as_str()).collect();
    if args.format.json {
        let to: Vec<Value> = to.iter().map(describe).collect();
        let answer = json!({ "success": true, "path": output.shown(), "bytes": length, "to": to });
        terminal::json(&answer);
    } else if let Place::Path(path) = &output {
        terminal::note(&format!("Sealed for {}: {}", names.join(", "), path.display()));
    }
    Ok(Exit::success())
}

/// A key file that somebody put into the folder is no pairing. The daemon knows which are; where none runs, nobody does.
fn warn_of_unpaired(to: &[DeviceCard], own: &DeviceCard) {
    let others: Vec<&DeviceCard> = to.iter().filter(|card| card.id != own.id).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (false, Ok(paths), Ok(runtime)) = (others.is_empty(), Paths::discover(), runtime) else { return };
    let Ok(devices) = runtime.block_on(super::all(&Control::at(paths.control_socket()))) else { return };
    for card in others {
        let is = |device: &DeviceView| {
            device.device_id == card.id && device.public_key == card.public.x25519_hex()
        };
        if !devices.devices.iter().any(is) {
            terminal::note(&format!(
                "warning: {} has a key file in sync/keys, but this device is not paired with it: whoever put the file \
                there can open the result",
                harmless(card.name.as_str())
            ));
        }
    }
}

fn open_file(args: OpenArgs) -> CommandResult {
    let folder = keys()?;
    let own = folder.identity().map_err(explain)?;
    let mut known = folder.peer_cards().map_err(explain)?;
    known.push(own.card());
    let mut identities = vec![own];
    identities.extend(folder.retired().map_err(explain)?);
    let output = match &args.output {
        Some(path) => Place::of(path),
        None => without_age(&args.file)?,
    };
    check_output(&output, args.format)?;
    let accept = Accept { strangers: args.allow_stranger, unsigned: args.allow_unsigned };
    let (target, existing) = (output.clone(), existing(args.force));
    let work = move |input: Source| {
        let identities: Vec<&DeviceIdentity> = identities.iter().collect();
        let how = Opening { identities: &identities, known: &known, purpose: Purpose::File, accept };
        match target {
            Place::Path(path) => open_to_path(input, &path, existing, &how),
            Place::Stream => open_to_stream(input, io::stdout().lock(), &how),
        }
    };
    let opened = interruptible("opening", &args.file, work)?;
    if args.format.json {
        terminal::json(&opened_json(&opened, &output));
    } else {
        terminal::note(&sealed_by(&opened));
        if let Place::Path(path) = &output {
            terminal::note(&format!("Wrote {}", path.display()));
        }
    }
    Ok(Exit::success())
}

fn sealed_by(opened: &Opened) -> String {
    let at = opened.sealed_at.and_then(moment).map(|at| format!(" on {}", minutes(at))).unwrap_or_default();
    match &opened.sender {
        Sender::Known(card) => format!("Sealed by {} ({}){at}.", card.name, card.fingerprint()),
        Sender::Stranger(key) => {
            format!("Sealed by an unknown device{at}; it signs with {}.", hex_encode(key))
        }
        Sender::Unsigned => "Nobody signed this file: it may be from anybody.".into(),
    }
}

fn opened_json(opened: &Opened, output: &Place) -> Value {
    let sender = match &opened.sender {
        Sender::Known(card) => describe(card),
        Sender::Stranger(key) => json!({ "kind": "stranger", "signing_key": hex_encode(key) }),
        Sender::Unsigned => json!({ "kind": "unsigned" }),
    };
    let at = opened.sealed_at.and_then(moment).map(|at| durward_protocol::Timestamp::new(at).to_string());
    json!({
        "success": true,
        "path": output.shown(),
        "bytes": opened.length,
        "sender": sender,
        "sealed_at": at,
    })
}

fn describe(card: &DeviceCard) -> Value {
    json!({
        "kind": "paired",
        "device_id": card.id,
        "name": card.name,
        "fingerprint": card.fingerprint(),
    })
}

fn moment(seconds: u64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()
}

/// A file, or stdin and stdout.
#[derive(Clone)]
enum Place {
    Path(PathBuf),
    Stream,
}

impl Place {
    fn of(path: &Path) -> Self {
        if path == Path::new("-") { Self::Stream } else { Self::Path(path.to_owned()) }
    }

    fn shown(&self) -> Option<String> {
        match self {
            Self::Path(path) => Some(path.display().to_string()),
            Self::Stream => None,
        }
    }
}

fn with_age(file: &Path) -> Place {
    match Place::of(file) {
        Place::Stream => Place::Stream,
        Place::Path(path) => {
            let mut name = path.into_os_string();
            name.push(".age");
            Place::Path(name.into())
        }
    }
}

fn without_age(file: &Path) -> Result<Place, CliError> {
    match Place::of(file) {
        Place::Stream => Ok(Place::Stream),
        Place::Path(path) if path.extension().is_some_and(|ending| ending == "age") => {
            Ok(Place::Path(path.with_extension("")))
        }
        Place::Path(path) => {
            let text =
                format!("{} does not end in .age, so the name of the result is not clear", path.display());
            Err(CliError::new(Exit::Usage, "usage", text).hint("say it: -o OUT"))
        }
    }
}

fn existing(force: bool) -> Existing {
    if force { Existing::Replace } else { Existing::Refuse }
}

/// Bytes on a terminal help nobody, and beside a JSON object they would be no JSON.
fn check_output(output: &Place, format: OutputArgs) -> Result<(), CliError> {
    let Place::Stream = output else { return Ok(()) };
    let why = if format.json {
        "--json and the content cannot both go to stdout"
    } else if io::stdout().is_terminal() {
        "the result would be written to the terminal"
    } else {
        return Ok(());
    };
    Err(CliError::new(Exit::Usage, "usage", why).hint("say where to write: -o OUT"))
}

/// Does the work in a thread; Ctrl-C ends it at the next block, and nothing is left behind.
fn interruptible<T: Send + 'static>(
    what: &str,
    file: &Path,
    work: impl FnOnce(Source) -> Result<T, durward_sealing::Error> + Send + 'static,
) -> Result<T, CliError> {
    let stop = Arc::new(AtomicBool::new(false));
    let source = Source::new(file, Arc::clone(&stop))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| anyhow::anyhow!("cannot start: {error}"))?;
    let done = prompt::spinning(what, || {
        runtime.block_on(async {
            let mut interrupt = Interrupt::listen();
            let mut working = tokio::task::spawn_blocking(move || work(source));
            tokio::select! {
                done = &mut working => done,
                () = interrupt.typed() => {
                    stop.store(true, Ordering::Relaxed);
                    working.await
                }
            }
        })
    });
    match done {
        Ok(Err(durward_sealing::Error::Read(error))) if error.kind() == io::ErrorKind::ConnectionAborted => {
            Err(CliError::new(Exit::Interrupted, "interrupted", "interrupted: nothing was written"))
        }
        Ok(Err(error @ durward_sealing::Error::Exists { .. })) => {
            Err(explain(error).hint("-o OUT writes to another file, --force replaces a file that is there"))
        }
        Ok(done) => done.map_err(explain),
        Err(error) => Err(anyhow::anyhow!("{what} stopped: {error}").into()),
    }
}

/// The input, which ends with an error when it is told to stop.
struct Source {
    input: Input,
    stop: Arc<AtomicBool>,
}

enum Input {
    File(File),
    Stdin { blocks: Receiver<io::Result<Vec<u8>>>, block: Cursor<Vec<u8>> },
}

impl Source {
    fn new(path: &Path, stop: Arc<AtomicBool>) -> Result<Self, CliError> {
        let input = match Place::of(path) {
            Place::Stream => Input::Stdin { blocks: stdin_blocks(), block: Cursor::default() },
            Place::Path(path) => Input::File(open_input(&path)?),
        };
        Ok(Self { input, stop })
    }

    fn checked(&self) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

/// Stdin, read in a thread of its own: a read of a pipe may block for ever, and Ctrl-C must end it.
fn stdin_blocks() -> Receiver<io::Result<Vec<u8>>> {
    let (sender, blocks) = sync_channel(2);
    std::thread::spawn(move || {
        loop {
            let mut block = Vec::with_capacity(STDIN_BLOCK);
            let read = io::stdin().lock().take(STDIN_BLOCK as u64).read_to_end(&mut block);
            let last = !matches!(read, Ok(1..));
            if sender.send(read.map(|_| block)).is_err() || last {
                return;
            }
        }
    });
    blocks
}

fn open_input(path: &Path) -> Result<File, CliError> {
    let shown = harmless(&path.display().to_string());
    let failed = |error: io::Error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Other };
        CliError::new(exit, "unreadable", format!("cannot read {shown}: {error}"))
    };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().is_ok_and(|found| found.is_dir()) {
        let text = format!("{shown} is a folder");
        let hint = format!("pack it first: `tar c {shown} | durward seal --to NAME - -o OUT`");
        return Err(CliError::new(Exit::Usage, "unreadable", text).hint(hint));
    }
    Ok(file)
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.checked()?;
        if let Input::File(file) = &mut self.input {
            return file.read(buffer);
        }
        loop {
            self.checked()?;
            let Input::Stdin { blocks, block } = &mut self.input else { return Ok(0) };
            let read = block.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match blocks.recv_timeout(INTERRUPT_CHECK) {
                Ok(next) => *block = Cursor::new(next?),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
            if block.get_ref().is_empty() {
                return Ok(0);
            }
        }
    }
}
