//! What the `durward` command is made of. It promises nothing to other programs: the libraries for those
//! are `durward-client` and `durward-protocol`.

mod approver;
mod clipboard;
mod command;
mod config;
mod control;
mod duration;
mod env_vars;
mod exit;
mod harden;
mod interrupt;
mod logging;
mod notify;
mod paths;
mod programs;
mod prompt;
mod quiet;
mod rest_key;
mod secret_arg;
mod settings;
mod suggest;
mod terminal;
mod tui;

use std::process::ExitCode;

use clap::Parser as _;
use getrandom::SysRng;
use rand_core::UnwrapErr;

pub use tui::replay;

/// The generator of the operating system.
fn os_rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// Reads the command line, does what it says, and tells how it went.
pub fn main() -> ExitCode {
    let cli = match command::Cli::try_parse_from(suggest::help_last(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => return exit::usage(error),
    };
    let code = exit::report(command::run(cli));
    quiet::end();
    code
}
