//! Numbers as people read them, with the place in the data that they come from.

use maud::{Markup, Render, html};
use spacewright_core::latency::milliseconds;

/// A number that is shown: a test compares its value with the data, and its text with the value.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Where it stands in the data; none where it is computed of several.
    path: Option<String>,
    value: f64,
    /// What the value is multiplied by in the text.
    scale: f64,
    /// Digits and unit.
    text: String,
}

impl Shown {
    /// A latency in milliseconds.
    pub fn ms(path: impl Into<String>, ms: f64) -> Self {
        Self::new(path, ms, 1.0, format!("{} ms", milliseconds(ms)))
    }

    /// A share in percent, with two digits.
    pub fn percent(path: impl Into<String>, share: f64) -> Self {
        Self::new(path, share, 100.0, format!("{:.2} %", 100.0 * share))
    }

    /// A share in percent without its sign, which words beside it tell.
    pub fn unsigned_percent(path: impl Into<String>, share: f64) -> Self {
        let scale = 100f64.copysign(share);
        Self::new(path, share, scale, format!("{:.2} %", scale * share))
    }

    /// A factor.
    pub fn times(path: impl Into<String>, factor: f64) -> Self {
        Self::new(path, factor, 1.0, format!("{factor:.2} ×"))
    }

    /// A whole number.
    pub fn count(path: impl Into<String>, count: u64) -> Self {
        Self::new(path, count as f64, 1.0, grouped(count))
    }

    /// Millions, with two digits.
    pub fn millions(path: impl Into<String>, count: u64) -> Self {
        Self::new(path, count as f64, 1e-6, format!("{:.2} M", count as f64 / 1e6))
    }

    /// Bytes, in kilobytes of a thousand.
    pub fn bytes(path: impl Into<String>, bytes: u64) -> Self {
        Self::new(path, bytes as f64, 1e-3, format!("{:.1} kB", bytes as f64 / 1e3))
    }

    /// Bytes, in gigabytes of a thousand million.
    pub fn gigabytes(path: impl Into<String>, bytes: u64) -> Self {
        Self::new(path, bytes as f64, 1e-9, format!("{:.2} GB", bytes as f64 / 1e9))
    }

    /// A plain number with so many digits behind the point.
    pub fn plain(path: impl Into<String>, value: f64, digits: usize) -> Self {
        Self::new(path, value, 1.0, format!("{value:.digits$}"))
    }

    /// A plain number with its sign.
    pub fn signed(path: impl Into<String>, value: f64, digits: usize) -> Self {
        Self::new(path, value, 1.0, format!("{value:+.digits$}").replace('-', "−"))
    }

    fn new(path: impl Into<String>, value: f64, scale: f64, text: String) -> Self {
        Self { path: Some(path.into()), value, scale, text }
    }

    /// The same number, computed of several of the data.
    pub fn derived(self) -> Self {
        Self { path: None, ..self }
    }

    /// As it is shown.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Render for Shown {
    fn render(&self) -> Markup {
        html! {
            @if let Some(path) = &self.path {
                span.n data-path=(path) data-value=(self.value) data-scale=(self.scale) { (self.text) }
            } @else {
                span.n data-value=(self.value) { (self.text) }
            }
        }
    }
}

/// `1185901920` as `1 185 901 920`, with narrow spaces that do not break.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_its_place() {
        let shown = Shown::percent("report.budgets.0.int8_accuracy", 0.9278).render().into_string();
        let place = "data-path=\"report.budgets.0.int8_accuracy\" data-value=\"0.9278\"";
        assert!(shown.contains(place) && shown.contains(">92.78 %<"), "{shown}");
        let computed = Shown::plain("", 0.5, 1).derived().render().into_string();
        assert_eq!(computed, "<span class=\"n\" data-value=\"0.5\">0.5</span>");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(Shown::signed("", -0.25, 2).text(), "−0.25");
    }
}
