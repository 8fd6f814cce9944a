//! The picture of a state: pure. Everything that came from an agent passes through `Look::text` first.

mod begin;
mod devices;
mod dialogs;
mod help;
mod lists;
mod log;
mod look;
mod paint;
mod pairing;
mod request;
mod text;

use std::time::Duration;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

pub(crate) use look::Look;

use self::look::Role;
use self::paint::{Paint, below};
use self::text::{fit, width, wrap};
use super::state::{SessionRow, State, Tab, Waiting};

/// From so many columns on the queue stands beside the question.
const TWO_PANES: u16 = 72;

/// The smallest terminal that can show a question.
const SMALLEST: (u16, u16) = (30, 10);

/// Draws. Returns how long the picture stays true when nothing happens: until the next countdown on it
/// changes, or for ever.
pub(super) fn view(state: &State, frame: &mut Frame<'_>) -> Option<Duration> {
    draw(state, frame.area(), frame.buffer_mut())
}

/// The same into a buffer.
pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) -> Option<Duration> {
    let paint = Paint::new(state);
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let said = format!("Durward needs {} x {} here.", SMALLEST.0, SMALLEST.1);
        let lines: Vec<_> = wrap(&said, usize::from(area.width))
            .into_iter()
            .map(|line| paint.line(line, Role::Plain))
            .collect();
        paint::lines(buffer, area, &lines);
        return None;
    }
    header(&paint, buffer, Rect { height: 1, ..area });
    let footer = footer(&paint, area.width);
    let rows = u16::try_from(footer.len()).unwrap_or(1).min(area.height / 2);
    let bottom = Rect { y: area.y + area.height - rows, height: rows, ..area };
    let body = Rect { y: area.y + 1, height: area.height - 1 - rows, ..area };
    match state.tab {
        Tab::Waiting => waiting(&paint, buffer, body),
        Tab::Sessions => lists::sessions(&paint, buffer, body),
        Tab::Grants => lists::grants(&paint, buffer, body),
        Tab::Devices => devices::devices(&paint, buffer, body),
        Tab::Log => log::log(&paint, buffer, body),
    }
    paint::lines(buffer, bottom, &footer);
    if let Some(dialog) = &state.dialog {
        dialogs::dialog(&paint, buffer, body, dialog);
    }
    paint.stays_true()
}

/// The pages, and how the vault is.
fn header(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let state = paint.state;
    let count = |tab: Tab| match tab {
        Tab::Waiting => state.queue().len(),
        Tab::Sessions => state.session_rows().len(),
        Tab::Grants => state.known.grants.len(),
        Tab::Devices => state.known.devices.as_ref().map_or(0, |devices| devices.devices.len()),
        Tab::Log => 0,
    };
    let mark = |tab: Tab| if tab == Tab::Devices && state.known.asking_device().is_some() { "!" } else { "" };
    let tabs = |short: bool| -> Vec<(Tab, String)> {
        let text = |tab: Tab| {
            let here = tab == state.tab;
            let name = if short && !here { name(tab).get(..1).unwrap_or_default() } else { name(tab) };
            let count = Some(count(tab)).filter(|count| *count > 0).map(|count| format!(" {count}"));
            let name = format!("{name}{}{}", count.unwrap_or_default(), mark(tab));
            if here { format!("[{name}]") } else { format!(" {name} ") }
        };
        Tab::ALL.into_iter().map(|tab| (tab, text(tab))).collect()
    };
    let columns = |tabs: &[(Tab, String)]| tabs.iter().map(|(_, text)| width(text)).sum::<usize>();
    let (room, mut vault, title) = (usize::from(area.width), vault(paint), "Durward  ");
    let mut shown = tabs(false);
    // A blank stands between the pages and what is said of the vault.
    let taken = |said: &str| width(said) + usize::from(!said.is_empty());
    let whole = title.len() + columns(&shown) + taken(&vault) <= room;
    let mut spans = if whole { vec![paint.span(title, Role::Title)] } else { Vec::new() };
    if columns(&shown) + taken(&vault) > room {
        shown = tabs(true);
        let fits = |vault: &str| columns(&shown) + taken(vault) <= room;
        let closed = if state.known.pairing_open == Some(false) { "pairing closed" } else { "" };
        let shorter = [vault.clone(), vault.replace("vault ", ""), closed.to_owned()];
        vault = shorter.into_iter().find(|vault| fits(vault)).unwrap_or_default();
    }
    for (tab, text) in shown {
        let role = if mark(tab).is_empty() { Role::Plain } else { Role::Warning };
        spans.push(paint.span(text, if tab == state.tab { Role::Selected } else { role }));
    }
    buffer.set_line(area.x, area.y, &Line::from(spans), area.width);
    let columns = u16::try_from(width(&vault)).unwrap_or(area.width).min(area.width);
    let role = if state.known.pairing_open == Some(false) { Role::Warning } else { Role::Faint };
    buffer.set_line(area.x + area.width - columns, area.y, &paint.line(vault, role), columns);
}

