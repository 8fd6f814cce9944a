//! `durward pair`: make a code here, or type one that another device shows.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use durward_protocol::device::api::{
    DeviceStatus, DeviceView, JoinStatus, MdnsStatus, PairInitiated, PairJoined, PairPending, PairRespond,
    PairResponded, PairState, PeerShown,
};
use durward_protocol::device::{DeviceName, PairTag};
use durward_protocol::{Code, ErrorCode, SecretString, TypedCode};
use durward_server::control::api::{Done, Pairings};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{answer, with_daemon};
use crate::command::owner::OutputArgs;
use crate::control::{Control, Failure, SecretBody};
use crate::exit::{CliError, CommandResult, Exit};
use crate::interrupt::Interrupt;
use crate::terminal::harmless;
use crate::{prompt, terminal};

/// How long one call to the daemon is held. The next one goes on where it ended.
const HELD_SECONDS: u64 = 20;

/// How often it is looked whether the pairing goes on while the owner thinks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What both ends show at the end.
const PAIRED: &str = "Device paired successfully!\nThe devices will now sync automatically when discovered on the network.\n\
    What syncs is what one device has for the other: files sent, requests to approve, news about devices.";

/// Pair this device with another one of yours.
///
/// Without --code this device makes a code and shows it; on the other device the code is typed. Both need their
/// daemon (`durward daemon`). The device with the code asks you before it accepts the other one.
#[allow(clippy::option_option, reason = "an option that is absent, without a value, or with one")]
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward pair\n  durward pair --code 847293\n  \
    durward pair --code 847293 --address 192.168.1.20:5000\n  durward pair --code          (asks for the code)\n  \
    printf '847293\\n' | durward pair --code-stdin --tag amber-otter\n  \
    durward pair --resume         (after five wrong codes)")]
