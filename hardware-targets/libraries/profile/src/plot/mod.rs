//! Plots of a profile, as SVG.

mod bars;
mod widths;

pub use bars::speed_ups;
pub use widths::sweep;
