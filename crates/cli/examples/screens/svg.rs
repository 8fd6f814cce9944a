//! A picture of a terminal as SVG, made from the cells that the real view drew.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

/// Width of a cell and height of a row, in pixels.
const CELL: (f32, f32) = (8.4, 16.4);
const PADDING: f32 = 12.0;
const BACK: &str = "#16181d";
const FORE: &str = "#d8dee9";

/// The picture.
pub(crate) fn svg(buffer: &Buffer, title: &str) -> String {
    let (columns, rows) = (f32::from(buffer.area.width), f32::from(buffer.area.height));
    let (width, height) = (columns * CELL.0 + 2.0 * PADDING, rows * CELL.1 + 2.0 * PADDING);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACK}\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\" \
         fill=\"{FORE}\">\n",
    );
    for y in 0..buffer.area.height {
        row(&mut svg, buffer, y);
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// One row: runs of cells that look the same.
fn row(svg: &mut String, buffer: &Buffer, y: u16) {
    let mut x = 0;
    while x < buffer.area.width {
        let first = &buffer[(x, y)];
        let style = (first.fg, first.modifier);
        let mut text = String::new();
        let start = x;
        while x < buffer.area.width && (buffer[(x, y)].fg, buffer[(x, y)].modifier) == style {
            text.push_str(buffer[(x, y)].symbol());
            x += 1;
        }
        run(svg, &text, start, x - start, y, style);
    }
}

fn run(svg: &mut String, text: &str, start: u16, cells: u16, y: u16, (fg, modifier): (Color, Modifier)) {
    let reversed = modifier.contains(Modifier::REVERSED);
    let (left, top) = (PADDING + f32::from(start) * CELL.0, PADDING + f32::from(y) * CELL.1);
    let colour = colour(fg);
    if reversed {
        let wide = f32::from(cells) * CELL.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{}\" fill=\"{colour}\"/>",
            CELL.1
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let lead = text.chars().take_while(|c| *c == ' ').count();
    let left = left + f32::from(u16::try_from(lead).unwrap_or(0)) * CELL.0;
    let text = text.trim();
    let wide = f32::from(u16::try_from(text.chars().count()).unwrap_or(0)) * CELL.0;
    let weight = if modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
    let faint = if modifier.contains(Modifier::DIM) { " opacity=\"0.6\"" } else { "" };
    let fill = if reversed { BACK } else { colour };
    let _ = writeln!(
        svg,
        "<text x=\"{left:.1}\" y=\"{:.1}\" textLength=\"{wide:.1}\" fill=\"{fill}\"{weight}{faint}>{}</text>",
        top + CELL.1 * 0.74,
        escape(text)
    );
}

fn colour(colour: Color) -> &'static str {
    match colour {
        Color::Cyan => "#88c0d0",
        Color::Yellow => "#ebcb8b",
        Color::LightBlue => "#81a1f1",
        _ => FORE,
    }
}

fn escape(text: &str) -> String {
    // Blanks in a row would be drawn as one.
    text.replace(' ', "\u{a0}")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
