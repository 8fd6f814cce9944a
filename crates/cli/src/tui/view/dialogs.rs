//! Boxes over the screen.

use durward_broker::approval::{Decision, GrantSpec, RequestView};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Clear, Widget as _};

use super::help::HELP;
use super::look::Role;
use super::paint::{self, Paint};
use super::text::{fit, window, wrap};
use crate::approver::words::in_a_row;
use crate::tui::state::{Confirm, Dialog, Text, UNLOCK_CHOICES};

/// Widest box.
const COLUMNS: u16 = 64;

/// The open box.
pub(super) fn dialog(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect, dialog: &Dialog) {
    let columns = area.width.min(COLUMNS);
    let room = columns.saturating_sub(4);
    let (title, mut lines) = content(paint, dialog, room, area.height.saturating_sub(2));
    lines.truncate(usize::from(area.height.saturating_sub(2)));
    let rows = u16::try_from(lines.len()).unwrap_or(area.height).saturating_add(2).min(area.height);
    let place = Rect {
        x: area.x + (area.width - columns) / 2,
        y: area.y + (area.height - rows) / 2,
        width: columns,
        height: rows,
    };
    Clear.render(place, buffer);
    let inner = paint.frame(buffer, place, title);
    paint::lines(buffer, inner, &lines);
}

