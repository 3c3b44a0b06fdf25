//! Searching a hyperspace.

use std::time::Instant;

use serde::Serialize;
use serde_json::Value;
use spacewright_core::search::{ScoredSpace, SearchBudget};

use crate::{
    catalog,
    cli::SpaceSearchArgs,
    commands::scoring,
    progress,
    render::{Failure, Output, Table},
};

#[derive(Serialize)]
struct SearchReport {
    best: String,
    score: f64,
    /// How much better another space may be, as a share of the score, where it is known.
    gap: Option<f64>,
    evaluations: usize,
    seconds: f64,
    scores_per_second: f64,
    top: Vec<TopSpace>,
}

#[derive(Serialize)]
struct TopSpace {
    space: String,
    score: f64,
}

pub fn search(args: &SpaceSearchArgs, seed: u64, quiet: bool) -> Result<Output, Failure> {
    let hyperspace = catalog::hyperspace(&args.hyperspace)?;
    let strategy = catalog::registry()?.strategy(&args.strategy)?;
    let scorer = scoring::prepare(&args.scoring, &hyperspace, None)?;
    let budget = SearchBudget { evaluations: args.evaluations, seed };
    let bar = progress::bar(args.evaluations, quiet);
    let start = Instant::now();
    let mut show = |evaluations: usize, best: &ScoredSpace| {
        bar.set_position(evaluations as u64);
        bar.set_message(format!("{} {:.4}", best.space, best.score.score));
        true
    };
    let found = strategy
        .search(
            &hyperspace,
            &*scorer,
            &budget,
            args.strategy_options.as_ref().unwrap_or(&Value::Null),
            &mut show,
        )
        .map_err(Failure::input)?;
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let Some(best) = found.scored.first() else {
        return Err(Failure::input("no space was scored").hint("give --evaluations of at least 1"));
    };
    let top = |scored: &ScoredSpace| TopSpace {
        space: scored.space.to_string(),
        score: scored.score.score,
    };
    let report = SearchReport {
        best: best.space.to_string(),
        score: best.score.score,
        gap: found.gap(),
        evaluations: found.evaluations,
        scores_per_second: found.evaluations as f64 / seconds,
        seconds,
        top: found.diverse(args.top, args.apart).into_iter().map(top).collect(),
    };
    let mut table = Table::new(&["space", "score"]);
    for space in &report.top {
        table.row([space.space.clone(), format!("{:.5}", space.score)]);
    }
    let text = format!(
        "{} spaces scored in {seconds:.1} s; the best:\n{}",
        report.evaluations,
        table.render()
    );
    Output::new(text, &report)
}
