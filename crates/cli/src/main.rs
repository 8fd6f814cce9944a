//! The `durward` command: everything is in the library beside it, so that the examples and benches
//! draw the same screens.

use std::process::ExitCode;

fn main() -> ExitCode {
    durward::main()
}