pub(crate) struct PairArgs {
    /// Join with the code that the other device shows. Without a value it is asked for: the command line can be
    /// read by other programs while this runs.
    #[arg(long, value_name = "CODE", num_args = 0..=1, conflicts_with_all = ["code_stdin", "yes"])]
    code: Option<Option<String>>,
    /// Join with the code in the first line of stdin.
    #[arg(long, conflicts_with = "yes")]
    code_stdin: bool,
    /// Where the other device is, when it is not found on the network: HOST:PORT of its agent plane.
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// The two words above the code, when several devices on the network are being paired.
    #[arg(long, value_name = "TWO-WORDS")]
    tag: Option<String>,
    /// Accept whichever device has the code, without asking.
    #[arg(long)]
    yes: bool,
    /// Make codes again after five wrong ones within an hour, and pair nothing. Only when you know who typed them.
    #[arg(long, conflicts_with_all = ["code", "code_stdin", "address", "tag"])]
    resume: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn pair(args: PairArgs) -> CommandResult {
    let output = args.output;
    with_daemon(output, |control| async move {
        if args.resume {
            return resume(&control, &args).await;
        }
        match typed_code(&args)? {
            Some(code) => join(&control, &args, code).await,
            None if args.address.is_some() || args.tag.is_some() => {
                let text = "--address and --tag say which device to join, and need its code";
                Err(CliError::new(Exit::Usage, "usage", text).hint("add --code"))
            }
            None => initiate(&control, &args).await,
        }
    })
}

/// The code, when this device joins.
fn typed_code(args: &PairArgs) -> Result<Option<SecretString>, CliError> {
    let text = match &args.code {
        _ if args.code_stdin => prompt::stdin_line("the code")?,
        None => return Ok(None),
        Some(Some(code)) => SecretString::new(code.clone()),
        Some(None) => {
            prompt::need_terminal("the code", "--code-stdin")?;
            SecretString::new(prompt::line("Code on the other device: ")?)
        }
    };
    if let Ok(code) = text.expose_secret().parse::<Code>() {
        return Ok(Some(SecretString::new(code.expose_digits().to_owned())));
    }
    if text.expose_secret().parse::<TypedCode>().is_ok_and(|typed| typed.number.is_some()) {
        return Err(agents_code());
    }
    let text = "a device's code has six digits, 100000 to 999999";
    Err(CliError::new(Exit::Usage, "invalid_code", text).hint("type what the other device shows"))
}

/// Lifts the pause after five failed guesses.
async fn resume(control: &Control, args: &PairArgs) -> CommandResult {
    terminal::note(
        "Five wrong codes within an hour stop pairing, because somebody may be guessing. This allows five more: go on \
        only if you know who typed them.",
    );
    if !prompt::confirm("Make codes again?", args.yes)? {
        return Err(CliError::new(Exit::Cancelled, "cancelled", "Nothing was changed"));
    }
    let done: Done = control.post("/devices/resume", SecretBody::default()).await?;
    answer(args.output, &json!({ "resumed": done.done == 1 }), |_| {
        if done.done == 1 { "Codes are made again: `durward pair`" } else { "Pairing was not stopped" }.into()
    })
}

fn agents_code() -> CliError {
    let text = "this is an agent's code, not a device's: type it at the approver";
    CliError::new(Exit::Usage, "agents_code", text).hint("`durward approve`, or `durward pairing enter`")
}

async fn initiate(control: &Control, args: &PairArgs) -> CommandResult {
    if !args.yes {
        prompt::need_terminal("your yes to the other device", "--yes")?;
    }
    terminal::note("Starting pairing session...");
    let mut interrupt = Interrupt::listen();
    let begun: PairInitiated = control.post("/pair/initiate", SecretBody::default()).await?;
    show_code(&begun);
    let waiting = Waiting::start("Waiting for connection...", Some(begun.expires_in_seconds));
    let pending = tokio::select! {
        pending = wait_for_request(control) => pending,
        () = interrupt.typed() => {
            waiting.end();
            return Err(cancel(control).await);
        }
    };
    waiting.end();
    let pending = pending?;
    let Some(peer) = pending.request.clone().filter(|_| pending.state == PairState::Requested) else {
        return ended(args.output, pending.state, pending.request.as_ref(), None);
    };
    show_request(&peer);
    let accept = args.yes
        || tokio::select! {
            typed = ask() => typed?,
            () = interrupt.typed() => return Err(cancel(control).await),
            state = ended_there(control) => {
                terminal::note("");
                return ended(args.output, state, Some(&peer), None);
            }
        };
    let respond = PairRespond { accept, device_id: Some(peer.device_id) };
    let done: Result<PairResponded, Failure> = control.post("/pair/respond", SecretBody::new(respond)).await;
    match done {
        Ok(done) => {
            if let Some(device) = &done.device {
                say_where(control, device).await;
            }
            ended(args.output, done.status, Some(&peer), done.device.as_ref())
        }
        Err(failure) => Err(over(control, args.output, failure).await),
    }
}

/// Without a search on the network, the device that joined knows where this one is, and not the other way round.
async fn say_where(control: &Control, device: &DeviceView) {
    if device.address.is_some() || device.found_at.is_some() {
        return;
    }
    let status: Result<Status, Failure> = control.get("/status").await;
    if status.is_ok_and(|status| status.devices.is_some_and(|devices| devices.mdns != MdnsStatus::On)) {
        let name = harmless(device.name.as_str());
        terminal::note(&format!(
            "This device does not know where {name} is, and does not search the network. So that it can send \
            something: durward devices set-address {name:?} HOST:PORT"
        ));
    }
}

/// The part of `/status` that is of interest here.
#[derive(Deserialize)]
struct Status {
    devices: Option<DeviceStatus>,
}

/// Resolves when the pairing ends while the question stands on the screen: the other device gave it up, its time is
/// over, or another screen has answered.
async fn ended_there(control: &Control) -> PairState {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let pending: Result<PairPending, Failure> = control.get("/pair/pending").await;
        match pending {
            Ok(pending) if pending.state != PairState::Requested => return pending.state,
            _ => {}
        }
    }
}

fn show_code(begun: &PairInitiated) {
    let code = begun.code.expose_secret();
    terminal::note("");
    terminal::note(&format!("  {}", begun.tag));
    terminal::note(&format!("╔{}╗", "═".repeat(40)));
    terminal::note(&format!("║          PAIRING CODE: {code}          ║"));
    terminal::note(&format!("╚{}╝", "═".repeat(40)));
    terminal::note("");
    terminal::note("On the other device, run:");
    terminal::note(&format!("  durward pair --code {code}"));
    if !begun.addresses.is_empty() {
        let addresses: Vec<String> = begun.addresses.iter().map(|address| harmless(address)).collect();
        terminal::note(&format!("If it finds nothing, add --address {}", addresses.join(" or ")));
        if begun.addresses.iter().all(|address| is_loopback(address)) {
            terminal::note(
                "This daemon listens on this machine only. For other machines start it with --listen 0.0.0.0:5000 \
                (and with TLS or --no-accounts).",
            );
        }
    }
    terminal::note("");
    terminal::note(&format!("Code expires in {} seconds.", begun.expires_in_seconds));
}

fn is_loopback(address: &str) -> bool {
    let address = address.trim_start_matches("https://");
    address.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
}