fn content(
    paint: &Paint<'_>,
    dialog: &Dialog,
    columns: u16,
    rows: u16,
) -> (&'static str, Vec<Line<'static>>) {
    let prose = |text: &str, role: Role| {
        wrap(text, usize::from(columns)).into_iter().map(|line| paint.line(line, role)).collect::<Vec<_>>()
    };
    match dialog {
        Dialog::Help { scroll } => ("Keys", help(paint, *scroll, columns, rows)),
        Dialog::Password { request, decision, input, wrong, busy } => {
            let mut lines = prose(&release(paint, request, decision), Role::Plain);
            if *wrong {
                lines.extend(prose("! Wrong vault password. The request keeps waiting.", Role::Warning));
            }
            lines.push(Line::default());
            lines.push(if *busy {
                paint.line("Opening the vault.", Role::Title)
            } else {
                field(paint, "Vault password", input, true, columns)
            });
            ("Release", lines)
        }
        Dialog::Items { choices, cursor, busy, .. } => {
            let mut lines = prose("Several items match. Which one?", Role::Plain);
            lines.push(Line::default());
            let room = usize::from(rows).saturating_sub(lines.len() + 1).max(1);
            for at in window(*cursor, choices.len(), room) {
                let Some(choice) = choices.get(at) else { break };
                let name = choice.username.as_deref().map(|name| format!("  ({name})")).unwrap_or_default();
                let here = at == *cursor;
                let mark = if here { paint.look.cursor() } else { " " };
                let text = format!("{mark} {}", paint.text(&format!("{}{name}", choice.name)));
                let text = fit(&text, usize::from(columns), paint.look.ellipsis());
                lines.push(paint.line(text, if here { Role::Selected } else { Role::Plain }));
            }
            if *busy {
                lines.push(paint.line("Releasing.", Role::Title));
            }
            ("Item", lines)
        }
        Dialog::Reason { request, input } => {
            let agent = paint.text(request.agent_name.as_str());
            let mut lines =
                prose(&format!("Deny {agent} the credential for {}.", request.domain), Role::Plain);
            if request.alike > 0 {
                lines.extend(prose(&format!("{} more like it are denied too.", request.alike), Role::Plain));
            }
            lines.push(Line::default());
            lines.push(field(paint, "Words for it", input, true, columns));
            lines.extend(prose("Enter denies, with or without words.", Role::Faint));
            ("Deny", lines)
        }
        Dialog::HowLong { uses, input, wrong } => {
            let (label, what) = if *uses {
                ("Times", "How many times more, after this one, without asking? 1 to 1000.")
            } else {
                ("Time", "For how long, without asking? For example 45m or 2h, at most 24h.")
            };
            let mut lines = prose(what, Role::Plain);
            lines.push(Line::default());
            lines.push(field(paint, label, input, true, columns));
            if *wrong {
                lines.push(paint.line("! That is none.", Role::Warning));
            }
            ("For how long", lines)
        }
        Dialog::Scope { inputs, at, problem, .. } => {
            let mut lines = prose("What this session may be used for. It can only be narrowed.", Role::Plain);
            lines.push(Line::default());
            for (n, (label, input)) in ["Domains", "Releases", "Minutes"].iter().zip(inputs).enumerate() {
                lines.push(field(paint, label, input, n == *at, columns));
            }
            match problem {
                Some(problem) => lines.extend(prose(&paint.text(&format!("! {problem}")), Role::Warning)),
                None => lines.extend(prose("Empty is no limit. Tab: next field.", Role::Faint)),
            }
            ("Narrow the scope", lines)
        }
        Dialog::Unlock { input, choice, wrong, busy } => {
            let mut lines =
                prose("Keep the vault open: requests are then released without its password.", Role::Plain);
            if *wrong {
                lines.push(paint.line("! Wrong vault password.", Role::Warning));
            }
            lines.push(Line::default());
            if *busy {
                lines.push(paint.line("Opening the vault.", Role::Title));
            } else {
                let times: String = UNLOCK_CHOICES
                    .iter()
                    .enumerate()
                    .map(|(n, seconds)| {
                        let text = if *seconds < 3_600 {
                            format!("{} min", seconds / 60)
                        } else {
                            format!("{} h", seconds / 3_600)
                        };
                        if n == *choice { format!("[{text}]") } else { format!(" {text} ") }
                    })
                    .collect();
                lines.push(paint.labelled("For", &format!("{times} Tab"), Role::Plain, columns));
                lines.push(field(paint, "Vault password", input, true, columns));
            }
            ("Unlock", lines)
        }
        Dialog::Rule(suggestion) => {
            let mut lines = prose(&paint.text(&in_a_row(suggestion)), Role::Plain);
            let what = "Let exactly that through for 7 days without asking? It is written into your policy.";
            lines.extend(prose(what, Role::Plain));
            if !suggestion.rules.is_empty() {
                let more = "! Other rules name this agent id: the new one counts with them, once you let them count.";
                lines.extend(prose(more, Role::Warning));
            }
            lines.push(Line::default());
            lines.push(yes_or_no(paint));
            ("Rule", lines)
        }
        Dialog::Rename { old, this, input, problem, .. } => {
            let where_it_counts =
                if *this { "Its peers are told." } else { "It counts on this device only." };
            let text = format!("Another name for {}. {where_it_counts}", paint.text(old.as_str()));
            let mut lines = prose(&text, Role::Plain);
            lines.push(Line::default());
            lines.push(field(paint, "Name", input, true, columns));
            if let Some(problem) = problem {
                lines.extend(prose(&paint.text(&format!("! {problem}")), Role::Warning));
            }
            ("Rename", lines)
        }
        Dialog::Join { inputs, at, problem } => {
            let mut lines = prose("Type the code that the other device shows.", Role::Plain);
            lines.push(Line::default());
            for (n, (label, input)) in ["Code", "Address"].iter().zip(inputs).enumerate() {
                lines.push(field(paint, label, input, n == *at, columns));
            }
            let help = "HOST:PORT of the other device; empty looks for it on the network. Tab: next field.";
            match problem {
                Some(problem) => lines.extend(prose(&paint.text(&format!("! {problem}")), Role::Warning)),
                None => lines.extend(prose(help, Role::Faint)),
            }
            ("Join", lines)
        }
        Dialog::Confirm(confirm) => {
            let (title, text) = confirm_text(paint, confirm);
            let mut lines = prose(&text, Role::Plain);
            lines.push(Line::default());
            lines.push(yes_or_no(paint));
            (title, lines)
        }
        Dialog::Paired(session) => {
            let mut lines = prose(
                &format!("Paired with {} ({}).", paint.text(session.agent_name.as_str()), session.agent_id),
                Role::Plain,
            );
            lines.extend(prose("The agent's screen must show the same five words:", Role::Plain));
            lines.push(Line::default());
            lines.extend(prose(&session.fingerprint, Role::Title));
            lines.push(Line::default());
            lines
                .extend(prose("Enter: they are the same. R: they are not, revoke the session.", Role::Faint));
            ("Paired", lines)
        }
        Dialog::Over(text) => {
            let mut lines = prose(&paint.text(text), Role::Plain);
            lines.push(Line::default());
            lines.extend(prose("Enter: go on.", Role::Faint));
            ("Over", lines)
        }
    }
}

