//! What every part of the picture needs: the state, the look, and how long the picture stays true.

use std::cell::Cell;

use durward_protocol::Field;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Widget as _};
use time::{Duration, OffsetDateTime};

use super::look::{Look, Role};
use super::text::{fit, wrap};
use crate::tui::state::State;

const SECOND: i128 = 1_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 24 * HOUR;

/// A picture being drawn.
pub(super) struct Paint<'a> {
    pub(super) state: &'a State,
    pub(super) look: Look,
    /// In so many milliseconds something in it is no longer true.
    stale: Cell<Option<i128>>,
}

impl<'a> Paint<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        Self { state, look: state.options.look, stale: Cell::new(None) }
    }

    /// How long the picture stays true; `None`: until something happens.
    pub(super) fn stays_true(&self) -> Option<std::time::Duration> {
        let millis = self.stale.get()?.clamp(1, DAY);
        u64::try_from(millis).ok().map(std::time::Duration::from_millis)
    }

    fn changes_in(&self, millis: i128) {
        let sooner = self.stale.get().is_none_or(|stale| millis < stale);
        if sooner {
            self.stale.set(Some(millis));
        }
    }

    /// `9 min`, `50 s`: what is left, in the coarsest unit that helps.
    pub(super) fn left(&self, until: OffsetDateTime) -> String {
        let left = (until - self.state.now).whole_milliseconds();
        if left <= 0 {
            return "over".into();
        }
        let steps = [
            (10 * SECOND, SECOND, 1, "s"),
            (2 * MINUTE, SECOND, 10, "s"),
            (2 * HOUR, MINUTE, 1, "min"),
            (2 * DAY, HOUR, 1, "h"),
        ];
        let step = steps.into_iter().find(|(below, ..)| left < *below);
        let (_, unit, step, name) = step.unwrap_or((0, DAY, 1, "days"));
        let shown = left / (unit * step) * step;
        self.changes_in(left - shown * unit + 1);
        format!("{shown} {name}")
    }

    /// `now`, `3 min`: how long ago.
    pub(super) fn ago(&self, at: OffsetDateTime) -> String {
        let gone = (self.state.now - at).max(Duration::ZERO).whole_milliseconds();
        let steps = [(HOUR, MINUTE, "min"), (2 * DAY, HOUR, "h")];
        let (_, unit, name) = steps.into_iter().find(|(below, ..)| gone < *below).unwrap_or((0, DAY, "days"));
        self.changes_in(unit - gone % unit + 1);
        if gone < MINUTE { "now".into() } else { format!("{} {name}", gone / unit) }
    }

    /// The same in a sentence.
    pub(super) fn ago_words(&self, at: OffsetDateTime) -> String {
        match self.ago(at) {
            now if now == "now" => "just now".into(),
            long => format!("{long} ago"),
        }
    }

    pub(super) fn text(&self, text: &str) -> String {
        self.look.text(text)
    }

    pub(super) fn fields(&self, fields: &[Field]) -> String {
        fields.iter().map(|field| self.text(&field.to_string())).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn style(&self, role: Role) -> Style {
        self.look.style(role)
    }

    pub(super) fn span(&self, text: impl Into<String>, role: Role) -> Span<'static> {
        Span::styled(text.into(), self.style(role))
    }

    pub(super) fn line(&self, text: impl Into<String>, role: Role) -> Line<'static> {
        Line::from(self.span(text, role))
    }

    /// `Label    value`, the value cut to the room there is.
    pub(super) fn labelled(&self, label: &str, value: &str, role: Role, columns: u16) -> Line<'static> {
        let room = usize::from(columns).saturating_sub(LABEL);
        Line::from(vec![
            self.span(format!("{label:<LABEL$}"), Role::Faint),
            self.span(fit(value, room, self.look.ellipsis()), role),
        ])
    }

    /// The same, over as many lines as it takes.
    pub(super) fn labelled_whole(
        &self,
        label: &str,
        value: &str,
        role: Role,
        columns: u16,
    ) -> Vec<Line<'static>> {
        let room = usize::from(columns).saturating_sub(LABEL);
        let lines = wrap(value, room).into_iter().enumerate();
        lines.map(|(n, line)| self.labelled(if n == 0 { label } else { "" }, &line, role, columns)).collect()
    }

    /// A row of a list, over the whole width, marked when it is the one the keys act on.
    pub(super) fn row(&self, buffer: &mut Buffer, area: Rect, selected: bool, text: &str, role: Role) {
        let mark = if selected { self.look.cursor() } else { " " };
        let columns = usize::from(area.width);
        let text = fit(&format!("{mark} {text}"), columns, self.look.ellipsis());
        let style =
            if selected { self.style(role).patch(self.style(Role::Selected)) } else { self.style(role) };
        buffer.set_style(Rect { height: 1, ..area }, style);
        buffer.set_stringn(area.x, area.y, text, columns, style);
    }

    /// A frame around the list or around the question, marked when the arrow keys act in it.
    pub(super) fn pane(&self, buffer: &mut Buffer, area: Rect, title: &str, list: bool) -> Rect {
        let here = self.state.on_list == list && self.state.queue().len() > 1;
        let mark = if here { format!("{} ", self.look.cursor()) } else { String::new() };
        self.frame(buffer, area, &format!("{mark}{title}"))
    }

    /// A frame with a title; returns the room inside.
    pub(super) fn frame(&self, buffer: &mut Buffer, area: Rect, title: &str) -> Rect {
        let block = Block::bordered()
            .border_set(self.look.border())
            .border_style(self.style(Role::Faint))
            .title(self.span(format!(" {title} "), Role::Title));
        let inner = block.inner(area);
        block.render(area, buffer);
        // A column of air on both sides.
        Rect { x: inner.x.saturating_add(1), width: inner.width.saturating_sub(2), ..inner }
    }
}

/// Columns of a label.
pub(super) const LABEL: usize = 9;

/// Lines, from the top, as far as they fit; returns what is left below them.
pub(super) fn lines(buffer: &mut Buffer, area: Rect, lines: &[Line<'_>]) -> Rect {
    let mut rest = area;
    for line in lines {
        if rest.height == 0 {
            break;
        }
        buffer.set_line(rest.x, rest.y, line, rest.width);
        rest = below(rest, 1);
    }
    rest
}

/// The same area without so many rows at the top.
pub(super) fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}
