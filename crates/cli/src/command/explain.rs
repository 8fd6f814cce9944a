//! `durward explain pake`: a pairing played step by step with the real library, then attacks on it.

mod generator;
mod play;
mod toy;

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use anstyle::Style;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::exit::{CliError, CommandResult, Exit};
use crate::terminal;
use play::Step;

const NARROWEST: usize = 40;
const WIDEST: usize = 100;
const USUAL: usize = 80;

/// Explain how something works by playing it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward explain pake\n  durward explain pake --no-pause | less")]
pub(crate) struct ExplainArgs {
    #[command(subcommand)]
    topic: Topic,
}

#[derive(Debug, Subcommand)]
enum Topic {
    Pake(PakeArgs),
}

/// How a six-digit code becomes a key that nobody else has.
///
/// Plays a pairing with the library that `request` and `up` use, then a listener, a wrong code and a man in
/// the middle on the same run. Everything in it is made up here: no file is read, no network is used, and
/// the same seed gives the same numbers. docs/pake.md goes with it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  durward explain pake\n  durward explain pake --no-pause --seed 7\n  \
    durward explain pake --codes 900000      # the listener tries every code; takes minutes\n  \
    durward explain pake --json")]
struct PakeArgs {
    /// Do not wait for Enter after each step.
    #[arg(long)]
    no_pause: bool,
    /// Another run: the demonstration's generator starts here. It is no source of real keys.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many codes the listener tries, the right one among them.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=900_000))]
    codes: u32,
    /// Print one JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &ExplainArgs) -> CommandResult {
    let Topic::Pake(args) = &args.topic;
    pake(args).map_err(|error| error.json(args.json))
}

fn pake(args: &PakeArgs) -> CommandResult {
    let steps = play::steps(args.seed, args.codes)
        .map_err(|error| CliError::new(Exit::Other, "explain_failed", error.to_string()))?;
    if args.json {
        let shown = json!({ "success": true, "demonstration": true, "seed": args.seed, "steps": steps });
        terminal::out(&shown.to_string());
        return Ok(Exit::success());
    }
    let pause = !args.no_pause && terminal::interactive() && std::io::stdout().is_terminal();
    for (i, step) in steps.iter().enumerate() {
        terminal::out(&render(step, (i + 1, steps.len()), width()));
        if pause && i + 1 < steps.len() && !go_on() {
            break;
        }
    }
    Ok(Exit::success())
}

/// Columns of the terminal, within what reads well; 80 elsewhere.
fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return USUAL;
    }
    let columns = crossterm::terminal::size().map_or(USUAL, |(columns, _)| usize::from(columns));
    columns.clamp(NARROWEST, WIDEST)
}

/// Enter goes on; q, or the end of the input, stops.
fn go_on() -> bool {
    terminal::ask("\n[Enter: next, q: stop] ");
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).unwrap_or_default();
    read > 0 && !line.trim().eq_ignore_ascii_case("q")
}

/// One step as text of at most `width` columns. Colours are taken out further on where they are unwanted.
fn render(step: &Step, (number, of): (usize, usize), width: usize) -> String {
    let bold = Style::new().bold();
    let mut text = String::from("\n");
    let title = fill(&format!("{number}/{of}  {}", step.title), 0, width);
    let _ = writeln!(text, "{bold}{title}{bold:#}");
    for paragraph in &step.text {
        let _ = writeln!(text, "\n{}", fill(paragraph, 0, width));
    }
    if !step.values.is_empty() {
        text.push('\n');
    }
    for value in &step.values {
        let _ = writeln!(text, "{}\n{}", fill(value.name, 2, width), fill(&value.value, 4, width));
    }
    if !step.lines.is_empty() {
        let _ = writeln!(text, "\n  {}", step.lines.join("\n  "));
    }
    if let Some(outcome) = &step.outcome {
        let _ = writeln!(text, "\n{bold}{}{bold:#}", fill(&format!("=> {outcome}"), 0, width));
    }
    text.pop();
    text
}

/// Breaks at blanks, and long values anywhere, with `indent` blanks before each line.
fn fill(text: &str, indent: usize, width: usize) -> String {
    let room = width.saturating_sub(indent).max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        for piece in pieces(word, room) {
            let line = lines.last().map_or(0, |line| line.chars().count());
            let gap = usize::from(line > 0);
            if line + gap + piece.chars().count() > room {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&piece);
            }
        }
    }
    let margin = " ".repeat(indent);
    lines.iter().map(|line| format!("{margin}{line}")).collect::<Vec<_>>().join("\n")
}

fn pieces(word: &str, room: usize) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    chars.chunks(room).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(width: usize) -> String {
        let steps = play::steps(1, 20).unwrap();
        let shown: Vec<String> =
            steps.iter().enumerate().map(|(i, step)| render(step, (i + 1, steps.len()), width)).collect();
        anstream::adapter::strip_str(&shown.join("\n")).to_string()
    }

    #[test]
    fn the_whole_play() {
        insta::assert_snapshot!(played(80));
    }

    #[test]
    fn narrow_screens_are_respected() {
        for width in [NARROWEST, 57, WIDEST] {
            assert!(played(width).lines().all(|line| line.chars().count() <= width), "{width}");
        }
    }

    #[test]
    fn no_seed_makes_an_attack_succeed() {
        for seed in 0..8 {
            assert!(play::steps(seed, 3).is_ok(), "seed {seed}");
        }
    }
}
