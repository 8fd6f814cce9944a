//! `durward send` and `durward inbox`: small payloads between devices.

use std::io::{IsTerminal as _, Read, Write as _};
use std::path::{Component, Path, PathBuf};

use clap::{Args, Subcommand};
use durward_protocol::device::api::{Inbox, InboxContent, InboxItem, MAX_DROP_BYTES, Sent};
use durward_protocol::{SecretString, base64url_decode, base64url_encode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{all, answer, explain, find_peer, table, with_daemon};
use crate::command::owner::OutputArgs;
use crate::control::{Control, SecretBody};
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal::{self, harmless};

/// Name of a payload that came from stdin.
const STDIN_NAME: &str = "stdin.txt";

/// How long it is watched whether the device takes it at once.
const HELD_SECONDS: u64 = 5;

/// Names that are tried when the first is taken.
const MAX_NAMES: u32 = 1_000;

/// Send a small file to a paired device's inbox, 16 KiB at most.
///
/// It is sealed for that device and waits here until the device is reached. For larger files there is
/// `durward seal`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward send desktop notes.txt\n  pass show wifi | durward send desktop - --name wifi.txt"
)]
pub(crate) struct SendArgs {
    /// Name or id of a paired device.
    device: String,
    /// The file, or - for stdin.
    file: PathBuf,
    /// The name under which it arrives [default: the file's; stdin.txt].
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn send(args: SendArgs) -> CommandResult {
    let output = args.output;
    with_daemon(output, |control| async move {
        let known = all(&control).await?;
        let peer = find_peer(&known, &args.device)?;
        let content = content(&args.file)?;
        let body = SecretBody::default()
            .set("file_name", name_of(&args))
            .secret("content", &SecretString::new(base64url_encode(&content)));
        let path = format!("/devices/{}/send", peer.device_id);
        let sent: Sent = control.post_held(&path, body, HELD_SECONDS).await?;
        answer(output, &sent, |sent| match sent.outbox {
            0 => format!("Sent to {}.", peer.name),
            waiting => {
                let why = sent.reason.as_deref().map(|why| format!(" ({})", harmless(why)));
                format!(
                    "Sealed for {}; it goes out as soon as the device is reached{}. Waiting for it: {waiting}.",
                    peer.name,
                    why.unwrap_or_default()
                )
            }
        })
    })
}

fn name_of(args: &SendArgs) -> String {
    let own = || args.file.file_name().map(|name| name.to_string_lossy().into_owned());
    let stdin = args.file == Path::new("-");
    let default = if stdin { None } else { own() };
    args.name.clone().or(default).unwrap_or_else(|| STDIN_NAME.into())
}

fn content(file: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let most = MAX_DROP_BYTES as u64 + 1;
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_DROP_BYTES + 1));
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut content)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut content))
    };
    read.map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Other };
        CliError::new(exit, "unreadable", format!("cannot read {}: {error}", file.display()))
    })?;
    if content.len() > MAX_DROP_BYTES {
        let text = format!("that is more than {MAX_DROP_BYTES} bytes, the most that is sent");
        return Err(CliError::new(Exit::Usage, "too_large", text)
            .hint("seal it (`durward seal --to NAME FILE`) and carry the file over by any means"));
    }
    Ok(content)
}

/// What other devices sent here.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward inbox\n  durward inbox save 1\n  durward inbox save 1 -o wifi.txt\n  \
    durward inbox save 1 -o - | less\n  durward inbox remove 1"
)]
pub(crate) struct InboxArgs {
    #[command(subcommand)]
    verb: Option<InboxVerb>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum InboxVerb {
    /// What is there (the default).
    #[command(after_help = "Example:\n  durward inbox list")]
    List,
    /// Write one into a new file. A file that is there is never overwritten: without -o another name is found.
    #[command(after_help = "Examples:\n  durward inbox save 1\n  durward inbox save 1 -o notes.txt")]
    Save {
        /// Number in the list, or id.
        which: String,
        /// The file to make, a folder for it, or - for stdout [default: its own name, here].
        #[arg(short = 'o', long = "to", value_name = "OUT")]
        to: Option<PathBuf>,
    },
    /// Delete from the inbox.
    #[command(after_help = "Example:\n  durward inbox remove 1")]
    Remove {
        /// Numbers in the list, or ids.
        #[arg(required_unless_present = "all")]
        which: Vec<String>,
        /// All of them.
        #[arg(long, conflicts_with = "which")]
        all: bool,
    },
}

pub(crate) fn inbox(args: InboxArgs) -> CommandResult {
    let output = args.output;
    with_daemon(output, |control| async move {
        let inbox: Inbox = control.get("/inbox").await?;
        match args.verb.unwrap_or(InboxVerb::List) {
            InboxVerb::List => answer(output, &inbox, table::inbox),
            InboxVerb::Save { which, to } => save(&control, output, &inbox, &which, to.as_deref()).await,
            InboxVerb::Remove { which, all } => remove(&control, output, &inbox, &which, all).await,
        }
    })
}

async fn save(
    control: &Control,
    output: OutputArgs,
    inbox: &Inbox,
    which: &str,
    to: Option<&Path>,
) -> CommandResult {
    let item = find(inbox, which)?;
    let stdout = to == Some(Path::new("-"));
    if stdout && output.json {
        let text = "--json and the content cannot both go to stdout";
        return Err(CliError::new(Exit::Usage, "usage", text).hint("say where to write: -o OUT"));
    }
    let got: InboxContent = control.get(&format!("/inbox/{}", item.id)).await?;
    let content = base64url_decode(got.content.expose_secret()).map(Zeroizing::new);
    let content = content.map_err(|_| anyhow::anyhow!("the daemon's answer is not understood"))?;
    if stdout {
        return print_content(&content);
    }
    let own = safe_name(&item.file_name);
    let path = match to {
        Some(folder) if folder.is_dir() => write_free(folder, &own, &content)?,
        Some(path) => {
            durward_sealing::write_new(path, &content).map_err(explain)?;
            path.to_owned()
        }
        None => write_free(Path::new("."), &own, &content)?,
    };
    let shown = path.strip_prefix(".").unwrap_or(&path).display().to_string();
    answer(output, &json!({ "path": shown, "item": item }), |_| {
        format!(
            "Wrote {} from {}. It stays in the inbox until `durward inbox remove`.",
            harmless(&shown),
            item.from_name
        )
    })
}

/// As it is into a pipe; harmless on a terminal.
fn print_content(content: &[u8]) -> CommandResult {
    let mut stdout = std::io::stdout().lock();
    if stdout.is_terminal() {
        drop(stdout);
        let text = Zeroizing::new(String::from_utf8_lossy(content).into_owned());
        for line in text.lines() {
            terminal::out(&harmless(line));
        }
    } else {
        let _ = stdout.write_all(content).and_then(|()| stdout.flush()); // a closed pipe is no error
    }
    Ok(Exit::success())
}

/// One plain file name, whatever it was: no folders, nothing hidden, nothing that deceives.
fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let deceptive =
        |c: char| durward_protocol::is_deceptive(c) || matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|');
    let safe: String = last.chars().map(|c| if deceptive(c) { '_' } else { c }).take(128).collect();
    let safe = safe.trim().trim_start_matches('.');
    let mut parts = Path::new(safe).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    if plain { safe.to_owned() } else { "message".into() }
}

