//! `durward doctor`

mod checks;
mod system;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::owner::{OutputArgs, print_verdict};
use crate::exit::{CommandResult, Exit};
use crate::paths::Paths;
use crate::settings::ListenArgs;
use crate::terminal::harmless;

/// Look at this installation and say what is wrong with it, and how to mend it.
///
/// Reads and writes nothing of yours. Exit 0: it works, perhaps with advice; exit 1: something has to be mended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward doctor\n  durward doctor --port 5050\n  durward doctor --json")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Works, and could be better.
    Advice,
    /// Does not work, or gives something away.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, state: State::Ok, text: text.into(), fix: None }
    }

    fn advice(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, state: State::Advice, text: text.into(), fix: Some(fix.into()) }
    }

    fn problem(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, state: State::Problem, text: text.into(), fix: Some(fix.into()) }
    }
}

pub(crate) fn run(args: &DoctorArgs) -> CommandResult {
    let look = || {
        let paths = Paths::discover()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| anyhow::anyhow!("cannot start: {error}"))?;
        let findings = runtime.block_on(checks::all(&paths, &args.listen));
        let count = |state| findings.iter().filter(|finding| finding.state == state).count();
        let (problems, advice) = (count(State::Problem), count(State::Advice));
        let result =
            json!({ "ok": problems == 0, "problems": problems, "advice": advice, "checks": findings });
        print_verdict(args.output, problems == 0, &result, |_| text(&findings, problems, advice))?;
        Ok(if problems == 0 { ExitCode::SUCCESS } else { ExitCode::from(Exit::Other as u8) })
    };
    look().map_err(|error: crate::exit::CliError| error.json(args.output.json))
}

fn text(findings: &[Finding], problems: usize, advice: usize) -> String {
    let mut lines = Vec::new();
    for finding in findings {
        let mark = match finding.state {
            State::Ok => "ok",
            State::Advice => "advice",
            State::Problem => "PROBLEM",
        };
        lines.push(format!("{mark:<8} {:<12} {}", finding.check, harmless(&finding.text)));
        lines.extend(finding.fix.iter().map(|fix| format!("{:<21} -> {}", "", harmless(fix))));
    }
    lines.push(match (problems, advice) {
        (0, 0) => "Nothing is wrong.".into(),
        (0, _) => "It works; see the advice.".into(),
        (1, _) => "1 problem.".into(),
        (n, _) => format!("{n} problems."),
    });
    lines.join("\n")
}