fn yes_or_no(paint: &Paint<'_>) -> Line<'static> {
    Line::from(vec![
        paint.span("Y", Role::Key),
        paint.span(" yes   ", Role::Plain),
        paint.span("N", Role::Key),
        paint.span(" no", Role::Plain),
    ])
}

/// What a yes will do, in a sentence.
fn release(paint: &Paint<'_>, request: &RequestView, decision: &Decision) -> String {
    let agent = paint.text(request.agent_name.as_str());
    let Decision::Approve { grant, fields, .. } = decision else { return String::new() };
    let fields = paint.fields(fields.as_ref().unwrap_or(&request.fields));
    let then = match grant {
        None => "once".into(),
        Some(GrantSpec::Session) => "and again without asking while the session lives".into(),
        Some(GrantSpec::For { seconds }) => {
            format!("and again without asking for {} min", seconds.div_ceil(60))
        }
        Some(GrantSpec::Uses { uses }) => format!("and {uses} times more without asking"),
    };
    format!("{fields} of {} to {agent}, {then}.", request.domain)
}

fn confirm_text(paint: &Paint<'_>, confirm: &Confirm) -> (&'static str, String) {
    match confirm {
        Confirm::Refuse { number, agent } => {
            ("Refuse", format!("Refuse pairing {number} of {}?", paint.text(agent)))
        }
        Confirm::Revoke { agent, .. } => (
            "Revoke",
            format!(
                "Revoke the session of {}? Its key is wiped, and all it has asked for is denied.",
                paint.text(agent)
            ),
        ),
        Confirm::Pause { agent_id } => (
            "Pause",
            format!(
                "Pause {agent_id}? What it asks is refused, what it has asked is denied, until you resume it."
            ),
        ),
        Confirm::EndGrant { what, .. } => ("End", format!("End the grant {}?", paint.text(what))),
        Confirm::RemoveDevice { name, .. } => (
            "Remove",
            format!(
                "Remove {}? Nothing more is sealed for it or taken from it. It keeps what it has, and is not told.",
                paint.text(name.as_str())
            ),
        ),
        Confirm::TakeDevice { introduced, accept } => {
            let (device, by) = (&introduced.device, paint.text(introduced.introduced_by.as_str()));
            let name = paint.text(device.device_name.as_str());
            let key = paint.text(&device.fingerprint);
            if *accept {
                ("Confirm", format!("Pair with {name}, which {by} introduced? Its key is {key}."))
            } else {
                ("Refuse", format!("Refuse {name} ({key}), which {by} introduced?"))
            }
        }
        Confirm::Quit => {
            let waiting = paint.state.queue().len();
            let waits =
                if waiting > 0 { format!(" {waiting} waiting stay in the store.") } else { String::new() };
            (
                "Quit",
                format!(
                    "The server stops with this screen: agents cannot ask until it runs again.{waits} Quit?"
                ),
            )
        }
    }
}

/// A line that is being typed, its end in sight. Secrets are dots.
fn field(paint: &Paint<'_>, label: &str, input: &Text, here: bool, columns: u16) -> Line<'static> {
    let shown =
        if input.is_secret() { paint.look.dot().repeat(input.count()) } else { paint.text(input.expose()) };
    let room = usize::from(columns).saturating_sub(label.len() + 4).max(4);
    let mut tail = String::new();
    for c in shown.chars().rev() {
        if super::text::width(&tail) + 2 > room {
            break;
        }
        tail.insert(0, c);
    }
    let cursor = if here { "_" } else { "" };
    Line::from(vec![
        paint.span(format!("{label}: "), if here { Role::Key } else { Role::Faint }),
        paint.span(format!("{tail}{cursor}"), Role::Title),
    ])
}

fn help(paint: &Paint<'_>, scroll: usize, columns: u16, rows: u16) -> Vec<Line<'static>> {
    let rows = usize::from(rows).saturating_sub(1).max(1);
    let scroll = scroll.min(HELP.len().saturating_sub(rows));
    let mut lines: Vec<Line<'static>> = HELP
        .iter()
        .skip(scroll)
        .take(rows)
        .map(|(key, what)| {
            if what.is_empty() {
                return paint.line(*key, Role::Title);
            }
            let room = usize::from(columns).saturating_sub(13);
            Line::from(vec![
                paint.span(format!("  {key:<11}"), Role::Key),
                paint.span(fit(what, room, paint.look.ellipsis()), Role::Plain),
            ])
        })
        .collect();
    let more = if scroll + rows < HELP.len() { "Down: more. Esc: back." } else { "Esc: back." };
    lines.push(paint.line(more, Role::Faint));
    lines
}