fn show_request(peer: &PeerShown) {
    terminal::note("");
    terminal::note("Incoming pairing request!");
    terminal::note("");
    terminal::note(&format!("  Device: {} ({})", harmless(peer.device_name.as_str()), peer.device_id));
    terminal::note(&format!("  Key:    {}", harmless(&peer.fingerprint)));
    if let Some(old) = &peer.replaces {
        terminal::note(&format!("  It takes the place of {}, paired before.", harmless(old.as_str())));
    }
    terminal::note("");
}

/// `y`, or anything else; the end of the input is no answer.
async fn ask() -> Result<bool, CliError> {
    let (sender, answer) = tokio::sync::oneshot::channel();
    // A thread of its own: nobody waits for it when Ctrl-C ends the question.
    std::thread::spawn(move || {
        let _ = sender.send(prompt::confirm("Accept this device?", false));
    });
    match answer.await {
        Ok(Err(error)) if error.exit == Exit::Cancelled => Ok(false),
        Ok(answer) => answer,
        Err(_) => Ok(false),
    }
}

async fn wait_for_request(control: &Control) -> Result<PairPending, Failure> {
    loop {
        let pending: PairPending = control.get_held("/pair/pending", HELD_SECONDS).await?;
        if !matches!(pending.state, PairState::Waiting | PairState::Exchanged) {
            return Ok(pending);
        }
    }
}

/// How the pairing ended at the device with the code: by this screen, another one, or an extension.
fn ended(
    output: OutputArgs,
    state: PairState,
    peer: Option<&PeerShown>,
    stored: Option<&DeviceView>,
) -> CommandResult {
    let error = |exit, code: &str, text: &str| CliError::new(exit, code, text);
    Err(match state {
        PairState::Accepted => {
            let name = stored.map(|stored| &stored.name);
            return answer(output, &json!({ "device": peer, "name": name }), |_| {
                format!("{PAIRED}{}", called(peer, name))
            });
        }
        PairState::Rejected => error(Exit::Denied, "rejected", "Pairing was rejected: nothing was stored"),
        PairState::InvalidCode => error(
            Exit::Mismatch,
            "invalid_code",
            "Invalid pairing code: another one was typed on the other device, and each works once",
        )
        .hint("run `durward pair` again for a new code; if nobody mistyped, somebody may be guessing"),
        PairState::Cancelled | PairState::Idle => {
            error(Exit::Cancelled, "cancelled", "The pairing was cancelled").hint(
                "the other device gave it up or went away, or it was cancelled here; nothing was stored",
            )
        }
        PairState::Expired | PairState::Waiting | PairState::Exchanged | PairState::Requested => expired(),
    })
}

fn expired() -> CliError {
    CliError::new(Exit::TimedOut, "code_expired", "Code expired")
        .hint("Pairing codes are valid for 5 minutes. Generate a new one: `durward pair`")
}

/// The pairing ended while the question stood on the screen.
async fn over(control: &Control, output: OutputArgs, failure: Failure) -> CliError {
    let gone = |refusal: &crate::control::Refusal| {
        refusal.is(ErrorCode::PairingNotFound) || refusal.is(ErrorCode::PairingNotWaiting)
    };
    if !matches!(&failure, Failure::Refused(refusal) if gone(refusal)) {
        return failure.into();
    }
    let pending: Result<PairPending, Failure> = control.get("/pair/pending").await;
    let state = pending.map_or(PairState::Expired, |pending| pending.state);
    ended(output, state, None, None).err().unwrap_or_else(expired)
}

/// The name under which a device is stored, where it is another one than it gave itself.
fn called(peer: Option<&PeerShown>, stored: Option<&DeviceName>) -> String {
    match (peer, stored) {
        (Some(peer), Some(stored)) if peer.device_name != *stored => {
            let (own, stored) = (harmless(peer.device_name.as_str()), harmless(stored.as_str()));
            format!("\nIt is called {stored} here: another device has the name {own}.")
        }
        _ => String::new(),
    }
}

/// Ctrl-C: the code is dead before this ends.
async fn cancel(control: &Control) -> CliError {
    let _: Result<Value, Failure> = control.post("/pair/cancel", SecretBody::default()).await;
    CliError::new(Exit::Interrupted, "interrupted", "interrupted: the pairing was cancelled")
}

