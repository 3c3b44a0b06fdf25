//! From flags to a prepared scorer.

use std::path::PathBuf;

use serde_json::{Map, Value};
use spacewright_core::{
    latency::milliseconds,
    quality::FixedLatency,
    score::{PreparedScorer, ScoreProblem},
    space::Hyperspace,
};
use spacewright_engine::{default_home, home};
use spacewright_spaceevo::tables::published::{PublishedError, read_columns};

use crate::{
    catalog,
    cli::{ScoreMode, ScoringArgs},
    render::Failure,
};

/// The scorer that the flags for drawing subnets are for.
const QT: &str = "q-t";

/// Reads the tables of a hyperspace and prepares the scorer.
pub fn prepare(
    args: &ScoringArgs,
    hyperspace: &Hyperspace,
) -> Result<Box<dyn PreparedScorer>, Failure> {
    prepared(args, problem(args, hyperspace)?)
}

/// The same for a search; limits, given by `flag`, that no network keeps to are refused.
pub fn prepare_search(
    args: &ScoringArgs,
    hyperspace: &Hyperspace,
    flag: &str,
) -> Result<Box<dyn PreparedScorer>, Failure> {
    let problem = problem(args, hyperspace)?;
    check_limits(&problem, flag)?;
    prepared(args, problem)
}

fn prepared(args: &ScoringArgs, problem: ScoreProblem) -> Result<Box<dyn PreparedScorer>, Failure> {
    let scorer = catalog::registry()?.scorer(&args.scorer)?;
    scorer.prepare(problem, &options(args)?).map_err(Failure::input)
}

/// What spaces are scored against: all tables, also where only some are needed, as the exact score
/// fits its grid to them.
pub fn problem(args: &ScoringArgs, hyperspace: &Hyperspace) -> Result<ScoreProblem, Failure> {
    if hyperspace.fixed_latency_ms.is_empty() {
        let message = format!("hyperspace `{}` has no fixed_latency_ms", hyperspace.name);
        return Err(Failure::input(message)
            .hint("published tables hold no stem and head; add their latency by resolution"));
    }
    let cells = read_columns(&args.tables, hyperspace, &kept_tables()?);
    let cells = cells.map_err(|error| match error {
        PublishedError::File { .. } => Failure::input(error)
            .hint("--tables names the folder of the tables, or the folder above it"),
        other => Failure::input(other),
    })?;
    Ok(ScoreProblem {
        hyperspace: hyperspace.clone(),
        cells,
        fixed: FixedLatency::PerResolution(hyperspace.fixed_latency_ms.clone()),
        constraints_ms: args.constraints.clone(),
        composition: args.composition.into(),
    })
}

/// Where tables are kept in a form that is read fast. Nothing else of the home is needed: where it cannot be made,
/// they are read anew each time.
fn kept_tables() -> Result<PathBuf, Failure> {
    let home = default_home()?;
    if let Err(error) = home::make(&home) {
        // One in which others can write is not believed.
        if home.exists() {
            return Err(error.into());
        }
        tracing::warn!("tables are not kept for the next time: {error}");
    }
    Ok(home.join("cache").join("tables"))
}

/// That no limit is below what stem, head and the fastest sub-stages take, of whatever space: a search
/// would compare nothing.
fn check_limits(problem: &ScoreProblem, flag: &str) -> Result<(), Failure> {
    let ScoreProblem { hyperspace, cells, constraints_ms, .. } = problem;
    let mut of_stages = vec![f64::INFINITY; hyperspace.stages.len()];
    for (cell, columns) in cells {
        let fastest = &mut of_stages[cell.stage];
        *fastest = columns.latency_ms.iter().copied().fold(*fastest, f64::min);
    }
    let fixed = hyperspace.fixed_latency_ms.values().copied().fold(f64::INFINITY, f64::min);
    let fastest = fixed + of_stages.iter().sum::<f64>();
    match constraints_ms.iter().find(|limit| **limit < fastest) {
        Some(limit) => {
            let [limit, fastest] = [*limit, fastest].map(milliseconds);
            let message = format!(
                "no network of `{}` keeps to {limit} ms: by these tables the fastest takes {fastest} ms",
                hyperspace.name
            );
            Err(Failure::input(message).hint(format!("give a larger limit in {flag}")))
        }
        None => Ok(()),
    }
}

/// The scorer's options: those that are typed as JSON, or as flags for [`QT`].
pub fn options(args: &ScoringArgs) -> Result<Value, Failure> {
    if let Some(options) = &args.options {
        return Ok(options.clone());
    }
    let mut options = Map::new();
    if let Some(mode) = args.score {
        let name = match mode {
            ScoreMode::Exact => "exact",
            ScoreMode::MonteCarlo => "monte-carlo",
        };
        options.insert("mode".into(), name.into());
    }
    if let Some(draws) = args.draws {
        options.insert("draws".into(), draws.into());
    }
    if !options.is_empty() && args.scorer != QT {
        let message = format!("--score and --draws are for the scorer `{QT}`");
        return Err(Failure::input(message)
            .hint(format!("give the options of `{}` with --options", args.scorer)));
    }
    Ok(Value::Object(options))
}
