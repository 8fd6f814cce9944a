//! The queue, the sessions and the grants. Only the rows that can be seen are made.

use durward_broker::approval::{GrantView, PausedWhy, SessionView};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::look::Role;
use super::paint::{self, Paint, below};
use super::rest;
use super::text::{aligned, fit, width, window};
use crate::approver::words::scope;
use crate::tui::state::{SessionRow, Waiting};

/// From so many columns on the queue says how old a request is.
const WITH_AGE: usize = 32;
/// From so many columns on a list has the long form.
const WIDE: u16 = 76;

/// What waits, pairings first.
pub(super) fn queue(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let state = paint.state;
    let queue = state.queue();
    let title = match queue.len() {
        0 => "Waiting".into(),
        count => format!("Waiting {} of {count}", state.place + 1),
    };
    let inner = paint.pane(buffer, area, &title, true);
    let columns = usize::from(inner.width).saturating_sub(2);
    let with_age = columns >= WITH_AGE;
    let cells = |what: &str, age: &str, left: &str| {
        let times = if with_age { format!(" {age:>6} {left:>6}") } else { format!(" {left:>6}") };
        let room = columns.saturating_sub(width(&times));
        let what = fit(what, room, paint.look.ellipsis());
        format!("{what}{}{times}", " ".repeat(room.saturating_sub(width(&what))))
    };
    let inner = if queue.is_empty() {
        inner
    } else {
        paint::lines(buffer, inner, &[paint.line(format!("  {}", cells("", "AGE", "LEFT")), Role::Faint)])
    };
    for (row, at) in window(state.place, queue.len(), usize::from(inner.height)).enumerate() {
        let Some(waiting) = queue.get(at) else { break };
        let text = match waiting {
            Waiting::Pairing(pairing) => {
                let claim = if pairing.duplicate_claim { "!" } else { "" };
                let name = paint.text(pairing.agent_name.as_str());
                cells(&format!("pair {}{claim} {name}", pairing.number), "", &paint.left(pairing.expires_at))
            }
            Waiting::Request(request) => {
                let alike = if request.alike > 0 { format!(" (+{})", request.alike) } else { String::new() };
                let name = paint.text(request.agent_name.as_str());
                let age = if with_age { paint.ago(request.created_at) } else { String::new() };
                cells(&format!("{}{alike} {name}", request.domain), &age, &paint.left(request.expires_at))
            }
        };
        let role = if matches!(waiting, Waiting::Pairing(_)) { Role::Subject } else { Role::Plain };
        paint.row(buffer, rest(inner, row), at == state.place, &text, role);
    }
}

/// Sessions, and agents that are paused.
pub(super) fn sessions(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let state = paint.state;
    let rows = state.session_rows();
    let inner = paint.frame(buffer, area, "Sessions");
    if rows.is_empty() {
        let lines = [paint.line("No sessions. An agent has one after it has paired.", Role::Plain)];
        paint::lines(buffer, inner, &lines);
        return;
    }
    let wide = inner.width >= WIDE;
    let heading = if wide {
        columns(paint, ["AGENT", "LAST USED", "IDLES IN", "ENDS IN", "RELEASED"], inner.width)
    } else {
        narrow(paint, ["AGENT", "IDLES IN", "RELEASED"], inner.width)
    };
    let list = paint::lines(buffer, inner, &[paint.line(format!("  {heading}"), Role::Faint)]);
    let details = 5.min(list.height / 2);
    let height = list.height - details;
    for (row, at) in window(state.sessions_at, rows.len(), usize::from(height)).enumerate() {
        let Some(line) = rows.get(at) else { break };
        let (text, role) = match line {
            SessionRow::Live(session) => (
                session_row(paint, session, inner.width, wide),
                if session.paused { Role::Warning } else { Role::Plain },
            ),
            SessionRow::Paused(paused) => {
                (format!("{}  (paused, no session)", paused.agent_id), Role::Warning)
            }
        };
        paint.row(buffer, rest(list, row), at == state.sessions_at, &text, role);
    }
    let lines: Vec<Line<'_>> = match state.selected_session() {
        Some(SessionRow::Live(session)) => session_details(paint, session, inner.width),
        Some(SessionRow::Paused(paused)) => vec![
            Line::default(),
            paint.labelled("Agent", paused.agent_id.as_str(), Role::Plain, inner.width),
            paint.labelled("Paused", why(paused.paused.why), Role::Warning, inner.width),
        ],
        None => Vec::new(),
    };
    paint::lines(buffer, below(list, height), &lines);
}

