//! The data of a drawing as a file.

use std::fmt::Write;

use spacewright_core::foreign::is_hidden;

/// Rows with a heading, as comma-separated values.
#[derive(Debug, Clone)]
pub struct Csv {
    rows: Vec<Vec<String>>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A name or a word.
    Text(String),
    /// A number; empty where it is not known.
    Number(Option<f64>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Number(Some(value))
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        Self::Number(value)
    }
}

impl Cell {
    /// What stands in the file. A text that a spreadsheet would compute gets an apostrophe, and what is
    /// invisible is written out.
    fn written(self) -> String {
        let text = match self {
            Self::Number(value) => {
                return value
                    .filter(|value| value.is_finite())
                    .map_or_else(String::new, |v| v.to_string());
            }
            Self::Text(text) => text,
        };
        let computes = text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
        let mut written = String::from(if computes { "'" } else { "" });
        for letter in text.chars() {
            match letter {
                letter if is_hidden(letter) => written.extend(letter.escape_unicode()),
                letter => written.push(letter),
            }
        }
        written
    }
}

impl Csv {
    /// With these names of columns.
    pub fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|&name| name.to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.map(Cell::written).into());
    }

    /// The file.
    pub fn text(&self) -> String {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        for row in &self.rows {
            // Writing to memory does not fail.
            let _ = writer.write_record(row);
        }
        let bytes = writer.into_inner().unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// The file as an address that holds it.
    pub fn address(&self) -> String {
        let mut address = String::from("data:text/csv;charset=utf-8,");
        for byte in self.text().bytes() {
            match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' | b',' => {
                    address.push(char::from(byte));
                }
                _ => {
                    let _ = write!(address, "%{byte:02X}");
                }
            }
        }
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_formulas_and_numbers_stay_numbers() {
        let mut csv = Csv::new(&["name", "value"]);
        for name in ["=1+1", "+a", "-b", "@c", " =d", "plain"] {
            csv.row([name.into(), (-1.5).into()]);
        }
        let text = csv.text();
        let names: Vec<&str> =
            text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
        assert_eq!(names, ["'=1+1", "'+a", "'-b", "'@c", "' =d", "plain"]);
        assert!(text.lines().skip(1).all(|line| line.ends_with(",-1.5")));
    }

    #[test]
    fn a_name_cannot_end_its_cell_or_its_address() {
        let mut csv = Csv::new(&["name"]);
        csv.row(["a\",\"b\n=c\u{202e}<script>".into()]);
        assert_eq!(csv.text(), "name\n\"a\"\",\"\"b\\u{a}=c\\u{202e}<script>\"\n");
        let address = csv.address();
        assert!(!address.contains(['<', '"', '\n', ' ', '\'']), "{address}");
    }

    #[test]
    fn what_is_not_known_is_empty() {
        let mut csv = Csv::new(&["a", "b"]);
        csv.row([None.into(), f64::NAN.into()]);
        assert_eq!(csv.text(), "a,b\n,\n");
    }
}
