//! Values with the intervals in which they lie, one below the other, beside a line at nought.

use maud::{Markup, html};

use super::{Axis, at, color, shortened};

const WIDTH: f64 = 640.0;
/// Where values begin and end, above and below which there is room for labels.
const LEFT: f64 = 216.0;
const RIGHT: f64 = 618.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 46.0;
const ROW: f64 = 22.0;
/// Letters of names.
const NAME: usize = 30;

/// A value.
#[derive(Debug, Clone)]
pub struct IntervalRow {
    /// What it is called.
    pub name: String,
    /// A share, which labels show in percent.
    pub value: f64,
    /// From where to where it may be.
    pub range: Option<(f64, f64)>,
    pub color: usize,
    /// What is said of it when it is looked at.
    pub tip: String,
    /// Where it stands in the data.
    pub path: String,
}

/// A drawing of values with their intervals.
pub struct Intervals<'a> {
    /// What is shown, with the unit.
    pub label: &'a str,
    pub rows: Vec<IntervalRow>,
}

impl Intervals<'_> {
    /// The drawing; `about` is said to those who do not see it.
    pub fn svg(&self, about: &str) -> Markup {
        let ends = |row: &IntervalRow| {
            [
                row.value,
                row.range.map_or(row.value, |range| range.0),
                row.range.map_or(row.value, |range| range.1),
            ]
        };
        let values = self.rows.iter().flat_map(ends).chain([0.0]);
        let axis = Axis::around(self.label, values).in_percent();
        let x = axis.scale(LEFT, RIGHT);
        let bottom = TOP + ROW * self.rows.len() as f64;
        // The place of a row is the middle between its edges: rows count from the top.
        let last = self.rows.len() as f64;
        let scales = format!("{},{},{LEFT},{RIGHT};0,{last},{TOP},{bottom}", axis.low, axis.high);
        html! {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (at(bottom + BOTTOM)) } role="img" tabindex="0"
                aria-label=(about) data-scales=(scales) {
                g.ticks {
                    @for tick in &axis.ticks {
                        text x=(at(x.place(*tick))) y=(at(bottom + 18.0)) text-anchor="middle" { (axis.tick(*tick)) }
                    }
                }
                path.rule d={ "M" (at(x.place(0.0))) " " (TOP) "V" (at(bottom)) } {}
                path.axis d={ "M" (LEFT) " " (at(bottom)) "H" (RIGHT) } {}
                text.label x=(RIGHT) y=(at(bottom + 38.0)) text-anchor="end" { (axis.label) }
                @for (index, row) in self.rows.iter().enumerate() {
                    @let middle = index as f64 + 0.5;
                    @let y = TOP + ROW * middle;
                    text.row x=(LEFT - 10.0) y=(at(y + 4.5)) text-anchor="end" {
                        (shortened(&row.name, NAME))
                        title { (row.name) }
                    }
                    g.{ (color(row.color)) }.point {
                        @if let Some((low, high)) = row.range {
                            path.range d={ "M" (at(x.place(low))) " " (at(y)) "H" (at(x.place(high))) } {}
                        }
                        path.mark d="M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z"
                            transform={ "translate(" (at(x.place(row.value))) " " (at(y)) ")" }
                            data-x=(row.value) data-y=(middle) data-x-path=(row.path) {
                            title { (row.tip) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_its_interval_beside_nought() {
        let row = IntervalRow {
            name: "<b>".into(),
            value: 0.01,
            range: Some((-0.02, 0.04)),
            color: 1,
            tip: "one".into(),
            path: "report.x".into(),
        };
        let svg = Intervals { label: "points", rows: vec![row] }.svg("differences").into_string();
        assert!(svg.contains("data-x=\"0.01\" data-y=\"0.5\" data-x-path=\"report.x\""), "{svg}");
        assert!(svg.contains("class=\"range\"") && svg.contains("class=\"rule\""));
        assert!(!svg.contains("<b>") && !svg.contains("NaN"));
        let nothing = Intervals { label: "points", rows: Vec::new() }.svg("").into_string();
        assert!(!nothing.contains("NaN"), "{nothing}");
    }
}
