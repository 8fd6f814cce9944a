//! One pairing, large: who, what for, and the field for the code.

use durward_broker::approval::PairingView;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::look::{Role, tick};
use super::paint::{self, Paint};
use super::text::wrap;
use crate::approver::words::scope;
use crate::tui::state::{Draft, PairingDraft};

/// The pairing.
pub(super) fn pairing(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect, pairing: &PairingView) {
    let Draft::Pairing(draft) = &paint.state.draft else { return };
    let inner = paint.pane(buffer, area, &format!("Pairing {}", pairing.number), false);
    let columns = usize::from(inner.width);
    let name = paint.text(pairing.agent_name.as_str());
    let mut lines = paint.labelled_whole("Agent", &name, Role::Subject, inner.width);
    lines.push(paint.labelled("Id", &format!("{} (a claim)", pairing.agent_id), Role::Plain, inner.width));
    lines.push(paint.labelled("Ends in", &paint.left(pairing.expires_at), Role::Plain, inner.width));
    let asked = scope(&pairing.scope);
    match &draft.scope {
        None => lines.extend(paint.labelled_whole("Scope", &asked, Role::Plain, inner.width)),
        Some((limits, _)) => {
            lines.extend(paint.labelled_whole("Asked", &asked, Role::Faint, inner.width));
            lines.extend(paint.labelled_whole("Scope", &scope(limits), Role::Subject, inner.width));
        }
    }
    let mut warn = |text: &str| {
        lines.extend(wrap(text, columns).into_iter().map(|line| paint.line(line, Role::Warning)));
    };
    if pairing.duplicate_claim {
        warn("! Another waiting agent claims the same name or id. Only the code tells them apart.");
    }
    if pairing.replaces.is_some() {
        warn("! This agent id has a live session. A good code replaces it.");
    }
    if !pairing.rules.is_empty() {
        lines.extend(rules(paint, pairing, draft, columns));
    }
    lines.push(Line::default());
    lines.push(code(paint, pairing, draft));
    lines.push(Line::default());
    let help = "Type the six digits from the agent's own screen, then Enter. Do it only for a code you can see there.";
    lines.extend(wrap(help, columns).into_iter().map(|line| paint.line(line, Role::Faint)));
    // The field for the code is never pushed off the screen.
    let height = usize::from(inner.height);
    if lines.len() > height {
        let field =
            lines.iter().position(|line| line.spans.first().is_some_and(|s| s.content.starts_with("Code")));
        let field = field.and_then(|at| (at >= height).then(|| lines.get(at).cloned()).flatten());
        lines.truncate(height);
        if let (Some(field), Some(last)) = (field, lines.last_mut()) {
            *last = field;
        }
    }
    paint::lines(buffer, inner, &lines);
}

fn code(paint: &Paint<'_>, pairing: &PairingView, draft: &PairingDraft) -> Line<'static> {
    // The code is on the agent's screen too; the owner has to see what is typed.
    let typed = draft.code.expose();
    let blanks = "_".repeat(6_usize.saturating_sub(draft.code.count()));
    let number = if typed.contains('-') { String::new() } else { format!("{}-", pairing.number) };
    Line::from(vec![
        paint.span("Code     ", Role::Faint),
        paint.span(number, Role::Plain),
        paint.span(format!("{typed}{blanks}"), Role::Title),
    ])
}

fn rules(
    paint: &Paint<'_>,
    pairing: &PairingView,
    draft: &PairingDraft,
    columns: usize,
) -> Vec<Line<'static>> {
    let text = "! Rules of your policy name this agent id. An id is only a claim; without the tick only their denials count:";
    let mut lines: Vec<_> =
        wrap(text, columns).into_iter().map(|line| paint.line(line, Role::Warning)).collect();
    let shown = pairing.rules.iter().take(3);
    lines.extend(shown.map(|rule| paint.line(format!("  {}", paint.text(rule)), Role::Plain)));
    if pairing.rules.len() > 3 {
        lines.push(paint.line(format!("  and {} more", pairing.rules.len() - 3), Role::Plain));
    }
    lines.push(Line::from(vec![
        paint.span(tick(draft.rules), Role::Key),
        paint.span(" these rules count (Space)", Role::Plain),
    ]));
    lines
}
