//! Points and lines between two axes.

use maud::{Markup, html};

use super::{Axis, at, color};

/// Size of a plot, and what is left free around it for labels.
const WIDTH: f64 = 640.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;
const LEFT: f64 = 66.0;
/// Beside the last point, without and with names of lines.
const RIGHT: f64 = 22.0;
const RIGHT_WITH_NAMES: f64 = 128.0;
/// Least distance of two names.
const ROW: f64 = 15.0;

/// What a mark looks like, so that colours are not all that tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Circle,
    Square,
    Diamond,
    Triangle,
}

/// A point of the data.
#[derive(Debug, Clone)]
pub struct Mark {
    pub x: f64,
    pub y: f64,
    /// From where to where its value may be, by direction.
    pub x_range: Option<(f64, f64)>,
    pub y_range: Option<(f64, f64)>,
    pub shape: Shape,
    /// Without a filling.
    pub hollow: bool,
    pub color: usize,
    /// What is shown beside it.
    pub label: Option<String>,
    /// What is said of it when it is looked at.
    pub tip: String,
    /// Where its values stand in the data.
    pub x_path: String,
    pub y_path: String,
    /// A place of the page.
    pub link: Option<String>,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    Solid,
    Dashed,
    /// One of many.
    Thin,
    /// Level up to the next point.
    Steps,
}

/// Joined points.
#[derive(Debug, Clone)]
pub struct Line {
    pub points: Vec<(f64, f64)>,
    pub color: usize,
    pub stroke: Stroke,
    /// What is shown at its end.
    pub label: Option<String>,
}

/// A line across the plot.
#[derive(Debug, Clone)]
pub struct Rule {
    pub x: f64,
    pub label: String,
}

/// A plot.
pub struct Plot {
    pub x: Axis,
    pub y: Axis,
    pub height: f64,
    pub lines: Vec<Line>,
    pub marks: Vec<Mark>,
    pub rules: Vec<Rule>,
    /// Where both axes show the same: a line of equal values.
    pub diagonal: bool,
}

/// Axes for accuracies against latencies in milliseconds, around marks with the ranges in which they lie.
pub fn accuracy_axes(latency: &str, marks: &[Mark]) -> (Axis, Axis) {
    let x = marks.iter().flat_map(|mark| [mark.x, mark.x_range.map_or(mark.x, |range| range.1)]);
    let y = marks.iter().flat_map(|mark| {
        let (low, high) = mark.y_range.unwrap_or((mark.y, mark.y));
        [mark.y, low, high]
    });
    let accuracy = Axis::around("test images that are classified correctly, in %", y);
    (Axis::around(latency, x), accuracy.in_percent())
}

impl Plot {
    /// Without anything in it.
    pub fn new(x: Axis, y: Axis) -> Self {
        let (lines, marks, rules) = Default::default();
        Self { x, y, height: 340.0, lines, marks, rules, diagonal: false }
    }

