//! `spacewright space …`

mod explain;
mod front;
mod look;
mod score;
mod search;

use serde::Serialize;
use spacewright_core::score::ConstraintScore;

use crate::{
    cli::SpaceCommand,
    render::{Failure, Output},
    report::or_dash,
};

/// What one latency limit contributes to a score.
#[derive(Serialize)]
struct ConstraintRow {
    limit_ms: f64,
    /// Mean summed loss of the best feasible subnets: the smaller, the better; none where no subnet is feasible.
    quality: Option<f64>,
    /// Share of subnets within the limit.
    feasible: f64,
    penalty: f64,
    score: f64,
}

impl From<&ConstraintScore> for ConstraintRow {
    fn from(part: &ConstraintScore) -> Self {
        let &ConstraintScore { limit_ms, feasible, loss, penalty, score } = part;
        let quality = (feasible > 0.0).then_some(loss);
        Self { limit_ms, quality, feasible, penalty, score }
    }
}

impl ConstraintRow {
    /// Quality for a table.
    fn quality(&self) -> String {
        or_dash(self.quality, |quality| format!("{quality:.4}"))
    }
}

pub fn run(command: &SpaceCommand, seed: u64, quiet: bool) -> Result<Output, Failure> {
    match command {
        SpaceCommand::Count { hyperspace } => look::count(hyperspace),
        SpaceCommand::Show { space, hyperspace } => look::show(space, hyperspace.as_deref()),
        SpaceCommand::Sample { hyperspace, count } => look::sample(hyperspace, *count, seed),
        SpaceCommand::Score(args) => score::score(args, seed),
        SpaceCommand::Search(args) => search::search(args, seed, quiet),
        SpaceCommand::Explain(args) => explain::explain(args, seed),
    }
}
