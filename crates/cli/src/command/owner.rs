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

/// Prints a result: one JSON object with `"success":true` before all else, or the text made of it.
pub(crate) fn print<T: Serialize>(
    output: OutputArgs,
    result: &T,
    text: impl FnOnce(&T) -> String,
) -> CommandResult {
    print_verdict(output, true, result, text)
}

/// The same for a command that looked whether something is good, and may have found that it is not.
pub(crate) fn print_verdict<T: Serialize>(
    output: OutputArgs,
    good: bool,
    result: &T,
    text: impl FnOnce(&T) -> String,
) -> CommandResult {
    #[derive(Serialize)]
    struct Answer<'a, T> {
        success: bool,
        #[serde(flatten)]
        result: &'a T,
    }
    if output.json {
        terminal::json(&Answer { success: good, result });
    } else {
        let text = text(result);
        if !text.is_empty() {
            terminal::out(&text);
        }
    }
    Ok(ExitCode::SUCCESS)
}
