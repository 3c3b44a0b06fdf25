//! Plots of a study's comparisons, as SVG.

use plotters::prelude::*;
use spacewright_plot::{Area, PlotError, TEXT, color};

/// Pixels of one panel.
const PANEL: (u32, u32) = (620, 420);

/// How the points of a series are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// Not at all.
    Dots,
    /// By straight lines.
    Lines,
    /// Level up to the next point: a distribution.
    Steps,
    /// By straight lines without dots: many points.
    Curve,
}

/// A chart; the series at one position of different panels share a colour.
pub struct Panel<'a> {
    pub x: &'a str,
    pub y: &'a str,
    pub series: Vec<Vec<(f64, f64)>>,
    pub joined: Joined,
}

/// Panels side by side below a title and the names of the series.
pub fn svg(title: &str, names: &[String], panels: &[Panel<'_>]) -> Result<String, PlotError> {
    let count = panels.len().max(1);
    let legend: Vec<(String, RGBColor)> =
        names.iter().enumerate().map(|(index, name)| (name.clone(), color(index))).collect();
    let size = (PANEL.0 * count as u32, PANEL.1);
    spacewright_plot::svg(title, &legend, size, |root, top| {
        let areas = root.margin(top, 0, 0, 0).split_evenly((1, count));
        panels.iter().zip(&areas).try_for_each(|(panel, area)| panel.draw(area))
    })
}

impl Panel<'_> {
    fn draw(&self, area: &Area<'_>) -> Result<(), PlotError> {
        let points = || self.series.iter().flatten();
        let x = range(points().map(|point| point.0));
        let y = range(points().map(|point| point.1));
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .margin_right(20)
            .x_label_area_size(46)
            .y_label_area_size(76)
            .build_cartesian_2d(x.clone(), y)?;
        chart
            .configure_mesh()
            .max_light_lines(1)
            .x_desc(self.x)
            .y_desc(self.y)
            .label_style(("sans-serif", TEXT))
            .axis_desc_style(("sans-serif", TEXT))
            .draw()?;
        for (index, points) in self.series.iter().enumerate() {
            let line = match self.joined {
                Joined::Dots => Vec::new(),
                Joined::Lines | Joined::Curve => points.clone(),
                Joined::Steps => steps(points, x.end),
            };
            chart.draw_series(LineSeries::new(line, color(index).stroke_width(2)))?;
            if matches!(self.joined, Joined::Steps | Joined::Curve) {
                continue;
            }
            let dot = color(index).filled();
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, dot)))?;
        }
        Ok(())
    }
}

/// From a little below the smallest value to a little above the largest.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let margin = if high > low { 0.05 * (high - low) } else { 0.05 * high.abs().max(1e-3) };
    low - margin..high + margin
}

/// A line that stays level up to each next point, and after the last one up to `end`.
fn steps(points: &[(f64, f64)], end: f64) -> Vec<(f64, f64)> {
    let mut line = Vec::with_capacity(2 * points.len() + 2);
    let mut level = 0.0;
    for &(x, y) in points {
        line.extend([(x, level), (x, y)]);
        level = y;
    }
    line.extend((!points.is_empty()).then_some((end, level)));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(series: Vec<Vec<(f64, f64)>>, joined: Joined) -> Panel<'static> {
        Panel { x: "latency in ms", y: "accuracy", series, joined }
    }

    #[test]
    fn every_point_of_every_panel_is_there() {
        let series = vec![vec![(1.0, 0.5), (2.0, 0.7)], vec![(1.5, 0.4)]];
        let names = ["found".to_owned(), "random".to_owned()];
        let panels = [panel(series.clone(), Joined::Dots), panel(series, Joined::Lines)];
        let svg = svg("Two spaces", &names, &panels).unwrap();
        assert_eq!(svg.matches("<circle").count(), 6);
        for text in ["Two spaces", "found", "random", "latency in ms"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_distribution_rises_in_steps() {
        let line = steps(&[(1.0, 0.5), (2.0, 1.0)], 3.0);
        assert_eq!(line, [(1.0, 0.0), (1.0, 0.5), (2.0, 0.5), (2.0, 1.0), (3.0, 1.0)]);
    }

    #[test]
    fn nothing_can_be_drawn() {
        let svg = svg("Nothing", &[], &[panel(vec![Vec::new()], Joined::Steps)]).unwrap();
        assert!(svg.ends_with("</svg>\n"));
    }
}
