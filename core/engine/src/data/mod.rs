//! The images of a study.

mod content;
mod settings;
mod source;
mod synthetic;

pub use settings::{DataKind, DataSettings, OnBadImage};
pub use source::{Described, StudyData};
