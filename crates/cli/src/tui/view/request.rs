//! One request, large. Who and what for stand at the top, the answer at the bottom, and the reason, which
//! an agent writes as long as it likes, scrolls in what is left between them.

use durward_broker::approval::{GrantSpec, RequestView};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::look::{Role, radio, tick};
use super::paint::{self, LABEL, Paint, below};
use super::text::{window, wrap};
use crate::approver::words::scope;
use crate::tui::state::{Before, Draft, RequestDraft};

/// Rows of ticks that are shown at once.
const TICKS: usize = 8;

/// Rows that a long reason has at least.
const REASON: usize = 4;

/// The request.
pub(super) fn request(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect, request: &RequestView) {
    let Draft::Request(draft) = &paint.state.draft else { return };
    let inner = paint.pane(buffer, area, "Request", false);
    let columns = inner.width;
    let top = top(paint, request, columns);
    let mut bottom = ticks(paint, request, draft, columns, TICKS);
    bottom.extend(how_long(paint, draft, columns, false));
    let mut more = vec![
        paint.labelled_whole("Before", &before(paint, request), Role::Plain, columns),
        paint.labelled_whole("Words", &request.fingerprint, Role::Plain, columns),
        paint.labelled_whole("Scope", &scope(&request.scope), Role::Plain, columns),
    ];
    // On a small screen what helps least scrolls with the reason, behind it; the reason keeps a few lines, and
    // the ticks do.
    let height = usize::from(inner.height);
    let mut words = paint.labelled_whole("Reason", &paint.text(&request.reason), Role::Plain, columns);
    let needed = top.len() + words.len().min(REASON) + 1;
    let mut behind = Vec::new();
    while needed + bottom.len() + more.iter().map(Vec::len).sum::<usize>() > height {
        let Some(last) = more.pop() else { break };
        behind.push(last);
    }
    words.extend(behind.into_iter().rev().flatten());
    if needed + bottom.len() > height {
        bottom = ticks(paint, request, draft, columns, 2);
        bottom.extend(how_long(paint, draft, columns, true));
    }
    bottom.extend(more.into_iter().flatten());
    let rest = paint::lines(buffer, inner, &top);
    let bottom_rows = u16::try_from(bottom.len()).unwrap_or(u16::MAX).min(rest.height.saturating_sub(1));
    let room = rest.height - bottom_rows;
    let used = reason(paint, buffer, Rect { height: room, ..rest }, &words, draft);
    // Directly below a short reason, at the end of the screen below a long one.
    paint::lines(buffer, below(rest, used.min(room)), &bottom);
}