    /// The drawing; `about` is said to those who do not see it.
    pub fn svg(&self, about: &str) -> Markup {
        let named = self.lines.iter().any(|line| line.label.is_some());
        let right = WIDTH - if named { RIGHT_WITH_NAMES } else { RIGHT };
        let bottom = self.height - BOTTOM;
        let (x, y) = (self.x.scale(LEFT, right), self.y.scale(bottom, TOP));
        let along = |points: &[(f64, f64)], steps: bool| {
            let mut path = String::new();
            let mut before = None;
            for &(px, py) in points.iter().filter(|(px, py)| px.is_finite() && py.is_finite()) {
                let (px, py) = (at(x.place(px)), at(y.place(py)));
                path += &match (&before, steps) {
                    (None, _) => format!("M{px} {py}"),
                    (Some(_), true) => format!("H{px}V{py}"),
                    (Some(_), false) => format!("L{px} {py}"),
                };
                before = Some(py);
            }
            path
        };
        let scales =
            format!("{},{},{LEFT},{right};{},{},{bottom},{TOP}", x.low, x.high, y.low, y.high);
        let ends = self.lines.iter().filter_map(|line| {
            let end = line.points.last()?;
            let place = (x.place(end.0) + 7.0, y.place(end.1) + 4.0);
            Some((line.label.as_deref()?, place, line.color, "start"))
        });
        let beside = self.marks.iter().filter_map(|mark| {
            let (px, py) = (x.place(mark.x), y.place(mark.y));
            let (place, anchor) = match px > right - 90.0 {
                true => ((px - 10.0, py - 8.0), "end"),
                false => ((px + 10.0, py - 8.0), "start"),
            };
            Some((mark.label.as_deref()?, place, mark.color, anchor))
        });
        let names = apart(ends.chain(beside).collect(), bottom);
        let rules = self
            .rules
            .iter()
            .map(|rule| (rule.label.as_str(), (x.place(rule.x) + 4.0, bottom - 6.0), 0, "start"));
        let rules_named = apart(rules.collect(), bottom - 6.0);
        html! {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (at(self.height)) } role="img" tabindex="0"
                aria-label=(about) data-scales=(scales) {
                g.grid {
                    @for tick in &self.y.ticks {
                        path d={ "M" (LEFT) " " (at(y.place(*tick))) "H" (at(right)) } {}
                    }
                }
                g.ticks {
                    @for tick in &self.y.ticks {
                        text x=(LEFT - 9.0) y=(at(y.place(*tick) + 4.0)) text-anchor="end" {
                            (self.y.tick(*tick))
                        }
                    }
                    @for tick in &self.x.ticks {
                        text x=(at(x.place(*tick))) y=(at(bottom + 18.0)) text-anchor="middle" {
                            (self.x.tick(*tick))
                        }
                    }
                }
                path.axis d={ "M" (LEFT) " " (at(bottom)) "H" (at(right)) } {}
                text.label x=(at(right)) y=(at(self.height - 8.0)) text-anchor="end" { (self.x.label) }
                text.label x="2" y="10" { (self.y.label) }
                @for rule in &self.rules {
                    path.rule d={ "M" (at(x.place(rule.x))) " " (TOP) "V" (at(bottom)) } {}
                }
                @for (name, (px, py), ..) in rules_named {
                    text.small x=(at(px)) y=(at(py)) { (name) }
                }
                @if self.diagonal {
                    @let (low, high) = (self.x.low.max(self.y.low), self.x.high.min(self.y.high));
                    path.rule d=(along(&[(low, low), (high, high)], false)) {}
                }
                @for line in &self.lines {
                    path.line.{ (color(line.color)) }.{ (line.stroke.class()) }
                        d=(along(&line.points, line.stroke == Stroke::Steps)) {}
                }
                @for mark in &self.marks {
                    (mark.markup((&x, &y)))
                }
                @for (name, (px, py), of, anchor) in names {
                    text.name.{ (color(of)) } x=(at(px)) y=(at(py)) text-anchor=(anchor) { (name) }
                }
            }
        }
    }
}

impl Stroke {
    fn class(self) -> &'static str {
        match self {
            Self::Solid | Self::Steps => "solid",
            Self::Dashed => "dashed",
            Self::Thin => "thin",
        }
    }
}

impl Mark {
    /// A filled circle.
    pub fn new(x: f64, y: f64, color: usize, tip: String) -> Self {
        let (x_path, y_path) = Default::default();
        Self {
            x,
            y,
            x_range: None,
            y_range: None,
            shape: Shape::Circle,
            hollow: false,
            color,
            label: None,
            tip,
            x_path,
            y_path,
            link: None,
        }
    }

    fn markup(&self, (x, y): (&super::Scale, &super::Scale)) -> Markup {
        if !self.x.is_finite() || !self.y.is_finite() {
            return html! {};
        }
        let (px, py) = (x.place(self.x), y.place(self.y));
        let outline = match self.shape {
            Shape::Circle => "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
            Shape::Square => "M-4.5 -4.5h9v9h-9z",
            Shape::Diamond => "M0 -6.5L6 0L0 6.5L-6 0z",
            Shape::Triangle => "M0 -6L5.6 4.5H-5.6z",
        };
        let path = |path: &str| (!path.is_empty()).then(|| path.to_owned());
        let point = html! {
            path.mark.hollow[self.hollow] d=(outline) transform={ "translate(" (at(px)) " " (at(py)) ")" }
                data-x=(self.x) data-y=(self.y)
                data-x-path=[path(&self.x_path)] data-y-path=[path(&self.y_path)] {
                title { (self.tip) }
            }
        };
        html! {
            g.{ (color(self.color)) }.point {
                @if let Some((low, high)) = self.x_range {
                    path.range d={ "M" (at(x.place(low))) " " (at(py)) "H" (at(x.place(high))) } {}
                }
                @if let Some((low, high)) = self.y_range {
                    path.range d={ "M" (at(px)) " " (at(y.place(low))) "V" (at(y.place(high))) } {}
                }
                @match &self.link {
                    Some(link) => a href=(link) tabindex="-1" { (point) },
                    None => (point),
                }
            }
        }
    }
}

