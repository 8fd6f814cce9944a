//! `durward selftest`: attacks on this very build, and what came of them.
//!
//! An approver of its own is started from the installed program in a folder that is removed at the end;
//! the owner's vault, sessions and audit log are not touched. The attacker speaks raw HTTP with the
//! protocol library, so nothing in the client can be what stops an attack.

mod agent;
mod attacks;
mod stage;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::owner::{OutputArgs, print_verdict};
use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal;

/// Attack this installation and show what stops each attack.
///
/// Starts an approver of its own on a free port in a temporary folder; yours is not touched. Takes some
/// seconds. Exit code 0 when everything was stopped, 1 when something got through.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward selftest\n  durward selftest --json")]
pub(crate) struct SelftestArgs {
    #[command(flatten)]
    output: OutputArgs,
}

/// One attack and its end.
#[derive(Debug, Serialize)]
struct Finding {
    attack: &'static str,
    /// What the attacker did.
    tried: &'static str,
    stopped: bool,
    /// What was answered.
    seen: String,
}

#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    stopped: usize,
    findings: Vec<Finding>,
}

pub(crate) fn run(args: &SelftestArgs) -> CommandResult {
    let output = args.output;
    attack_all(output).map_err(|error| error.json(output.json))
}

fn attack_all(output: OutputArgs) -> CommandResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Exit::Other, "selftest", format!("cannot start: {error}")))?;
    let spinner = crate::approver::spinner(terminal::interactive(), "Attacking");
    let findings = runtime.block_on(attacks::all());
    drop(spinner);
    let findings = findings
        .map_err(|what| CliError::new(Exit::Other, "selftest", format!("the test itself failed: {what}")))?;
    let stopped = findings.iter().filter(|finding| finding.stopped).count();
    let all = stopped == findings.len();
    let report = Report { version: env!("CARGO_PKG_VERSION"), stopped, findings };
    if output.json {
        print_verdict(output, all, &report, |_| String::new())?;
    } else {
        show(&report);
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(report: &Report) {
    let rows = report.findings.iter().map(|finding| {
        let end = if finding.stopped { "stopped" } else { "GOT THROUGH" };
        vec![finding.attack.to_owned(), finding.tried.to_owned(), end.to_owned(), finding.seen.clone()]
    });
    terminal::table(&["attack", "what was tried", "", "answer"], rows);
    let (stopped, all) = (report.stopped, report.findings.len());
    if stopped == all {
        terminal::note(&format!("All {all} stopped."));
    } else {
        terminal::note(&format!(
            "{} of {all} got through: please report it, SECURITY.md says how.",
            all - stopped
        ));
    }
}
