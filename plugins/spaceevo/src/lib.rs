//! The SpaceEvo method (ICCV 2023, arXiv 2303.08308; public repository microsoft/Moonlit): its
//! hyperspaces as data, the search for spaces, and the steps of a study.

mod accuracy;
pub mod compare;
pub mod edf;
pub mod explain;
mod fronts;
pub mod hyperspaces;
pub mod pareto;
mod parts;
mod plot;
pub mod published;
mod rows;
mod settings;
pub mod several;
mod stage_weights;
mod steps;
pub mod strategies;
mod subnet_search;
pub mod trade_off;

use std::sync::Arc;

use spacewright_core::method::Method;

pub use steps::SpaceEvo;

/// The method of this crate.
pub fn methods() -> Vec<Arc<dyn Method>> {
    vec![Arc::new(SpaceEvo)]
}

spacewright_sdk::register!("spaceevo", Methods, methods);
