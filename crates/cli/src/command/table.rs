//! What the tables of several commands share.

use comfy_table::Table;

/// A table without lines: one row a line, fit for `awk`.
pub(crate) fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.to_vec());
    table
}

pub(crate) fn minutes(moment: time::OffsetDateTime) -> String {
    format!("{} {:02}:{:02}Z", moment.date(), moment.hour(), moment.minute())
}
