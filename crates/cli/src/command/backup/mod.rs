//! `durward backup`, `durward restore`: one file with everything that cannot be made anew.
//!
//! The file is a tar archive, encrypted with a password as age does it: `age -d FILE | tar t` lists it without
//! Durward. Without encryption everything stays out that opens something by itself: rest keys, keys of devices,
//! the key of the TLS certificate.

mod archive;
mod contents;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use durward_files::write_private;
use durward_server::Home;
use durward_store::{Durability, Store};
use serde_json::json;
use zeroize::Zeroizing;

use super::owner::{OutputArgs, print};
use crate::exit::{CliError, CommandResult, Exit};
use crate::paths::Paths;
use crate::prompt::{self, PasswordArgs};
use crate::terminal;
use archive::Entry;

/// What age files begin with.
const AGE: &[u8] = b"age-encryption.org/v1";
/// Largest backup that is written or read.
const MAX_BYTES: u64 = 1 << 30;

/// Write settings, policy, vaults, sessions, the audit log and keys into one encrypted file.
///
/// The approver may go on running. Tokens of the control port are left out: they are made anew.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward backup ~/durward-2026-11-22.age\n  \
    durward backup /mnt/stick/durward.age --password-file ~/.backup-password\n  durward backup here.tar --plain")]
pub(crate) struct BackupArgs {
    /// The file to make; one that is there is left alone.
    file: PathBuf,
    /// Do not encrypt, and leave out every key that opens something by itself. Sessions end with a restore.
    #[arg(long, conflicts_with_all = ["password_stdin", "password_file", "password_env"])]
    plain: bool,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Put the content of a backup into this installation's folders. The approver must not run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward restore ~/durward-2026-11-22.age\n  \
    DURWARD_HOME=/tmp/look durward restore durward.age --password-file ~/.backup-password")]
pub(crate) struct RestoreArgs {
    /// The backup.
    file: PathBuf,
    /// Replace what is there.
    #[arg(long)]
    force: bool,
    /// Install what an unencrypted backup has in it that runs programs or releases by itself, without asking.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn backup(args: &BackupArgs) -> CommandResult {
    write(args).map_err(|error| error.json(args.output.json))
}

pub(crate) fn restore(args: &RestoreArgs) -> CommandResult {
    read(args).map_err(|error| error.json(args.output.json))
}

fn write(args: &BackupArgs) -> CommandResult {
    let paths = Paths::discover()?;
    if args.file.symlink_metadata().is_ok() {
        let text = format!("{} is there and was left alone", args.file.display());
        return Err(CliError::new(Exit::Other, "already_exists", text).hint("choose another name"));
    }
    if !paths.data().exists() {
        return Err(CliError::new(Exit::NotFound, "nothing_there", "there is nothing to back up yet"));
    }
    let password = if args.plain {
        None
    } else {
        let twins = "--password-stdin, --password-file FILE or --password-env VAR";
        Some(prompt::new_password("Choose the password of the backup: ", args.password.given()?, twins)?)
    };
    let contents = runtime()?.block_on(contents::gather(&paths, password.is_some()))?;
    let bytes =
        archive::pack(&contents.entries).map_err(|text| CliError::new(Exit::Other, "backup_failed", text))?;
    let bytes = match &password {
        None => bytes,
        Some(password) => {
            let seal = || durward_vault::encrypt_with_password(&bytes, password);
            let sealed = prompt::spinning("encrypting", seal);
            Zeroizing::new(sealed.map_err(|error| failed("backup_failed", &error))?)
        }
    };
    write_private(&args.file, &bytes).map_err(|error| {
        CliError::new(Exit::Other, "backup_failed", format!("cannot write {}: {error}", args.file.display()))
    })?;
    let result = json!({
        "path": args.file, "files": contents.entries.len(), "encrypted": password.is_some(),
        "left_out": contents.left_out,
    });
    print(args.output, &result, |_| {
        let mut text = format!("Wrote {} files to {}.", contents.entries.len(), args.file.display());
        for what in &contents.left_out {
            let _ = write!(text, "\nNot in it: {what}.");
        }
        text
    })
}

fn read(args: &RestoreArgs) -> CommandResult {
    let paths = Paths::discover()?;
    let (bytes, encrypted) = open(args)?;
    let bad = |text: &str| {
        CliError::new(
            Exit::Other,
            "bad_backup",
            format!("{}: {}", args.file.display(), terminal::harmless(text)),
        )
    };
    let entries = archive::unpack(&bytes).map_err(|text| bad(&text))?;
    let names = contents::Places::new(&paths, &entries, encrypted);
    let mut places = Vec::with_capacity(entries.len());
    for entry in &entries {
        let name = &entry.name;
        match names.of(name) {
            Some(path) => places.push((path, entry)),
            None if !encrypted && contents::is_key(name) => {
                let text = "no such backup of Durward holds keys or tokens";
                return Err(bad(&format!("it is not encrypted and holds {name}; {text}")));
            }
            None => return Err(bad(&format!("it is not a backup of Durward: {name} is in none"))),
        }
    }
    if !encrypted {
        agree(args, &contents::acting(&entries).map_err(|text| bad(&text))?)?;
    }
    // The folder's lock: no approver runs, and none starts until everything is in its place.
    let home = Home::open(paths.data()).map_err(|error| failed("in_use", &error))?;
    let _lock = home.lock().map_err(|error| failed("in_use", &error))?;
    let there: Vec<&PathBuf> = places.iter().map(|(path, _)| path).filter(|path| path.exists()).collect();
    if let (Some(first), false) = (there.first(), args.force) {
        let text = format!("{} is there already, with {} files of the backup", first.display(), there.len());
        return Err(CliError::new(Exit::Other, "already_exists", text).hint(
            "--force replaces them; or set DURWARD_HOME to an empty folder to look at the backup there",
        ));
    }
    put(&places)?;
    let has_key = entries.iter().any(|entry| entry.name == contents::REST_KEY);
    let records = runtime()?.block_on(verify(&home))?;
    let result = json!({
        "files": places.len(), "audit_records": records, "sessions_kept": has_key,
    });
    print(args.output, &result, |_| {
        let mut text = format!("Restored {} files.", places.len());
        if let Some(records) = records {
            let _ = write!(text, " The audit log has {records} records, and its chain holds.");
        }
        text.push_str(if has_key {
            "\nSessions that ended since the backup would be live again: `durward sessions revoke --all` ends every one."
        } else {
            "\nThe rest key is not in it: sessions end, and agents pair again with --new-approver."
        });
        text
    })
}

/// Anybody can have written an archive that is not encrypted: what it would start is said before it is installed.
fn agree(args: &RestoreArgs, acting: &[String]) -> Result<(), CliError> {
    if acting.is_empty() {
        return Ok(());
    }
    terminal::note(&format!(
        "{} is not encrypted, so anybody may have changed it. In it:",
        args.file.display()
    ));
    for what in acting {
        terminal::note(&format!("  {}", terminal::harmless(what)));
    }
    if prompt::confirm("Restore it all the same?", args.yes)? {
        return Ok(());
    }
    Err(CliError::new(Exit::Cancelled, "cancelled", "nothing was restored"))
}

/// The archive, and whether it was encrypted.
fn open(args: &RestoreArgs) -> Result<(Zeroizing<Vec<u8>>, bool), CliError> {
    let cannot = |error: &dyn std::fmt::Display| {
        CliError::new(Exit::NotFound, "unreadable", format!("cannot read {}: {error}", args.file.display()))
    };
    let metadata = std::fs::metadata(&args.file).map_err(|error| cannot(&error))?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return Err(cannot(&"it is no file, or larger than any backup"));
    }
    let bytes = Zeroizing::new(std::fs::read(&args.file).map_err(|error| cannot(&error))?);
    if !bytes.starts_with(AGE) {
        return Ok((bytes, false));
    }
    let password = prompt::password("Password of the backup: ", &args.password)?;
    let unseal = || durward_vault::decrypt_with_password(&args.file, &bytes, &password);
    let opened = prompt::spinning("decrypting", unseal).map_err(|error| match error {
        durward_vault::Error::WrongPassword => {
            CliError::new(Exit::VaultLocked, "wrong_password", "the password of the backup is wrong")
        }
        // Its own words are about a vault, which has an older copy beside it.
        durward_vault::Error::Damaged { .. } => {
            let text = format!("the backup {} is damaged or cut short", args.file.display());
            CliError::new(Exit::Other, "bad_backup", text)
                .hint("take another copy of it; nothing was changed here")
        }
        other => CliError::new(Exit::Other, "bad_backup", other.to_string()),
    })?;
    Ok((opened, true))
}

