//! Boxes over the screen.

use durward_broker::approval::{Decision, GrantSpec, ItemChoice, RequestView, SessionView, Suggestion};
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

/// Its title and what stands in it.
fn content(
    paint: &Paint<'_>,
    dialog: &Dialog,
    columns: u16,
    rows: u16,
) -> (&'static str, Vec<Line<'static>>) {
    let page = Page { paint, columns };
    match dialog {
        Dialog::Help { scroll } => ("Keys", help(paint, *scroll, columns, rows)),
        Dialog::Password { request, decision, input, wrong, busy } => {
            ("Release", page.password(&release(paint, request, decision), input, *wrong, *busy))
        }
        Dialog::Items { choices, cursor, busy, .. } => ("Item", page.items(choices, *cursor, *busy, rows)),
        Dialog::Reason { request, input } => ("Deny", page.reason(request, input)),
        Dialog::HowLong { uses, input, wrong } => ("For how long", page.how_long(*uses, input, *wrong)),
        Dialog::Scope { inputs, at, problem, .. } => {
            ("Narrow the scope", page.scope(inputs, *at, problem.as_deref()))
        }
        Dialog::Unlock { input, choice, wrong, busy } => {
            ("Unlock", page.unlock(input, *choice, *wrong, *busy))
        }
        Dialog::Rule(suggestion) => ("Rule", page.rule(suggestion)),
        Dialog::Rename { old, this, input, problem, .. } => {
            ("Rename", page.rename(old.as_str(), *this, input, problem.as_deref()))
        }
        Dialog::Join { inputs, at, problem } => ("Join", page.join(inputs, *at, problem.as_deref())),
        Dialog::Confirm(confirm) => page.confirm(confirm),
        Dialog::Paired(session) => ("Paired", page.paired(session)),
        Dialog::Over(text) => ("Over", page.over(text)),
    }
}

/// The room in a box.
struct Page<'p, 's> {
    paint: &'p Paint<'s>,
    columns: u16,
}

