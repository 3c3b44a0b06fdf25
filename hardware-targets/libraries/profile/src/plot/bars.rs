//! Speed-ups by operator.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use spacewright_plot::{PlotError, TEXT, color, svg};

use crate::{measure::OperatorCost, operator::Operator};

/// Pixels for one operator.
const GROUP: u32 = 92;

/// Height of the chart in pixels.
const HEIGHT: u32 = 408;

/// The speed-up of INT8 for each operator and feature map, as bars on a logarithmic scale that
/// begin at 1: upwards INT8 wins. Where a map was profiled with several widths, the bar is their
/// geometric mean. Rows within noise are left out.
pub fn speed_ups(grid: &[OperatorCost], target: &str) -> Result<String, PlotError> {
    let mut operators: Vec<Operator> = Vec::new();
    let mut sizes: Vec<usize> = Vec::new();
    for row in grid {
        if !operators.contains(&row.operator) {
            operators.push(row.operator);
        }
        if !sizes.contains(&row.size) {
            sizes.push(row.size);
        }
    }
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let mut bars = Vec::new();
    for (place, operator) in operators.iter().enumerate() {
        for (index, size) in sizes.iter().enumerate() {
            if let Some(height) = mean_log(grid, *operator, *size) {
                let width = 0.8 / sizes.len() as f64;
                let left = place as f64 + 0.1 + width * index as f64;
                bars.push((index, left, left + width, height));
            }
        }
    }
    let low = bars.iter().fold(-1.0, |low: f64, bar| low.min(bar.3.floor()));
    let high = bars.iter().fold(1.0, |high: f64, bar| high.max(bar.3.ceil()));
    let legend: Vec<(String, RGBColor)> = sizes
        .iter()
        .enumerate()
        .map(|(index, size)| (format!("{size}x{size} map"), color(index)))
        .collect();
    let width = 110 + GROUP * operators.len().max(5) as u32;
    let title = format!("What INT8 gains by operator: {target}");
    svg(&title, &legend, (width, HEIGHT), |root, top| {
        let mut chart = ChartBuilder::on(root)
            .margin_top(top)
            .margin_left(10)
            .margin_right(16)
            .x_label_area_size(56)
            .y_label_area_size(80)
            .build_cartesian_2d(0.0..operators.len().max(1) as f64, low..high)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(0)
            .y_labels((high - low) as usize + 1)
            .y_max_light_lines(1)
            .y_label_formatter(&|log| format!("{}x", (log.exp2() * 1000.0).round() / 1000.0))
            .x_desc("operator")
            .y_desc("speed-up: FP32 time / INT8 time")
            .label_style(("sans-serif", TEXT))
            .axis_desc_style(("sans-serif", TEXT))
            .draw()?;
        chart.draw_series(bars.iter().map(|&(index, left, right, height)| {
            Rectangle::new([(left, 0.0), (right, height)], color(index).filled())
        }))?;
        let end = operators.len().max(1) as f64;
        chart.draw_series(LineSeries::new([(0.0, 0.0), (end, 0.0)], BLACK.stroke_width(2)))?;
        let below = Pos::new(HPos::Center, VPos::Top);
        for (place, operator) in operators.iter().enumerate() {
            let (x, y) = chart.plotting_area().map_coordinate(&(place as f64 + 0.5, low));
            let style = ("sans-serif", TEXT).into_text_style(root).pos(below);
            root.draw(&Text::new(operator.to_string(), (x, y + 8), style))?;
        }
        Ok(())
    })
}

/// Mean binary logarithm of the speed-ups, if there are any.
fn mean_log(grid: &[OperatorCost], operator: Operator, size: usize) -> Option<f64> {
    let logs: Vec<f64> = grid
        .iter()
        .filter(|row| row.operator == operator && row.size == size && !row.noisy)
        .map(|row| row.ratio.log2())
        .filter(|log| log.is_finite())
        .collect();
    (!logs.is_empty()).then(|| logs.iter().sum::<f64>() / logs.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{quick_profile, row};

    #[test]
    fn every_operator_and_map_has_a_bar() {
        let profile = quick_profile();
        let svg = speed_ups(&profile.grid, "fake").unwrap();
        for operator in Operator::STUDIED {
            assert!(svg.contains(&format!("\n{operator}\n")), "{operator}");
        }
        let background = 1;
        let keys = 4;
        assert_eq!(svg.matches("<rect").count(), background + keys + profile.grid.len());
    }

    #[test]
    fn a_bar_is_the_geometric_mean_over_widths() {
        let noisy = OperatorCost { noisy: true, ..row(Operator::Add, 32, 14, 9.0, 1.0) };
        let rows =
            [row(Operator::Add, 8, 14, 8.0, 1.0), row(Operator::Add, 16, 14, 0.5, 1.0), noisy];
        assert_eq!(mean_log(&rows, Operator::Add, 14), Some(1.0));
        assert_eq!(mean_log(&rows[2..], Operator::Add, 14), None);
    }

    #[test]
    fn nothing_can_be_drawn() {
        assert!(speed_ups(&[], "fake").unwrap().ends_with("</svg>\n"));
    }
}
