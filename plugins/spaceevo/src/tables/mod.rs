//! Quality tables: which sub-stages they hold, and those that were published.

pub mod published;
mod rows;

pub use rows::{BlockRows, draw, pick, task_name, unknown_places};