impl Page<'_, '_> {
    fn prose(&self, text: &str, role: Role) -> Vec<Line<'static>> {
        let lines = wrap(text, usize::from(self.columns)).into_iter();
        lines.map(|line| self.paint.line(line, role)).collect()
    }

    fn field(&self, label: &str, input: &Text, here: bool) -> Line<'static> {
        field(self.paint, label, input, here, self.columns)
    }

    /// What is wrong with what was typed, or what to type.
    fn problem_or(&self, problem: Option<&str>, help: &str) -> Vec<Line<'static>> {
        match problem {
            Some(problem) => self.prose(&self.paint.text(&format!("! {problem}")), Role::Warning),
            None => self.prose(help, Role::Faint),
        }
    }

    fn password(&self, what: &str, input: &Text, wrong: bool, busy: bool) -> Vec<Line<'static>> {
        let mut lines = self.prose(what, Role::Plain);
        if wrong {
            lines.extend(self.prose("! Wrong vault password. The request keeps waiting.", Role::Warning));
        }
        lines.push(Line::default());
        lines.push(if busy {
            self.paint.line("Opening the vault.", Role::Title)
        } else {
            self.field("Vault password", input, true)
        });
        lines
    }

    fn items(&self, choices: &[ItemChoice], cursor: usize, busy: bool, rows: u16) -> Vec<Line<'static>> {
        let paint = self.paint;
        let mut lines = self.prose("Several items match. Which one?", Role::Plain);
        lines.push(Line::default());
        let room = usize::from(rows).saturating_sub(lines.len() + 1).max(1);
        for at in window(cursor, choices.len(), room) {
            let Some(choice) = choices.get(at) else { break };
            let name = choice.username.as_deref().map(|name| format!("  ({name})")).unwrap_or_default();
            let here = at == cursor;
            let mark = if here { paint.look.cursor() } else { " " };
            let text = format!("{mark} {}", paint.text(&format!("{}{name}", choice.name)));
            let text = fit(&text, usize::from(self.columns), paint.look.ellipsis());
            lines.push(paint.line(text, if here { Role::Selected } else { Role::Plain }));
        }
        if busy {
            lines.push(paint.line("Releasing.", Role::Title));
        }
        lines
    }

    fn reason(&self, request: &RequestView, input: &Text) -> Vec<Line<'static>> {
        let agent = self.paint.text(request.agent_name.as_str());
        let mut lines =
            self.prose(&format!("Deny {agent} the credential for {}.", request.domain), Role::Plain);
        if request.alike > 0 {
            lines.extend(self.prose(&format!("{} more like it are denied too.", request.alike), Role::Plain));
        }
        lines.push(Line::default());
        lines.push(self.field("Words for it", input, true));
        lines.extend(self.prose("Enter denies, with or without words.", Role::Faint));
        lines
    }

    fn how_long(&self, uses: bool, input: &Text, wrong: bool) -> Vec<Line<'static>> {
        let (label, what, problem) = if uses {
            (
                "Times",
                "How many times more, after this one, without asking? 1 to 1000.",
                "! Not a number from 1 to 1000.",
            )
        } else {
            (
                "Time",
                "For how long, without asking? For example 45m or 2h, at most 24h.",
                "! Not a time such as 45m or 2h, at most 24h.",
            )
        };
        let mut lines = self.prose(what, Role::Plain);
        lines.push(Line::default());
        lines.push(self.field(label, input, true));
        if wrong {
            lines.extend(self.prose(problem, Role::Warning));
        }
        lines
    }

    fn scope(&self, inputs: &[Text; 3], at: usize, problem: Option<&str>) -> Vec<Line<'static>> {
        let mut lines =
            self.prose("What this session may be used for. It can only be narrowed.", Role::Plain);
        lines.push(Line::default());
        for (n, (label, input)) in ["Domains", "Releases", "Minutes"].iter().zip(inputs).enumerate() {
            lines.push(self.field(label, input, n == at));
        }
        lines.extend(self.problem_or(problem, "Empty is no limit. Tab: next field."));
        lines
    }

    fn unlock(&self, input: &Text, choice: usize, wrong: bool, busy: bool) -> Vec<Line<'static>> {
        let what = "Keep the vault open: requests are then released without its password.";
        let mut lines = self.prose(what, Role::Plain);
        if wrong {
            lines.push(self.paint.line("! Wrong vault password.", Role::Warning));
        }
        lines.push(Line::default());
        if busy {
            lines.push(self.paint.line("Opening the vault.", Role::Title));
            return lines;
        }
        let times = UNLOCK_CHOICES.iter().enumerate().map(|(n, seconds)| {
            let text = if *seconds < 3_600 {
                format!("{} min", seconds / 60)
            } else {
                format!("{} h", seconds / 3_600)
            };
            if n == choice { format!("[{text}]") } else { format!(" {text} ") }
        });
        let times = times.collect::<String>();
        lines.push(self.paint.labelled("For", &format!("{times} Tab"), Role::Plain, self.columns));
        lines.push(self.field("Vault password", input, true));
        lines
    }

    fn rule(&self, suggestion: &Suggestion) -> Vec<Line<'static>> {
        let mut lines = self.prose(&self.paint.text(&in_a_row(suggestion)), Role::Plain);
        let what = "Let exactly that through for 7 days without asking? It is written into your policy.";
        lines.extend(self.prose(what, Role::Plain));
        if !suggestion.rules.is_empty() {
            let more =
                "! Other rules name this agent id: the new one counts with them, once you let them count.";
            lines.extend(self.prose(more, Role::Warning));
        }
        lines.push(Line::default());
        lines.push(yes_or_no(self.paint, "N"));
        lines
    }

    fn rename(&self, old: &str, this: bool, input: &Text, problem: Option<&str>) -> Vec<Line<'static>> {
        let where_it_counts = if this { "Its peers are told." } else { "It counts on this device only." };
        let text = format!("Another name for {}. {where_it_counts}", self.paint.text(old));
        let mut lines = self.prose(&text, Role::Plain);
        lines.push(Line::default());
        lines.push(self.field("Name", input, true));
        if problem.is_some() {
            lines.extend(self.problem_or(problem, ""));
        }
        lines
    }

    fn join(&self, inputs: &[Text; 2], at: usize, problem: Option<&str>) -> Vec<Line<'static>> {
        let mut lines = self.prose("Type the code that the other device shows.", Role::Plain);
        lines.push(Line::default());
        for (n, (label, input)) in ["Code", "Address"].iter().zip(inputs).enumerate() {
            lines.push(self.field(label, input, n == at));
        }
        let help = "HOST:PORT of the other device; empty looks for it on the network. Tab: next field.";
        lines.extend(self.problem_or(problem, help));
        lines
    }

    fn confirm(&self, confirm: &Confirm) -> (&'static str, Vec<Line<'static>>) {
        let (title, text) = confirm_text(self.paint, confirm);
        let mut lines = self.prose(&text, Role::Plain);
        lines.push(Line::default());
        lines.push(yes_or_no(self.paint, "N, Enter"));
        (title, lines)
    }

    fn paired(&self, session: &SessionView) -> Vec<Line<'static>> {
        let name = self.paint.text(session.agent_name.as_str());
        let mut lines = self.prose(&format!("Paired with {name} ({}).", session.agent_id), Role::Plain);
        lines.extend(self.prose("The agent's screen must show the same five words:", Role::Plain));
        lines.push(Line::default());
        lines.extend(self.prose(&session.fingerprint, Role::Title));
        lines.push(Line::default());
        let what = "Enter: they are the same. R: they are not, revoke the session.";
        lines.extend(self.prose(what, Role::Faint));
        lines
    }

    fn over(&self, text: &str) -> Vec<Line<'static>> {
        let mut lines = self.prose(&self.paint.text(text), Role::Plain);
        lines.push(Line::default());
        lines.extend(self.prose("Enter: go on.", Role::Faint));
        lines
    }
}

