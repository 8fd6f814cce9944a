//! Times as the data file and the items write them.

use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// `2026-11-21T23:11:02.014Z`.
pub fn iso_millis(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    at.to_offset(UtcOffset::UTC).format(&format).unwrap_or_default()
}
