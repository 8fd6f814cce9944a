//! The audit log: newest at the bottom, as in `durward audit`.

use durward_broker::approval::{Actor, AuditEntry};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::look::Role;
use super::paint::{self, Paint, below};
use super::rest;
use super::text::{window, wrap};
use crate::tui::state::AuditLine;

/// The log.
pub(super) fn log(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let state = paint.state;
    let lines = &state.audit.lines;
    let count = lines.len();
    let at = count.saturating_sub(state.audit_at.min(count.saturating_sub(1)) + 1);
    let title = match lines.get(at) {
        Some(line) => format!("Audit log, {} of {}", line.n, state.audit.newest().unwrap_or(line.n)),
        None => "Audit log".into(),
    };
    let inner = paint.frame(buffer, area, &title);
    if count == 0 {
        paint::lines(buffer, inner, &[paint.line("Nothing was read yet.", Role::Plain)]);
        return;
    }
    let details = 6.min(inner.height / 2);
    let height = inner.height - details;
    for (row, n) in window(at, count, usize::from(height)).enumerate() {
        let Some(line) = lines.get(n) else { break };
        paint.row(buffer, rest(inner, row), n == at, &text(paint, line), role(line));
    }
    if let Some(line) = lines.get(at) {
        paint::lines(buffer, below(inner, height), &whole(paint, line, inner.width));
    }
}

/// One record in one line.
fn text(paint: &Paint<'_>, line: &AuditLine) -> String {
    let Some(entry) = &line.entry else { return format!("{:>6}  (written by a newer version)", line.n) };
    let at = entry.at;
    let mut text = format!(
        "{:>6}  {:02}:{:02}:{:02}  {}",
        line.n,
        at.hour(),
        at.minute(),
        at.second(),
        entry.event.as_str().replace('_', " ")
    );
    for more in [
        entry.outcome.clone(),
        entry.domain.as_ref().map(ToString::to_string),
        entry.agent_id.as_ref().map(ToString::to_string),
    ]
    .into_iter()
    .flatten()
    {
        text.push_str("  ");
        text.push_str(&paint.text(&more));
    }
    text
}

/// One record, whole.
fn whole(paint: &Paint<'_>, line: &AuditLine, columns: u16) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    let Some(entry) = &line.entry else { return lines };
    let mut parts = vec![format!("{} UTC", stamp(entry)), format!("by {}", actor(entry.actor))];
    parts.extend(entry.agent_id.as_ref().map(|id| format!("agent {id}")));
    parts.extend(entry.domain.as_ref().map(|domain| format!("for {domain}")));
    parts.extend(Some(paint.fields(&entry.fields)).filter(|fields| !fields.is_empty()));
    parts.extend(entry.outcome.as_ref().map(|outcome| format!("outcome {}", paint.text(outcome))));
    parts.extend(entry.detail.as_ref().map(|detail| paint.text(detail)));
    let text = wrap(&parts.join("; "), usize::from(columns));
    lines.extend(text.into_iter().map(|line| paint.line(line, Role::Plain)));
    lines
}

fn role(line: &AuditLine) -> Role {
    use durward_broker::approval::AuditEvent::{
        CredentialReleased, DeliveryWithheld, LocalReleased, Refused, VaultPasswordWrong,
    };
    match line.entry.as_ref().map(|entry| entry.event) {
        Some(CredentialReleased | LocalReleased) => Role::Subject,
        Some(Refused | VaultPasswordWrong | DeliveryWithheld) => Role::Warning,
        _ => Role::Plain,
    }
}

fn actor(actor: Actor) -> &'static str {
    match actor {
        Actor::Owner => "you",
        Actor::Agent => "the agent",
        Actor::Grant => "a grant",
        Actor::Policy => "a rule",
        Actor::System => "the approver",
    }
}

fn stamp(entry: &AuditEntry) -> String {
    let at = entry.at;
    format!("{} {:02}:{:02}:{:02}", at.date(), at.hour(), at.minute(), at.second())
}
