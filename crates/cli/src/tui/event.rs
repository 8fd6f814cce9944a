//! What the owner's hands do, freed from the library that reads the terminal.

use std::fmt;

use crossterm::event::{Event as Raw, KeyCode, KeyEventKind, KeyModifiers};
use durward_protocol::SecretString;

/// One touch. It may be a letter of a password, so `Debug` shows no letters.
#[derive(Debug)]
pub(crate) enum Input {
    /// A key.
    Key(Key),
    /// Text from the clipboard. It is put into a field or nowhere: what is pasted is not taken for keys.
    Paste(SecretString),
    /// The terminal has another size.
    Resized,
}

/// A key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Ctrl(char),
    Enter,
    Esc,
    Tab,
    BackTab,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
}

impl Input {
    /// What the terminal said; `None` for what this program has no use for.
    pub(super) fn read(raw: Raw) -> Option<Self> {
        match raw {
            Raw::Key(key) if key.kind != KeyEventKind::Release => {
                let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
                let alt = key.modifiers.contains(KeyModifiers::ALT);
                Some(Self::Key(match key.code {
                    KeyCode::Char(c) if ctrl && !alt => Key::Ctrl(c.to_ascii_lowercase()),
                    KeyCode::Char(c) if !alt || ctrl => Key::Char(c),
                    KeyCode::Enter => Key::Enter,
                    KeyCode::Esc => Key::Esc,
                    KeyCode::Tab => Key::Tab,
                    KeyCode::BackTab => Key::BackTab,
                    KeyCode::Backspace | KeyCode::Delete => Key::Backspace,
                    KeyCode::Up => Key::Up,
                    KeyCode::Down => Key::Down,
                    KeyCode::Left => Key::Left,
                    KeyCode::Right => Key::Right,
                    KeyCode::PageUp => Key::PageUp,
                    KeyCode::PageDown => Key::PageDown,
                    KeyCode::Home => Key::Home,
                    KeyCode::End => Key::End,
                    _ => return None,
                }))
            }
            Raw::Paste(text) => Some(Self::Paste(SecretString::new(text))),
            Raw::Resize(..) => Some(Self::Resized),
            _ => None,
        }
    }
}

impl Key {
    /// By its name in a recording: `enter`, `ctrl-c`, or the one character it types.
    pub(super) fn named(name: &str) -> Option<Self> {
        let mut chars = name.chars();
        if let (Some(c), None) = (chars.next(), chars.next()) {
            return Some(Self::Char(c));
        }
        Some(match name {
            "enter" => Self::Enter,
            "esc" => Self::Esc,
            "tab" => Self::Tab,
            "backtab" => Self::BackTab,
            "space" => Self::Char(' '),
            "backspace" => Self::Backspace,
            "up" => Self::Up,
            "down" => Self::Down,
            "left" => Self::Left,
            "right" => Self::Right,
            "pageup" => Self::PageUp,
            "pagedown" => Self::PageDown,
            "home" => Self::Home,
            "end" => Self::End,
            _ => Self::Ctrl(name.strip_prefix("ctrl-")?.chars().next()?),
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}
