//! `durward vault import`

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use durward_vault::{Duplicates, Import, ImportFormat, ImportLine, ImportReport};
use serde_json::json;

use super::access::{self, Common, explain};
use crate::exit::{CliError, CommandResult, Exit};
use crate::prompt::{self, PasswordArgs};
use crate::terminal;

/// Take in what another program exported.
///
/// First says what it would do: what is new, what the vault has already, what cannot be used. Nothing is
/// written before a yes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward vault import bitwarden.json\n  \
    durward vault import passwords.csv --format 1password --dry-run\n  durward vault import passwords.csv --yes --json")]
pub(crate) struct ImportArgs {
    /// The export.
    file: PathBuf,
    /// Which program wrote it [default: what it looks like].
    #[arg(long, value_parser = PossibleValuesParser::new(ImportFormat::NAMES))]
    format: Option<String>,
    /// What to do with a site and login name that the vault has already.
    #[arg(long, value_enum, default_value = "skip")]
    duplicates: OnDuplicate,
    /// Only say what it would do.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    passwords: PasswordArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnDuplicate {
    /// Leave it out.
    Skip,
    /// Add it as one more item.
    Add,
}

pub(super) fn run(args: &ImportArgs) -> CommandResult {
    import(args).map_err(|error| error.json(args.common.json))
}

fn import(args: &ImportArgs) -> CommandResult {
    let vault = args.common.existing()?;
    let format = args.format.as_deref().map(str::parse::<ImportFormat>).transpose().map_err(explain)?;
    let import = Import::open(format, &args.file).map_err(explain)?;
    if !args.dry_run && !args.yes {
        prompt::need_terminal("a confirmation", "--yes, or --dry-run to see what it would do")?;
    }
    let (open, password) = access::open(&vault, &args.passwords)?;
    let report = import.report(open.items());
    drop(open);
    if !args.common.json {
        print(&report, args.duplicates);
    }
    if args.dry_run {
        return Ok(answer(args, &report, false));
    }
    let count = taken(&report, args.duplicates);
    if count == 0 {
        terminal::note("There is nothing to import.");
        return Ok(answer(args, &report, false));
    }
    if !prompt::confirm(&format!("Import {}?", access::count_of(count)), args.yes)? {
        return Err(CliError::new(Exit::Cancelled, "cancelled", "nothing was imported"));
    }
    let duplicates = match args.duplicates {
        OnDuplicate::Skip => Duplicates::Skip,
        OnDuplicate::Add => Duplicates::Add,
    };
    let report = access::edit(&vault, Some(password), |items| {
        import.apply(items, duplicates, &mut crate::os_rng(), access::now())
    })?;
    terminal::note(&format!(
        "Imported {}. {} still holds the passwords unencrypted: delete it.",
        access::count_of(taken(&report, args.duplicates)),
        args.file.display()
    ));
    Ok(answer(args, &report, true))
}

/// How many items the vault gains.
fn taken(report: &ImportReport, duplicates: OnDuplicate) -> usize {
    let again = if duplicates == OnDuplicate::Add { report.duplicates.len() } else { 0 };
    report.new.len() + again
}

fn answer(args: &ImportArgs, report: &ImportReport, applied: bool) -> std::process::ExitCode {
    if args.common.json {
        terminal::json(&json!({ "success": true, "applied": applied, "report": report }));
    }
    Exit::success()
}

fn print(report: &ImportReport, duplicates: OnDuplicate) {
    for line in &report.new {
        terminal::out(&format!("new        {}", entry(line)));
    }
    for duplicate in &report.duplicates {
        let same = if duplicate.same_password { "the same password" } else { "another password" };
        let done = if duplicates == OnDuplicate::Add { ", added once more" } else { ", left out" };
        terminal::out(&format!("duplicate  {} ({same}{done})", entry(&duplicate.entry)));
    }
    for skipped in &report.skipped {
        terminal::out(&format!("skipped    line {}: {}", skipped.line, terminal::harmless(&skipped.reason)));
    }
    if !report.ignored_columns.is_empty() {
        let names = report.ignored_columns.join(", ");
        terminal::out(&format!("columns not understood: {}", terminal::harmless(&names)));
    }
    terminal::out(&format!(
        "{} new, {} duplicate, {} skipped",
        report.new.len(),
        report.duplicates.len(),
        report.skipped.len()
    ));
}

fn entry(line: &ImportLine) -> String {
    let name = terminal::harmless(&line.name);
    match &line.username {
        Some(username) => format!("line {}: {name}, {}", line.line, terminal::harmless(username)),
        None => format!("line {}: {name}", line.line),
    }
}
