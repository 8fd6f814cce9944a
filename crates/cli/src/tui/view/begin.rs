//! The first steps, as long as no agent was ever paired here.

use durward_broker::approval::AuditEvent;
use ratatui::text::Line;

use super::look::Role;
use super::paint::Paint;
use super::text::wrap;
use crate::tui::state::State;

/// Where `durward request` looks by itself.
const USUAL: &str = "http://127.0.0.1:5000";

/// Whether the owner stands at the beginning: there is no vault, or the whole record tells of no pairing.
pub(super) fn applies(state: &State) -> bool {
    let without_vault =
        state.known.vault.as_ref().is_some_and(|vault| !vault.exists && vault.problem.is_none());
    let whole = state.audit.lines.front().is_some_and(|line| line.n == 1);
    let paired = |event: AuditEvent| event == AuditEvent::PairingConfirmed;
    let never = whole
        && !state.audit.lines.iter().any(|line| line.entry.as_ref().is_none_or(|entry| paired(entry.event)));
    without_vault || never && state.known.sessions.is_empty()
}

/// What to do, with the commands as they are typed here.
pub(super) fn steps(paint: &Paint<'_>, columns: u16) -> Vec<Line<'static>> {
    let state = paint.state;
    let listen = state.options.listen.as_deref().filter(|listen| *listen != USUAL);
    let address = listen.map(|listen| format!(" --approver {listen}")).unwrap_or_default();
    let without_vault = state.known.vault.as_ref().is_some_and(|vault| !vault.exists);
    let (mark, role) = if without_vault { ("! 1.", Role::Warning) } else { ("  1.", Role::Plain) };
    let steps = [
        (mark, "In another terminal:", role, Some("durward vault init".to_owned())),
        ("  2.", "Put something into it:", Role::Plain, Some("durward vault add example.com".to_owned())),
        (
            "  3.",
            "Let an agent ask:",
            Role::Plain,
            Some(format!("durward request example.com --reason \"Try it\"{address}")),
        ),
        ("  4.", "Type its code here. Compare the five words.", Role::Plain, None),
        ("  5.", "Answer what it asks: Y or N.", Role::Plain, None),
    ];
    let room = usize::from(columns).saturating_sub(5);
    let mut lines = vec![Line::default()];
    for (mark, what, role, command) in steps {
        for (n, line) in wrap(what, room).into_iter().enumerate() {
            let mark = if n == 0 { mark } else { "" };
            lines.push(paint.line(format!("{mark:<5}{line}"), role));
        }
        let command = command.map(|command| wrap(&paint.text(&command), room)).unwrap_or_default();
        lines.extend(command.into_iter().map(|line| paint.line(format!("     {line}"), Role::Title)));
    }
    lines
}