type Name<'a> = (&'a str, (f64, f64), usize, &'static str);

/// Names that would lie on each other, pushed apart: downwards, and back up from the lower edge.
fn apart(mut names: Vec<Name<'_>>, bottom: f64) -> Vec<Name<'_>> {
    names.sort_by(|a, b| a.1.1.total_cmp(&b.1.1));
    let near = |a: &Name<'_>, b: &Name<'_>| (a.1.0 - b.1.0).abs() < 7.5 * a.0.len().max(6) as f64;
    for index in 1..names.len() {
        let (above, below) = names.split_at_mut(index);
        let lowest = above.iter().filter(|name| near(name, &below[0])).map(|name| name.1.1 + ROW);
        below[0].1.1 = lowest.fold(below[0].1.1, f64::max);
    }
    let over = names.iter().map(|name| name.1.1 - bottom).fold(0.0, f64::max);
    names.iter_mut().for_each(|name| name.1.1 -= over);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_lies_where_its_value_is() {
        let (x, y) = (Axis::between("ms", 0.0, 10.0), Axis::between("%", 0.0, 100.0));
        let mut plot = Plot::new(x, y);
        plot.marks.push(Mark::new(5.0, 50.0, 0, "half".into()));
        let svg = plot.svg("a plot").into_string();
        let middle = ((LEFT + WIDTH - RIGHT) / 2.0, (TOP + plot.height - BOTTOM) / 2.0);
        let place = format!("translate({} {})", at(middle.0), at(middle.1));
        assert!(svg.contains(&place), "{place} in {svg}");
        assert!(svg.contains("data-x=\"5\" data-y=\"50\""));
    }

    #[test]
    fn names_do_not_lie_on_each_other() {
        let name = |y: f64| ("name", (100.0, y), 0, "start");
        let places: Vec<f64> =
            apart(vec![name(20.0), name(22.0), name(100.0)], 300.0).iter().map(|n| n.1.1).collect();
        assert_eq!(places, [20.0, 35.0, 100.0]);
    }

    #[test]
    fn names_of_near_rules_stand_above_each_other() {
        let mut plot = Plot::new(Axis::between("", 0.0, 10.0), Axis::between("", 0.0, 1.0));
        plot.rules = [1.0, 1.2, 9.0].map(|x| Rule { x, label: format!("at {x}") }).into();
        let svg = plot.svg("").into_string();
        let heights: Vec<&str> = svg
            .split("<text class=\"small\"")
            .skip(1)
            .map(|rest| rest.split("y=\"").nth(1).unwrap().split('"').next().unwrap())
            .collect();
        assert_eq!(heights.len(), 3);
        assert_ne!(heights[0], heights[1]);
        let lowest = plot.height - BOTTOM - 6.0;
        assert!(
            heights.iter().all(|height| height.parse::<f64>().unwrap() <= lowest),
            "{heights:?}"
        );
    }

    #[test]
    fn what_a_person_named_is_text() {
        let mut plot = Plot::new(Axis::between("", 0.0, 1.0), Axis::between("", 0.0, 1.0));
        let name = "\"><img src=x onerror=alert(1)></svg><script>";
        let mark = Mark::new(0.5, 0.5, 0, name.into());
        plot.marks.push(Mark { label: Some(name.into()), link: Some(name.into()), ..mark });
        let svg = plot.svg(name).into_string();
        assert!(!svg.contains("<img") && !svg.contains("<script") && !svg.contains("\"><img"));
    }

    #[test]
    fn what_is_no_number_is_not_drawn() {
        let mut plot = Plot::new(Axis::around("", [f64::NAN]), Axis::around("", []));
        plot.marks.push(Mark::new(f64::NAN, 1.0, 0, String::new()));
        let points = vec![(0.0, f64::NAN), (1.0, f64::INFINITY)];
        plot.lines.push(Line { points, color: 0, stroke: Stroke::Thin, label: None });
        assert!(!plot.svg("").into_string().contains("NaN"));
    }
}
