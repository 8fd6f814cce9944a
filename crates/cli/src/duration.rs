//! Lengths of time as people type them: a number and a unit. One parser, with bounds for each use.

use time::Duration;

const DAY: i64 = 86_400;

/// Which units a length may have, and how short and long it may be.
struct Rule {
    units: &'static [char],
    /// Whether a number alone counts, as seconds.
    bare: bool,
    seconds: std::ops::RangeInclusive<i64>,
    /// What to say for something else.
    usage: &'static str,
    bounds: &'static str,
}

/// `90`, `90s`, `15m`, `24h`: seconds, at most a day.
pub(crate) fn parse_seconds(text: &str) -> Result<u64, String> {
    let rule = Rule {
        units: &['s', 'm', 'h'],
        bare: true,
        seconds: 1..=DAY,
        usage: "use a number with s, m or h, for example 10m",
        bounds: "must be between 1s and 24h",
    };
    rule.parse(text).map(i64::unsigned_abs)
}

/// The same, from none to a year: for waits and sessions.
pub(crate) fn parse_long_seconds(text: &str) -> Result<u64, String> {
    let rule = Rule {
        units: &['s', 'm', 'h'],
        bare: true,
        seconds: 0..=365 * DAY,
        usage: "use a number with s, m or h, for example 10m",
        bounds: "must be at most 365 days",
    };
    rule.parse(text).map(i64::unsigned_abs)
}

/// A lifetime: a number with `m`, `h`, `d` or `w`, from a minute to ten years.
pub(crate) fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let rule = Rule {
        units: &['m', 'h', 'd', 'w'],
        bare: false,
        seconds: 60..=3_650 * DAY,
        usage: "use a number with m, h, d or w, for example 90d",
        bounds: "must be between 1m and 3650d",
    };
    rule.parse(text).map(Duration::seconds)
}

/// How far back: a number with `h`, `d` or `w`, up to ten years.
pub(crate) fn parse_since(text: &str) -> Result<Duration, String> {
    let rule = Rule {
        units: &['h', 'd', 'w'],
        bare: false,
        seconds: 1..=3_650 * DAY,
        usage: "use a number with h, d or w, for example 30d",
        bounds: "must be between 1h and 3650d",
    };
    rule.parse(text).map(Duration::seconds)
}

impl Rule {
    fn parse(&self, text: &str) -> Result<i64, String> {
        let (number, unit) = match text.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
            Some((at, _)) => text.split_at(at),
            None if self.bare => (text, "s"),
            None => return Err(self.usage.into()),
        };
        let mut letters = unit.chars();
        let unit = letters.next().filter(|unit| letters.next().is_none() && self.units.contains(unit));
        let factor = match unit {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => DAY,
            Some('w') => 7 * DAY,
            _ => return Err(self.usage.into()),
        };
        let seconds = number.parse::<i64>().ok().and_then(|n| n.checked_mul(factor));
        seconds.filter(|seconds| self.seconds.contains(seconds)).ok_or_else(|| self.bounds.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        for (text, days) in [("90d", 90), ("24h", 1), ("2w", 14), ("1440m", 1), ("3650d", 3_650)] {
            assert_eq!(parse_lifetime(text), Ok(Duration::days(days)), "{text}");
        }
        for bad in ["", "90", "0d", "3651d", "59s", "d", "-1d", "1.5d", "99999999999999999999d", "1y"] {
            assert!(parse_lifetime(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("1h", 3_600), ("24h", 86_400)] {
            assert_eq!(parse_seconds(text), Ok(seconds));
        }
        for bad in ["", "0", "25h", "5d", "m", "-5m", "1.5h", "1hh", "5µ"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn how_far_back() {
        for (text, hours) in [("12h", 12), ("30d", 720), ("2w", 336)] {
            assert_eq!(parse_since(text), Ok(Duration::hours(hours)));
        }
        for bad in ["", "30", "0d", "99999999d", "1ü", "5m"] {
            assert!(parse_since(bad).is_err(), "{bad}");
        }
    }
}
