//! The process's terminal, whatever stdin and stdout are.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use crate::exit::{CliError, Exit};
use crate::{prompt, quiet};

/// Longest line that is taken, in bytes.
const MAX_LINE_BYTES: u64 = 4096;

/// Questions and answers.
pub(super) struct Tty {
    input: BufReader<File>,
    output: File,
}

impl Tty {
    /// Fails when this process has no terminal, and says why there is no other way.
    pub(super) fn open() -> Result<Self, CliError> {
        let open = || {
            let input = OpenOptions::new().read(true).open("/dev/tty")?;
            let output = OpenOptions::new().write(true).open("/dev/tty")?;
            Ok(Self { input: BufReader::new(input), output })
        };
        open().map_err(|error: std::io::Error| {
            let text = format!(
                "local mode asks the owner on the terminal itself and there is none (/dev/tty: {error}); \
                its approval has no option for scripts, because then the script would approve"
            );
            CliError::new(Exit::Usage, "no_terminal", text)
                .hint("run it on a terminal, or ask an approver with --mode remote")
        })
    }

    /// Writes a line. A terminal that went away shows when it is read.
    pub(super) fn say(&mut self, line: &str) {
        let _ = writeln!(self.output, "{line}");
    }

    /// Asks for a line.
    pub(super) fn line(&mut self, question: &str) -> Result<String, CliError> {
        quiet::in_sight(|| {
            let _ = write!(self.output, "{question}");
            let _ = self.output.flush();
            let mut text = String::new();
            match self.input.by_ref().take(MAX_LINE_BYTES).read_line(&mut text) {
                Ok(0) => Err(prompt::cancelled()),
                Ok(_) => Ok(text),
                Err(error) => {
                    Err(CliError::new(Exit::Other, "no_terminal", format!("the terminal went away: {error}")))
                }
            }
        })
    }
}