async fn join(control: &Control, args: &PairArgs, code: SecretString) -> CommandResult {
    let tag = args.tag.as_deref().map(PairTag::parse).transpose();
    let tag = tag.map_err(|error| CliError::new(Exit::Usage, "invalid_tag", error.to_string()))?;
    terminal::note("Joining pairing session...");
    let mut interrupt = Interrupt::listen();
    let mut waiting = None;
    let joined = loop {
        let body = SecretBody::default().secret("code", &code).set("tag", &tag).set("address", &args.address);
        let joined: Result<PairJoined, Failure> = tokio::select! {
            joined = control.post_held("/pair/join", body, HELD_SECONDS) => joined,
            () = interrupt.typed() => {
                if let Some(waiting) = waiting { Waiting::end(waiting) }
                return Err(cancel(control).await);
            }
        };
        match joined {
            Ok(joined) if joined.status == JoinStatus::Pending => {
                waiting
                    .get_or_insert_with(|| Waiting::start("Waiting for the other device's owner...", None));
            }
            other => break other,
        }
    };
    if let Some(waiting) = waiting {
        waiting.end();
    }
    let joined = match joined {
        Ok(joined) => joined,
        Err(failure) => return Err(not_joined(control, args, failure).await),
    };
    match joined.status {
        JoinStatus::Accepted => answer(args.output, &json!({ "device": joined.peer, "name": joined.name }), |_| {
            let shown = |peer: &PeerShown| {
                let name = harmless(peer.device_name.as_str());
                format!("\n\n  Device: {name} ({})\n  Key:    {}", peer.device_id, harmless(&peer.fingerprint))
            };
            let peer = joined.peer.as_ref();
            format!("{PAIRED}{}{}", called(peer, joined.name.as_ref()), peer.map(shown).unwrap_or_default())
        }),
        JoinStatus::Rejected => {
            let error = CliError::new(Exit::Denied, "rejected", "Pairing was rejected");
            Err(error.hint("The initiator typed `n` or didn't respond with `y`. Try again."))
        }
        JoinStatus::Expired | JoinStatus::Pending => Err(expired().hint(
            "Pairing codes are valid for 5 minutes, and void when the other device cancels. Generate a new one \
            there: `durward pair`",
        )),
        JoinStatus::InvalidCode => {
            Err(CliError::new(Exit::Mismatch, "invalid_code", "Invalid pairing code").hint(
                "Double-check the 6-digit code; it may have expired (5-minute timeout). A code works once: ask \
                initiator to run `durward pair` again",
            ))
        }
    }
}

/// Why no device could be joined. When an agent waits for a code here, that is the likelier reason.
async fn not_joined(control: &Control, args: &PairArgs, failure: Failure) -> CliError {
    let nobody = |refusal: &crate::control::Refusal| {
        refusal.is(ErrorCode::PairingNotFound) || refusal.is(ErrorCode::DeviceUnreachable)
    };
    let several = matches!(&failure, Failure::Refused(refusal) if refusal.is(ErrorCode::SeveralPairings));
    let looked = matches!(&failure, Failure::Refused(refusal) if nobody(refusal));
    // Where an address was given, it is the device there that knows of no such code.
    let answered = args.address.is_some()
        && matches!(&failure, Failure::Refused(refusal) if refusal.is(ErrorCode::PairingNotFound));
    let error = if answered {
        let text = "Invalid pairing code: it may have expired or been used up";
        CliError::new(Exit::Mismatch, "invalid_code", text)
    } else {
        CliError::from(failure)
    };
    if several {
        return error.hint("add --tag and the two words above the code on the other device");
    }
    if !looked {
        return error;
    }
    let agents: Result<Pairings, Failure> = control.get("/pairings").await;
    if agents.is_ok_and(|agents| !agents.pairings.is_empty()) {
        return error.hint(
            "an agent is waiting for a code here: if the code is its, type it at the approver (`durward approve`)",
        );
    }
    if answered {
        return error.hint("run `durward pair` again there, for a new code");
    }
    error.hint(
        "both devices must be on the same network, or add --address HOST:PORT; a firewall must let the other \
        daemon's agent port through (5000)",
    )
}

/// A line that says what is waited for; on a terminal, under it, the seconds that are left or went by.
struct Waiting(Option<ProgressBar>);

impl Waiting {
    fn start(what: &str, seconds: Option<u64>) -> Self {
        terminal::note(what);
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = match seconds {
            Some(seconds) => ProgressBar::new(seconds),
            None => ProgressBar::new_spinner(),
        };
        let left = |state: &indicatif::ProgressState, text: &mut dyn std::fmt::Write| {
            let left = state.len().unwrap_or(0).saturating_sub(state.elapsed().as_secs());
            let _ = write!(text, "{left} s left");
        };
        let template = if seconds.is_some() { "  {left}" } else { "  {elapsed}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("left", left));
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Self(Some(bar))
    }

    fn end(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}
