//! Bars with their names at the left and their values at the right.

use maud::{Markup, html};
use spacewright_core::foreign::shortened;

use super::{at, color};

const WIDTH: f64 = 640.0;
/// Where what has a name at its left begins, and the letters of that name for which there is room.
pub const LEFT: f64 = 172.0;
pub const LETTERS: usize = 20;
/// What is left for values behind the longest bar.
const VALUE: f64 = 92.0;
const BAR: f64 = 14.0;
const BETWEEN_BARS: f64 = 4.0;
const BETWEEN_ROWS: f64 = 14.0;

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Its length.
    pub value: f64,
    /// Its value in words.
    pub text: String,
    pub color: usize,
    /// What is said of it when it is looked at.
    pub tip: String,
    /// Where its value stands in the data; empty where it is computed.
    pub path: String,
}

/// Bars that belong together.
#[derive(Debug, Clone)]
pub struct BarRow {
    /// What they are called.
    pub name: String,
    pub bars: Vec<Bar>,
}

/// A drawing of bars; values may be negative.
pub struct Bars {
    pub rows: Vec<BarRow>,
}

impl Bars {
    /// The drawing; `about` is said to those who do not see it.
    pub fn svg(&self, about: &str) -> Markup {
        let values = || self.rows.iter().flat_map(|row| &row.bars).map(|bar| bar.value);
        let finite = || values().filter(|value| value.is_finite());
        let (low, high) = (finite().fold(0.0, f64::min), finite().fold(0.0, f64::max));
        let room = WIDTH - LEFT - VALUE;
        let unit = if high > low { room / (high - low) } else { 0.0 };
        let zero = LEFT - low * unit;
        let mut top = 6.0;
        let mut placed = Vec::new();
        for row in &self.rows {
            let height = row.bars.len() as f64 * (BAR + BETWEEN_BARS) - BETWEEN_BARS;
            placed.push((row, top, height));
            top += height + BETWEEN_ROWS;
        }
        html! {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (at(top)) } role="img" tabindex="0" aria-label=(about)
                data-zero=(at(zero)) data-unit=(unit) {
                @for (row, top, height) in placed {
                    text.row x=(LEFT - 10.0) y=(at(top + height / 2.0 + 4.5)) text-anchor="end" {
                        (shortened(&row.name, LETTERS))
                        title { (row.name) }
                    }
                    @for (index, bar) in row.bars.iter().enumerate() {
                        (bar.markup(zero, unit, top + index as f64 * (BAR + BETWEEN_BARS)))
                    }
                }
                path.axis d={ "M" (at(zero)) " 0V" (at(top - 8.0)) } {}
            }
        }
    }
}

impl Bar {
    fn markup(&self, zero: f64, unit: f64, top: f64) -> Markup {
        let value = if self.value.is_finite() { self.value } else { 0.0 };
        let (from, length) = (zero + value.min(0.0) * unit, value.abs() * unit);
        // Beside the tip of the bar; of a negative one, beside its root, where there is room.
        let text = zero + value.max(0.0) * unit + 7.0;
        let path = (!self.path.is_empty()).then_some(&self.path);
        html! {
            g.{ (color(self.color)) } {
                rect.mark.bar x=(at(from)) y=(at(top)) width=(at(length.max(1.0))) height=(BAR) rx="2"
                    data-length=(self.value) data-length-path=[path] {
                    title { (self.tip) }
                }
                text.value x=(at(text)) y=(at(top + BAR / 2.0 + 4.5)) { (self.text) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(values: &[f64]) -> String {
        let bar = |&value: &f64| Bar {
            value,
            text: String::new(),
            color: 0,
            tip: "<script>".into(),
            path: String::new(),
        };
        let row = |value| BarRow { name: "\"<b>".into(), bars: vec![bar(value)] };
        Bars { rows: values.iter().map(row).collect() }.svg("bars").into_string()
    }

    #[test]
    fn lengths_are_in_proportion() {
        let svg = drawn(&[1.0, 2.0]);
        let room = WIDTH - LEFT - VALUE;
        assert!(svg.contains(&format!("width=\"{}\"", at(room))));
        assert!(svg.contains(&format!("width=\"{}\"", at(room / 2.0))));
        assert!(!svg.contains("<script") && !svg.contains("<b>"));
    }

    #[test]
    fn negative_bars_lie_left_of_nought() {
        let svg = drawn(&[-1.0, 1.0]);
        assert!(svg.contains(&format!("x=\"{LEFT}\"")), "{svg}");
    }

    #[test]
    fn nothing_and_no_numbers_can_be_drawn() {
        for values in [&[][..], &[0.0], &[f64::NAN]] {
            let svg = drawn(values);
            assert!(svg.ends_with("</svg>") && !svg.contains("inf"), "{svg}");
        }
    }
}
