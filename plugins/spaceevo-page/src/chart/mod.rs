//! Drawings: SVG within the page, whose colours are classes, so that one drawing serves light, dark and
//! print.

mod bars;
mod csv;
mod figure;
mod intervals;
mod plot;
mod scale;

pub use bars::{Bar, BarRow, Bars, LEFT, LETTERS};
pub use csv::Csv;
pub use figure::{Figure, Key, keys};
pub use intervals::{IntervalRow, Intervals};
pub use plot::{Line, Mark, Plot, Rule, Shape, Stroke, accuracy_axes};
pub use scale::{Axis, Scale};
pub use spacewright_core::foreign::shortened;

/// Colours that repeat; the palette is in `chart.css`.
pub const COLORS: usize = 8;

/// The class of a colour.
pub fn color(index: usize) -> String {
    format!("c{}", index % COLORS)
}

/// A place in a drawing: a tenth of a pixel is enough, and short.
pub fn at(place: f64) -> String {
    let text = format!("{place:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
