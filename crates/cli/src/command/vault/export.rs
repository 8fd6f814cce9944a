//! `durward vault export`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use durward_vault::PlainFormat;
use serde_json::json;

use super::access::{self, Common, explain};
use crate::exit::{CliError, CommandResult, Exit};
use crate::prompt::{self, NewPasswordArgs, PasswordArgs};
use crate::terminal;

/// Write everything into a new file, encrypted.
///
/// The file is a vault of its own, which `age -d` opens too, under the vault's password or a new one. --plain
/// writes it unencrypted, for another program to read.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  durward vault export backup.age\n  durward vault export for-bob.age --new-password\n  \
    durward vault export everything.csv --plain --format csv"
)]
pub(crate) struct ExportArgs {
    /// The file to make; one that is there is left alone.
    file: PathBuf,
    /// Encrypt with a new password instead of the vault's.
    #[arg(long, conflicts_with = "plain")]
    new_password: bool,
    /// Write every secret UNENCRYPTED.
    #[arg(long)]
    plain: bool,
    /// Form of an unencrypted file.
    #[arg(long, value_enum, default_value = "json", requires = "plain")]
    format: Form,
    /// Do not ask before writing unencrypted.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    passwords: PasswordArgs,
    #[command(flatten)]
    new: NewPasswordArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Everything; `import` reads it back whole.
    Json,
    /// For spreadsheets and other programs; times, ids and which field is hidden are lost.
    Csv,
}

pub(super) fn run(args: &ExportArgs) -> CommandResult {
    export(args).map_err(|error| error.json(args.common.json))
}

fn export(args: &ExportArgs) -> CommandResult {
    let vault = args.common.existing()?;
    if args.file.symlink_metadata().is_ok() {
        return Err(explain(durward_vault::Error::AlreadyExists { path: args.file.clone() }));
    }
    if args.plain && !args.yes {
        prompt::need_terminal("a confirmation", "--yes")?;
        warn(&args.file);
        if !prompt::confirm("Write it unencrypted?", false)? {
            return Err(CliError::new(Exit::Cancelled, "cancelled", "nothing was exported"));
        }
    }
    let (open, password) = access::open(&vault, &args.passwords)?;
    let items = open.items();
    if args.plain {
        let format = match args.format {
            Form::Json => PlainFormat::Json,
            Form::Csv => PlainFormat::Csv,
        };
        items.export_plain(&args.file, format).map_err(explain)?;
    } else {
        let given = args.new.given()?;
        let password = if given.is_some() || args.new_password {
            let twins = "--new-password-stdin, --new-password-file FILE or --new-password-env VAR";
            prompt::new_password("Choose the password of the export: ", given, twins)?
        } else {
            password
        };
        let write = || items.export_encrypted(&vault, &args.file, &password);
        prompt::spinning("encrypting", write).map_err(explain)?;
    }
    let count = items.len();
    if args.common.json {
        let path = args.file.display().to_string();
        let answer = json!({ "success": true, "path": path, "items": count, "encrypted": !args.plain });
        terminal::json(&answer);
    } else {
        terminal::note(&format!("Wrote {} to {}.", access::count_of(count), args.file.display()));
    }
    if args.plain && args.yes {
        warn(&args.file);
    }
    Ok(Exit::success())
}

fn warn(path: &Path) {
    terminal::note(&format!(
        "{} holds every password UNENCRYPTED: whoever reads the file, a backup or a copy of it has them all. \
        Delete it when it has served.",
        path.display()
    ));
}