/// Writes under this name or `NAME-2.txt`, `NAME-3.txt`, …: the first that nothing has.
fn write_free(folder: &Path, name: &str, content: &[u8]) -> Result<PathBuf, CliError> {
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => (stem, format!(".{ending}")),
        _ => (name, String::new()),
    };
    for number in 1..=MAX_NAMES {
        let numbered = if number == 1 { name.to_owned() } else { format!("{stem}-{number}{ending}") };
        let path = folder.join(numbered);
        match durward_sealing::write_new(&path, content) {
            Err(durward_sealing::Error::Exists { .. }) => {}
            done => return done.map(|()| path).map_err(explain),
        }
    }
    let text = format!("{} and {MAX_NAMES} names like it are taken", harmless(name));
    Err(CliError::new(Exit::Other, "already_exists", text).hint("say where to write: -o OUT"))
}

async fn remove(
    control: &Control,
    output: OutputArgs,
    inbox: &Inbox,
    which: &[String],
    all: bool,
) -> CommandResult {
    let items: Vec<&InboxItem> = if all {
        inbox.items.iter().collect()
    } else {
        which.iter().map(|which| find(inbox, which)).collect::<Result<_, _>>()?
    };
    for item in &items {
        let _: Value = control.delete(&format!("/inbox/{}", item.id)).await?;
    }
    let ids: Vec<_> = items.iter().map(|item| item.id).collect();
    answer(output, &json!({ "removed": ids }), |_| format!("Removed {}.", items.len()))
}

fn find<'a>(inbox: &'a Inbox, which: &str) -> Result<&'a InboxItem, CliError> {
    let number = which.parse::<usize>().ok().and_then(|number| inbox.items.get(number.checked_sub(1)?));
    number.or_else(|| inbox.items.iter().find(|item| item.id.to_string() == which)).ok_or_else(|| {
        let text = format!("there is no message {:?} in the inbox", harmless(which));
        CliError::new(Exit::NotFound, "message_not_found", text).hint("`durward inbox` lists them")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_elsewhere_are_plain_names_here() {
        for (name, safe) in [
            ("wifi.txt", "wifi.txt"),
            ("../../.ssh/authorized_keys", "authorized_keys"),
            ("C:\\x\\a.exe", "a.exe"),
            (".bashrc", "bashrc"),
            ("..", "message"),
            ("", "message"),
            ("/", "message"),
            ("a\u{202e}txt.exe\n", "a_txt.exe_"),
            ("Zoë ✈.txt", "Zoë ✈.txt"),
        ] {
            assert_eq!(safe_name(name), safe, "{name:?}");
        }
        assert_eq!(safe_name(&"x".repeat(300)).len(), 128);
    }

    #[test]
    fn what_is_there_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = write_free(folder.path(), name, content).unwrap();
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(write("a.tar.gz", b"1"), "a.tar.gz");
        assert_eq!(write("a.tar.gz", b"2"), "a.tar-2.gz");
        assert_eq!(write("a.tar.gz", b"3"), "a.tar-3.gz");
        assert_eq!(write("plain", b"4"), "plain");
        assert_eq!(write("plain", b"5"), "plain-2");
        assert_eq!(std::fs::read(folder.path().join("a.tar.gz")).unwrap(), b"1");
    }
}