fn top(paint: &Paint<'_>, request: &RequestView, columns: u16) -> Vec<Line<'static>> {
    let times =
        format!("{}, expires in {}", paint.ago_words(request.created_at), paint.left(request.expires_at));
    let agent = format!("{}  ({})", paint.text(request.agent_name.as_str()), request.agent_id);
    let mut lines = paint.labelled_whole("Agent", &agent, Role::Subject, columns);
    lines.extend(paint.labelled_whole("Domain", request.domain.as_str(), Role::Subject, columns));
    lines.push(paint.labelled("Asked", &times, Role::Plain, columns));
    let mut warn = |text: String| {
        lines.extend(
            wrap(&text, usize::from(columns)).into_iter().map(|line| paint.line(line, Role::Warning)),
        );
    };
    if request.alike > 0 {
        warn(format!("! {} more like this wait. Y releases this one, N ends all.", request.alike));
    }
    if request.granted {
        warn("! A grant covers this; only the vault password is missing.".into());
    }
    if let Some(device) = &request.approved_by {
        warn(format!("! Approved by {device}, vault locked: the next unlock releases it."));
    }
    lines
}

/// The reason, scrolled; returns the rows it took, with one empty row where there is room.
fn reason(
    paint: &Paint<'_>,
    buffer: &mut Buffer,
    area: Rect,
    text: &[Line<'static>],
    draft: &RequestDraft,
) -> u16 {
    let height = usize::from(area.height);
    let fits = text.len() <= height;
    let shown = if fits { text.len() } else { height.saturating_sub(1) };
    let first = draft.scroll.min(text.len() - shown.min(text.len()));
    let mut lines: Vec<_> = text.iter().skip(first).take(shown).cloned().collect();
    if !fits {
        let more = more(paint, first, first + shown, text.len());
        lines.push(paint.labelled("", &more, Role::Key, area.width));
    }
    paint::lines(buffer, area, &lines);
    u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(1)
}

/// Where there is more to read, and the keys for it: they act on the question, not from the list.
fn more(paint: &Paint<'_>, first: usize, last: usize, all: usize) -> String {
    let (what, keys) = match (first > 0, last < all) {
        (false, _) => ("more below", "PgDn"),
        (true, true) => ("more", "PgUp, PgDn"),
        (true, false) => ("more above", "PgUp"),
    };
    let to_it = if paint.state.on_list { "Right, " } else { "" };
    format!("{what}: {to_it}{keys} {last}/{all}")
}

/// A tick box for each field, and the items to choose from.
fn ticks(
    paint: &Paint<'_>,
    request: &RequestView,
    draft: &RequestDraft,
    columns: u16,
    most: usize,
) -> Vec<Line<'static>> {
    let count = draft.ticked.len() + request.choices.len();
    let mut lines = Vec::new();
    for (row, at) in window(draft.cursor, count, most).enumerate() {
        let here = at == draft.cursor;
        let item = at.checked_sub(draft.ticked.len());
        let text = match (draft.ticked.get(at), item.and_then(|item| request.choices.get(item))) {
            (Some((field, ticked)), _) => {
                format!("{} {}", tick(*ticked), paint.text(&field.to_string()))
            }
            (None, Some(choice)) => {
                let name = choice.username.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
                let chosen = draft.item.as_ref() == Some(&choice.item_id);
                format!("{} {}", radio(chosen), paint.text(&format!("{}{name}", choice.name)))
            }
            (None, None) => break,
        };
        let label = match (row, item) {
            (_, Some(0)) | (0, Some(_)) => "Item",
            (0, None) => "Fields",
            _ => "",
        };
        let mark = if here { paint.look.cursor() } else { " " };
        lines.push(paint.labelled(
            label,
            &format!("{mark}{text}"),
            if here { Role::Title } else { Role::Plain },
            columns,
        ));
    }
    if count > most {
        let ticked = draft.ticked.iter().filter(|(_, ticked)| *ticked).count();
        let said = format!("{ticked} of {} fields ticked (Up, Down)", draft.ticked.len());
        lines.push(paint.labelled("", &said, Role::Key, columns));
    }
    if let (Some(item), true) = (&request.item_id, request.choices.is_empty()) {
        lines.push(paint.labelled("Item", &paint.text(item), Role::Plain, columns));
    }
    lines
}

/// For how long, with the keys; `short`: only what is chosen.
fn how_long(paint: &Paint<'_>, draft: &RequestDraft, columns: u16, short: bool) -> Vec<Line<'static>> {
    let other = matches!(draft.grant, Some(GrantSpec::For { seconds }) if seconds != 900);
    let uses = match draft.grant {
        Some(GrantSpec::Uses { uses }) => format!("{uses} more times"),
        _ => "N times".into(),
    };
    let time = match draft.grant {
        Some(GrantSpec::For { seconds }) if other => format!("{} min", seconds.div_ceil(60)),
        _ => "other".into(),
    };
    let choices = [
        ("1", "once".to_owned(), draft.grant.is_none()),
        ("2", "15 min".to_owned(), draft.grant == Some(GrantSpec::For { seconds: 900 })),
        ("3", "session".to_owned(), draft.grant == Some(GrantSpec::Session)),
        ("4", uses, matches!(draft.grant, Some(GrantSpec::Uses { .. }))),
        ("5", time, other),
    ];
    let room = usize::from(columns).saturating_sub(LABEL);
    let mut lines = vec![String::new()];
    for (key, what, chosen) in &choices {
        let text = match (chosen, short) {
            (true, _) => format!("[{key} {what}]"),
            (false, false) => format!(" {key} {what} "),
            (false, true) => continue,
        };
        match lines.last_mut() {
            Some(line) if line.len() + text.len() <= room + 1 => line.push_str(&text),
            _ => lines.push(text),
        }
    }
    if let (true, Some(line)) = (short, lines.last_mut()) {
        line.push_str(" 1-5 changes");
    }
    let labelled = lines.iter().enumerate().map(|(n, line)| {
        paint.labelled(if n == 0 { "For" } else { "" }, line.trim_end(), Role::Plain, columns)
    });
    labelled.collect()
}

/// What was decided before for this agent and domain.
fn before(paint: &Paint<'_>, request: &RequestView) -> String {
    let log = &paint.state.audit;
    let Before { released, denied, other, last } = log.before(&request.agent_id, &request.domain);
    let Some((at, word)) = last else {
        let all = log.lines.front().is_none_or(|line| line.n == 1);
        return if all {
            "never asked before".into()
        } else {
            format!("nothing in the last {} records", log.lines.len())
        };
    };
    let mut parts = Vec::new();
    for (count, what) in [(released, "released"), (denied, "denied"), (other, "ended otherwise")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    format!("{}; last {word} {}", parts.join(", "), paint.ago_words(at))
}