/// Each file whole or not at all. What belongs to the database that was there goes first.
fn put(places: &[(PathBuf, &Entry)]) -> Result<(), CliError> {
    let cannot = |path: &Path, error: &std::io::Error| {
        CliError::new(Exit::Other, "restore_failed", format!("cannot write {}: {error}", path.display()))
            .hint("make room or mend the permissions, then run the command again with --force")
    };
    for (path, entry) in places {
        if entry.name == contents::DATABASE {
            for ending in ["-wal", "-shm"] {
                let mut beside = path.clone().into_os_string();
                beside.push(ending);
                match std::fs::remove_file(&beside) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(cannot(Path::new(&beside), &error));
                    }
                    _ => {}
                }
            }
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        durward_files::create_private_dir(folder)
            .and_then(|()| write_private(path, &entry.bytes))
            .map_err(|error| cannot(path, &error))?;
    }
    Ok(())
}

/// Opens the store that was restored and checks its log. `None`: there is none.
async fn verify(home: &Home) -> Result<Option<u64>, CliError> {
    if !home.database().exists() {
        return Ok(None);
    }
    let store = Store::open_sqlite(&home.database(), Durability::Full)
        .await
        .map_err(|error| failed("bad_backup", &error))?;
    let verdict = store.verify_audit().await.map_err(|error| failed("bad_backup", &error))?;
    store.close().await;
    match verdict {
        Ok(head) => Ok(Some(head.n)),
        Err(problem) => {
            terminal::note(&format!("The restored audit log does not verify: {problem}."));
            Err(CliError::new(
                Exit::Other,
                "audit_broken",
                "everything is restored, but the audit log was altered",
            ))
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Exit::Other, "start_failed", format!("cannot start: {error}")))
}

fn failed(code: &str, error: &impl std::fmt::Display) -> CliError {
    CliError::new(Exit::Other, code, error.to_string())
}
