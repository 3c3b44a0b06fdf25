//! A drawing with its title and its files.

use maud::{Markup, html};

use super::{Csv, color};

/// A drawing in the page.
pub struct Figure<'a> {
    /// Names it within the page and its files.
    pub id: &'a str,
    /// What it shows.
    pub title: &'a str,
    /// How it is read, in one or two sentences.
    pub about: &'a str,
    /// The drawing.
    pub svg: Markup,
    /// Its data.
    pub csv: Csv,
}

impl Figure<'_> {
    /// The drawing with its title below a heading, and what saves it.
    pub fn markup(self) -> Markup {
        let Self { id, title, about, svg, csv } = self;
        html! {
            figure id=(id) {
                figcaption {
                    strong { (title) }
                    @if !about.is_empty() { span.about { (about) } }
                }
                (svg)
                p.tools {
                    a.save href=(csv.address()) download={ (id) ".csv" }
                        aria-label={ "Save the data of: " (title) } { "CSV" }
                    button.save.save-svg type="button" data-of=(id)
                        aria-label={ "Save the drawing: " (title) } hidden { "SVG" }
                }
            }
        }
    }
}

/// What a colour stands for.
pub struct Key {
    /// Its words.
    pub name: String,
    /// Its colour.
    pub color: usize,
}

/// The colours of a drawing that has no room for direct labels.
pub fn keys(keys: &[Key]) -> Markup {
    html! {
        ul.keys {
            @for key in keys {
                li.{ (color(key.color)) } { (key.name) }
            }
        }
    }
}
