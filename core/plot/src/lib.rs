//! What all plots share: an SVG with a title, a legend and colours. Charts are drawn by those who
//! know what they show.

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use thiserror::Error;

/// A plot could not be drawn.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot draw the plot: {reason}")]
pub struct PlotError {
    /// What went wrong.
    pub reason: String,
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for PlotError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self { reason: error.to_string() }
    }
}

/// A part of a plot, in pixels.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Size of text, in pixels.
pub const TEXT: u32 = 14;
/// Size of titles, in pixels.
pub const TITLE: u32 = 18;

/// Height of the title, and of a row of the legend, in pixels.
const TITLE_ROW: u32 = 36;
const LEGEND_ROW: u32 = 20;

/// Colours that the colour-blind tell apart: Okabe and Ito, "Color Universal Design", 2008; the
/// pale ones last.
const COLORS: [RGBColor; 9] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(0, 0, 0),
    RGBColor(153, 153, 153),
    RGBColor(240, 228, 66),
];

/// The colour of a series by its position; colours repeat after nine.
pub fn color(index: usize) -> RGBColor {
    COLORS[index % COLORS.len()]
}

/// An SVG of `width` pixels with a title and named colours. `draw` gets the whole area, of which the
/// lower `height` pixels are free, and the pixels that are taken at its top.
pub fn svg(
    title: &str,
    legend: &[(String, RGBColor)],
    (width, height): (u32, u32),
    draw: impl FnOnce(&Area<'_>, u32) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let (places, rows) = places(legend, width);
    let top = TITLE_ROW + LEGEND_ROW * rows;
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (width, top + height)).into_drawing_area();
        root.fill(&WHITE)?;
        root.draw(&Text::new(title.to_owned(), (16, 10), ("sans-serif", TITLE)))?;
        for ((name, color), (x, y)) in legend.iter().zip(places) {
            root.draw(&Rectangle::new([(x, y), (x + 14, y + 12)], color.filled()))?;
            let left = Pos::new(HPos::Left, VPos::Center);
            let style = ("sans-serif", TEXT).into_text_style(&root).pos(left);
            root.draw(&Text::new(name.clone(), (x + 20, y + 6), style))?;
        }
        draw(&root, top)?;
        root.present()?;
    }
    Ok(text)
}

/// Where each name of a legend stands in rows that are `width` pixels wide, and the number of rows.
fn places(legend: &[(String, RGBColor)], width: u32) -> (Vec<(i32, i32)>, u32) {
    /// Pixels beside a name, and those of a letter at most.
    const BESIDE: u32 = 44;
    const LETTER: u32 = 8;
    let (mut x, mut row) = (16, 0);
    let mut places = Vec::with_capacity(legend.len());
    for (name, _) in legend {
        let length = BESIDE + LETTER * name.chars().count() as u32;
        if x > 16 && x + length > width {
            (x, row) = (16, row + 1);
        }
        places.push((x as i32, (TITLE_ROW + LEGEND_ROW * row) as i32));
        x += length;
    }
    (places, row + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_legend_has_rows() {
        let legend = vec![("a".repeat(30), BLACK); 4];
        let (places, rows) = places(&legend, 620);
        assert_eq!(rows, 2);
        assert_eq!(places[2], (16, (TITLE_ROW + LEGEND_ROW) as i32));
        assert!(places[1].0 + 30 * 8 < 620);
    }

    #[test]
    fn the_frame_holds_title_names_and_what_is_drawn() {
        let legend = [("found".to_owned(), color(0)), ("random".to_owned(), color(9))];
        assert_eq!(legend[0].1, legend[1].1);
        let svg = svg("Two spaces", &legend, (300, 100), |root, top| {
            assert_eq!(root.dim_in_pixel(), (300, top + 100));
            Ok(root.draw(&Circle::new((50, top as i32 + 50), 4, BLACK.filled()))?)
        })
        .unwrap();
        for text in ["Two spaces", "found", "random", "<circle"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