fn name(tab: Tab) -> &'static str {
    match tab {
        Tab::Waiting => "Waiting",
        Tab::Sessions => "Sessions",
        Tab::Grants => "Grants",
        Tab::Devices => "Devices",
        Tab::Log => "Audit",
    }
}

fn vault(paint: &Paint<'_>) -> String {
    let known = &paint.state.known;
    let vault = match &known.vault {
        None => String::new(),
        Some(vault) if vault.problem.is_some() => "vault: problem".into(),
        Some(vault) if !vault.exists => "no vault".into(),
        Some(vault) if !vault.needs_password => "vault open".into(),
        Some(vault) => match vault.open_until {
            Some(until) => format!("vault open {}", paint.left(until)),
            None => "vault locked".into(),
        },
    };
    if known.pairing_open == Some(false) { format!("pairing closed  {vault}") } else { vault }
}

fn waiting(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let state = paint.state;
    let two = area.width >= TWO_PANES;
    if two {
        let columns = (area.width * 2 / 5).clamp(30, 48);
        lists::queue(paint, buffer, Rect { width: columns, ..area });
        let rest = Rect { x: area.x + columns, width: area.width - columns, ..area };
        return question(paint, buffer, rest);
    }
    if state.on_list && !state.queue().is_empty() {
        lists::queue(paint, buffer, area);
    } else {
        question(paint, buffer, area);
    }
}

fn question(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect) {
    match paint.state.selected() {
        Some(Waiting::Pairing(pairing)) => pairing::pairing(paint, buffer, area, pairing),
        Some(Waiting::Request(request)) => request::request(paint, buffer, area, request),
        None => nothing(paint, buffer, area),
    }
}

fn nothing(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let state = paint.state;
    let inner = paint.frame(buffer, area, "Nothing waits");
    let quiet = state.loaded && state.deciding.is_empty() && state.checking.is_none();
    let said = if !state.loaded {
        "Reading from the approver."
    } else if !state.deciding.is_empty() {
        "The decision is on its way."
    } else if state.checking.is_some() {
        "Checking the code with the agent."
    } else {
        "Waiting for agents. A pairing or a request shows up here by itself."
    };
    let closed = quiet && state.known.pairing_open == Some(false);
    let begins = quiet && begin::applies(state);
    let columns = usize::from(inner.width);
    let mut lines = Vec::new();
    let mut prose = |text: &str, role: Role| {
        lines.push(Line::default());
        lines.extend(wrap(text, columns).into_iter().map(|line| paint.line(line, role)));
    };
    prose(said, Role::Plain);
    if closed {
        prose("! Pairing is closed: no new agent can pair. C opens it.", Role::Warning);
    }
    if let (Some(listen), true) = (&state.options.listen, state.loaded) {
        prose(&format!("They reach it at {listen}"), Role::Faint);
    }
    if let Some(vault) = &state.known.vault {
        if let Some(problem) = &vault.problem {
            prose(&paint.text(&format!("! The vault cannot be used: {problem}")), Role::Warning);
        } else if !vault.exists && !begins {
            let text = "! There is no vault yet: make one with `durward vault init` in another terminal.";
            prose(text, Role::Warning);
        }
    }
    if begins {
        lines.extend(begin::steps(paint, inner.width));
    }
    if lines.len() > usize::from(inner.height) {
        lines.retain(|line| line.width() > 0); // air is what a small screen can spare
    }
    paint::lines(buffer, inner, &lines);
}

