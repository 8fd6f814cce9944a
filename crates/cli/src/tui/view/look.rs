//! What the terminal can show: colours, and characters beyond ASCII. What matters is always a word or a
//! sign as well, so nothing is lost without colours or to eyes that do not tell them apart.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use crate::terminal::harmless;

/// Colours and characters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    pub(crate) colour: bool,
    pub(crate) unicode: bool,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    Faint,
    Title,
    Key,
    Warning,
    Subject,
    Selected,
}

const ASCII_BORDER: border::Set<'_> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

impl Look {
    pub(super) fn style(self, role: Role) -> Style {
        let style = match role {
            Role::Plain => Style::new(),
            Role::Faint => Style::new().add_modifier(Modifier::DIM),
            Role::Title | Role::Key | Role::Warning | Role::Subject => {
                Style::new().add_modifier(Modifier::BOLD)
            }
            Role::Selected => Style::new().add_modifier(Modifier::REVERSED),
        };
        if !self.colour {
            return style;
        }
        // Blue and yellow: the pair that most eyes tell apart.
        match role {
            Role::Key => style.fg(Color::Cyan),
            Role::Warning => style.fg(Color::Yellow),
            Role::Subject => style.fg(Color::LightBlue),
            _ => style,
        }
    }

    pub(super) fn border(self) -> border::Set<'static> {
        if self.unicode { border::ROUNDED } else { ASCII_BORDER }
    }

    pub(super) fn cursor(self) -> &'static str {
        if self.unicode { "▸" } else { ">" }
    }

    pub(super) fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "~" }
    }

    pub(super) fn dot(self) -> &'static str {
        if self.unicode { "•" } else { "*" }
    }

    /// Text from elsewhere, made harmless, and spelled out where the terminal cannot show it.
    pub(super) fn text(self, text: &str) -> String {
        let text = harmless(text);
        if self.unicode || text.is_ascii() {
            return text;
        }
        let mut shown = String::with_capacity(text.len());
        for c in text.chars() {
            if c.is_ascii() { shown.push(c) } else { shown.extend(c.escape_unicode()) }
        }
        shown
    }
}

/// A box to tick.
pub(super) fn tick(ticked: bool) -> &'static str {
    if ticked { "[x]" } else { "[ ]" }
}

/// One of several.
pub(super) fn radio(chosen: bool) -> &'static str {
    if chosen { "(x)" } else { "( )" }
}
