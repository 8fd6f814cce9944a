//! `bw`: a drop-in for Bitwarden's command line.
//!
//! Starting is the hot path: no async runtime, no TLS, no table of help texts before a command needs it.

mod command;
mod context;
mod env;
mod help;
mod output;
mod parse;
mod password;
mod prompt;
#[expect(dead_code, reason = "nobody is handed the terminal here")]
#[path = "../quiet.rs"]
mod quiet;
mod spec;
mod spinner;

use std::process::ExitCode;

use context::Context;
use output::Response;
use parse::Parsed;

fn main() -> ExitCode {
    harden();
    let args: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    match parse::parse(&args) {
        Parsed::Version => output::version(),
        Parsed::Help(command) => output::text(&help::render(command)),
        Parsed::NoCommand => output::usage(&format!("{}\n", help::render(None).trim_end())),
        Parsed::Usage(message) => output::usage(&message),
        Parsed::Unknown(words) => output::refusal(
            &format!("Invalid command: {words}"),
            "See --help for a list of available commands.",
        ),
        Parsed::Run(invocation) => {
            let context = Context::new(invocation);
            let response = command::run(&context).unwrap_or_else(Response::from);
            quiet::end();
            output::finish(&context, &response)
        }
    }
}

/// No core dump and no foreign debugger may find a key in this process.
fn harden() {
    #[cfg(unix)]
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_dumpable(false);
}