fn session_row(paint: &Paint<'_>, session: &SessionView, room: u16, wide: bool) -> String {
    let name = paint.text(session.agent_name.as_str());
    let name = if session.paused { format!("paused: {name}") } else { name };
    let uses = session.uses.to_string();
    let idle = paint.left(session.idle_at.min(session.expires_at));
    if wide {
        let used = paint.ago(session.last_used_at);
        columns(paint, [&name, &used, &idle, &paint.left(session.expires_at), &uses], room)
    } else {
        narrow(paint, [&name, &idle, &uses], room)
    }
}

fn session_details<'a>(paint: &Paint<'_>, session: &SessionView, columns: u16) -> Vec<Line<'a>> {
    let rules = if session.named_rules { "; rules that name it count" } else { "" };
    vec![
        Line::default(),
        paint.labelled("Agent", session.agent_id.as_str(), Role::Plain, columns),
        paint.labelled("Words", &session.fingerprint, Role::Plain, columns),
        paint.labelled("Scope", &format!("{}{rules}", scope(&session.scope)), Role::Plain, columns),
        paint.labelled("Used", &paint.ago_words(session.last_used_at), Role::Plain, columns),
    ]
}

fn why(why: PausedWhy) -> &'static str {
    match why {
        PausedWhy::Owner => "by you",
        PausedWhy::Denied => "denied three times in a row",
    }
}

/// Standing approvals.
pub(super) fn grants(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let state = paint.state;
    let grants = &state.known.grants;
    let inner = paint.frame(buffer, area, "Grants");
    if grants.is_empty() {
        let lines = [paint.line("No grants. Every request asks.", Role::Plain)];
        paint::lines(buffer, inner, &lines);
        return;
    }
    let wide = inner.width >= WIDE;
    let heading = if wide {
        columns(paint, ["DOMAIN", "AGENT", "LEFT", "USED", ""], inner.width)
    } else {
        narrow(paint, ["DOMAIN", "LEFT", "USED"], inner.width)
    };
    let list = paint::lines(buffer, inner, &[paint.line(format!("  {heading}"), Role::Faint)]);
    let details = 4.min(list.height / 2);
    let height = list.height - details;
    for (row, at) in window(state.grants_at, grants.len(), usize::from(height)).enumerate() {
        let Some(grant) = grants.get(at) else { break };
        let (domain, left, used) = (grant.domain.to_string(), left(paint, grant), grant.uses.to_string());
        let text = if wide {
            columns(paint, [&domain, grant.agent_id.as_str(), &left, &used, ""], inner.width)
        } else {
            narrow(paint, [&domain, &left, &used], inner.width)
        };
        paint.row(buffer, rest(list, row), at == state.grants_at, &text, Role::Plain);
    }
    if let Some(grant) = state.selected_grant() {
        let lines = [
            Line::default(),
            paint.labelled("Agent", grant.agent_id.as_str(), Role::Plain, inner.width),
            paint.labelled("Fields", &paint.fields(&grant.fields), Role::Plain, inner.width),
            paint.labelled("Given", &paint.ago_words(grant.created_at), Role::Plain, inner.width),
        ];
        paint::lines(buffer, below(list, height), &lines);
    }
}

/// What is left of a grant: uses, time, or the session.
fn left(paint: &Paint<'_>, grant: &GrantView) -> String {
    match (grant.uses_left, grant.expires_at) {
        (Some(1), _) => "1 use".into(),
        (Some(uses), _) => format!("{uses} uses"),
        (None, Some(end)) => paint.left(end),
        (None, None) => "session".into(),
    }
}

/// Five columns, the first as wide as there is room.
fn columns(paint: &Paint<'_>, cells: [&str; 5], room: u16) -> String {
    let [first, second, third, fourth, fifth] = cells;
    aligned(first, &[(second, 18), (third, 11), (fourth, 11), (fifth, 9)], room, paint.look.ellipsis())
}

/// Three columns.
fn narrow(paint: &Paint<'_>, cells: [&str; 3], room: u16) -> String {
    let [first, second, third] = cells;
    aligned(first, &[(second, 9), (third, 8)], room, paint.look.ellipsis())
}
