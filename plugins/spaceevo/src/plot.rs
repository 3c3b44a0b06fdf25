//! Plots of a study's comparisons, as SVG.

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use spacewright_core::method::StepError;

/// Colours that the colour-blind tell apart: Okabe and Ito, "Color Universal Design", 2008.
const COLORS: [RGBColor; 9] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(153, 153, 153),
    RGBColor(240, 228, 66),
];

/// Pixels of one panel.
const PANEL: (u32, u32) = (620, 420);
/// Height of the title, and of a row of the legend, in pixels.
const TITLE_ROW: u32 = 36;
const LEGEND_ROW: u32 = 20;
const TEXT: u32 = 14;
const TITLE: u32 = 18;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

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
pub fn svg(title: &str, names: &[String], panels: &[Panel<'_>]) -> Result<String, StepError> {
    let mut text = String::new();
    draw(&mut text, title, names, panels)
        .map_err(|reason| StepError::Failed(format!("cannot draw the plot: {reason}")))?;
    Ok(text)
}

fn draw(
    text: &mut String,
    title: &str,
    names: &[String],
    panels: &[Panel<'_>],
) -> Result<(), String> {
    let width = PANEL.0 * panels.len().max(1) as u32;
    let (places, rows) = legend(names, width);
    let top = TITLE_ROW + LEGEND_ROW * rows;
    let root = SVGBackend::with_string(text, (width, PANEL.1 + top)).into_drawing_area();
    let failed = |error: DrawingAreaErrorKind<std::io::Error>| error.to_string();
    root.fill(&WHITE).map_err(failed)?;
    heading(&root, title, names, &places).map_err(failed)?;
    let areas = root.margin(top, 0, 0, 0).split_evenly((1, panels.len().max(1)));
    for (panel, area) in panels.iter().zip(&areas) {
        panel.draw(area).map_err(failed)?;
    }
    root.present().map_err(failed)
}

/// Where each name stands in rows that are `width` pixels wide, and the number of rows.
fn legend(names: &[String], width: u32) -> (Vec<(i32, i32)>, u32) {
    /// Pixels beside a name, and those of a letter at most.
    const BESIDE: u32 = 44;
    const LETTER: u32 = 8;
    let (mut x, mut row) = (16, 0);
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        let length = BESIDE + LETTER * name.chars().count() as u32;
        if x > 16 && x + length > width {
            (x, row) = (16, row + 1);
        }
        places.push((x as i32, (TITLE_ROW + LEGEND_ROW * row) as i32));
        x += length;
    }
    (places, row + 1)
}

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn heading(root: &Area<'_>, title: &str, names: &[String], places: &[(i32, i32)]) -> Drawn {
    root.draw(&Text::new(title.to_owned(), (16, 10), ("sans-serif", TITLE)))?;
    for (index, (name, &(x, y))) in names.iter().zip(places).enumerate() {
        root.draw(&Rectangle::new([(x, y), (x + 14, y + 12)], color(index).filled()))?;
        let style =
            ("sans-serif", TEXT).into_text_style(root).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(name.clone(), (x + 20, y + 6), style))?;
    }
    Ok(())
}

fn color(index: usize) -> RGBColor {
    COLORS[index % COLORS.len()]
}

impl Panel<'_> {
    fn draw(&self, area: &Area<'_>) -> Drawn {
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
    fn a_long_legend_has_rows() {
        let names = vec!["a".repeat(30); 4];
        let (places, rows) = legend(&names, 620);
        assert_eq!(rows, 2);
        assert_eq!(places[2], (16, (TITLE_ROW + LEGEND_ROW) as i32));
        assert!(places[1].0 + 30 * 8 < 620);
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
