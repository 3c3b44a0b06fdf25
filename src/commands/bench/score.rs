//! How fast spaces are scored.

use std::time::Instant;

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use rayon::ThreadPoolBuilder;
use serde::Serialize;
use serde_json::{Value, json};
use spacewright_core::{
    score::{PreparedScorer, ScoreProblem},
    search::SearchBudget,
    space::{Hyperspace, Space},
};

use crate::{
    catalog,
    cli::BenchScoreArgs,
    commands::scoring,
    render::{Failure, Output, Table},
};

/// Measurements, of which the middle one counts.
const REPEATS: usize = 3;
/// Spaces that are drawn to be scored from scratch.
const DRAWN: usize = 200;
/// Spaces that are scored by drawing subnets.
const BY_DRAWING: usize = 3;

#[derive(Serialize)]
struct SpeedReport {
    hyperspace: String,
    constraints_ms: Vec<f64>,
    composition: spacewright_core::quality::Composition,
    evaluations: usize,
    /// In an aging evolution that begins with nothing computed; one thread.
    scores_per_second: f64,
    /// Random spaces, of which few share anything; one thread.
    from_scratch_per_second: f64,
    /// Random spaces by the published procedure: subnets are drawn; one thread.
    by_drawing_per_second: f64,
    /// `scores_per_second` over `by_drawing_per_second`.
    times_drawing: f64,
}

pub fn score(args: &BenchScoreArgs, seed: u64) -> Result<Output, Failure> {
    let hyperspace = catalog::hyperspace(&args.hyperspace)?;
    let problem = scoring::problem(&args.scoring, &hyperspace)?;
    let options = scoring::options(&args.scoring)?;
    let one_thread = ThreadPoolBuilder::new().num_threads(1).build().map_err(Failure::failed)?;
    let bench = Bench { args, hyperspace: &hyperspace, problem: &problem, seed };
    let (search, scratch, drawing) = one_thread.install(|| {
        let drawn = json!({ "mode": "monte-carlo" });
        Ok::<_, Failure>((
            median(|| bench.search(&options))?,
            median(|| bench.random(&options, DRAWN))?,
            bench.random(&drawn, BY_DRAWING)?,
        ))
    })?;
    let report = SpeedReport {
        hyperspace: hyperspace.name.clone(),
        constraints_ms: problem.constraints_ms.clone(),
        composition: problem.composition,
        evaluations: args.evaluations,
        scores_per_second: search,
        from_scratch_per_second: scratch,
        by_drawing_per_second: drawing,
        times_drawing: search / drawing,
    };
    let mut table = Table::new(&["on one thread", "scores per second"]);
    table.row([format!("in a search of {} spaces", args.evaluations), format!("{search:.0}")]);
    table.row(["random spaces, from scratch".into(), format!("{scratch:.0}")]);
    table.row(["random spaces, by drawing subnets".into(), format!("{drawing:.1}")]);
    Output::new(table.render(), &report)
}

struct Bench<'a> {
    args: &'a BenchScoreArgs,
    hyperspace: &'a Hyperspace,
    problem: &'a ScoreProblem,
    seed: u64,
}

impl Bench<'_> {
    fn scorer(&self, options: &Value) -> Result<Box<dyn PreparedScorer>, Failure> {
        let scorer = catalog::registry()?.scorer(&self.args.scoring.scorer)?;
        scorer.prepare(self.problem.clone(), options).map_err(Failure::input)
    }

    fn search(&self, options: &Value) -> Result<f64, Failure> {
        let scorer = self.scorer(options)?;
        let strategy = catalog::registry()?.strategy("aging-evolution")?;
        let budget = SearchBudget { evaluations: self.args.evaluations, seed: self.seed };
        let start = Instant::now();
        let found = strategy
            .search(self.hyperspace, scorer.as_ref(), &budget, &Value::Null, &mut |_, _| true)
            .map_err(Failure::input)?;
        Ok(found.evaluations as f64 / start.elapsed().as_secs_f64())
    }

    fn random(&self, options: &Value, count: usize) -> Result<f64, Failure> {
        let scorer = self.scorer(options)?;
        let rng = &mut Pcg64Mcg::seed_from_u64(self.seed);
        let spaces: Vec<Space> = (0..count).map(|_| Space::random(self.hyperspace, rng)).collect();
        let start = Instant::now();
        scorer.score(&spaces, self.seed).map_err(Failure::input)?;
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }
}

fn median(mut measure: impl FnMut() -> Result<f64, Failure>) -> Result<f64, Failure> {
    let mut measured = (0..REPEATS).map(|_| measure()).collect::<Result<Vec<f64>, _>>()?;
    measured.sort_unstable_by(f64::total_cmp);
    Ok(measured[REPEATS / 2])
}
