//! Which operators INT8 speeds up on a target, and by how much: the quantization-efficiency study
//! of SpaceEvo (ICCV 2023, arXiv 2303.08308, section 3 and figure 3).
//!
//! INT8 makes some operators several times faster and others slower; which, depends on the
//! target, and within one operator on kernel, width and feature map. A [`Plan`] lists operators
//! and shapes, [`profile()`] asks a latency source about them, measured or predicted, and
//! [`Findings`] say what the [`OperatorCost`]s show. [`speed_ups`] and [`sweep`] plot them. Nothing here
//! knows a target, a file or a terminal.
//!
//! # What is asked
//!
//! What an operator costs *inside* a network is the difference between a chain with more copies
//! of it and one with fewer, by the number of copies more. So whatever is paid once for a network
//! cancels: the call, conversions of input and output, changes of layout. What it costs *alone*
//! is asked as a network of one operator, and contains all of that. Both are asked at both
//! precisions.
//!
//! ```
//! use spacewright_core::latency::{Latency, LatencyError, LatencyQuery};
//! use spacewright_profile::{Findings, Operator, Plan, profile};
//!
//! // A target on which time is the number of operators, whatever they are.
//! let ask = |queries: &[LatencyQuery]| {
//!     let ms = |query: &LatencyQuery| query.graph.nodes.len() as f64;
//!     Ok::<_, LatencyError>(queries.iter().map(|q| Latency::predicted(ms(q))).collect())
//! };
//! let plan = Plan::default().with_grid(&[Operator::HSwish], &[(14, 32), (7, 64)]);
//! let profile = profile(&plan, ask, |_, _, _| {})?;
//! assert_eq!(profile.grid[0].int8_ms, 1.0);
//! assert_eq!(
//!     Findings::of(&profile).paragraph("npu", None),
//!     "On npu, INT8 slows down no operator that was profiled. It speeds up none on average."
//! );
//! # Ok::<(), spacewright_profile::ProfileError<LatencyError>>(())
//! ```

mod csv;
mod findings;
mod measure;
mod operator;
mod paragraph;
mod plan;
mod plot;
#[cfg(test)]
mod testing;

pub use findings::{Findings, MARGIN, SpeedUp, UsedOperators, Verdict, WastefulWidth};
pub use measure::{OperatorCost, Profile, ProfileError, profile};
pub use operator::{GROUP, Operator};
pub use plan::{CaseError, OperatorCase, Plan};
pub use plot::{speed_ups, sweep};
pub use spacewright_plot::PlotError;
