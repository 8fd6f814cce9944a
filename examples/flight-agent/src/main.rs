//! `flight-agent`: see README.md.

#![cfg_attr(unix, expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program"))]

#[cfg(unix)]
mod program;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    program::main()
}

#[cfg(not(unix))]
fn main() -> Result<(), String> {
    Err("this example hands Chromium two file descriptors, which it does on Linux and macOS only".to_owned())
}
