//! Columns that line up.

use crate::plain::plain;

/// No cell is wider than that, but the last of a line.
const WIDEST: usize = 48;
const WIDEST_LAST: usize = 120;

/// A table without lines: a heading, and columns as wide as they must be. What others have written is made harmless.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    pub(super) fn add<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.into_iter().enumerate();
        let most = |i: usize| if i + 1 == N { WIDEST_LAST } else { WIDEST };
        self.rows.push(cells.map(|(i, cell)| plain(&cell, most(i))).collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// As text, with a line break after each row.
    pub(super) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |i: usize| {
            self.rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_cells_are_harmless() {
        let mut table = Table::new(&["id", "reason"]);
        assert!(table.is_empty());
        table.add(["1".to_owned(), "timed out\u{1b}[2J".to_owned()]);
        table.add(["1234".to_owned(), String::new()]);
        assert_eq!(table.text(), "id    reason\n1     timed out [2J\n1234\n");
    }
}
