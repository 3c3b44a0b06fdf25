//! Results on standard output: JSON for programs, text for people.

use std::io::{Write, stdout};

use serde::Serialize;

/// What the global options ask for.
#[derive(Debug, Clone)]
pub struct Output {
    /// JSON instead of text.
    pub json: bool,
    /// No progress.
    pub quiet: bool,
    /// Seed instead of the study's.
    pub seed: Option<u64>,
    /// Threads instead of one per core.
    pub threads: Option<usize>,
}

impl Output {
    /// Writes a result: as JSON, or as what `text` makes of it.
    pub fn show<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        let text = if self.json { serde_json::to_string_pretty(value)? } else { text(value) };
        writeln!(stdout().lock(), "{}", text.trim_end())?;
        Ok(())
    }
}

/// Rows as aligned columns; the first row is the heading. Columns in `right` are aligned right.
pub fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let cell = |(column, text): (usize, &String)| {
        let width = widths[column];
        if right.contains(&column) { format!("{text:>width$}") } else { format!("{text:<width$}") }
    };
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_aligned() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        let text = table(&[row("name", "ms"), row("a", "10.5")], &[1]);
        assert_eq!(text, "name    ms\na     10.5\n");
    }
}
