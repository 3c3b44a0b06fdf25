//! Time and speed-up by width.

use std::collections::BTreeMap;

use plotters::prelude::*;
use spacewright_plot::{Area, PlotError, TEXT, TITLE, color, svg};

use crate::{findings::WastefulWidth, measure::OperatorCost, operator::Operator};

/// Pixels of one panel.
const PANEL: (u32, u32) = (560, 320);

/// The colour of wasteful widths.
const WASTE: usize = 5;

/// A chart of values by width.
struct Panel<'a> {
    title: String,
    unit: &'a str,
    curves: &'a [(Vec<(f64, f64)>, RGBColor)],
    /// Points to encircle.
    marked: &'a [(f64, f64)],
    /// A value that is drawn as a line.
    level: Option<f64>,
}

/// For each operator of a sweep the FP32 and INT8 time by width, and below it the speed-up.
/// Widths that are `wasteful` are encircled. Rows within noise are left out.
pub fn sweep(
    sweep: &[OperatorCost],
    wasteful: &[WastefulWidth],
    target: &str,
) -> Result<String, PlotError> {
    let mut columns: BTreeMap<(Operator, usize), Vec<&OperatorCost>> = BTreeMap::new();
    for row in sweep.iter().filter(|row| !row.noisy) {
        columns.entry((row.operator, row.size)).or_default().push(row);
    }
    let count = columns.len().max(1);
    let size = (PANEL.0 * count as u32, 2 * PANEL.1);
    let [fp32, int8, ratio, waste] = [0, 1, 2, WASTE].map(color);
    let legend = [("FP32", fp32), ("INT8", int8), ("speed-up", ratio), ("wasteful width", waste)]
        .map(|(name, color)| (name.to_owned(), color));
    let title = format!("What channels cost: {target}");
    svg(&title, &legend, size, |root, top| {
        let panels = root.margin(top, 0, 0, 0).split_evenly((2, count));
        for (column, ((operator, size), rows)) in columns.iter().enumerate() {
            let points = |y: fn(&OperatorCost) -> f64| {
                let mut points: Vec<(f64, f64)> =
                    rows.iter().map(|row| (row.width as f64, y(row))).collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                points.retain(|point| point.1.is_finite());
                points
            };
            let is_waste = |width: f64| {
                wasteful.iter().any(|waste| {
                    (waste.operator, waste.size) == (*operator, *size)
                        && waste.width as f64 == width
                })
            };
            let times = [(points(|row| row.fp32_ms), fp32), (points(|row| row.int8_ms), int8)];
            let title = format!("{operator} on {size}x{size} maps");
            let marked: Vec<(f64, f64)> =
                times[1].0.iter().copied().filter(|point| is_waste(point.0)).collect();
            let unit = "time in ms";
            Panel { title, unit, curves: &times, marked: &marked, level: None }
                .draw(&panels[column])?;
            let title = format!("{operator} on {size}x{size} maps: speed-up");
            let unit = "FP32 time / INT8 time";
            let curves = &[(points(|row| row.ratio), ratio)];
            Panel { title, unit, curves, marked: &[], level: Some(1.0) }
                .draw(&panels[count + column])?;
        }
        Ok(())
    })
}

impl Panel<'_> {
    fn draw(&self, area: &Area<'_>) -> Result<(), PlotError> {
        let points = || self.curves.iter().flat_map(|(points, _)| points);
        let widest = points().fold(1.0, |widest: f64, point| widest.max(point.0));
        let level = self.level.unwrap_or_default();
        let highest = points().fold(level, |highest: f64, point| highest.max(point.1));
        let highest = if highest > 0.0 { 1.1 * highest } else { 1.0 };
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", TITLE - 2))
            .margin(10)
            .margin_right(20)
            .x_label_area_size(46)
            .y_label_area_size(76)
            .build_cartesian_2d(0.0..1.04 * widest, 0.0..highest)?;
        chart
            .configure_mesh()
            .max_light_lines(1)
            .x_labels(14)
            .y_labels(6)
            .x_label_formatter(&|width| format!("{width:.0}"))
            .x_desc("channels")
            .y_desc(self.unit)
            .label_style(("sans-serif", TEXT))
            .axis_desc_style(("sans-serif", TEXT))
            .draw()?;
        if let Some(level) = self.level {
            let line = [(0.0, level), (1.04 * widest, level)];
            chart.draw_series(LineSeries::new(line, BLACK.stroke_width(2)))?;
        }
        for (points, color) in self.curves {
            chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?;
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 2, color.filled())))?;
        }
        let circle = color(WASTE).stroke_width(2);
        chart.draw_series(self.marked.iter().map(|point| Circle::new(*point, 6, circle)))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Findings, testing::quick_profile};

    #[test]
    fn every_row_has_its_points_and_every_wasteful_width_its_circle() {
        let profile = quick_profile();
        let wasteful = Findings::of(&profile).wasteful;
        let svg = sweep(&profile.sweep, &wasteful, "fake").unwrap();
        assert_eq!(svg.matches("<circle").count(), 3 * profile.sweep.len() + wasteful.len());
        for title in ["conv1x1 on 14x14 maps", "dwconv3x3 on 14x14 maps: speed-up"] {
            assert!(svg.contains(title), "{title}");
        }
    }

    #[test]
    fn nothing_can_be_drawn() {
        assert!(sweep(&[], &[], "fake").unwrap().ends_with("</svg>\n"));
    }
}
