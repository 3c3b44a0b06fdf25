//! The page of a study: one file of HTML that shows what was found, without a network.
//!
//! Data in, markup out: [`page`] reads and writes no file. A part of the page is a file of `parts`,
//! drawings are made in `chart`. Whatever people have named is escaped by the markup, characters that are
//! invisible or turn the direction of text are written out, and the page's policy lets no script run but
//! its own.

mod chart;
mod data;
mod document;
mod number;
mod parts;

pub use data::{
    ModelFile, Origin, PageAttempt, PageCurve, PageData, PageNetwork, PageStage, PageStep,
    StudyFile,
};
pub use document::page;
