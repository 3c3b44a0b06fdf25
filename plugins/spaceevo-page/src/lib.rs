//! The page of a study: one file of HTML that shows what was found, without a network.
//!
//! Beside it stand the page of several studies (`compare`), and those that a server shows while studies run
//! (`live`).
//!
//! Data in, markup out: nothing here reads or writes a file. A part of the page is a file of `parts`,
//! drawings are made in `chart`. Whatever people have named is escaped by the markup, characters that are
//! invisible or turn the direction of text are written out, and the page's policy lets no script run but
//! its own.

mod chart;
mod compare;
mod data;
mod document;
mod live;
mod number;
mod parts;

pub use compare::{ComparePageData, compare_page};
pub use data::{
    ModelFile, Origin, PageAttempt, PageCurve, PageData, PageNetwork, PageStage, PageStep,
    StudyFile,
};
pub use document::page;
pub use live::{
    Change, LiveNetwork, LiveRunData, LiveRunRow, LiveTask, Standing, StepStanding, list_changes,
    list_page, run_changes, run_page,
};
