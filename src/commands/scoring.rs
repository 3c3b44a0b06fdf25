//! From flags to a prepared scorer.

use std::collections::BTreeSet;

use serde_json::json;
use spacewright_core::{
    quality::{Cell, FixedLatency},
    score::{PreparedScorer, ScoreProblem},
    space::Hyperspace,
};
use spacewright_spaceevo::published::{PUBLISHED, PublishedError, read_tables};

use crate::{
    catalog,
    cli::{ScoreMode, ScoringArgs},
    render::Failure,
};

/// The scorer that the flags for drawing subnets are for.
const QT: &str = "q-t";

/// Reads the tables of these cells and prepares the scorer.
pub fn prepare(
    args: &ScoringArgs,
    hyperspace: &Hyperspace,
    cells: &BTreeSet<Cell>,
) -> Result<Box<dyn PreparedScorer>, Failure> {
    if hyperspace.fixed_latency_ms.is_empty() {
        let message = format!("hyperspace `{}` has no fixed_latency_ms", hyperspace.name);
        return Err(Failure::input(message)
            .hint("published tables hold no stem and head; add their latency by resolution"));
    }
    let tables = read_tables(&args.tables, hyperspace, cells).map_err(|error| match error {
        PublishedError::File { .. } => Failure::input(error)
            .hint("--tables names the folder of the tables, or the folder above it"),
        other => Failure::input(other),
    })?;
    let problem = ScoreProblem {
        hyperspace: hyperspace.clone(),
        cells: tables.columns(PUBLISHED, PUBLISHED).map_err(Failure::input)?,
        fixed: FixedLatency::PerResolution(hyperspace.fixed_latency_ms.clone()),
        constraints_ms: args.constraints.clone(),
        composition: args.composition.into(),
    };
    let options = match (&args.options, args.scorer.as_str()) {
        (Some(options), _) => options.clone(),
        (None, QT) => {
            let mode = match args.score {
                ScoreMode::MonteCarlo => "monte-carlo",
            };
            json!({ "mode": mode, "draws": args.draws })
        }
        (None, _) => json!({}),
    };
    catalog::registry()?.scorer(&args.scorer)?.prepare(problem, &options).map_err(Failure::input)
}
