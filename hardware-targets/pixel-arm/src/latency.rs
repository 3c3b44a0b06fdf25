//! Where latencies of graphs come from: a model that was fitted on published tables.

use spacewright_latency_model::Fitted;
use spacewright_sdk::prelude::*;

use crate::target::target_error;

/// Fitted on the block-wise tables of SpaceEvo's `mobilew` hyperspace; see README.md.
const MODEL: &str = include_str!("../model.json");

/// The target's latency source.
pub(crate) fn source() -> Result<Fitted, TargetError> {
    Fitted::from_json(&[MODEL]).map_err(target_error)
}
