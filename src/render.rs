//! Results on standard output, errors with what to do about them on standard error.
//!
//! Exit codes: 0 done; 1 something failed, or a check found differences; 2 an option, a name or a
//! file is wrong; 130 stopped on request, and the same command goes on.

use std::{
    error::Error,
    fmt::{self, Write as _},
    io::{self, Write as _},
    process::ExitCode,
};

use serde::Serialize;
use serde_json::Value;
use spacewright_core::{
    foreign::{Escaped, is_hidden, shortened},
    train::TrainError,
};
use spacewright_data::DataError;
use spacewright_engine::{EngineError, ErrorKind};

const FAILED: u8 = 1;
const WRONG_USE: u8 = 2;
/// As shells count a process that SIGINT has ended.
const STOPPED: u8 = 130;

/// What a command found, for people and for machines.
#[derive(Debug)]
pub struct Output {
    text: String,
    json: Value,
    good: bool,
    /// Whether the text is meant for a program, not for a terminal.
    verbatim: bool,
    /// Whether it was printed before.
    said: bool,
}

impl Output {
    /// Of a command that has [announced](announce) all that it had to say.
    #[cfg(feature = "serve")]
    pub fn said() -> Self {
        let (text, json) = (String::new(), Value::Null);
        Self { text, json, good: true, verbatim: false, said: true }
    }

    /// `text` for people, `data` for machines.
    pub fn new(text: String, data: &impl Serialize) -> Result<Self, Failure> {
        let json = serde_json::to_value(data).map_err(Failure::failed)?;
        Ok(Self { text, json, good: true, verbatim: false, said: false })
    }

    /// Shows the text as it is: a file that another program reads.
    pub fn verbatim(self) -> Self {
        Self { verbatim: true, ..self }
    }

    /// Makes the command exit with 1 where what it found is not good.
    pub fn good(self, good: bool) -> Self {
        Self { good, ..self }
    }
}

/// Why a command has no result.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// The command was asked for something that cannot be.
    pub fn input(message: impl ToString) -> Self {
        Self { message: message.to_string(), hint: None, code: WRONG_USE }
    }

    /// Something went wrong on the way.
    pub fn failed(message: impl ToString) -> Self {
        Self { message: message.to_string(), hint: None, code: FAILED }
    }

    /// Whether the command was asked for something that cannot be.
    pub fn is_input(&self) -> bool {
        self.code == WRONG_USE
    }

    /// What to do about it, if that is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The message with what to do about it, within a report.
    pub fn in_one_line(&self) -> String {
        let hint = self.hint.iter().map(|hint| format!("; hint: {hint}"));
        let text: String = std::iter::once(self.message.clone()).chain(hint).collect();
        text.replace('\n', "; ")
    }

    /// What to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        EngineError::from(error).into()
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let code = match error.kind {
            ErrorKind::Cancelled => STOPPED,
            ErrorKind::Study | ErrorKind::Missing => WRONG_USE,
            ErrorKind::Plugin | ErrorKind::Locked | ErrorKind::Storage | ErrorKind::Step => FAILED,
        };
        Self { message: error.to_string(), hint: error.hint, code }
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self { hint, ..Self::input(error) }
    }
}

/// Prints what a command has to say before it ends.
#[cfg(feature = "serve")]
pub fn announce(output: Output, json: bool) {
    show(Ok(output), json);
}

/// Prints the outcome of a command.
pub fn show(outcome: Result<Output, Failure>, json: bool) -> ExitCode {
    match outcome {
        Ok(output) if output.said => ExitCode::SUCCESS,
        Ok(output) => {
            let text = match json {
                true => json_text(&output.json),
                false if output.verbatim => output.text,
                false => visible(&output.text, |letter| letter.escape_default().to_string()),
            };
            match writeln!(io::stdout(), "{}", text.trim_end()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    let _ = writeln!(io::stderr(), "error: standard output: {error}");
                    ExitCode::FAILURE
                }
                _ => ExitCode::from(u8::from(!output.good)),
            }
        }
        Err(failure) => {
            let mut text = format!("error: {}\n", failure.message);
            if let Some(hint) = failure.hint {
                let _ = writeln!(text, "hint: {hint}");
            }
            let text = visible(&text, |letter| letter.escape_default().to_string());
            let _ = write!(io::stderr(), "{text}");
            ExitCode::from(failure.code)
        }
    }
}

/// A text in which no character moves a terminal's cursor but the end of a line, and none is
/// invisible: names of foreign files are part of texts.
fn visible(text: &str, escape: impl Fn(char) -> String) -> String {
    let shown = |letter: char| match letter {
        '\n' => "\n".to_owned(),
        letter if is_hidden(letter) => escape(letter),
        letter => letter.to_string(),
    };
    if text.chars().any(|letter| letter != '\n' && is_hidden(letter)) {
        return text.chars().map(shown).collect();
    }
    text.to_owned()
}

/// JSON with line breaks, and with such characters in its own notation.
fn json_text(value: &Value) -> String {
    visible(&format!("{value:#}"), json_escape)
}

/// The same in one line.
pub fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(visible(&serde_json::to_string(value)?, json_escape))
}

fn json_escape(letter: char) -> String {
    let mut units = [0; 2];
    letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Columns aligned with spaces: numbers to the right, the rest to the left.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.cells(cells.into());
    }

    /// A row of as many cells as the header has.
    pub fn cells(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub fn render(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let numeric: Vec<bool> = (0..columns)
            .map(|column| self.rows[1..].iter().all(|row| is_number(&row[column])))
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = if column > 0 { "  " } else { "" };
                // Formats know no widths beyond 16 bits.
                let padding = " ".repeat(widths[column] - cell.chars().count());
                line += gap;
                let parts = if numeric[column] { [&padding, cell] } else { [cell, &padding] };
                line.extend(parts.map(String::as_str));
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

/// A name out of a file that others wrote, as it is shown: in one line that is not long.
pub fn foreign_name(name: &str) -> String {
    Escaped(shortened(name, 60)).to_string()
}

fn is_number(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_ascii_digit()) && cell.parse::<f64>().is_ok()
}

/// `1185901920` as `1,185,901,920`.
pub fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A whole number of any size, in powers of ten where it is long: `1.8e49`.
pub fn magnitude(digits: &str) -> String {
    if digits.len() <= 15 {
        return grouped(digits);
    }
    digits.parse::<f64>().map_or(digits.to_owned(), |value| format!("{value:.2e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        let mut table = Table::new(&["name", "count"]);
        table.row(["a".into(), "1".into()]);
        table.row(["long".into(), "1000".into()]);
        assert_eq!(table.render(), "name  count\na         1\nlong   1000\n");
    }

    #[test]
    fn nothing_that_is_printed_moves_the_cursor() {
        let escape = |letter: char| letter.escape_default().to_string();
        assert_eq!(visible("a\u{1b}[2J\u{9b}m\nb\r", escape), "a\\u{1b}[2J\\u{9b}m\nb\\r");
        let value = serde_json::json!({ "name": "a\u{1b}\u{9b}\u{202e}\u{e0001}\0" });
        let text = json_text(&value);
        assert!(text.chars().all(|letter| letter == '\n' || !is_hidden(letter)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn large_numbers_are_readable() {
        assert_eq!(grouped("1185901920"), "1,185,901,920");
        assert_eq!(magnitude("123"), "123");
        assert_eq!(magnitude("12345678901234567890"), "1.23e19");
    }
}
