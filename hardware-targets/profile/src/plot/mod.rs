//! Plots of a profile, as SVG.

mod bars;
mod widths;

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use thiserror::Error;

pub use bars::speed_ups;
pub use widths::sweep;

/// A plot could not be drawn.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot draw the plot: {reason}")]
pub struct PlotError {
    /// What went wrong.
    pub reason: String,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Colours that the colour-blind tell apart: Okabe and Ito, "Color Universal Design", 2008.
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
];

const TEXT: u32 = 14;
const TITLE: u32 = 18;

/// Height of the title and the legend, in pixels.
const TOP: u32 = 72;

fn color(index: usize) -> RGBColor {
    COLORS[index % COLORS.len()]
}

/// Draws on a white area of this many pixels.
fn svg(
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE)?;
        draw(&root)?;
        root.present()?;
    }
    Ok(text)
}

/// A title and, below it, named colours; both at the top of the area.
fn heading(root: &Area<'_>, title: &str, legend: &[(String, RGBColor)]) -> Result<(), PlotError> {
    const STEP: i32 = 150;
    root.draw(&Text::new(title.to_owned(), (16, 10), ("sans-serif", TITLE)))?;
    for (x, (name, color)) in (16..).step_by(STEP as usize).zip(legend) {
        root.draw(&Rectangle::new([(x, 42), (x + 14, 54)], color.filled()))?;
        let style =
            ("sans-serif", TEXT).into_text_style(root).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(name.clone(), (x + 20, 48), style))?;
    }
    Ok(())
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for PlotError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self { reason: error.to_string() }
    }
}
