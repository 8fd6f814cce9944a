//! Days and hours, in a zone that the file states: "at night" means nothing without one.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use time::{OffsetDateTime, Time, UtcOffset, Weekday};

/// A time zone: its name, and its offset from UTC at any moment.
#[derive(Clone)]
pub struct Zone {
    name: Arc<str>,
    offset: Arc<dyn Fn(OffsetDateTime) -> UtcOffset + Send + Sync>,
}

impl Zone {
    /// A zone that somebody looked up by its name.
    pub fn new(name: &str, offset: impl Fn(OffsetDateTime) -> UtcOffset + Send + Sync + 'static) -> Self {
        Self { name: name.into(), offset: Arc::new(offset) }
    }

    /// `UTC`, or hours and minutes from it: `+02:00`.
    pub fn fixed(text: &str) -> Option<Self> {
        let offset = if text == "UTC" { Some(UtcOffset::UTC) } else { parse_offset(text) }?;
        Some(Self::new(text, move |_| offset))
    }

    /// As the file names it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The moment on a clock there.
    pub fn local(&self, at: OffsetDateTime) -> OffsetDateTime {
        at.to_offset((self.offset)(at))
    }
}

fn parse_offset(text: &str) -> Option<UtcOffset> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok()).flatten().filter(|n| *n >= 0);
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

/// `"mon"` or `"mon-fri"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Days {
    text: String,
    /// By days since Monday.
    on: [bool; 7],
}

impl Days {
    pub(super) fn has(&self, day: Weekday) -> bool {
        self.on.get(usize::from(day.number_days_from_monday())).copied().unwrap_or_default()
    }
}

impl TryFrom<String> for Days {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let day = |name: &str| NAMES.iter().position(|own| *own == name);
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let (Some(first), Some(last)) = (day(first), day(last)) else {
            return Err("a day is mon, tue, wed, thu, fri, sat or sun, or a range such as mon-fri".into());
        };
        let mut on = [false; 7];
        for n in 0..7 {
            let at = (first + n) % 7;
            if let Some(day) = on.get_mut(at) {
                *day = true;
            }
            if at == last {
                break;
            }
        }
        Ok(Self { text, on })
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `"08:00-18:00"`; the end is not part of it, and `"22:00-06:00"` is a night.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Hours {
    from: Time,
    to: Time,
}

impl Hours {
    pub(super) fn has(self, time: Time) -> bool {
        if self.from < self.to {
            self.from <= time && time < self.to
        } else {
            self.from <= time || time < self.to
        }
    }

    /// A time before the end of a night belongs to the evening before.
    pub(super) fn began_yesterday(self, time: Time) -> bool {
        self.from >= self.to && time < self.to
    }
}

impl TryFrom<String> for Hours {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let two = |text: &str| (text.len() == 2).then(|| text.parse::<u8>().ok()).flatten();
            Time::from_hms(two(hour)?, two(minute)?, 0).ok()
        };
        let bad = || "hours are written as 08:00-18:00, the end excluded; 22:00-06:00 is a night".to_owned();
        let (from, to) = text.split_once('-').ok_or_else(bad)?;
        let to = if to == "24:00" { Some(Time::MIDNIGHT) } else { time(to) };
        match (time(from), to) {
            (Some(from), Some(to)) if from != to => Ok(Self { from, to }),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from, self.to);
        write!(f, "{:02}:{:02}-{:02}:{:02}", from.hour(), from.minute(), to.hour(), to.minute())
    }
}