/// What happened last, and the keys.
fn footer(paint: &Paint<'_>, columns: u16) -> Vec<Line<'static>> {
    let state = paint.state;
    let columns = usize::from(columns);
    let mut lines = Vec::new();
    let mut message = state.message.clone().unwrap_or_default();
    if let Some(away) = &state.away {
        message = format!("{away} {message}");
    }
    if message.is_empty() && state.checking.is_some() {
        message = "Checking the code with the agent.".into();
    } else if message.is_empty() && !state.deciding.is_empty() && state.dialog.is_none() {
        message = "The decision is on its way.".into();
    }
    if !message.is_empty() {
        let wrapped = wrap(&paint.text(message.trim()), columns);
        lines.extend(wrapped.into_iter().take(3).map(|line| paint.line(line, Role::Warning)));
    }
    let mut spans = Vec::new();
    let mut used = 0;
    for (key, what) in hints(state) {
        let wide = key.len() + what.len() + 3;
        if used + wide > columns + 2 {
            break;
        }
        spans.push(paint.span(*key, Role::Key));
        spans.push(paint.span(format!(" {what}  "), Role::Plain));
        used += wide;
    }
    if spans.is_empty() {
        spans.push(paint.span(fit("? help", columns, ""), Role::Key));
    }
    lines.push(Line::from(spans));
    lines
}

/// The keys that matter most come first: what does not fit is in the help.
fn hints(state: &State) -> &'static [(&'static str, &'static str)] {
    if let Some(dialog) = &state.dialog {
        return dialogs::hints(dialog);
    }
    match state.tab {
        Tab::Waiting => match state.selected() {
            Some(Waiting::Request(_)) if state.on_list => &[
                ("Up, Down", "go through"),
                ("Right", "question"),
                ("Y", "release"),
                ("N", "deny"),
                ("?", "help"),
            ],
            Some(Waiting::Pairing(_)) if state.on_list => {
                &[("Up, Down", "go through"), ("Right", "question"), ("N", "refuse"), ("?", "help")]
            }
            Some(Waiting::Pairing(_)) => &[
                ("Enter", "pair"),
                ("N", "refuse"),
                ("E", "narrow"),
                ("?", "help"),
                ("Left", "list"),
                ("Tab", "pages"),
            ],
            Some(Waiting::Request(_)) => &[
                ("Y", "release"),
                ("N", "deny"),
                ("R", "revoke"),
                ("?", "help"),
                ("Space", "tick"),
                ("1-5", "how long"),
                ("P", "pause"),
                ("Left", "list"),
                ("Tab", "pages"),
            ],
            None if state.known.pairing_open == Some(false) => {
                &[("C", "open pairing"), ("?", "help"), ("Tab", "pages"), ("U", "unlock"), ("Q", "quit")]
            }
            None => &[
                ("?", "help"),
                ("Tab", "pages"),
                ("U", "unlock"),
                ("L", "lock"),
                ("C", "close pairing"),
                ("Q", "quit"),
            ],
        },
        Tab::Sessions => match state.selected_session() {
            Some(SessionRow::Live(_)) => {
                &[("R", "revoke"), ("P", "pause, resume"), ("?", "help"), ("Tab", "pages"), ("Q", "quit")]
            }
            Some(SessionRow::Paused(_)) => &[("P", "resume"), ("?", "help"), ("Tab", "pages"), ("Q", "quit")],
            None => &[("?", "help"), ("Tab", "pages"), ("Q", "quit")],
        },
        Tab::Grants if state.selected_grant().is_some() => {
            &[("E", "end"), ("?", "help"), ("Tab", "pages"), ("Q", "quit")]
        }
        Tab::Grants => &[("?", "help"), ("Tab", "pages"), ("Q", "quit")],
        Tab::Devices => devices::hints(state),
        Tab::Log => {
            &[("Up, Down", "read"), ("End", "newest"), ("?", "help"), ("Tab", "pages"), ("Q", "quit")]
        }
    }
}

/// The area without its first rows, once more for the parts.
fn rest(area: Rect, rows: usize) -> Rect {
    below(area, u16::try_from(rows).unwrap_or(u16::MAX))
}
