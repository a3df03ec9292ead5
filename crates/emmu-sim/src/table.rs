//! Tables of plain columns, as reports for reading print them.

use comfy_table::{CellAlignment, presets::NOTHING};
use std::io::{self, Write};

pub use comfy_table::{Cell, Table};

/// Returns a table with these titles above its columns. Where all titles are empty, the table has no head.
#[must_use]
pub fn table(header: &[&str]) -> Table {
    let mut rows = Table::new();
    rows.load_style(NOTHING);
    if header.iter().any(|title| !title.is_empty()) {
        rows.set_header(header.iter().map(right));
    }
    rows
}

/// Returns a cell with this text at the left.
#[must_use]
pub fn left(text: &str) -> Cell {
    Cell::new(text)
}

/// Returns a cell with this text at the right.
pub fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// Writes a number with a comma between each three digits.
///
/// ```
/// assert_eq!(emmu_sim::table::count(1_234_567), "1,234,567");
/// ```
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let grouped = digits.char_indices().flat_map(|(index, digit)| {
        let comma = index > 0 && (digits.len() - index).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    });
    grouped.collect()
}

/// Prints a table, without the blanks that pad its lines, and an empty line after it.
///
/// # Errors
/// Any error of `out`.
pub fn print(out: &mut (impl Write + ?Sized), rows: &Table) -> io::Result<()> {
    for line in rows.lines() {
        let line = line.strip_prefix(' ').unwrap_or(&line).trim_end();
        if !line.is_empty() {
            writeln!(out, "{line}")?;
        }
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three_from_the_right() {
        let shown = [0, 7, 999, 1_000, 12_345, 123_456, 1_234_567, u64::MAX].map(count);
        let expected = [
            "0",
            "7",
            "999",
            "1,000",
            "12,345",
            "123,456",
            "1,234,567",
            "18,446,744,073,709,551,615",
        ];
        assert_eq!(shown, expected);
    }
}
