//! What the owner's commands share.

use std::future::Future;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::approver::event::OnDevice;
use crate::control::Control;
use crate::exit::{CliError, CommandResult};
use crate::paths::Paths;
use crate::terminal;

/// `--json`, on every command that has a result.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArgs {
    /// Print one JSON object on stdout.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// On which device an agent runs whose code is typed.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RunsOnArgs {
    /// The agent whose code is typed runs on this paired device: requests of it are not answered there.
    #[arg(long, value_name = "DEVICE")]
    runs_on: Option<String>,
    /// Let that device answer requests of the agent all the same.
    #[arg(long, requires = "runs_on")]
    let_device_answer: bool,
}

impl RunsOnArgs {
    /// What was said, if anything.
    pub(crate) fn said(&self) -> Option<OnDevice> {
        let device = self.runs_on.clone()?;
        Some(OnDevice { device, may_answer: self.let_device_answer })
    }
}

/// Runs a command against the approver that runs here.
pub(crate) fn with_control<F>(output: OutputArgs, command: impl FnOnce(Control) -> F) -> CommandResult
where
    F: Future<Output = CommandResult>,
{
    let run = || {
        let control = Control::at(Paths::discover()?.control_socket());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| anyhow::anyhow!("cannot start: {error}"))?;
        runtime.block_on(command(control))
    };
    run().map_err(|error: CliError| error.json(output.json))
}

/// Prints a result: one JSON object, or the text made of it.
pub(crate) fn print<T: Serialize>(
    output: OutputArgs,
    result: &T,
    text: impl FnOnce(&T) -> String,
) -> CommandResult {
    if output.json {
        terminal::json(result);
    } else {
        let text = text(result);
        if !text.is_empty() {
            terminal::out(&text);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `90`, `90s`, `15m`, `2h`: seconds, up to a day.
pub(crate) fn parse_seconds(text: &str) -> Result<u64, String> {
    let seconds = seconds_of(text)?.filter(|n| (1..=86_400).contains(n));
    seconds.ok_or_else(|| "must be between 1s and 24h".into())
}

/// The same, from none to a year: for waits and sessions.
pub(crate) fn parse_long_seconds(text: &str) -> Result<u64, String> {
    let seconds = seconds_of(text)?.filter(|n| *n <= 365 * 86_400);
    seconds.ok_or_else(|| "must be at most 365 days".into())
}

/// `None` for a number that is none, or too large.
fn seconds_of(text: &str) -> Result<Option<u64>, String> {
    let (number, unit) = match text.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        Some((at, _)) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("use a number with s, m or h, for example 10m".into()),
    };
    Ok(number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)))
}

/// A lifetime: a number with `m`, `h`, `d` or `w`, from a minute to ten years.
pub(crate) fn parse_lifetime(text: &str) -> Result<time::Duration, String> {
    let help = || String::from("use a number with m, h, d or w, for example 90d");
    let (at, _) = text.char_indices().find(|(_, c)| !c.is_ascii_digit()).ok_or_else(help)?;
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(help()),
    };
    let seconds = number.parse::<i64>().ok().and_then(|n| n.checked_mul(factor));
    let seconds = seconds.filter(|n| (60..=3_650 * 86_400).contains(n));
    seconds.map(time::Duration::seconds).ok_or_else(|| "must be between 1m and 3650d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        for (text, days) in [("90d", 90), ("24h", 1), ("2w", 14), ("1440m", 1), ("3650d", 3_650)] {
            assert_eq!(parse_lifetime(text), Ok(time::Duration::days(days)), "{text}");
        }
        for bad in ["", "90", "0d", "3651d", "59s", "d", "-1d", "1.5d", "99999999999999999999d", "1y"] {
            assert!(parse_lifetime(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("24h", 86_400)] {
            assert_eq!(parse_seconds(text), Ok(seconds));
        }
        for bad in ["", "0", "25h", "5d", "m", "-5m", "1.5h"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
    }
}
