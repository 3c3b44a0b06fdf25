//! The SpaceEvo method (ICCV 2023, arXiv 2303.08308; public repository microsoft/Moonlit): its
//! hyperspaces as data, the search for spaces, and the steps of a study.

mod accuracy;
pub mod edf;
mod error;
pub mod explain;
pub mod hyperspaces;
mod loss_factors;
pub mod multi_target;
mod network_parts;
pub mod pareto;
mod plot;
pub mod report;
pub mod settings;
mod stage_ends;
pub mod steps;
pub mod strategies;
mod subnet_search;
pub mod tables;
pub mod trade_off;

use std::sync::Arc;

use spacewright_core::study::Method;

pub use error::SpaceEvoError;
pub use steps::SpaceEvo;

/// The method of this crate.
pub fn methods() -> Vec<Arc<dyn Method>> {
    vec![Arc::new(SpaceEvo)]
}

spacewright_sdk::register!("spaceevo", Methods, methods);