/// The keys of the open box.
pub(super) fn hints(dialog: &Dialog) -> &'static [(&'static str, &'static str)] {
    match dialog {
        dialog if dialog.busy() => &[("Ctrl-C", "leave")],
        Dialog::Help { .. } => &[("Up, Down", "scroll"), ("Esc", "back")],
        Dialog::Password { .. } => &[("Enter", "release"), ("Esc", "back")],
        Dialog::Items { .. } => &[("Enter", "release"), ("Up, Down", "choose"), ("Esc", "back")],
        Dialog::Reason { .. } => &[("Enter", "deny"), ("Esc", "back")],
        Dialog::HowLong { .. } => &[("Enter", "set"), ("Esc", "back")],
        Dialog::Scope { .. } => &[("Enter", "narrow"), ("Tab", "next field"), ("Esc", "back")],
        Dialog::Unlock { .. } => &[("Enter", "unlock"), ("Tab", "how long"), ("Esc", "back")],
        Dialog::Rule(_) => &[("Y", "write it"), ("N", "go on being asked"), ("Esc", "later")],
        Dialog::Rename { .. } => &[("Enter", "rename"), ("Esc", "back")],
        Dialog::Join { .. } => &[("Enter", "join"), ("Tab", "next field"), ("Esc", "back")],
        Dialog::Confirm(_) => &[("Y", "yes"), ("N, Enter, Esc", "no")],
        Dialog::Paired(_) => &[("Enter", "the same words"), ("R", "others: revoke")],
        Dialog::Over(_) => &[("Enter", "go on")],
    }
}

fn yes_or_no(paint: &Paint<'_>, no: &'static str) -> Line<'static> {
    Line::from(vec![
        paint.span("Y", Role::Key),
        paint.span(" yes   ", Role::Plain),
        paint.span(no, Role::Key),
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
        Confirm::Standing { request, decision, .. } => {
            ("Without asking", format!("Release {}", release(paint, request, decision)))
        }
        Confirm::SwitchPairing { open: true } => {
            ("Open pairing", "Open pairing? Agents can then ask to be paired.".into())
        }
        Confirm::SwitchPairing { open: false } => {
            let waiting = paint.state.known.waiting_pairings().count();
            let ends = match waiting {
                0 => String::new(),
                1 => " The one that waits is ended.".into(),
                many => format!(" The {many} that wait are ended."),
            };
            ("Close pairing", format!("Close pairing? No new agent can pair until C opens it again.{ends}"))
        }
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
