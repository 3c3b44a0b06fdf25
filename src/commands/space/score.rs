//! Scoring spaces that are named.

use std::collections::BTreeMap;

use serde::Serialize;
use spacewright_core::{
    score::{ConstraintScore, SpaceScore},
    space::{Hyperspace, Space},
};
use spacewright_spaceevo::published::cells_of;

use crate::{
    catalog,
    cli::SpaceScoreArgs,
    commands::scoring,
    render::{Failure, Output, Table},
};

#[derive(Serialize)]
struct ScoreReport {
    spaces: Vec<SpaceReport>,
}

/// `score` and `constraints` are those of the first seed; mean and standard deviation (of a
/// sample) are over all seeds.
#[derive(Serialize)]
struct SpaceReport {
    space: String,
    score: f64,
    mean: f64,
    std: f64,
    constraints: Vec<ConstraintScore>,
}

pub fn score(args: &SpaceScoreArgs, seed: u64) -> Result<Output, Failure> {
    let mut by_hyperspace: BTreeMap<String, (Hyperspace, Vec<Space>)> = BTreeMap::new();
    let mut order = Vec::new();
    for encoding in &args.spaces {
        let (hyperspace, space) = catalog::space(encoding, args.hyperspace.as_deref())?;
        let (_, group) =
            by_hyperspace.entry(hyperspace.name.clone()).or_insert((hyperspace, Vec::new()));
        order.push((space.hyperspace.clone(), group.len()));
        group.push(space);
    }
    let mut reports: BTreeMap<String, Vec<SpaceReport>> = BTreeMap::new();
    for (name, (hyperspace, spaces)) in by_hyperspace {
        let scorer = scoring::prepare(&args.scoring, &hyperspace, &cells_of(&spaces))?;
        let mut repeats = Vec::new();
        for repeat in 0..u64::from(args.repeats) {
            let scores = scorer.score(&spaces, seed.wrapping_add(repeat));
            repeats.push(scores.map_err(Failure::input)?);
        }
        let report = |(index, space)| report(space, repeats.iter().map(|scores| &scores[index]));
        reports.insert(name, spaces.iter().enumerate().filter_map(report).collect());
    }
    // Back to front, so that taking one leaves the positions of the others.
    let mut spaces: Vec<SpaceReport> = order
        .into_iter()
        .rev()
        .filter_map(|(name, index)| Some(reports.get_mut(&name)?.remove(index)))
        .collect();
    spaces.reverse();

    let mut table = Table::new(&["space", "score", "mean", "std", "limit", "feasible", "loss"]);
    for space in &spaces {
        for (index, part) in space.constraints.iter().enumerate() {
            let once = |text: String| if index == 0 { text } else { String::new() };
            table.row([
                once(space.space.clone()),
                once(format!("{:.5}", space.score)),
                once(format!("{:.5}", space.mean)),
                once(format!("{:.5}", space.std)),
                format!("{} ms", part.limit_ms),
                format!("{:.3} %", part.feasible * 100.0),
                format!("{:.4}", part.loss),
            ]);
        }
    }
    Output::new(table.render(), &ScoreReport { spaces })
}

fn report<'a>(
    space: &Space,
    scores: impl Iterator<Item = &'a SpaceScore> + Clone,
) -> Option<SpaceReport> {
    let first = scores.clone().next()?;
    let count = scores.clone().count() as f64;
    let mean = scores.clone().map(|score| score.score).sum::<f64>() / count;
    let squares: f64 = scores.map(|score| (score.score - mean).powi(2)).sum();
    Some(SpaceReport {
        space: space.to_string(),
        score: first.score,
        mean,
        std: if count > 1.0 { (squares / (count - 1.0)).sqrt() } else { 0.0 },
        constraints: first.constraints.clone(),
    })
}
