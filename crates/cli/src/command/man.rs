//! `durward man`

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::Cli;
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal;

/// Write the manual pages, one a command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward man --dir ~/.local/share/man/man1\n  man durward-request")]
pub(crate) struct ManArgs {
    /// The folder to write to; made when it is missing. Pages that are there are replaced.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn run(args: &ManArgs) -> CommandResult {
    let command = Cli::command().version(env!("CARGO_PKG_VERSION"));
    let written = std::fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(command, &args.dir))
        .and_then(|()| Ok(std::fs::read_dir(&args.dir)?.count()));
    let pages = written.map_err(|error| {
        let text = format!("cannot write manual pages to {}: {error}", args.dir.display());
        CliError::new(Exit::Other, "man_failed", text)
    })?;
    terminal::note(&format!("{} has {pages} pages.", args.dir.display()));
    Ok(Exit::success())
}
